"""How sure a score is: intervals for accuracies and for differences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_binary, check_level, check_whole
from companion._common.extras import import_extra

__all__ = ["Interval", "accuracy_interval", "bootstrap_interval", "difference_interval"]


@dataclass(frozen=True)
class Interval:
    """An estimate with its confidence interval.

    A format applies to all three numbers; the percent sign of both ends is written once.

    Example:

    >>> interval = Interval(low=0.72, estimate=0.75, high=0.78, level=0.95)
    >>> f"{interval:.2f}"
    '0.75 (95 % interval 0.72–0.78)'
    >>> f"{interval:.0%}"
    '75 % (95 % interval 72–78 %)'
    >>> f"{Interval(-0.01, 0.02, 0.05, 0.95):+.0%}"
    '+2 % (95 % interval −1 to +5 %)'
    """

    low: float
    estimate: float
    high: float
    level: float

    def contains(self, value: float) -> bool:
        """Say whether `value` lies between the two ends, both included."""
        return bool(self.low <= value <= self.high)

    def __format__(self, spec: str) -> str:
        numbers = [format(x, spec) for x in (self.low, self.estimate, self.high)]
        sign = " %" if spec.endswith("%") else ""
        low, estimate, high = (n.rstrip("%").replace("-", "−") for n in numbers)
        # A dash beside a sign would be hard to read.
        dash = " to " if low[0] in "+−" or high[0] in "+−" else "–"
        return f"{estimate}{sign} ({100 * self.level:g} % interval {low}{dash}{high}{sign})"


def accuracy_interval(labels: ArrayLike, predictions: ArrayLike, level: float = 0.95) -> Interval:
    """Compute the share of right predictions with its exact interval.

    The interval inverts the binomial test (Clopper–Pearson): whatever the true accuracy is, at
    least a share `level` of all test sets give an interval that contains it. It covers the choice
    of the test set, not the choice of the training set or of the seed.

    Args:
        labels: array of 0 and 1, shape (n,).
        predictions: array of 0 and 1, shape (n,). Decisions, not probabilities.
        level: float. Confidence level, between 0 and 1. Defaults to `0.95`.

    Returns:
        An `Interval`.

    Raises:
        ValueError: Values other than 0 and 1, arrays that do not fit together, an impossible level.
        ModuleNotFoundError: SciPy is not installed.

    Example:

    >>> f"{accuracy_interval([1, 0, 1, 0], [1, 0, 1, 1]):.2f}"
    '0.75 (95 % interval 0.19–0.99)'

    Reference:
        Clopper & Pearson, 1934.
    """
    right = _right(labels, predictions, "predictions")
    check_level(level)
    stats = import_extra("scipy.stats", "train")
    exact = stats.binomtest(int(right.sum()), len(right)).proportion_ci(level, method="exact")
    return Interval(float(exact.low), float(right.mean()), float(exact.high), level)


def bootstrap_interval(
    statistic: Callable[..., Any],
    *arrays: ArrayLike,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Compute a statistic with its bootstrap interval.

    Rows are drawn with replacement, the same rows from every array, and the statistic is computed
    again: the interval holds the middle share `level` of the results (percentile method). About
    right for means of a hundred rows or more, too narrow for a handful.

    Args:
        statistic: callable. Takes the arrays and returns one number.
        *arrays: arrays of shape (n, ...). Row i of each belongs together.
        level: float. Confidence level, between 0 and 1. Defaults to `0.95`.
        num_resamples: int. Number of resamples. Defaults to `2000`.
        seed: int of at least 0. Defaults to `0`.

    Returns:
        An `Interval`.

    Raises:
        ValueError: No arrays, no rows, arrays of different lengths, an impossible level, no
            resamples.

    Example:

    >>> import numpy as np
    >>> f"{bootstrap_interval(np.mean, np.arange(101)):.0f}"
    '50 (95 % interval 44–56)'

    Reference:
        Efron, 1979.
    """
    samples = [np.asarray(array) for array in arrays]
    lengths = {len(sample) if sample.ndim else 0 for sample in samples}
    if len(lengths) != 1 or lengths == {0}:
        raise ValueError(
            "bootstrap_interval needs arrays with the same number of rows, at least one, but got "
            f"shapes {[sample.shape for sample in samples]}."
        )
    check_level(level)
    num_resamples = check_whole(num_resamples, "num_resamples", least=1)
    seed = check_whole(seed, "seed", least=0)
    num_rows = lengths.pop()
    rng = np.random.default_rng(seed)
    results = np.empty(num_resamples)
    for i in range(num_resamples):
        rows = rng.integers(0, num_rows, num_rows)  # one resample at a time: memory stays small
        results[i] = statistic(*(sample[rows] for sample in samples))
    low, high = np.quantile(results, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(statistic(*samples)), float(high), level)


def difference_interval(
    labels: ArrayLike,
    predictions_a: ArrayLike,
    predictions_b: ArrayLike,
    *,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Compute how much more accurate b is than a, with its bootstrap interval.

    Both are judged on the same cases, so their common luck cancels: the interval is narrower
    than two separate ones would suggest. If it contains 0, this test set cannot tell which one is
    better.

    Args:
        labels: array of 0 and 1, shape (n,).
        predictions_a: array of 0 and 1, shape (n,). Decisions of the first model.
        predictions_b: array of 0 and 1, shape (n,). Decisions of the second model.
        level: float. Confidence level, between 0 and 1. Defaults to `0.95`.
        num_resamples: int. Number of resamples. Defaults to `2000`.
        seed: int of at least 0. Defaults to `0`.

    Returns:
        An `Interval` around accuracy of b minus accuracy of a.

    Raises:
        ValueError: Values other than 0 and 1, arrays that do not fit together, an impossible level.

    Example:

    >>> interval = difference_interval([1, 0] * 50, [1, 1] * 50, [1, 0] * 50)
    >>> interval.estimate, interval.contains(0)
    (0.5, False)
    """
    right_a = _right(labels, predictions_a, "predictions_a")
    right_b = _right(labels, predictions_b, "predictions_b")
    gain = right_b.astype(np.int8) - right_a.astype(np.int8)
    return bootstrap_interval(np.mean, gain, level=level, num_resamples=num_resamples, seed=seed)


def _right(labels: ArrayLike, predictions: ArrayLike, name: str) -> NDArray[np.bool_]:
    expected, given = check_binary(labels, "labels"), check_binary(predictions, name)
    if len(expected) != len(given):
        raise ValueError(f"labels has {len(expected)} values and {name} {len(given)}.")
    right: NDArray[np.bool_] = expected == given
    return right
