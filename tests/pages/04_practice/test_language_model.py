"""What the page on language models claims: its counts, its measure, its explorer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion
from tools.cells import run_cells

TRAIN, TEST = ["to be or not to be, that is the question. " * 3], ["or to be. ", "a bee"]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    names = ["know-nothing", "ngrams", "ngram-forecast", "explorer-function", "cache-work"]
    names.append("attention-function")
    z = {"a": np.array([3.0, 2.0, 1.0, *[0.0] * 9])}
    start = {"train": TRAIN, "held_out": TEST, "scores": z, "vocabulary": list("abcdefghijkl")}
    sizes = {"V": 512, "d": 64, "L": 2, "SIZES": {"sequence_length": 64}}
    companion_part = SimpleNamespace(
        next_token_probabilities=companion.models.next_token_probabilities,
        load_measurements=companion.data.load_measurements,
    )
    return run_cells(
        "04_practice/language_model", *names, np=np, companion=companion_part, **start, **sizes
    )


@given(text=st.binary(min_size=1, max_size=12), k=st.floats(0.1, 100))
@settings(max_examples=10, deadline=None)
def test_each_forecast_shares_out_one_whole(page: dict[str, Any], text: bytes, k: float) -> None:
    every = [np.frombuffer(text + bytes([last]), np.uint8) for last in range(256)]
    total = sum(page["forecasts"](row, k)[:, -1] for row in every)
    np.testing.assert_allclose(total, 1)


def test_counts_are_what_a_search_by_eye_finds(page: dict[str, Any]) -> None:
    grams = page["ngrams"](np.frombuffer(b"be", np.uint8), 2)
    assert page["count"](page["seen"][1], grams).tolist() == [TRAIN[0].count("be")]


def test_a_kept_cache_never_costs_more_work(page: dict[str, Any]) -> None:
    work = page["work"]
    assert all(sum(work(1, i) for i in range(n)) == work(n, 0) for n in (1, 7, 64))


@pytest.mark.parametrize(
    "wrong",
    [
        *({"prompt": value} for value in ("", None, 3, ["a"])),
        *({"temperature": value} for value in (-1, float("nan"), float("inf"), "hot", None)),
        *({"top_k": value} for value in (0, -3, 2.7, float("nan"))),
        *({"top_p": value} for value in (0, -1, 2, 1e9, float("nan"))),
    ],
)
def test_the_explorer_says_what_it_needs(page: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        page["next_token"](**({"prompt": "a", "temperature": 1, "top_k": 3, "top_p": 1} | wrong))


def test_the_explorer_shows_only_tokens_that_can_be_drawn(page: dict[str, Any]) -> None:
    for options in ({"temperature": 0}, {"top_k": 2}, {"top_p": 0.5}):
        rows = page["next_token"](
            **({"prompt": "a", "temperature": 1, "top_k": 12, "top_p": 1} | options)
        )["rows"]
        assert rows
        assert all(row["percent"] > 0 for row in rows)


def test_a_head_looks_at_the_past_alone_and_hands_out_one_whole(page: dict[str, Any]) -> None:
    for text, look in page["looks"].items():
        for head in range(1, len(look["heads"]) + 1):
            for place in range(1, len(look["tokens"]) + 1):
                rows = page["explore_attention"](text, head, place)["rows"]
                assert sum(row["weight"] for row in rows) == pytest.approx(1, abs=0.02)
                assert not any(row["weight"] for row in rows[place:])


@pytest.mark.parametrize("wrong", [{"text": "no line"}, {"head": 0}, {"head": 9}, {"place": 0}])
def test_the_attention_explorer_says_what_it_needs(page: dict[str, Any], wrong: Any) -> None:
    with pytest.raises(ValueError, match="must be"):
        page["explore_attention"](
            **({"text": next(iter(page["looks"])), "head": 1, "place": 1} | wrong)
        )


def test_the_exercise_on_customers_has_mistakes_with_answers_of_their_own() -> None:
    parts: dict[str, Any] = {}
    sizes = {"d": 64, "L": 2, "SIZES": {"sequence_length": 64}, "caches": []}
    recorder = SimpleNamespace(Exercise=lambda name, **given: parts.update(given))
    run_cells(
        "04_practice/language_model",
        *("cache-bytes", "exercise-cache"),
        **{"np": np, "companion": companion, "teaching": recorder, **sizes},
    )
    answers = [parts["solution"], *parts["wrong"].values()]
    assert len(set(answers)) == len(answers) > 2
