"""Model files that come from strangers."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

__all__ = ["load_model"]


_MODEL_FILES = {"config.json", "metadata.json", "model.weights.h5"}


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    r"""Loads a `.keras` file from a stranger, or says why it must not be loaded.

    A `.keras` file can carry Python code (a Lambda layer) and names of other code to import. Both
    are looked for before Keras reads the file, which then does so in its safe mode.

    Args:
        path: Path of the file.

    Returns:
        `keras.Model`, uncompiled.

    Raises:
        ValueError: If the file is missing, damaged, another format, or could run code.

    Example:

    >>> folder = Path(tempfile.mkdtemp())
    >>> size = Path(folder, "model.pkl").write_bytes(b"\x80\x04.")
    >>> load_model(folder / "model.pkl")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...model.pkl is not loaded: it is a pickle, which runs code when it is read. Ask ...
    """
    try:
        content = Path(path).read_bytes()
        for problem in _code_in(_checked_config(content)):
            raise ValueError(problem)
    except (OSError, ValueError, KeyError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else reason
        raise ValueError(f"{path} is not loaded: {reason}. {_ASK}") from error
    from companion._common.backend import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file made to mislead can fail anywhere
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ValueError(f"{path} is not loaded: Keras says: {reason} {_ASK}") from error


_ASK = "Ask for the weights as .npz or safetensors, and for the code that builds the model."

_KINDS = {
    b"\x80": "it is a pickle, which runs code when it is read",
    b"\x89HDF": "it is an HDF5 file, whose layers cannot be checked before it is read",
}


def _checked_config(content: bytes) -> Any:
    for start, problem in _KINDS.items():
        if content.startswith(start):
            raise ValueError(problem)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            names = set(file.namelist())
            if not names >= _MODEL_FILES or file.testzip():
                raise ValueError("it is a zip file without a whole Keras model in it")
            return json.loads(file.read("config.json"))
    except zipfile.BadZipFile:
        whole = not content.startswith(b"PK")
        raise ValueError("it is no .keras file" if whole else "it is cut off") from None


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
