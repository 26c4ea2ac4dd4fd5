"""Whether an answer says what a text says, by counting words: no model judges."""

from __future__ import annotations

import re

__all__ = ["support"]

_WORD = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")

_CONTENT_LETTERS = 4  # shorter words are mostly grammar


def support(answer: str, text: str) -> float:
    """Returns which share of an answer's words a text holds.

    Words of fewer than four letters are not counted. One number that the text does not hold makes
    the share zero. A high share does not make an answer right: it may repeat the wrong sentence.

    Args:
        answer: String.
        text: String. What the answer may draw on, the question included if that is allowed.

    Returns:
        A float from 0 to 1; 0 for an answer without words that count.

    Example:

    >>> support("The shop posts tea on Mondays.", "On Mondays and Fridays our shop posts parcels.")
    1.0
    >>> support("It opened in 1987.", "It opened in 1978.")
    0.0
    """
    held = set(_WORD.findall(text.lower()))
    said = [
        w for w in _WORD.findall(answer.lower()) if w[0].isdigit() or len(w) >= _CONTENT_LETTERS
    ]
    if not said or any(word[0].isdigit() and word not in held for word in said):
        return 0.0
    return sum(word in held for word in said) / len(said)
