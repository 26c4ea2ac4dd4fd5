"""Fine-tuning MiniLM: its halves are the whole, its rules hold, and the stored file is in order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from companion.data import load_food_reviews, load_measurements
from tools.cells import run_cells

PAGE = "04_practice/fine_tuning"
LINEAR, TRAINED = ("tfidf", "frozen"), ("tuned", "lora", "whole")
CUT_SHORT = {("tuned", 300): (True, True), ("whole", 100): (False, True)}  # rate, passes


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
        assert all((way, size) in seeds for way in (*LINEAR, "tuned") for size in sizes)
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

    def test_the_kept_rate_and_passes_are_the_last_tried_only_where_the_page_says_so(
        self, evidence: dict[str, Any]
    ) -> None:
        for trained in {place(run) for run in evidence["runs"] if run["method"] in TRAINED}:
            tried = [c for c in evidence["choices"] if place(c) == trained]
            kept = max(tried, key=lambda choice: choice["auc"])
            rates, passes = ({choice[key] for choice in tried} for key in ("rate", "passes"))
            at_the_end = kept["rate"] == max(rates), kept["passes"] == max(passes)
            assert min(rates) < kept["rate"], trained
            assert min(passes) == 1, trained
            assert at_the_end == CUT_SHORT.get(trained, (False, False)), trained

    def test_every_rate_was_followed_for_the_same_number_of_passes(
        self, evidence: dict[str, Any]
    ) -> None:
        for choice in evidence["choices"]:
            if choice["method"] in TRAINED:
                same = [c for c in evidence["choices"] if place(c) == place(choice)]
                passes = [c["passes"] for c in same if c["rate"] == choice["rate"]]
                assert passes == list(range(1, max(c["passes"] for c in same) + 1))


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

    def test_what_is_stored_is_not_tried_or_run_again(
        self, evidence: dict[str, Any], tmp_path: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from benchmarks import fine_tuning_minilm as benchmark

        asked: list[tuple[str, int, float]] = []

        def tried(setting: dict[str, Any]) -> list[dict[str, Any]]:
            asked.append((setting["method"], setting["labels"], setting["rate"]))
            return [setting | {"passes": 1, "auc": 0.5}]

        monkeypatch.setattr(benchmark, "trials", tried)
        monkeypatch.setattr(benchmark, "run", lambda best, seed: pytest.fail("run again"))
        file = tmp_path / "evidence.json"
        lacking = {"method": "lora", "labels": 100, "rate": 1e-2}
        left = [c for c in evidence["choices"] if not lacking.items() <= c.items()]
        file.write_text(json.dumps(evidence | {"choices": left}))
        benchmark.main([str(file)])
        assert asked == [("lora", 100, 1e-2)]

    def test_more_is_trained_only_when_asked_for(self) -> None:
        from benchmarks.fine_tuning_minilm import LINEAR, PAGE_RUNS, planned

        page = planned([*LINEAR, *PAGE_RUNS], None)
        assert {(2000, "frozen"), (300, "tuned")} < set(page)
        assert (300, "lora") not in page
        asked = planned(["frozen", "whole"], [300, 2000])
        assert asked == [(300, "frozen"), (300, "whole"), (2000, "frozen")]

    def test_what_the_page_reads_is_stored(self, evidence: dict[str, Any]) -> None:
        from benchmarks.fine_tuning_minilm import LINEAR, PAGE_RUNS, planned

        stored = {(run["labels"], run["method"]) for run in evidence["runs"]}
        assert stored == set(planned([*LINEAR, *PAGE_RUNS], None))

    def test_whole_means_all_six_layers_without_the_tables(self) -> None:
        from benchmarks.fine_tuning_minilm import FIRST_LAYER
        from companion._common.backend import keras

        page = run_cells(PAGE, "encoder-parts", "encoder", keras=keras, np=np)
        upper = page["build_upper"](FIRST_LAYER["whole"])
        in_layer = 4 * (384 * 384 + 384) + 2 * 4 * 384 * 384 + 4 * 384 + 384 + 4 * 384
        assert upper.count_params() == 6 * in_layer
        assert not any(isinstance(layer, keras.layers.Embedding) for layer in upper.layers)

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
