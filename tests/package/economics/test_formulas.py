"""Each formula against its definition: no flipped sign, dropped factor or step aside passes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.economics import (
    Range,
    TokenPrice,
    ValueModel,
    break_even_requests,
    break_even_volume,
    facts,
    load_businesses,
    load_prices,
    simulate_value,
    threshold_value,
    token_cost_usd,
    value_per_case,
    value_sensitivity,
)

MONEY = st.integers(1, 500).map(float)
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 100)), min_size=1, max_size=25)
INPUTS = {
    "hours": 1000.0,
    "task_share": 0.5,
    "adoption": 0.8,
    "effect": 0.25,
    "realised_share": 0.6,
    "hourly_cost_usd": 40.0,
    "token_cost_usd": 2.0,
    "upkeep_usd": 300.0,
    "switch_cost_usd": 900.0,
}


def certain(years: float = 3, **change: float) -> ValueModel:
    """A value model whose inputs are known exactly."""
    ranges: dict[str, Any] = {name: Range(x, x, x) for name, x in (INPUTS | change).items()}
    return ValueModel(**ranges, years=years)


def yearly(model: ValueModel) -> float:
    return float(simulate_value(model, num_samples=1).return_usd[0])


def test_the_return_is_the_formula_of_the_docstring() -> None:
    # 1000 h * 0.5 * 0.8 = 400 h; an hour saves 0.25 * 0.6 * 40 = 6 USD and costs 2 USD of tokens.
    assert yearly(certain()) == pytest.approx(400 * (6 - 2) - 300 - 900 / 3)
    assert yearly(certain(years=1)) == pytest.approx(400 * (6 - 2) - 300 - 900)
    assert yearly(certain(effect=-0.25)) == pytest.approx(400 * (-10 - 2) - 300 - 300)


@given(
    hours=st.floats(1, 1e5),
    shares=st.tuples(*[st.floats(0, 1)] * 3),
    effect=st.floats(-1, 1),
    money=st.tuples(*[st.floats(0, 1e3)] * 4),
    years=st.floats(0.5, 10),
)
def test_the_return_is_its_formula_for_every_input(
    hours: float, shares: Any, effect: float, money: Any, years: float
) -> None:
    task, adoption, realised = shares
    hourly, tokens, upkeep, switch = money
    given = dict(zip(INPUTS, (hours, task, adoption, effect, realised, *money), strict=True))
    put_to_use = effect * realised if effect > 0 else effect
    expected = hours * task * adoption * (put_to_use * hourly - tokens) - upkeep - switch / years
    assert yearly(certain(years, **given)) == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_the_break_even_is_where_the_fixed_costs_are_earned() -> None:
    # 0.4 of an hour is in use, and returns 4 USD: 1.6 USD an hour, 600 USD to earn.
    assert break_even_volume(certain()) == pytest.approx(600 / 1.6)
    run = simulate_value(certain(), num_samples=1)
    assert run.break_even_hours[0] == pytest.approx(600 / 1.6)
    for useless in ({"effect": 0.0}, {"token_cost_usd": 6.0}, {"adoption": 0.0}):
        assert break_even_volume(certain(**useless)) == math.inf
        assert simulate_value(certain(**useless), num_samples=1).break_even_hours[0] == math.inf


def test_the_mean_of_the_draws_is_the_expectation_of_the_formula() -> None:
    spread = {name: Range(x * 0.5, x, x * 1.2) for name, x in INPUTS.items()}
    run = simulate_value(ValueModel(**spread), num_samples=100_000, seed=1)  # type: ignore[arg-type]
    mean = {name: x * (0.5 + 1 + 1.2) / 3 for name, x in INPUTS.items()}  # of a triangle
    in_use = mean["hours"] * mean["task_share"] * mean["adoption"]
    saved = mean["effect"] * mean["realised_share"] * mean["hourly_cost_usd"]
    expected = in_use * (saved - mean["token_cost_usd"])
    expected -= mean["upkeep_usd"] + mean["switch_cost_usd"] / 3
    error = run.return_usd.std() / math.sqrt(len(run.return_usd))
    assert abs(run.return_usd.mean() - expected) < 4 * error
    for name, drawn in run.draws.items():
        error = drawn.std() / math.sqrt(len(drawn))
        assert abs(drawn.mean() - mean[name]) < 4 * error, name


def test_inputs_are_drawn_independently() -> None:
    draws = simulate_value(load_businesses()["support desk"], num_samples=20_000).draws
    together = np.corrcoef(list(draws.values())) - np.eye(len(draws))
    assert np.abs(together).max() < 0.04


@given(ends=st.tuples(*[st.integers(-50, 50)] * 3).map(sorted), share=st.floats(0, 1))
def test_below_a_drawn_value_lies_its_share_of_the_triangle(ends: list[int], share: float) -> None:
    low, middle, high = ends
    x = float(Range(*ends).at(share))
    if low == high:
        assert x == low
    elif x <= middle and middle > low:
        assert (x - low) ** 2 / ((high - low) * (middle - low)) == pytest.approx(share, abs=1e-9)
    else:
        over = (high - x) ** 2 / ((high - low) * (high - middle)) if high > middle else 0.0
        assert 1 - over == pytest.approx(share, abs=1e-9)


def test_the_sensitivity_moves_one_input_and_holds_the_others_at_their_middle() -> None:
    model = replace(certain(), effect=Range(0.2, 0.25, 0.4), upkeep_usd=Range(0, 300, 1000))
    moved = value_sensitivity(model)
    assert list(moved)[:2] == ["effect", "upkeep_usd"]
    ends = [400 * (effect * 0.6 * 40 - 2) - 600 for effect in (0.2, 0.4)]
    assert moved["effect"] == pytest.approx(ends)
    assert moved["upkeep_usd"] == pytest.approx((1600 - 300, 1600 - 1000 - 300))
    assert moved["hours"] == pytest.approx((1000, 1000))


@given(cases=CASES, miss=MONEY, alarm=MONEY)
def test_no_decision_beats_the_best_threshold_of_all_that_differ(
    cases: list[tuple[bool, int]], miss: float, alarm: float
) -> None:
    events, hundredths = map(np.array, zip(*cases, strict=True))
    probabilities = hundredths / 100
    every = sorted({*probabilities.tolist(), 2.0})  # one for each way of deciding
    costs = {"cost_miss_usd": miss, "cost_false_alarm_usd": alarm}
    found = threshold_value(events, probabilities, **costs, volume=len(events), thresholds=every)
    costs_usd = [
        sum(
            miss if event and p < t else alarm if not event and p >= t else 0.0
            for event, p in zip(events, probabilities, strict=True)
        )
        for t in every
    ]
    without = min(miss * events.sum(), alarm * (~events).sum())
    np.testing.assert_allclose(found.value_usd, without - np.array(costs_usd), atol=1e-9)
    assert found.best_threshold == every[int(np.argmin(costs_usd))]


@given(cases=CASES, miss=MONEY, alarm=MONEY, volume=st.integers(1, 10**6))
def test_twice_as_dear_or_twice_as_many_is_worth_twice_as_much(
    cases: list[tuple[bool, int]], miss: float, alarm: float, volume: int
) -> None:
    events, hundredths = map(np.array, zip(*cases, strict=True))

    def worth(factor: float, number: float) -> Any:
        return threshold_value(
            events,
            hundredths / 100,
            cost_miss_usd=factor * miss,
            cost_false_alarm_usd=factor * alarm,
            volume=number,
        ).value_usd

    np.testing.assert_allclose(worth(2, volume), 2 * worth(1, volume))
    np.testing.assert_allclose(worth(1, 2 * volume), 2 * worth(1, volume))


@given(cases=st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30), miss=MONEY)
def test_a_case_saves_what_the_cheaper_policy_would_have_cost_it(
    cases: list[tuple[bool, bool]], miss: float
) -> None:
    events, flagged = map(np.array, zip(*cases, strict=True))
    saved = value_per_case(events, flagged, cost_miss_usd=miss, cost_false_alarm_usd=7)
    silent = miss * events.sum() <= 7 * (~events).sum()
    for event, flag, amount in zip(events, flagged, saved, strict=True):
        before = (miss if event else 0) if silent else (0 if event else 7)
        after = (0 if event else 7) if flag else (miss if event else 0)
        assert amount == before - after


@given(
    api=st.floats(1e-4, 1), own=st.floats(0, 0.9), fixed=st.floats(1, 1e6), more=st.floats(1.01, 9)
)
def test_at_the_break_even_both_cost_the_same(
    api: float, own: float, fixed: float, more: float
) -> None:
    own *= api
    volume = break_even_requests(api, fixed_usd=fixed, own_request_usd=own)
    assert api * volume == pytest.approx(fixed + own * volume, rel=1e-9)
    assert api * volume * more > fixed + own * volume * more


def test_an_own_request_that_costs_as_much_never_pays() -> None:
    assert break_even_requests(0.5, fixed_usd=0, own_request_usd=0.5) == math.inf
    assert break_even_requests(0.5, fixed_usd=0) == 0
    assert break_even_requests(0.5, fixed_usd=10) == 20


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 50))
def test_a_bill_is_linear_in_requests_and_in_tokens(
    requests: float, tokens_in: float, tokens_out: float, factor: float
) -> None:
    price = TokenPrice("any", 2.0, 8.0, "2026-11-20")

    def bill(requests: float, tokens_in: float, tokens_out: float) -> float:
        return token_cost_usd(price, requests=requests, tokens_in=tokens_in, tokens_out=tokens_out)

    whole = bill(requests, tokens_in, tokens_out)
    assert bill(factor * requests, tokens_in, tokens_out) == pytest.approx(factor * whole)
    assert bill(requests, factor * tokens_in, factor * tokens_out) == pytest.approx(factor * whole)
    parts = bill(requests, tokens_in, 0) + bill(requests, 0, tokens_out)
    assert parts == pytest.approx(whole)
    assert bill(1, 1e6, 0) == 2
    assert bill(1, 0, 1e6) == 8


def test_prices_are_listed_from_the_cheapest_input_and_name_their_model() -> None:
    prices = load_prices()
    inputs = [price.input_usd for price in prices.values()]
    assert inputs == sorted(inputs)
    for name, price in prices.items():
        assert price.model == name
        of_model = [f for f in facts.values() if f.model == name and f.date == price.date]
        assert {f.number for f in of_model} == {price.input_usd, price.output_usd}


def test_every_price_of_the_businesses_is_that_of_its_model() -> None:
    shop = load_businesses()["online shop"]
    asked = [
        token_cost_usd(name, requests=1, tokens_in=20_000, tokens_out=8_000)
        for name in ("gpt-6-luna", "gpt-6.1-sol", "gpt-6-astra")
    ]
    assert [shop.token_cost_usd.low, shop.token_cost_usd.middle, shop.token_cost_usd.high] == asked


@pytest.mark.parametrize("wrong", [True, False, np.True_])
def test_a_truth_value_is_no_amount_of_money(wrong: object) -> None:
    amounts: dict[str, Any] = {"cost_miss_usd": wrong, "cost_false_alarm_usd": 1}
    with pytest.raises(ValueError, match="cost_miss_usd must be a number of at least 0"):
        threshold_value([0, 1], [0.1, 0.9], **amounts, volume=1)
    with pytest.raises(ValueError, match="cost_miss_usd must be a number of at least 0"):
        value_per_case([0, 1], [0, 1], **amounts)
    with pytest.raises(ValueError, match="finite numbers"):
        Range(wrong, 1, 2)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="years must be a number above 0"):
        certain(years=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="request_usd must be a number"):
        break_even_requests(wrong, fixed_usd=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("texts", [["a", "b"], [None, 1], ["0", "1"]])
def test_texts_are_no_events(texts: list[Any]) -> None:
    costs = {"cost_miss_usd": 1.0, "cost_false_alarm_usd": 1.0}
    with pytest.raises(ValueError, match="events must hold only 0 and 1, as numbers"):
        threshold_value(texts, [0.1, 0.9], **costs, volume=1)
    with pytest.raises(ValueError, match="flagged must hold only 0 and 1, as numbers"):
        value_per_case([0, 1], texts, **costs)
    with pytest.raises(ValueError, match="probabilities must be numbers"):
        threshold_value([0, 1], [None, "much"], **costs, volume=1)  # type: ignore[list-item]
    with pytest.raises(ValueError, match="thresholds must be a list of numbers"):
        threshold_value([0, 1], [0.1, 0.9], **costs, volume=1, thresholds=["low"])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="thresholds must be a list of numbers"):
        threshold_value([0, 1], [0.1, 0.9], **costs, volume=1, thresholds=[[0.5]])


@pytest.mark.parametrize("seed", [-1, 1.5, None, True])
def test_a_seed_is_a_whole_number(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        simulate_value(certain(), seed=seed)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    few = simulate_value(certain(), num_samples=np.int64(3), seed=np.int32(1))  # type: ignore[arg-type]
    assert few.return_usd.shape == (3,)
    assert Range(np.float32(0), np.int64(1), 2.0).middle == 1
