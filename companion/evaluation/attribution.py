"""Which parts of an input made a model's score what it is: attributions, by gradient or by trial.

A model appears here only as a function on arrays, so that any library can have made it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole

__all__ = ["gradient_times_input", "integrated_gradients", "occlusion"]

_Array = NDArray[Any]

_MAX_ROWS = 4096  # rows that one call of a score gets, unless there are more inputs than that


def gradient_times_input(
    gradient: Callable[[_Array], ArrayLike], inputs: ArrayLike, baselines: ArrayLike = 0.0
) -> NDArray[np.float64]:
    """Multiplies how far each value is from its baseline by the gradient at the input.

    Exact for a score that is linear; elsewhere it continues the slope at the input all the way
    back to the baseline.

    Args:
        gradient: callable. Takes an array like `inputs` and returns the gradient of each row's
            score with respect to that row, of the same shape.
        inputs: array of finite float, shape (n, ...). One row for each case to be explained.
        baselines: array of finite float that broadcasts to the shape of `inputs`. The input that
            says nothing. Defaults to `0.0`.

    Returns:
        A float64 array of the shape of `inputs`.

    Raises:
        ValueError: No rows, values that are not finite numbers, or shapes that do not fit together.

    Example:

    >>> gradient_times_input(lambda x: 2 * x, [[3.0, 1.0]]).tolist()  # of the sum of squares
    [[18.0, 2.0]]

    Reference:
        Shrikumar and others, 2016, Not Just a Black Box (who compare with it).
    """
    x, start = _checked(inputs, baselines)
    return (x - start) * _slopes(gradient, x)


def integrated_gradients(
    gradient: Callable[[_Array], ArrayLike],
    inputs: ArrayLike,
    baselines: ArrayLike = 0.0,
    *,
    steps: int = 32,
) -> NDArray[np.float64]:
    """Averages the gradient on the straight way from the baseline to the input, times that way.

    With enough steps the attributions of a row add up to its score minus the baseline's score
    (completeness). The way is cut into `steps` equal parts, each judged at its middle.

    Args:
        gradient: callable. As for `gradient_times_input`; called `steps` times, each time with as
            many rows as `inputs` has.
        inputs: array of finite float, shape (n, ...). One row for each case to be explained.
        baselines: array of finite float that broadcasts to the shape of `inputs`. What is equal to
            its baseline gets no attribution. Defaults to `0.0`.
        steps: int, at least 1. Defaults to `32`.

    Returns:
        A float64 array of the shape of `inputs`.

    Raises:
        ValueError: No rows, values that are not finite numbers, shapes that do not fit together, or
            no steps.

    Example:

    >>> parts = integrated_gradients(lambda x: 2 * x, [[3.0, 1.0]])  # of the sum of squares
    >>> parts.round(6).tolist()
    [[9.0, 1.0]]

    Reference:
        Sundararajan, Taly & Yan, 2017, Axiomatic Attribution for Deep Networks.
    """
    steps = check_whole(steps, "steps", least=1)
    x, start = _checked(inputs, baselines)
    total = np.zeros_like(x)
    for step in range(steps):
        total += _slopes(gradient, start + (step + 0.5) / steps * (x - start))
    return (x - start) * total / steps


def occlusion(
    score: Callable[[_Array], ArrayLike],
    inputs: ArrayLike,
    baselines: ArrayLike = 0,
    *,
    window: int = 1,
) -> NDArray[np.float64]:
    """Covers one place after the other and notes by how much the score falls.

    Args:
        score: callable. Takes an array of shape (rows, ...), any number of rows, and returns one
            number for each, shape (rows,).
        inputs: array of finite numbers, shape (n, ...), such as token ids (n, tokens) or pictures
            (n, height, width). It keeps its type.
        baselines: array that broadcasts to the shape of `inputs`. What a covered place shows.
            Defaults to `0`.
        window: int, at least 1 and at most the shortest side. Length of the covered stretch, or
            side of the covered square. Defaults to `1`.

    Returns:
        A float64 array of the shape of `inputs`: for each place the mean fall over all windows that
        cover it.

    Raises:
        ValueError: No rows, values that are not finite numbers, shapes that do not fit together, or
            a window that does not fit in.

    Example:

    >>> occlusion(lambda x: x @ [1, 2, 0], [[5, 1, 7]]).tolist()
    [[5.0, 2.0, 0.0]]

    Reference:
        Zeiler & Fergus, 2014, Visualizing and Understanding Convolutional Networks.
    """
    x, start = _checked(inputs, baselines, dtype=None)
    sides = x.shape[1:]
    window = check_whole(window, "window", least=1)
    if window > min(sides):
        raise ValueError(f"window={window} does not fit into an input of shape {sides}.")
    places = [
        (slice(None), *(slice(at, at + window) for at in corner))
        for corner in product(*(range(side - window + 1) for side in sides))
    ]
    whole, at_once = _scores(score, x), max(1, _MAX_ROWS // len(x))
    total, times = np.zeros(x.shape), np.zeros(x.shape)
    for first in range(0, len(places), at_once):
        group = places[first : first + at_once]
        covered = np.repeat(x[None], len(group), axis=0)  # (windows, n, ...)
        for copy, place in zip(covered, group, strict=True):
            copy[place] = start[place]
        fallen = whole - _scores(score, covered.reshape(-1, *sides)).reshape(len(group), len(x))
        for fall, place in zip(fallen, group, strict=True):
            total[place] += fall.reshape(-1, *(1 for _ in sides))
            times[place] += 1
    return total / times


def _checked(
    inputs: ArrayLike, baselines: ArrayLike, dtype: Any = np.float64
) -> tuple[_Array, _Array]:
    shapes = "texts or rows of uneven length"
    try:
        x, start = np.asarray(inputs, dtype), np.asarray(baselines, dtype)
        shapes = f"shapes {x.shape} and {start.shape}"
        start = np.broadcast_to(start, x.shape).astype(x.dtype)
        good = x.ndim > 1 and x.size > 0 and bool(np.isfinite(x).all() and np.isfinite(start).all())
    except (TypeError, ValueError):  # texts, rows of different lengths, shapes that do not fit
        good = False
    if not good:
        raise ValueError(
            "inputs must be finite numbers, one row or more, of shape (n, ...), and baselines must "
            f"broadcast to them; given {shapes}."
        )
    return x, start


def _slopes(gradient: Callable[[_Array], ArrayLike], x: _Array) -> NDArray[np.float64]:
    slopes = np.asarray(gradient(x), np.float64)
    if slopes.shape != x.shape:
        raise ValueError(
            f"gradient must return an array of its argument's shape {x.shape}, not {slopes.shape}."
        )
    return slopes


def _scores(score: Callable[[_Array], ArrayLike], x: _Array) -> NDArray[np.float64]:
    scores = np.asarray(score(x), np.float64)
    if scores.shape != (len(x),):
        raise ValueError(
            f"score must return one number a row, shape {(len(x),)}, not {scores.shape}."
        )
    return scores
