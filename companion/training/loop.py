"""What happens around each epoch of a training: its order, its checkpoint, and when to stop."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion.training.batches import Batches
from companion.training.checkpoints import Arrays, CheckpointError, CheckpointFolder

__all__ = ["Loop"]


class Loop(keras.callbacks.EarlyStopping):  # type: ignore[misc]
    """Keras's early stopping that also orders each epoch, and saves and restores the run.

    Args:
        batches: `Batches` that `fit` reads.
        folder: `CheckpointFolder`, or `None` where nothing is saved.
        run: Dictionary of what a run that continues must have in common with this one.
        seconds: Float. Stops after the epoch in which so much time has passed.
    """

    _STATE = ("best", "wait", "best_epoch", "stopped_epoch")
    _SETTINGS = ("batch_size", "seed", "patience", "monitor", "examples_per_epoch")

    def __init__(
        self, batches: Batches, folder: CheckpointFolder | None, run: dict[str, Any], seconds: float
    ) -> None:
        patience = run["patience"]
        super().__init__(
            run["monitor"],
            patience=math.inf if patience is None else patience,
            restore_best_weights=patience is not None,
        )
        self.batches, self.folder, self.run, self.seconds = batches, folder, run, seconds
        self.metrics: dict[str, list[float]] = {}
        self._resumed: dict[str, Any] = {}

    def resume(self, epochs: int) -> int:
        """Fills model, optimizer and own state from the newest checkpoint; returns its epoch.

        Args:
            epochs: Integer. Epochs that are asked for.

        Returns:
            Number of finished epochs.

        Raises:
            CheckpointError: If the newest checkpoint is damaged, or of another run.
        """
        saved = self.folder.load() if self.folder else None
        return self.restore(*saved, epochs) if saved else 0

    def restore(self, arrays: Arrays, meta: dict[str, Any], epochs: int) -> int:
        """Fills model, optimizer and own state from what `state` gave; returns its epoch.

        Args:
            arrays: Dictionary of arrays.
            meta: Dictionary of the other values.
            epochs: Integer. Epochs that are asked for.

        Returns:
            Number of finished epochs.

        Raises:
            CheckpointError: If they are of another run.
        """
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

    def state(self, epoch: int) -> tuple[Arrays, dict[str, Any]]:
        """Returns all that decides how the run goes on.

        Args:
            epoch: Integer. Number of finished epochs.

        Returns:
            Dictionary of arrays, and one of other values.
        """
        arrays = {name: np.asarray(v) for name, v in self._variables().items()}
        arrays |= {f"best{i:04d}": w for i, w in enumerate(self.best_weights or [])}
        stopper = {name: getattr(self, name) for name in self._STATE}
        meta = {"run": self.run, "metrics": self.metrics, "stopper": stopper}
        return arrays, {"epoch": epoch, **meta}

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Starts early stopping where the checkpoint left it, and the clock."""
        super().on_train_begin(logs)
        self._started = time.monotonic()
        self._put_back()  # Keras has just reset it

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Shuffles."""
        self.batches.start(epoch)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Checks the loss, decides whether to stop, and saves."""
        values = {name: float(value) for name, value in (logs or {}).items()}
        if self.monitor not in values:
            raise ValueError(f"monitor is {self.monitor!r}; this run measures {sorted(values)}.")
        self._check_finite(values, epoch)
        super().on_epoch_end(epoch, values)
        for name, value in values.items():
            self.metrics.setdefault(name, []).append(value)
        if self.folder:
            self.folder.save(epoch + 1, *self.state(epoch + 1))
        if time.monotonic() - self._started >= self.seconds:
            self.model.stop_training = True

    def _check_finite(self, values: dict[str, float], epoch: int) -> None:
        """Refuses to go on with a loss, or what early stopping watches, that is no number."""
        for name, value in values.items():
            if name == self.monitor or name.endswith("loss"):
                if math.isfinite(value):
                    continue
                raise FloatingPointError(
                    f"The {name} is {value} in epoch {epoch + 1}: the weights have grown beyond "
                    "all bounds, or some examples are far from all others. Scale the inputs to "
                    "about 1, or compile with a smaller learning_rate or with clipnorm=1.0, and "
                    "start a new run."
                )

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
    dtype = np.asarray(variable).dtype
    # NumPy stores types that it does not know, such as bfloat16, as raw bytes. And the state of a
    # random generator has other integers in TensorFlow than in JAX.
    return array.view(dtype) if array.dtype.kind == "V" else array.astype(dtype)
