"""Answers questions from texts: finds a passage and lets a model write, or refuses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from companion._common.checking import check_whole, is_finite
from companion.data.course import Passage
from companion.evaluation.grounding import support
from companion.models.pretrained.sentences import embed_texts
from companion.tasks.retrieval import Found, Retriever

__all__ = ["Assistant", "Reply"]

_INSTRUCTION = "Answer in one sentence, from this text only:"

_SENTENCE_END = re.compile(r"(?<=[.!?:])\s+(?=[^a-z])|\n+")

_SUPPORTED = 0.8  # share of an answer's words that the passages must hold

Message = dict[str, str]


class Writer(Protocol):
    """What an assistant needs of a language model; `load_language_model` gives one."""

    def generate(self, prompt: Any, **options: Any) -> Any:
        """Returns an object whose `text` continues the prompt, a list of messages."""


@dataclass(frozen=True)
class Reply:
    """What an assistant says.

    Args:
        text: String. The answer; empty if there is none.
        found: List of `Found`. What it was drawn from, the best first; empty if there is no answer.
        similarity: Float. The largest cosine between the question and a passage.
        is_quote: Boolean. Whether the text is a sentence of the passage, word for word.
    """

    text: str
    found: list[Found]
    similarity: float
    is_quote: bool = False

    @property
    def is_refused(self) -> bool:
        """Whether there is no answer."""
        return not self.text


class Assistant:
    """Answers from passages only, or not at all.

    A question that resembles no passage is refused. Otherwise the model writes an answer from the
    passages that were found; where fewer than four in five of its words, or not all of its
    numbers, stand in them, the passage's sentence that resembles the question most is quoted.

    Args:
        retriever: `Retriever`, fitted, with the method `"meaning"` or `"both"`.
        writer: A language model, such as `load_language_model()` gives, or anything whose
            `generate(messages, max_tokens=..., stop=...)` returns an object with a `text`; `None`
            always quotes.
        threshold: Float. The least cosine of the passage that resembles the question most.
        num_passages: Integer, at least 1. How many the model reads. Defaults to 1.
        max_tokens: Integer, at least 1. Most tokens of an answer. Defaults to 60.

    Example:

    >>> from companion.data import Passage
    >>> passages = [Passage("We post on Mondays. Tea is kept dry.", "shop"), Passage("Hi!", "shop")]
    >>> assistant = Assistant(Retriever().fit(passages), None, threshold=0.3)
    >>> assistant.ask("When do you post a parcel?").text
    'We post on Mondays.'
    >>> assistant.ask("Who won the football match?").is_refused
    True
    """

    def __init__(
        self,
        retriever: Retriever,
        writer: Writer | None,
        *,
        threshold: float,
        num_passages: int = 1,
        max_tokens: int = 60,
    ) -> None:
        if not is_finite(threshold):
            raise ValueError(f"threshold={threshold!r} must be a number, such as a cosine.")
        self.retriever, self.writer, self.threshold = retriever, writer, threshold
        self.num_passages = check_whole(num_passages, "num_passages", least=1)
        self.max_tokens = check_whole(max_tokens, "max_tokens", least=1)

    def ask(self, question: str) -> Reply:
        """Answers a question.

        Args:
            question: String.

        Returns:
            A `Reply`.

        Raises:
            ValueError: If the question is empty, or longer than the model's context.
        """
        found, similarity = self.find(question)
        if similarity < self.threshold:
            return Reply("", [], similarity)
        said = self.write(question, [one.passage for one in found]) if self.writer else ""
        read = " ".join([question, *(one.passage.text for one in found)])
        if support(said, read) >= _SUPPORTED:
            return Reply(said, found, similarity)
        return Reply(self.quote(question, found[0].passage), found, similarity, is_quote=True)

    def find(self, question: str) -> tuple[list[Found], float]:
        """Returns what the model would read, and the largest cosine of all passages.

        Args:
            question: String.

        Returns:
            A list of `Found` and a float.
        """
        found = self.retriever.search(question, k=self.num_passages)
        return found, float(self.retriever.similarities([question]).max())

    def prompt(self, question: str, passages: Sequence[Passage]) -> list[Message]:
        """Returns the conversation that the model continues.

        Args:
            question: String.
            passages: List of `Passage`.

        Returns:
            List of messages.
        """
        text = "\n\n".join(f"{one.heading}\n{one.text}".strip() for one in passages)
        system = {"role": "system", "content": f"{_INSTRUCTION}\n{text}"}
        return [system, {"role": "user", "content": question}]

    def write(self, question: str, passages: Sequence[Passage]) -> str:
        """Returns what the model writes, whether it is supported or not.

        Args:
            question: String.
            passages: List of `Passage`.

        Returns:
            String.
        """
        if self.writer is None:
            raise ValueError("This assistant has no model to write with; it can only quote.")
        answer = self.writer.generate(
            self.prompt(question, passages), max_tokens=self.max_tokens, stop="\n"
        )
        text: str = answer.text.strip()
        return text

    def quote(self, question: str, passage: Passage) -> str:
        """Returns the sentence of a passage that resembles a question most.

        Args:
            question: String.
            passage: `Passage`.

        Returns:
            String.
        """
        sentences = [s.strip() for s in _SENTENCE_END.split(passage.text) if s.strip()]
        asked, *vectors = embed_texts([question, *sentences], max_tokens=256)
        return sentences[int(np.argmax(np.array(vectors) @ asked))]
