"""Files of arrays that a kill or a full disk cannot damage, and a folder of them."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.files import write_atomically

__all__ = ["CheckpointError", "CheckpointFolder", "fingerprint", "pack", "unpack"]


Arrays = dict[str, np.ndarray]

_BUSY = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)  # Windows gives the first or the last

_locked: set[Path] = set()  # the folders that this process holds


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be written, read or continued; the message says what to do."""


def pack(arrays: Arrays, meta: dict[str, Any]) -> bytes:
    """Packs arrays and JSON values into the bytes of an `.npz` file without pickles.

    Args:
        arrays: Dictionary of arrays.
        meta: Dictionary of anything that JSON can hold.

    Returns:
        Bytes that `unpack` and `numpy.load` read.

    Example:

    >>> arrays, meta = unpack(pack({"w": np.ones(2)}, {"epoch": 3}))
    >>> arrays["w"], meta
    (array([1., 1.]), {'epoch': 3})
    """
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8)
    np.savez(buffer, allow_pickle=False, meta=text, **arrays)
    return buffer.getvalue()


def unpack(content: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Reads what `pack` wrote; the zip format's checksums find damage.

    Args:
        content: Bytes of an `.npz` file.

    Returns:
        The arrays and the JSON values.

    Raises:
        ValueError: If the bytes are damaged, are another format or hold a pickle.

    Example:

    >>> unpack(b"no zip")
    Traceback (most recent call last):
    ValueError: it is not an .npz file
    """
    if not content.startswith(b"PK\x03\x04"):  # NumPy would take it for a pickle, and say so
        raise ValueError("it is not an .npz file")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        if "meta" not in arrays or not all(isinstance(a, np.ndarray) for a in arrays.values()):
            raise ValueError("it holds something else than pack writes")
        meta = dict(json.loads(arrays.pop("meta").tobytes()))
        return arrays, meta
    # Damage shows in a dozen ways (no zip, wrong checksum, wrong header, huge shape …).
    except Exception as error:
        reason = "it is not a whole .npz file" if isinstance(error, zipfile.BadZipFile) else error
        raise ValueError(f"{reason}") from error


class CheckpointFolder:
    """The newest checkpoints of one training run, one file an epoch.

    Args:
        folder: Path; created when the first checkpoint is saved.
        keep: Integer, at least 1. Number of newest files that stay. Defaults to 2, so that a
            damaged file is not the only one.
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        if keep < 1:
            raise ValueError(f"keep is {keep}; at least 1 checkpoint must stay.")
        self.folder = Path(folder)
        self.keep = keep

    def __str__(self) -> str:
        return str(self.folder)

    def paths(self) -> list[Path]:
        """Returns the paths of the checkpoints, oldest first."""
        if not self.folder.is_dir():
            return []
        found = {
            path: re.fullmatch(r"epoch-(\d+)\.npz", path.name) for path in self.folder.iterdir()
        }
        epochs = {int(match[1]): path for path, match in found.items() if match}
        return [epochs[epoch] for epoch in sorted(epochs)]

    def forget(self, *others: Path) -> None:
        """Deletes the checkpoints, and the other files that a training left."""
        for path in (*self.paths(), *others):
            path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other processes from training in the folder, which is created if needed.

        The operating system holds the lock, so it ends with its process, however that ends.

        Raises:
            CheckpointError: If another process holds it, or the folder cannot be written.
        """
        place = self.folder.resolve()
        if place in _locked:
            yield
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise CheckpointError(
                f"Cannot write in {self.folder}: {error.strerror}. Free some space, permit writing "
                "there, or use another folder."
            ) from error
        try:
            _acquire(descriptor, self.folder)
            _locked.add(place)
            yield
        finally:
            _locked.discard(place)
            os.close(descriptor)

    def save(self, epoch: int, arrays: Arrays, meta: dict[str, Any]) -> None:
        """Saves one epoch and removes all but the `keep` newest files.

        Raises:
            CheckpointError: If it cannot be written; the older checkpoints are untouched.
        """
        path = self.folder / f"epoch-{epoch:04d}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, pack(arrays, meta))
            for old in self.paths()[: -self.keep]:
                old.unlink()
        except OSError as error:
            raise CheckpointError(
                f"Cannot write the checkpoint {path}: {error.strerror or error}. "
                f"{self._last_good()} Free some space or permit writing there, then train again to "
                "continue."
            ) from error

    def load(self) -> tuple[Arrays, dict[str, Any]] | None:
        """Returns the newest checkpoint's arrays and values, or None if there is none.

        Also removes the half-written file of a killed run: call it under `lock`.

        Raises:
            CheckpointError: If the newest file is damaged; nothing is deleted.
        """
        for rest in self.folder.glob(".epoch-*.npz.tmp"):
            rest.unlink(missing_ok=True)
        if not self.paths():
            return None
        path = self.paths()[-1]
        try:
            return unpack(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"The checkpoint {path} is damaged: {error}. {self._last_good(before=path)} "
                "Delete the damaged file, then train again to continue from there."
            ) from error

    def _last_good(self, before: Path | None = None) -> str:
        for path in reversed(self.paths()):
            if path == before:
                continue
            try:
                unpack(path.read_bytes())
            except (OSError, ValueError):
                continue
            return f"The last good checkpoint is {path}."
        return "There is no good checkpoint, so training would start anew."


def _acquire(descriptor: int, folder: Path) -> None:
    """Locks an open file and writes this process's number into it, or says who holds it."""
    try:
        if sys.platform == "win32":
            import msvcrt

            os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # the number itself stays readable
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _BUSY:
            return  # a file system without locks
        holder = (folder / ".lock").read_text(encoding="utf-8").strip()
        raise CheckpointError(
            f"another training (process {holder or 'unknown'}) is using {folder}: wait until it "
            "ends, stop it, or use another folder."
        ) from None
    with contextlib.suppress(OSError):  # a full disk: saving will say so
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.truncate(descriptor, 0)
        os.write(descriptor, str(os.getpid()).encode())


def fingerprint(model: Any, **arrays: Sequence[np.ndarray]) -> dict[str, str]:
    """Returns a short hash of each thing that must not change when a run continues.

    Args:
        model: Compiled `keras.Model` whose optimizer is built.
        **arrays: Groups of arrays under the names that the result has for them.

    Returns:
        Dictionary from `"model"`, `"optimizer"`, `"loss"`, `"metrics"` and the groups' names to
        hashes. The names that Keras numbers do not count, values of weights neither.

    Example:

    >>> from companion._common.backend import keras
    >>> def build(units):
    ...     model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(units)])
    ...     model.compile("adam", "mse")
    ...     return fingerprint(model, data=[np.zeros(3)])
    >>> first, again, other = build(1), build(1), build(2)
    >>> first == again, [name for name in first if first[name] != other[name]]
    (True, ['model'])
    """
    compiled = model.get_compile_config()
    parts = {
        "model": _canonical([_config(model), [[v.shape, v.dtype] for v in model.variables]]),
        "optimizer": _canonical([type(model.optimizer).__name__, model.optimizer.get_config()]),
        "loss": _canonical([compiled.get("loss"), compiled.get("loss_weights")]),
        "metrics": _canonical([compiled.get("metrics"), compiled.get("weighted_metrics")]),
    }
    for name, group in arrays.items():
        parts[name] = b"".join(f"{a.dtype}{a.shape}".encode() + a.tobytes() for a in group)
    return {name: hashlib.sha256(content).hexdigest()[:16] for name, content in parts.items()}


def _config(model: Any) -> Any:
    try:
        return model.get_config()
    except NotImplementedError:  # a subclassed model: its variables' shapes must do
        return None


def _canonical(config: Any) -> bytes:
    text = json.dumps(config, sort_keys=True, default=lambda value: type(value).__name__)
    # Keras numbers the layers of one process (dense, dense_1 …): the same model, built again.
    return re.sub(r'_\d+"', '"', text).encode()
