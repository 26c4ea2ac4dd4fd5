"""The page on trends: its forecasts are those of a straight line, its tests look only backwards."""

from __future__ import annotations

import gzip
import json
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from companion import data, economics, facts
from tools.cells import run_cells

RATES = st.floats(1.2, 9)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ["dates", "load-tests", "load-lines", "build-lines", "runs", "more-runs", "gather"]
    cells += ["fit-trend", "variants", "backtest-run", "lines-walk"]
    names = {"data": data, "economics": economics, "facts": facts, "np": np, "pairwise": pairwise}
    return run_cells("07_outlook/trends", *cells, **names, stats=stats, re=re, gzip=gzip, json=json)


def line(rate: float, count: int = 12) -> list[tuple[float, float, str, str]]:
    return [(2010 + i, rate**i, "maker", f"model {i}") for i in range(count)]


@settings(max_examples=10)
@given(rate=RATES)
def test_constant_growth_is_found_and_forecast_without_error(
    page: dict[str, Any], rate: float
) -> None:
    runs = line(rate)
    assert page["trend"](runs) == pytest.approx([rate] * 3, rel=1e-4)
    assert page["forecast"](runs, 2030)[1] == pytest.approx(20 * np.log10(rate))
    assert all(abs(row[1]) < 1e-6 for row in page["back_test"](runs))


@settings(max_examples=20)
@given(seed=st.integers(0, 50))
def test_the_interval_opens_with_the_distance_and_with_the_level(
    page: dict[str, Any], seed: int
) -> None:
    noise = 10 ** np.random.default_rng(seed).normal(size=12)
    runs = [(t, y * e, m, n) for (t, y, m, n), e in zip(line(3), noise, strict=True)]
    widths = [np.ptp(page["forecast"](runs, year)) for year in (2016, 2022, 2030)]
    assert widths[0] < widths[1] < widths[2]
    assert np.ptp(page["forecast"](runs, 2022, level=0.95)) > widths[1]


def test_a_back_test_sees_nothing_that_came_within_the_gap(page: dict[str, Any]) -> None:
    runs = line(4)
    changed = [*runs[:-1], (*runs[-1][:1], 1e30, *runs[-1][2:])]
    before, after = page["back_test"](runs), page["back_test"](changed)
    assert before[:-1] == after[:-1]
    assert after[-1][1] > before[-1][1] + 10


def test_records_rise_and_the_cheapest_falls(page: dict[str, Any]) -> None:
    best = [run[1] for run in page["records"](page["everything"])]
    assert best == sorted(best)
    assert best[-1] == max(run[1] for run in page["everything"])
    for least in (0.5, 0.6, 0.7, 0.8):
        steps = page["cheapest"](page["TESTS"], least)
        assert np.all(np.diff(steps[:, 0]) >= 0)
        assert np.all(np.diff(steps[:, 1]) < 0)


def test_unseen_giants_are_larger_than_all_that_was_known(page: dict[str, Any]) -> None:
    runs = page["with_giants"](page["published"])
    assert len(runs) == len(page["published"]) + 4
    for i, run in enumerate(runs):
        if run[3] == "unseen":
            assert run[1] > max(other[1] for other in runs[:i] if other[3] != "unseen")


def test_a_line_keeps_its_name_through_versions_and_dates(page: dict[str, Any]) -> None:
    name = page["line_name"]
    assert name("claude-opus-4-5-20251101") == name("claude-opus-4-1") == "claude-opus"
    assert name("gpt-5-mini") == name("gpt-4o-mini") != name("gpt-5")


@given(drift=st.floats(-1, 1))
def test_a_steady_drift_leaves_no_spread_around_it(page: dict[str, Any], drift: float) -> None:
    gap = np.array([0.25, 0.5, 1, 2])
    found, around, still = page["walk"](drift * gap, gap)
    assert found == pytest.approx(drift)
    assert around == pytest.approx(0, abs=1e-9)
    assert still >= around


def test_moves_stop_at_the_date(page: dict[str, Any]) -> None:
    steps = [page["moves"](until).shape[1] for until in (2023, 2025, 2026, np.inf)]
    assert steps[0] == 0
    assert steps == sorted(steps)
    assert steps[1] < steps[-1]
