"""One output in every form it has: in a notebook, on the page and in a terminal."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

__all__ = ["display_bundle", "in_kernel"]


def in_kernel() -> bool:
    """Returns whether this code runs in a Jupyter kernel.

    Returns:
        A bool.

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
