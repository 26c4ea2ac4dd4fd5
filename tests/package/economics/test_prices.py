"""Bills and break-even volumes are right for every price, and wrong amounts are refused."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.economics import TokenPrice, break_even_requests, load_prices, token_cost_usd
from companion.economics.factsheet import facts

amounts = st.floats(0, 1e9)


def test_every_price_is_a_dated_fact():
    prices = load_prices()
    assert len(prices) >= 10
    for price in prices.values():
        assert price.date == "2026-11-20"
        assert 0 < price.input_usd < price.output_usd
    assert prices["gpt-6-luna"].input_usd == facts["gpt_6_luna_input_price_usd"].value
    assert prices["claude-opus-5-5"].output_usd == facts["claude_opus_55_output_price_usd"].value


@given(requests=amounts, tokens_in=amounts, tokens_out=amounts)
def test_a_bill_is_the_sum_of_both_directions(requests, tokens_in, tokens_out):
    price = TokenPrice("any", 3.0, 7.0, "2026-11-20")
    bill = token_cost_usd(price, requests=requests, tokens_in=tokens_in, tokens_out=tokens_out)
    both = requests * tokens_in * 3 / 1e6, requests * tokens_out * 7 / 1e6
    assert math.isclose(bill, sum(both), abs_tol=1e-300)


@given(api=st.floats(1e-6, 1), own=st.floats(0, 1), fixed=st.floats(0, 1e6))
def test_below_the_break_even_the_api_is_cheaper_and_above_the_own_model(api, own, fixed):
    volume = break_even_requests(api, fixed_usd=fixed, own_request_usd=own)
    if own >= api:
        assert volume == math.inf
        return
    saving = api - own
    assert saving * volume * 1.01 >= fixed * 0.999
    assert saving * volume * 0.99 <= fixed * 1.001


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "10", None, True])
@pytest.mark.parametrize(
    ("formula", "amounts"),
    [
        (break_even_requests, {"request_usd": 1, "fixed_usd": 1, "own_request_usd": 1}),
        (token_cost_usd, {"requests": 1, "tokens_in": 1, "tokens_out": 1}),
    ],
)
def test_an_impossible_amount_is_named(formula, amounts, wrong):
    model = {"model": "gpt-6-luna"} if formula is token_cost_usd else {}
    for name in amounts:
        with pytest.raises(ValueError, match=f"{name} must be a number of at least 0"):
            formula(**model, **amounts | {name: wrong})


def test_an_unknown_model_gets_a_close_match():
    with pytest.raises(ValueError, match="did you mean 'gpt-6-luna'"):
        token_cost_usd("gpt-6-lunar", requests=1, tokens_in=1, tokens_out=1)
