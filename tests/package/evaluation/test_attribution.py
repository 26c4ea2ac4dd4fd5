"""Attributions are complete, exact for linear models, and see what a score depends on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.evaluation import gradient_times_input, integrated_gradients, occlusion

SEEDS = st.integers(0, 10_000)


def network(seed: int, inputs: int = 6, hidden: int = 5) -> tuple[Any, Any]:
    """A small smooth network and its gradient, by hand."""
    rng = np.random.default_rng(seed)
    first, second = rng.normal(size=(inputs, hidden)), rng.normal(size=hidden)

    def score(x: np.ndarray) -> np.ndarray:
        return np.tanh(x @ first) @ second

    def gradient(x: np.ndarray) -> np.ndarray:
        return ((1 - np.tanh(x @ first) ** 2) * second) @ first.T

    return score, gradient


def rows(seed: int, number: int = 3, inputs: int = 6) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed + 1)
    return rng.normal(size=(number, inputs)), rng.normal(size=inputs)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_integrated_gradients_add_up_to_what_the_score_rises_from_the_baseline(seed: int) -> None:
    score, gradient = network(seed)
    x, start = rows(seed)
    parts = integrated_gradients(gradient, x, start, steps=400)
    assert parts.sum(axis=1) == pytest.approx(score(x) - score(start[None]), abs=2e-3)


@given(seed=SEEDS)
@settings(max_examples=30, deadline=None)
def test_all_three_are_exact_for_a_linear_score(seed: int) -> None:
    weights = np.random.default_rng(seed).normal(size=6)
    x, start = rows(seed)

    def slope(x: np.ndarray) -> np.ndarray:
        return np.broadcast_to(weights, x.shape)

    expected = pytest.approx((x - start) * weights)
    assert integrated_gradients(slope, x, start, steps=1) == expected
    assert gradient_times_input(slope, x, start) == expected
    assert occlusion(lambda x: x @ weights, x, start) == expected


@given(seed=SEEDS)
@settings(max_examples=20, deadline=None)
def test_a_value_on_which_the_score_does_not_depend_gets_nothing(seed: int) -> None:
    score, gradient = network(seed)
    keep = np.array([1, 1, 0, 1, 1, 1])
    x, start = rows(seed)

    def slope(x: np.ndarray) -> np.ndarray:
        return gradient(x * keep) * keep

    for parts in (
        integrated_gradients(slope, x, start),
        gradient_times_input(slope, x, start),
        occlusion(lambda x: score(x * keep), x, start),
    ):
        assert not parts[:, 2].any()
        assert parts[:, 0].all()


def test_integrated_gradients_see_a_change_where_the_score_has_levelled_off() -> None:
    levelled = np.array([[5.0]])  # of the score min(x, 1)

    def slope(x: np.ndarray) -> np.ndarray:
        return (x < 1).astype(float)

    assert integrated_gradients(slope, levelled, steps=100).item() == pytest.approx(1)
    assert gradient_times_input(slope, levelled).item() == 0


def test_what_equals_its_baseline_gets_nothing() -> None:
    _, gradient = network(1)
    x, _ = rows(1)
    start = np.zeros_like(x)
    start[:, 3] = x[:, 3]
    parts = integrated_gradients(gradient, x, start)
    assert (parts == 0).tolist() == [[False] * 3 + [True] + [False] * 2] * len(x)


def test_more_steps_bring_the_sum_closer_to_the_rise() -> None:
    score, gradient = network(2)
    x, start = rows(2)
    rise = score(x) - score(start[None])
    gaps = [
        np.abs(integrated_gradients(gradient, x, start, steps=steps).sum(axis=1) - rise).max()
        for steps in (2, 8, 32, 128)
    ]
    assert gaps == sorted(gaps, reverse=True)


def test_one_of_two_copies_can_be_covered_without_a_fall() -> None:
    either = np.array([[1, 1, 0]])
    assert not occlusion(lambda ids: ids[:, :2].max(axis=1), either).any()


@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_window_shares_its_fall_among_the_pixels_that_it_covers(window: int) -> None:
    picture = np.zeros((2, 4, 4))
    picture[1, 0, 0] = 1
    parts = occlusion(lambda x: x.sum(axis=(1, 2)), picture, window=window)
    assert parts[1, 0, 0] == 1  # every window over the corner takes the ink away
    assert not parts[0].any()
    assert (parts[1] > 0).sum() == window**2


def test_many_windows_give_the_same_as_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    pictures, weights = rng.normal(size=(70, 9, 9)), rng.normal(size=(9, 9))
    rows_seen = []

    def score(x: np.ndarray) -> np.ndarray:
        rows_seen.append(len(x))
        return (x * weights).sum(axis=(1, 2))

    parts = occlusion(score, pictures, pictures.mean(axis=0))
    assert parts == pytest.approx((pictures - pictures.mean(axis=0)) * weights)
    assert 1 < len(rows_seen) < 81


def test_token_ids_stay_whole_numbers() -> None:
    seen = []

    def score(ids: np.ndarray) -> np.ndarray:
        seen.append(ids.dtype.kind)
        return ids.sum(axis=1)

    occlusion(score, np.array([[3, 4]]))
    assert set(seen) == {"i"}


@pytest.mark.parametrize(
    ("inputs", "baselines"),
    [
        ([], 0),
        (3.0, 0),
        ([1.0, 2.0], 0),
        ([[1.0, np.nan]], 0),
        ([[1.0, 2.0]], np.inf),
        ([[1.0, 2.0]], [0, 0, 0]),
        ([["a", "b"]], 0),
        ([[1.0], [1.0, 2.0]], 0),
    ],
)
def test_inputs_that_are_no_table_of_numbers_are_refused(inputs: Any, baselines: Any) -> None:
    for explain in (integrated_gradients, gradient_times_input, occlusion):
        with pytest.raises(ValueError, match="finite numbers"):
            explain(lambda x: x, inputs, baselines)


def test_a_function_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gradient must return .* \(1, 2\), not \(1,\)"):
        integrated_gradients(lambda x: x[:, 0], [[1.0, 2.0]])
    with pytest.raises(ValueError, match=r"score must return .* \(1,\), not \(1, 2\)"):
        occlusion(lambda x: x, [[1.0, 2.0]])


@pytest.mark.parametrize("sides", [(5,), (3, 4)])
@pytest.mark.parametrize("window", [1, 2, 3])
def test_a_place_gets_the_mean_fall_over_the_windows_that_cover_it(
    sides: tuple[int, ...], window: int
) -> None:
    rng = np.random.default_rng(window)
    x, asked = rng.normal(size=(2, *sides)), []

    def score(rows: np.ndarray) -> np.ndarray:
        return np.tanh(rows.reshape(len(rows), -1) @ np.arange(1, np.prod(sides) + 1))

    def counted(rows: np.ndarray) -> np.ndarray:
        asked.append(len(rows))
        return score(rows)

    found = occlusion(counted, x, window=window)
    falls: dict[tuple[int, ...], list[Any]] = {place: [] for place in np.ndindex(sides)}
    corners = list(np.ndindex(*(side - window + 1 for side in sides)))
    for corner in corners:
        covered = x.copy()
        inside = tuple(slice(at, at + window) for at in corner)
        covered[(slice(None), *inside)] = 0
        for place in np.ndindex(*[window] * len(sides)):
            at = tuple(a + b for a, b in zip(corner, place, strict=True))
            falls[at].append(score(x) - score(covered))
    for place, each in falls.items():
        assert found[(slice(None), *place)] == pytest.approx(np.mean(each, axis=0))
    assert sum(asked) == len(x) * (1 + len(corners))  # as it is, and once for each window


def test_what_is_not_said_is_a_path_of_32_steps_from_zero() -> None:
    _, gradient = network(0)
    x, _ = rows(0)
    said = integrated_gradients(gradient, x, np.zeros(6), steps=32)
    assert (integrated_gradients(gradient, x) == said).all()
    assert (gradient_times_input(gradient, x) == gradient(x) * x).all()


@pytest.mark.parametrize("steps", [0, -1, 1.5, True, "8"])
def test_a_way_needs_a_whole_number_of_steps(steps: Any) -> None:
    with pytest.raises(ValueError, match=r"^steps"):
        integrated_gradients(lambda x: x, [[1.0]], steps=steps)


@pytest.mark.parametrize("window", [0, 3, 1.5])
def test_a_window_must_fit_in(window: Any) -> None:
    with pytest.raises(ValueError, match=r"^window"):
        occlusion(lambda x: x.sum(axis=(1, 2)), np.ones((1, 2, 4)), window=window)
