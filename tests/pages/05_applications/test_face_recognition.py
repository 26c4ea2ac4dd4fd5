"""What the page on faces claims: its alignment, its two error rates, its crowds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from tools.cells import run_cells

cv2 = pytest.importorskip("cv2")

PAGE = "05_applications/face_recognition"


@pytest.fixture(scope="module")
def chain() -> dict[str, Any]:
    return run_cells(PAGE, "upright", "views-code", "errors", np=np, cv2=cv2, find_faces=None)


@pytest.fixture(scope="module")
def people() -> np.ndarray:
    """Vectors of six made-up people, ten each, which overlap."""
    rng = np.random.default_rng(0)
    rows = np.repeat(rng.normal(size=(6, 1, 8)), 10, axis=1) + 0.8 * rng.normal(size=(6, 10, 8))
    return (rows / np.linalg.norm(rows, axis=2, keepdims=True)).reshape(60, 8)


@pytest.mark.parametrize("angle", [0, 30, -75, 180])
def test_points_that_were_turned_scaled_and_shifted_come_back_to_their_places(
    angle: int, chain: dict[str, Any]
) -> None:
    turn = np.radians(angle)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    moved = 3 * chain["TEMPLATE"] @ matrix.T + (20, -5)
    back = chain["placement"](moved)
    assert np.allclose(moved @ back[:, :2].T + back[:, 2], chain["TEMPLATE"])


def test_no_small_change_of_the_placement_brings_the_points_closer(chain: dict[str, Any]) -> None:
    points = chain["TEMPLATE"] + np.random.default_rng(0).normal(0, 3, (5, 2))

    def distance(a: float, b: float, right: float, below: float) -> float:
        places = np.stack(
            [
                a * points[:, 0] - b * points[:, 1] + right,
                b * points[:, 0] + a * points[:, 1] + below,
            ]
        )
        return float(((places.T - chain["TEMPLATE"]) ** 2).sum())

    found = chain["placement"](points)
    best = np.array([found[0, 0], found[1, 0], found[0, 2], found[1, 2]])
    for step in np.concatenate([np.eye(4), -np.eye(4)]) * 1e-3:
        assert distance(*(best + step)) > distance(*best)


def test_every_pair_of_pictures_is_counted_once(chain: dict[str, Any], people: np.ndarray) -> None:
    table = chain["similarities"](people)
    same, other = chain["same_pairs"](table), chain["other_pairs"](table)
    assert same.size + other.size == 60 * 59 // 2
    everything = people @ people.T
    assert np.isclose(same.sum() + other.sum(), everything[np.triu_indices(60, 1)].sum())


def test_both_error_rates_are_those_of_scikit_learn(
    chain: dict[str, Any], people: np.ndarray
) -> None:
    table = chain["similarities"](people)
    same, other = chain["same_pairs"](table).ravel(), chain["other_pairs"](table).ravel()
    labels = np.concatenate([np.ones(same.size), np.zeros(other.size)])
    matches, hits, thresholds = roc_curve(labels, np.concatenate([same, other]))
    below = thresholds[1:] - 1e-9  # the page matches above a threshold, scikit-learn from it on
    missed, matched = chain["errors"](table, below)
    assert np.allclose(missed.mean(axis=0), 1 - hits[1:])
    assert np.allclose(matched.sum(axis=(0, 1)) / (6 * 5), matches[1:])


def test_the_equal_error_lies_where_both_rates_cross(
    chain: dict[str, Any], people: np.ndarray
) -> None:
    table = chain["similarities"](people)
    missed, matched = chain["errors"](table, chain["GRID"])
    error = chain["equal_error"](missed, matched, np.arange(6))
    misses, matches = missed.mean(axis=0), matched.sum(axis=(0, 1)) / (6 * 5)
    assert misses[misses <= matches].max() <= error + 0.01
    assert matches[misses >= matches].max() <= error + 0.01


def test_a_person_who_was_drawn_twice_is_never_compared_with_herself(
    chain: dict[str, Any], people: np.ndarray
) -> None:
    missed, matched = chain["errors"](chain["similarities"](people), chain["GRID"])
    once = chain["equal_error"](missed, matched, np.array([0, 1]))
    twice = chain["equal_error"](missed, matched, np.array([0, 0, 1, 1]))
    assert np.isclose(once, twice)


@pytest.mark.parametrize(("rate", "listed"), [(0.01, 1), (0.01, 50), (0.2, 7)])
def test_the_share_of_strangers_stopped_is_that_of_drawn_lists(rate: float, listed: int) -> None:
    page = run_cells(PAGE, "alarm-share")
    draws = np.random.default_rng(0).random((40_000, listed)) < rate
    assert np.isclose(page["alarm_share"](rate, listed), draws.any(axis=1).mean(), atol=0.01)


def test_nobody_is_stopped_by_the_own_picture(chain: dict[str, Any], people: np.ndarray) -> None:
    table = chain["similarities"](people)
    page = run_cells(
        PAGE, "identification", np=np, tested=table, tuned=table,
        other_pairs=chain["other_pairs"], alarm_share=lambda rate, listed: rate * listed,
    )  # fmt: skip
    above = table.max(axis=(0, 2, 3)).max() + 1
    assert page["stopped"](table, above) == 0
    alone = np.where(np.eye(6, dtype=bool)[..., None, None], table, -1)
    assert page["stopped"](alone, 0.0) == 0
    assert page["stopped"](table, -2.0) == 1


@pytest.mark.parametrize("kind", ["blurred", "far away", "lit from one side", "turned"])
def test_a_spoiled_picture_keeps_its_size_and_kind(kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (112, 92), dtype=np.uint8)
    page = run_cells(PAGE, "spoil", np=np, cv2=cv2)
    for strength in page["STRENGTHS"][kind]:
        other = page["spoil"](picture, kind, strength)
        assert other.shape == picture.shape
        assert other.dtype == np.uint8
        assert not np.array_equal(other, picture)
