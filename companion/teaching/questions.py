"""What a reader answers: quizzes, and predictions before a result."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from companion._common.checking import check_name, check_text
from companion.teaching.exercises import _display_section
from companion.teaching.style import inline_html

__all__ = ["outcome", "predict", "quiz"]


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
