"""Files of arrays that a kill or a full disk cannot damage, and a folder of them."""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.checking import check_whole
from companion._common.files import hold_lock, remove_leftovers, write_atomically

__all__ = ["CheckpointError", "CheckpointFolder", "pack", "unpack"]


Arrays = dict[str, np.ndarray]


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

    The file cannot ask for more memory than its own size: what it declares is compared with what is
    there first.

    Args:
        content: Bytes of an `.npz` file, not compressed.

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
        _check_sizes(content)
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


def _check_sizes(content: bytes) -> None:
    """Refuses a file whose parts, or their arrays, are declared larger than what it holds."""
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        parts = file.infolist()
        if any(part.compress_type != zipfile.ZIP_STORED for part in parts):
            raise ValueError("it is compressed, which pack never does")
        if sum(part.file_size for part in parts) > len(content):
            raise ValueError("it declares more bytes than it has")
        for part in parts:
            with file.open(part) as stream:
                _check_array(stream, part)


def _check_array(stream: Any, part: zipfile.ZipInfo) -> None:
    try:
        version = np.lib.format.read_magic(stream)
    except ValueError:
        raise ValueError("it holds something else than pack writes") from None
    if version == (1, 0):
        shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
    elif version == (2, 0):
        shape, _, dtype = np.lib.format.read_array_header_2_0(stream)
    else:  # of arrays whose fields have names
        raise ValueError(f"{part.filename} is not an array that pack writes")
    declared = math.prod(shape) * dtype.itemsize
    if not dtype.hasobject and declared != part.file_size - stream.tell():
        raise ValueError(f"{part.filename} declares {declared} bytes of numbers and has others")


class CheckpointFolder:
    """The newest checkpoints of one training run, one file an epoch.

    Args:
        folder: Path; created when the first checkpoint is saved.
        keep: Integer, at least 1. Number of newest files that stay. Defaults to 2, so that a
            damaged file is not the only one.

    Raises:
        ValueError: If `keep` is not a whole number of at least 1.

    Example:

    >>> import numpy as np
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     folder = CheckpointFolder(place)
    ...     with folder.lock():
    ...         for epoch in (1, 2, 3):
    ...             folder.save(epoch, {"w": np.ones(2)}, {"epoch": epoch})
    ...         arrays, meta = folder.load()
    ...     meta, [path.name for path in folder.paths()]
    ({'epoch': 3}, ['epoch-0002.npz', 'epoch-0003.npz'])
    """

    def __init__(self, folder: str | os.PathLike[str], keep: int = 2) -> None:
        self.keep = check_whole(keep, "keep", least=1)
        self.folder = Path(folder)

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

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keeps other trainings out of the folder, which is created if needed.

        The operating system holds the lock, so it ends with its process, however that ends. The
        thread that holds it may take it again.

        Raises:
            CheckpointError: If another thread or process holds it, or the folder cannot be written.
        """
        with contextlib.ExitStack() as held:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                held.enter_context(hold_lock(self.folder / ".lock"))
            except BlockingIOError as error:
                raise CheckpointError(
                    f"another training (process {error}) is using {self.folder}: wait until it "
                    "ends, stop it, or use another folder."
                ) from None
            except OSError as error:
                raise CheckpointError(
                    f"Cannot write in {self.folder}: {error.strerror}. Free some space, permit "
                    "writing there, or use another folder."
                ) from error
            yield

    def save(self, epoch: int, arrays: Arrays, meta: dict[str, Any]) -> None:
        """Saves one epoch and removes all but the `keep` newest files.

        Args:
            epoch: Integer, at least 0. Number of finished epochs.
            arrays: Dictionary of arrays.
            meta: Dictionary of anything that JSON can hold.

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

        Returns:
            The arrays and the values by name, or `None`.

        Raises:
            CheckpointError: If the newest file is damaged; nothing is deleted.
        """
        remove_leftovers(self.folder, "epoch-*.npz")
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
