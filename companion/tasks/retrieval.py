"""Finds the passages of a text that answer a question: by words, by meaning, or by both."""

from __future__ import annotations

import contextlib
import hashlib
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_texts, check_whole, close_to
from companion._common.files import write_atomically
from companion.data.course import Passage
from companion.evaluation.ranking import top_items
from companion.models.pretrained.sentences import embed_texts

__all__ = ["Found", "Retriever", "cut_passages", "fuse_ranks"]

_WORD = re.compile(r"[^\W_]+")

_WAYS = ("sections", "paragraphs", "words")

_METHODS = ("words", "meaning", "both")

_SATURATION, _LENGTH = 1.5, 0.75  # BM25's k1 and b, as its libraries set them

_SMOOTHING = 60  # of reciprocal ranks, as their authors set it

_Array = NDArray[np.float64]


@dataclass(frozen=True)
class Found:
    """A passage that was found.

    Args:
        passage: `Passage`.
        score: Float. What it is ranked by; it has no unit.
        similarity: Float. Cosine between question and passage; `nan` if only words were compared.
    """

    passage: Passage
    score: float
    similarity: float


def cut_passages(
    passages: Sequence[Passage], how: str = "paragraphs", *, num_words: int = 120
) -> list[Passage]:
    r"""Cuts texts into pieces of a size that a search can rank and a model can read.

    Args:
        passages: List of `Passage`, such as `load_course()` gives.
        how: String. `"sections"` leaves each passage whole. `"paragraphs"` takes as many whole
            paragraphs of a section together as fit. `"words"` cuts the whole page every `num_words`
            words, wherever that is; each piece repeats the last quarter of the one before.
            Defaults to `"paragraphs"`.
        num_words: Integer, at least 8. Most words of a piece; a longer paragraph stays whole.
            Defaults to 120.

    Returns:
        List of `Passage`; a piece that crosses headings has the one that it begins under.

    Raises:
        ValueError: If `how` is unknown or `num_words` too small.

    Example:

    >>> from companion.data import Passage
    >>> section = Passage("One two three.\n\nFour five.\n\nSix seven eight nine.", "page")
    >>> [piece.text for piece in cut_passages([section], num_words=8)]
    ['One two three.\n\nFour five.', 'Six seven eight nine.']
    """
    check_whole(num_words, "num_words", least=8)
    if how not in _WAYS:
        raise ValueError(f"how={how!r} is no way to cut; {close_to(how, _WAYS)}")
    if how == "sections":
        return list(passages)
    if how == "words":
        pages = groupby(passages, lambda passage: passage.page)
        return [piece for _, page in pages for piece in _windows(list(page), num_words)]
    return [piece for passage in passages for piece in _paragraphs(passage, num_words)]


