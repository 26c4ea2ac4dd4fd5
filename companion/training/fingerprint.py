"""What must not change when a run continues, as short hashes."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from companion._common.backend import keras

__all__ = ["fingerprint"]

_PIECE_BYTES = 1 << 24  # copied at once where an array does not lie in one piece


def fingerprint(model: Any, **data: Any) -> dict[str, str]:
    """Returns a short hash of each thing that must not change when a run continues.

    Args:
        model: Compiled `keras.Model` whose optimizer is built.
        **data: Tuples of arrays, or of dictionaries, tuples and lists of arrays, under the names
            that the result has for them. They are not copied.

    Returns:
        Dictionary from `"model"`, `"optimizer"`, `"loss"`, `"metrics"` and the groups' names to
        hashes. The names that Keras numbers do not count, values of weights neither.

    Example:

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
    hashes = {name: hashlib.sha256(content) for name, content in parts.items()}
    for name, group in data.items():
        hashes[name] = hashlib.sha256()
        for path, array in keras.tree.flatten_with_path(group):
            inside = path[1:] or ""  # says which input of several it is
            hashes[name].update(f"{inside}{array.dtype}{array.shape}".encode())
            for piece in _pieces(array):
                hashes[name].update(piece)
    return {name: content.hexdigest()[:16] for name, content in hashes.items()}


def _pieces(array: np.ndarray) -> Iterator[memoryview]:
    """Yields an array's bytes in order, without a copy of the whole."""
    rows = len(array)
    if not array.flags.c_contiguous:
        rows = max(_PIECE_BYTES * len(array) // max(array.nbytes, 1), 1)
    for start in range(0, len(array), max(rows, 1)):
        piece = np.ascontiguousarray(array[start : start + rows])
        yield piece.reshape(-1).view(np.uint8).data


def _config(model: Any) -> Any:
    try:
        return model.get_config()
    except NotImplementedError:  # a subclassed model: its variables' shapes must do
        return None


def _canonical(config: Any) -> bytes:
    text = json.dumps(config, sort_keys=True, default=lambda value: type(value).__name__)
    # Keras numbers the layers of one process (dense, dense_1 …): the same model, built again.
    return re.sub(r'_\d+"', '"', text).encode()
