"""The formulas of the pages on the forward pass and on backpropagation, by computer algebra."""

from __future__ import annotations

import pytest
import sympy as sp

from tools.notebooks import ROOT, Notebook

y, s, x, w, b = sp.symbols("y s x w b", real=True)
Z = sp.symbols("z1:4", real=True)
Y = sp.symbols("y1:4", real=True)
SIGMA = sp.symbols("sigma", positive=True)
SIGMOID = 1 / (1 + sp.exp(-s))


def same(left: sp.Expr, right: sp.Expr) -> bool:
    return bool(sp.simplify(left - right) == 0)


def softmax(k: int) -> sp.Expr:
    return sp.exp(Z[k]) / sum(map(sp.exp, Z))


def test_minus_log_of_a_normal_density_is_a_squared_error_and_a_constant() -> None:
    f = sp.symbols("f", real=True)
    density = sp.exp(-((y - f) ** 2) / (2 * SIGMA**2)) / sp.sqrt(2 * sp.pi * SIGMA**2)
    formula = (y - f) ** 2 / (2 * SIGMA**2) + sp.log(2 * sp.pi * SIGMA**2) / 2
    assert same(sp.expand_log(-sp.log(density), force=True), sp.expand_log(formula, force=True))
    assert same(sp.integrate(density.subs(f, 0), (y, -sp.oo, sp.oo)), sp.Integer(1))


def test_minus_log_of_a_laplace_density_is_an_absolute_error_and_a_constant() -> None:
    error, scale = sp.symbols("error scale", positive=True)
    density = sp.exp(-error / scale) / (2 * scale)
    loss = sp.expand_log(-sp.log(density), force=True)
    assert same(loss, error / scale + sp.expand_log(sp.log(2 * scale), force=True))


def test_minus_log_of_bernoulli_is_the_binary_cross_entropy() -> None:
    p = sp.symbols("p", positive=True)
    loss = -y * sp.log(p) - (1 - y) * sp.log(1 - p)
    for label, probability in ((0, 1 - p), (1, p)):
        assert same((p**y * (1 - p) ** (1 - y)).subs(y, label), probability)
        assert same(loss.subs(y, label), -sp.log(probability))


def test_softmax_does_not_change_when_a_constant_is_added() -> None:
    a = sp.symbols("a", real=True)
    moved = softmax(0).subs({z: z + a for z in Z}, simultaneous=True)
    assert same(moved, softmax(0))


def test_log_sum_exp_does_not_depend_on_what_is_taken_out() -> None:
    m = sp.symbols("m", real=True)
    inside = sp.exp(m) * sum(sp.exp(z - m) for z in Z)
    assert same(sp.expand(inside), sum(map(sp.exp, Z)))


def test_cross_entropy_from_logits_has_the_gradient_prediction_minus_truth() -> None:
    for right in range(3):
        loss = sp.log(sum(map(sp.exp, Z))) - Z[right]
        assert same(sp.exp(-loss), softmax(right))
        for k in range(3):
            assert same(sp.diff(loss, Z[k]), softmax(k) - int(k == right))


def test_squared_error_through_a_softmax_has_the_gradient_that_the_page_trains_with() -> None:
    p = [softmax(k) for k in range(3)]
    loss = sum((p[k] - Y[k]) ** 2 for k in range(3))
    g = [2 * (p[k] - Y[k]) for k in range(3)]
    inner = sum(p[k] * g[k] for k in range(3))
    numbers = dict(zip([*Z, *Y], map(sp.Rational, ("1/2", "-1", "2", "0", "1", "0")), strict=True))
    for k in range(3):
        difference = sp.diff(loss, Z[k]) - p[k] * (g[k] - inner)
        assert abs(difference.subs(numbers).evalf(30)) < 1e-25


def test_the_slope_of_the_sigmoid_is_s_times_one_minus_s_and_at_most_a_quarter() -> None:
    slope = sp.diff(SIGMOID, s)
    assert same(slope, SIGMOID * (1 - SIGMOID))
    p = sp.symbols("p", real=True)
    assert sp.maximum(p * (1 - p), p) == sp.Rational(1, 4)


def test_the_slopes_of_both_losses_at_a_logit_are_those_of_the_page() -> None:
    entropy = -y * sp.log(SIGMOID) - (1 - y) * sp.log(1 - SIGMOID)
    squared = (SIGMOID - y) ** 2
    assert same(sp.diff(entropy, s), SIGMOID - y)
    assert same(sp.diff(squared, s), 2 * (SIGMOID - y) * SIGMOID * (1 - SIGMOID))


def test_the_slope_of_the_squared_error_vanishes_at_a_sure_mistake_and_the_other_does_not() -> None:
    assert sp.limit((SIGMOID - 1) * SIGMOID * (1 - SIGMOID), s, -sp.oo) == 0
    assert sp.limit(SIGMOID - 1, s, -sp.oo) == -1


