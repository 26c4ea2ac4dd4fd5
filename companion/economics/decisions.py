"""What a classifier is worth: the threshold from which acting on it saves most."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_amounts, check_binary, check_probabilities

__all__ = ["ThresholdValue", "threshold_value", "value_per_case"]


@dataclass(frozen=True)
class ThresholdValue:
    """Yearly value by threshold: two arrays of shape (num_thresholds,), and the best of them."""

    thresholds: NDArray[np.float64]
    value_usd: NDArray[np.float64]
    best_threshold: float
    best_value_usd: float


def threshold_value(
    events: ArrayLike,
    probabilities: ArrayLike,
    *,
    cost_miss_usd: float,
    cost_false_alarm_usd: float,
    volume: float,
    thresholds: ArrayLike | None = None,
) -> ThresholdValue:
    """Compute what flagging at each threshold saves in a year.

    A case, such as a message, is flagged when its probability is at least the threshold. The cases
    given stand for all that arrive; the saving is counted against the cheaper of flagging nothing
    and flagging everything.

    Args:
        events: array of 0 and 1, shape (n,). 1 is what one wants to catch.
        probabilities: array of float, shape (n,). Estimated probability of an event, from 0 to 1.
        cost_miss_usd: float. Cost of one miss, in US dollars.
        cost_false_alarm_usd: float. Cost of one false alarm, in US dollars.
        volume: float. Cases in a year.
        thresholds: array of float, shape (num_thresholds,), or `None`. Defaults to `None`: every
            hundredth from 0 (flag everything) to 1.01 (flag nothing), so the best value is never
            below 0.

    Returns:
        A `ThresholdValue`; of equally good thresholds the first is the best.

    Raises:
        ValueError: A negative or undefined cost or volume, probabilities outside 0 to 1, or arrays
            that do not fit together.

    Example:

    >>> result = threshold_value(
    ...     [1, 0, 1, 0], [0.9, 0.2, 0.6, 0.4], cost_miss_usd=5, cost_false_alarm_usd=1, volume=1000
    ... )
    >>> result.best_threshold, result.best_value_usd
    (0.41, 500.0)

    Reference:
        Elkan, 2001: with calibrated probabilities the best threshold is
        cost of a false alarm / (cost of a miss + cost of a false alarm).
    """
    is_event = check_binary(events, "events") == 1
    probability = check_probabilities(probabilities, len(is_event))
    check_amounts(
        cost_miss_usd=cost_miss_usd, cost_false_alarm_usd=cost_false_alarm_usd, volume=volume
    )
    levels = _levels(thresholds)
    of_events, of_others = np.sort(probability[is_event]), np.sort(probability[~is_event])
    # Counts, not sums of costs: thresholds that flag the same cases get exactly the same value.
    misses = np.searchsorted(of_events, levels, side="left")
    false_alarms = len(of_others) - np.searchsorted(of_others, levels, side="left")
    cost_usd = misses * cost_miss_usd + false_alarms * cost_false_alarm_usd
    cheaper_usd = min(len(of_events) * cost_miss_usd, len(of_others) * cost_false_alarm_usd)
    value_usd = (cheaper_usd - cost_usd) * (volume / len(probability))
    best = int(np.argmax(value_usd))
    return ThresholdValue(levels, value_usd, float(levels[best]), float(value_usd[best]))


def _levels(thresholds: ArrayLike | None) -> NDArray[np.float64]:
    if thresholds is None:
        return np.arange(102) / 100
    try:
        levels = np.asarray(thresholds, np.float64)
    except (TypeError, ValueError):  # texts, for example
        levels = np.empty(0)
    if levels.ndim != 1 or levels.size == 0 or np.isnan(levels).any():
        raise ValueError(f"thresholds must be a list of numbers, but is {thresholds!r}.")
    return levels


def value_per_case(
    events: ArrayLike,
    flagged: ArrayLike,
    *,
    cost_miss_usd: float,
    cost_false_alarm_usd: float,
) -> NDArray[np.float64]:
    """Compute what the decision on each case saves, for an interval around their mean.

    A case is whatever is decided on: a message, a picture, a purchase.

    The saving is counted against the policy without a model (flag nothing, flag everything) that is
    the cheaper one over all these cases; the mean times the yearly volume is `threshold_value`'s
    value.

    Args:
        events: array of 0 and 1, shape (n,). 1 is what one wants to catch.
        flagged: array of 0 and 1 or bool, shape (n,). The decisions.
        cost_miss_usd: float. Cost of one miss, in US dollars.
        cost_false_alarm_usd: float. Cost of one false alarm, in US dollars.

    Returns:
        A float64 array of shape (n,), in US dollars; negative where the decision costs more.

    Raises:
        ValueError: A negative or undefined cost, or arrays that do not fit together.

    Example:

    >>> value_per_case([1, 0, 0], [1, 0, 1], cost_miss_usd=5, cost_false_alarm_usd=1).tolist()
    [0.0, 1.0, 0.0]
    """
    is_event = check_binary(events, "events") == 1
    is_flagged = check_binary(flagged, "flagged") == 1
    if len(is_event) != len(is_flagged):
        raise ValueError(f"events has {len(is_event)} values and flagged {len(is_flagged)}.")
    check_amounts(cost_miss_usd=cost_miss_usd, cost_false_alarm_usd=cost_false_alarm_usd)
    cost_if_silent = is_event * float(cost_miss_usd)
    cost_if_flagged = ~is_event * float(cost_false_alarm_usd)
    # Counts again, so that both functions choose the same policy.
    num_events = int(is_event.sum())
    silence_is_cheaper = (
        num_events * cost_miss_usd <= (len(is_event) - num_events) * cost_false_alarm_usd
    )
    without_model = cost_if_silent if silence_is_cheaper else cost_if_flagged
    saving: NDArray[np.float64] = without_model - np.where(
        is_flagged, cost_if_flagged, cost_if_silent
    )
    return saving
