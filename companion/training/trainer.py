"""Training that can be repeated exactly and continued exactly: the course's `Trainer`."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from companion._common.backend import check_settings, keras
from companion._common.checking import check_whole, is_finite
from companion._common.display import in_kernel
from companion._common.progress import check_progress
from companion.training.batches import Batches
from companion.training.checkpoints import CheckpointFolder
from companion.training.fingerprint import fingerprint
from companion.training.inputs import Examples, check_examples
from companion.training.loop import Loop
from companion.training.parallel_fit import check_parts, fit_in_processes
from companion.training.processes import WAIT_SECONDS
from companion.training.progress import ProgressBar

__all__ = ["History", "Trainer"]


@dataclass(frozen=True)
class History:
    """What `Trainer.fit` measured.

    Args:
        history: Dictionary from a metric's name to one value an epoch, as in Keras.
        monitor: Name of the metric that chose the best epoch.
        best_epoch: Integer from 1. Epoch with the best monitored value.
        stopped_early: Whether training ended because that value stopped improving.
    """

    history: dict[str, list[float]]
    monitor: str
    best_epoch: int
    stopped_early: bool

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.history["loss"])

    def summary(self) -> str:
        """Returns one line that comes out the same on every machine.

        It quotes held-out values of the best epoch only: late training losses depend on the
        processor's rounding.
        """
        stopped = ", stopped early" if self.stopped_early else ""
        done = f"{self.epochs} epoch{'s' * (self.epochs != 1)}{stopped}"
        held_out = {name: v for name, v in self.history.items() if name.startswith("val_")}
        if not held_out:
            return f"{done}; no held-out data, so nothing is known about new examples."
        values = [
            f"{name} {v[self.best_epoch - 1]:.{4 if name.endswith('loss') else 3}f}"
            for name, v in held_out.items()
        ]
        return f"{done}; best epoch {self.best_epoch}: {', '.join(values)}"


class Trainer:
    """Trains a compiled Keras model so that the run can be repeated and continued exactly.

    It adds four things to `model.fit`: every epoch has its own order, which depends on `seed` and
    the epoch's number only; a checkpoint after each epoch that survives a kill and a full disk; a
    continuation with the same weights, bit for bit, as a run that was never stopped (dropout's
    random state and early stopping's memory included); and errors that say what to do.

    The first weights are drawn when a model is built: call `keras.utils.set_random_seed` before
    that to repeat a whole run.

    Args:
        model: Compiled `keras.Model` with one or several inputs and outputs.
        seed: Integer, at least 0. Decides the order of the examples. Defaults to 0.
        checkpoint_dir: Path of a folder, or `None` for no checkpoints. One folder belongs to one
            run. Defaults to `None`.
        keep: Integer. Number of checkpoints that stay. Defaults to 2.
        progress: `"auto"` or `True` shows a bar in a notebook or a terminal; `False` is silent.
            Defaults to `"auto"`.
        processes: Integer or `None`. So many processes of this machine share each batch, on JAX and
            with a core each; a checkpoint can be continued by any number. Such a run takes no
            callbacks, and batches of which each gets an equal part. Any number gives the same
            losses up to rounding. `None` trains in this program, and agrees with them if Keras
            takes the same steps on its backend as on JAX: on TensorFlow with Adam and an
            `Embedding` that is not tied to the output it does not. Defaults to `None`.
        wait_seconds: Float. After so long all processes must have started. Defaults to two minutes.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.eye(2, dtype="float32")
    >>> history = Trainer(model).fit(x, x[:, 0], epochs=3, batch_size=1)
    >>> history.epochs, history.history["loss"][2] < history.history["loss"][0]
    (3, True)
    """

    def __init__(
        self,
        model: keras.Model,
        *,
        seed: int = 0,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        keep: int = 2,
        progress: str | bool = "auto",
        processes: int | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        check_progress(progress)
        self.processes = processes
        if processes is not None:
            check_whole(processes, "processes", least=1)
        self.wait_seconds = wait_seconds
        self.model = model
        self.seed = check_whole(seed, "seed", least=0)
        self.folder = None if checkpoint_dir is None else CheckpointFolder(checkpoint_dir, keep)
        self.progress = progress

    def fit(
        self,
        x: Any,
        y: Any,
        *,
        sample_weight: Any = None,
        batch_size: int = 32,
        epochs: int = 10,
        validation_data: Sequence[Any] | None = None,
        patience: int | None = None,
        monitor: str = "val_loss",
        examples_per_epoch: int | None = None,
        minutes: float | None = None,
        callbacks: Sequence[keras.callbacks.Callback] = (),
    ) -> History:
        """Trains, or continues from the newest checkpoint in `checkpoint_dir`.

        A run that is complete, or has stopped early, returns its history at once; raise `epochs`
        to train a complete run further. In a notebook it also prints the history's summary.

        Args:
            x: Array of shape `(n, …)`, or for several inputs a dictionary, tuple or list of such
                arrays. Token ids must be integers.
            y: Array of numbers, shape `(n, …)`, or for several outputs a dictionary, tuple or list
                of such arrays.
            sample_weight: Array of at least 0, shape `(n,)`, or with a weight for each position of
                a sequence, or a dictionary, tuple or list of them for several outputs; or `None`.
                How much each example, or position, counts in the loss. Defaults to `None`.
            batch_size: Integer. Examples in one step. Defaults to 32.
            epochs: Integer. Passes over the data, those of earlier calls included. Defaults to 10.
            validation_data: Tuple `(x, y)` or `(x, y, sample_weight)` of held-out examples, in the
                same form, or `None`. Defaults to `None`.
            patience: Integer: stop after so many epochs without a better `monitor`, and give the
                model the best epoch's weights. `None` trains all epochs and leaves the last
                weights. Defaults to `None`.
            monitor: Name of the metric that picks the best epoch; without `validation_data`, its
                training value is taken. Defaults to `"val_loss"`.
            examples_per_epoch: Integer or `None`. Ends an epoch, and saves, after so many examples:
                a part of a long pass over the data. `None` is a whole pass. Defaults to `None`.
            minutes: Float above 0, or `None`. Stops after the epoch in which so much time has
                passed; the same call goes on from there. Defaults to `None`.
            callbacks: Sequence of `keras.callbacks.Callback`, as in Keras. What they remember is
                not saved in checkpoints. Defaults to none.

        Returns:
            A `History`.

        Raises:
            ValueError: If the model is not compiled, an argument is not as above, or the arrays do
                not fit the model.
            CheckpointError: If a checkpoint is damaged, belongs to another run, or cannot be
                written, or if another training is using the folder.
            ChildProcessError: If one of several processes fails.
            TimeoutError: If one of them does not start in time.
            FloatingPointError: If a loss, on held-out data too, is no longer a finite number.
        """
        check_settings()
        _check_model(self.model, validation_data, patience, monitor)
        run: dict[str, Any] = _settings(batch_size, patience, examples_per_epoch, minutes)
        epochs = check_whole(epochs, "epochs", least=1)
        data, held_out = _checked(self.model, x, y, sample_weight, validation_data)
        if held_out is None:
            monitor = monitor.removeprefix("val_")
        _make_variables(self.model, data.x)
        run |= {"seed": self.seed, "monitor": monitor}
        if self.folder:
            run |= _identity(self.model, data, held_out)
        batches = Batches(data, run["batch_size"], self.seed, run["examples_per_epoch"])
        if self.processes:
            check_parts(batches, self.processes, held_out, callbacks)
        loop = Loop(batches, self.folder, run, 60 * (math.inf if minutes is None else minutes))
        with self.folder.lock() if self.folder else contextlib.nullcontext():
            self._run(loop, epochs, held_out, callbacks)
        history = History(loop.metrics, monitor, loop.best_epoch + 1, loop.stopped_epoch > 0)
        if self.progress is not False and in_kernel():
            print(history.summary())
        return history

    def _run(
        self,
        loop: Loop,
        epochs: int,
        held_out: Examples | None,
        callbacks: Sequence[keras.callbacks.Callback],
    ) -> None:
        loop.set_model(self.model)
        done = loop.resume(epochs)
        shown, is_open = check_progress(self.progress), done < epochs and not loop.stopped_epoch
        if is_open and self.processes:
            how = self.processes, self.wait_seconds
            fit_in_processes(loop, done, epochs, held_out, *how, shown=shown)
        elif is_open:
            bar = ProgressBar(shown=shown)
            try:
                self.model.fit(
                    loop.batches.for_fit(),
                    shuffle=False,  # Keras would reorder the batches with Python's global generator
                    initial_epoch=done,
                    epochs=epochs,
                    validation_data=None if held_out is None else held_out.parts(),
                    validation_batch_size=loop.batches.batch_size,
                    verbose=0,
                    callbacks=[loop, *callbacks, bar],
                )
            finally:
                bar.close()
            return  # early stopping has put the best weights back
        if loop.best_weights is not None:
            self.model.set_weights(loop.best_weights)


def _check_model(
    model: keras.Model, validation_data: Any, patience: int | None, monitor: str
) -> None:
    if not model.compiled:
        raise ValueError(
            "The model is not compiled. Call for example "
            "model.compile('adam', 'binary_crossentropy', metrics=['accuracy']) first."
        )
    if patience is not None and validation_data is None and monitor.startswith("val_"):
        raise ValueError(
            f"patience={patience} watches {monitor}, which needs held-out data: give "
            "validation_data, or patience=None."
        )


def _settings(
    batch_size: int, patience: int | None, examples_per_epoch: int | None, minutes: float | None
) -> dict[str, int | None]:
    """Returns the numbers that a run keeps when it continues, after a check of each."""
    if minutes is not None and not (is_finite(minutes) and minutes > 0):
        raise ValueError(f"minutes={minutes!r} must be a finite number above 0, or None.")
    found: dict[str, int | None] = {"batch_size": check_whole(batch_size, "batch_size", least=1)}
    for name, value, least in (
        ("patience", patience, 0),
        ("examples_per_epoch", examples_per_epoch, 1),
    ):
        found[name] = None if value is None else check_whole(value, name, least=least)
    return found


def _checked(
    model: keras.Model, x: Any, y: Any, sample_weight: Any, validation_data: Any
) -> tuple[Examples, Examples | None]:
    data = check_examples(model, x, y, sample_weight)
    if validation_data is None:
        return data, None
    if not isinstance(validation_data, (tuple, list)) or len(validation_data) not in (2, 3):
        raise ValueError(
            "validation_data must be a tuple (x, y) or (x, y, sample_weight) of the same form as "
            "the training data, or None."
        )
    return data, check_examples(model, *validation_data, prefix="validation ")


def _identity(model: keras.Model, data: Examples, held_out: Examples | None) -> dict[str, Any]:
    """Returns what a run that continues must have in common with the one that wrote a file."""
    groups = {"data": data.parts(), "validation_data": held_out.parts() if held_out else ()}
    backend = keras.backend.backend()
    return {"format": 1, "backend": backend, **fingerprint(model, **groups)}


def _make_variables(model: keras.Model, x: Any) -> None:
    """Makes the variables that a checkpoint is to fill."""
    if not model.built:
        model(keras.tree.map_structure(lambda array: array[:1], x))
    model.optimizer.build(model.trainable_variables)
