"""What the page on the large model claims: its rules of scoring, its stored answers, its orders."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score

from benchmarks.large_model_questions import orders, questions
from companion import data, evaluation
from tools.cells import run_cells

PAGE = "04_practice/large_model"


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return data.load_measurements("large_model")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ("scores", "auc-function", "rules", "form-function")
    return run_cells(
        PAGE, *cells, data=data, evaluation=evaluation, json=json, re=re, np=np, rankdata=rankdata
    )


class TestQuestions:
    def test_there_are_at_least_sixty_and_no_two_are_the_same(self) -> None:
        asked = [question["question"] for question in questions()]
        assert len(asked) == len(set(asked)) >= 60

    def test_answers_to_sums_and_words_are_right(self) -> None:
        for question in questions():
            if question["kind"] == "sum":
                a, sign, b = re.search(r"(\d+) (plus|times) (\d+)", question["question"]).groups()  # type: ignore[union-attr]
                expected = int(a) + int(b) if sign == "plus" else int(a) * int(b)
                assert question["answers"] == [str(expected)]
            if question["kind"] == "letters":
                (word,) = re.findall(r'"(\w+)"', question["question"])
                assert question["answers"][0] == str(len(word))

    def test_the_text_holds_the_answer_and_the_question_does_not(
        self, page: dict[str, Any]
    ) -> None:
        for question in questions():
            assert page["is_right"](question, question["text"], with_text=True)
            assert not page["is_right"](question, question["question"], with_text=True)

    def test_the_stored_answers_are_to_these_questions(self, evidence: dict[str, Any]) -> None:
        assert evidence["questions"]["questions"] == questions()
        for answers in evidence["questions"]["rounds"].values():
            assert len(answers) == len(questions())

    def test_a_part_of_a_word_is_no_answer(self, page: dict[str, Any]) -> None:
        five = {"kind": "sum", "answers": ["5"]}
        assert page["is_right"](five, "It is 5.")
        assert not page["is_right"](five, "It is 57.")

    def test_of_an_invented_country_only_declining_is_right(self, page: dict[str, Any]) -> None:
        country = {"kind": "invented", "answers": ["Perrin"]}
        assert page["is_right"](country, "I do not know.")
        assert not page["is_right"](country, "The capital of Zantovia is Perrin.")
        assert page["is_right"](country, "The capital is Perrin.", with_text=True)


class TestReviews:
    def test_no_test_review_is_learned_from(self, evidence: dict[str, Any]) -> None:
        rows, reviews = evidence["reviews"]["rows"], data.load_food_reviews()
        seen = {reviews.train.texts[i] for i in rows["train"] + rows["examples"]}
        assert not seen & {reviews.test.texts[i] for i in rows["test"]}
        assert not set(rows["train"]) & set(rows["examples"])

    def test_each_review_has_its_scores(self, evidence: dict[str, Any]) -> None:
        read = evidence["reviews"]
        both = len(read["rows"]["train"]) + len(read["rows"]["test"])
        assert len(read["zero-shot"]["yes"]) == len(read["zero-shot"]["states"]) == both
        assert len(read["few-shot"]["no"]) == len(read["rows"]["test"])

    @given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=30))
    def test_the_pages_auc_is_that_of_scikit_learn(
        self, page: dict[str, Any], pairs: list[tuple[bool, int]]
    ) -> None:
        labels, scores = (np.array(column, dtype=int) for column in zip(*pairs, strict=True))
        if len(set(labels.tolist())) == 2:
            assert page["auc"](labels, scores) == pytest.approx(roc_auc_score(labels, scores))


class TestForms:
    def test_the_stored_forms_are_of_these_orders(self, evidence: dict[str, Any]) -> None:
        assert evidence["forms"]["orders"] == orders()
        assert (
            len(evidence["forms"]["bound"]) == len(orders()) >= len(evidence["forms"]["free"]) > 0
        )

    def test_each_bound_answer_has_the_form(
        self, page: dict[str, Any], evidence: dict[str, Any]
    ) -> None:
        for answer in evidence["forms"]["bound"]:
            form = json.loads(answer)
            assert set(form) == {"name", "product", "quantity", "city"}
            assert isinstance(form["quantity"], int)
            assert page["read_form"](answer) == form

    def test_rules_read_an_order_and_fall_for_a_second_number(self, page: dict[str, Any]) -> None:
        plain = "This is Ada Byron from Lyon. Could you deliver seven bags of green tea to us?"
        expected = {"name": "Ada Byron", "product": "green tea", "quantity": 7, "city": "Lyon"}
        assert page["by_rules"](plain) == expected
        assert page["by_rules"]("I got 2 tins. " + plain)["quantity"] == 2

    @pytest.mark.parametrize("answer", ["", "no form", "{half", "} {", "[1, 2]", "{'a': 1}"])
    def test_what_is_no_form_is_read_as_an_empty_one(
        self, page: dict[str, Any], answer: str
    ) -> None:
        assert page["read_form"](answer) == {}

    def test_capital_letters_do_not_count(self, page: dict[str, Any]) -> None:
        truth = {"city": "Lyon", "quantity": 3}
        assert page["fields_right"]({"city": "LYON", "quantity": 4}, truth) == [True, False]
        assert page["fields_right"]({}, truth) == [False, False]


def test_bandwidth_bounds_the_measured_speed(evidence: dict[str, Any]) -> None:
    for name in ("float32", "int8"):
        speed = evidence["speed"][name]
        limits = [run["bytes_per_second"] / speed["weight_bytes"] for run in speed["runs"]]
        rates = [run["tokens_per_second"] for run in speed["runs"]]
        assert np.median(rates) < np.median(limits)
