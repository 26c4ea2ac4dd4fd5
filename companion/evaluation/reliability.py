"""Whether a probability means what it says."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_binary, check_probabilities, check_whole

__all__ = ["Calibration", "calibration"]


@dataclass(frozen=True)
class Calibration:
    """Probabilities against what happened, in bins that hold at least one message.

    `predicted` and `observed` are the mean probability and the share of events of each bin,
    `counts` the number of messages in it, all of shape (num_filled_bins,); `error` is the expected
    calibration error.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    counts: NDArray[np.int64]
    error: float


def calibration(labels: ArrayLike, probabilities: ArrayLike, num_bins: int = 10) -> Calibration:
    """Compare probabilities with what happened: of those near 0.8, do about 80 % come true?

    Messages are put into bins of equal width by their probability. The expected calibration error
    is the distance between mean probability and share of events, averaged over the messages. It is
    a little above 0 even for perfect probabilities, because a bin's share of events varies by
    chance.

    Args:
        labels: array of 0 and 1, shape (n,).
        probabilities: array of float, shape (n,). Estimated probability of label 1.
        num_bins: int. Number of bins between 0 and 1. Defaults to `10`.

    Returns:
        A `Calibration`; empty bins are left out.

    Raises:
        ValueError: Values out of range, arrays that do not fit together, no bins.

    Example:

    >>> result = calibration([0, 0, 0, 1], [0.25, 0.25, 0.25, 0.25])
    >>> result.observed.tolist(), result.error
    ([0.25], 0.0)

    Reference:
        Guo et al., 2017; here for the probability of label 1.
    """
    events = check_binary(labels, "labels")
    probability = check_probabilities(probabilities, len(events))
    num_bins = check_whole(num_bins, "num_bins", least=1)
    bins = np.minimum((probability * num_bins).astype(int), num_bins - 1)  # 1.0 is in the last bin
    counts = np.bincount(bins)
    filled = counts > 0
    predicted = np.bincount(bins, probability)[filled] / counts[filled]
    observed = np.bincount(bins, events)[filled] / counts[filled]
    error = np.average(np.abs(predicted - observed), weights=counts[filled])
    return Calibration(predicted, observed, counts[filled], float(error))
