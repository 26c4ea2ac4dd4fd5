"""Training that can be repeated exactly and continued exactly: the course's `Trainer`."""

from __future__ import annotations

import contextlib
import math
import os
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from companion._common.backend import keras, without_tuning
from companion._common.display import in_kernel
from companion.training.checkpoints import CheckpointError, CheckpointFolder, fingerprint
from companion.training.inputs import check_arrays
from companion.training.progress import ProgressBar

__all__ = ["History", "Trainer"]


@dataclass(frozen=True)
class History:
    """What `Trainer.fit` measured.

    Args:
        metrics: Dictionary from a metric's name to one value an epoch, as in Keras.
        monitor: Name of the metric that chose the best epoch.
        best_epoch: Integer from 1. Epoch with the best monitored value.
        stopped_early: Whether training ended because that value stopped improving.
    """

    metrics: dict[str, list[float]]
    monitor: str
    best_epoch: int
    stopped_early: bool

    @property
    def epochs(self) -> int:
        """Number of epochs trained."""
        return len(self.metrics["loss"])

    def summary(self) -> str:
        """Returns one line that comes out the same on every machine.

        It quotes held-out values of the best epoch only: late training losses depend on the
        processor's rounding.
        """
        stopped = ", stopped early" if self.stopped_early else ""
        done = f"{self.epochs} epoch{'s' * (self.epochs != 1)}{stopped}"
        held_out = {name: v for name, v in self.metrics.items() if name.startswith("val_")}
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
        model: Compiled `keras.Model` with one input and one output.
        seed: Integer, at least 0. Decides the order of the examples. Defaults to 0.
        checkpoint_dir: Path of a folder, or `None` for no checkpoints. One folder belongs to one
            run. Defaults to `None`.
        keep: Integer. Number of checkpoints that stay. Defaults to 2.
        progress: `"auto"` shows a bar in a notebook or a terminal; `False` is silent. Defaults to
            `"auto"`.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile("sgd", "mse")
    >>> x = np.eye(2, dtype="float32")
    >>> history = Trainer(model).fit(x, x[:, 0], epochs=3, batch_size=1)
    >>> history.epochs, history.metrics["loss"][2] < history.metrics["loss"][0]
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
    ) -> None:
        if seed < 0:
            raise ValueError(f"seed is {seed}; it must be 0 or a positive integer.")
        self.model = model
        self.seed = seed
        self.folder = None if checkpoint_dir is None else CheckpointFolder(checkpoint_dir, keep)
        self.progress = progress

    def fit(
        self,
        x: np.ndarray,
        y: np.ndarray,
        *,
        batch_size: int = 32,
        epochs: int = 10,
        validation_data: tuple[np.ndarray, np.ndarray] | None = None,
        patience: int | None = None,
        monitor: str = "val_loss",
        examples_per_epoch: int | None = None,
        max_seconds: float | None = None,
    ) -> History:
        """Trains, or continues from the newest checkpoint in `checkpoint_dir`.

        A run that is complete, or has stopped early, returns its history at once; raise `epochs`
        to train a complete run further.

        Args:
            x: Array of shape `(n, …)`. Token ids must be integers.
            y: Array of numbers, shape `(n, …)`.
            batch_size: Integer. Examples in one step. Defaults to 32.
            epochs: Integer. Passes over the data, those of earlier calls included. Defaults to 10.
            validation_data: Tuple `(x, y)` of held-out arrays, or `None`. Defaults to `None`.
            patience: Integer: stop after so many epochs without a better `monitor`, and give the
                model the best epoch's weights. `None` trains all epochs and leaves the last
                weights. Defaults to `None`.
            monitor: Name of the metric that picks the best epoch; without `validation_data`, its
                training value is taken. Defaults to `"val_loss"`.
            examples_per_epoch: Integer or `None`. Ends an epoch, and saves, after so many examples:
                a part of a long pass over the data. `None` is a whole pass. Defaults to `None`.
            max_seconds: Float or `None`. Stops after the epoch in which so much time has passed;
                the same call goes on from there. Defaults to `None`.

        Returns:
            A `History`.

        Raises:
            ValueError: If the model is not compiled or the arrays do not fit it.
            CheckpointError: If a checkpoint is damaged, belongs to another run, or cannot be
                written, or if another process is training in the folder.
            FloatingPointError: If the loss is no longer a finite number.
        """
        model = self.model
        _check_call(model, batch_size, epochs, validation_data, patience, monitor)
        _check_limits(examples_per_epoch, max_seconds)
        x, y = check_arrays(model, x, y)
        if validation_data is None:
            monitor = monitor.removeprefix("val_")
        else:
            validation_data = check_arrays(model, *validation_data, "validation x", "validation y")
        _make_variables(model, x)
        run = {
            "format": 1,
            "backend": keras.backend.backend(),
            **fingerprint(model, data=(x, y), validation_data=validation_data or ()),
            "batch_size": batch_size,
            "seed": self.seed,
            "patience": patience,
            "monitor": monitor,
            "examples_per_epoch": examples_per_epoch,
        }
        loop = _Loop(_Rows(x, y, batch_size, self.seed, examples_per_epoch), self.folder, run)
        loop.max_seconds = math.inf if max_seconds is None else max_seconds
        with self.folder.lock() if self.folder else contextlib.nullcontext():
            self._run(loop, epochs, validation_data)
        history = History(loop.metrics, monitor, loop.best_epoch + 1, loop.stopped_epoch > 0)
        if self.progress is not False and in_kernel():
            print(history.summary())
        return history

    def _run(self, loop: _Loop, epochs: int, validation_data: Any) -> None:
        loop.set_model(self.model)
        done = loop.resume(epochs)
        if done < epochs and not loop.stopped_epoch:
            bar = ProgressBar(shown=self.progress is not False)
            try:
                self.model.fit(
                    _for_fit(loop.rows),
                    shuffle=False,  # Keras would reorder the batches with Python's global generator
                    initial_epoch=done,
                    epochs=epochs,
                    validation_data=validation_data,
                    validation_batch_size=loop.rows.batch_size,
                    verbose=0,
                    callbacks=[loop, bar],
                )
            finally:
                bar.close()
        elif loop.best_weights is not None:
            self.model.set_weights(loop.best_weights)


