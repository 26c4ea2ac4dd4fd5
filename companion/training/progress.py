"""A progress bar: a widget in a notebook, a line on stderr in a terminal, otherwise nothing."""

from __future__ import annotations

import sys
import time
from typing import Any

from companion._common.backend import keras
from companion._common.display import display_bundle, in_kernel

__all__ = ["Bar", "ProgressBar"]


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


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows how far `fit` is: a bar in a notebook or a terminal, which is gone at the end.

    Give it to `model.fit` with `verbose=0`; `Trainer` has its own. A stored notebook keeps no trace
    of it.

    Args:
        shown: Boolean. `False` never shows anything. Defaults to `True`.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> bar = ProgressBar()
    >>> history = model.fit(np.eye(2), np.ones(2), verbose=0, callbacks=[bar])
    """

    def __init__(self, shown: bool = True) -> None:
        super().__init__()
        self.shown = shown
        self._bar: Bar | None = None
        self._epoch, self._text = 0, ""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Opens the bar."""
        self._bar = Bar(self.params["epochs"] * self.params["steps"], self.shown)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remembers the epoch's number.

        Args:
            epoch: Integer. The epoch's number, from 0.
            logs: Dictionary or `None`. Not used.
        """
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Moves the bar.

        Args:
            batch: Integer. The step's number in its epoch, from 0.
            logs: Dictionary or `None`. Not used.
        """
        text = f"epoch {self._epoch + 1}/{self.params['epochs']}{self._text}"
        if self._bar is not None:
            self._bar.update(self._epoch * self.params["steps"] + batch + 1, text)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shows the epoch's values beside the bar during the next one.

        Args:
            epoch: Integer. The epoch's number, from 0.
            logs: Dictionary or `None`. The epoch's metrics by name.
        """
        self._text = "".join(f" · {name} {value:.3g}" for name, value in (logs or {}).items())

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Takes the bar away."""
        self.close()

    def close(self) -> None:
        """Takes the bar away, also after an error."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
