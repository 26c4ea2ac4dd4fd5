"""Reads GGUF, the one-file format in which llama.cpp keeps a model: settings and weights.

Nothing of the file is believed before it is checked against the file's own length, so that a
damaged or malicious one is refused with a reason, and before any memory is taken.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["GGUFError", "GGUFFile", "GGUFTensor", "read_gguf"]

_VERSIONS = (2, 3)

_SCALARS = dict(enumerate("BbHhIif?")) | {10: "Q", 11: "q", 12: "d"}  # as `struct` calls them

_STRING, _ARRAY = 8, 9

_BLOCK = 32  # weights that share one scale

# Kind of tensor: its name, weights in a block, bytes of a block.
_KINDS = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    3: ("Q4_1", _BLOCK, 2 + 2 + _BLOCK // 2),
    8: ("Q8_0", _BLOCK, 2 + _BLOCK),
}

_MAX_DIMENSIONS, _MAX_NAME, _MAX_STRING, _MAX_ITEMS = 4, 1024, 1 << 20, 1 << 21


class GGUFError(ValueError):
    """A file that is no GGUF file, is damaged, or holds what the course cannot read."""


@dataclass(frozen=True)
class GGUFTensor:
    """One table of weights as it stands in the file.

    Args:
        name: str. For example `"blk.0.attn_q.weight"`.
        shape: tuple of int, rows first.
        kind: str. `"F32"`, `"F16"`, `"Q8_0"` or `"Q4_1"`.
        blocks: uint8 array `(number of blocks, bytes of a block)`, a view of the file. In a block
            of Q8_0 stand a 16-bit scale and 32 whole numbers, in one of Q4_1 a scale, a minimum
            and 32 halves of a byte, those of the first 16 weights lowest.
    """

    name: str
    shape: tuple[int, ...]
    kind: str
    blocks: NDArray[np.uint8]

    def dequantize(self) -> NDArray[np.float32]:
        """Returns the weights as numbers.

        Returns:
            float32 array of shape `shape`.

        Raises:
            GGUFError: A weight is not finite.
        """
        numbers = {"F32": _from_f32, "F16": _from_f16, "Q8_0": _from_q8_0, "Q4_1": _from_q4_1}
        with np.errstate(all="ignore"):
            found: NDArray[np.float32] = numbers[self.kind](self.blocks).reshape(self.shape)
        if not np.isfinite(found).all():
            raise GGUFError(f"The tensor {self.name!r} holds numbers that are not finite.")
        return found


@dataclass(frozen=True)
class GGUFFile:
    """What a GGUF file holds.

    Args:
        metadata: dict of str to a number, bool, str or list of them. The model's settings, its
            vocabulary among them.
        tensors: dict of str to `GGUFTensor`.
    """

    metadata: dict[str, Any]
    tensors: dict[str, GGUFTensor]


def read_gguf(path: str | Path) -> GGUFFile:
    """Reads the settings of a GGUF file and finds its tensors, which stay on the disk.

    Args:
        path: str or path of the file.

    Returns:
        `GGUFFile`. Its tensors are views of the file and are read when they are used.

    Raises:
        FileNotFoundError: There is no such file.
        GGUFError: It is no GGUF file, of another version, cut short or too long, or says something
            impossible, such as two tensors in one place.

    Example:

    >>> from pathlib import Path
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.gguf").write_bytes(b"GIF89a")
    ...     read_gguf(Path(folder, "a.gguf"))
    Traceback (most recent call last):
    companion.models.pretrained.gguf.GGUFError: a.gguf: it does not begin with GGUF...

    Reference:
        The GGUF specification of the ggml project.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    # An empty file cannot be mapped.
    content = np.memmap(path, "uint8", "r") if path.stat().st_size else np.empty(0, "uint8")
    try:
        return _read(_Reader(content))
    except GGUFError as error:
        raise GGUFError(f"{path.name}: {error}") from None


