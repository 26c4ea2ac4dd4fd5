"""What figures, explorers and boxes on a page share: colours, rounding, escaping, one display.

The palette is that of Okabe and Ito, *Color Universal Design* (2008), which readers with any common
kind of colour vision can tell apart; the first three read best as text.
"""

from __future__ import annotations

import html
import math
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

__all__ = [
    "check_name",
    "check_text",
    "close_to",
    "display_bundle",
    "in_kernel",
    "inline_html",
    "round_significant",
]

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")
# For light backgrounds, from darkest to lightest: text, axes, grid, card.
INK, MUTED, LINES, CARD = "#1f2933", "#52606d", "#dde2e8", "#f8f9fb"


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


def round_significant(value: float, digits: int) -> float:
    """Rounds to significant digits; whole numbers below a million stay as they are, -0 becomes 0.

    Args:
        value: float. A finite number.
        digits: int. How many significant digits to keep.

    Returns:
        A float.

    Example:
        >>> [round_significant(value, 3) for value in (0.123456, 12345.6, 2026)]
        [0.123, 12300.0, 2026.0]
    """
    value = float(value)
    # A tolerance, because 2025.9999999999 on another machine must print as 2026 does on this one.
    if abs(value) < 1e6 and abs(value - round(value)) <= 1e-9 * abs(value):
        return float(round(value))
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


def inline_html(text: str) -> str:
    """Escapes a text for HTML and makes `backticks` into code.

    Args:
        text: str.

    Returns:
        A str of HTML.

    Example:
        >>> inline_html("a < b in `a[0]`")
        'a &lt; b in <code>a[0]</code>'
    """
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def in_kernel() -> bool:
    """Returns whether this code runs in a Jupyter kernel.

    Example:
        >>> in_kernel()
        False
    """
    return getattr(_shell(), "kernel", None) is not None


def display_bundle(bundle: Mapping[str, Any], metadata: Mapping[str, Any] | None = None) -> None:
    """Displays one output in every form it has; where nothing can show it, prints its text.

    Args:
        bundle: dict from a MIME type to its data; bytes for pictures.
        metadata: dict from a MIME type to a dict, or `None`. Defaults to `None`.

    Example:
        >>> display_bundle({"text/html": "<b>Right</b>", "text/plain": "Right"})
        Right
    """
    if _shell() is None:
        print(bundle["text/plain"])
        return
    from IPython.display import display

    data = {k: b64encode(v).decode() if isinstance(v, bytes) else v for k, v in bundle.items()}
    display(data, raw=True, metadata=dict(metadata or {}))


def _shell() -> Any:
    # Without IPython loaded there is no shell, and importing it to find out takes half a second.
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython else None
