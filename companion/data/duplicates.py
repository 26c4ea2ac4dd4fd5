"""Find texts that stand twice: in one list, or in a training set and its test set."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["find_duplicates"]


def find_duplicates(
    texts: Sequence[str], others: Sequence[str] | None = None
) -> list[tuple[int, int]]:
    """Find texts that repeat an earlier one, but for case, white space and punctuation.

    Letters are also brought to one form (full-width and half-width ones are the same letter).
    Nothing is said about texts that share most but not all of their words.

    Args:
        texts: sequence of str.
        others: sequence of str or `None`. Texts to look for among `texts`. `None` looks for repeats
            within `texts`. Defaults to `None`.

    Returns:
        A list of pairs `(first, repeat)`, one for each repeating text: `first` is the position in
        `texts` of the first text like it, `repeat` its own position, in `others` if they are given.

    Example:

    >>> find_duplicates(["Good food!", "Bad.", "good  food"])
    [(0, 2)]
    >>> find_duplicates(["质量很好。", "不好"], others=["质量 很好！"])
    [(0, 0)]
    """
    folded = _fold(texts)
    first: dict[str, int] = {}
    for i, text in enumerate(folded):
        first.setdefault(text, i)
    if others is None:
        return [(first[text], i) for i, text in enumerate(folded) if first[text] != i]
    return [(first[text], j) for j, text in enumerate(_fold(others)) if text in first]


def _fold(texts: Sequence[str]) -> list[str]:
    """Remove punctuation, white space and control characters, and bring letters to one form."""
    found = {c for c in set("".join(texts)) if unicodedata.category(c)[0] in "PZC"}
    removed = re.compile(rf"[\s{re.escape(''.join(sorted(found)))}]+")
    folded = (unicodedata.normalize("NFKC", removed.sub("", text)).casefold() for text in texts)
    # A text of punctuation alone stands for itself.
    return [new or old.strip() for new, old in zip(folded, texts, strict=True)]
