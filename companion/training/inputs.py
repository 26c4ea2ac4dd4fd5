"""Refuses arrays that a model would train on, but wrongly."""

from __future__ import annotations

import contextlib
import math
from typing import Any, NamedTuple

import numpy as np

from companion._common.backend import keras

__all__ = ["Examples", "check_examples"]

_ADVICE = {
    "x": "turn texts into token ids with companion.preprocessing.build_vectorizer",
    "y": "number the labels, for example 0, 1 and 2",
    "sample_weight": "give one weight for each example",
}


class Examples(NamedTuple):
    """What a model learns from or is measured on.

    Args:
        x: Array, or dictionary or tuple of arrays: the inputs.
        y: Array, or dictionary or tuple of arrays: the targets.
        sample_weight: The same of weights, or `None`. Defaults to `None`.
    """

    x: Any
    y: Any
    sample_weight: Any = None

    def parts(self) -> tuple[Any, ...]:
        """Returns `(x, y)` or `(x, y, sample_weight)`, as Keras takes them."""
        return tuple(self) if self.sample_weight is not None else (self.x, self.y)

    @property
    def number(self) -> int:
        """Number of examples."""
        return len(keras.tree.flatten(self.x)[0])


def check_examples(
    model: keras.Model, x: Any, y: Any, sample_weight: Any = None, *, prefix: str = ""
) -> Examples:
    """Returns examples as arrays, if the model can learn from them as they are.

    It also refuses what Keras accepts and silently gets wrong: token ids that mixed precision
    rounds on their way in (257 becomes 256), or that the embedding does not have.

    Args:
        model: `keras.Model`, compiled or not.
        x: Array of inputs, shape `(n, …)`, or a dictionary, tuple or list of such arrays for a
            model with several inputs. Token ids must be integers.
        y: Array of numeric targets, shape `(n, …)`, or a dictionary, tuple or list of them.
        sample_weight: Array of at least 0, shape `(n,)` or with a weight for each position of a
            sequence, or a dictionary, tuple or list of them; or `None`. Defaults to `None`.
        prefix: String. What messages put before `x`, `y` and `sample_weight`. Defaults to `""`.

    Returns:
        The `Examples`; nothing is copied that is an array already. Lists become tuples.

    Raises:
        ValueError: If an array is empty, holds no numbers or not only finite ones, if lengths
            differ, if weights are negative or all zero, if there are more or fewer inputs than the
            model takes, or if token ids would not arrive as they are.

    Example:

    >>> model = keras.Sequential([keras.layers.Embedding(10, 2)])
    >>> check_examples(model, [[1.0, 2.0]], [1])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: x has the dtype float64, and the model takes token ids: they must be integers...
    """
    given = {"x": x, "y": y} | ({} if sample_weight is None else {"sample_weight": sample_weight})
    checked, lengths = {}, {}
    for name, structure in given.items():
        checked[name] = _as_arrays(structure, prefix + name)
        for path, array in _named(checked[name], prefix + name):
            _check_numbers(path, array, _ADVICE[name])
            lengths[path] = len(array)
    first, number = next(iter(lengths.items()))
    for path, length in lengths.items():
        if length != number:
            raise ValueError(
                f"{first} has {number} examples and {path} has {length}: give a row of each for "
                "every example. Rows of one input or output belong in one array."
            )
    if sample_weight is not None:
        _check_weights(checked["sample_weight"], prefix + "sample_weight")
    outputs, given_y = getattr(model, "outputs", None), keras.tree.flatten(checked["y"])
    if outputs and len(outputs) != len(given_y):
        raise ValueError(
            f"{prefix}y and the outputs of the model differ in number, {len(given_y)} and "
            f"{len(outputs)}: give one array for each output."
        )
    for path, array, tensor in _matched(model, checked["x"], prefix + "x"):
        _check_integers(model, array, tensor, path)
    return Examples(**checked)


