from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from companion.evaluation import (
    Interval,
    accuracy_interval,
    bootstrap_interval,
    calibration,
    difference_interval,
)


def decisions(number: int, num_right: int) -> tuple[np.ndarray, np.ndarray]:
    labels = np.ones(number, int)
    return labels, (np.arange(number) < num_right).astype(int)


@given(number=st.integers(1, 300), data=st.data())
@settings(max_examples=30, deadline=None)
def test_the_exact_interval_is_the_beta_quantiles_of_clopper_and_pearson(
    number: int, data: st.DataObject
) -> None:
    num_right = data.draw(st.integers(0, number))
    interval = accuracy_interval(*decisions(number, num_right), level=0.9)
    low = stats.beta.ppf(0.05, num_right, number - num_right + 1) if num_right else 0
    high = stats.beta.ppf(0.95, num_right + 1, number - num_right) if num_right < number else 1
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.low <= interval.estimate == num_right / number <= interval.high


def test_the_exact_interval_covers_the_truth_at_least_as_often_as_it_says() -> None:
    number = 60
    intervals = [accuracy_interval(*decisions(number, k)) for k in range(number + 1)]
    for accuracy in (0.5, 0.81, 0.97):
        chances = stats.binom.pmf(np.arange(number + 1), number, accuracy)
        covered = sum(chances[[interval.contains(accuracy) for interval in intervals]])
        assert 0.95 <= covered < 0.995


@pytest.mark.slow
def test_the_bootstrap_covers_the_truth_about_as_often_as_it_says() -> None:
    samples = np.random.default_rng(0).exponential(size=(150, 100))
    covered = sum(
        bootstrap_interval(np.mean, sample, num_resamples=120, seed=i).contains(1.0)
        for i, sample in enumerate(samples)
    )
    assert 0.88 < covered / len(samples) < 0.98


def test_the_bootstrap_equals_scipy_on_the_same_draws() -> None:
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(2, 60))

    def statistic(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.corrcoef(a, b)[0, 1])

    ours = bootstrap_interval(statistic, x, y, level=0.9, num_resamples=200, seed=7)
    theirs = stats.bootstrap(
        (x, y),
        statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        confidence_level=0.9,
        n_resamples=200,
        rng=np.random.default_rng(7),
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), rel=1e-12)
    assert ours.estimate == statistic(x, y)


def test_rows_of_all_arrays_are_drawn_together() -> None:
    x = np.arange(50)
    interval = bootstrap_interval(lambda a, b: np.abs(a - b).max(), x, x, num_resamples=50)
    assert (interval.low, interval.estimate, interval.high) == (0, 0, 0)


def test_a_seed_fixes_the_interval_and_another_changes_it() -> None:
    x = np.random.default_rng(0).normal(size=100)
    first, again, other = (bootstrap_interval(np.mean, x, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_the_difference_turns_round_when_the_models_are_exchanged() -> None:
    labels, a, b = np.random.default_rng(0).integers(0, 2, (3, 80))
    there, back = difference_interval(labels, a, b), difference_interval(labels, b, a)
    assert there.estimate == pytest.approx((b == labels).mean() - (a == labels).mean())
    assert (back.low, back.estimate, back.high) == pytest.approx(
        (-there.high, -there.estimate, -there.low)
    )


def test_a_paired_difference_is_surer_than_two_separate_accuracies() -> None:
    rng = np.random.default_rng(0)
    labels, a = rng.integers(0, 2, (2, 400))
    b = np.where(rng.uniform(size=400) < 0.05, labels, a)  # like a, but a little better
    paired, single = difference_interval(labels, a, b), accuracy_interval(labels, a)
    assert paired.high - paired.low < (single.high - single.low) / 2


def test_probabilities_that_come_true_are_calibrated() -> None:
    rng = np.random.default_rng(0)
    probabilities = rng.uniform(size=20_000)
    labels = rng.uniform(size=20_000) < probabilities
    result = calibration(labels, probabilities)
    np.testing.assert_allclose(result.observed, result.predicted, atol=0.04)
    assert result.error < 0.015
    assert calibration(labels, probabilities**2).error > 0.1


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=40), st.integers(1, 15)
)
@settings(max_examples=25, deadline=None)
def test_bins_hold_every_message_once(messages: list[tuple[bool, float]], num_bins: int) -> None:
    labels, probabilities = map(np.array, zip(*messages, strict=True))
    result = calibration(labels, probabilities, num_bins)
    assert result.counts.sum() == len(labels)
    assert result.counts.min() > 0
    assert result.predicted @ result.counts == pytest.approx(probabilities.sum())
    assert result.observed @ result.counts == pytest.approx(labels.sum())
    assert 0 <= result.error <= 1