def _check_call(
    model: keras.Model,
    batch_size: int,
    epochs: int,
    validation_data: Any,
    patience: int | None,
    monitor: str,
) -> None:
    if not model.compiled:
        raise ValueError(
            "The model is not compiled. Call for example "
            "model.compile('adam', 'binary_crossentropy', metrics=['accuracy']) first."
        )
    if batch_size < 1 or epochs < 1 or (patience is not None and patience < 0):
        raise ValueError(
            f"batch_size={batch_size} and epochs={epochs} must be at least 1, and "
            f"patience={patience} must be None or at least 0."
        )
    if patience is not None and validation_data is None and monitor.startswith("val_"):
        raise ValueError(
            f"patience={patience} watches {monitor}, which needs held-out data: give "
            "validation_data, or patience=None."
        )


def _check_limits(examples_per_epoch: int | None, max_seconds: float | None) -> None:
    if (examples_per_epoch or 1) < 1 or (max_seconds or 1) <= 0:
        raise ValueError(
            f"examples_per_epoch={examples_per_epoch} and max_seconds={max_seconds} must be "
            "positive, or None for a whole pass and no limit."
        )


def _make_variables(model: keras.Model, x: np.ndarray) -> None:
    """Makes the variables that a checkpoint is to fill."""
    if not model.built:
        model(x[:1])
    model.optimizer.build(model.trainable_variables)


