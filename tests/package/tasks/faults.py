"""A disk that fails, or a process that dies, at the operation that a test asks for."""

from __future__ import annotations

import contextlib
import errno
import io
import os
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

_OPERATIONS = ("fsync", "open", "replace", "unlink", "mkdir")


class Faults:
    """Counts what is done to the disk, and lets the operation with one number fail."""

    def __init__(self, at: int, die: bool) -> None:
        self.at, self.die, self.done = at, die, 0

    @property
    def happened(self) -> bool:
        return self.done > self.at

    def fail(self) -> None:
        if self.die:
            os._exit(9)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def counted(self, usual: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            self.done += 1
            if self.done == self.at + 1:
                self.fail()
            return usual(*args, **kwargs)

        return operation

    def opened(self, usual: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: _Torn(usual(*args, **kwargs), self)


class _Torn:
    """A file of which half is written when the fault comes."""

    def __init__(self, file: Any, faults: Faults) -> None:
        self._file, self._faults = file, faults

    def __enter__(self) -> _Torn:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def write(self, content: bytes) -> int:
        self._faults.done += 1
        if self._faults.done == self._faults.at + 1:
            self._file.write(content[: len(content) // 2])
            self._file.flush()
            self._faults.fail()
        return int(self._file.write(content))


@contextlib.contextmanager
def failing_disk(at: int, die: bool = False) -> Iterator[Faults]:
    """Lets operation number `at` raise that the disk is full, or end the process on the spot."""
    faults = Faults(at, die)
    with contextlib.ExitStack() as stack:
        for name in _OPERATIONS:
            patch = mock.patch.object(os, name, faults.counted(getattr(os, name)))
            stack.enter_context(patch)
        # Whatever is opened for writing with open() or Path.open.
        stack.enter_context(mock.patch.object(io, "open", faults.opened(io.open)))
        yield faults
