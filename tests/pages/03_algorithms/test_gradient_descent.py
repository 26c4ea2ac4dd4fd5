"""What the page on gradient descent claims: the first step, limits, noise, its explorer."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from tools.cells import run_cells

POSITIVE = st.floats(1e-3, 1e3)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["bowl", "first-step", "three-readings", "descend"]
    names += ["explorer-function", "explorer-readouts"]
    return run_cells("03_algorithms/gradient_descent", *names, np=np)


def largest_root(coefficients: list[float]) -> float:
    return float(np.abs(np.roots(coefficients)).max())


@given(rate=st.floats(1e-4, 1), start=st.lists(st.floats(-3, 3), min_size=2, max_size=2))
def test_the_fall_of_one_step_is_the_promise_less_half_the_curvature(
    page: dict[str, Any], rate: float, start: list[float]
) -> None:
    w, hessian = np.array(start), page["hessian"]
    slope = hessian @ w
    fall = page["bowl"](w) - page["bowl"](w - rate * slope)
    expected = rate * slope @ slope - rate**2 / 2 * slope @ hessian @ slope
    assert np.isclose(fall, expected, atol=1e-9)


@given(angle=st.floats(0, 6.28))
def test_no_step_of_one_length_promises_more_than_the_one_against_the_gradient(
    page: dict[str, Any], angle: float
) -> None:
    slope = page["slope"]
    other = np.linalg.norm(slope) * np.array([np.cos(angle), np.sin(angle)])
    assert slope @ -slope <= slope @ other + 1e-9


@given(part=st.floats(0.05, 0.99), curvature=POSITIVE, start=st.floats(-5, 5))
def test_below_two_over_the_curvature_every_step_comes_closer(
    page: dict[str, Any], part: float, curvature: float, start: float
) -> None:
    rate = part * 2 / curvature
    path = page["descend"](lambda w: curvature * w, [start], page["sgd"], 5, rate=rate)
    assert np.all(np.diff(np.abs(path[:, 0])) <= 1e-12)


@given(part=st.floats(1.01, 10), curvature=POSITIVE)
def test_above_two_over_the_curvature_every_step_goes_farther(
    page: dict[str, Any], part: float, curvature: float
) -> None:
    rate = part * 2 / curvature
    path = page["descend"](lambda w: curvature * w, [1.0], page["sgd"], 5, rate=rate)
    assert np.all(np.diff(np.abs(path[:, 0])) > 0)


@given(product=st.floats(0.01, 3))
def test_a_gradient_one_step_old_converges_only_below_one(product: float) -> None:
    if abs(product - 1) > 1e-6:  # w'' = w' - product w
        assert (largest_root([1, -1, product]) < 1) == (product < 1)


@pytest.mark.parametrize("kappa", [3, 10, 1000])
def test_the_best_rate_makes_the_two_extreme_factors_equal(kappa: int) -> None:
    eta = sympy.Rational(2, 1 + kappa)
    assert 1 - eta == -(1 - eta * kappa) == sympy.Rational(kappa - 1, kappa + 1)


def test_the_derivatives_of_the_logistic_loss_are_the_page_s() -> None:
    w, x, y, a = sympy.symbols("w x y a", real=True)
    loss = sympy.log(1 + sympy.exp(w * x)) - y * w * x + a / 2 * w**2
    p = 1 / (1 + sympy.exp(-w * x))
    assert sympy.simplify(loss.diff(w) - (x * (p - y) + a * w)) == 0
    assert sympy.simplify(loss.diff(w, 2) - (x**2 * p * (1 - p) + a)) == 0


def test_minus_the_log_likelihood_is_what_the_page_computes() -> None:
    z = sympy.symbols("z", real=True)
    p = 1 / (1 + sympy.exp(-z))
    for y, likelihood in ((1, p), (0, 1 - p)):
        said = sympy.log(1 + sympy.exp(z)) - y * z
        assert sympy.simplify(sympy.expand_log(said + sympy.log(likelihood), force=True)) == 0


@given(values=st.lists(st.integers(-9, 9), min_size=4, max_size=6), size=st.integers(1, 4))
def test_the_error_of_all_possible_batches_is_the_formula_s(values: list[int], size: int) -> None:
    n, mean = len(values), np.mean(values)
    batches = [np.mean(batch) for batch in combinations(values, size)]
    assert np.isclose(np.mean(batches), mean)
    expected = np.var(values) / size * (n - size) / (n - 1)
    assert np.isclose(np.mean((np.array(batches) - mean) ** 2), expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0},
        {"learning_rate": -1},
        {"learning_rate": float("nan")},
        {"learning_rate": float("inf")},
        {"learning_rate": "fast"},
        {"learning_rate": True},
        {"curvature": 0},
        {"curvature": -3},
        {"curvature": 1e308},
    ],
)
def test_the_explorer_says_what_it_needs(page: dict[str, Any], wrong: dict[str, Any]) -> None:
    settings = {"learning_rate": 0.1, "curvature": 10} | wrong
    with pytest.raises(ValueError, match="must be"):
        page["two_directions"](**settings)


def test_a_learning_rate_of_a_thousand_million_diverges(page: dict[str, Any]) -> None:
    state = page["two_directions"](1e9, 10)
    assert state["readouts"]["Long run"] == "diverges"
    assert state["readouts"]["Factor per step"] == "1e+10"
    assert [row["steep"] for row in state["rows"]] == [5, *[None] * 40]


def test_a_learning_rate_of_a_thousand_millionth_converges(page: dict[str, Any]) -> None:
    assert page["two_directions"](1e-9, 10)["readouts"]["Long run"] == "converges"


def test_a_rate_at_the_limit_is_on_the_edge(page: dict[str, Any]) -> None:
    assert page["two_directions"](0.2, 10)["readouts"]["Long run"] == "on the edge"


@given(rate=st.floats(1e-3, 1e3), curvature=st.floats(0.1, 100))
def test_a_line_of_the_explorer_leaves_the_chart_where_the_loss_is_above_it(
    page: dict[str, Any], rate: float, curvature: float
) -> None:
    rows = page["two_directions"](rate, curvature)["rows"]
    heights = [row[way] for row in rows for way in ("flat", "steep")]
    assert all(height is None or 1e-8 <= height <= 1e4 for height in heights)


@given(rate=st.floats(1e-3, 10), curvature=st.floats(0.1, 100))
def test_the_explorer_converges_exactly_below_two_over_the_larger_curvature(
    page: dict[str, Any], rate: float, curvature: float
) -> None:
    part = rate * max(1, curvature) / 2
    if abs(part - 1) > 1e-9:
        fate = page["two_directions"](rate, curvature)["readouts"]["Long run"]
        assert fate == ("converges" if part < 1 else "diverges")
