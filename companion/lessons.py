"""What a reader answers: exercises with a checker, quizzes, and predictions before a result."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from companion.presentation import check_name, check_text, display_bundle, inline_html

__all__ = ["Exercise", "outcome", "predict", "quiz"]


class Exercise:
    """An exercise that checks an answer and says what is wrong with it.

    The checker is checked in its turn: an exercise cannot be made unless it accepts its own
    solution and rejects every mistake that it knows.

    Args:
        name: str. What the exercise is called.
        accepts: callable. Takes an answer; returns `None` if it is right, and otherwise a sentence
            that says what is wrong. An exception in it counts as a wrong answer.
        solution: Any answer that is right.
        wrong: dict from a description of a mistake to an answer that makes it, at least one.

    Raises:
        AssertionError: If the solution is rejected or a wrong answer accepted.
        ValueError: If `wrong` is empty.

    Example:
        >>> exercise = Exercise(
        ...     "two thirds",
        ...     accepts=lambda x: None if abs(x - 2 / 3) < 0.01 else "divide great reviews by all.",
        ...     solution=2 / 3,
        ...     wrong={"the other class": 1 / 3},
        ... )
        >>> exercise(...)
        Your turn: replace … with your answer.
        >>> exercise(0.5)
        Not yet: divide great reviews by all.
        >>> exercise(0.667)
        Right: two thirds.
    """

    def __init__(
        self,
        name: str,
        *,
        accepts: Callable[[Any], str | None],
        solution: Any,
        wrong: Mapping[str, Any],
    ) -> None:
        self.name = check_text("name", name)
        self._accepts = accepts
        if not wrong:
            raise ValueError(
                f"Exercise {name!r} needs wrong={{mistake: answer}} with at least one wrong "
                "answer, which proves that its checker can say no."
            )
        problem = self.check(solution)
        if problem is not None:
            raise AssertionError(f"Exercise {name!r} rejects its own solution: {problem}")
        for mistake, answer in wrong.items():
            if self.check(answer) is None:
                raise AssertionError(f"Exercise {name!r} accepts the wrong answer {mistake!r}.")

    def check(self, answer: Any) -> str | None:
        """Checks an answer without printing.

        Args:
            answer: Whatever the exercise asks for.

        Returns:
            `None` if it is right, otherwise a str that says what is wrong.

        Raises:
            TypeError: If `accepts` returned neither `None` nor a text.
        """
        try:
            problem = self._accepts(answer)
        except Exception as error:  # any answer may come, and any of them deserves words
            return f"the answer could not be checked ({type(error).__name__}: {error})."
        if problem is not None and not (isinstance(problem, str) and problem.strip()):
            raise TypeError(
                f"accepts of exercise {self.name!r} must return None or a text, not {problem!r}."
            )
        return problem

    def __call__(self, answer: Any) -> None:
        """Prints whether the answer is right, and what is wrong if not."""
        if answer is ...:
            print("Your turn: replace … with your answer.")
            return
        problem = self.check(answer)
        print(f"Right: {self.name}." if problem is None else f"Not yet: {problem}")


def quiz(name: str, question: str, options: Sequence[tuple[str, bool, str]]) -> None:
    """Displays a question whose options unfold to a verdict and its reason.

    Args:
        name: str. Lower-case words joined by hyphens; once per page.
        question: str. `Backticks` mark code, as in the options and reasons.
        options: sequence of at least two `(text, holds, because)`: the option, whether it is the
            right one, and the reason. Exactly one holds.

    Raises:
        ValueError: If not exactly one option holds, or a text is empty or repeated.

    Example:
        >>> quiz("sum", "What is 1 + 1?", [("2", True, "One more."), ("3", False, "One too many.")])
        What is 1 + 1?
        - 2
        - 3
    """
    check_name(name)
    texts = _check_options(question, [text for text, _, _ in options])
    right = [text for text, holds, _ in options if holds]
    if len(right) != 1:
        raise ValueError(f"Quiz {name!r} needs exactly one option that holds, but has {right}.")
    details = []
    for text, holds, because in options:
        verdict = "Right." if holds else "No."
        reason = inline_html(check_text("because", because))
        details.append(
            f"<details><summary>{inline_html(text)}</summary>"
            f"<p><strong>{verdict}</strong> {reason}</p></details>"
        )
    heading = f'<p class="quiz-question" id="quiz-{name}">{inline_html(question)}</p>'
    _display_section("quiz", name, [heading, *details], texts)


def predict(name: str, question: str, options: Sequence[str]) -> None:
    """Displays a question to answer before the result is seen, without a verdict.

    On the site, the `outcome` of the same name repeats what the reader chose.

    Args:
        name: str. Lower-case words joined by hyphens; once per page.
        question: str. `Backticks` mark code, as in the options.
        options: sequence of str, at least two.

    Raises:
        ValueError: If there are fewer than two options, or a text is empty or repeated.

    Example:
        >>> predict("baseline", "Which model is more accurate?", ["the LSTM", "the baseline"])
        Predict: Which model is more accurate?
        - the LSTM
        - the baseline
    """
    check_name(name)
    texts = _check_options(f"Predict: {question}", options)
    radios = [
        f'<label><input type="radio" name="predict-{name}" value="{escape(option)}"> '
        f"<span>{inline_html(option)}</span></label>"
        for option in options
    ]
    legend = f'<legend id="predict-{name}">{inline_html(texts[0])}</legend>'
    _display_section("predict", name, ["<fieldset>", legend, *radios, "</fieldset>"], texts)


def outcome(name: str, answer: str, because: str) -> None:
    """Displays what came out of a prediction, and why.

    Args:
        name: str. The name of the `predict` before the result.
        answer: str. What is the case. `Backticks` mark code.
        because: str. The reason.

    Raises:
        ValueError: If a text is empty.

    Example:
        >>> outcome("baseline", "the baseline", "4,000 reviews are too few for an LSTM.")
        Outcome: the baseline
        4,000 reviews are too few for an LSTM.
    """
    check_name(name)
    texts = [f"Outcome: {check_text('answer', answer)}", check_text("because", because)]
    heading = f'<p id="outcome-{name}"><strong>Outcome:</strong> {inline_html(answer)}</p>'
    _display_section("outcome", name, [heading, f"<p>{inline_html(because)}</p>"], texts)


def _check_options(question: str, options: Sequence[str]) -> list[str]:
    """Returns the lines of the text form, or raises ValueError."""
    check_text("question", question)
    for option in options:
        check_text("option", option)
    if len(options) < 2 or len(set(options)) < len(options):
        raise ValueError(f"Give at least two different options, not {list(options)}.")
    return [question, *(f"- {option}" for option in options)]


def _display_section(kind: str, name: str, parts: Sequence[str], texts: Sequence[str]) -> None:
    """Displays a section that is named by its part with the id KIND-NAME."""
    # Two amounts in dollars would be read as a formula between them: mathjax_ignore.
    start = (
        f'<section class="{kind} mathjax_ignore" data-name="{name}" '
        f'aria-labelledby="{kind}-{name}">'
    )
    html = "\n".join([start, *parts, "</section>"])
    display_bundle({"text/html": html, "text/plain": "\n".join(texts)})
