"""The page on privacy: its attack finds planted members, its bound is the definition's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm, t
from sklearn.metrics import roc_curve

from companion import data, evaluation, training
from tools.cells import run_cells

SEEDS = st.integers(0, 1000)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    member = rng.random((48, 200)) < 0.5
    tables = [rng.normal(size=(200, 5))] * 3
    names = {"np": np, "norm": norm, "t": t, "expit": expit, "evaluation": evaluation}
    names |= {"data": data, "training": training, "member": member, "few_words": tables}
    names |= {"y": rng.integers(0, 2, 200), "margins": rng.normal(size=(48, 200))}
    names |= {"roc_auc_score": lambda *_: 0.5}
    cells = ["metric", "lira", "dpsgd", "train-private", "exact-delta", "canary"]
    return run_cells("07_outlook/privacy", *cells, **names)


@given(seed=SEEDS, alarms=st.sampled_from([0.01, 0.05, 0.2]))
def test_the_found_share_is_that_of_the_roc(page: dict[str, Any], seed: int, alarms: float) -> None:
    rng = np.random.default_rng(seed)
    inside = rng.random(300) < 0.5
    scores = rng.normal(size=300) + inside
    false, true, _ = roc_curve(inside, scores, drop_intermediate=False)
    expected = true[false <= int(alarms * (~inside).sum()) / (~inside).sum() + 1e-12].max()
    assert page["found_share"](scores, inside, alarms) == pytest.approx(expected)


def test_the_attack_finds_members_that_only_their_own_history_betrays(
    page: dict[str, Any],
) -> None:
    rng = np.random.default_rng(1)
    member = page["member"]
    ease = rng.normal(0, 10, 200)  # some texts are easy for every model
    margins = ease + 2.0 * member + rng.normal(0, 0.2, member.shape)
    scores = page["likelihood_ratio"](margins, member, 0)
    assert page["found_share"](scores, member[0], 0.01) == 1
    assert page["found_share"](margins[0], member[0], 0.01) < 0.2
    without = page["likelihood_ratio"](ease + rng.normal(size=member.shape), member, 0)
    assert page["found_share"](without, member[0], 0.01) < 0.2


def test_private_training_without_noise_is_gradient_descent(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 3)), rng.integers(0, 2, 50)
    found = page["learn_privately"](x, y, 0.0, 0.5, np.inf, 7)
    again, w, total = np.random.default_rng(7), np.zeros(3), np.zeros(3)
    for step in range(page["STEPS"]):
        rows = again.random(50) < page["SAMPLE_RATE"]
        w = w - 0.5 * x[rows].T @ (expit(x[rows] @ w) - y[rows]) / (50 * page["SAMPLE_RATE"])
        total += w if step >= page["STEPS"] // 2 else 0
    assert np.allclose(found, total / (page["STEPS"] // 2))


def test_example_gradients_are_slopes_of_the_loss(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x, y, w = rng.normal(size=(4, 3)), rng.integers(0, 2, 4), rng.normal(size=3)

    def loss(w: np.ndarray) -> np.ndarray:
        return np.logaddexp(0, -(2 * y - 1) * (x @ w))

    found = page["example_gradients"](x, y, w)
    for i in range(3):
        nudge = 1e-6 * np.eye(3)[i]
        slope = (loss(w + nudge) - loss(w - nudge)) / 2e-6
        assert np.allclose(found[:, i], slope, atol=1e-8)


@given(epsilon=st.floats(0.1, 5), noise=st.floats(0.5, 5))
def test_delta_is_the_most_that_any_threshold_breaks_the_promise(
    page: dict[str, Any], epsilon: float, noise: float
) -> None:
    thresholds = np.linspace(-10, 150, 400_001)
    gap = norm.sf(thresholds, 1, noise) - np.exp(epsilon) * norm.sf(thresholds, 0, noise)
    assert page["exact_delta"](epsilon, noise) == pytest.approx(max(gap.max(), 0), abs=1e-4)


def test_the_stored_runs_planted_each_code_once_and_ranked_it() -> None:
    stored = data.load_measurements("privacy")
    assert len({(run["way"], run["seed"]) for run in stored["runs"]}) == 9
    for run in stored["runs"]:
        for code, written, rank in zip(run["codes"], run["written"], run["ranks"], strict=True):
            assert 1 <= rank <= 10_000
            assert (f"{code:04d}" == written) == (rank == 1)
    plan = stored["plan"]
    spent = training.spent_epsilon(
        plan["noise"],
        sample_rate=plan["sample_rate"],
        num_steps=plan["steps"],
        delta=plan["delta"],
    )
    assert spent == pytest.approx(plan["epsilon"], rel=0.01)


def test_exposure_is_bits_saved_over_guessing(page: dict[str, Any]) -> None:
    assert page["exposure"](1) == pytest.approx(np.log2(10_000))
    assert page["exposure"](10_000) == 0
    ranks = np.arange(1, 10_001)
    assert page["exposure"](ranks).mean() == pytest.approx(np.log2(np.e), abs=0.01)
