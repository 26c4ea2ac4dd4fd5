"""Files that a kill, a full disk, or a second writer cannot damage."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import filelock

__all__ = ["hold_lock", "remove_leftovers", "write_atomically"]

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)

_HOLDER_AT = int(os.name == "nt")  # Windows locks the first byte against reading, too


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file so that either the old or the new content is there, whatever happens.

    Several threads or processes may write the same file at once: one of their contents stays,
    whole.

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
    # A name of its own, like tempfile's, but with the permissions that the user's umask grants.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())  # before the rename, or a power cut can leave an empty file
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _settle(path.parent)


def _settle(folder: Path) -> None:
    """Asks the system to keep a rename through a power cut, where a folder can be asked."""
    if os.name == "posix":
        # The file is there already: a network drive that refuses this has lost nothing.
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Deletes the half-written files that killed runs of `write_atomically` left.

    Call it only while nobody else writes there, for example under `hold_lock`.

    Args:
        folder: Path of the folder, which need not exist.
        name: String. Pattern of the names of the files that were being written. Defaults to `"*"`.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, ".a.txt.0123456789abcdef.tmp").touch()
    ...     remove_leftovers(Path(folder), "a.*")
    ...     os.listdir(folder)
    []
    """
    for rest in folder.glob(f".{name}.{'[0-9a-f]' * 16}.tmp"):
        rest.unlink(missing_ok=True)


@contextlib.contextmanager
def hold_lock(path: Path) -> Iterator[None]:
    """Keeps other threads and processes out of what a lock file stands for.

    The operating system holds the lock, so it ends with its process, however that ends. The thread
    that holds it may take it again; a forked child has to ask like anybody else. Where the file
    system knows no locks, everybody gets in.

    Args:
        path: Path of the lock file, made if needed. It holds the number of
            the process that took the lock last, and stays.

    Raises:
        BlockingIOError: If another thread or process holds the lock; its text is that process's
            number, or `"unknown"`.
        OSError: If the file cannot be written.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, hold_lock(Path(folder, ".lock")):
    ...     int(Path(folder, ".lock").read_text()) == os.getpid()
    True
    """
    path = path.resolve()  # one folder by two names is one lock
    lock = filelock.FileLock(path, timeout=0, mode=0o644, is_singleton=True)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise BlockingIOError(_holder(path)) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    try:
        _state_holder(path, lock)
        yield
    finally:
        lock.release()


def _state_holder(path: Path, lock: filelock.BaseFileLock) -> None:
    if lock.is_locked and not isinstance(lock, filelock.SoftFileLock):
        # Blanks cover a longer number before it. A full disk says so when something is saved.
        with contextlib.suppress(OSError), path.open("r+b", buffering=0) as file:
            file.seek(_HOLDER_AT)
            file.write(f"{os.getpid():<10}".encode())


def _holder(path: Path) -> str:
    with contextlib.suppress(OSError), path.open("rb", buffering=0) as file:
        file.seek(_HOLDER_AT)
        return file.read(10).decode(errors="replace").strip() or "unknown"
    return "unknown"
