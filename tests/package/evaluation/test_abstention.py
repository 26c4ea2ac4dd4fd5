"""What the curve of abstention says: counted by hand, and never by chance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.evaluation import abstention_curve

CASES = st.lists(st.tuples(st.booleans(), st.integers(-3, 3)), min_size=1, max_size=40)


@given(cases=CASES)
@settings(max_examples=60, deadline=None)
def test_every_point_is_what_counting_the_answered_cases_gives(
    cases: list[tuple[bool, int]],
) -> None:
    right, sure = (np.array(column) for column in zip(*cases, strict=True))
    curve = abstention_curve(right, sure)
    assert sorted(set(sure), reverse=True) == curve.thresholds.tolist()
    for threshold, coverage, accuracy in zip(
        curve.thresholds, curve.coverage, curve.accuracy, strict=True
    ):
        answered = sure >= threshold
        assert math.isclose(coverage, answered.mean())
        assert math.isclose(accuracy, right[answered].mean())


@given(cases=CASES, error=st.floats(0, 1))
@settings(max_examples=60, deadline=None)
def test_the_threshold_keeps_the_error_and_no_lower_one_does(
    cases: list[tuple[bool, int]], error: float
) -> None:
    right, sure = (np.array(column) for column in zip(*cases, strict=True))
    curve = abstention_curve(right, sure)
    threshold = curve.threshold_for_error(error)
    if math.isfinite(threshold):
        assert 1 - right[sure >= threshold].mean() <= error + 1e-9
    for lower in curve.thresholds[curve.thresholds < threshold]:
        assert 1 - right[sure >= lower].mean() > error


def test_the_scale_of_the_confidence_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    right, sure = rng.integers(0, 2, 50), rng.normal(size=50)
    one, other = abstention_curve(right, sure), abstention_curve(right, np.exp(sure))
    assert np.array_equal(one.coverage, other.coverage)
    assert np.array_equal(one.accuracy, other.accuracy)


def test_where_every_answer_is_wrong_none_is_given() -> None:
    assert abstention_curve([0, 0], [0.1, 0.9]).threshold_for_error(0.5) == math.inf


def test_an_error_that_is_just_reached_is_allowed() -> None:
    curve = abstention_curve([1] * 9 + [0], np.arange(10, 0, -1))
    assert curve.threshold_for_error(0.1) == 1
    assert curve.threshold_for_error(0.1 - 1e-6) == 2
    assert curve.threshold_for_error(1) == 1


def test_of_equally_sure_cases_the_earlier_is_answered_first() -> None:
    sure = [1.0] * 40
    right = [1, 0] * 20
    assert abstention_curve(right, sure).accuracy.tolist() == [0.5]


@pytest.mark.parametrize(
    ("right", "confidences"),
    [
        ([], []),
        ([1, 0], [0.5]),
        ([1, 2], [0.5, 0.6]),
        ([1, 0], [0.5, math.nan]),
        ([1, 0], ["sure", "unsure"]),
        ([1, 0], [[0.5], [0.6]]),
        ([1, 0], None),
    ],
)
def test_what_cannot_be_a_curve_is_refused(right: Any, confidences: Any) -> None:
    with pytest.raises(ValueError, match=r"right|confidences"):
        abstention_curve(right, confidences)


@pytest.mark.parametrize("error", [-0.1, 1.1, math.nan, "few", None])
def test_an_impossible_error_is_refused(error: Any) -> None:
    with pytest.raises(ValueError, match="share from 0 to 1"):
        abstention_curve([1, 0], [0.1, 0.9]).threshold_for_error(error)
