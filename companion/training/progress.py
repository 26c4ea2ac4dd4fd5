"""The progress bar as a callback of Keras."""

from __future__ import annotations

from companion._common.backend import keras
from companion._common.progress import Bar

__all__ = ["ProgressBar"]


class ProgressBar(keras.callbacks.Callback):  # type: ignore[misc]
    """Shows how far `fit` is: a bar in a notebook or a terminal, which is gone at the end.

    Give it to `model.fit` with `verbose=0`; `Trainer` has its own. A stored notebook keeps no trace
    of it. Where Keras does not know the number of steps, as with a generator, steps are counted.

    Args:
        shown: Boolean. `False` never shows anything. Defaults to `True`.

    Example:

    >>> import keras
    >>> import numpy as np
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
        steps = self.params["steps"]
        self._text = ""
        self._bar = Bar(None if steps is None else self.params["epochs"] * steps, self.shown)

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
        if self._bar is None:
            return
        known = self._bar.total is not None
        step = "" if known else f" · step {batch + 1}"
        done = batch + 1 + (self._epoch * self.params["steps"] if known else 0)
        text = f"epoch {self._epoch + 1}/{self.params['epochs']}{step}{self._text}"
        self._bar.update(done, text)

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