def test_the_chain_rule_by_hand_is_the_derivative_of_the_neuron() -> None:
    a = sp.tanh(w * x + b)
    loss = (a - y) ** 2
    assert same(sp.diff(loss, w), 2 * (a - y) * (1 - a**2) * x)
    assert same(sp.diff(loss, b), 2 * (a - y) * (1 - a**2))


def test_a_matrix_product_passes_gradients_back_as_the_page_says() -> None:
    left, right, above = (
        sp.Matrix(rows, columns, lambda i, j, n=name: sp.Symbol(f"{n}{i}{j}"))
        for name, rows, columns in (("a", 2, 3), ("b", 3, 2), ("g", 2, 2))
    )
    loss = sum((left * right).multiply_elementwise(above))  # whose gradient by the product is above
    by_left = sp.Matrix(2, 3, lambda i, k: sp.diff(loss, left[i, k]))
    by_right = sp.Matrix(3, 2, lambda k, j: sp.diff(loss, right[k, j]))
    assert by_left == (above * right.T).expand()
    assert by_right == (left.T * above).expand()


def test_a_model_that_knows_nothing_has_the_vocabulary_as_its_perplexity() -> None:
    size = sp.symbols("V", positive=True)
    assert same(sp.exp(-sp.log(1 / size)), size)


def test_nudging_to_both_sides_leaves_an_error_of_second_order() -> None:
    h = sp.symbols("h")
    numeric = (sp.tanh(s + h) - sp.tanh(s - h)) / (2 * h)
    series = sp.series(numeric, h, 0, 2).removeO()
    assert same(series, sp.diff(sp.tanh(s), s))


def test_the_slope_of_swish_is_that_of_the_exercise() -> None:
    formula = SIGMOID + s * SIGMOID * (1 - SIGMOID)
    assert same(sp.diff(s * SIGMOID, s), formula)


# What the tests above prove, as the pages print it: (page, cell, formula).
FORMULAS = [
    ("forward_and_loss", "forward", r"p_{ik} = \frac{e^{z_{ik}}}{\sum_{j=1}^{c} e^{z_{ij}}}"),
    ("forward_and_loss", "gaussian", r"e^{-(y - f_\theta(x))^2 / 2\sigma^2}"),
    ("forward_and_loss", "gaussian", r"J(\theta) = \frac{1}{2\sigma^2}"),
    ("forward_and_loss", "gaussian", r"+ \frac{1}{2} \log(2\pi\sigma^2)"),
    ("forward_and_loss", "classes", r"p^{\,y} (1 - p)^{1 - y}"),
    ("forward_and_loss", "classes", r"= -\,y \log p - (1 - y) \log(1 - p)"),
    ("forward_and_loss", "classes", r"= -\sum_{k=1}^{c} y_k \log p_k = -\log p_r"),
    ("forward_and_loss", "language", r"\quad \text{perplexity} = e^{J}"),
    ("forward_and_loss", "invariance", r"\log \sum_j e^{z_j} = m + \log \sum_j e^{z_j - m}"),
    ("forward_and_loss", "invariance", r"-\log p_r = \log \sum_j e^{z_j} - z_r"),
    ("forward_and_loss", "slope", r"= \frac{e^{z_k}}{\sum_j e^{z_j}} - y_k = p_k - y_k"),
    ("forward_and_loss", "slope", r"\cdot \frac{e^{-z}}{1 + e^{-z}} = p\,(1 - p)"),
    ("forward_and_loss", "slope", r"\frac{1 - y}{1 - p} \Bigr)\, p\,(1 - p) = p - y"),
    ("forward_and_loss", "slope", r"(p - y)^2 = 2\,(p - y)\; p\,(1 - p)"),
    ("forward_and_loss", "exercise-laplace-text", r"\frac{1}{2s}\, e^{-|y - f(x)| / s}"),
    ("backpropagation", "by-hand", r"a = \tanh v, \qquad e = a - y, \qquad J = e^2"),
    ("backpropagation", "chain-rule", r"= 2e \cdot 1 \cdot (1 - a^2) \cdot 1 \cdot x"),
    ("backpropagation", "engine", r"\bigl(G B^\top\bigr)_{il}"),
    ("backpropagation", "engine", r"\bigl(A^\top G\bigr)_{lj}"),
    ("backpropagation", "right", r"J(\theta - h\,\varepsilon_i)}{2h}"),
    ("backpropagation", "exercise-link-text", r"\mathrm{swish}(x) = x\,\sigma(x)"),
]


@pytest.mark.parametrize(("page", "id", "formula"), FORMULAS)
def test_the_formula_that_is_proved_here_is_the_one_on_the_page(
    page: str, id: str, formula: str
) -> None:
    notebook = Notebook(ROOT / "book/03_algorithms" / f"{page}.ipynb")
    (text,) = [cell.source for cell in notebook.markdown if cell.id == id]
    assert formula in " ".join(text.split())
