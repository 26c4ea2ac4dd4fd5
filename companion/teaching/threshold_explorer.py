"""The course's explorers, ready to show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion.economics.decisions import threshold_value, value_per_case
from companion.evaluation.intervals import Interval, bootstrap_interval
from companion.teaching.controls import Control
from companion.teaching.explorer import Explorer
from companion.teaching.style import PALETTE

__all__ = ["explore_threshold_value"]


def explore_threshold_value(
    events: ArrayLike,
    probabilities: ArrayLike,
    *,
    validation_events: ArrayLike | None = None,
    validation_probabilities: ArrayLike | None = None,
    costs_miss_usd: Sequence[float] = (1, 2, 5, 10, 20, 50),
    costs_false_alarm_usd: Sequence[float] = (1, 2, 5, 10, 20),
    volumes: Sequence[float] = (10_000, 100_000, 1_000_000),
    unit: str = "message",
    name: str = "threshold-value",
    level: float = 0.95,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Explorer:
    """Makes the explorer of what a classifier is worth in a year, by the costs of its mistakes.

    For each combination the threshold that saves most is chosen, and the value there measured. A
    threshold chosen and valued on the same messages looks better than it is: with validation data,
    it is chosen on them and valued on `events`. The interval covers which messages were valued; the
    threshold and the policy compared with are held fixed.

    Args:
        events: array of 0 and 1, shape (n,). 1 is what one wants to catch.
        probabilities: array of float, shape (n,). Estimated probability of an event, from 0 to 1.
        validation_events: array of 0 and 1, shape (m,), or `None`. Defaults to `None`.
        validation_probabilities: array of float, shape (m,), or `None`. Defaults to `None`.
        costs_miss_usd: sequence of float. Costs of one miss to offer, in US dollars. Defaults to
            six from 1 to 50.
        costs_false_alarm_usd: sequence of float. Costs of one false alarm to offer, in US dollars.
            Defaults to five from 1 to 20.
        volumes: sequence of float. Numbers of them in a year to offer. Defaults to three from
            10,000 to a million.
        unit: str. What is decided on; `s` makes its plural. Defaults to `"message"`.
        name: str. The explorer's name on its page. Defaults to `"threshold-value"`.
        level: float. Confidence level of the interval. Defaults to `0.95`.
        num_resamples: int. Bootstrap resamples for the interval. Defaults to `1000`.
        seed: int. Decides the resamples. Defaults to `0`.

    Returns:
        An `Explorer` with the controls `cost_miss_usd`, `cost_false_alarm_usd` and `volume`, each
        starting in its middle.

    Raises:
        ValueError: If only one of the validation arrays is given, and what `threshold_value` and
            `bootstrap_interval` object to.

    Example:
        >>> explorer = explore_threshold_value([1, 0, 1, 0], [0.9, 0.2, 0.6, 0.4])
        >>> state = explorer.state(cost_miss_usd=5, cost_false_alarm_usd=1, volume=1000)
        >>> state["readouts"]["Best threshold"], state["readouts"]["Events caught"]
        ('0.41', '100 %')
    """
    if (validation_events is None) != (validation_probabilities is None):
        raise ValueError("Give both validation_events and validation_probabilities, or neither.")
    alt = "A curve of the value per year in US dollars by threshold, the chosen threshold marked."
    validation = None
    if validation_events is not None and validation_probabilities is not None:
        validation = (validation_events, validation_probabilities)
        alt += f" The threshold is chosen on validation {unit}s and valued on other ones."
    function = _yearly_value(
        np.asarray(events),
        np.asarray(probabilities),
        validation,
        unit,
        partial(bootstrap_interval, np.mean, level=level, num_resamples=num_resamples, seed=seed),
    )
    offered = (
        ("cost_miss_usd", "Cost of a miss (USD)", costs_miss_usd, "{:g}"),
        ("cost_false_alarm_usd", "Cost of a false alarm (USD)", costs_false_alarm_usd, "{:g}"),
        ("volume", f"{unit.capitalize()}s per year", volumes, "{:,}"),
    )
    controls = [Control(n, label, v, v[len(v) // 2], form) for n, label, v, form in offered]
    title = "Which threshold is worth most, and how much?"
    return Explorer(name, title, function, controls, _chart(unit), alt)


def _yearly_value(
    events: NDArray[Any],
    probabilities: NDArray[Any],
    validation: tuple[ArrayLike, ArrayLike] | None,
    unit: str,
    bootstrap: Callable[[ArrayLike], Interval],
) -> Callable[..., dict[str, Any]]:
    """Returns the explorer's function."""
    label = "Best threshold on validation data" if validation else "Best threshold"
    chosen_on = validation or (events, probabilities)

    @cache
    def saving(threshold: float, **costs: float) -> Interval:
        return bootstrap(value_per_case(events, probabilities >= threshold, **costs))

    def function(
        cost_miss_usd: float, cost_false_alarm_usd: float, volume: float
    ) -> dict[str, Any]:
        costs = {"cost_miss_usd": cost_miss_usd, "cost_false_alarm_usd": cost_false_alarm_usd}
        best = threshold_value(*chosen_on, **costs, volume=volume).best_threshold
        curve = threshold_value(events, probabilities, **costs, volume=volume)
        interval = saving(best, **costs)  # of one case: the yearly volume only scales it
        value, low, high = (volume * v for v in (interval.estimate, interval.low, interval.high))
        flagged, caught = probabilities >= best, (probabilities >= best)[events == 1]
        # By counts, as threshold_value decides it: shares could round a tie the other way.
        others = len(events) - len(caught)
        silence_is_cheaper = len(caught) * cost_miss_usd <= others * cost_false_alarm_usd
        readouts = {
            label: f"{best:.2f}",
            "Value per year": f"{_rounded(value)} USD "
            f"({100 * interval.level:g} % interval {_rounded(low)} to {_rounded(high)})",
            "Compared with": f"flagging {'nothing' if silence_is_cheaper else 'everything'}",
            f"{unit.capitalize()}s flagged": f"{100 * flagged.mean():.0f} %",
            "Events caught": f"{100 * caught.mean():.0f} %" if caught.size else "none to catch",
        }
        rows = [
            {"threshold": t, "value_usd": v, "low_usd": None, "high_usd": None}
            for t, v in zip(curve.thresholds, curve.value_usd, strict=True)
        ]
        rows[list(curve.thresholds).index(best)] |= {"low_usd": low, "high_usd": high}
        return {"rows": rows, "readouts": readouts}

    return function


