"""A language model that writes: prompts in, texts out, whole or as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_whole
from companion.models.decoding.constraints import Constraint, Guide
from companion.models.decoding.runtime import Cache, Runtime
from companion.models.decoding.weights import (
    GPTWeights,
    identities,
    model_of_weights,
    same_identities,
    weights_of_model,
)
from companion.models.decoding.writing import Answer, Options, Writer

__all__ = ["AnswerStream", "TextGenerator"]


class AnswerStream:
    """An answer as it comes: iterate over it for pieces of text; `answer` is the whole.

    Leaving the loop ends the answer.

    Args:
        writer: The answer as it is written.
        pieces: Iterator of str. What `writer` adds, whole characters each.
    """

    def __init__(self, writer: Writer, pieces: Iterator[str]) -> None:
        self._writer, self._pieces = writer, pieces

    def __iter__(self) -> AnswerStream:
        return self

    def __next__(self) -> str:
        return next(self._pieces)

    @property
    def answer(self) -> Answer:
        """What has been written so far."""
        return self._writer.answer


class TextGenerator:
    """Writes with a GPT, fast: keys and values of the past are kept, and each table is read once.

    The model may be trained on, get low-rank adapters or be quantised between two answers: the
    next one comes from what it is then.

    Args:
        model: `keras.Model` from `build_gpt`, or `GPTWeights`.
        tokenizer: `BytePairTokenizer`, or another one with `encode`, `decode`, `vocabulary` (the
            bytes of each id) and `end_id`.
        weights: str. How tables are kept for writing: `"float32"`, `"float16"`, `"int8"` or
            `"int4"`, see `load_language_model`. Defaults to `"float32"`.
        context_length: int or `None`. The longest sequence, for a model built without a
            `sequence_length`.
        threads: int or `None`. Cores to use. Defaults to `None`, those that this process may use.

    Attributes:
        tokenizer: the tokeniser.
        weights: str.
        context_length: int. Tokens that prompt and answer have together at most.

    Raises:
        ValueError: If tokeniser and model differ in their number of ids, or the model is none of
            `build_gpt`'s.

    Example:

    >>> from companion.models import build_gpt
    >>> from companion.preprocessing import BytePairTokenizer
    >>> model = build_gpt(257, sequence_length=32, hidden_dim=16, num_layers=1)
    >>> generator = TextGenerator(model, BytePairTokenizer(257))
    >>> len(generator.generate("To be", max_tokens=4).tokens)
    4
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        weights: str = "float32",
        context_length: int | None = None,
        threads: int | None = None,
    ) -> None:
        self.tokenizer, self.weights, self._threads = tokenizer, weights, threads
        self._asked_length = context_length
        self._seen: tuple[Any, ...] | None = None
        self._model = None if isinstance(model, GPTWeights) else model
        self._source = model if isinstance(model, GPTWeights) else self._read_model()
        settings = self._source.settings
        if settings.vocabulary_size != len(tokenizer.vocabulary):
            raise ValueError(
                f"The model has {settings.vocabulary_size} token ids and the tokeniser "
                f"{len(tokenizer.vocabulary)}: they do not belong together."
            )
        self.context_length: int = settings.context_length
        specials = {tokenizer.end_id, *getattr(tokenizer, "specials", {}).values()}
        self._specials = frozenset(specials)
        self._ends = frozenset(getattr(tokenizer, "end_ids", {tokenizer.end_id}))
        self._runtime = Runtime(self._source, weights, threads)

    @property
    def model(self) -> Any:
        """The network as a Keras model from `build_gpt`, made when it is first asked for."""
        if self._model is None:
            if self.weights != "float32":
                raise ValueError(
                    f"With weights={self.weights!r} there is no Keras model: its numbers have 32 "
                    "bits. Load it with weights='float32'."
                )
            self._model = model_of_weights(self._source)
            self._seen, self._asked_length = identities(self._model), self.context_length
        return self._model

    @property
    def weight_bytes(self) -> int:
        """Bytes of the tables, all of which are read for each token."""
        return self._current().weight_bytes

    def stream(self, prompt: Any, **options: Any) -> AnswerStream:
        """Starts an answer that is read while it is written.

        Args:
            prompt: str to continue; or list of messages, dicts with `role` and `content`; or list
                of int, token ids.
            **options: How to write.
                `max_tokens`: int, at least 1. Defaults to 256; fewer if there is no room.
                `temperature`: float of at least 0. 0 takes the likeliest token each time. Defaults
                to 0.
                `top_k`, `top_p`, `min_p`: see `next_token_probabilities`.
                `repetition_penalty`: float above 0. Divides the logits above 0 of tokens that have
                occurred, and multiplies those below. Defaults to 1.
                `stop`: str or list of str. The answer ends before the first of them.
                `seed`: int of at least 0. Decides the draws. Defaults to 0.
                `regex`: str. A regular expression that the whole answer matches.
                `schema`: dict or str, a JSON schema that the answer is valid under, or `True` for
                any JSON.

        Returns:
            `AnswerStream` of str. No piece ends inside a character.

        Raises:
            ValueError: If the prompt is empty or fills the context, or an option is out of range.
            ConstraintError: If no text has the form, or the answer did not reach it in time.
        """
        chosen = _options(options)
        runtime = self._current()
        ids = self._ids(prompt)
        writer = self._writer(ids, chosen, 0)
        return AnswerStream(writer, self._pieces(runtime, ids, writer, chosen))

    def generate(self, prompt: Any, **options: Any) -> Answer:
        """Writes one answer.

        Args:
            prompt: str, messages or token ids, as in `stream`.
            **options: As in `stream`.

        Returns:
            `Answer`.

        Raises:
            ValueError: As `stream`.
            ConstraintError: As `stream`.
        """
        stream = self.stream(prompt, **options)
        for _ in stream:
            pass
        return stream.answer

    def generate_batch(self, prompts: Sequence[Any], **options: Any) -> list[Answer]:
        """Writes answers to several prompts side by side; the tables are read once for all.

        Args:
            prompts: list of prompts as in `stream`.
            **options: As in `stream`; each answer has random numbers of its own.

        Returns:
            List of `Answer`.

        Raises:
            ValueError: As `stream`.
            ConstraintError: As `stream`.
        """
        chosen, runtime = _options(options), self._current()
        if isinstance(prompts, str) or not len(prompts):
            raise ValueError("prompts must be a list of at least one prompt.")
        rows = [self._ids(prompt) for prompt in prompts]
        writers = [self._writer(ids, chosen, row) for row, ids in enumerate(rows)]
        capacity = min(max(map(len, rows)) + chosen.max_tokens, self.context_length)
        cache = Cache(runtime, len(rows), capacity)
        logits = np.empty((len(rows), runtime.settings.vocabulary_size), "float32")
        for row, ids in enumerate(rows):
            single = Cache(runtime, 1, len(ids))
            logits[row] = runtime.read(ids, single)[0][0]
            cache.put(row, single)
        while True:
            chosen_ids = [self._advance(*pair) for pair in zip(writers, logits, strict=True)]
            if all(writer.finish_reason for writer in writers):
                return [writer.answer for writer in writers]
            # A finished row's last position is written again and again, and read by no other.
            done = [writer.finish_reason is not None for writer in writers]
            cache.lengths -= np.where(done & (cache.lengths == capacity), 1, 0).astype("int32")
            logits = runtime.step(chosen_ids, cache)

    def logits(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Returns what the model expects after each token of a text.

        Args:
            ids: sequence of int, at least one.

        Returns:
            float32 array `(len(ids), vocabulary_size)`.

        Raises:
            ValueError: If an id is unknown, or there are too many.
        """
        return self._read(ids, every=True)[0]

    def hidden_states(self, ids: Sequence[int]) -> NDArray[np.float32]:
        """Returns the vector that stands for each token before the last table.

        Args:
            ids: sequence of int, at least one.

        Returns:
            float32 array `(len(ids), hidden_dim)`.

        Raises:
            ValueError: If an id is unknown, or there are too many.
        """
        return self._read(ids, every=False)[1]

    def _read(self, ids: Sequence[int], every: bool) -> tuple[NDArray[np.float32], ...]:
        checked, runtime = self._ids(list(ids), room=0), self._current()
        return runtime.read(checked, Cache(runtime, 1, len(checked)), every=every)

    def _pieces(
        self, runtime: Runtime, ids: list[int], writer: Writer, options: Options
    ) -> Iterator[str]:
        cache = Cache(runtime, 1, min(len(ids) + options.max_tokens, self.context_length))
        logits = runtime.read(ids, cache)[0]
        while True:
            token = writer.choose(logits[0])
            piece = writer.add(token)
            if piece:
                yield piece
            if writer.finish_reason:
                return
            logits = runtime.step([token], cache)

    def _advance(self, writer: Writer, logits: NDArray[np.float32]) -> int:
        if writer.finish_reason:
            return int(self.tokenizer.end_id)
        token = writer.choose(logits)
        writer.add(token)
        return token

    def _writer(self, ids: list[int], options: Options, row: int) -> Writer:
        constraint: Constraint | None = None
        if options.regex is not None or options.schema is not None:
            constraint = self._guide.constraint(options.regex, options.schema)
        room = self.context_length - len(ids)
        known = (self.tokenizer.vocabulary, self._specials, self._ends)
        return Writer(*known, ids, options, room, row, constraint)

    def _ids(self, prompt: Any, room: int = 1) -> list[int]:
        if isinstance(prompt, str):
            ids = self.tokenizer.encode(prompt)
        elif len(prompt) and isinstance(prompt[0], dict):
            if not hasattr(self.tokenizer, "encode_chat"):
                raise ValueError("This model was not made for conversations: give it a text.")
            ids = self.tokenizer.encode_chat(prompt)
        else:
            last = self._source.settings.vocabulary_size - 1
            ids = [check_whole(token, "a token id", least=0) for token in prompt]
            if ids and max(ids) > last:
                raise ValueError(f"A token id must be at most {last}; given {max(ids)}.")
        if not ids:
            raise ValueError("The prompt is empty: give at least one token to go on from.")
        if len(ids) + room > self.context_length:
            raise ValueError(
                f"The prompt has {len(ids):,} tokens, but the model reads at most "
                f"{self.context_length:,}, its answer included. Shorten it."
            )
        return list(ids)

    @cached_property
    def _guide(self) -> Guide:
        return Guide(self.tokenizer, self._specials)

    def _read_model(self) -> GPTWeights:
        self._seen = identities(self._model)
        return weights_of_model(self._model, self._asked_length)

    def _current(self) -> Runtime:
        """Returns the runtime of what the model is now: it is built anew when a weight changed."""
        if self._model is not None and not same_identities(self._seen, identities(self._model)):
            self._source = self._read_model()
            self._runtime = Runtime(self._source, self.weights, self._threads)
        return self._runtime


def _options(options: dict[str, Any]) -> Options:
    try:
        return Options(**options)
    except TypeError as error:
        if "unexpected keyword" not in str(error):
            raise
        allowed = ", ".join(Options.__dataclass_fields__)
        unknown = ", ".join(set(options) - set(Options.__dataclass_fields__))
        raise ValueError(f"Unknown option {unknown}. Allowed: {allowed}.") from None
