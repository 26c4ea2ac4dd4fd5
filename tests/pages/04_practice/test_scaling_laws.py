"""What the page on scaling laws claims of its stored sweep."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import companion
from tools.cells import run_cells

PAGE = Path(__file__).parents[3] / "book/04_practice/scaling_laws.ipynb"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["read-sweep", "fit", "bootstrap", "prediction", "reveal"]
    start = {
        "ScalingLaw": companion.training.ScalingLaw,
        "fit_scaling_law": companion.training.fit_scaling_law,
        "load_measurements": companion.data.load_measurements,
    }
    rng = np.random.default_rng(1)  # another seed than the page's
    return run_cells("04_practice/scaling_laws", *names, np=np, rng=rng, **start)


def test_the_held_out_losses_are_covered_until_they_are_predicted(page: dict[str, Any]) -> None:
    cells = json.loads(PAGE.read_text("utf-8"))["cells"]
    shown = [json.dumps(cell.get("outputs", [])) for cell in cells]
    before = "".join(shown[: [cell["id"] for cell in cells].index("prediction")])
    for loss in page["L"][page["large"]]:
        assert f"{loss:.3f}" not in before
    assert f"{page['N'].max():,}" not in before


def test_the_floor_is_hardly_known_with_another_seed_either(page: dict[str, Any]) -> None:
    low, high = page["intervals"]["loss_floor"]
    assert low < 0.1
    assert high > 0.8


def test_the_measured_losses_lie_in_the_intervals_with_another_seed(page: dict[str, Any]) -> None:
    assert page["inside"].all()


def test_each_refit_is_as_good_as_one_from_many_starts(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(1)
    n, d, y = page["seen"]
    for refit in page["refits"][:5]:
        drawn = rng.integers(0, len(n), len(n))

        def error(law: Any, rows: Any = drawn) -> float:
            return float(np.abs(np.log(law.loss(n[rows], d[rows]) / y[rows])).sum())

        many = companion.training.fit_scaling_law(n[drawn], d[drawn], y[drawn])
        assert error(refit) <= 1.01 * error(many)
