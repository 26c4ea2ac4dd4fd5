"""What the page on behaviour builds by hand: places, chains, sampled hit rates, BG/NBD, AUC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import optimize, sparse, special, stats
from sklearn.metrics import roc_auc_score

from tools.cells import run_cells

PAGE = "05_applications/user_behaviour"
FILMS = 40


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    start = {
        "np": np,
        "num_films": FILMS,
        "optimize": optimize,
        "sparse": sparse,
        "special": special,
        "stats": stats,
    }
    return run_cells(PAGE, "places", "markov", "sampled-rate", "bgnbd", "auc-by-rank", **start)


def test_a_place_counts_the_films_ahead_that_were_not_rated_before(page: dict[str, Any]) -> None:
    scores = np.zeros(FILMS)
    scores[[3, 5, 7]] = [3.0, 2.0, 1.0]
    (found,) = page["places"](
        lambda before: np.tile(scores, (len(before), 1)), [np.array([3, 5, 7])]
    )
    assert found.tolist() == [1, 1]  # film 3, seen before, stands in nobody's way


def test_equal_scores_count_as_ahead(page: dict[str, Any]) -> None:
    (found,) = page["places"](lambda before: np.zeros((len(before), FILMS)), [np.array([0, 1])])
    assert found.tolist() == [FILMS - 1]


def test_hits_and_gains_are_means_over_a_persons_steps(page: dict[str, Any]) -> None:
    found = [np.array([1, 11]), np.array([3])]
    assert page["hit_rate"](found).tolist() == [0.5, 1.0]
    assert page["gain"](found) == pytest.approx([0.5, 0.5])


def test_transitions_count_what_follows_and_fade_with_distance(page: dict[str, Any]) -> None:
    table = page["transitions"]([np.array([0, 1, 2])], 2, 0.5).toarray()
    assert table[0, 1] == table[1, 2] == 1
    assert table[0, 2] == 0.5
    assert table.sum() == 2.5


def test_the_sampled_hit_rate_is_what_drawing_gives(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    place, drawn = 12, 25
    (exact,) = page["sampled_hit_rate"]([np.array([place])], drawn)
    others = FILMS - 2  # neither the film that was rated nor the next one
    ahead = np.arange(others) < place - 1
    drawings = [ahead[rng.permutation(others)[:drawn]].sum() <= 9 for _ in range(4000)]
    assert exact == pytest.approx(np.mean(drawings), abs=4 * np.std(drawings) / 4000**0.5)


def test_the_chance_to_buy_grows_with_time_and_falls_with_silence(page: dict[str, Any]) -> None:
    chance = page["chance_to_buy"]
    parameters = np.log([0.25, 4.5, 0.8, 2.4])
    short, long = (chance(parameters, 3, 20.0, 30.0, weeks) for weeks in (1, 50))
    assert 0 < short < long < 1
    assert chance(parameters, 3, 5.0, 30.0, 50) < chance(parameters, 3, 29.0, 30.0, 50)


def test_who_never_came_back_is_still_there(page: dict[str, Any]) -> None:
    here, gone = page["here_or_gone"](np.log([0.25, 4.5, 0.8, 2.4]), np.array([0]), 0.0, 30.0)
    assert special.expit(here - gone) == pytest.approx([1.0])


def test_the_area_is_scikit_learns_also_with_ties(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(3)
    bought, score = rng.random(200) < 0.3, rng.integers(0, 10, 200)
    assert page["auc"](bought, score) == pytest.approx(roc_auc_score(bought, score))
