"""Each formula against its definition: no flipped sign, dropped factor or step aside passes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion.evaluation import (
    Interval,
    accuracy_interval,
    bootstrap_interval,
    calibration,
    difference_interval,
)

CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 99)), min_size=1, max_size=40)
SAMPLE = np.random.default_rng(0).normal(size=400)


@given(number=st.integers(1, 200), level=st.floats(0.5, 0.999), data=st.data())
def test_the_ends_of_the_exact_interval_are_just_not_refuted(
    number: int, level: float, data: st.DataObject
) -> None:
    right = data.draw(st.integers(0, number))
    interval = accuracy_interval(np.ones(number, int), np.arange(number) < right, level=level)
    tail = (1 - level) / 2
    if right:  # at the lower end as many right answers or more are as rare as allowed
        assert stats.binom.sf(right - 1, number, interval.low) == pytest.approx(tail, rel=1e-4)
    else:
        assert interval.low == 0
    if right < number:
        assert stats.binom.cdf(right, number, interval.high) == pytest.approx(tail, rel=1e-4)
    else:
        assert interval.high == 1
    assert interval.level == level
    assert interval.contains(right / number)


def test_of_all_right_and_of_none_the_ends_are_the_closed_form() -> None:
    ones, zeros = np.ones(50, int), np.zeros(50, int)
    assert accuracy_interval(ones, ones).low == pytest.approx(0.025 ** (1 / 50))
    assert accuracy_interval(ones, zeros).high == pytest.approx(1 - 0.025 ** (1 / 50))


def test_right_and_wrong_change_places_with_the_labels() -> None:
    labels, given = np.random.default_rng(1).integers(0, 2, (2, 60))
    right, wrong = accuracy_interval(labels, given), accuracy_interval(1 - labels, given)
    assert wrong.estimate == pytest.approx(1 - right.estimate)
    assert (wrong.low, wrong.high) == pytest.approx((1 - right.high, 1 - right.low))


def test_a_higher_level_gives_a_wider_interval() -> None:
    labels, a, b = np.random.default_rng(1).integers(0, 2, (3, 60))
    for measure in (
        lambda level: accuracy_interval(labels, a, level=level),
        lambda level: difference_interval(labels, a, b, level=level),
        lambda level: bootstrap_interval(np.mean, SAMPLE, level=level),
    ):
        narrow, wide = measure(0.5), measure(0.99)
        assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
        assert wide.estimate == narrow.estimate


def test_the_bootstrap_of_a_mean_is_as_wide_as_its_standard_error_says() -> None:
    for number in (50, 400):
        x = SAMPLE[:number]
        interval = bootstrap_interval(np.mean, x, num_resamples=4000)
        z, error = stats.norm.ppf(0.975), x.std() / math.sqrt(number)
        assert interval.high - interval.low == pytest.approx(2 * z * error, rel=0.06)
        assert (interval.high + interval.low) / 2 == pytest.approx(x.mean(), abs=0.1 * error)


def test_four_times_the_rows_halve_the_bootstrap_s_interval() -> None:
    x = np.tile(SAMPLE[:100], 4)
    few, many = bootstrap_interval(np.mean, x[:100]), bootstrap_interval(np.mean, x)
    assert (few.high - few.low) / (many.high - many.low) == pytest.approx(2, rel=0.08)


@given(shift=st.floats(-100, 100), scale=st.floats(0.1, 10))
def test_the_bootstrap_moves_with_its_rows(shift: float, scale: float) -> None:
    x = SAMPLE[:30]
    before = bootstrap_interval(np.mean, x, num_resamples=50)
    after = bootstrap_interval(np.mean, shift + scale * x, num_resamples=50)
    for old, new in zip(
        (before.low, before.estimate, before.high),
        (after.low, after.estimate, after.high),
        strict=True,
    ):
        assert new == pytest.approx(shift + scale * old, abs=1e-9)


def test_a_resample_has_as_many_rows_as_the_sample_and_not_all_of_them() -> None:
    seen: list[list[int]] = []
    bootstrap_interval(lambda x: seen.append(x.tolist()) or 0, np.arange(20), num_resamples=30)
    assert [len(rows) for rows in seen] == [20] * 31  # and the sample itself
    assert seen[-1] == list(range(20))
    different = [len(set(rows)) / 20 for rows in seen[:-1]]
    assert np.mean(different) == pytest.approx(1 - math.exp(-1), abs=0.05)
    assert set().union(*map(set, seen[:-1])) == set(range(20))


@given(st.lists(st.tuples(*[st.booleans()] * 3), min_size=1, max_size=40))
def test_the_difference_is_what_b_alone_has_right_less_what_a_alone_has(
    rows: list[tuple[bool, bool, bool]],
) -> None:
    labels, a, b = np.array(rows).T
    only_b = sum(y == q != p for y, p, q in rows)
    only_a = sum(y == p != q for y, p, q in rows)
    there = difference_interval(labels, a, b, num_resamples=20)
    assert there.estimate == pytest.approx((only_b - only_a) / len(rows))
    back = difference_interval(labels, b, a, num_resamples=20)
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))
    assert -1 <= there.low <= there.high <= 1


def test_where_two_models_agree_nothing_is_uncertain() -> None:
    labels, a = np.random.default_rng(2).integers(0, 2, (2, 50))
    same = difference_interval(labels, a, a)
    assert (same.low, same.estimate, same.high) == (0, 0, 0)


@given(cases=CASES, num_bins=st.integers(1, 12))
def test_a_bin_holds_the_probabilities_between_its_ends(
    cases: list[tuple[bool, int]], num_bins: int
) -> None:
    # Odd thousandths lie on no boundary of up to twelve bins.
    labels = np.array([event for event, _ in cases])
    probabilities = np.array([(10 * hundredth + 3.7) / 1000 for _, hundredth in cases])
    result = calibration(labels, probabilities, num_bins)
    predicted, observed, counts = [], [], []
    for i in range(num_bins):
        inside = (probabilities >= i / num_bins) & (probabilities < (i + 1) / num_bins)
        if inside.any():
            predicted.append(probabilities[inside].mean())
            observed.append(labels[inside].mean())
            counts.append(int(inside.sum()))
    np.testing.assert_allclose(result.predicted, predicted)
    np.testing.assert_allclose(result.observed, observed)
    assert result.counts.tolist() == counts
    gap = sum(n * abs(p - o) for n, p, o in zip(counts, predicted, observed, strict=True))
    assert result.error == pytest.approx(gap / len(cases))


def test_without_a_number_of_bins_there_are_ten() -> None:
    probabilities = np.arange(100) / 100 + 0.005
    assert calibration(np.zeros(100), probabilities).counts.tolist() == [10] * 10


def test_certain_and_right_has_no_error_and_certain_and_wrong_the_largest() -> None:
    assert calibration([0, 1, 1], [0, 1, 1]).error == 0
    assert calibration([0, 1, 1], [1, 0, 0]).error == 1


@pytest.mark.parametrize(
    ("value", "inside"), [(0.1, True), (0.4, True), (0.09, False), (0.41, False)]
)
def test_both_ends_belong_to_the_interval(value: float, inside: bool) -> None:
    assert Interval(0.1, 0.2, 0.4, 0.95).contains(value) is inside


def test_the_level_is_written_as_it_was_chosen() -> None:
    assert f"{Interval(0, 0.5, 1, 0.9):.0f}" == "0 (90 % interval 0–1)"
    assert f"{Interval(0, 0.5, 1, 0.995):.1f}" == "0.5 (99.5 % interval 0.0–1.0)"
    assert f"{Interval(-0.2, 0.5, 1, 0.95):.1f}" == "0.5 (95 % interval −0.2 to 1.0)"
    assert f"{Interval(-3, -2, -1, 0.95):.0f}" == "−2 (95 % interval −3 to −1)"


@pytest.mark.parametrize("level", [0, 1, -0.5, 95, math.nan, "0.95", None, True])
def test_an_impossible_level_is_refused_by_all(level: Any) -> None:
    for call in (
        lambda: accuracy_interval([1], [1], level=level),
        lambda: bootstrap_interval(np.mean, [1], level=level),
        lambda: difference_interval([1], [1], [1], level=level),
    ):
        with pytest.raises(ValueError, match="level must lie between 0 and 1"):
            call()


@pytest.mark.parametrize("number", [0, -1, 2.0, "9", None, True])
def test_numbers_of_resamples_bins_and_seeds_are_whole(number: Any) -> None:
    with pytest.raises(ValueError, match="num_resamples must be a whole number of at least 1"):
        bootstrap_interval(np.mean, [1], num_resamples=number)
    with pytest.raises(ValueError, match="num_bins must be a whole number of at least 1"):
        calibration([1], [0.5], num_bins=number)
    if number != 0:
        with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
            bootstrap_interval(np.mean, [1], seed=number)


def test_options_are_given_by_name() -> None:
    with pytest.raises(TypeError, match="positional"):
        difference_interval([1], [1], [1], 0.9)  # type: ignore[misc]


@pytest.mark.parametrize("texts", [["a", "b"], [None, 1], ["0", "1"]])
def test_texts_are_no_labels(texts: Any) -> None:
    with pytest.raises(ValueError, match="labels must hold only 0 and 1, as numbers"):
        accuracy_interval(texts, [0, 1])
    with pytest.raises(ValueError, match="predictions_b must hold only 0 and 1, as numbers"):
        difference_interval([0, 1], [0, 1], texts)
    with pytest.raises(ValueError, match="labels must hold only 0 and 1, as numbers"):
        calibration(texts, [0.1, 0.9])
