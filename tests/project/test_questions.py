"""The questions of a page are read as they are written, and each fault of one has its sentence."""

from __future__ import annotations

import pytest

from tools import questions

QUIZ = """\
:::{quiz} how-many
How many?

- [x]<!--= len(rows) == 4 --> Four, as in `rows`.

  They were counted.
- [ ] None.

  That is too few,
  and by far.
:::"""
PREDICTION = ":::{prediction} winner\nWhich one?\n\n- a\n- b\n:::"
OUTCOME = ":::{outcome} winner\nb\n\nIt is larger.\n:::"


def test_a_quiz_is_read_with_its_key_and_reasons() -> None:
    ((quiz, problems),) = questions.find(f"Before.\n\n{QUIZ}\n\nAfter.")
    assert problems == []
    assert (quiz.kind, quiz.name, quiz.text) == ("quiz", "how-many", "How many?")
    assert quiz.options == (
        questions.Option("Four, as in `rows`.", True, "They were counted."),
        questions.Option("None.", False, "That is too few,\nand by far."),
    )


def test_questions_of_one_cell_are_found_in_order() -> None:
    found = [question for question, _ in questions.find(f"{PREDICTION}\n\n{OUTCOME}\n\n{QUIZ}")]
    assert [question.kind for question in found] == ["prediction", "outcome", "quiz"]
    assert [option.text for option in found[0].options] == ["a", "b"]
    assert (found[1].text, found[1].reason) == ("b", "It is larger.")


def test_other_directives_are_no_questions() -> None:
    assert list(questions.find(":::{note}\nHow many?\n\n- [x] a\n:::")) == []


FAULTS = {
    "no right option": (QUIZ, "[x]", "[ ]", "has 0 right options"),
    "two right options": (QUIZ, "[ ]", "[x]", "has 2 right options"),
    "an option without a box": (QUIZ, "[ ] None", "None", "'None.' lacks its box"),
    "an option without a reason": (QUIZ, "\n  They were counted.\n", "", "lacks its reason"),
    "an option without words": (QUIZ, " None.", "", "two options or more"),
    "an option twice": (PREDICTION, "- b", "- a", "two options or more, all different"),
    "a single option": (PREDICTION, "- b\n", "", "two options or more"),
    "no question": (QUIZ, "How many?", "", "lacks a question"),
    "no name": (PREDICTION, " winner", "", "needs a name"),
    "a name that is no id": (QUIZ, "how-many", "How many", "needs a name of lower-case words"),
    "no end": (QUIZ, "far.\n:::", "far.", "is not closed"),
    "a key in a prediction": (PREDICTION, "- b", "- [x] b", "belong to its outcome"),
    "an outcome without a reason": (OUTCOME, "\n\nIt is larger.", "", "lacks its reason"),
    "an empty outcome": (OUTCOME, "b\n\nIt is larger.\n", "", "lacks the answer"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_a_question_is_said(fault: str) -> None:
    text, old, new, sentence = FAULTS[fault]
    assert old in text
    ((_, problems),) = questions.find(text.replace(old, new))
    assert any(sentence in problem for problem in problems), problems


@pytest.mark.parametrize("text", [QUIZ, PREDICTION, OUTCOME])
def test_a_whole_question_has_no_problem(text: str) -> None:
    ((_, problems),) = questions.find(text)
    assert problems == []


@pytest.mark.parametrize(
    ("order", "sentences"),
    [
        ([("prediction", "a"), ("outcome", "a"), ("quiz", "b")], []),
        ([("outcome", "a"), ("prediction", "a")], ["no prediction", "no outcome"]),
        ([("prediction", "a"), ("outcome", "b")], ["no prediction", "no outcome"]),
        ([("prediction", "a"), ("outcome", "a"), ("outcome", "a")], ["no prediction"]),
        ([("prediction", "a"), ("outcome", "a"), ("quiz", "a")], ["is taken"]),
        ([("quiz", "b"), ("quiz", "b")], ["is taken"]),
    ],
)
def test_a_pages_questions_fit_together(order: list[tuple[str, str]], sentences: list[str]) -> None:
    found = questions.page_problems(order)
    assert len(found) == len(sentences)
    assert all(part in problem for part, problem in zip(sentences, found, strict=True)), found
