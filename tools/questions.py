"""Reading a page's questions: quizzes, and predictions with their outcomes.

They are fenced directives in Markdown, so that they need no code and can be translated::

    :::{prediction} winner
    Which model reads new reviews better?

    - The network
    - The table of word weights
    :::

    :::{outcome} winner
    The table of word weights

    It is right more often on the same new reviews.
    :::

    :::{quiz} training-score
    The program reports 0.9<!--= training:.1f -->. What does that tell about new reviews?

    - [ ]<!--= test > 0.85 --> Nine in ten will be judged right.

      It was measured on reviews that the program had learned from.
    - [x] Little.

      Only reviews that took no part in learning can tell.
    :::

The box of an option says whether it is the right one. A marker directly behind the box binds it as
a number in prose is bound (``tools/prose.py``): the expression is true where the box is ticked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

KINDS = ("quiz", "prediction", "outcome")
NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_FENCE = re.compile(rf"(?P<fence>:{{3,}}|`{{3,}})\{{(?P<kind>{'|'.join(KINDS)})\}}(?P<name>.*)")
_BOX = re.compile(r"\[(?P<tick>[ xX])\](?:<!--=.*?-->)?[ \t]*", re.S)


@dataclass(frozen=True)
class Option:
    """An answer to choose; ``right`` is None where no box says whether it is the right one."""

    text: str
    right: bool | None
    reason: str


@dataclass(frozen=True)
class Question:
    """One directive; ``text`` is what is asked, or the answer where it is an outcome."""

    kind: str
    name: str
    text: str
    reason: str
    options: tuple[Option, ...]


def read(kind: str, name: str, lines: Sequence[str]) -> Question:
    """Read the content of one directive."""
    first = next((i for i, line in enumerate(lines) if line.startswith("- ")), len(lines))
    if kind == "outcome":
        text, reason = _blocks(lines)
        return Question(kind, name.strip(), text, reason, ())
    starts = [i for i in range(first, len(lines)) if lines[i].startswith("- ")]
    options = [
        _option([lines[start][2:], *lines[start + 1 : end]])
        for start, end in zip(starts, [*starts[1:], len(lines)], strict=True)
    ]
    return Question(kind, name.strip(), "\n".join(lines[:first]).strip(), "", tuple(options))


def _blocks(lines: Iterable[str]) -> tuple[str, str]:
    """The first paragraph, and what follows it."""
    text, _, rest = "\n".join(line.strip() for line in lines).strip().partition("\n\n")
    return text, rest.strip()


def _option(lines: Sequence[str]) -> Option:
    text, reason = _blocks(lines)
    box = _BOX.match(text)
    right = box["tick"] != " " if box else None
    return Option(text[box.end() :].strip() if box else text, right, reason)


def find(source: str) -> Iterator[tuple[Question, list[str]]]:
    """Find every question of a Markdown text, each with what is wrong with it."""
    lines = source.splitlines()
    for start, line in enumerate(lines):
        opening = _FENCE.fullmatch(line.rstrip())
        if not opening:
            continue
        fence = opening["fence"]
        closing = re.compile(rf"{fence[0]}{{{len(fence)},}}\s*")
        ends = (i for i in range(start + 1, len(lines)) if closing.fullmatch(lines[i]))
        end = next(ends, None)
        question = read(opening["kind"], opening["name"], lines[start + 1 : end])
        unclosed = [] if end else [f"{call(question)} is not closed: end it with '{fence}'"]
        yield question, [*problems(question), *unclosed]


def call(question: Question) -> str:
    """What a sentence calls the question: ``quiz 'training-score'``."""
    return f"{question.kind} {question.name!r}"


def problems(question: Question) -> list[str]:
    """What is wrong with the question itself, one sentence for each fault."""
    me, found = call(question), []
    if not NAME.fullmatch(question.name):
        found.append(f"{me} needs a name of lower-case words joined by hyphens, as in 'best-model'")
    if not question.text:
        what = "the answer" if question.kind == "outcome" else "a question before its options"
        found.append(f"{me} lacks {what}")
    if question.kind == "outcome":
        if not question.reason:
            found.append(f"{me} lacks its reason: a paragraph behind the answer")
        return found
    texts = [option.text for option in question.options]
    if len(texts) < 2 or len(set(texts)) < len(texts) or not all(texts):
        found.append(f"{me} needs two options or more, all different and each on a line '- …'")
    return found + (_quiz if question.kind == "quiz" else _prediction)(question)


def _quiz(quiz: Question) -> list[str]:
    found = [
        f"{call(quiz)}: the option {option.text!r} lacks its {what}"
        for option in quiz.options
        for missing, what in (
            (option.right is None, "box: '- [x]' if it is the right one, else '- [ ]'"),
            (not option.reason, "reason: a paragraph below it, indented by two spaces"),
        )
        if missing
    ]
    right = sum(option.right is True for option in quiz.options)
    if right != 1:
        found.append(f"{call(quiz)} has {right} right options; tick exactly one, '- [x]'")
    return found


def _prediction(prediction: Question) -> list[str]:
    return [
        f"{call(prediction)}: the option {option.text!r} has a box or a reason; these belong to "
        "its outcome"
        for option in prediction.options
        if option.right is not None or option.reason
    ]


def page_problems(questions: Iterable[tuple[str, str]]) -> list[str]:
    """What is wrong with a page's questions together: each as its kind and its name, in order."""
    found: list[str] = []
    names: set[str] = set()
    waiting: list[str] = []
    for kind, name in questions:
        if kind == "outcome":
            if name in waiting:
                waiting.remove(name)
            else:
                found.append(f"outcome {name!r} has no prediction of this name before it")
            continue
        if name in names:
            found.append(f"{kind} {name!r}: the name is taken; choose another")
        names.add(name)
        waiting += [name] if kind == "prediction" else []
    return found + [f"prediction {name!r} has no outcome after it" for name in waiting]
