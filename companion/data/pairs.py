"""Sentences and their translations."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from companion._common.checking import check_whole
from companion.data._packaged import read_verified
from companion.data.cards import Card

__all__ = ["PAIRS_CARD", "PairDataset", "PairSplit", "load_translation_pairs"]


_SHA256 = "8f8ffd34eee29f395724ce060cad22511eeeabb7af731d5b5879dc0548e01660"

_MOST_TEST = 2000

_EMPTY = re.compile(r"placeholder|PH$")  # where a translation was to be written

_Row = dict[str, Any]


@dataclass(frozen=True)
class PairSplit:
    """Sentences and their translations, `sources[i]` and `targets[i]`, with what they belong to.

    `levels` are the levels of the Chinese language examination HSK, 1 to 6; `topics` are words such
    as `"food"`.
    """

    sources: list[str]
    targets: list[str]
    levels: list[int]
    topics: list[str]

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class PairDataset:
    """A training split, a test split, the languages' codes, the card, and a dictionary.

    `dictionary` gives the English meanings of Chinese words, separated by `"; "`, for the words of
    both splits, as a dictionary on a desk would: it holds no sentences.
    """

    train: PairSplit
    test: PairSplit
    languages: tuple[str, str]
    card: Card
    dictionary: dict[str, str]


def load_translation_pairs(num_test: int = 500, seed: int = 0) -> PairDataset:
    """Load Chinese sentences of everyday life with their English translations.

    A Chinese sentence stands on one side of the split only, and so does an English one: sentences
    that share a translation, but for case and punctuation, are kept together. Eighty-two lines of
    the file, whose translation is the word "placeholder" or "PH", are left out.

    Args:
        num_test: int. Pairs to put aside for testing, 1 to 2,000; where sentences must stay
            together, a few more. Defaults to `500`.
        seed: int of at least 0. Chooses which. Defaults to `0`.

    Returns:
        A `PairDataset` from Chinese, in simplified characters, to English.

    Raises:
        ValueError: `num_test` or `seed` is no such number.
        ModuleNotFoundError: The package hsk-sentences-audio, which holds the data, is not
            installed.
        RuntimeError: Its file is missing, damaged or of another version.

    Example:

    >>> pairs = load_translation_pairs()
    >>> len(pairs.train) + len(pairs.test), pairs.languages
    (4267, ('zh', 'en'))
    """
    check_whole(seed, "seed", least=0)
    if check_whole(num_test, "num_test", least=1) > _MOST_TEST:
        raise ValueError(f"num_test must be at most {_MOST_TEST:,}, but is {num_test:,}.")
    content = read_verified("hsk_sentences_audio", "data/sentences.json", _SHA256)
    lines = json.loads(content)
    real = [row for row in lines if not _EMPTY.match(row["translation"]["en"])]
    unique = {row["chinese"]: row for row in real}  # five sentences stand twice
    together: dict[str, list[_Row]] = {}
    for row in unique.values():
        said = re.sub(r"\W+", " ", row["translation"]["en"]).strip().casefold()
        together.setdefault(said, []).append(row)
    groups = list(together.values())
    test: list[_Row] = []
    train: list[_Row] = []
    for i in np.random.default_rng(seed).permutation(len(groups)):
        (test if len(test) < num_test else train).extend(groups[i])
    splits = _split(train), _split(test)
    tokens = [token for row in lines for token in row["tokens"] if token["gloss_en"]]
    dictionary = {token["word"]: token["gloss_en"] for token in tokens}
    return PairDataset(*splits, ("zh", "en"), _card(*map(len, splits)), dictionary)


def _split(rows: list[_Row]) -> PairSplit:
    return PairSplit(
        sources=[row["chinese"] for row in rows],
        targets=[row["translation"]["en"].strip() for row in rows],
        levels=[row["hsk_level"] for row in rows],
        topics=[row["topic"] for row in rows],
    )


def _card(num_train: int, num_test: int) -> Card:
    return Card(
        title="Chinese sentences with English translations",
        source="Sentences graded for the Chinese language examination HSK, inside the Python "
        "package hsk-sentences-audio; meanings of words from CC-CEDICT.",
        licence="CC BY-SA 4.0 for sentences and meanings, MIT for the package's code. Loaded from "
        "the installed package at run time.",
        examples=f"{num_train:,} pairs for training, {num_test:,} for testing.",
        use="Learning how translation works.",
        limits="Short, tidy sentences of a language course, a few thousand: a model learns a toy's "
        "share of the language. Who wrote and translated them is not stated; a machine may have. "
        "Each has one translation where several are right.",
    )


PAIRS_CARD = _card(3767, 500)