def _windows(page: list[Passage], num_words: int) -> list[Passage]:
    words = [(word, passage) for passage in page for word in passage.text.split()]
    step = num_words - num_words // 4
    starts = range(0, max(1, len(words) - num_words // 4), step)
    return [
        replace(words[start][1], text=" ".join(word for word, _ in words[start:][:num_words]))
        for start in starts
        if words
    ]


def _paragraphs(passage: Passage, num_words: int) -> list[Passage]:
    pieces: list[list[str]] = [[]]
    for paragraph in passage.text.split("\n\n"):
        together = [*pieces[-1], paragraph]
        if pieces[-1] and sum(len(part.split()) for part in together) > num_words:
            pieces.append([paragraph])
        else:
            pieces[-1] = together
    return [replace(passage, text="\n\n".join(parts)) for parts in pieces]


def fuse_ranks(*scores: NDArray[np.floating]) -> _Array:
    """Combines several rankings of the same passages by their places alone.

    A passage on place r of a list earns 1 / (60 + r), and what it earns is added up. So scores
    of different scales need not be compared. A score of zero or less earns nothing.

    Args:
        *scores: Arrays of float, shape (questions, passages).

    Returns:
        A float64 array of that shape.

    Example:

    >>> import numpy as np
    >>> words, meaning = np.array([[3.0, 1.0, 0.0]]), np.array([[0.2, 0.9, 0.1]])
    >>> fuse_ranks(words, meaning).argsort()[0][::-1].tolist()
    [1, 0, 2]

    Reference:
        Cormack et al., 2009, Reciprocal rank fusion outperforms Condorcet and individual rank
        learning methods.
    """
    fused = np.zeros(np.shape(scores[0]))
    for table in scores:
        order = np.argsort(-table, axis=1, kind="stable")
        places = np.argsort(order, axis=1, kind="stable") + 1
        fused += np.where(table > 0, 1 / (_SMOOTHING + places), 0)
    return fused


class Retriever:
    """Ranks passages for a question.

    Args:
        method: `"words"` counts shared words (BM25), `"meaning"` compares vectors of MiniLM, and
            `"both"` fuses the two rankings. Defaults to `"both"`.
        use_headings: Boolean. Whether a passage is read with its title and heading in front.
            Defaults to `True`.
        folder: Path or `None`. Where vectors are kept, so that the same passages are not read
            again. Defaults to `None`: nowhere.

    Attributes:
        passages_: List of `Passage`; set by `fit`.

    Example:

    >>> from companion.data import Passage
    >>> passages = [Passage(text, "shop") for text in ("We post tea on Mondays.", "Call us!")]
    >>> retriever = Retriever("words").fit(passages)
    >>> retriever.search("On which day do you post?", k=1)[0].passage.text
    'We post tea on Mondays.'

    Reference:
        Robertson & Zaragoza, 2009 (BM25); Wang et al., 2020 (MiniLM).
    """

    def __init__(
        self,
        method: str = "both",
        *,
        use_headings: bool = True,
        folder: str | Path | None = None,
    ) -> None:
        if method not in _METHODS:
            raise ValueError(f"method={method!r} is unknown; {close_to(method, _METHODS)}")
        self.method, self.use_headings = method, use_headings
        self.folder = None if folder is None else Path(folder)
        self.passages_: list[Passage] = []

    def fit(self, passages: Sequence[Passage]) -> Retriever:
        """Reads the passages.

        Args:
            passages: List of `Passage`, at least one.

        Returns:
            Itself.

        Raises:
            ValueError: If there is none, or one is empty.
        """
        texts = check_texts([self._text(passage) for passage in passages])
        self.passages_ = list(passages)
        if self.method != "meaning":
            self._postings = _count_words(texts)
        if self.method != "words":
            self._vectors = self._embed(texts)
        return self

    def _text(self, passage: Passage) -> str:
        parts = (passage.title, passage.heading, passage.text) if self.use_headings else ()
        return ". ".join(dict.fromkeys(filter(None, parts))) or passage.text

    def _embed(self, texts: list[str]) -> NDArray[np.float32]:
        if self.folder is None:
            return embed_texts(texts, max_tokens=256)
        name = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
        path = self.folder / f"{name}.npy"
        try:
            kept: NDArray[np.float32] = np.load(path, allow_pickle=False)
            if kept.shape == (len(texts), 384) and np.isfinite(kept).all():
                return kept
        except (OSError, ValueError, EOFError):  # none yet, or damaged
            pass
        vectors = embed_texts(texts, max_tokens=256)
        np.save(content := io.BytesIO(), vectors)
        with contextlib.suppress(OSError):  # a full disk, or a folder that may not be written
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content.getvalue())
        return vectors

    def similarities(self, questions: Sequence[str]) -> _Array:
        """Returns the cosine between each question and each passage.

        Args:
            questions: List of strings.

        Returns:
            A float64 array of shape (questions, passages).

        Raises:
            ValueError: If only words are compared, or a question is empty.
        """
        self._check_fitted()
        if self.method == "words":
            raise ValueError("method='words' knows no similarity; use 'meaning' or 'both'.")
        return np.asarray(
            embed_texts(check_texts(list(questions)), max_tokens=256) @ self._vectors.T, np.float64
        )

    def scores(self, questions: Sequence[str]) -> _Array:
        """Returns what each passage is ranked by for each question.

        Args:
            questions: List of strings.

        Returns:
            A float64 array of shape (questions, passages).

        Raises:
            ValueError: If a question is empty, or `fit` was not called.
        """
        return self._rank(questions)[0]

    def _rank(self, questions: Sequence[str]) -> tuple[_Array, _Array]:
        self._check_fitted()
        questions = check_texts(list(questions))
        if self.method == "words":
            by_words = self._score_words(questions)
            return by_words, np.full(by_words.shape, math.nan)
        similarities = self.similarities(questions)
        if self.method == "meaning":
            return similarities, similarities
        return fuse_ranks(self._score_words(questions), similarities), similarities

    def _score_words(self, questions: Sequence[str]) -> _Array:
        scores = np.zeros((len(questions), len(self.passages_)))
        for row, question in zip(scores, questions, strict=True):
            for word in _WORD.findall(question.lower()):
                if word in self._postings:
                    places, weights = self._postings[word]
                    row[places] += weights
        return scores

    def search(self, question: str, *, k: int = 5) -> list[Found]:
        """Returns the passages that fit a question best.

        Args:
            question: String.
            k: Integer, at least 1. How many; of fewer passages, all. Defaults to 5.

        Returns:
            List of `Found`, the best first.

        Raises:
            ValueError: If the question is empty, `k` is no such number, or `fit` was not called.
        """
        scores, similarities = self._rank([question])
        best = top_items(scores, k=min(check_whole(k, "k", least=1), scores.shape[1]))[0]
        return [
            Found(self.passages_[i], float(scores[0, i]), float(similarities[0, i])) for i in best
        ]

    def _check_fitted(self) -> None:
        if not self.passages_:
            raise ValueError("The retriever has read no passages yet: call fit(passages) first.")


def _count_words(texts: list[str]) -> dict[str, tuple[NDArray[np.int64], _Array]]:
    """For each word, the texts that hold it and its weight in each (BM25 as Lucene has it)."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    lengths = np.array([count.total() for count in counts], float)
    shortness = _SATURATION * (1 - _LENGTH + _LENGTH * lengths / max(lengths.mean(), 1))
    places: dict[str, list[int]] = {}
    for i, count in enumerate(counts):
        for word in count:
            places.setdefault(word, []).append(i)
    postings = {}
    for word, rows in places.items():
        rarity = math.log(1 + (len(texts) - len(rows) + 0.5) / (len(rows) + 0.5))
        often = np.array([counts[i][word] for i in rows], float)
        postings[word] = (np.array(rows), rarity * often / (often + shortness[rows]))
    return postings
