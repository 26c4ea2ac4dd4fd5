"""What the page on backpropagation claims: its exercises tell right answers from wrong ones."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import companion
from companion.teaching import Tensor
from tests.project.shape import code_lines
from tools.cells import run_cells
from tools.notebooks import ROOT, Notebook

PAGE = "03_algorithms/backpropagation"
CELLS = ["node", "backward", "central-difference", "exercise-check", "exercise-check-solution"]
CELLS += ["exercise-xor", "exercise-xor-checker", "gradient-norms", "explorer"]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_cells(PAGE, *CELLS, np=np, companion=companion, Tensor=Tensor)


def differences(f: Callable[[Any], float], x: Any, before: float, after: float) -> Any:
    slopes = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        nudge = np.zeros(x.shape)
        nudge[place] = 1
        slopes[place] = (f(x + after * nudge) - f(x - before * nudge)) / (before + after)
    return slopes


@pytest.mark.parametrize("h", [3e-5, 1e-5, 3e-6])
def test_central_differences_are_accepted_whatever_the_nudge(
    page: dict[str, Any], h: float
) -> None:
    assert page["numeric_gradient"].check(lambda f, x: differences(f, x, h, h)) is None


@pytest.mark.parametrize("h", [1e-5, 1e-6, 1e-7, 1e-8, 1e-9])
def test_differences_to_one_side_are_rejected_whatever_the_nudge(
    page: dict[str, Any], h: float
) -> None:
    assert page["numeric_gradient"].check(lambda f, x: differences(f, x, 0, h)) is not None


def test_a_numeric_gradient_must_leave_its_input_alone(page: dict[str, Any]) -> None:
    def careless(f: Callable[[Any], float], x: Any) -> Any:
        found = differences(f, x, 1e-5, 1e-5)
        x += 1e-9
        return found

    assert "leave x" in page["numeric_gradient"].check(careless)


def test_the_network_of_the_exercise_must_answer_and_not_repeat(page: dict[str, Any]) -> None:
    assert page["xor"].check(lambda x, y: lambda z: [0, 1, 1, 0]) is not None
    assert page["xor"].check(lambda x, y: lambda z: np.resize(y, len(z))) is not None


def test_another_network_for_xor_is_accepted(page: dict[str, Any]) -> None:
    def with_relu(x: Any, y: Any) -> Any:
        draw = np.random.default_rng(1).normal
        w, b, v, c = (Tensor(draw(size=shape)) for shape in ((2, 16), (16,), (16, 1), (1,)))
        for _ in range(500):
            (((x @ w + b).relu() @ v + c - y) ** 2).mean().backward()
            w, b, v, c = (Tensor(p.data - 0.03 * p.grad) for p in (w, b, v, c))
        return lambda z: ((z @ w + b).relu() @ v + c).data

    assert page["xor"].check(with_relu) is None


@pytest.mark.parametrize("scale", [True, 0, -1, float("nan"), 1e9, "large"])
def test_the_explorer_refuses_such_a_size_of_the_weights(page: dict[str, Any], scale: Any) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        page["flow"]("tanh", 5, scale)


def test_the_engines_have_the_lengths_that_the_chapter_says() -> None:
    """Forty lines on the page, a hundred and sixty in the package: four times as long."""
    notebook = Notebook(ROOT / "book" / f"{PAGE}.ipynb", ROOT)
    own = [cell.source for cell in notebook.code if cell.id in ("node", "backward")]
    package = (ROOT / "companion" / "teaching" / "autodiff.py").read_text(encoding="utf-8")
    lines = [code_lines(ast.parse(source), source) for source in (*own, package)]
    assert 35 <= sum(lines[:2]) <= 45
    assert 155 <= lines[2] <= 169
