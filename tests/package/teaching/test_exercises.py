from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.teaching import Exercise

few = settings(max_examples=25, deadline=None)


def is_two(answer: Any) -> str | None:
    return None if answer + 0 == 2 else "add the two numbers."


def make(**changes: Any) -> Exercise:
    arguments = {"accepts": is_two, "solution": 2, "wrong": {"a product": 1}}
    return Exercise("one and one", **{**arguments, **changes})


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
