"""A bill says what something costs, however little or much that is."""

from __future__ import annotations

import pytest


def test_cost_prints_the_bill_with_the_date_of_the_price(run):
    words = ["cost", "--requests", "1e6", "--tokens-in", "200", "--tokens-out", "2"]
    code, out, _ = run(*words, "--model", "gpt-6-luna")
    assert code == 0
    assert "21.00" in out
    assert "2026-11-20" in out
    assert out.startswith("1,000,000 requests of 200 tokens in and 2 out")
    assert len(run(*words)[1].splitlines()) > len(out.splitlines())


def test_cost_repeats_the_numbers_as_they_were_given(run):
    words = ["cost", "--requests", "0.5", "--tokens-in", "1e6", "--tokens-out", "0.25"]
    assert "0.5 requests of 1,000,000 tokens in and 0.25 out" in run(*words)[1]


@pytest.mark.parametrize("requests", ["1e-300", "1e-9", "0.1", "1", "7", "1e3", "1e6", "1e12"])
def test_an_amount_is_printed_to_a_two_hundredth_of_itself(run, requests):
    from companion.economics import token_cost_usd

    words = ["cost", "--tokens-in", "250", "--tokens-out", "2", "--model", "gpt-6-luna"]
    out = run(*words, "--requests", requests)[1]
    shown = float(out.splitlines()[1].split()[1].replace(",", ""))
    size = {"requests": float(requests), "tokens_in": 250, "tokens_out": 2}
    assert shown == pytest.approx(token_cost_usd("gpt-6-luna", **size), rel=0.005)


def test_only_what_is_free_costs_nothing(run):
    words = ["cost", "--tokens-in", "1e-300", "--tokens-out", "0", "--requests"]
    assert " 0.00 " in run(*words, "0")[1]
    assert " 0.00 " not in run(*words, "1e-300")[1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--requests", "-1"], "--requests: give a number of at least 0"),
        (["--tokens-in", "nan"], "--tokens-in: give a number of at least 0"),
        (["--tokens-out", "many"], "--tokens-out: give a number of at least 0"),
        (["--model", "gpt-6-lunar"], "did you mean 'gpt-6-luna'?"),
        (["--requests", "1e300", "--tokens-in", "1e300"], "larger than any number"),
    ],
)
def test_an_impossible_bill_is_refused(run, given, message):
    words = ["cost", "--requests", "1", "--tokens-in", "1", "--tokens-out", "1", *given]
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert message in err
