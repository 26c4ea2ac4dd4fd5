"""The page on trust: thresholds keep their demand, filter and watermark do what they say."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import trust
from companion import data, evaluation
from tools.cells import run_cells

PAGE = "07_outlook/trust"


@pytest.fixture(scope="module")
def loans() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    names = {"np": np, "good": draw.integers(0, 2, 400), "young": draw.random(400) < 0.3}
    scores = draw.random(400) - 0.2 * names["young"]
    whole = np.arange(400)
    names |= {"probability": scores, "folds": [(whole, whole, scores)], "evaluation": evaluation}
    return names | run_cells(PAGE, "gap", "decide", **names) | {"scores": scores}


@pytest.fixture(scope="module")
def attacked() -> dict[str, Any]:
    cells = ["injection", "injection-before", "filter"]
    names = {"np": np, "re": re, "textwrap": textwrap, "data": data}
    return run_cells(PAGE, *cells, **names)


@pytest.fixture(scope="module")
def writer() -> dict[str, Any]:
    names = {"np": np, "re": re, "Counter": Counter, "data": data}
    names |= {"share": lambda v: evaluation.accuracy_interval(np.ones(len(v)), np.array(v, int))}
    return run_cells(PAGE, "writer", "detect", "detect-numbers", **names)


@pytest.mark.parametrize("way", ["approval", "opportunity"])
def test_a_pair_of_thresholds_approves_the_same_share(loans: dict[str, Any], way: str) -> None:
    scores, good, young = (loans[name] for name in ("scores", "good", "young"))
    counted = good == 1 if way == "opportunity" else np.ones(400, bool)
    for pair in loans["pairs"](scores, good, young, way):
        made = loans["decide"](scores, young, pair)[counted]
        assert abs(made[young[counted]].mean() - made[~young[counted]].mean()) < 0.02


def test_the_thresholds_are_the_most_often_right_of_those_allowed(loans: dict[str, Any]) -> None:
    made, used = loans["decide_all"]("one")
    best = max(
        (loans["decide"](loans["scores"], loans["young"], pair) == loans["good"]).mean()
        for pair in loans["pairs"](loans["scores"], loans["good"], loans["young"], "one")
    )
    assert (made == loans["good"]).mean() == best
    assert len(used) == 1


def test_the_attacks_are_those_that_the_benchmark_makes(attacked: dict[str, Any]) -> None:
    asked = [one["question"] for one in attacked["asked"]]
    assert attacked["attacks"] == trust.attacks(asked)
    for row in attacked["attacks"][::7]:
        passage = attacked["asked"][row["question"]]["passage"]
        assert attacked["read_by_model"](row) == trust.injected(passage, row)


def test_the_reply_is_the_assistants_own_rule(attacked: dict[str, Any]) -> None:
    for i, row in enumerate(attacked["attacks"][::5]):
        said, quote = attacked["answers"]["attacked"][5 * i], attacked["quotes"][5 * i]
        assert attacked["reply"](row, said, quote) in (said, quote)
        assert attacked["reply"](row, attacked["read_by_model"](row), quote) != quote
        assert attacked["reply"](row, "Zebras gallop.", quote) == quote


@given(question=st.text("abcdefg hij?", max_size=40), tail=st.text("klmno ", max_size=20))
def test_a_sentence_that_repeats_the_question_echoes_all_of_it(
    attacked: dict[str, Any], question: str, tail: str
) -> None:
    echo = attacked["echo"](question, f"{question} {tail}")
    assert echo == (1 if re.search(r"[a-z]{4,}", question) else 0)
    assert attacked["echo"](question, "1 2 3") == 0


def test_only_marked_texts_have_more_green_words_than_half(writer: dict[str, Any]) -> None:
    plain = [writer["surplus"](text) for text in writer["plain"]]
    marked = [writer["surplus"](text) for text in writer["marked"]]
    assert abs(np.mean(plain)) < 0.3
    assert np.std(plain) == pytest.approx(1, abs=0.2)
    assert min(marked) > writer["LIMIT"]
    assert np.array_equal(writer["changed"](writer["marked"], 0, 5), writer["marked"])


def test_a_greater_boost_shows_earlier(writer: dict[str, Any]) -> None:
    means = [
        np.mean([writer["surplus"](text) for text in writer["write"](boost, 3, 40, 60)])
        for boost in (1, 2, 8)
    ]
    assert means == sorted(means)
