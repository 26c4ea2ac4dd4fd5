"""What the page on recommendation builds by hand: factors, neighbours, the ridge, the tilt."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import cosine_similarity

from companion import economics, evaluation
from tools.cells import run_cells

PAGE = "05_applications/recommendation"
PEOPLE, FILMS = 40, 12


@pytest.fixture(scope="module")
def stars() -> np.ndarray:
    rng = np.random.default_rng(0)
    rated = rng.random((PEOPLE, FILMS)) < 0.6
    return rated * rng.integers(1, 11, (PEOPLE, FILMS)) / 2


@pytest.fixture(scope="module")
def page(stars: np.ndarray) -> dict[str, Any]:
    start = {
        "np": np,
        "evaluation": evaluation,
        "economics": economics,
        "sparse": SimpleNamespace(),
        "num_films": FILMS,
        "LIKED": 4.0,
        "seconds": float,
        "films": SimpleNamespace(
            timestamps=np.array([1, 2, 3, 4]),
            items=np.array([0, 1, 1, 2]),
            ratings=np.array([5.0, 4.0, 3.0, 5.0]),
        ),
    }
    return run_cells(PAGE, "als", "methods", "tuning", **start)


def test_solving_with_equal_weights_is_the_ridge_regression_of_scikit_learn(
    page: dict[str, Any],
) -> None:
    rng = np.random.default_rng(1)
    vectors, targets = rng.normal(size=(FILMS, 3)), rng.normal(size=(PEOPLE, FILMS))
    ours = page["solve"](np.ones_like(targets), targets, vectors, 2.0)
    theirs = Ridge(alpha=2.0, fit_intercept=False).fit(vectors, targets.T).coef_
    assert ours == pytest.approx(theirs)


def test_a_cell_of_weight_zero_does_not_count(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(2)
    vectors, targets = rng.normal(size=(FILMS, 3)), rng.normal(size=(PEOPLE, FILMS))
    weights = (rng.random(targets.shape) < 0.7) * 1.0
    other = np.where(weights > 0, targets, 99.0)
    ours = page["solve"](weights, targets, vectors, 1.0)
    assert ours == pytest.approx(page["solve"](weights, other, vectors, 1.0))


def test_factors_find_a_table_of_their_own_rank_again(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    table = rng.normal(size=(PEOPLE, 2)) @ rng.normal(size=(2, FILMS))
    ones = np.ones_like(table)
    vectors = page["factorise"](ones, table, 2, 1e-6)
    again = page["solve"](ones, table, vectors, 1e-6) @ vectors.T
    assert again == pytest.approx(table, abs=1e-3)


def test_the_small_inverse_gives_the_scores_of_the_large_one(
    page: dict[str, Any], stars: np.ndarray
) -> None:
    past, known = stars[:30], stars[30:]
    x, history = 1.0 * (past >= 4), 1.0 * (known >= 4)
    large = np.linalg.inv(x.T @ x + 5.0 * np.eye(FILMS))
    between = -large / np.diag(large)
    np.fill_diagonal(between, 0)
    unseen = history == 0
    ours = page["ridge"](past, known, 5.0)
    assert ours[unseen] == pytest.approx((history @ between)[unseen])


def test_neighbours_without_shrinkage_are_near_by_the_cosine_of_scikit_learn(
    page: dict[str, Any], stars: np.ndarray
) -> None:
    past, known = stars[:30], stars[30:]
    near = cosine_similarity(1.0 * (past >= 4).T)
    theirs = 1.0 * (known >= 4) @ near
    assert page["item_knn"](past, known, 1e-12) == pytest.approx(theirs)


def test_popularity_counts_the_likes_of_its_window_and_none_from_later(
    page: dict[str, Any], stars: np.ndarray
) -> None:
    count = page["popularity"](stars, stars[:2], years=3, year=4)
    assert count.shape == (2, FILMS)
    assert count[0, :4].tolist() == [1, 1, 0, 0]  # the dislike and the like of time 4 are left out


def test_a_tilt_of_power_zero_leaves_every_list_as_it_was(
    page: dict[str, Any], stars: np.ndarray
) -> None:
    scores = np.random.default_rng(4).random((3, FILMS))
    tilted = page["tilt"](scores, stars, 4, 0)
    assert np.array_equal(evaluation.top_items(tilted, k=5), evaluation.top_items(scores, k=5))
    assert not np.allclose(page["tilt"](scores, stars, 4, 1), tilted)
