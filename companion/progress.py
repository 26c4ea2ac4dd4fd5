"""A progress bar: a widget in a notebook, a line on stderr in a terminal, otherwise nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from companion.presentation import display_bundle, in_kernel

__all__ = ["Bar"]


class Bar:
    """A bar that fills, and is gone when it is closed.

    Args:
        total: Integer. Number of steps of the whole work.
        shown: Boolean. `False` never shows anything. Defaults to `True`.

    Example:

    >>> bar = Bar(10, shown=False)
    >>> bar.update(5, "half done")
    >>> bar.close()
    """

    def __init__(self, total: int, shown: bool = True) -> None:
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
        if now < self._next_time and done < self.total:
            return
        self._next_time = now + 0.1
        if self._widget is not None:
            bar, label = self._widget.children
            bar.value, label.value = done, text
        elif self._terminal:
            filled = 30 * done // self.total
            self._write(f"[{'#' * filled}{'.' * (30 - filled)}] {text}")

    def close(self) -> None:
        """Takes the bar away."""
        if self._widget is not None:
            self._widget.close()
        elif self._terminal:
            self._write("")
            sys.stderr.write("\r")

    def _write(self, line: str) -> None:
        sys.stderr.write("\r" + line.ljust(self._width))  # covers what the last line left
        sys.stderr.flush()
        self._width = len(line)


def _widget_bar(total: int) -> Any:
    try:
        import ipywidgets
    except ModuleNotFoundError:
        return None
    box = ipywidgets.HBox([ipywidgets.IntProgress(max=total), ipywidgets.Label()])
    # This type alone: a text beside it would stay in the notebook when the bar has gone.
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    display_bundle({"application/vnd.jupyter.widget-view+json": view})
    return box
