"""A formula as text: its slopes are those of its nudges, and what is no formula is refused."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest

from companion.teaching import differentiate
from tests.formulas import random_formula, sigmoid

FUNCTIONS = {
    "exp": math.exp,
    "log": math.log,
    "relu": lambda x: max(x, 0.0),
    "sigmoid": sigmoid,
    "tanh": math.tanh,
}


def value(formula: str, **leaves: float) -> float:
    """The result by Python itself."""
    names: dict[str, float] = {}
    *steps, last = [part.strip() for line in formula.splitlines() for part in line.split(";")]
    for step in steps:
        name, expression = step.split("=")
        names[name.strip()] = eval(expression, dict(FUNCTIONS), names)
        names |= {key: leaf for key, leaf in leaves.items() if key == name.strip()}
    return float(eval(last, dict(FUNCTIONS), names))


@pytest.mark.parametrize("seed", range(30))
def test_slopes_are_those_of_small_nudges(seed: int) -> None:
    formula = random_formula(np.random.default_rng(seed))
    found = differentiate(formula)
    assert found["result"] == (pytest.approx(value(formula)), 1.0)
    for name in "xyz":
        here, slope = found[name]
        up, down = (value(formula, **{name: here + h}) for h in (1e-6, -1e-6))
        assert slope == pytest.approx((up - down) / 2e-6, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(
    ("formula", "name", "expected"),
    [
        ("x = 2; x * x + x", "x", (2.0, 5.0)),
        ("x = 2\n\n# a note\ny = -x ** 2;", "y", (-4.0, 1.0)),
        ("x = 2; -x ** 2", "x", (2.0, -4.0)),
        ("x = 2; (-x) ** 2", "x", (2.0, 4.0)),
        ("x = 8; x / 2 / 2 - 1 - 1", "result", (0.0, 1.0)),
        ("x = -.5; y = 1e-1; relu(x) + y", "x", (-0.5, 0.0)),
        ("x = 2; unused = 3; x ** -1", "unused", (3.0, 0.0)),
        ("x = 2; y = x; y * 3", "x", (2.0, 3.0)),
        ("x = 4; x ** .5", "x", (4.0, 0.25)),
        ("3", "result", (3.0, 1.0)),
    ],
)
def test_precedence_names_and_layout_are_those_of_python(
    formula: str, name: str, expected: tuple[float, float]
) -> None:
    assert differentiate(formula)[name] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("formula", "problem"),
    [
        ("", "non-empty text"),
        (" \n;\n", "There is no formula"),
        (None, "non-empty text"),
        ("x", "'x' has no value yet; set it in a line before"),
        ("x = 2; x ** x", "An exponent must be a number, not 'x'"),
        ("x = 2; x ** 2 ** 3", "An exponent must be a number"),
        ("x = 2; x; x", "only the last line may do without one"),
        ("x = 2; x = 3", "'x' is set twice"),
        ("tanh = 2; tanh", "is a function; take another name"),
        ("x = y = 2", "gives no name a value"),
        ("exp(1, 2)", "is not known here; there are"),
        ("sin(1)", "is not known here; there are"),
        ("x = 3; x % 2", "is not known here; there are"),
        ("True", "is not known here; there are"),
        ("'a' * 3", "is not known here; there are"),
        ("(lambda: 1)()", "is not known here; there are"),
        ("import os", "gives no name a value"),
        ("__import__('os')", "is not known here; there are"),
        ("1 / 0", "division by zero"),
        ("log(-1)", "logarithm"),
        ("exp(1000)", "too large for exp"),
        ("(((", "This is no formula"),
        ("x = ", "This is no formula"),
        ("\0", "This is no formula"),
        ("-" * 1500 + "1", "This is no formula"),
        ("(" * 900 + "1" + ")" * 900, "This is no formula"),
        ("9" * 400, "This is no formula"),
        ("1 + " * 600 + "1", "2,401 characters; give at most 2,000"),
    ],
)
def test_what_is_no_formula_is_refused_with_a_reason(formula: str, problem: str) -> None:
    with pytest.raises(ValueError, match=re.escape(problem)):
        differentiate(formula)
