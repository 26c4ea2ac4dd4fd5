"""The smaller SmolLM2s: each rule does what it says, and the stored file holds together."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import compression, large_model
from benchmarks.large_model_questions import questions
from companion import models
from companion.data import load_food_reviews, load_measurements

ROUNDED = [name for name, way in compression.WAYS.items() if "bits" in way]
PRUNED = [name for name, way in compression.WAYS.items() if "share" in way]


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return load_measurements("compression")


def table(seed: int, rows: int = 4, columns: int = 70) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(rows, columns)).astype("float32")


@given(bits=st.integers(2, 8), group=st.sampled_from([8, 32, None]), seed=st.integers(0, 1000))
def test_rounding_moves_no_weight_by_more_than_half_a_step_of_its_neighbours(
    bits: int, group: int | None, seed: int
) -> None:
    before = table(seed)
    after = compression.rounded(before, bits, group)
    width = group or before.shape[1]
    for start in range(0, before.shape[1], width):
        old, new = before[:, start : start + width], after[:, start : start + width]
        step = np.abs(old).max(axis=1, keepdims=True) / (2 ** (bits - 1) - 1)
        assert np.all(np.abs(new - old) <= 0.501 * step)
        assert all(len(np.unique(row)) <= 2**bits - 1 for row in new)


@given(bits=st.integers(3, 8), seed=st.integers(0, 1000))
def test_a_second_rounding_by_the_same_rule_changes_nothing(bits: int, seed: int) -> None:
    once = compression.rounded(table(seed), bits, compression.BLOCK)
    twice = compression.rounded(once, bits, compression.BLOCK)
    np.testing.assert_allclose(twice, once, rtol=1e-5, atol=1e-7)


@given(share=st.floats(0, 0.99), seed=st.integers(0, 1000))
def test_pruning_keeps_the_largest_weights(share: float, seed: int) -> None:
    before = table(seed)
    after = compression.pruned(before, share)
    kept = after != 0
    assert kept.sum() == before.size - round(share * before.size)
    np.testing.assert_allclose(after[kept], before[kept], rtol=1e-3, atol=1e-6)
    if not kept.all():
        assert np.abs(before[kept]).min() >= np.abs(before[~kept]).max()


def test_the_table_of_tokens_is_never_pruned_nor_below_eight_bits() -> None:
    before = table(0)
    eight = compression.rounded(before, 8, compression.BLOCK)
    for name in [*ROUNDED, *PRUNED]:
        after = compression.changed(compression.WAYS[name], compression.EMBEDDING, before)
        assert np.array_equal(after, eight if name in ROUNDED else before)


def test_a_text_costs_what_a_model_without_knowledge_pays_for_its_tokens() -> None:
    tokenizer = SimpleNamespace(
        specials={"<|endoftext|>": 0}, encode=lambda text: list(text.encode())
    )
    ignorant = SimpleNamespace(
        tokenizer=tokenizer, logits=lambda ids: np.zeros((len(ids), 256), "float32")
    )
    assert compression.cost(ignorant, "some text") == pytest.approx(8 * 9)


def test_every_way_was_measured_on_the_same_passages_and_questions(
    evidence: dict[str, Any],
) -> None:
    assert list(evidence["ways"]) == list(compression.WAYS)
    assert evidence["settings"]["ways"] == compression.WAYS
    assert len(evidence["bytes"]) == compression.REVIEWS
    assert max(evidence["bytes"]) <= compression.PASSAGE
    for name, found in evidence["ways"].items():
        assert len(found["bits"]) == compression.REVIEWS
        assert min(found["bits"]) > 0
        assert ("answers" in found) == compression.WAYS[name].get("asked", True)


def test_the_passages_are_those_that_the_sizes_speak_of(evidence: dict[str, Any]) -> None:
    assert [len(text.encode()) for text in compression.passages()] == evidence["bytes"]


def test_right_answers_are_those_that_the_rule_finds(evidence: dict[str, Any]) -> None:
    for found in (found for found in evidence["ways"].values() if "answers" in found):
        pairs = zip(questions(), found["answers"], strict=True)
        assert [int(compression.is_right(*pair)) for pair in pairs] == found["right"]


def test_at_32_bits_the_answers_are_those_of_the_page_on_the_model(
    evidence: dict[str, Any],
) -> None:
    stored = load_measurements("large_model")["questions"]["rounds"]["with the text"]
    assert evidence["ways"]["float32"]["answers"] == stored


def test_sizes_follow_from_the_weights_and_their_bits(evidence: dict[str, Any]) -> None:
    kinds = evidence["original"]["kinds"]
    blocks, tokens = kinds["Q4_1"][0], kinds["Q8_0"][0]
    size = {name: found["weight_bytes"] for name, found in evidence["ways"].items()}
    assert size["float32"] == 4 * (blocks + tokens) == 2 * size["float16"]
    assert 8 * size["int8"] == 9 * (blocks + tokens)
    assert 8 * size["int4"] == 5 * blocks + 9 * tokens == 8 * size["int4, weights only"]
    assert 8 * size["int3"] == 4 * blocks + 9 * tokens
    for name in PRUNED:
        kept = 1 - compression.WAYS[name]["share"]
        assert 8 * size[name] == pytest.approx(blocks * (1 + 16 * kept) + 16 * tokens, rel=1e-3)
    assert size["int4 by rows"] < size["int4"] < size["int8 by rows"] < size["int8"]


def test_the_speeds_are_of_every_engine_in_every_round(evidence: dict[str, Any]) -> None:
    engines = [way["engine"] for way in compression.WAYS.values() if "engine" in way]
    assert list(evidence["speed"]) == engines
    assert all(len(rounds) == compression.ROUNDS for rounds in evidence["speed"].values())
    assert all(rate > 0 for rounds in evidence["speed"].values() for rate in rounds)


def test_reviews_that_are_judged_are_apart_and_fit_their_answers(evidence: dict[str, Any]) -> None:
    found, reviews = evidence["distilled"], load_food_reviews()
    rows, scores = found["rows"], found["scores"]
    assert rows == compression.judged()
    training = [i for part in ("known", "pool", "examples") for i in rows[part]]
    assert len(training) == len(set(training))
    assert not set(rows["test"]) & set(large_model.reviews()["test"])
    assert not {reviews.train.texts[i] for i in training} & {
        reviews.test.texts[i] for i in rows["test"]
    }
    assert found["settings"] == {"words": compression.WORDS, "prompts": compression.PROMPTS}
    for part in ("test", "pool"):
        assert len(scores[part]["lean"]) == len(rows[part])
    labels = reviews.train.labels[rows["known"]]
    areas = {n: compression.area(labels, np.array(scores[n]["lean"])) for n in compression.PROMPTS}
    assert found["prompt"] == max(areas, key=lambda name: areas[name])


def test_a_model_leans_by_the_odds_of_what_speaks_for_and_against() -> None:
    logits = np.log(np.array([0.1, 0.2, 0.3, 0.4], "float32"))
    assert compression.lean(logits, [3], [0, 1]) == pytest.approx(np.log(0.4 / 0.3))
    assert compression.lean(logits, [0], [0]) == 0


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    assert compression.area(np.array([1, 0, 1, 0]), np.array([2.0, 1, 1, 3])) == 1.5 / 4


def test_a_ladder_with_a_minimum_would_find_the_packaged_weights_again() -> None:
    # So a rule like the file's own would seem to cost nothing; ours, about zero, does cost.
    try:
        tensor = models.read_gguf(models.language_model_path()).tensors["blk.0.ffn_up.weight"]
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    blocks = tensor.dequantize()[:50].reshape(-1, compression.BLOCK)
    least = blocks.min(axis=1, keepdims=True)
    step = (blocks.max(axis=1, keepdims=True) - least) / 15
    again = least + np.rint((blocks - least) / step) * step
    whole = np.abs(again - blocks).max() / np.abs(blocks).max()
    ours = compression.rounded(tensor.dequantize()[:50], 4, compression.BLOCK)
    lost = np.abs(ours.reshape(blocks.shape) - blocks).max() / np.abs(blocks).max()
    assert whole < lost / 10


def test_only_the_parts_that_are_missing_are_measured(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def quality(name: str) -> dict[str, Any]:
        asked.append(name)
        return {"weight_bytes": len(name)}

    monkeypatch.setattr(compression, "quality", quality)
    monkeypatch.setattr(compression, "speeds", dict)
    monkeypatch.setattr(compression, "distilled", lambda path: {"judged": path.name})
    monkeypatch.setattr(compression, "original", dict)
    monkeypatch.setattr(compression, "passages", list)
    monkeypatch.setattr(compression, "version", lambda _: "1")
    options = [str(tmp_path / "file.json"), "--folder", str(tmp_path / "parts")]
    compression.main([*options, "--way", "int8"])
    assert asked == ["int8"]
    assert not (tmp_path / "file.json").exists()
    compression.main(options)
    assert sorted(asked) == sorted(compression.WAYS)
    written = (tmp_path / "file.json").read_text("utf-8")
    assert re.search(r'"int8":\{"weight_bytes":4\}', written)
