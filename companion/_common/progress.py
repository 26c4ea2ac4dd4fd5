"""A progress bar: a widget in a notebook, a line on stderr in a terminal, otherwise nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from companion._common.display import display_bundle, in_kernel

__all__ = ["Bar", "check_progress"]

_WIDTH = 30  # of the bar in a terminal, in characters


def check_progress(progress: str | bool) -> bool:
    """Returns whether progress is to be shown.

    Args:
        progress: `"auto"` or `True` to show it where a notebook or a terminal can; `False` for
            silence.

    Returns:
        Boolean.

    Raises:
        ValueError: If it is anything else.

    Example:

    >>> check_progress("off")
    Traceback (most recent call last):
    ValueError: progress='off' must be 'auto' or True to show a bar, or False for silence.
    """
    if not (isinstance(progress, bool) or progress == "auto"):
        raise ValueError(
            f"progress={progress!r} must be 'auto' or True to show a bar, or False for silence."
        )
    return progress is not False


class Bar:
    """A bar that fills, and is gone when it is closed.

    Args:
        total: Integer, at least 0: number of steps of the whole work. `None` if nobody knows, which
            shows the text alone.
        shown: Boolean. `False` never shows anything. Defaults to `True`.

    Raises:
        ValueError: If `total` is negative.

    Example:

    >>> bar = Bar(10, shown=False)
    >>> bar.update(5, "half done")
    >>> bar.close()
    """

    def __init__(self, total: int | None, shown: bool = True) -> None:
        if total is not None and total < 0:
            raise ValueError(f"total={total} must be at least 0, or None if it is not known.")
        self.total = total
        self._widget = _widget_bar(total) if shown and in_kernel() else None
        self._terminal = shown and self._widget is None and sys.stderr.isatty()
        self._width = 0
        self._next_time = 0.0

    def update(self, done: int, text: str) -> None:
        """Shows that `done` steps are finished, at most ten times a second.

        Args:
            done: Integer. Number of finished steps.
            text: String. What is going on, in a few words.
        """
        now = time.monotonic()
        if now < self._next_time and (self.total is None or done < self.total):
            return
        self._next_time = now + 0.1
        if self._widget is not None:
            bar, label = self._widget.children
            bar.value, label.value = done, text
        elif self._terminal:
            self._write(f"{self._drawn(done)}{text}")

    def close(self) -> None:
        """Takes the bar away."""
        if self._widget is not None:
            self._widget.close()
        elif self._terminal:
            self._write("")
            sys.stderr.write("\r")

    def _drawn(self, done: int) -> str:
        if self.total is None:
            return ""
        filled = _WIDTH * min(done, self.total) // self.total if self.total else _WIDTH
        return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] "

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self._width))  # covers what the last line left
        sys.stderr.flush()
        self._width = len(line)


def _widget_bar(total: int | None) -> Any:
    try:
        import ipywidgets
    except ModuleNotFoundError:
        return None
    bar = ipywidgets.IntProgress(max=max(total or 0, 1))
    if total is None:
        bar.layout.display = "none"  # the label alone tells how far the work is
    box = ipywidgets.HBox([bar, ipywidgets.Label()])
    # This type alone: a text beside it would stay in the notebook when the bar has gone.
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display_bundle({"application/vnd.jupyter.widget-view+json": view})
    return box
