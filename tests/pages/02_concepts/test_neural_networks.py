"""What the page on neural networks claims: its proofs, its formulas, its explorer's answers."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import given
from hypothesis import strategies as st

from tools.cells import run_cells

WEIGHT = st.floats(-100, 100)
WEIGHTS = st.tuples(WEIGHT, WEIGHT)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    definitions = ["setup", "neuron", "gates-figure", "measure", "standardise", "one-neuron"]
    learning = ["perceptron", "soft-neuron", "separable", "two-layers", "train"]
    return run_cells("02_concepts/neural_networks", *definitions, *learning)


@given(weights=WEIGHTS, bias=WEIGHT)
def test_no_neuron_computes_exclusive_or(
    page: dict[str, Any], weights: tuple[float, float], bias: float
) -> None:
    assert page["neuron"](page["corners"], weights, bias).tolist() != [0, 1, 1, 0]


def test_the_four_inequalities_of_exclusive_or_contradict_each_other() -> None:
    w1, w2, b = sympy.symbols("w1 w2 b", real=True)
    ends, middle = (b, w1 + w2 + b), (w2 + b, w1 + b)
    # What must be at most zero and what must be above zero have the same sum.
    assert sympy.simplify(sum(ends) - sum(middle)) == 0


def test_which_functions_a_line_computes_agrees_with_a_search_over_small_weights(
    page: dict[str, Any],
) -> None:
    halves = np.arange(-4, 5) / 2
    found = {
        tuple(page["neuron"](page["corners"], (w1, w2), b).tolist())
        for w1, w2, b in product(halves, repeat=3)
    }
    by_program = {
        tuple(t) for t in page["tables"].tolist() if page["separable"](page["corners"], t)
    }
    assert by_program == found


def test_the_gradient_of_the_cross_entropy_is_truth_minus_answer_times_input() -> None:
    w1, w2, b, x1, x2, y = sympy.symbols("w1 w2 b x1 x2 y", real=True)
    p = 1 / (1 + sympy.exp(-(w1 * x1 + w2 * x2 + b)))
    loss = -(y * sympy.log(p) + (1 - y) * sympy.log(1 - p))
    for parameter, value in ((w1, x1), (w2, x2), (b, 1)):
        assert sympy.simplify(-sympy.diff(loss, parameter) - (y - p) * value) == 0


def test_training_steps_against_the_gradient_of_the_cross_entropy(page: dict[str, Any]) -> None:
    x, y, rate = page["corners"] + 0.1, np.array([0, 1, 1, 0]), 1e-6
    start = page["train"](x, y, num_hidden=3, num_seeds=1, steps=0)
    after = page["train"](x, y, num_hidden=3, num_seeds=1, steps=1, learning_rate=rate)

    def loss(weights: list[np.ndarray]) -> float:
        p = page["forward"](x, weights)[1]
        return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))

    for i, part in enumerate(start):
        for place in np.ndindex(part.shape):
            ends = []
            for change in (1e-5, -1e-5):
                moved = [p.copy() for p in start]
                moved[i][place] += change
                ends.append(loss(moved))
            slope = (ends[0] - ends[1]) / 2e-5
            assert (part[place] - after[i][place]) / rate == pytest.approx(slope, abs=1e-6)


def test_rosenblatts_rule_comes_to_rest_where_a_line_is_right(page: dict[str, Any]) -> None:
    x, y = page["corners"], np.array([0, 0, 0, 1])
    lines = page["perceptron"](x, y, rounds=50, rng=np.random.default_rng(0))
    assert (lines[-1] == lines[-10]).all()
    assert page["neuron"](x, lines[-1][:2], lines[-1][2]).tolist() == y.tolist()


@given(weights=WEIGHTS, bias=WEIGHT)
def test_the_two_sides_of_a_line_fill_the_square(
    page: dict[str, Any], weights: tuple[float, float], bias: float
) -> None:
    def area(corners: list[np.ndarray]) -> float:
        x, y = np.array(corners).T if corners else (np.zeros(1), np.zeros(1))
        return float(abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2)

    w = np.array(weights)
    sides = area(page["half_plane"](w, bias)) + area(page["half_plane"](-w, -bias))
    on_no_side = not w.any() and bias == 0
    assert sides == pytest.approx(0 if on_no_side else 36, rel=1e-6)


@given(weights=WEIGHTS, bias=WEIGHT)
def test_the_explorer_counts_what_the_neuron_says(
    page: dict[str, Any], weights: tuple[float, float], bias: float
) -> None:
    readouts = page["one_neuron"](*weights, bias)["readouts"]
    wrong = sum(int(readouts[f"{kind} taken for {other}"].split()[0])
                for kind, other in (("Ones", "twos"), ("Twos", "ones")))  # fmt: skip
    said = page["neuron"](page["x_train"], weights, bias)
    assert wrong == np.sum(said != page["y_train"])
    assert readouts["Right"].startswith(f"{1 - wrong / 600:.1%}")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_the_explorer_refuses_weights_that_are_no_numbers(page: dict[str, Any], bad: float) -> None:
    for place in range(3):
        with pytest.raises(ValueError, match="must be finite numbers"):
            page["one_neuron"](*np.where(np.arange(3) == place, bad, 1.0))


@pytest.mark.parametrize("value", [0, 1e9, -1e9, 1e-9])
def test_the_explorer_answers_for_tiny_and_huge_weights(page: dict[str, Any], value: float) -> None:
    state = page["one_neuron"](value, value, value)
    assert state["rows"]
    assert set(state["readouts"]) == set(page["one_neuron"](1, 1, 0)["readouts"])
