"""What the command `companion ask` does."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from companion._common.checking import UsageError
from companion.cli.shared import note, say

__all__ = ["ask"]


def ask(args: argparse.Namespace) -> None:
    """Answers a question from the course's pages and names the section, or says it is not there.

    Args:
        args: Parsed arguments: `question`, `book` and `weights`.

    Raises:
        FileNotFoundError: If the course's pages are not there.
        ValueError: If the question is empty.
    """
    from companion.data._download import cache_folder
    from companion.data.course import load_course
    from companion.data.measurements import load_measurements
    from companion.tasks.assistant import Assistant
    from companion.tasks.retrieval import Retriever, cut_passages

    if not args.question.strip():
        raise UsageError("the question is empty: write one, in quotation marks.")
    chosen = load_measurements("assistant")["chosen"]
    passages = cut_passages(load_course(args.book), chosen["how"], num_words=chosen["size"])
    note("the course's pages are being read; once they are, the next question is faster.")
    retriever = Retriever(
        chosen["method"], use_headings=chosen["headings"], folder=cache_folder() / "vectors"
    ).fit(passages)
    assistant = Assistant(
        retriever,
        _LoadedWhenAsked(args.weights),
        threshold=chosen["threshold"],
        num_passages=chosen["num_passages"],
    )
    reply = assistant.ask(args.question)
    if reply.is_refused:
        say("This is not in the course.")
        return
    say(textwrap.fill(reply.text, 100))
    kind = "Quoted from" if reply.is_quote else "Written by a small model from"
    say(f"{kind}: {reply.found[0].passage.where}")


class _LoadedWhenAsked:
    """The language model, which a question that is refused does not need."""

    def __init__(self, weights: str) -> None:
        self._weights = weights

    def generate(self, prompt: Any, **options: Any) -> Any:
        """Returns the model's answer."""
        from companion import models

        return models.load_language_model(weights=self._weights).generate(prompt, **options)
