"""Checks of arguments that every room makes, with errors that say what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

__all__ = [
    "UsageError",
    "check_amounts",
    "check_binary",
    "check_level",
    "check_name",
    "check_probabilities",
    "check_text",
    "check_texts",
    "check_whole",
    "close_to",
    "is_finite",
]

if TYPE_CHECKING:  # `companion --help` needs `close_to` and no NumPy
    import numpy as np
    from numpy.typing import ArrayLike, NDArray


class UsageError(ValueError):
    """A wrong use; the message says what was given, what is allowed and what to do."""


def check_binary(values: ArrayLike, name: str) -> NDArray[np.int8]:
    """Return `values` as an int8 array of 0 and 1, shape (n,), or say what is wrong with them.

    Args:
        values: array of 0 and 1 or bool, shape (n,), n at least 1.
        name: str. What to call them in an error.

    Returns:
        An int8 array of shape (n,).

    Raises:
        ValueError: Another shape, no values, or values that are neither 0 nor 1.

    Example:

    >>> check_binary([1, 2], "predictions")
    Traceback (most recent call last):
    ValueError: predictions must hold only 0 and 1, but holds 2.
    """
    import numpy as np

    array = np.asarray(values)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(
            f"{name} must be a list of at least one value, but has shape {array.shape}."
        )
    if array.dtype.kind not in "biuf":  # texts, for example, or None
        raise ValueError(
            f"{name} must hold only 0 and 1, as numbers, but has the dtype {array.dtype}: convert "
            "it first, for example with astype(int)."
        )
    wrong = array[~np.isin(array, (0, 1))]
    if wrong.size:
        hint = " Turn probabilities into decisions first." if 0 < wrong[0] < 1 else ""
        raise ValueError(f"{name} must hold only 0 and 1, but holds {wrong[0]}.{hint}")
    return array.astype(np.int8)


def check_probabilities(values: ArrayLike, number: int) -> NDArray[np.float64]:
    """Return `values` as a float64 array of probabilities, shape (number,), or say what is wrong.

    Args:
        values: array of float, shape (number,), from 0 to 1.
        number: int. How many there must be.

    Returns:
        A float64 array of shape (number,).

    Raises:
        ValueError: Another shape, or values outside 0 to 1.

    Example:

    >>> check_probabilities([0.5, 1.2], 2)
    Traceback (most recent call last):
    ValueError: probabilities must lie between 0 and 1, but one is 1.2.
    """
    import numpy as np

    try:
        array = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise ValueError("probabilities must be numbers, one for each label.") from None
    if array.shape != (number,):
        raise ValueError(
            f"probabilities must have shape ({number},), but have shape {array.shape}."
        )
    wrong = array[~((array >= 0) & (array <= 1))]  # the negation also catches NaN
    if wrong.size:
        raise ValueError(f"probabilities must lie between 0 and 1, but one is {wrong[0]}.")
    return array


def is_finite(number: Any) -> bool:
    """Return whether this is a finite number; `True` and `False` are none.

    Args:
        number: object.

    Returns:
        A bool.

    Example:

    >>> is_finite(3.5), is_finite(math.inf), is_finite("3.5"), is_finite(True)
    (True, False, False, False)
    """
    return not isinstance(number, bool) and isinstance(number, Real) and math.isfinite(number)


def check_amounts(**amounts: Any) -> None:
    """Check that each of these is a finite number of at least 0.

    Args:
        **amounts: float, each under the name to call it in an error.

    Raises:
        ValueError: One is negative, infinite, a truth value or no number.

    Example:

    >>> check_amounts(volume=1000, cost_usd=-1)
    Traceback (most recent call last):
    ValueError: cost_usd must be a number of at least 0, but is -1.
    """
    for name, amount in amounts.items():
        if not (is_finite(amount) and amount >= 0):
            raise ValueError(f"{name} must be a number of at least 0, but is {amount!r}.")


def check_whole(number: Any, name: str, *, least: int, multiple_of: int = 1) -> int:
    """Return a whole number as an int, or say what is wrong with it.

    Args:
        number: int, also one of NumPy's.
        name: str. What to call it in an error.
        least: int. The smallest that is allowed.
        multiple_of: int. What it must be divisible by. Defaults to `1`.

    Returns:
        An int.

    Raises:
        ValueError: A fraction, a truth value or no number, or one that is not allowed.

    Example:

    >>> check_whole(4.0, "num_train", least=2, multiple_of=2)
    Traceback (most recent call last):
    ValueError: num_train must be a whole number of at least 2 and a multiple of 2, but is 4.0.
    """
    whole = isinstance(number, Integral) and not isinstance(number, bool)
    if not whole or number < least or number % multiple_of:
        multiple = f" and a multiple of {multiple_of}" if multiple_of > 1 else ""
        raise ValueError(
            f"{name} must be a whole number of at least {least}{multiple}, but is {number!r}."
        )
    return int(number)


def check_level(level: Any) -> None:
    """Check a confidence level.

    Args:
        level: float, between 0 and 1.

    Raises:
        ValueError: It is anything else.

    Example:

    >>> check_level(95)
    Traceback (most recent call last):
    ValueError: level must lie between 0 and 1, for example 0.95, but is 95.
    """
    if not (is_finite(level) and 0 < level < 1):
        raise ValueError(f"level must lie between 0 and 1, for example 0.95, but is {level!r}.")


def close_to(name: object, allowed: Iterable[str]) -> str:
    """Returns the end of a message about an unknown name: a guess, and what is allowed.

    Args:
        name: object. What was given.
        allowed: iterable of str.

    Returns:
        A str.

    Example:
        >>> close_to("csot", ["cost", "volume"])
        "did you mean 'cost'? Allowed: 'cost', 'volume'."
    """
    names = list(allowed)
    guesses = get_close_matches(str(name), names, n=1)
    guess = f"did you mean {guesses[0]!r}? " if guesses else ""
    return f"{guess}Allowed: {', '.join(map(repr, names))}."


def check_name(name: str) -> str:
    """Checks that a name can be a part of an HTML id.

    Args:
        name: str. Lower-case words of a-z and 0-9, joined by hyphens.

    Returns:
        `name`.

    Raises:
        ValueError: If it is anything else.

    Example:
        >>> check_name("best-threshold")
        'best-threshold'
    """
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(
            f"name={name!r} must be lower-case words of a-z and 0-9 joined by hyphens, such as "
            "'best-threshold', because it becomes an id on the page."
        )
    return name


def check_text(what: str, text: str) -> str:
    """Checks that a text says something, and puts it on one line.

    Args:
        what: str. What to call it in an error.
        text: str.

    Returns:
        A str with single blanks only.

    Raises:
        ValueError: If it is no text or empty.

    Example:
        >>> check_text("alt", " Two  words ")
        'Two words'
    """
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{what}={text!r} must be a non-empty text.")
    return " ".join(text.split())


def check_texts(texts: Sequence[str] | np.ndarray) -> list[str]:
    """Returns the texts as a list, after checking that each can be read.

    Args:
        texts: List, tuple, array or pandas column of strings; none of them empty.

    Returns:
        List of the same strings.

    Raises:
        ValueError: If `texts` is one string, is empty, or holds something else than a text; the
            message names the first bad position.

    Example:

    >>> check_texts(("Good coffee.", "很好"))
    ['Good coffee.', '很好']
    """
    if hasattr(texts, "tolist"):
        texts = texts.tolist()
    if not isinstance(texts, (list, tuple)):
        raise ValueError(
            f"texts must be a list, tuple or array of strings, not one {type(texts).__name__}; put "
            "a single text in a list: [text]."
        )
    if not texts:
        raise ValueError("texts is empty: give at least one text.")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(
                f"texts[{index}] is of type {type(text).__name__}, not str: convert it with str(), "
                "or drop it if the value is missing."
            )
        if not text.strip():
            raise ValueError(f"texts[{index}] is empty: drop it, there is nothing to read.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"texts[{index}] holds half a character at position {error.start}: it was decoded "
                "wrongly; read the file again with encoding='utf-8'."
            ) from None
    return list(texts)
