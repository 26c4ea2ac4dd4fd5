from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from companion.economics import (
    Range,
    ValueModel,
    ValueSimulation,
    break_even_volume,
    load_businesses,
    simulate_value,
    threshold_value,
    value_per_case,
    value_sensitivity,
)
from companion.economics.factsheet import facts

COSTS = {"cost_miss_usd": 5.0, "cost_false_alarm_usd": 2.0}
MESSAGES = st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=30)
DOLLARS = st.floats(0, 1000)


def simulate(number: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw calibrated probabilities and events that follow them."""
    rng = np.random.default_rng(seed)
    probabilities = rng.uniform(size=number)
    return rng.uniform(size=number) < probabilities, probabilities


def value_by_loop(
    events: Any, probabilities: Any, threshold: float, miss: float, alarm: float, volume: float
) -> float:
    cost = nothing = everything = 0.0
    for event, probability in zip(events, probabilities, strict=True):
        flagged = probability >= threshold
        cost += miss if event and not flagged else alarm if flagged and not event else 0
        nothing += miss if event else 0
        everything += alarm if not event else 0
    return (min(nothing, everything) - cost) * volume / len(events)


@given(messages=MESSAGES, miss=DOLLARS, alarm=DOLLARS, volume=st.floats(0, 1e6))
@settings(max_examples=25, deadline=None)
def test_values_equal_a_loop_over_the_messages(
    messages: list[tuple[bool, float]], miss: float, alarm: float, volume: float
) -> None:
    events, probabilities = zip(*messages, strict=True)
    result = threshold_value(
        events, probabilities, cost_miss_usd=miss, cost_false_alarm_usd=alarm, volume=volume
    )
    expected = [
        value_by_loop(events, probabilities, t, miss, alarm, volume) for t in result.thresholds
    ]
    np.testing.assert_allclose(result.value_usd, expected, rtol=1e-9, atol=1e-6)
    assert result.best_value_usd == result.value_usd.max()


@given(messages=MESSAGES, miss=DOLLARS, alarm=DOLLARS)
@settings(max_examples=25, deadline=None)
def test_the_best_threshold_never_loses_money(
    messages: list[tuple[bool, float]], miss: float, alarm: float
) -> None:
    events, probabilities = zip(*messages, strict=True)
    result = threshold_value(
        events, probabilities, cost_miss_usd=miss, cost_false_alarm_usd=alarm, volume=1000
    )
    assert result.best_value_usd >= 0


def test_the_ends_flag_everything_and_nothing() -> None:
    events, probabilities = simulate()
    result = threshold_value(events, probabilities, **COSTS, volume=len(events))
    misses, alarms = events.sum() * 5.0, (~events).sum() * 2.0
    assert result.thresholds[0] == 0
    assert result.value_usd[0] == pytest.approx(min(misses, alarms) - alarms)
    assert result.thresholds[-1] > 1
    assert result.value_usd[-1] == pytest.approx(min(misses, alarms) - misses)


def test_mistakes_that_cost_nothing_leave_nothing_to_save() -> None:
    events, probabilities = simulate()
    free = threshold_value(
        events, probabilities, cost_miss_usd=0, cost_false_alarm_usd=0, volume=1e6
    )
    assert not free.value_usd.any()
    cheap = threshold_value(
        events, probabilities, cost_miss_usd=0, cost_false_alarm_usd=1, volume=1e6
    )
    assert cheap.best_value_usd == 0  # flagging nothing is free already


def test_value_grows_in_proportion_to_the_volume() -> None:
    once = threshold_value(*simulate(), **COSTS, volume=1000)
    thrice = threshold_value(*simulate(), **COSTS, volume=3000)
    np.testing.assert_allclose(thrice.value_usd, 3 * once.value_usd)
    assert thrice.best_threshold == once.best_threshold


def test_a_perfect_model_saves_the_whole_cost_of_the_cheaper_policy() -> None:
    events, _ = simulate()
    result = threshold_value(events, events.astype(float), **COSTS, volume=len(events))
    assert result.best_value_usd == pytest.approx(min(events.sum() * 5.0, (~events).sum() * 2.0))


@pytest.mark.parametrize("miss", [1.0, 3.0, 9.0])
def test_calibrated_probabilities_have_their_best_threshold_where_theory_puts_it(
    miss: float,
) -> None:
    events, probabilities = simulate(number=200_000)
    result = threshold_value(
        events, probabilities, cost_miss_usd=miss, cost_false_alarm_usd=1, volume=1
    )
    assert result.best_threshold == pytest.approx(1 / (miss + 1), abs=0.03)  # Elkan, 2001


def test_of_equally_good_thresholds_the_lowest_is_taken() -> None:
    result = threshold_value([0, 1], [0.2, 0.8], **COSTS, volume=1, thresholds=[0.7, 0.5, 0.3])
    assert result.best_threshold == 0.7  # the first, in the caller's order
    assert threshold_value([0, 1], [0.2, 0.8], **COSTS, volume=1).best_threshold == 0.21


@given(messages=MESSAGES, threshold=st.integers(0, 101), miss=DOLLARS, alarm=DOLLARS)
@settings(max_examples=25, deadline=None)
def test_the_mean_of_the_messages_is_the_value_of_the_threshold(
    messages: list[tuple[bool, float]], threshold: int, miss: float, alarm: float
) -> None:
    events, probabilities = map(np.array, zip(*messages, strict=True))
    costs = {"cost_miss_usd": miss, "cost_false_alarm_usd": alarm}
    result = threshold_value(events, probabilities, **costs, volume=1000)
    flagged = probabilities >= result.thresholds[threshold]
    saved = value_per_case(events, flagged, **costs)
    np.testing.assert_allclose(saved.mean() * 1000, result.value_usd[threshold], atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost_miss_usd": -1}, "cost_miss_usd must be a number of at least 0, but is -1"),
        ({"cost_false_alarm_usd": float("nan")}, "cost_false_alarm_usd .* but is nan"),
        ({"cost_miss_usd": float("inf")}, "cost_miss_usd .* but is inf"),
        ({"volume": -5}, "volume must be a number of at least 0, but is -5"),
        ({"volume": "many"}, "volume must be a number of at least 0, but is 'many'"),
        ({"probabilities": [0.5, 1.5]}, "between 0 and 1, but one is 1.5"),
        ({"probabilities": [0.5, float("nan")]}, "between 0 and 1, but one is nan"),
        ({"probabilities": [0.5]}, r"must have shape \(2,\), but have shape \(1,\)"),
        ({"events": [0, 2]}, "events must hold only 0 and 1, but holds 2"),
        ({"events": [0.3, 0.9]}, "Turn probabilities into decisions first"),
        ({"events": []}, r"at least one value, but has shape \(0,\)"),
        ({"thresholds": []}, r"thresholds must be a list of numbers, but is \[\]"),
        ({"thresholds": [float("nan")]}, "thresholds must be a list of numbers"),
    ],
)
def test_impossible_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments = {"events": [0, 1], "probabilities": [0.1, 0.9], **COSTS, "volume": 10, **change}
    with pytest.raises(ValueError, match=message):
        threshold_value(**arguments)


def test_decisions_must_be_as_many_as_events() -> None:
    with pytest.raises(ValueError, match="events has 2 values and flagged 1"):
        value_per_case([0, 1], [1], **COSTS)


def test_events_and_costs_of_a_case_are_named() -> None:
    with pytest.raises(ValueError, match=r"^events must hold only 0 and 1"):
        value_per_case([0, 2], [0, 1], **COSTS)
    for name in COSTS:
        with pytest.raises(ValueError, match=f"^{name} must be a number"):
            value_per_case([0, 1], [0, 1], **COSTS | {name: -1})


ENDS = st.tuples(*[st.floats(0, 1)] * 3).map(sorted)
RATES = ("task_share", "adoption", "realised_share")


@st.composite
def value_models(draw: Any, effect: Any = ENDS) -> ValueModel:
    def some(scale: float = 1.0, start: float = 0.0) -> Range:
        return Range(*(start + scale * x for x in draw(ENDS)))

    return ValueModel(
        hours=some(1e5, 1),
        effect=Range(*draw(effect)),
        hourly_cost_usd=some(100),
        token_cost_usd=some(10),
        upkeep_usd=some(1e5),
        switch_cost_usd=some(1e5),
        **{name: some() for name in RATES},
    )


@given(ends=ENDS, shares=st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_a_range_is_never_left_and_rises_with_the_share(
    ends: list[float], shares: list[float]
) -> None:
    values = Range(*ends).at(sorted(shares))
    assert ends[0] <= values.min() <= values.max() <= ends[2]
    assert (np.diff(values) >= -1e-9).all()


def test_a_range_is_drawn_as_scipy_draws_a_triangle() -> None:
    shares = np.linspace(0, 1, 101)
    expected = stats.triang(c=0.25, loc=2, scale=8).ppf(shares)
    np.testing.assert_allclose(Range(2, 4, 10).at(shares), expected, atol=1e-6)


@given(model=value_models(), more=st.floats(1, 10))
@settings(max_examples=25)
def test_more_hours_never_lower_the_return_where_an_hour_pays(
    model: ValueModel, more: float
) -> None:
    free = replace(model, token_cost_usd=Range(0, 0, 0))  # and no effect is below zero
    larger = replace(free, hours=Range(*(more * x for x in vars(free.hours).values())))
    few, many = (simulate_value(m, num_samples=200).return_usd for m in (free, larger))
    assert (many >= few - 1e-6).all()


@given(model=value_models(effect=st.tuples(*[st.floats(-1, 1)] * 3).map(sorted)))
@settings(max_examples=25)
def test_a_draw_loses_money_where_its_hours_are_below_its_break_even(model: ValueModel) -> None:
    run = simulate_value(model, num_samples=200)
    clear = np.abs(run.return_usd) > 1e-6  # not within rounding of zero
    below = run.draws["hours"] < run.break_even_hours
    assert ((run.return_usd < 0) == below)[clear].all()


@given(model=value_models())
@settings(max_examples=25)
def test_at_the_break_even_volume_the_likeliest_case_returns_nothing(model: ValueModel) -> None:
    hours = break_even_volume(model)
    likeliest = {name: Range(*[r.middle] * 3) for name, r in model.ranges().items()}
    if 1 <= hours < 1e9:
        there = replace(model, **likeliest | {"hours": Range(hours, hours, hours)})
        assert simulate_value(there, num_samples=1).return_usd[0] == pytest.approx(0, abs=1e-3)


def test_lost_time_is_lost_in_full_whatever_is_made_of_saved_time() -> None:
    slower = replace(load_businesses()["support desk"], effect=Range(-0.2, -0.1, -0.05))
    careful, careless = (
        simulate_value(replace(slower, realised_share=Range(r, r, r)), num_samples=50).return_usd
        for r in (1.0, 0.0)
    )
    np.testing.assert_allclose(careful, careless)
    assert break_even_volume(slower) == np.inf


def test_the_sensitivity_shows_every_input_and_the_widest_first() -> None:
    model = load_businesses()["online shop"]
    widths = [abs(high - low) for low, high in value_sensitivity(model).values()]
    assert widths == sorted(widths, reverse=True)
    assert set(value_sensitivity(model)) == set(model.ranges())


def test_an_input_without_a_range_moves_nothing() -> None:
    model = replace(load_businesses()["online shop"], hours=Range(4000, 4000, 4000))
    assert list(value_sensitivity(model).items())[-1][0] == "hours"


def test_the_businesses_take_effects_and_prices_from_the_facts() -> None:
    businesses = load_businesses()
    desk, bureau = businesses["support desk"], businesses["translation bureau"]
    assert desk.effect.middle == pytest.approx(1 - 1 / 1.15)
    assert bureau.effect == Range(-0.19, 0.251, 0.4)  # slower experts, consultants, writers
    per_million = (
        facts["gpt_6_luna_input_price_usd"].value,
        facts["gpt_6_luna_output_price_usd"].value,
    )
    assert desk.token_cost_usd.low == pytest.approx(0.03 * per_million[0] + 0.004 * per_million[1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hours": (0, 0, 0)}, "hours must be a Range from 1 to inf"),
        ({"hours": (-5, 5, 10)}, "hours must be a Range from 1 to inf"),
        ({"upkeep_usd": (-1, 0, 1)}, "upkeep_usd must be a Range from 0"),
        ({"adoption": (0, 0.5, 1.5)}, "adoption must be a Range from 0 to 1"),
        ({"effect": (0, 1, 1e9)}, "effect must be a Range from -10 to 1"),
        ({"effect": (0.3, 0.2, 0.4)}, "low <= middle <= high"),
        ({"effect": (0, float("nan"), 1)}, "finite numbers low <= middle"),
        ({"effect": ("a", 1, 2)}, r"finite numbers .* but was given \('a', 1, 2\)"),
        ({"effect": (None, 1, 2)}, r"finite numbers .* but was given \(None, 1, 2\)"),
    ],
)
def test_impossible_ranges_are_named(change: dict[str, Any], message: str) -> None:
    model = load_businesses()["support desk"]
    with pytest.raises(ValueError, match=message):
        replace(model, **{name: Range(*ends) for name, ends in change.items()})


def test_a_plain_number_is_no_range_and_years_and_draws_must_be_there() -> None:
    model = load_businesses()["support desk"]
    for change in ({"hours": 4e4}, {"years": 0}, {"years": float("nan")}, {"years": "three"}):
        with pytest.raises(ValueError, match="must be a"):
            replace(model, **change)
    for number in (0, 1.5, "many"):
        with pytest.raises(ValueError, match=f"num_samples must be a whole .* {number!r}"):
            simulate_value(model, num_samples=number)


def test_a_draw_that_returns_nothing_is_no_loss() -> None:
    returns = np.array([-1.0, 0.0, 0.0, 2.0])
    assert ValueSimulation({}, returns, np.ones(4)).loss_probability == 0.25


def test_where_both_policies_cost_the_same_silence_is_the_one_to_beat() -> None:
    saved = value_per_case([1, 0], [0, 0], cost_miss_usd=5, cost_false_alarm_usd=5)
    assert saved.tolist() == [0, 0]


def test_a_seed_fixes_the_draws_and_another_changes_them() -> None:
    model = load_businesses()["support desk"]
    first, again, other = (
        simulate_value(model, num_samples=20, seed=s).return_usd for s in (0, 0, 1)
    )
    assert (first == again).all()
    assert (first != other).all()
    asked_for_less = simulate_value(model)
    assert len(asked_for_less.return_usd) == 10_000
    assert (asked_for_less.return_usd == simulate_value(model, seed=0).return_usd).all()


@pytest.mark.parametrize(("name", "rises"), [("hours", True), ("switch_cost_usd", False)])
def test_the_sensitivity_gives_the_return_at_the_low_end_first(name: str, rises: bool) -> None:
    model = load_businesses()["support desk"]
    ends = value_sensitivity(model)[name]
    fixed = {key: Range(*[r.middle] * 3) for key, r in model.ranges().items()}
    given = model.ranges()[name]
    expected = [
        simulate_value(replace(model, **fixed | {name: Range(e, e, e)}), num_samples=1).return_usd
        for e in (given.low, given.high)
    ]
    assert ends == pytest.approx([float(e[0]) for e in expected])
    assert (ends[0] < ends[1]) is rises
