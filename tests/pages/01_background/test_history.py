"""What the page on history claims: its count, its growth rates, its three tests, its explorer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

import companion
from companion.economics.factsheet import facts
from tools.cells import run_cells

YEARS = st.lists(st.integers(1950, 2025), min_size=4, max_size=12, unique=True)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["count", "milestones", "milestones-since-2025", "read-milestones", "fit-growth"]
    names.append("explorer-function")
    rooms = {"evaluation": companion.evaluation, "teaching": companion.teaching}
    given = {"np": np, "stats": stats, "facts": facts, **rooms}
    return run_cells("01_background/history", *names, **given)


@pytest.mark.tensorflow
def test_the_formula_counts_what_keras_counts(page: dict[str, Any]) -> None:
    program = companion.models.build_lstm_classifier(mask_zero=False)
    assert page["source_lstm"] == program.count_params()


def test_the_formula_adds_up_the_arrays_of_the_network() -> None:
    words, d, h = sympy.symbols("V d h", positive=True)
    arrays = [(words, d), *[(d, h), (h, h), (h, 1)] * 4, (h, 1), (1, 1)]
    formula = words * d + 4 * (d + h + 1) * h + h + 1
    assert sympy.expand(sum(rows * columns for rows, columns in arrays) - formula) == 0


@given(years=YEARS, factor=st.floats(0.2, 20))
def test_a_constant_growth_factor_is_found_again(
    page: dict[str, Any], years: list[int], factor: float
) -> None:
    values = [factor ** ((year - 1990) / 2) for year in years]
    found = page["growth"](years, values)
    assert found.estimate == pytest.approx(np.sqrt(factor), rel=1e-6)


@given(years=YEARS, seed=st.integers(0, 1000))
def test_the_rate_and_its_interval_are_those_of_scipy(
    page: dict[str, Any], years: list[int], seed: int
) -> None:
    values = np.random.default_rng(seed).lognormal(size=len(years))
    line = stats.linregress(years, np.log10(values))
    quantile = stats.t.ppf(0.975, len(years) - 2)
    ends = 10 ** (line.slope + quantile * line.stderr * np.array([-1, 0, 1]))
    found = page["growth"](years, values)
    np.testing.assert_allclose([found.low, found.estimate, found.high], ends, rtol=1e-6)


def test_the_interval_holds_the_true_rate_as_often_as_it_says(page: dict[str, Any]) -> None:
    rng, years = np.random.default_rng(0), np.linspace(2012, 2024, 10)
    noise = rng.normal(scale=0.5, size=(400, 10))
    held = [
        page["growth"](years, 10 ** (0.5 * (years - 2012) + e)).contains(10**0.5) for e in noise
    ]
    assert 0.92 < np.mean(held) < 0.98


def test_every_point_is_a_fact_of_a_published_number(page: dict[str, Any]) -> None:
    every = {id(facts[key]) for key in facts}
    for measure, found in page["points"].items():
        assert all(id(fact) in every and fact.value > 0 for _, _, fact in found), measure
    assert "GPT-4" not in [name for found in page["points"].values() for _, name, _ in found]


def test_dates_lie_in_their_months(page: dict[str, Any]) -> None:
    assert page["when"](facts["gpt3_parameters"]) == pytest.approx(2020 + 4.5 / 12)  # in May
    assert page["when"](facts["backpropagation_year"]) == 1986.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("size", 2012), "measure is 'size'; choose one of"),
        ((["compute"], 2012), r"measure is \['compute'\]; choose one of"),
        (("compute", float("nan")), "since must be a year, a number, but is nan"),
        (("compute", "abc"), "since must be a year, a number, but is 'abc'"),
        (("compute", None), "since must be a year, a number, but is None"),
        (("compute", 1e9), "0 models since 1000000000.0"),
        (("parameters", 2026.2), "1 models since 2026.2; a line with an interval needs three"),
    ],
)
def test_the_explorer_names_what_it_cannot_fit(
    page: dict[str, Any], arguments: tuple[Any, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        page["fitted_growth"](*arguments)


def test_a_year_before_all_models_takes_them_all(page: dict[str, Any]) -> None:
    early, all_of_them = (page["fitted_growth"]("compute", year) for year in (-1e9, 1986))
    assert early == all_of_them


def test_the_heaviest_model_is_the_heaviest_in_any_order_and_unit(page: dict[str, Any]) -> None:
    cells = run_cells("01_background/history", "exercise-project-solution", **page)
    years, _, values = page["series"]("compute", 2012)
    place = cells["find_heaviest"](years, values)
    assert cells["find_heaviest"](years[::-1], values[::-1]) == len(years) - 1 - place
    assert cells["find_heaviest"](years, [1000 * value for value in values]) == place


def test_the_checker_of_the_heaviest_says_where_each_wrong_answer_fails(
    page: dict[str, Any],
) -> None:
    names = ["exercise-project-solution", "exercise-project"]
    cells = run_cells("01_background/history", *names, **page)
    wrong = [lambda t, y: 0, lambda t, y: int(np.argmin(y)), lambda t, y: int(np.argmin(t))]
    wrong.append(lambda t, y: cells["find_heaviest"](t, y, lambda rate, whole: rate - whole))
    for answer in wrong:
        assert str(cells["heaviest"].check(answer)).startswith("For ")
