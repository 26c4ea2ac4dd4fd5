"""Refuses arrays that a model would train on, but wrongly."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion._common.backend import keras

__all__ = ["check_arrays"]


def check_arrays(
    model: keras.Model, x: Any, y: Any, x_name: str = "x", y_name: str = "y"
) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs and targets as arrays, if the model can learn from them as they are.

    It also refuses what Keras accepts and silently gets wrong: token ids that mixed precision
    rounds on their way in (257 becomes 256), or that the embedding does not have.

    Args:
        model: `keras.Model`, compiled or not.
        x: Array of inputs, shape `(n, …)`. Token ids must be integers.
        y: Array of numeric targets, shape `(n, …)`.
        x_name: String. What messages call `x`. Defaults to `"x"`.
        y_name: String. What messages call `y`. Defaults to `"y"`.

    Returns:
        The two arrays.

    Raises:
        ValueError: If an array is empty, holds no numbers or not only finite ones, if lengths
            differ, or if token ids would not arrive as they are.

    Example:

    >>> model = keras.Sequential([keras.layers.Embedding(10, 2)])
    >>> check_arrays(model, [[1.0, 2.0]], [1])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: x has the dtype float64, and the model takes token ids: they must be integers...
    """
    x, y = np.asarray(x), np.asarray(y)
    for name, array, advice in (
        (x_name, x, "turn texts into token ids with companion.preprocessing.build_vectorizer"),
        (y_name, y, "number the labels, for example 0 and 1"),
    ):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} has the dtype {array.dtype}, not numbers: {advice}.")
        if array.ndim == 0 or len(array) == 0:
            raise ValueError(f"{name} is empty (shape {array.shape}): give at least one example.")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds nan or infinity: fill or drop those examples.")
    if len(x) != len(y):
        raise ValueError(
            f"{x_name} has {len(x)} examples and {y_name} has {len(y)}: give one target for each."
        )
    _check_integers(model, x, x_name)
    return x, y


def _check_integers(model: keras.Model, x: np.ndarray, name: str) -> None:
    first = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][:1]
    if getattr(model, "inputs", None):
        dtype = model.inputs[0].dtype
    elif isinstance(model, keras.Sequential) and first:
        dtype = first[0].compute_dtype  # what Keras will declare
    else:
        return  # a subclassed model receives integers as they are
    embedding = first[0] if first and isinstance(first[0], keras.layers.Embedding) else None
    if x.dtype.kind == "f" and (embedding or "int" in dtype):
        raise ValueError(
            f"{name} has the dtype {x.dtype}, and the model takes token ids: they must be "
            "integers, for example x.astype('int32')."
        )
    if x.dtype.kind in "iu" and embedding and not 0 <= x.min() <= x.max() < embedding.input_dim:
        raise ValueError(
            f"{name} holds ids from {x.min()} to {x.max()}, and the embedding has the ids 0 to "
            f"{embedding.input_dim - 1}: use the same vocabulary_size for texts and model."
        )
    low = {layer.compute_dtype for layer in model.layers} & {"bfloat16", "float16"}
    # 8 bits pass: bfloat16 still tells all whole numbers up to 256 apart.
    if x.dtype.kind in "iu" and x.dtype.itemsize > 1 and low and "int" not in dtype:
        raise ValueError(
            f"{name} holds integers, and the model computes in {low.pop()}, which would round "
            "token ids (257 becomes 256). Put keras.Input(shape, dtype='int32') first."
        )
