"""Fine-tuning MiniLM: its halves are the whole, its rules hold, and the stored file is in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from companion.data import load_food_reviews, load_measurements
from tools.cells import run_cells

PAGE = "04_practice/fine_tuning"
LINEAR, TRAINED = ("tfidf", "frozen"), ("tuned", "lora")


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return load_measurements("fine_tuning_minilm")


def place(entry: dict[str, Any]) -> tuple[str, int]:
    return entry["method"], entry["labels"]


class TestStoredRuns:
    def test_their_labels_are_those_of_the_test_reviews(self, evidence: dict[str, Any]) -> None:
        stars = load_food_reviews().test.labels
        assert [int(label) for label in evidence["labels"]] == stars.tolist()

    def test_each_way_met_each_number_of_labels_with_the_same_draws(
        self, evidence: dict[str, Any]
    ) -> None:
        seeds: dict[tuple[str, int], list[int]] = {}
        for run in evidence["runs"]:
            seeds.setdefault(place(run), []).append(run["seed"])
        sizes = {size for way, size in seeds if way in TRAINED}
        assert sizes
        assert all((way, size) in seeds for way in (*LINEAR, *TRAINED) for size in sizes)
        assert len({tuple(sorted(each)) for each in seeds.values()}) == 1
        assert min(map(len, seeds.values())) >= 3

    def test_what_is_stored_of_a_run_follows_from_its_scores(
        self, evidence: dict[str, Any]
    ) -> None:
        truth = np.array([int(label) for label in evidence["labels"]])
        for run in evidence["runs"]:
            scores = np.array(run["scores"]) / evidence["settings"]["scale"]
            assert len(scores) == len(truth)
            assert run["auc"] == pytest.approx(roc_auc_score(truth, scores), abs=1e-3)
            assert run["loss"] == pytest.approx(
                log_loss(truth, 1 / (1 + np.exp(-scores))), abs=2e-3
            )

    def test_every_run_was_made_with_settings_that_were_tried_first(
        self, evidence: dict[str, Any]
    ) -> None:
        assert {place(run) for run in evidence["runs"]} == {place(c) for c in evidence["choices"]}

    def test_the_kept_learning_rate_is_not_at_the_end_of_those_tried(
        self, evidence: dict[str, Any]
    ) -> None:
        for trained in {place(run) for run in evidence["runs"] if run["method"] in TRAINED}:
            tried = [c for c in evidence["choices"] if place(c) == trained]
            rates = {choice["rate"] for choice in tried}
            kept = max(tried, key=lambda choice: choice["auc"])["rate"]
            assert min(rates) < kept < max(rates)


@pytest.mark.tensorflow
class TestBenchmark:
    @given(seed=st.integers(0, 999))
    @settings(max_examples=10, deadline=None)
    def test_a_score_is_judged_as_scikit_learn_judges_it(self, seed: int) -> None:
        from benchmarks.fine_tuning_minilm import judged, labels

        scores, y = (
            np.random.default_rng(seed).normal(0, 3, len(labels("choose"))),
            labels("choose"),
        )
        found = judged(scores, "choose")
        assert found["auc"] == pytest.approx(roc_auc_score(y, scores), abs=1e-4)
        assert found["loss"] == pytest.approx(log_loss(y, 1 / (1 + np.exp(-scores))), abs=1e-4)
        assert found["accuracy"] == pytest.approx(np.mean((scores > 0) == y), abs=1e-4)

    def test_no_review_is_both_learned_from_and_held_back(self) -> None:
        from benchmarks.fine_tuning_minilm import texts

        parts = [set(texts(part)) for part in ("learn", "choose", "test")]
        whole = [len(texts(part)) for part in ("learn", "choose", "test")]
        assert whole[1] < whole[2] < whole[0]
        assert sum(map(len, parts)) - len(set.union(*parts)) < 0.005 * sum(whole)  # cut to words

    def test_filling_changes_no_vector_and_the_upper_half_reads_what_the_lower_one_says(
        self,
    ) -> None:
        from companion._common.backend import keras

        page = run_cells(PAGE, "encoder-parts", "encoder", keras=keras, np=np)
        lower, upper = page["build_lower"](1), page["build_upper"](5)
        ids = np.zeros((2, 9), "int32")
        ids[0, :4], ids[1, :9] = [101, 7, 8, 102], [101, 7, 8, 5, 6, 9, 10, 11, 102]
        filled = np.asarray(upper([np.asarray(lower(ids)), ids != 0]))
        short = ids[:1, :4]
        alone = np.asarray(upper([np.asarray(lower(short)), short != 0]))
        np.testing.assert_allclose(filled[:1], alone, atol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(filled, axis=1), 1, atol=1e-5)

    def test_an_adapter_starts_from_the_network_and_only_thin_matrices_learn(self) -> None:
        from benchmarks.fine_tuning_minilm import enable_lora
        from companion._common.backend import keras

        page = run_cells(PAGE, "encoder-parts", "encoder", keras=keras, np=np)
        upper = page["build_upper"](5)
        states = np.random.default_rng(0).normal(size=(2, 4, 384)).astype("float32")
        is_text = np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool)
        before = np.asarray(upper([states, is_text]))
        enable_lora(upper, 8)
        np.testing.assert_allclose(np.asarray(upper([states, is_text])), before, atol=1e-6)
        learning = upper.trainable_variables
        squares, wide = 4 * 8 * (384 + 384), 2 * 8 * (384 + 4 * 384)
        assert sum(int(np.prod(one.shape)) for one in learning) == squares + wide
        for one in learning:
            one.assign(0.1 * np.ones(one.shape))
        assert np.abs(np.asarray(upper([states, is_text])) - before).max() > 0.01
