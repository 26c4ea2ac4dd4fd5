"""The page on faster training: its law holds, and its comparison says what it needs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import companion
from tools.cells import run_cells


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = [
        "speed-up",
        "profile-steps",
        "evidence",
        "tabulate",
        "compare-ways",
        "exercise-padding",
    ]
    return run_cells("04_practice/faster", *cells, np=np, companion=companion)


@given(share=st.floats(0, 1), factor=st.floats(1, 1e6))
def test_the_whole_wins_less_than_its_part(
    page: dict[str, Any], share: float, factor: float
) -> None:
    whole = page["speed_up"](share, factor)
    assert 1 - 1e-9 <= whole <= factor * (1 + 1e-9)
    assert whole * (1 - share) <= 1 + 1e-9
    assert 1 / whole == pytest.approx(1 - share + share / factor)


@given(lengths=st.lists(st.integers(1, 100), min_size=1, max_size=40), size=st.integers(1, 50))
def test_sorting_never_adds_padding(page: dict[str, Any], lengths: list[int], size: int) -> None:
    shares = [page["padding_share"](lengths, size, by_length) for by_length in (False, True)]
    if len(lengths) % size == 0:
        assert shares[1] <= shares[0] + 1e-9
    assert all(-1e-9 <= share < 1 for share in shares)


def test_every_measured_way_is_on_the_page(page: dict[str, Any]) -> None:
    assert set(page["names"]) == {run["variant"] for run in page["evidence"]["runs"]}


def test_two_ways_compared_both_ways_round_cancel(page: dict[str, Any]) -> None:
    there = page["sooner"]["fall, numpy, like lengths"] / page["sooner"]["stop"]
    words = page["names"]
    said = page["compare"](words["fall, numpy, like lengths"], words["stop"])["readouts"][
        "A is sooner than B"
    ]
    assert said == f"{there:.1f} times"


@pytest.mark.parametrize("wrong", ["", None, 3, ["a"], "stop"])
def test_an_unknown_way_says_what_there_is(page: dict[str, Any], wrong: Any) -> None:
    for given_ways in ((wrong, "stops early"), ("stops early", wrong)):
        with pytest.raises(ValueError, match="must be one of"):
            page["compare"](*given_ways)
