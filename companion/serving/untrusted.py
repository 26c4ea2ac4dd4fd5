"""Model files that come from strangers."""

from __future__ import annotations

import io
import json
import math
import os
import re
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion._common.extras import import_extra

if TYPE_CHECKING:
    import keras

__all__ = ["load_model"]

_CONFIG, _WEIGHTS = "config.json", "model.weights.h5"

_MODEL_FILES = {_CONFIG, "metadata.json", _WEIGHTS}

# What may be taken into memory of a stranger's file: bytes of the file, bytes of its configuration,
# and how many times its own size its parts may have when they are unpacked.
_MOST_FILE, _MOST_CONFIG, _MOST_UNPACKED = 2**31, 2**24, 4

_SPARE = 2**20  # bytes and numbers that a small file may take besides

_ASK = "Ask for the weights as .npz or safetensors, and for the code that builds the model."

_KINDS = {
    b"\x80": "it is a pickle, which runs code when it is read",
    b"\x89HDF": "it is an HDF5 file, whose layers cannot be checked before it is read",
}


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    r"""Loads a `.keras` file from a stranger, or says why it must not be loaded.

    A `.keras` file can carry Python code (a Lambda layer), names of other code to import, and sizes
    that fill the memory. All are looked for before Keras reads the file, in a copy of its own, and
    in its safe mode.

    Args:
        path: Path of the file.

    Returns:
        `keras.Model`, uncompiled.

    Raises:
        ValueError: If the file is missing, damaged, another format, or could run code or take far
            more memory than its own size.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> folder = Path(tempfile.mkdtemp())
    >>> size = Path(folder, "model.pkl").write_bytes(b"\x80\x04.")
    >>> load_model(folder / "model.pkl")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...model.pkl is not loaded: it is a pickle, which runs code when it is read. Ask ...
    """
    try:
        content = _read(Path(path))
        config, weights = _parts(content)
        for problem in _code_in(config):
            raise ValueError(problem)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else reason
        raise ValueError(f"{path} is not loaded: {reason}. {_ASK}") from error
    from companion._common.backend import keras

    try:
        _check_sizes(config, weights)
        with tempfile.TemporaryDirectory() as place:
            # What was checked, whatever stands at the path by now.
            copy = Path(place, "model.keras")
            copy.write_bytes(content)
            return keras.saving.load_model(copy, compile=False, safe_mode=True)
    except _TooLargeError as error:
        raise ValueError(f"{path} is not loaded: {error}. {_ASK}") from error
    except Exception as error:  # a file made to mislead can fail anywhere
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not loaded: Keras says: {reason} {_ASK}") from error


class _TooLargeError(ValueError):
    """Sizes that would take far more memory than the file has bytes."""


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        content = file.read(_MOST_FILE + 1)
    if len(content) > _MOST_FILE:
        raise ValueError(f"it has more than {_MOST_FILE:,} bytes")
    return content


def _parts(content: bytes) -> tuple[Any, bytes]:
    """Returns the configuration and the bytes of the weights, once their sizes are known."""
    for start, problem in _KINDS.items():
        if content.startswith(start):
            raise ValueError(problem)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            names = file.namelist()
            if not {*names} >= _MODEL_FILES or len({*names}) < len(names):
                raise ValueError("it is a zip file without a whole Keras model in it")
            unpacked = sum(part.file_size for part in file.infolist())
            if unpacked > _MOST_UNPACKED * len(content) + _SPARE:
                many = f"{unpacked:,} bytes, and the file has {len(content):,}"
                raise ValueError(f"its parts would take {many}")
            if (size := file.getinfo(_CONFIG).file_size) > _MOST_CONFIG:
                raise ValueError(f"its {_CONFIG} has {size:,} bytes, more than {_MOST_CONFIG:,}")
            if damaged := file.testzip():
                raise ValueError(f"its part {damaged} is damaged")
            return json.loads(file.read(_CONFIG)), file.read(_WEIGHTS)
    except (zipfile.BadZipFile, NotImplementedError) as error:  # a compression that nobody knows
        whole = not content.startswith(b"PK")
        raise ValueError("it is no .keras file" if whole else "it is cut off") from error


def _code_in(node: Any) -> Iterator[str]:
    """Yields what in a model's configuration would run or import code that is not Keras's."""
    if isinstance(node, dict):
        kind, module = node.get("class_name"), node.get("module")
        if kind in ("Lambda", "__lambda__"):
            yield "it has a Lambda layer, which holds Python code of its author"
        elif isinstance(module, str) and not re.fullmatch(r"keras(\.[\w.]+)?|builtins", module):
            yield f"it asks for {kind!r} from the module {module!r}, which is not Keras's"
    for part in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _code_in(part)


def _check_sizes(config: Any, weights: bytes) -> None:
    """Refuses weights, stored or asked for by the settings, that are more than their bytes."""
    h5py = import_extra("h5py", "train")

    stored: list[int] = []

    def note(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset):
            if part.external or part.is_virtual:
                raise _TooLargeError(f"its weights {name} lie in another file")
            stored.append(part.nbytes)

    with h5py.File(io.BytesIO(weights), "r") as file:
        file.visititems(note)
    most = _MOST_UNPACKED * len(weights) + _SPARE
    # Keras keeps what it is about to allocate in the thread's own state: the thread ends with it.
    with ThreadPoolExecutor(1) as thread:
        needed = thread.submit(_count_weights, config).result()
    for number, what in ((sum(stored), "weights unpack to"), (needed, "settings ask for")):
        if number > most:
            raise _TooLargeError(
                f"its {what} {number:,} bytes, and its weights have {len(weights):,}"
            )


def _count_weights(config: Any) -> int:
    """Returns how many bytes a model's weights take, without taking them."""
    from companion._common.backend import keras

    with keras.StatelessScope(initialize_variables=False):
        model = keras.saving.deserialize_keras_object(config, safe_mode=True)
    return sum(math.prod(weight.shape) for weight in model.weights)
