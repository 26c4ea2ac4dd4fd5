"""What the page on a product claims: its watch, its prices, its explorer, beyond its own cells."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion
from tools.cells import run_cells

PAGE = "04_practice/product"
START = {"volume": 1e6, "tokens": 200, "model": "o1", "machine_usd": 0.1, "days": 20}


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    start = {"np": np, "companion": companion, "idle": 876.0}
    start["test_texts"] = companion.data.load_food_reviews().test.texts
    return run_cells(PAGE, "tokens", "break-even", "explorer-function", **start)


@pytest.fixture(scope="module")
def psi() -> Any:
    start = {"np": np, "rng": np.random.default_rng(0), "normal_texts": None}

    class Exported:
        def predict_proba(self, texts: Any) -> np.ndarray:
            scores = np.linspace(0, 1, 1000)
            return np.stack([1 - scores, scores], axis=1)

    return run_cells(PAGE, "psi", exported=Exported(), **start)["psi"]


def test_the_extremes_are_those_of_all_prices(page: dict[str, Any]) -> None:
    bills = {name: page["request_usd"](name) for name in companion.economics.load_prices()}
    assert bills[page["some"][0]] == min(bills.values())
    assert bills[page["some"][-1]] == max(bills.values())
    assert page["cheapest"] > 5e8 > page["dearest"]


@given(shift=st.floats(0.2, 5), size=st.integers(20, 500))
@settings(max_examples=30, deadline=None)
def test_the_index_is_never_negative_and_nothing_for_the_same_scores(
    psi: Any, shift: float, size: int
) -> None:
    normal = np.linspace(0, 1, 1000)
    assert psi(normal, normal) == 0
    assert psi(normal, np.linspace(0, 1, size) ** shift) >= 0


class TestExplorer:
    @pytest.mark.parametrize("wrong", [-1, 1e13, math.nan, math.inf, "many", True])
    @pytest.mark.parametrize("name", ["volume", "tokens", "machine_usd", "days"])
    def test_it_refuses_impossible_numbers(
        self, page: dict[str, Any], name: str, wrong: object
    ) -> None:
        with pytest.raises(ValueError, match="must lie between 0 and 1e12"):
            page["build_or_buy"](**{**START, name: wrong})

    def test_it_says_which_models_there_are(self, page: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"allowed are .*gpt-5-nano"):
            page["build_or_buy"](**{**START, "model": "none"})

    def test_a_bill_of_cents_is_not_nothing(self, page: dict[str, Any]) -> None:
        few = {**START, "volume": 10}
        assert page["build_or_buy"](**few)["readouts"]["Buy, a year"] == "under 1 USD"
        # o1 writes 300 unseen tokens before each answer, at 60 USD a million.
        assert page["build_or_buy"](**START)["readouts"]["Buy, a year"] == "21,100 USD"
