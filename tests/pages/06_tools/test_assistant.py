"""What the page on the assistant claims: its questions, its rules of scoring, its stored search."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import assistant as benchmark
from companion import data, evaluation, tasks
from tools.cells import run_cells

PAGE = "06_tools/assistant"


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return data.load_measurements("assistant")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ("stored", "rightness", "handbook", "bm25-function", "fusion-function", "support-rule")
    return run_cells(PAGE, *cells, np=np, re=re, math=math, Counter=Counter)


class TestQuestions:
    def test_there_are_enough_and_no_two_are_the_same(self) -> None:
        asked = [one["question"] for part in benchmark.questions().values() for one in part]
        assert len(asked) == len(set(asked))
        assert len(benchmark.questions()["answered"]) >= 80
        assert len(benchmark.questions()["not_answered"]) >= 20

    def test_each_names_pages_that_the_course_has(self) -> None:
        pages = {section.page for section in data.load_course()}
        for one in benchmark.questions()["answered"]:
            assert pages.issuperset(one["page"]), one["question"]

    def test_each_half_has_as_many_in_the_pages_terms_as_in_the_readers_words(self) -> None:
        asked = benchmark.questions()["answered"]
        for half in (True, False):
            kinds = [one["words"] for i, one in enumerate(asked) if benchmark.chooses(i) is half]
            assert Counter(kinds)["page"] == Counter(kinds)["own"] == len(asked) // 4

    def test_the_stored_figures_are_of_these_questions(self, evidence: dict[str, Any]) -> None:
        assert evidence["questions"] == benchmark.questions()
        number = len(evidence["questions"]["answered"])
        assert all(len(run["places"]) == number for run in evidence["search"]["runs"])


class TestStoredChoices:
    def test_the_search_chosen_is_the_best_of_the_choosing_half(
        self, evidence: dict[str, Any]
    ) -> None:
        best = benchmark.chosen(evidence["search"]["runs"])
        assert best.items() <= evidence["chosen"].items()

    def test_the_threshold_is_that_of_the_choosing_half(self, evidence: dict[str, Any]) -> None:
        cosine, number = evidence["refuse"]["cosine"], len(evidence["questions"]["answered"])
        inside = [x for i, x in enumerate(cosine[:number]) if benchmark.chooses(i)]
        rest = enumerate(cosine[number:])
        outside = [x for i, x in rest if benchmark.chooses(i, answered=False)]
        assert evidence["chosen"]["threshold"] == benchmark.best_threshold(inside, outside)

    def test_every_form_is_valid_and_of_a_message_made_by_rule(
        self, evidence: dict[str, Any]
    ) -> None:
        assert evidence["tool"]["orders"] == benchmark.orders()
        for text in evidence["tool"]["forms"]:
            assert set(json.loads(text)) == set(benchmark.tool_schema()["required"])


class TestRules:
    def test_page_and_benchmark_call_the_same_answers_right(
        self, page: dict[str, Any], evidence: dict[str, Any]
    ) -> None:
        asked = benchmark.questions()["answered"]
        for one, quote in zip(asked, evidence["answer"]["quotes"], strict=False):
            assert page["is_right"](one, quote) == benchmark.is_right(one, quote)

    @pytest.mark.parametrize(
        ("answer", "expected"),
        [("It is 15%.", True), ("15 %", True), ("115 %", False), ("", False)],
    )
    def test_a_number_is_right_as_a_whole_word_with_any_space(
        self, page: dict[str, Any], answer: str, expected: bool
    ) -> None:
        assert page["is_right"]({"says": ["15 %"]}, answer) is expected

    @given(text=st.text(alphabet="tea rice 12.", max_size=30), read=st.text("tea rice 12."))
    def test_the_pages_rule_of_support_is_the_packages(
        self, page: dict[str, Any], text: str, read: str
    ) -> None:
        assert page["supported"](text, read) == evaluation.support(text, read)

    def test_the_pages_search_is_the_packages(self, page: dict[str, Any]) -> None:
        passages = tasks.cut_passages(page["sections"], num_words=30)
        texts = [f"{one.title}. {one.heading}. {one.text}" for one in passages]
        for line in ("How much water for tea?", "parcels, parcels", "nothing of this"):
            by_words = tasks.Retriever("words").fit(passages).scores([line])
            np.testing.assert_allclose(page["bm25"](line, texts), by_words[0])
            other = np.arange(len(texts))[None] * 0.1
            np.testing.assert_allclose(
                page["fuse"](by_words[0], other[0]), tasks.fuse_ranks(by_words, other)[0]
            )