class _Rows(keras.utils.PyDataset):  # type: ignore[misc]
    """Batches of the rows in an order that is a pure function of seed and epoch."""

    def __init__(
        self, x: np.ndarray, y: np.ndarray, batch_size: int, seed: int, size: int | None = None
    ) -> None:
        super().__init__()
        self.x, self.y, self.batch_size, self.seed = x, y, batch_size, seed
        self.size = min(size or len(x), len(x))
        self.start(0)

    def start(self, epoch: int) -> None:
        """Puts the rows in the order of this epoch, which may be a part of a pass."""
        rows, first, last = [], epoch * self.size, (epoch + 1) * self.size
        for turn in range(first // len(self.x), (last - 1) // len(self.x) + 1):
            order = np.random.default_rng([self.seed, turn]).permutation(len(self.x))
            start = turn * len(self.x)
            rows.append(order[max(first - start, 0) : last - start])
        self.order = np.concatenate(rows)

    def __len__(self) -> int:
        return math.ceil(self.size / self.batch_size)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rows = self.order[index * self.batch_size : (index + 1) * self.batch_size]
        return self.x[rows], self.y[rows]


def _for_fit(rows: _Rows) -> Any:
    """The rows as they are, or for TensorFlow as a `tf.data.Dataset`."""
    if keras.backend.backend() != "tensorflow":
        return rows
    import tensorflow as tf

    kinds = tuple(tf.TensorSpec((None, *part.shape[1:]), part.dtype) for part in rows[0])
    batches = tf.data.Dataset.from_generator(
        lambda: (rows[index] for index in range(len(rows))), output_signature=kinds
    )
    known_length = tf.data.experimental.assert_cardinality(len(rows))
    return without_tuning(batches.apply(known_length).prefetch(2))


class _Loop(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras's early stopping that also orders each epoch, and saves and restores the run."""

    _STATE = ("best", "wait", "best_epoch", "stopped_epoch")
    _SETTINGS = ("batch_size", "seed", "patience", "monitor", "examples_per_epoch")
    max_seconds = math.inf

    def __init__(self, rows: _Rows, folder: CheckpointFolder | None, run: dict[str, Any]) -> None:
        patience = run["patience"]
        super().__init__(
            run["monitor"],
            patience=math.inf if patience is None else patience,
            restore_best_weights=patience is not None,
        )
        self.rows, self.folder, self.run = rows, folder, run
        self.metrics: dict[str, list[float]] = {}
        self._resumed: dict[str, Any] = {}

    def resume(self, epochs: int) -> int:
        """Fills model, optimizer and own state from the newest checkpoint; returns its epoch."""
        saved = self.folder.load() if self.folder else None
        if saved is None:
            return 0
        arrays, meta = saved
        lacking = [name for name in ("epoch", "metrics", "run", "stopper") if name not in meta]
        if lacking or not isinstance(meta["run"], dict):
            raise CheckpointError(
                f"The newest checkpoint in {self.folder} is not one of Trainer's: it states no "
                f"{', '.join(lacking) or 'run'}. Move it away, or use another checkpoint_dir."
            )
        reason = self._other_run(meta["run"])
        if meta["epoch"] > epochs:
            reason = f"they are of {meta['epoch']} epochs, and epochs={epochs} are asked"
        if not reason and not self._variables().keys() <= arrays.keys():
            reason = "arrays are missing in the newest one"
        if reason:
            raise CheckpointError(
                f"The checkpoints in {self.folder} do not fit this run: {reason}. Train with the "
                "arguments of the first call to continue it, or use another checkpoint_dir."
            )
        for name, variable in self._variables().items():
            variable.assign(_typed_like(variable, arrays[name]))
        best = [arrays[name] for name in sorted(arrays) if name.startswith("best")]
        best = [_typed_like(w, array) for w, array in zip(self.model.weights, best, strict=False)]
        self.metrics = meta["metrics"]
        self._resumed = {**meta["stopper"], "best_weights": best or None}
        self._put_back()
        return int(meta["epoch"])

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts early stopping where the checkpoint left it, and the clock."""
        super().on_train_begin(logs)
        self._started = time.monotonic()
        self._put_back()  # Keras has just reset it

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shuffles."""
        self.rows.start(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the loss, decides whether to stop, and saves."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.monitor not in values:
            raise ValueError(f"monitor is {self.monitor!r}; this run measures {sorted(values)}.")
        if not math.isfinite(values["loss"]):
            raise FloatingPointError(
                f"The loss is {values['loss']} in epoch {epoch + 1}: the weights have grown beyond "
                "all bounds. Scale the inputs to about 1, or compile with a smaller learning_rate "
                "or with clipnorm=1.0, and start a new run."
            )
        super().on_epoch_end(epoch, values)
        for name, value in values.items():
            self.metrics.setdefault(name, []).append(value)
        if self.folder:
            arrays = {name: np.asarray(v) for name, v in self._variables().items()}
            arrays |= {f"best{i:04d}": w for i, w in enumerate(self.best_weights or [])}
            stopper = {name: getattr(self, name) for name in self._STATE}
            meta = {"run": self.run, "metrics": self.metrics, "stopper": stopper}
            self.folder.save(epoch + 1, arrays, {"epoch": epoch + 1, **meta})
        if time.monotonic() - self._started >= self.max_seconds:
            self.model.stop_training = True

    def _put_back(self) -> None:
        for name, value in self._resumed.items():
            setattr(self, name, value)

    def _variables(self) -> dict[str, Any]:
        # model.variables, unlike model.weights, holds the state of dropout's random generators
        groups = {"model": self.model.variables, "optimizer": self.model.optimizer.variables}
        return {f"{g}{i:04d}": v for g, group in groups.items() for i, v in enumerate(group)}

    def _other_run(self, other: dict[str, Any]) -> str:
        changed = [name for name, value in self.run.items() if other.get(name) != value]
        return "; ".join(
            f"{name} was {other.get(name)!r} and is now {self.run[name]!r}"
            if name in self._SETTINGS
            else f"the {name.replace('_', ' ')} has changed"  # a fingerprint tells a reader nothing
            for name in changed
        )


def _typed_like(variable: Any, array: np.ndarray) -> np.ndarray:
    # NumPy stores types that it does not know, such as bfloat16, as raw bytes.
    return array.view(np.asarray(variable).dtype)
