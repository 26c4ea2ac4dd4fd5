"""Byte-pair encoding: a vocabulary of pieces between the byte and the word, learnt from texts."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from heapq import heapify, heappop, heappush
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any

from companion._common.checking import check_whole

__all__ = ["BytePairTokenizer"]


# A word takes the space before it along. Nothing is left out: every character is in one piece.
_WORDS = re.compile(r" ?\w{1,24}| ?[^\w\s]{1,24}|\s{1,24}")

_NUM_BYTES = 256

_LONGEST = 1 + 24 * 4  # bytes of a space and 24 characters


class BytePairTokenizer:
    """Cuts text into the pieces that a training text repeats most, and puts it together again.

    Ids 0 to 255 are the bytes of UTF-8, so no text is unknown. Each further id is a pair of earlier
    ones, merged because it was the most frequent pair; the last id ends a text. A tokenizer that
    was not fitted cuts into single bytes.

    Args:
        vocabulary_size: int, at least 257. Ids wanted: bytes, merges and the end of text. Defaults
            to `2000`.

    Attributes:
        merges: list of pairs of int. The merge with index `i` makes the id `256 + i`.
        vocabulary: list of bytes. What each id stands for.

    Raises:
        ValueError: If `vocabulary_size` is no whole number of at least 257.

    Example:

    >>> tokenizer = BytePairTokenizer(vocabulary_size=259).fit(["low lower lowest"])
    >>> [tokenizer.vocabulary[i] for i in tokenizer.encode("low blow")]
    [b'low', b' ', b'b', b'low']
    >>> tokenizer.decode(tokenizer.encode("你好 🙂"))
    '你好 🙂'

    Reference:
        Radford et al., *Language models are unsupervised multitask learners*, 2019 (on bytes).
    """

    def __init__(self, vocabulary_size: int = 2000) -> None:
        wanted = check_whole(vocabulary_size, "vocabulary_size", least=_NUM_BYTES + 1)
        self._max_merges = wanted - _NUM_BYTES - 1  # the last id is the end of text's
        self._set_merges([])

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are, fewer than wanted where a text holds too few pairs."""
        return len(self.vocabulary)

    @property
    def end_id(self) -> int:
        """The id that ends a text, the last one; `encode` never gives it, whatever the text."""
        return self.vocabulary_size - 1

    def fit(self, texts: Iterable[str]) -> BytePairTokenizer:
        """Learns the merges: again and again the most frequent pair inside the texts' words.

        Of pairs equally frequent, the one with the smaller ids comes first. A pair that occurs only
        once is not merged.

        Args:
            texts: iterable of str, read once. Training texts only: a vocabulary is learnt too.

        Returns:
            The tokenizer itself.

        Raises:
            ValueError: If `texts` is one string or holds something else than strings.
        """
        if isinstance(texts, str):
            raise ValueError("texts must be a list of strings; put a single text in a list: [text]")
        counts: Counter[str] = Counter()
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise ValueError(
                    f"texts must be a list of strings, but texts[{index}] is of type "
                    f"{type(text).__name__}."
                )
            counts.update(_WORDS.findall(text))
        words = [(_to_symbols(word), number) for word, number in counts.items()]
        self._set_merges(_learn(words, self._max_merges))
        return self

    def encode(self, text: str) -> list[int]:
        """Cuts a text into pieces.

        Args:
            text: str. Any text, also an empty one.

        Returns:
            A list of int, the pieces' ids.

        Raises:
            ValueError: If `text` is no string.
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a str, not {type(text).__name__}; encode texts singly.")
        ids: list[int] = []
        for word in _WORDS.findall(text):
            ids += self._encode_word(word)
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """Puts a text together from its pieces.

        Args:
            ids: iterable of int. What `encode` gave comes back exactly; bytes that are no text, as
                a model may produce them, become `�`.

        Returns:
            A str.

        Raises:
            ValueError: If an id is not in the vocabulary.
        """
        ids = [int(i) for i in ids]
        if ids and not 0 <= min(ids) <= max(ids) <= self.end_id:
            raise ValueError(f"ids are 0 to {self.end_id}, not {min(ids)} to {max(ids)}.")
        data = b"".join(self.vocabulary[i] for i in ids)
        try:
            return data.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return data.decode("utf-8", "replace")

    def save(self, path: str | PathLike[str]) -> None:
        """Writes the merges into a JSON file, which `load` reads.

        Args:
            path: path of the file. One that exists is replaced.

        Raises:
            OSError: If the file cannot be written.
        """
        Path(path).write_text(json.dumps({"merges": self.merges}), encoding="utf-8")

    @classmethod
    def load(cls, path: str | PathLike[str]) -> BytePairTokenizer:
        """Reads a tokenizer that `save` wrote.

        Args:
            path: path of the file.

        Returns:
            A `BytePairTokenizer` that gives the same ids.

        Raises:
            ValueError: If the file holds something else.
            OSError: If the file is missing or cannot be read.
        """
        try:
            return cls.from_merges(json.loads(Path(path).read_text(encoding="utf-8"))["merges"])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f"{path} is no file that BytePairTokenizer.save wrote, or damaged: {error}."
            ) from error

    @classmethod
    def from_merges(cls, merges: Iterable[Sequence[int]]) -> BytePairTokenizer:
        """Builds the tokenizer that has learnt these merges.

        Args:
            merges: iterable of pairs of int, as `merges` holds them.

        Returns:
            A `BytePairTokenizer` that gives the same ids.

        Raises:
            ValueError: If a merge is made of an id that comes later, or a piece would be longer
                than any word can be.
        """
        pairs, lengths = [], [1] * _NUM_BYTES
        for left, right in merges:
            if not 0 <= min(left, right) <= max(left, right) < len(lengths):
                raise ValueError("a merge is made of an id that comes later")
            lengths.append(lengths[left] + lengths[right])
            if lengths[-1] > _LONGEST:  # merges that double a piece again and again
                raise ValueError(f"a piece has {lengths[-1]:,} bytes, more than {_LONGEST:,}")
            pairs.append((int(left), int(right)))
        tokenizer = cls(len(pairs) + _NUM_BYTES + 1)
        tokenizer._set_merges(pairs)
        return tokenizer

    def _set_merges(self, merges: list[tuple[int, int]]) -> None:
        self.merges = merges
        pairs = (chr(left) + chr(right) for left, right in merges)
        self._made = {pair: chr(_NUM_BYTES + i) for i, pair in enumerate(pairs)}
        self._pairs = {new: pair for pair, new in self._made.items()}
        self._encode_word = lru_cache(100_000)(self._merge)  # words come again and again
        self.vocabulary = [bytes([i]) for i in range(_NUM_BYTES)]
        for left, right in merges:
            self.vocabulary.append(self.vocabulary[left] + self.vocabulary[right])
        self.vocabulary.append(b"<|endoftext|>")

    def __getstate__(self) -> dict[str, Any]:
        return {"max_merges": self._max_merges, "merges": self.merges}

    def __setstate__(self, state: dict[str, Any]) -> None:
        # The cache is made anew: a copied one would go on asking the original.
        self._max_merges = state["max_merges"]
        self._set_merges(list(state["merges"]))

    def _merge(self, word: str) -> list[int]:
        symbols = _to_symbols(word)
        # The merge that was learnt first is made first; what it makes possible was learnt later.
        todo = [made for i in range(len(symbols)) if (made := self._made.get(symbols[i : i + 2]))]
        heapify(todo)
        while todo:
            new = heappop(todo)
            before, symbols = symbols, symbols.replace(self._pairs[new], new)
            place = symbols.find(new) if symbols != before else -1
            while place >= 0:
                for pair in (symbols[place - 1 : place + 1], symbols[place : place + 2]):
                    if pair in self._made:
                        heappush(todo, self._made[pair])
                place = symbols.find(new, place + 1)
        return [ord(symbol) for symbol in symbols]


def _to_symbols(word: str) -> str:
    """Returns one character per byte, the one whose number is the byte's id."""
    return word.encode("utf-8", "surrogatepass").decode("latin-1")


