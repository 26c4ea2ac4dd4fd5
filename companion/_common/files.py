"""Writing a file so that a kill or a full disk leaves the old one or the new one whole."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["write_atomically"]


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that either the old or the new content is there, whatever happens.

    Args:
        path: Path of the file; a file of that name is replaced.
        content: Bytes of the new content.

    Raises:
        OSError: If the disk is full or the folder cannot be written; it names the file, and the old
            one is untouched.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "a.txt"), b"new")
    ...     Path(folder, "a.txt").read_bytes(), len(os.listdir(folder))
    (b'new', 1)
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the rename, or a power cut can leave an empty file
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = str(path)
        raise
    if os.name == "posix":  # elsewhere a folder cannot be opened
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself
        finally:
            os.close(folder)
