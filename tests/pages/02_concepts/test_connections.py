"""What the page on connections claims: its loss, and what its explorer refuses."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifierCV

import companion
from tools.cells import run_cells


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    product, names = np.repeat(np.arange(4), 60), ("borrowed vectors", "word counts")
    start = {"np": np, "lru_cache": lru_cache, "RidgeClassifierCV": RidgeClassifierCV}
    start |= dict.fromkeys(("train_product", "train_stars"), product)
    start |= dict.fromkeys(("test_product", "test_stars"), product[::6])
    start |= {"features": {name: rng.normal(size=(280, 5)) for name in names}, "per_train": 60}
    cells = ("right-answers", "explorer-function", "exercise-loss")
    return run_cells("02_concepts/connections", *cells, companion=companion, **start)


@given(n=st.integers(1, 8), seed=st.integers(0, 1000), shift=st.floats(-9, 9))
def test_moving_all_scores_by_one_number_leaves_the_loss(
    page: dict[str, Any], n: int, seed: int, shift: float
) -> None:
    s = np.random.default_rng(seed).normal(size=(n, n))
    for axis in (0, 1):
        assert np.allclose(page["log_share"](s, axis), page["log_share"](s + shift, axis))
        assert (page["log_share"](s, axis) <= 1e-12).all()


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        *(("product", n, "labels must be") for n in (-8, 0, 6, 10, 244, 1e9, float("nan"), "16")),
        *(("product", n, "labels must be") for n in (None, [16])),
        *((task, 16, "task must be") for task in ("stars", "", None, 3, ["product"])),
    ],
)
def test_the_explorer_says_what_is_wrong_with_an_input(
    page: dict[str, Any], task: Any, labels: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        page["compared"](task, labels)