def _read(reader: _Reader) -> GGUFFile:
    if reader.take(4, "the first four bytes") != b"GGUF":
        raise GGUFError("it does not begin with GGUF, so it is no file of this format.")
    version = reader.number("I", "the version")
    if version not in _VERSIONS:
        raise GGUFError(f"version {version} of the format; readable are {_VERSIONS}.")
    tensors = reader.count("tensors", 4 + 8 + 8 + 4 + 8)
    settings = reader.count("settings", 8 + 4 + 1)
    metadata: dict[str, Any] = {}
    for _ in range(settings):
        name = reader.string("the name of a setting", _MAX_NAME)
        if name in metadata:
            raise GGUFError(f"the setting {name!r} stands there twice.")
        metadata[name] = reader.value(reader.number("I", f"the type of {name!r}"), name)
    described = [reader.description() for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    if alignment not in (8, 16, 32, 64, 128, 256, 4096):
        raise GGUFError(f"general.alignment={alignment!r} must be a power of two from 8.")
    start = -(-reader.place // alignment) * alignment
    return GGUFFile(metadata, _find(described, reader.content, start, alignment))


_Description = tuple[str, tuple[int, ...], int, int]  # name, shape, kind, offset


def _find(
    described: Iterable[_Description], content: NDArray[np.uint8], start: int, alignment: int
) -> dict[str, GGUFTensor]:
    """Returns the tensors by name, after checking that each has a place of its own."""
    tensors: dict[str, GGUFTensor] = {}
    places = [(start, start, "the header")]
    for name, shape, number, offset in described:
        kind, weights, size = _KINDS[number]
        first, length = start + offset, prod(shape) // weights * size
        if name in tensors:
            raise GGUFError(f"the tensor {name!r} stands there twice.")
        if offset % alignment or first + length > len(content):
            raise GGUFError(
                f"the tensor {name!r} should stand at bytes {first} to {first + length}, but the "
                f"file has {len(content)} bytes: it is cut short or damaged."
            )
        blocks = content[first : first + length].reshape(-1, size)
        tensors[name] = GGUFTensor(name, shape, kind, blocks)
        places.append((first, first + length, name))
    places.sort()
    for (_, end, one), (begin, _, other) in pairwise(places):
        if begin < end:
            raise GGUFError(f"the tensors {one!r} and {other!r} overlap.")
    end = max(end for _, end, _ in places)
    if len(content) - end >= alignment:
        raise GGUFError(f"{len(content) - end} bytes follow its last tensor: it is too long.")
    return tensors


class _Reader:
    """Walks through the file's header; whatever it takes is there and no larger than allowed."""

    def __init__(self, content: NDArray[np.uint8]) -> None:
        self.content, self.place = content, 0

    def take(self, size: int, what: str) -> bytes:
        if size > len(self.content) - self.place:
            raise GGUFError(f"it ends before {what}: it is cut short or damaged.")
        self.place += size
        return self.content[self.place - size : self.place].tobytes()

    def number(self, code: str, what: str) -> Any:
        (found,) = struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}"), what))
        return found

    def count(self, what: str, smallest: int) -> int:
        """Reads how many there are, each of at least `smallest` bytes."""
        found: int = self.number("Q", f"the number of {what}")
        if found > _MAX_ITEMS or found * smallest > len(self.content) - self.place:
            raise GGUFError(f"it cannot hold the {found} {what} that it speaks of.")
        return found

    def string(self, what: str, limit: int = _MAX_STRING) -> str:
        length = self.number("Q", what)
        if length > limit:
            raise GGUFError(f"{what} has {length} bytes; at most {limit} are allowed.")
        try:
            return self.take(length, what).decode()
        except UnicodeDecodeError:
            raise GGUFError(f"{what} is no UTF-8 text.") from None

    def value(self, kind: int, name: str) -> Any:
        if kind == _STRING:
            return self.string(f"the setting {name!r}")
        if kind in _SCALARS:
            return self.number(_SCALARS[kind], f"the setting {name!r}")
        if kind != _ARRAY:
            raise GGUFError(f"the setting {name!r} has the type {kind}, which does not exist.")
        kind = self.number("I", f"the type of the items of {name!r}")
        if kind == _STRING:
            return [self.string(name) for _ in range(self.count(f"items of {name!r}", 8))]
        if kind not in _SCALARS:
            raise GGUFError(f"the items of {name!r} have the type {kind}, which cannot be read.")
        size = struct.calcsize(f"<{_SCALARS[kind]}")
        count = self.count(f"items of {name!r}", size)
        return list(struct.unpack(f"<{count}{_SCALARS[kind]}", self.take(count * size, name)))

    def description(self) -> _Description:
        """Reads the description of one tensor."""
        name = self.string("the name of a tensor", _MAX_NAME)
        dimensions = self.number("I", f"the dimensions of {name!r}")
        if not 1 <= dimensions <= _MAX_DIMENSIONS:
            raise GGUFError(f"the tensor {name!r} has {dimensions} dimensions; 1 to 4 are allowed.")
        sizes = [self.number("Q", f"the shape of {name!r}") for _ in range(dimensions)]
        kind, offset = self.number("I", f"the kind of {name!r}"), self.number("Q", name)
        if kind not in _KINDS:
            known = ", ".join(known for known, _, _ in _KINDS.values())
            raise GGUFError(
                f"the tensor {name!r} is of kind {kind}, which the course cannot read; it reads "
                f"{known}. Look for a file whose name ends in one of these."
            )
        if min(sizes) < 1 or prod(sizes) > 8 * len(self.content) or sizes[0] % _KINDS[kind][1]:
            raise GGUFError(f"the tensor {name!r} has the impossible shape {tuple(sizes)}.")
        return name, tuple(reversed(sizes)), kind, offset


def _from_f32(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.array(blocks.reshape(-1).view("<f4"), dtype="float32")


def _from_f16(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    return blocks.reshape(-1).view("<f2").astype("float32")


def _from_q8_0(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scale = blocks[:, :2].copy().view("<f2").astype("float32")
    found: NDArray[np.float32] = scale * blocks[:, 2:].view("int8")
    return found


def _from_q4_1(blocks: NDArray[np.uint8]) -> NDArray[np.float32]:
    scale, minimum = (blocks[:, i : i + 2].copy().view("<f2").astype("float32") for i in (0, 2))
    found = np.empty((len(blocks), _BLOCK), dtype="float32")
    half = _BLOCK // 2
    np.multiply(blocks[:, 4:] & 15, scale, out=found[:, :half])
    np.multiply(blocks[:, 4:] >> 4, scale, out=found[:, half:])
    found += minimum
    return found
