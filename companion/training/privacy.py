"""Training with differential privacy: clipped and noised gradients, and what they promise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole, is_finite
from companion._common.extras import import_extra

__all__ = ["clip_gradients", "noise_for_epsilon", "private_gradient", "spent_epsilon"]

Gradients = Sequence[ArrayLike]

_GRID = 1e-3  # of the accountant's losses: ten times coarser and faster, and it rounds upwards
_LEAST, _MOST = 1e-2, 1e6  # noise multipliers between which one is looked for
_DIGITS = 1e-3  # relative precision of the noise multiplier


def clip_gradients(gradients: Gradients, max_norm: float) -> list[NDArray[np.float64]]:
    """Shortens the gradient of each example to a length of at most `max_norm`.

    The length is taken over all arrays of an example together, and its direction stays.

    Args:
        gradients: List of arrays of shape (examples, ...), one for each weight of a model.
        max_norm: Float above 0, or infinity, which changes nothing. The longest that is allowed.

    Returns:
        List of float64 arrays of the same shapes.

    Raises:
        ValueError: If arrays do not fit together, a gradient is not finite, or `max_norm` is not
            above 0.

    Example:

    >>> clip_gradients([[[3.0, 4.0], [0.3, 0.4]]], max_norm=1.0)[0].round(3).tolist()
    [[0.6, 0.8], [0.3, 0.4]]

    Reference:
        Abadi et al., 2016, Deep Learning with Differential Privacy.
    """
    if not (max_norm == math.inf or (is_finite(max_norm) and max_norm > 0)):
        raise ValueError(f"max_norm={max_norm!r} must be a number above 0, or infinity.")
    arrays = [np.asarray(gradient, np.float64) for gradient in gradients]
    lengths = {len(array) if array.ndim else -1 for array in arrays}
    if len(lengths) != 1 or lengths == {-1}:
        raise ValueError(
            "gradients must be a list of arrays with one row for each example, the same examples "
            f"in all, but have the shapes {[array.shape for array in arrays]}."
        )
    flat = [array.reshape(len(array), math.prod(array.shape[1:])) for array in arrays]
    norms = np.sqrt(sum(np.einsum("ij,ij->i", rows, rows) for rows in flat))
    if not np.isfinite(norms).all():
        raise ValueError("A gradient is not finite, so no clipping bounds it: lower the rate.")
    factors = np.ones_like(norms)
    np.divide(max_norm, norms, out=factors, where=norms > max_norm)
    return [
        (rows * factors[:, None]).reshape(array.shape)
        for rows, array in zip(flat, arrays, strict=True)
    ]


def private_gradient(
    gradients: Gradients,
    *,
    max_norm: float,
    noise_multiplier: float,
    batch_size: float,
    rng: np.random.Generator,
) -> list[NDArray[np.float64]]:
    """Averages clipped gradients with noise that hides any one example: a step of DP-SGD.

    The sum of the clipped gradients moves by at most `max_norm` when an example comes in or goes,
    and each of its numbers gets normal noise of `noise_multiplier * max_norm`. NumPy's generator
    can be guessed and its floats have gaps: good for learning, not for guarding real secrets.

    Args:
        gradients: List of arrays of shape (examples, ...), as of `build_example_gradients`. There
            may be no examples, since a private batch has a random size.
        max_norm: Float above 0, or infinity where there is no noise. See `clip_gradients`.
        noise_multiplier: Float of at least 0. Noise as a multiple of `max_norm`.
        batch_size: Float above 0. The *expected* size of a batch, by which the sum is divided; the
            actual size would itself tell who is in it.
        rng: `np.random.Generator`. Draws the noise.

    Returns:
        List of float64 arrays, each of the shape of one example's gradient.

    Raises:
        ValueError: If an argument is not as above.

    Example:

    >>> import numpy as np
    >>> rng = np.random.default_rng(0)
    >>> settings = {"max_norm": 1.0, "noise_multiplier": 0.0, "batch_size": 2, "rng": rng}
    >>> private_gradient([[[3.0, 4.0], [0.2, 0.0]]], **settings)[0].round(3).tolist()
    [0.4, 0.4]

    Reference:
        Abadi et al., 2016, Deep Learning with Differential Privacy.
    """
    _check_noise(noise_multiplier)
    if not (is_finite(batch_size) and batch_size > 0):
        raise ValueError(f"batch_size={batch_size!r} must be a number above 0.")
    if noise_multiplier and not math.isfinite(max_norm):
        raise ValueError(f"Noise needs a finite max_norm, but it is {max_norm!r}.")
    sums = [clipped.sum(axis=0) for clipped in clip_gradients(gradients, max_norm)]
    if noise_multiplier:
        sums = [total + rng.normal(0, noise_multiplier * max_norm, total.shape) for total in sums]
    return [total / batch_size for total in sums]


def spent_epsilon(
    noise_multiplier: float, *, sample_rate: float, num_steps: int, delta: float
) -> float:
    """Computes the epsilon that a training with DP-SGD has spent.

    With it, no set of outcomes is more than exp(epsilon) times as probable, plus `delta`, when one
    example is added to the training data or removed. Every example must enter each batch by a draw
    of its own (Poisson sampling).

    Args:
        noise_multiplier: Float of at least 0. See `private_gradient`.
        sample_rate: Float above 0, at most 1. Chance of each example to be in a batch.
        num_steps: Integer of at least 1. Batches in all.
        delta: Float between 0 and 1; well below one over the number of examples.

    Returns:
        Float: an upper bound of epsilon by `dp-accounting`; infinity without noise.

    Raises:
        ValueError: If an argument is not as above.
        ModuleNotFoundError: `dp-accounting` is not installed.

    Example:

    >>> round(spent_epsilon(1.0, sample_rate=0.1, num_steps=100, delta=1e-5), 1)
    7.0

    Reference:
        Koskela et al., 2020, Computing Tight Differential Privacy Guarantees Using FFT.
    """
    _check_noise(noise_multiplier)
    _check_plan(sample_rate, num_steps, delta)
    if noise_multiplier == 0:
        return math.inf
    accounting = import_extra("dp_accounting", "applications")
    pld = import_extra("dp_accounting.pld", "applications")
    step = accounting.GaussianDpEvent(noise_multiplier)
    if sample_rate < 1:
        step = accounting.PoissonSampledDpEvent(sample_rate, step)
    accountant = pld.PLDAccountant(value_discretization_interval=_GRID)
    accountant.compose(accounting.SelfComposedDpEvent(step, num_steps))
    return float(accountant.get_epsilon(delta))


def noise_for_epsilon(epsilon: float, *, sample_rate: float, num_steps: int, delta: float) -> float:
    """Finds the least noise with which a training spends no more than `epsilon`.

    Args:
        epsilon: Float above 0.
        sample_rate: Float above 0, at most 1. Chance of each example to be in a batch.
        num_steps: Integer of at least 1. Batches in all.
        delta: Float between 0 and 1.

    Returns:
        Float: a noise multiplier for `private_gradient`, found to three digits.

    Raises:
        ValueError: If an argument is not as above, or no noise up to a million is enough.
        ModuleNotFoundError: `dp-accounting` is not installed.

    Example:

    >>> round(noise_for_epsilon(4, sample_rate=0.1, num_steps=100, delta=1e-5), 1)
    1.4
    """
    if not (is_finite(epsilon) and epsilon > 0):
        raise ValueError(f"epsilon={epsilon!r} must be a number above 0.")
    plan = {"sample_rate": sample_rate, "num_steps": num_steps, "delta": delta}
    low = high = 1.0
    while spent_epsilon(high, **plan) > epsilon:  # type: ignore[arg-type]
        low, high = high, 2 * high
        if high > _MOST:
            raise ValueError(f"No noise is enough for epsilon={epsilon!r}: allow more of it.")
    while high == 1.0 and low > _LEAST and spent_epsilon(low, **plan) <= epsilon:  # type: ignore[arg-type]
        low /= 2
    while high / low - 1 > _DIGITS:
        middle = math.sqrt(low * high)
        enough = spent_epsilon(middle, **plan) <= epsilon  # type: ignore[arg-type]
        low, high = (low, middle) if enough else (middle, high)
    return high


def _check_noise(noise_multiplier: float) -> None:
    if not (is_finite(noise_multiplier) and noise_multiplier >= 0):
        raise ValueError(f"noise_multiplier={noise_multiplier!r} must be a number of at least 0.")


def _check_plan(sample_rate: float, num_steps: int, delta: float) -> None:
    if not (is_finite(sample_rate) and 0 < sample_rate <= 1):
        raise ValueError(f"sample_rate={sample_rate!r} must lie above 0 and be at most 1.")
    check_whole(num_steps, "num_steps", least=1)
    if not (is_finite(delta) and 0 < delta < 1):
        raise ValueError(f"delta={delta!r} must lie between 0 and 1, for example 1e-5.")
