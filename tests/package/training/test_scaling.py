"""The scaling law: its optimum, its fit, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from companion import facts
from companion.data import load_measurements
from companion.training import ScalingLaw, fit_scaling_law

LAW = ScalingLaw(1.8, 480.0, 0.35, 2100.0, 0.37)
CONSTANTS = st.builds(
    ScalingLaw,
    st.floats(0, 3),
    st.floats(1, 1e4),
    st.floats(0.05, 1),
    st.floats(1, 1e4),
    st.floats(0.05, 1),
)


@given(law=CONSTANTS, compute=st.floats(1e15, 1e26))
@settings(deadline=None)
def test_no_other_split_of_the_budget_gives_a_lower_loss(law, compute):
    parameters, tokens = law.optimal(compute)
    assert 6 * parameters * tokens == pytest.approx(compute)
    for factor in (0.5, 0.9, 1.1, 2):
        other = law.loss(parameters * factor, tokens / factor)
        assert other >= law.loss(parameters, tokens) * (1 - 1e-12)


@given(law=CONSTANTS, n=st.floats(1e3, 1e12), d=st.floats(1e3, 1e12), factor=st.floats(1.01, 10))
@settings(deadline=None)
def test_more_parameters_or_tokens_never_raise_the_loss_which_stays_above_the_floor(
    law, n, d, factor
):
    loss = law.loss(n, d)
    assert law.loss_floor <= law.loss(n * factor, d) <= loss
    assert law.loss_floor <= law.loss(n, d * factor) <= loss
    assert law.loss(n * factor, d * factor) < loss


@given(law=CONSTANTS, n=st.floats(1e3, 1e12), d=st.floats(1e3, 1e12))
@settings(deadline=None)
def test_each_term_above_the_floor_falls_by_its_own_exponent(law, n, d):
    a, b = law.a / n**law.alpha, law.b / d**law.beta
    assert law.loss(n, d) == pytest.approx(law.loss_floor + a + b, rel=1e-12)
    doubled = law.loss_floor + a / 2**law.alpha + b / 2**law.beta
    assert law.loss(2 * n, 2 * d) == pytest.approx(doubled, rel=1e-9)


@given(law=CONSTANTS, compute=st.floats(1e15, 1e24), factor=st.floats(1.01, 100))
@settings(deadline=None)
def test_a_larger_budget_is_split_by_the_ratio_of_the_exponents(law, compute, factor):
    parameters, tokens = law.optimal(compute)
    more_parameters, more_tokens = law.optimal(compute * factor)
    share = law.beta / (law.alpha + law.beta)
    assert more_parameters / parameters == pytest.approx(factor**share, rel=1e-9)
    assert more_tokens / tokens == pytest.approx(factor ** (1 - share), rel=1e-9)


def test_the_optimum_is_the_one_that_a_search_finds():
    found = minimize_scalar(
        lambda log_n: float(LAW.loss(np.exp(log_n), 1e21 / 6 / np.exp(log_n))),
        bounds=(np.log(1e6), np.log(1e12)),
        method="bounded",
        options={"xatol": 1e-9},
    )
    assert float(LAW.optimal(1e21)[0]) == pytest.approx(np.exp(found.x), rel=1e-3)


def test_the_closed_form_solves_the_condition_of_the_optimum():
    a, b, alpha, beta, c = sympy.symbols("A B alpha beta C", positive=True)
    n = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (c / 6) ** (beta / (alpha + beta))
    d = c / 6 / n
    condition = sympy.log(alpha * a / n**alpha) - sympy.log(beta * b / d**beta)
    assert sympy.simplify(sympy.expand_log(condition, force=True)) == 0


def test_the_fit_finds_the_constants_that_made_the_losses():
    n, d = (grid.ravel() for grid in np.meshgrid([1e7, 1e8, 1e9, 1e10], [1e9, 1e10, 1e11]))
    found = fit_scaling_law(n, d, LAW.loss(n, d))
    assert vars(found) == pytest.approx(vars(LAW), rel=1e-2)


def test_one_run_that_went_wrong_hardly_moves_the_fit():
    n, d = (grid.ravel() for grid in np.meshgrid([1e7, 1e8, 1e9, 1e10], [1e9, 1e10, 1e11]))
    losses = LAW.loss(n, d)
    losses[5] *= 1.5
    found = fit_scaling_law(n, d, losses)
    assert found.alpha == pytest.approx(LAW.alpha, rel=0.05)


def test_a_floor_that_is_given_is_kept():
    n, d = (grid.ravel() for grid in np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10]))
    assert fit_scaling_law(n, d, LAW.loss(n, d), loss_floor=1.5).loss_floor == pytest.approx(1.5)


def test_a_fit_that_starts_at_no_floor_still_finds_the_floor():
    n, d = (grid.ravel() for grid in np.meshgrid([1e7, 1e8, 1e9, 1e10], [1e9, 1e10, 1e11]))
    start = ScalingLaw(0.0, 10.0, 0.1, 10.0, 0.1)
    found = fit_scaling_law(n, d, LAW.loss(n, d), start=[start])
    assert found.loss_floor == pytest.approx(LAW.loss_floor, rel=0.02)


@pytest.mark.slow
def test_no_held_floor_describes_the_stored_runs_better_than_the_fitted_one():
    runs = load_measurements("scaling_sweep")["runs"]
    n, d, y = (np.array([run[k] for run in runs]) for k in ("parameters", "bytes_seen", "loss"))
    n, d, y = (column[n < n.max()] for column in (n, d, y))

    def objective(law):  # the Huber loss of the errors of the logarithm
        error = np.abs(np.log(law.loss(n, d) / y))
        return np.sum(np.minimum(error, 1e-3) * (error - np.minimum(error, 1e-3) / 2)) / 1e-3

    best = objective(fit_scaling_law(n, d, y))
    for floor in (0, 0.2, 0.4, 0.6, 1.0, 1.3):
        assert best <= objective(fit_scaling_law(n, d, y, loss_floor=floor)) * (1 + 1e-6)


@pytest.mark.parametrize("floor", [-0.1, 3.0, float("nan")])
def test_a_floor_above_the_losses_is_refused(floor):
    with pytest.raises(ValueError, match="loss_floor"):
        fit_scaling_law([1e6] * 6, [1e9] * 6, [3.0] * 6, loss_floor=floor)


def test_printed_constants_contradict_the_printed_rule():
    printed = ScalingLaw(
        *(facts[f"hoffmann_{name}"].value for name in ("loss_floor", "a", "alpha", "b", "beta"))
    )
    parameters, tokens = printed.optimal(facts["chinchilla_flop"].value)
    rule = facts["chinchilla_tokens_per_parameter"].value
    assert tokens / parameters > 4 * rule


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf"), [1e9, 0]])
def test_a_budget_or_size_that_is_not_above_zero_is_refused(bad):
    with pytest.raises(ValueError, match="above 0"):
        LAW.optimal(bad)
    with pytest.raises(ValueError, match="above 0"):
        LAW.loss(bad, 1e9)


@pytest.mark.parametrize("constants", [(-1, 1, 1, 1, 1), (1, 0, 1, 1, 1), (1, 1, 1, 1, np.nan)])
def test_impossible_constants_are_refused(constants):
    with pytest.raises(ValueError, match="must be a finite number"):
        ScalingLaw(*constants)


def test_too_few_or_uneven_runs_are_refused():
    with pytest.raises(ValueError, match="at least 5"):
        fit_scaling_law([1e6] * 4, [1e9] * 4, [3.0] * 4)
    with pytest.raises(ValueError, match="one length"):
        fit_scaling_law([1e6] * 6, [1e9] * 5, [3.0] * 6)
    with pytest.raises(ValueError, match="losses"):
        fit_scaling_law([1e6] * 6, [1e9] * 6, [3.0] * 5 + [0.0])
