"""What the page on optimisers claims: inertia, corrections, schedules, clipping, its explorer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from tools.cells import run_cells

BETA = st.floats(0, 0.99)
CELLS = ["momentum", "explorer-function", "explorer-readouts", "adam", "logistic", "schedule"]
CELLS += ["train", "clipping", "rosenbrock", "network-loss"]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(64, 3)), draw.integers(0, 2, 64)
    return run_cells("03_algorithms/optimisers", *CELLS, np=np, x=x, y=y)


def largest_root(coefficients: list[float]) -> float:
    return float(np.abs(np.roots(coefficients)).max())


@given(beta=BETA, product=st.floats(0.01, 5))
def test_momentum_raises_the_limit_by_one_plus_beta(beta: float, product: float) -> None:
    if abs(product - 2 * (1 + beta)) > 1e-6:
        stable = largest_root([1, product - 1 - beta, beta]) < 1
        assert stable == (product < 2 * (1 + beta))


@pytest.mark.parametrize("kappa", [4, 9, 100])
def test_the_best_momentum_leaves_the_same_share_in_every_direction(kappa: int) -> None:
    root = np.sqrt(kappa)
    rate, share = 4 / (1 + root) ** 2, (root - 1) / (root + 1)
    for curvature in (1, (1 + kappa) / 2, kappa):
        roots = np.roots([1, rate * curvature - 1 - share**2, share**2])
        assert np.allclose(np.abs(roots), share, atol=1e-6)


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


@pytest.mark.parametrize("name", ["", "network_"])
def test_the_gradients_are_the_slopes_of_the_losses(page: dict[str, Any], name: str) -> None:
    size = 3 if not name else 3 * page["UNITS"] + page["UNITS"] + 1
    loss, gradient = page[f"{name}loss"], page[f"{name}gradient"]
    w, way = np.random.default_rng(1).normal(size=(2, size, 2))
    slope = (loss(w + 1e-6 * way) - loss(w - 1e-6 * way)) / 2e-6
    assert np.allclose(slope, (gradient(w) * way).sum(axis=0), atol=1e-7)


@pytest.mark.parametrize("rule", ["sgd", "momentum", "adam", "adamw"])
def test_runs_side_by_side_are_the_runs_made_alone(page: dict[str, Any], rule: str) -> None:
    rates = np.array([0.01, 0.1]) * np.ones((6, 1))
    (*_, both) = page["train"](page[rule], rates, seed=3)
    for k in range(2):
        (*_, alone) = page["train"](page[rule], rates[:, [k]], seed=3)
        assert np.allclose(both[:, [k]], alone, atol=1e-12)


@given(total=st.integers(3, 50), warm=st.integers(0, 2), peak=st.floats(0.01, 10))
def test_the_schedule_rises_to_its_peak_and_falls_towards_zero(
    page: dict[str, Any], total: int, warm: int, peak: float
) -> None:
    rates = [page["rate_at"](t, total, peak, warm) for t in range(total)]
    assert np.isclose(rates[warm], peak)
    assert np.all(np.diff(rates[: warm + 1]) > 0)
    assert np.all(np.diff(rates[warm:]) < 0)
    assert np.isclose(page["rate_at"](total, total, peak, warm), 0)


@given(g=st.lists(st.floats(0.1, 9), min_size=1, max_size=4), limit=st.floats(0.01, 20))
def test_clipping_keeps_the_direction_and_shortens_what_is_too_long(
    page: dict[str, Any], g: list[float], limit: float
) -> None:
    gradient = np.array(g)
    clipped, length = page["clip"](gradient, limit), np.linalg.norm(gradient)
    assert np.isclose(np.linalg.norm(clipped), min(length, limit))
    assert np.allclose(clipped / np.linalg.norm(clipped), gradient / length)


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
