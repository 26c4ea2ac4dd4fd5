"""What the page on fine-tuning claims: its stored runs, its counts, its merge, its explorer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion
from companion.data import load_measurements
from companion.teaching import PALETTE
from tools.cells import run_cells

PAGE = "04_practice/fine_tuning"
TRAINED = ("scratch", "full", "lora")


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return load_measurements("fine_tuning")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    learned = dict.fromkeys(("tfidf", "minilm", "probe", *TRAINED), 1)
    cells = ("evidence", "interval", "gain", "explorer-function")
    return run_cells(PAGE, *cells, np=np, companion=companion, PALETTE=PALETTE, learned=learned)


class TestStoredRuns:
    def test_they_are_a_full_grid(self, evidence: dict[str, Any]) -> None:
        runs = evidence["runs"]
        places = [{run[name] for run in runs} for name in ("method", "labels", "seed")]
        assert len(runs) == len({(r["method"], r["labels"], r["seed"]) for r in runs})
        assert len(runs) == math.prod(len(place) for place in places)
        assert len(places[2]) >= 3

    def test_their_accuracies_are_those_of_their_answers(self, evidence: dict[str, Any]) -> None:
        truth = evidence["labels"]
        for run in evidence["runs"]:
            right = [said == label for said, label in zip(run["said"], truth, strict=True)]
            assert run["accuracy"] == pytest.approx(np.mean(right))

    def test_their_labels_are_those_of_the_test_reviews(self, evidence: dict[str, Any]) -> None:
        test = companion.data.load_food_reviews().test
        assert [int(label) for label in evidence["labels"]] == test.labels.tolist()

    def test_a_chosen_learning_rate_is_never_at_the_end_of_those_tried(
        self, evidence: dict[str, Any]
    ) -> None:
        for method in (*TRAINED, "prose"):
            tried = [c for c in evidence["choices"] if c["method"] == method]
            best = max(tried, key=lambda choice: choice["accuracy"])["rate"]
            rates = [choice["rate"] for choice in tried]
            assert min(rates) < best < max(rates)

    def test_every_fine_tuned_model_forgot(self, evidence: dict[str, Any]) -> None:
        after = {way: [r for r in evidence["runs"] if r["method"] == way] for way in TRAINED[1:]}
        assert all(
            run["bits_after"] > evidence["bits_before"] for way in after.values() for run in way
        )
        mean = {way: np.mean([run["bits_after"] for run in runs]) for way, runs in after.items()}
        assert mean["full"] > mean["lora"]

    def test_fine_tuning_forgot_the_plays_too(self, evidence: dict[str, Any]) -> None:
        mixed, after = evidence["prose"], [r for r in evidence["runs"] if r["method"] == "prose"]
        assert mixed["play_bits_before"] < mixed["play_bits_of_reviews_alone"]
        assert all(run["play_bits_after"] > mixed["play_bits_before"] for run in after)
        assert mixed["pretraining_steps"] == 2 * evidence["settings"]["pretraining_steps"]

    @pytest.mark.tensorflow
    def test_there_is_as_much_prose_as_there_are_reviews(self, evidence: dict[str, Any]) -> None:
        from benchmarks.fine_tuning import PROSE_HELD_OUT, data, prose

        read, held_out = prose()
        reviews = data()["learn"]["whole"] + data()["choose"]["whole"]
        assert len(read) == sum(map(len, reviews)) == evidence["prose"]["characters"]
        assert len(held_out) == PROSE_HELD_OUT
        assert held_out[:1000] not in read


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    return run_cells(PAGE, "real-evidence", "real-order", "needed", np=np, PALETTE=PALETTE)


class TestOrder:
    def test_redrawing_scatters_around_the_stored_area(self, real: dict[str, Any]) -> None:
        for way in real["real_names"]:
            for num_labels in real["budgets"][way]:
                low, high = np.quantile(real["again_and_again"][way, num_labels], [0.025, 0.975])
                assert low < real["order_of"][way, num_labels] < high

    def test_the_area_counts_pairs(self, real: dict[str, Any]) -> None:
        scores = np.random.default_rng(0).normal(size=len(real["truth"]))
        five = np.repeat(real["truth"], real["test_draws"][0]) == 1
        drawn = np.repeat(scores, real["test_draws"][0])
        pairs = drawn[five][:, None] > drawn[~five]
        assert real["redrawn_auc"](scores)[0] == pytest.approx(pairs.mean())

    @given(share=st.floats(0, 1))
    @settings(max_examples=10, deadline=None)
    def test_labels_needed_lie_between_the_points_whose_areas_enclose_the_target(
        self, real: dict[str, Any], share: float
    ) -> None:
        first, second = real["word_curve"][:2]
        found = real["labels_needed"]([first + share * (second - first)], [real["word_curve"]])
        low, high = real["budgets"]["tfidf"][:2]
        assert low * 0.999 <= found[0] <= high * 1.001

    def test_no_number_of_labels_is_named_for_what_word_counts_never_reach(
        self, real: dict[str, Any]
    ) -> None:
        assert np.isinf(real["labels_needed"]([0.99], [real["word_curve"]])[0])


class TestInterval:
    @given(share=st.floats(0, 1), seed=st.integers(0, 99))
    @settings(max_examples=15, deadline=None)
    def test_it_holds_the_mean_and_stays_within_the_possible(
        self, page: dict[str, Any], share: float, seed: int
    ) -> None:
        shape = (len(page["seeds"]), len(page["labels"]))
        right = np.random.default_rng(seed).random(shape) < share
        mean, low, high = page["interval"](right)
        assert mean == pytest.approx(right.mean())
        assert -1e-9 <= low <= mean + 1e-9
        assert mean - 1e-9 <= high <= 1 + 1e-9

    def test_of_equal_ways_it_is_nothing(self, page: dict[str, Any]) -> None:
        assert page["gain"]("full", "full", 500) == [0, 0, 0]

    def test_a_loss_is_a_gain_seen_from_the_other_side(self, page: dict[str, Any]) -> None:
        mean, low, high = page["gain"]("full", "tfidf", 2000)
        assert page["gain"]("tfidf", "full", 2000) == pytest.approx([-mean, -high, -low])


class TestExplorer:
    @pytest.mark.parametrize(
        "wrong",
        [
            *({"way": value} for value in ("", None, 3, "lora")),
            *({"num_labels": value} for value in (0, -20, 21, 1e9, float("nan"), "20", None)),
            *(
                {name: value}
                for name in ("label_usd", "mistake_usd")
                for value in (-1, 1e9, float("nan"), float("inf"), "cheap", None)
            ),
        ],
    )
    def test_it_says_what_it_needs(self, page: dict[str, Any], wrong: dict[str, Any]) -> None:
        start = {"way": "LoRA", "num_labels": 100, "label_usd": 1, "mistake_usd": 1}
        with pytest.raises(ValueError, match=r"must (be|lie)"):
            page["adapted_for"](**(start | wrong))

    @given(usd=st.floats(0, 1e6), count=st.sampled_from([20, 100, 500, 2000]))
    @settings(max_examples=20, deadline=None)
    def test_labels_cost_their_number_times_their_price(
        self, page: dict[str, Any], usd: float, count: int
    ) -> None:
        readouts = page["adapted_for"]("word counts", count, usd, 0)["readouts"]
        assert readouts["Labels"] == f"{count * usd:,.0f} USD"
        assert readouts["Mistakes in 10,000 messages"] == "0 USD"

    @pytest.mark.parametrize("way", ["word counts", "LoRA"])
    def test_a_ring_marks_the_chosen_number_of_labels(self, page: dict[str, Any], way: str) -> None:
        rows = page["adapted_for"](way, 500, 1, 1)["rows"]
        ringed = [row for row in rows if row["chosen"] is not None]
        assert [(row["way"], row["labels"]) for row in ringed] == [(way, 500)]
        assert ringed[0]["chosen"] == ringed[0]["mean"]


@given(m=st.integers(1, 9), n=st.integers(1, 9), r=st.integers(1, 4), seed=st.integers(0, 99))
@settings(max_examples=30, deadline=None)
def test_a_product_of_thin_matrices_has_no_higher_rank(m: int, n: int, r: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    product = rng.normal(size=(m, r)) @ rng.normal(size=(r, n))
    assert np.linalg.matrix_rank(product) <= min(m, n, r)


@pytest.fixture(scope="module")
def tools() -> dict[str, Any]:
    return run_cells(PAGE, "lora-function", "count", math=math)


@pytest.mark.tensorflow
class TestLora:
    @pytest.mark.parametrize(("rank", "width", "layers"), [(1, 8, 1), (3, 16, 2), (8, 4, 1)])
    def test_it_learns_rank_times_inputs_and_outputs(
        self, tools: dict[str, Any], rank: int, width: int, layers: int
    ) -> None:
        shape = {"sequence_length": 6, "hidden_dim": width, "num_layers": layers, "num_heads": 2}
        gpt = companion.models.build_gpt(20, **shape)
        tools["enable_lora"](gpt, rank)
        # queries, keys and values; the output of attention; up; down
        shapes = [(width, 3 * width), (width, width), (width, 4 * width), (4 * width, width)]
        expected = layers * sum(rank * (m + n) for m, n in shapes)
        assert tools["count"](gpt.trainable_variables) == expected

    def test_before_the_first_step_it_changes_nothing_and_merged_nothing_either(
        self, tools: dict[str, Any]
    ) -> None:
        shape = {"sequence_length": 6, "hidden_dim": 8, "num_layers": 1, "num_heads": 2}
        plain, adapted = (companion.models.build_gpt(20, **shape) for _ in range(2))
        adapted.set_weights(plain.get_weights())
        ids = np.arange(12).reshape(2, 6)
        layers = tools["enable_lora"](adapted, 2)
        np.testing.assert_allclose(np.asarray(adapted(ids)), np.asarray(plain(ids)), atol=1e-6)
        rng = np.random.default_rng(0)
        block = plain.get_layer("block_0")
        parts = ("query_key_value", "attention_output", "feedforward_up", "feedforward_down")
        for name, layer in zip(parts, layers, strict=True):
            layer.lora_kernel_b.assign(rng.normal(size=layer.lora_kernel_b.shape))
            thin = np.asarray(layer.lora_kernel_a) @ np.asarray(layer.lora_kernel_b)
            kernel = getattr(block, name).kernel
            kernel.assign(np.asarray(kernel) + layer.lora_alpha / 2 * thin)
        changed = np.asarray(adapted(ids))
        np.testing.assert_allclose(np.asarray(plain(ids)), changed, atol=1e-4)