def test_a_full_bin_weighs_more_than_one_that_is_nearly_empty() -> None:
    labels, probabilities = [0, 0, 0, 1], [0.1, 0.1, 0.1, 0.6]
    assert calibration(labels, probabilities).error == pytest.approx(3 / 4 * 0.1 + 1 / 4 * 0.4)


def test_the_last_bin_includes_certainty() -> None:
    assert calibration([1, 1], [0.95, 1.0]).counts.tolist() == [2]
    assert calibration([1, 1], [0.85, 0.9]).counts.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("numbers", "spec", "text"),
    [
        ((0.72, 0.75, 0.78), ".2f", "0.75 (95 % interval 0.72–0.78)"),
        ((0.72, 0.75, 0.78), ".0%", "75 % (95 % interval 72–78 %)"),
        ((-0.01, 0.02, 0.05), ".1%", "2.0 % (95 % interval −1.0 to 5.0 %)"),
        ((1200, 1500, 1800), ",.0f", "1,500 (95 % interval 1,200–1,800)"),
    ],
)
def test_a_format_applies_to_all_three_numbers(
    numbers: tuple[float, float, float], spec: str, text: str
) -> None:
    assert f"{Interval(*numbers, level=0.95):{spec}}" == text


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: accuracy_interval([1, 0], [1]), "labels has 2 values and predictions 1"),
        (lambda: accuracy_interval([1, 0], [0.7, 0.2]), "Turn probabilities into decisions"),
        (lambda: accuracy_interval(["0", "1"], [0, 1]), "labels must hold only 0 and 1, as num"),
        (lambda: accuracy_interval([0, 1], [None, 1]), "predictions must hold only 0 and 1"),
        (lambda: calibration(["0"], [0.5]), "labels must hold only 0 and 1"),
        (lambda: accuracy_interval([1], [1], level=95), "between 0 and 1, for example 0.95"),
        (lambda: difference_interval([1], [1], [1, 0]), "predictions_b 2"),
        (lambda: difference_interval([1], [1, 0], [1]), "and predictions_a 2"),
        (lambda: bootstrap_interval(np.mean), "same number of rows"),
        (lambda: bootstrap_interval(np.mean, []), "at least one"),
        (lambda: bootstrap_interval(np.mean, [1, 2], [1]), r"\[\(2,\), \(1,\)\]"),
        (lambda: bootstrap_interval(np.mean, [1], num_resamples=0), "num_resamples must be"),
        (lambda: bootstrap_interval(np.mean, [1], level=0), "level must lie"),
        (lambda: calibration([1], [0.5], num_bins=0), "num_bins must be a whole number"),
        (lambda: calibration([1], [1.5]), "between 0 and 1, but one is 1.5"),
    ],
)
def test_impossible_arguments_are_named(call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_without_scipy_an_interval_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "scipy.stats", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"package 'scipy'.*pip install \".*\[train\]\""):
        accuracy_interval([1], [1])


def test_the_difference_is_the_bootstrap_of_the_gains_with_the_settings_given() -> None:
    labels, a, b = np.random.default_rng(0).integers(0, 2, (3, 80))
    gains = (b == labels).astype(int) - (a == labels)
    for seed in (0, 1):
        options = {"level": 0.8, "num_resamples": 40, "seed": seed}
        expected = bootstrap_interval(np.mean, gains, **options)
        assert difference_interval(labels, a, b, **options) == expected
    assert expected != difference_interval(labels, a, b, level=0.8, num_resamples=40, seed=0)
