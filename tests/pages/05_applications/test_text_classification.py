"""What the page on sorting messages builds by hand: its score, its rules, its minutes."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

import companion
from benchmarks import newsgroups
from companion import evaluation
from tools.cells import run_cells

PAGE = "05_applications/text_classification"
LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
WORDS = st.lists(
    st.sampled_from(["re", "in", "article", "writes", "edu", "com", "acs", "goal", "a"])
)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    start = {"np": np, "re": re, "evaluation": evaluation, "companion": companion}
    return run_cells(PAGE, "macro", "clean", "minutes-saved", "thread", texts=[""], **start)


@given(labels=LABELS)
@settings(max_examples=50, deadline=None)
def test_macro_f1_is_that_of_scikit_learn_with_every_group_counted(
    page: dict[str, Any], labels: list[tuple[int, int]]
) -> None:
    truth, said = (np.array(column) for column in zip(*labels, strict=True))
    theirs = f1_score(truth, said, labels=range(5), average="macro", zero_division=0)
    assert page["macro_f1"](truth, said, groups=5) == pytest.approx(theirs)


@given(words=WORDS)
@settings(max_examples=50, deadline=None)
def test_the_control_loses_as_many_words_as_the_rule_and_keeps_their_order(
    page: dict[str, Any], words: list[str]
) -> None:
    text = " ".join(words)
    kept = page["thinned"](text, np.random.default_rng(0)).split()
    assert len(kept) == len(page["without_sender"](text).split())
    remaining = iter(words)
    assert all(word in remaining for word in kept)


def test_the_citation_line_and_the_address_go_and_the_topic_stays(page: dict[str, Any]) -> None:
    text = "re goalies in article apr acs ca parr acs ca charles writes the goalie was superb"
    assert page["without_sender"](text) == "re goalies the goalie was superb"
    assert page["without_sender"]("ask joe cs uni edu about goalies") == "ask about goalies"


@pytest.mark.parametrize(("length", "left"), [(59, 59), (60, 40), (100, 80)])
def test_only_longer_posts_lose_their_last_twenty_words(
    page: dict[str, Any], length: int, left: int
) -> None:
    assert len(page["without_sender"](" ".join(["word"] * length)).split()) == left


@given(words=WORDS)
@settings(max_examples=50, deadline=None)
def test_the_page_and_the_stored_run_cut_threads_and_senders_alike(
    page: dict[str, Any], words: list[str]
) -> None:
    text = " ".join(words)
    assert page["thread"](text) == newsgroups.thread(text)
    assert page["without_sender"](text) == newsgroups.without_sender(text)
    assert page["thread"](f"re {text}") == page["thread"](text)


def test_a_wrong_answer_costs_its_repair_and_silence_costs_nothing(page: dict[str, Any]) -> None:
    right, sent = np.array([True, False, True, False]), np.array([True, True, False, False])
    assert page["minutes_saved"](right, sent, repair=10).tolist() == [1, -9, 0, 0]


class TestStoredRun:
    @pytest.fixture(scope="class")
    def run(self) -> dict[str, Any]:
        return companion.data.load_measurements("newsgroups")

    def test_every_answer_is_a_group_and_none_is_missing(self, run: dict[str, Any]) -> None:
        sample = len(run["test_sample"])
        answers = {answer["said"]: sample for answer in run["curve"]["runs"]}
        answers |= {run["curve"]["by_name"]: sample}
        answers |= dict.fromkeys(run["final"]["said"].values(), 7528)
        answers[run["language_model"]["said"]] = newsgroups.ASKED
        for said, number in answers.items():
            assert len(said) == number
            assert set(said) <= set("abcdefghijklmnopqrst")

    def test_every_grid_is_bracketed(self, run: dict[str, Any]) -> None:
        for kind in ("naive Bayes", "linear SVM"):
            grid = run["words"]["scores"]
            scores = [s["accuracy"] for s in grid if s["model"] == kind]
            assert 0 < int(np.argmax(scores)) < len(scores) - 1, kind

    def test_the_sample_is_drawn_without_repeats_from_the_test_posts(
        self, run: dict[str, Any]
    ) -> None:
        sample = run["test_sample"]
        assert len(set(sample)) == len(sample) == newsgroups.TEST_SAMPLE
        assert 0 <= min(sample) <= max(sample) < 7528
