"""The stored speeds of writing hold together, and what was not measured is named."""

from __future__ import annotations

import re
from typing import Any

import pytest

from benchmarks import decoding
from companion.data import load_measurements


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return load_measurements("decoding")


def test_every_engine_was_timed_in_each_round_or_says_why_not(evidence: dict[str, Any]) -> None:
    rounds = {run["round"] for run in evidence["runs"]}
    assert len(rounds) >= 5
    timed = [(run["round"], run["engine"]) for run in evidence["runs"]]
    engines = [name for name in decoding.ENGINES if name not in evidence["not_measured"]]
    assert timed == [(one, name) for one in sorted(rounds) for name in engines]
    assert all(evidence["not_measured"].values())


def test_a_share_of_what_memory_allows_is_bytes_read_by_bytes_given(
    evidence: dict[str, Any],
) -> None:
    for run in evidence["runs"]:
        bits = decoding.ENGINES[run["engine"]][1]
        read = decoding.PARAMETERS * bits / 8 * run["tokens_per_second"]
        assert run["share_of_bandwidth"] == pytest.approx(read / 1e9 / run["gigabytes_per_second"])
        products = 2 * decoding.PARAMETERS * evidence["prompt_tokens"] / 1e9 / run["gigaflops"]
        assert run["times_product_limit"] == pytest.approx(run["first_token_seconds"] / products)
        assert 0 < run["share_of_bandwidth"] < 1.1  # both speeds are measured, and vary


@pytest.mark.tensorflow
def test_the_model_has_the_parameters_that_the_shares_count() -> None:
    from companion.models import load_language_model

    model = load_language_model().model
    assert model.count_params() == decoding.PARAMETERS


def test_the_table_has_a_line_for_every_engine(evidence: dict[str, Any]) -> None:
    lines = decoding.as_table(evidence).splitlines()[1:]
    for name, line in zip(decoding.ENGINES, lines, strict=True):
        assert re.match(re.escape(name), line)
        assert evidence["not_measured"].get(name, "%") in line
