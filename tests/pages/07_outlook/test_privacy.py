"""The page on privacy: its attack finds planted members, its bound is the definition's own."""

from __future__ import annotations

from base64 import b64decode
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score, roc_curve

from benchmarks import privacy
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


def network_odds(kept: dict[str, Any]) -> np.ndarray:
    steps = np.frombuffer(b64decode(kept["log_odds"]), np.int8)
    return kept["step"] * steps.reshape(privacy.MODELS, -1)


def test_the_stored_networks_know_their_own_members_and_nobody_elses(page: dict[str, Any]) -> None:
    """With the halves of another split the same log-odds tell members as well as a coin does."""
    stored = data.load_measurements("privacy")["networks"]
    assert [run["split"] for run in stored] == list(privacy.SPLITS)
    halves = [privacy.halves(split, 2 * privacy.SIZE) for split in privacy.SPLITS]
    for own, run in enumerate(stored):
        for kind in ("stopped", "overfitted"):
            odds = network_odds(run[kind])
            assert len(run[kind]["accuracy"]) == privacy.MODELS
            areas = []
            for member in halves:
                scores = page["likelihood_ratio"](odds, member, 0)
                areas.append(roc_auc_score(member[0], scores))
            assert areas.pop(own) > 0.65
            assert max(areas) < 0.55
            assert np.mean(odds[halves[own]] > 0) > run[kind]["accuracy"][0]


def test_steps_twice_as_coarse_would_hardly_change_what_is_found(page: dict[str, Any]) -> None:
    run = data.load_measurements("privacy")["networks"][0]
    member = privacy.halves(run["split"], 2 * privacy.SIZE)
    for kind in ("stopped", "overfitted"):
        odds, step = network_odds(run[kind]), 2 * run[kind]["step"]
        found = []
        for values in (odds, step * np.round(odds / step)):
            scores = [page["likelihood_ratio"](values, member, i) for i in range(16)]
            found.append(np.mean([page["found_share"](scores[i], member[i]) for i in range(16)]))
        assert abs(found[0] - found[1]) < 0.01


def test_the_stored_networks_stopped_where_public_reviews_were_answered_best() -> None:
    for run in data.load_measurements("privacy")["networks"]:
        best = int(np.argmax(run["public_accuracy"])) + 1
        assert 1 < best == run["epochs"]["stopped"] < run["epochs"]["overfitted"]
        assert len(run["public_accuracy"]) == run["epochs"]["overfitted"] == privacy.EPOCHS


def test_stored_log_odds_are_off_by_less_than_a_step() -> None:
    odds = np.random.default_rng(0).normal(0, 4, (privacy.MODELS, 20))
    kept = privacy.pack(odds)
    assert np.abs(network_odds(kept) - odds).max() < kept["step"]
    assert kept["step"] < 0.2


@pytest.mark.tensorflow
def test_each_network_begins_as_its_seed_says_and_not_where_the_last_one_ended() -> None:
    rng = np.random.default_rng(0)
    table, stars = rng.normal(size=(200, 5)).astype("float32"), rng.integers(0, 2, 200)
    begin = privacy.build_network(5)
    ends = []
    for seed in (1, 2, 1):
        network = begin(seed)
        network.fit(table, stars, batch_size=50, verbose=0)
        ends.append(privacy.log_odds(network, table))
    assert np.allclose(ends[0], ends[2], atol=1e-5)
    assert not np.allclose(ends[0], ends[1], atol=1e-2)
