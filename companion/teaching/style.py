"""The colours of figures, explorers and boxes, and text made safe for HTML."""

from __future__ import annotations

import html
import re

__all__ = ["inline_html"]


PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442")

# For light backgrounds, from darkest to lightest: text, axes, grid, card.
INK, MUTED, LINES, CARD = "#1f2933", "#52606d", "#dde2e8", "#f8f9fb"


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
