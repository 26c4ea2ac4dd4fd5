"""How benchmarks choose a setting: a grid that goes on while its best value lies at an edge."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import runs


def counting(score: Callable[[float], float]) -> tuple[Callable[[float], float], list[float]]:
    """Return the score and a list that fills with what was asked."""
    asked: list[float] = []

    def counted(value: float) -> float:
        asked.append(value)
        return score(value)

    return counted, asked


def peak(top: float) -> Callable[[float], float]:
    return lambda value: -abs(np.log(value / top))


def test_a_grid_whose_best_value_lies_inside_is_left_as_it_is() -> None:
    score, asked = counting(peak(3.0))
    assert runs.bracketed((1.0, 3.0, 9.0), 2, score) == (
        3.0,
        [(1.0, pytest.approx(-np.log(3))), (3.0, 0.0), (9.0, pytest.approx(-np.log(3)))],
    )
    assert asked == [1.0, 3.0, 9.0]


def test_a_grid_goes_on_upwards_by_its_factor_until_one_value_lies_above_the_best() -> None:
    score, asked = counting(peak(50.0))
    best, grid = runs.bracketed((1.0, 2.0, 6.0), 3, score)
    assert asked == [1.0, 2.0, 6.0, 18.0, 54.0, 162.0]
    assert best == 54.0
    assert [value for value, _ in grid] == asked
    assert all(found == peak(50.0)(value) for value, found in grid)


def test_a_grid_goes_on_downwards_by_its_factor_and_comes_back_sorted() -> None:
    score, asked = counting(peak(0.25))
    best, grid = runs.bracketed((1.0, 2.0, 4.0), 2, score)
    assert asked == [1.0, 2.0, 4.0, 0.5, 0.25, 0.125]
    assert best == 0.25
    assert [value for value, _ in grid] == sorted(asked)


def test_among_equals_the_first_that_was_tried_is_the_best_and_has_neighbours() -> None:
    best, grid = runs.bracketed((0.1, 1.0, 10.0), 10, lambda value: 0.5)
    assert best == 0.1
    assert [value for value, _ in grid] == [0.01, 0.1, 1.0, 10.0]
    best, _ = runs.bracketed((3.0, 1.0, 2.0), 10, lambda value: min(value, 2.0))
    assert best == 3.0


def test_new_values_are_rounded_to_six_digits() -> None:
    _, grid = runs.bracketed((1.0, 2.0), 3, lambda value: -value, longest=4)
    assert [value for value, _ in grid] == [0.111111, 0.333333, 1.0, 2.0]


@pytest.mark.parametrize("longest", [3, 5, 12])
def test_a_grid_without_a_best_value_ends_with_the_longest(longest: int) -> None:
    best, grid = runs.bracketed((1.0, 2.0, 4.0), 2, lambda value: value, longest)
    assert len(grid) == longest
    assert best == 2.0 ** (longest - 1)


def test_a_start_that_is_longer_than_the_longest_ends_at_once() -> None:
    best, grid = runs.bracketed((1.0, 2.0, 4.0), 2, lambda value: value, longest=2)
    assert (best, len(grid)) == (4.0, 3)


@given(st.floats(1e-3, 1e3), st.sampled_from([2.0, 3.0, 10.0]))
def test_the_best_has_a_worse_value_on_either_side(top: float, factor: float) -> None:
    best, grid = runs.bracketed((1.0, factor, factor**2), factor, peak(top), longest=40)
    values = [value for value, _ in grid]
    place = values.index(best)
    assert 0 < place < len(values) - 1
    assert grid[place][1] >= max(grid[place - 1][1], grid[place + 1][1])
    assert best / top == pytest.approx(1, rel=factor - 1)
