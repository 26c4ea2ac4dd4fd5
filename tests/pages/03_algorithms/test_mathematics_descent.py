"""The derivations on descent, on optimisers and on the six steps, by computer algebra."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

r, rho, beta, eta, lam = sp.symbols("r rho beta eta lambda", positive=True)
c = sp.Function("c")
Q = r**2 - (1 + beta - eta * lam) * r + beta
BELOW_ONE = st.floats(0.01, 0.99)


def same(left: sp.Expr, right: sp.Expr) -> bool:
    return bool(sp.simplify(left - right) == 0)


def test_the_rule_of_momentum_makes_each_distance_follow_from_the_two_before() -> None:
    before, now = sp.symbols("before now")
    velocity = beta * (now - before) - eta * lam * now
    assert same(now + velocity, (1 + beta - eta * lam) * now - beta * before)
    ahead = (1 + beta - eta * lam) * r - beta  # from the distances 1 and r
    assert same(r**2 - ahead, Q)


def test_the_roots_have_the_product_beta() -> None:
    first, second = sp.solve(Q, r)
    assert same(first * second, beta)


def test_the_two_conditions_on_the_circle_are_the_page_s() -> None:
    assert same(Q.subs(r, rho), eta * lam * rho - (1 - rho) * (rho - beta))
    assert same(Q.subs(r, -rho), (1 + rho) * (rho + beta) - eta * lam * rho)
    assert same(Q.subs(r, 1), eta * lam)
    assert same(Q.subs(r, -1), 2 * (1 + beta) - eta * lam)


@given(share=BELOW_ONE, product=st.floats(0, 4), radius=BELOW_ONE | st.just(1.0))
def test_both_roots_lie_in_the_circle_exactly_under_the_three_conditions(
    share: float, product: float, radius: float
) -> None:
    middle = 1 + share - product
    at = [radius**2 - sign * middle * radius + share for sign in (1, -1)]
    margins = [radius**2 - share, *at]
    if min(map(abs, margins)) > 1e-6:  # on the edge a rounding decides
        inside = np.abs(np.roots([1, -middle, share])).max() <= radius
        assert inside == (min(margins) > 0)


def test_the_bound_on_the_condition_number_grows_with_beta_up_to_the_page_s() -> None:
    bound = (1 + rho) * (rho + beta) / ((1 - rho) * (rho - beta))
    assert same(bound.diff(beta), 2 * rho * (1 + rho) / ((1 - rho) * (rho - beta) ** 2))
    assert same(bound.subs(beta, rho**2), ((1 + rho) / (1 - rho)) ** 2)
    kappa = sp.symbols("kappa", positive=True)
    best = (sp.sqrt(kappa) - 1) / (sp.sqrt(kappa) + 1)
    assert same(((1 + best) / (1 - best)) ** 2, kappa)


def test_the_best_momentum_has_the_rate_that_the_page_gives_three_times() -> None:
    low, high = sp.symbols("low high", positive=True)  # the roots of the extreme curvatures
    best = (high - low) / (high + low)
    rate = 4 / (low + high) ** 2
    assert same((1 - best) ** 2 / low**2, rate)
    assert same((1 + best) ** 2 / high**2, rate)
    at = {beta: best**2, eta: rate}
    assert same(Q.subs(at).subs({lam: low**2, r: best}), sp.Integer(0))
    assert same(Q.subs(at).subs({lam: high**2, r: -best}), sp.Integer(0))


def test_an_old_gradient_has_conjugate_roots_whose_product_is_rate_times_curvature() -> None:
    product = sp.symbols("product", positive=True)
    roots = sp.solve(r**2 - r + product, r)
    assert same(roots[0] * roots[1], product)
    assert same(sp.discriminant(r**2 - r + product, r), 1 - 4 * product)


@pytest.mark.parametrize(("n", "size"), [(3, 1), (3, 2), (4, 2), (4, 3), (5, 4), (4, 4)])
def test_the_error_of_a_batch_is_the_page_s_for_any_gradients(n: int, size: int) -> None:
    gradients = sp.symbols(f"g1:{n + 1}", real=True)
    mean = sp.Rational(1, n) * sum(gradients)
    spread = sp.Rational(1, n) * sum((g - mean) ** 2 for g in gradients)
    batches = list(combinations(gradients, size))
    errors = [(sp.Rational(1, size) * sum(batch) - mean) ** 2 for batch in batches]
    error = sp.Rational(1, len(batches)) * sum(errors)
    assert sp.expand(error - spread / size * sp.Rational(n - size, n - 1)) == 0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_two_draws_without_replacement_lean_away_from_each_other(n: int) -> None:
    gradients = sp.symbols(f"g1:{n + 1}", real=True)
    mean = sp.Rational(1, n) * sum(gradients)
    apart = [g - mean for g in gradients]
    spread = sp.Rational(1, n) * sum(d**2 for d in apart)
    pairs = [a * b for a, b in permutations(apart, 2)]
    assert sp.expand(sum(pairs) / len(pairs) + spread / (n - 1)) == 0


def test_the_sums_over_the_reviews_are_the_derivatives_of_the_logistic_loss() -> None:
    n, w, alpha = 2, sp.Matrix(sp.symbols("w1:3", real=True)), sp.symbols("alpha", positive=True)
    rows = sp.Matrix(n, 2, lambda i, j: sp.Symbol(f"x{i}{j}", real=True))
    y = sp.symbols("y1:3", real=True)
    z = rows * w
    p = [1 / (1 + sp.exp(-z[i])) for i in range(n)]
    loss = sum(sp.log(1 + sp.exp(z[i])) - y[i] * z[i] for i in range(n)) / n
    loss += alpha / 2 * (w.T * w)[0]
    slopes = rows.T * sp.Matrix([p[i] - y[i] for i in range(n)]) / n + alpha * w
    bends = rows.T * sp.diag(*(q * (1 - q) for q in p)) * rows / n + alpha * sp.eye(2)
    numbers = {x: sp.Rational(k + 2, 7) for k, x in enumerate([*w, *rows, *y, alpha])}
    for i in range(2):
        assert abs((loss.diff(w[i]) - slopes[i]).subs(numbers).evalf(30)) < 1e-25
        for j in range(2):
            assert abs((loss.diff(w[i], w[j]) - bends[i, j]).subs(numbers).evalf(30)) < 1e-25


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_the_running_means_of_a_constant_gradient_are_the_page_s(steps: int) -> None:
    g, mean = sp.symbols("g"), sp.Integer(0)
    for _ in range(steps):
        mean = beta * mean + (1 - beta) * g
    geometric = (1 - beta) * sum(beta**k for k in range(steps)) * g
    assert same(mean, geometric)
    assert same(mean, (1 - beta**steps) * g)


def test_the_two_forms_of_adam_differ_only_in_where_epsilon_stands() -> None:
    m, s, t, b1, b2, small = sp.symbols("m s t beta1 beta2 epsilon", positive=True)
    page = sp.sqrt(1 - b2**t) / (1 - b1**t) * m / (sp.sqrt(s) + small)
    corrected = sp.sqrt(s) / sp.sqrt(1 - b2**t)
    other = m / (1 - b1**t) / (corrected + small)
    assert same(page.subs(small, 0), other.subs(small, 0))
    assert same(page, other.subs(small, small / sp.sqrt(1 - b2**t)))


def test_behind_a_max_half_the_mean_square_of_a_symmetric_signal_is_left() -> None:
    a, spread = sp.symbols("a", real=True), sp.symbols("s", positive=True)
    density = sp.exp(-(a**2) / (2 * spread**2)) / sp.sqrt(2 * sp.pi * spread**2)
    assert same(sp.integrate(a**2 * density, (a, 0, sp.oo)), spread**2 / 2)