def _learn(words: list[tuple[str, int]], max_merges: int) -> list[tuple[int, int]]:
    """Finds the merges from each different word's symbols and its count."""
    counts: Counter[str] = Counter()
    holders: defaultdict[str, set[int]] = defaultdict(set)  # in which words a pair may stand
    for index, (word, number) in enumerate(words):
        for start in range(len(word) - 1):
            counts[word[start : start + 2]] += number
            holders[word[start : start + 2]].add(index)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    merges: list[str] = []
    while heap and heap[0][0] <= -2 and len(merges) < max_merges:
        count, pair = heappop(heap)
        if -count != counts[pair]:
            continue  # out of date: the pair was pushed again when its count changed
        new, change = chr(_NUM_BYTES + len(merges)), Counter[str]()
        merges.append(pair)
        for index in holders.pop(pair):
            word, number = words[index]
            for other, times in _changes(word, pair, new):
                change[other] += times * number
                if times > 0:
                    holders[other].add(index)
            words[index] = word.replace(pair, new), number
        counts.update(change)
        for other in change:
            heappush(heap, (-counts[other], other))
    return [(ord(pair[0]), ord(pair[1])) for pair in merges]


def _changes(word: str, pair: str, new: str) -> Iterator[tuple[str, int]]:
    """Yields which pairs a merge takes from a word, -1, and which it brings, +1."""
    parts = word.split(pair)
    for index, (before, after) in enumerate(pairwise(parts)):
        yield pair, -1
        if before:
            yield before[-1] + pair[0], -1
            yield before[-1] + new, 1
        elif index:  # two of the pairs side by side
            yield pair[1] + pair[0], -1
            yield new + new, 1
        if after:
            yield pair[1] + after[0], -1
            yield new + after[0], 1
