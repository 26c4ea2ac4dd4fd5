"""What an assistant is worth: its yearly return, with every input a range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole, is_finite
from companion.economics.factsheet import facts
from companion.economics.prices import token_cost_usd

__all__ = [
    "Range",
    "ValueModel",
    "ValueSimulation",
    "break_even_volume",
    "load_businesses",
    "simulate_value",
    "value_sensitivity",
]


@dataclass(frozen=True)
class Range:
    """A number that is not known exactly: never below `low` or above `high`, likeliest `middle`.

    Args:
        low: float.
        middle: float.
        high: float.

    Raises:
        ValueError: If one is no finite number, or they do not ascend.

    Example:

    >>> Range(0.0, 0.1, 0.4).at([0.0, 0.25, 1.0]).round(3).tolist()
    [0.0, 0.1, 0.4]
    """

    low: float
    middle: float
    high: float

    def __post_init__(self) -> None:
        given = (self.low, self.middle, self.high)
        if not (all(map(is_finite, given)) and self.low <= self.middle <= self.high):
            raise ValueError(
                f"A Range needs finite numbers low <= middle <= high, but was given {given}."
            )

    def at(self, share: ArrayLike) -> NDArray[np.float64]:
        """Return the values below which these shares of the triangular distribution lie.

        Args:
            share: array of float from 0 to 1, any shape.

        Returns:
            A float64 array of the same shape.
        """
        u = np.asarray(share, np.float64)
        width = self.high - self.low
        peak = (self.middle - self.low) / width if width else 0.0
        rising = self.low + width * np.sqrt(u * peak)
        falling = self.high - width * np.sqrt((1 - u) * (1 - peak))
        # The bounds take away the rounding of the last digit.
        return np.clip(np.where(u < peak, rising, falling), self.low, self.high)


@dataclass(frozen=True)
class ValueModel:
    """What decides the yearly return of an assistant that saves working time, each as a `Range`.

    return = hours * task_share * adoption * (effect * realised_share * hourly_cost_usd -
    token_cost_usd) - upkeep_usd - switch_cost_usd / years

    Args:
        hours: `Range`. Hours of work in a year, at least 1.
        task_share: `Range`. Share of them spent on tasks that the assistant touches, 0 to 1.
        adoption: `Range`. Share of those in which it is used, 0 to 1.
        effect: `Range`. Share of the time that it then saves, -10 to 1; negative: it costs time.
        realised_share: `Range`. Share of the saved time that is put to use, 0 to 1. Lost time is
            always lost in full: for a negative effect the share counts as 1.
        hourly_cost_usd: `Range`. Cost of an hour of work, at least 0.
        token_cost_usd: `Range`. Cost of the tokens for an hour of use, at least 0.
        upkeep_usd: `Range`. Fixed cost in a year: licences, checking, repair; at least 0.
        switch_cost_usd: `Range`. One-off cost of the introduction, at least 0.
        years: float. Years over which the one-off cost is spread, more than 0. Defaults to `3`.

    Raises:
        ValueError: If an input is no `Range`, or reaches beyond what is allowed.

    Example:

    >>> load_businesses()["support desk"].hours.middle
    102000
    """

    hours: Range
    task_share: Range
    adoption: Range
    effect: Range
    realised_share: Range
    hourly_cost_usd: Range
    token_cost_usd: Range
    upkeep_usd: Range
    switch_cost_usd: Range
    years: float = 3

    def __post_init__(self) -> None:
        for name, given in self.ranges().items():
            least, most = _ALLOWED.get(name, (0, math.inf))
            if not isinstance(given, Range) or given.low < least or given.high > most:
                raise ValueError(
                    f"{name} must be a Range from {least:g} to {most:g}, but is {given}."
                )
        if not (is_finite(self.years) and self.years > 0):
            raise ValueError(f"years must be a number above 0, but is {self.years!r}.")

    def ranges(self) -> dict[str, Range]:
        """Return the inputs that are ranges, by name, in the order in which they are drawn."""
        return {name: value for name, value in vars(self).items() if name != "years"}


_ALLOWED = {
    "hours": (1, math.inf),
    "effect": (-10, 1),
    **dict.fromkeys(("task_share", "adoption", "realised_share"), (0, 1)),
}


def _margin_and_fixed_usd(values: Mapping[str, Any], years: float) -> tuple[Any, Any]:
    """What an hour of work returns before the fixed costs, and these, in US dollars."""
    effect = values["effect"]
    saved = effect * np.where(effect > 0, values["realised_share"], 1.0)
    in_use = values["task_share"] * values["adoption"]
    margin_usd = in_use * (saved * values["hourly_cost_usd"] - values["token_cost_usd"])
    return margin_usd, values["upkeep_usd"] + values["switch_cost_usd"] / years


@dataclass(frozen=True)
class ValueSimulation:
    """Draws from a value model; each array has shape (num_samples,)."""

    draws: dict[str, NDArray[np.float64]]
    return_usd: NDArray[np.float64]
    break_even_hours: NDArray[np.float64]  # infinite where no volume pays

    @property
    def loss_probability(self) -> float:
        """The share of draws with a yearly return below zero."""
        return float(np.mean(self.return_usd < 0))


def simulate_value(
    model: ValueModel, *, num_samples: int = 10_000, seed: int = 0
) -> ValueSimulation:
    """Draw the inputs of a value model independently and compute the yearly return of each draw.

    One seed draws the same shares of every range whatever its ends are, so that two models can be
    compared draw by draw.

    Args:
        model: `ValueModel`.
        num_samples: int, at least 1. Defaults to `10_000`.
        seed: int of at least 0. Defaults to `0`.

    Returns:
        A `ValueSimulation`.

    Raises:
        ValueError: If `num_samples` is no whole number of at least 1, or `seed` none of at least 0.

    Example:

    >>> year = simulate_value(load_businesses()["support desk"], num_samples=1000)
    >>> bool(year.return_usd.min() < 0 < year.return_usd.max())
    True
    """
    num_samples = check_whole(num_samples, "num_samples", least=1)
    seed = check_whole(seed, "seed", least=0)
    ranges = model.ranges()
    shares = np.random.default_rng(seed).random((len(ranges), num_samples))
    draws = {name: ranges[name].at(u) for name, u in zip(ranges, shares, strict=True)}
    margin_usd, fixed_usd = _margin_and_fixed_usd(draws, model.years)
    pays = margin_usd > 0
    break_even = np.where(pays, fixed_usd / np.where(pays, margin_usd, 1), np.inf)
    return ValueSimulation(draws, draws["hours"] * margin_usd - fixed_usd, break_even)


def break_even_volume(model: ValueModel) -> float:
    """Compute the hours of work in a year from which the middle case pays.

    Args:
        model: `ValueModel`.

    Returns:
        A float, the fixed costs over what an hour returns; infinite if an hour returns nothing.

    Example:

    >>> break_even_volume(load_businesses()["support desk"]) < 102_000
    True
    """
    middle = {name: given.middle for name, given in model.ranges().items()}
    margin_usd, fixed_usd = map(float, _margin_and_fixed_usd(middle, model.years))
    return fixed_usd / margin_usd if margin_usd > 0 else math.inf


def value_sensitivity(model: ValueModel) -> dict[str, tuple[float, float]]:
    """Move each input alone from its low to its high end, with the others at their middle.

    Args:
        model: `ValueModel`.

    Returns:
        A dict from the input's name to the yearly return in US dollars at its low and at its high
        end, the input that moves the return most first.

    Example:

    >>> list(value_sensitivity(load_businesses()["support desk"]))[-1]
    'token_cost_usd'
    """
    ranges = model.ranges()
    middle = {name: given.middle for name, given in ranges.items()}

    def return_usd(name: str, end: float) -> float:
        case = {**middle, name: end}
        margin_usd, fixed_usd = _margin_and_fixed_usd(case, model.years)
        return float(case["hours"] * margin_usd - fixed_usd)

    ends = {name: (return_usd(name, r.low), return_usd(name, r.high)) for name, r in ranges.items()}
    return dict(sorted(ends.items(), key=lambda item: -abs(item[1][1] - item[1][0])))


def load_businesses() -> dict[str, ValueModel]:
    """Return three worked businesses: a support desk, a translation bureau and an online shop.

    The effects are those of studies among the facts, as shares of time saved, and an hour's tokens
    cost what three models in the dated price table ask; all other ranges are assumptions.

    Returns:
        A dict from the name to its `ValueModel`.

    Example:

    >>> list(load_businesses())
    ['support desk', 'translation bureau', 'online shop']
    """
    text = Path(__file__).with_name("businesses.yml").read_text("utf-8")
    businesses = {}
    for name, given in yaml.safe_load(text).items():
        tokens, models = given.pop("tokens_per_hour"), given.pop("models")
        size = dict(zip(("tokens_in", "tokens_out"), tokens, strict=True))
        given["token_cost_usd"] = [token_cost_usd(m, requests=1, **size) for m in models]
        given["effect"] = [_time_saved(effect) for effect in given["effect"]]
        ranges: dict[str, Any] = {key: Range(*ends) for key, ends in given.items()}
        businesses[name] = ValueModel(**ranges)
    return businesses


def _time_saved(effect: float | str) -> float:
    """Turn a study's result into the share of time saved; a number is one already."""
    if not isinstance(effect, str):
        return effect
    value = facts[effect].number
    if effect.endswith("_gain"):  # who does g more in an hour needs 1 / (1 + g) of the time
        return 1 - 1 / (1 + value)
    return -value if effect.endswith("_change") else value
