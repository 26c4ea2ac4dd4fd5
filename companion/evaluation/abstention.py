"""What a model that may stay silent is worth: how many cases it answers, and how well."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_binary

__all__ = ["AbstentionCurve", "abstention_curve"]


@dataclass(frozen=True)
class AbstentionCurve:
    """How many cases are answered, and how many of the answers are right, by threshold.

    Three arrays of shape (num_thresholds,), from the strictest threshold to the one at which every
    case is answered: a case is answered when its confidence is at least the threshold. `coverage`
    is the share of all cases that is answered, `accuracy` the share of right answers among those.

    Example:

    >>> curve = abstention_curve([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.6])
    >>> curve.threshold_for_error(0.25)
    0.6
    """

    thresholds: NDArray[np.float64]
    coverage: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    def threshold_for_error(self, error: float) -> float:
        """Return the threshold that answers most cases with at most this share of wrong answers.

        Args:
            error: float. Allowed share of wrong ones among the answers, from 0 to 1.

        Returns:
            A float; infinite, so that nothing is answered, where even the strictest threshold
            makes more errors.

        Raises:
            ValueError: An error outside 0 to 1.
        """
        if not isinstance(error, (int, float)) or not 0 <= error <= 1:
            raise ValueError(f"error must be a share from 0 to 1, but is {error!r}.")
        allowed = np.flatnonzero(1 - self.accuracy <= error + 1e-12)  # 1 - 0.9 is not 0.1
        return float(self.thresholds[allowed[-1]]) if len(allowed) else float("inf")


def abstention_curve(right: ArrayLike, confidences: ArrayLike) -> AbstentionCurve:
    """Compute how accuracy rises when the least sure answers are withheld.

    Args:
        right: array of 0 and 1, shape (n,). Whether each answer would be right.
        confidences: array of float, shape (n,). How sure the model is of each, on any scale, a
            probability or the lead over the second best class for example; larger is surer.

    Returns:
        An `AbstentionCurve` with one threshold for each different confidence.

    Raises:
        ValueError: No cases, values of `right` other than 0 and 1, confidences that are not finite
            numbers, or arrays that do not fit together.

    Example:

    >>> curve = abstention_curve([1, 1, 0, 1], [0.9, 0.8, 0.7, 0.6])
    >>> curve.coverage.tolist(), curve.accuracy.tolist()[:2]
    ([0.25, 0.5, 0.75, 1.0], [1.0, 1.0])

    Reference:
        El-Yaniv & Wiener, 2010, On the Foundations of Noise-free Selective Classification.
    """
    is_right = check_binary(right, "right")
    try:
        sure = np.asarray(confidences, np.float64)
    except (TypeError, ValueError):  # texts, for example
        sure = np.empty(0)
    if sure.shape != is_right.shape or not len(sure) or not np.isfinite(sure).all():
        raise ValueError(
            f"confidences must be {len(is_right)} finite numbers, one for each value of right, "
            f"and at least one; given {np.asarray(confidences).shape}."
        )
    order = np.argsort(-sure, kind="stable")
    ordered = sure[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # ties stand together
    answered = last + 1
    return AbstentionCurve(
        ordered[last], answered / len(sure), np.cumsum(is_right[order])[last] / answered
    )
