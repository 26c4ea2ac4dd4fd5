"""What the page on Kaggle builds by hand: a check of files, a climb, a Ladder, the best of many."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from tools.cells import run_cells

SAMPLE = pd.DataFrame({"id": [4, 2, 9], "five_stars": 0.5})


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    code = {"np": np, "pd": pd, "stats": stats}
    return run_cells(
        "06_tools/kaggle", "submission", "climber", "real-teams", "explorer-function", **code
    )


@pytest.mark.parametrize("value", [0, 1, 0.25])
def test_a_file_in_any_order_and_with_any_probability_is_in_order(
    page: dict[str, Any], value: float
) -> None:
    assert page["faults"](SAMPLE.assign(five_stars=value)[::-1], SAMPLE) == []


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (SAMPLE[["five_stars", "id"]], "columns"),
        (SAMPLE[:2], "missing, such as 9"),
        (pd.concat([SAMPLE, SAMPLE[:1]]), "stand in it twice"),
        (SAMPLE.assign(id=[4, 2, 7]), "not asked for, such as 7"),
        (SAMPLE.assign(five_stars=[0.1, None, 0.2]), "no numbers"),
        (SAMPLE.assign(five_stars=["a", "0.2", "0.3"]), "no numbers"),
        (SAMPLE.assign(five_stars=[0.1, 0.2, 1.5]), "between 0 and 1"),
        (SAMPLE.assign(five_stars=[0.1, 0.2, np.inf]), "between 0 and 1"),
        (SAMPLE[:0], "3 cases are missing"),
    ],
)
def test_each_broken_rule_is_named(page: dict[str, Any], file: pd.DataFrame, words: str) -> None:
    assert words in " ".join(page["faults"](file, SAMPLE))


def test_the_public_score_never_falls_and_the_first_file_is_left_alone(
    page: dict[str, Any],
) -> None:
    rng = np.random.default_rng(0)
    right, public = rng.random(400) < 0.7, rng.random(400) < 0.5
    before = right.copy()
    path = page["climb"](right, public, 300, np.random.default_rng(1))
    assert (np.diff(path[:, 0]) >= 0).all()
    assert path[-1, 0] > right[public].mean()
    assert (right == before).all()


def test_a_board_with_a_hurdle_moves_by_more_than_the_hurdle(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    right, public = rng.random(400) < 0.3, rng.random(400) < 0.1
    steps = np.diff(page["climb"](right, public, 500, np.random.default_rng(1), 0.05)[:, 0])
    assert (steps > 0).any()
    assert steps[steps > 0].min() > 0.05


@pytest.mark.parametrize(("hurdle", "ends", "seen"), [(0, (0.75, 1), 1), (0.3, (0.5, 0.75), 0)])
def test_a_blend_keeps_what_moves_the_board_and_counts_the_gains_it_showed(
    page: dict[str, Any], hurdle: float, ends: tuple[float, float], seen: int
) -> None:
    truths, public = np.ones(8, bool), np.arange(8) < 4
    first = np.array([0.9, 0.9, 0, 0, 0.9, 0.9, 0.9, 0])
    better = np.array([0.9, 0.9, 1.1, 0, 0.9, 0.9, 0.9, 1.1])  # helps in one case of each part
    found = page["blend"]([first, better], truths, public, hurdle)
    assert found.tolist() == [0.5, 0.75, *ends, 1, seen]


def test_the_best_of_equal_files_is_what_drawing_gives(page: dict[str, Any]) -> None:
    drawn = np.random.default_rng(0).binomial(100, 0.8, (4000, 10)).max(axis=1) / 100
    (_, of_ten) = page["best_of_equals"](100, 10)["rows"]
    assert of_ten["score"] == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 4000**0.5)
