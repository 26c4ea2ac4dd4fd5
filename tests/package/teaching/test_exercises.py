from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.teaching import Exercise, outcome, predict, quiz
from companion.teaching import style as presentation

few = settings(max_examples=25, deadline=None)
OPTIONS = [("one", True, "It is."), ("two", False, "Too many."), ("none", False, "Too few.")]


def is_two(answer: Any) -> str | None:
    return None if answer + 0 == 2 else "add the two numbers."


def make(**changes: Any) -> Exercise:
    arguments = {"accepts": is_two, "solution": 2, "wrong": {"a product": 1}}
    return Exercise("one and one", **{**arguments, **changes})


class Page(HTMLParser):
    """Reads HTML; fails on elements that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "input":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    shown: list[dict[str, str]] = []

    def display(data: dict[str, str], *, raw: bool, metadata: dict[str, Any]) -> None:
        assert raw
        shown.append(data)

    monkeypatch.setattr(presentation, "_shell", object)
    monkeypatch.setattr("IPython.display.display", display)
    return shown


def test_a_right_answer_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    make()(2)
    assert capsys.readouterr().out == "Right: one and one.\n"


def test_a_wrong_answer_is_told_what_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    make()(3)
    assert capsys.readouterr().out == "Not yet: add the two numbers.\n"


def test_no_answer_yet_is_an_invitation(capsys: pytest.CaptureFixture[str]) -> None:
    make()(...)
    assert capsys.readouterr().out == "Your turn: replace … with your answer.\n"


def test_an_answer_that_breaks_the_checker_gets_words(capsys: pytest.CaptureFixture[str]) -> None:
    make()("2")
    out = capsys.readouterr().out
    assert out.startswith("Not yet: the answer could not be checked (TypeError: ")


def test_an_array_is_an_answer_like_any_other(capsys: pytest.CaptureFixture[str]) -> None:
    exercise = make(
        accepts=lambda a: None if np.array_equal(a, [1, 2]) else "count up.",
        solution=np.array([1, 2]),
        wrong={"backwards": np.array([2, 1])},
    )
    exercise(np.array([1, 2]))
    assert capsys.readouterr().out.startswith("Right")


@few
@given(st.integers().filter(lambda n: n != 2))
def test_every_other_number_is_rejected(answer: int) -> None:
    assert make().check(answer) == "add the two numbers."


def test_a_checker_that_accepts_a_known_mistake_is_refused() -> None:
    with pytest.raises(AssertionError, match="'one and one' accepts the wrong answer 'sloppy'"):
        make(wrong={"a product": 1, "sloppy": 2.0})


def test_a_checker_that_rejects_its_own_solution_is_refused() -> None:
    with pytest.raises(AssertionError, match=r"rejects its own solution: add the two numbers\."):
        make(solution=3)


def test_a_checker_that_never_says_no_is_refused() -> None:
    with pytest.raises(AssertionError, match="accepts the wrong answer"):
        make(accepts=lambda answer: None)
    with pytest.raises(ValueError, match="at least one wrong answer"):
        make(wrong={})


@pytest.mark.parametrize("verdict", [True, False, "", 0])
def test_a_checker_must_answer_with_none_or_words(verdict: Any) -> None:
    with pytest.raises(TypeError, match="None or a text"):
        make(accepts=lambda answer: verdict)


def test_a_quiz_unfolds_one_verdict_for_each_option(displayed: list[dict[str, str]]) -> None:
    quiz("count", "How many?", OPTIONS)
    (output,) = displayed
    page = Page(output["text/html"])
    (section,) = page.all("section")
    assert section["data-name"] == "count"
    assert "quiz" in str(section["class"]).split()
    assert page.all("p")[0]["id"] == section["aria-labelledby"]
    assert len(page.all("details")) == len(page.all("summary")) == 3
    assert output["text/html"].count("<strong>Right.</strong>") == 1
    assert output["text/html"].count("<strong>No.</strong>") == 2
    assert "<summary>one</summary><p><strong>Right.</strong> It is." in output["text/html"]


def test_a_quizs_words_do_not_give_the_answer_away(displayed: list[dict[str, str]]) -> None:
    quiz("count", "How many?", OPTIONS)
    assert displayed[0]["text/plain"] == "How many?\n- one\n- two\n- none"


@pytest.mark.parametrize("num_right", [0, 2, 3])
def test_a_quiz_needs_exactly_one_right_option(num_right: int) -> None:
    options = [(text, i < num_right, because) for i, (text, _, because) in enumerate(OPTIONS)]
    with pytest.raises(ValueError, match="exactly one option that holds"):
        quiz("count", "How many?", options)


@pytest.mark.parametrize(
    ("name", "question", "options", "message"),
    [
        ("Two words", "How many?", OPTIONS, "lower-case"),
        ("count", " ", OPTIONS, "question"),
        ("count", "How many?", OPTIONS[:1], "two different options"),
        ("count", "How many?", [OPTIONS[0], OPTIONS[0]], "two different options"),
        ("count", "How many?", [("", True, "It is."), OPTIONS[1]], "option"),
        ("count", "How many?", [("one", True, ""), OPTIONS[1]], "because"),
    ],
)
def test_an_impossible_quiz_is_refused(
    name: str, question: str, options: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        quiz(name, question, options)


def test_a_prediction_is_a_labelled_choice_without_a_verdict(
    displayed: list[dict[str, str]],
) -> None:
    predict("winner", "Which one?", ["a < b", "b"])
    page = Page(displayed[0]["text/html"])
    (section,), (legend,) = page.all("section"), page.all("legend")
    assert "predict" in str(section["class"]).split()
    assert section["data-name"] == "winner"
    assert legend["id"] == section["aria-labelledby"]
    radios = page.all("input")
    assert [radio["value"] for radio in radios] == ["a < b", "b"]
    assert {(radio["type"], radio["name"]) for radio in radios} == {("radio", "predict-winner")}
    assert len(page.all("label")) == 2
    assert not any("checked" in radio for radio in radios)
    assert displayed[0]["text/plain"] == "Predict: Which one?\n- a < b\n- b"


def test_an_outcome_names_its_prediction(displayed: list[dict[str, str]]) -> None:
    outcome("winner", "b", "It is larger.")
    page = Page(displayed[0]["text/html"])
    (section,) = page.all("section")
    assert "outcome" in str(section["class"]).split()
    assert section["data-name"] == "winner"
    assert page.all("p")[0]["id"] == section["aria-labelledby"] == "outcome-winner"
    assert displayed[0]["text/plain"] == "Outcome: b\nIt is larger."


def test_the_boxes_of_one_name_do_not_share_an_id(displayed: list[dict[str, str]]) -> None:
    predict("x", "Which one?", ["a", "b"])
    outcome("x", "a", "Because.")
    quiz("x", "How many?", OPTIONS)
    ids = [a["id"] for d in displayed for _, a in Page(d["text/html"]).tags if "id" in a]
    assert len(ids) == len(set(ids)) == 3


@few
@given(st.text(alphabet='<>&"`/ab c', min_size=1).filter(str.strip))
def test_no_text_can_break_out_of_its_box(text: str) -> None:
    assert Page(f"<p>{presentation.inline_html(text)}</p>").words.replace("`", "") == text.replace(
        "`", ""
    )


def test_backticks_mark_code() -> None:
    assert presentation.inline_html("set `a < b`") == "set <code>a &lt; b</code>"