_MARKED = [{"filter": "datum.low_usd !== null"}]  # the chosen threshold's row alone has an interval

_CHART: dict[str, Any] = {
    "data": {"name": "rows"},
    "encoding": {
        "x": {
            "field": "threshold",
            "type": "quantitative",
            "title": "Threshold",
            "scale": {"domain": [0, 1.01], "nice": False},
        },
        "y": {
            "field": "value_usd",
            "type": "quantitative",
            "title": "Value per year",
            "axis": {"format": "$~s"},
        },
    },
    "layer": [
        {
            "mark": "rule",
            "encoding": {"x": {"value": 0}, "x2": {"value": "width"}, "y": {"datum": 0}},
        },
        {"mark": {"type": "line", "color": PALETTE[0]}},
        {
            "transform": _MARKED,
            "mark": {"type": "rule", "color": PALETTE[1], "strokeDash": [5, 4]},
            "encoding": {"y": {"value": 0}, "y2": {"value": "height"}},
        },
        {
            "transform": _MARKED,
            "mark": {"type": "rule", "color": PALETTE[1], "strokeWidth": 4},
            "encoding": {"y": {"field": "low_usd"}, "y2": {"field": "high_usd"}},
        },
        {"transform": _MARKED, "mark": {"type": "point", "color": PALETTE[1]}},
        {
            "transform": _MARKED,
            "mark": {
                "type": "text",
                "baseline": "top",
                # Beside the rule, on the side where there is room.
                "align": {"expr": "datum.threshold > 0.6 ? 'right' : 'left'"},
                "dx": {"expr": "datum.threshold > 0.6 ? -8 : 8"},
            },
            "encoding": {"y": {"value": 0}, "text": {"value": "chosen threshold"}},
        },
    ],
}


def _rounded(amount: float) -> str:
    # Three digits, of whole numbers too: the fourth may differ on another machine.
    text = f"{amount + 0.0:.3g}" if abs(amount) < 100 else f"{float(f'{amount:.3g}'):,.0f}"
    return text.replace("-", "−")


def _chart(unit: str) -> dict[str, Any]:
    title = {"title": f"Threshold: flag a {unit} from this probability on"}
    encoding = _CHART["encoding"]
    return _CHART | {"encoding": encoding | {"x": encoding["x"] | title}}
