"""What the page on gradient descent claims: limits, noise, corrections, its explorer."""

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
BETA = st.floats(0, 0.99)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["three-readings", "bowl", "momentum", "explorer-function", "explorer-readouts"]
    names += ["adam", "rosenbrock"]
    return run_cells("03_algorithms/gradient_descent", *names, np=np)


def largest_root(coefficients: list[float]) -> float:
    return float(np.abs(np.roots(coefficients)).max())


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


@given(beta=BETA, product=st.floats(0.01, 5))
def test_momentum_raises_the_limit_by_one_plus_beta(beta: float, product: float) -> None:
    if abs(product - 2 * (1 + beta)) > 1e-6:
        stable = largest_root([1, product - 1 - beta, beta]) < 1
        assert stable == (product < 2 * (1 + beta))


@pytest.mark.parametrize("kappa", [3, 10, 1000])
def test_the_best_rate_makes_the_two_extreme_factors_equal(kappa: int) -> None:
    eta = sympy.Rational(2, 1 + kappa)
    assert 1 - eta == -(1 - eta * kappa) == sympy.Rational(kappa - 1, kappa + 1)


@pytest.mark.parametrize("kappa", [4, 9, 100])
def test_the_best_momentum_leaves_the_same_share_in_every_direction(kappa: int) -> None:
    root = np.sqrt(kappa)
    rate, share = 4 / (1 + root) ** 2, (root - 1) / (root + 1)
    for curvature in (1, (1 + kappa) / 2, kappa):
        roots = np.roots([1, rate * curvature - 1 - share**2, share**2])
        assert np.allclose(np.abs(roots), share, atol=1e-6)


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


@given(g=st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3), steps=st.integers(1, 60))
def test_on_a_constant_gradient_each_step_of_adam_is_one_rate_long(
    page: dict[str, Any], g: float, steps: int
) -> None:
    path = page["descend"](lambda w: np.array([g]), [0.0], page["adam"], steps, rate=0.5)
    # ε shortens the steps, visibly only where gradients are tiny.
    assert np.allclose(np.diff(path[:, 0]), -0.5 * np.sign(g), rtol=5e-3)


def test_the_corrections_of_adam_are_exact_for_a_constant_gradient() -> None:
    beta, g = sympy.symbols("beta g")
    mean = sympy.Integer(0)
    for t in range(1, 5):
        mean = beta * mean + (1 - beta) * g
        assert sympy.expand(mean - (1 - beta**t) * g) == 0


@given(rate=st.floats(1e-3, 0.5), decay=st.floats(0, 0.1))
def test_adamw_without_decay_is_adam(page: dict[str, Any], rate: float, decay: float) -> None:
    w, g = np.array([1.0, -2.0]), np.array([0.3, 0.1])
    still = page["adam"](w, g, None, rate)[0]
    assert np.array_equal(page["adamw"](w, g, None, rate, decay=0.0)[0], still)
    assert np.allclose(page["adamw"](w, g, None, rate, decay=decay)[0], still - rate * decay * w)


def test_the_gradient_of_the_bent_valley_is_its_derivative(page: dict[str, Any]) -> None:
    a, b = sympy.symbols("a b")
    valley = page["valley"]((a, b))
    for point in ((-1.2, 1.0), (0.3, -0.7)):
        exact = [valley.diff(s).subs({a: point[0], b: point[1]}) for s in (a, b)]
        assert np.allclose(np.array(exact, float), page["valley_gradient"](np.array(point)))


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
        {"momentum": 1},
        {"momentum": -0.1},
        {"momentum": float("nan")},
        {"momentum": False},
    ],
)
def test_the_explorer_says_what_it_needs(page: dict[str, Any], wrong: dict[str, Any]) -> None:
    settings = {"learning_rate": 0.1, "curvature": 10, "momentum": 0} | wrong
    with pytest.raises(ValueError, match="must be"):
        page["two_directions"](**settings)


def test_a_learning_rate_of_a_thousand_million_diverges(page: dict[str, Any]) -> None:
    state = page["two_directions"](1e9, 10, 0)
    assert state["readouts"]["Long run"] == "diverges"
    assert state["readouts"]["Factor per step"] == "1e+10"
    assert [row["steep"] for row in state["rows"]] == [5, *[None] * 40]


def test_a_learning_rate_of_a_thousand_millionth_converges(page: dict[str, Any]) -> None:
    assert page["two_directions"](1e-9, 10, 0)["readouts"]["Long run"] == "converges"


def test_a_rate_at_the_limit_is_on_the_edge(page: dict[str, Any]) -> None:
    assert page["two_directions"](0.2, 10, 0)["readouts"]["Long run"] == "on the edge"


@given(rate=st.floats(1e-3, 1e3), curvature=st.floats(0.1, 100), beta=BETA)
def test_a_line_of_the_explorer_leaves_the_chart_where_the_loss_is_above_it(
    page: dict[str, Any], rate: float, curvature: float, beta: float
) -> None:
    rows = page["two_directions"](rate, curvature, beta)["rows"]
    heights = [row[way] for row in rows for way in ("flat", "steep")]
    assert all(height is None or 1e-8 <= height <= 1e4 for height in heights)


@given(rate=st.floats(1e-3, 10), curvature=st.floats(0.1, 100), beta=BETA)
def test_the_explorer_converges_exactly_where_all_roots_are_below_one(
    page: dict[str, Any], rate: float, curvature: float, beta: float
) -> None:
    factor = max(largest_root([1, rate * k - 1 - beta, beta]) for k in (1, curvature))
    if abs(factor - 1) > 1e-9:
        fate = page["two_directions"](rate, curvature, beta)["readouts"]["Long run"]
        assert fate == ("converges" if factor < 1 else "diverges")