def _as_arrays(structure: Any, name: str) -> Any:
    """Returns the structure with arrays as its leaves; nested lists of numbers are one array."""
    if isinstance(structure, dict):
        inner: Any = {k: _as_arrays(part, f"{name}[{k!r}]") for k, part in structure.items()}
    elif isinstance(structure, (list, tuple)) and any(map(_is_part, structure)):
        inner = tuple(_as_arrays(part, f"{name}[{i}]") for i, part in enumerate(structure))
    else:
        return _as_array(structure, name)
    if not inner:
        raise ValueError(f"{name} is an empty dict: give at least one array.")
    return inner


def _is_part(part: Any) -> bool:
    return (
        isinstance(part, dict) or part is None or (hasattr(part, "__array__") and np.ndim(part) > 0)
    )


def _as_array(values: Any, name: str) -> np.ndarray:
    if not (hasattr(values, "__array__") or isinstance(values, (list, tuple))):
        raise ValueError(
            f"{name} is of type {type(values).__name__}: give an array with one row for each "
            "example, or a dict, tuple or list of such arrays."
        )
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(
            f"{name} is a list of rows of different lengths: pad or cut them to one length."
        ) from None


def _named(structure: Any, name: str) -> list[tuple[str, np.ndarray]]:
    """Returns each array with what a reader would write for it, such as `x['title']`."""
    return [
        (name + "".join(f"[{step!r}]" for step in path), array)
        for path, array in keras.tree.flatten_with_path(structure)
    ]


def _check_numbers(name: str, array: np.ndarray, advice: str) -> None:
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} has the dtype {array.dtype}, not numbers: {advice}.")
    if array.ndim == 0 or array.size == 0:
        raise ValueError(f"{name} is empty (shape {array.shape}): give at least one example.")
    # The extremes show nan and infinity without a second array as large as the first.
    if array.dtype.kind == "f" and not all(map(math.isfinite, (array.min(), array.max()))):
        raise ValueError(f"{name} holds nan or infinity: fill or drop those examples.")


def _check_weights(structure: Any, name: str) -> None:
    for path, weights in _named(structure, name):
        if weights.min() < 0 or weights.max() <= 0:
            raise ValueError(
                f"{path} has weights from {weights.min()} to {weights.max()}: they must be at "
                "least 0, and some of them above."
            )


def _matched(model: keras.Model, x: Any, name: str) -> list[tuple[str, np.ndarray, Any]]:
    """Returns the name of each input, its array, and the tensor of the model that it fills."""
    given = _named(x, name)
    tensors = getattr(model, "inputs", None)
    if not tensors:  # a model that is not built yet, or a subclassed one: any structure may do
        return [(path, array, None) for path, array in given]
    if isinstance(x, dict):
        declared = model.input if isinstance(model.input, dict) else {t.name: t for t in tensors}
        if not isinstance(model, keras.Sequential) and x.keys() != declared.keys():
            raise ValueError(
                f"{name} has the keys {sorted(x)}, and the model takes {sorted(declared)}: give an "
                "array under each of these names."
            )
        tensors = keras.tree.flatten({key: declared.get(key, tensors[0]) for key in x})
    if len(given) != len(tensors):
        raise ValueError(
            f"{name} and the inputs of the model differ in number, {len(given)} and "
            f"{len(tensors)}: give one array for each input. Rows of one input belong in one "
            "array, for example numpy.stack(x)."
        )
    return [(path, array, tensor) for (path, array), tensor in zip(given, tensors, strict=True)]


def _check_integers(model: keras.Model, x: np.ndarray, tensor: Any, name: str) -> None:
    first = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)][:1]
    if tensor is not None:
        dtype = tensor.dtype
    elif isinstance(model, keras.Sequential) and first:
        dtype = first[0].compute_dtype  # what Keras will declare
    else:
        return  # a subclassed model receives integers as they are
    embedding = _embedding(model, first, tensor)
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


def _embedding(model: keras.Model, first: list[Any], tensor: Any) -> Any:
    """Returns the embedding that looks up this input's ids, or None."""
    if len(getattr(model, "inputs", None) or ()) < 2:
        return first[0] if first and isinstance(first[0], keras.layers.Embedding) else None
    for layer in model.layers:
        # A layer that is called on several inputs, as shared ones are, has no one input.
        with contextlib.suppress(AttributeError, ValueError):
            if isinstance(layer, keras.layers.Embedding) and layer.input is tensor:
                return layer
    return None
