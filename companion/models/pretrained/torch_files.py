"""Reads the weights in a file that PyTorch saved, without PyTorch and without running the file.

Such a file holds pickles, and a pickle may name any function of any package to be called. Here a
pickle may name four things, each of which only describes a table of numbers; all else is refused.
"""

from __future__ import annotations

import io
import pickle
import struct
from collections import OrderedDict
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_torch_weights"]

_KINDS: dict[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}

_MAGIC = 0x1950A86A20F9469CFC6C  # the number with which files of PyTorch before 1.6 begin


@dataclass(frozen=True)
class _Table:
    """Where a table lies: in which storage, from which number on, and how it is walked through."""

    storage: tuple[str, str, int]  # kind, key, numbers
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Describer(pickle.Unpickler):
    """Turns a pickle into descriptions of tables; it imports nothing."""

    def persistent_load(self, pid: Any) -> tuple[str, str, int]:
        _, kind, key, _, numbers, *_ = pid
        return kind, key, numbers

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return lambda storage, offset, shape, strides, *_: _Table(
                storage, offset, tuple(shape), tuple(strides)
            )
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return lambda table, *_: table
        if module == "torch" and name in _KINDS:
            return name
        raise ValueError(f"it asks for {module}.{name}, and a file of weights needs no such thing")


def read_torch_weights(content: bytes) -> dict[str, NDArray[Any]]:
    """Read the tables in a file as PyTorch wrote it before version 1.6.

    Args:
        content: bytes of the file.

    Returns:
        A dict from the table's name to a new array, float32 or int64, as it is in PyTorch: a kernel
        of a convolution has the shape (filters, channels, height, width).

    Raises:
        ValueError: It is no such file, is damaged, or asks for anything but tables of numbers.

    Example:

    >>> import pickle
    >>> read_torch_weights(pickle.dumps(print))
    Traceback (most recent call last):
    ValueError: This is no file of weights: it asks for builtins.print, and a file of weights ...
    """
    file = io.BytesIO(content)
    try:
        if _Describer(file).load() != _MAGIC:
            raise ValueError("it does not begin as PyTorch's files do")
        _Describer(file).load(), _Describer(file).load()  # version, and facts about the machine
        tables: dict[str, _Table] = _Describer(file).load()
        storages = _read_storages(file, content, _Describer(file).load(), tables)
        return {name: _cut(table, storages) for name, table in tables.items()}
    except Exception as error:  # a damaged pickle can raise nearly anything
        raise ValueError(f"This is no file of weights: {error}.") from error


def _read_storages(
    file: io.BytesIO, content: bytes, keys: list[str], tables: dict[str, _Table]
) -> dict[str, NDArray[Any]]:
    declared = {table.storage[1]: table.storage for table in tables.values()}
    storages = {}
    for key in keys:
        kind, _, numbers = declared[key]
        (found,) = struct.unpack("<q", file.read(8))
        start, dtype = file.tell(), _KINDS[kind]
        if found != numbers or not 0 <= found * dtype.itemsize <= len(content) - start:
            raise ValueError(f"its storage {key!r} is cut off")
        storages[key] = np.frombuffer(content, dtype, found, start)
        file.seek(found * dtype.itemsize, io.SEEK_CUR)
    return storages


def _cut(table: _Table, storages: dict[str, NDArray[Any]]) -> NDArray[Any]:
    flat = storages[table.storage[1]]
    last = table.offset + sum((n - 1) * s for n, s in zip(table.shape, table.strides, strict=True))
    if prod(table.shape) < 1 or min(table.offset, *table.strides, 0) < 0 or last >= len(flat):
        raise ValueError("a table reaches beyond its storage")
    strides = [stride * flat.itemsize for stride in table.strides]
    return np.lib.stride_tricks.as_strided(flat[table.offset :], table.shape, strides).copy()
