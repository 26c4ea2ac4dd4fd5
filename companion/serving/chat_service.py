"""A large language model that other programs ask in the form of OpenAI's API.

`POST /v1/chat/completions` answers a conversation and `POST /v1/completions` goes on with a text,
both at once or piece by piece as server-sent events; `POST /v1/embeddings` turns texts into vectors
by MiniLM, which reads 256 tokens at most; `GET /v1/models` names the models. `GET /health` and
`GET /metrics` are for who watches the service. A program that was written for that API, with the
official client for example, needs only another address. Errors have that API's form too.

One answer is written at a time, in a thread of its own, and the others wait for their turn. What
nobody waits for any more is not written on: it ends at the next token.
"""

from __future__ import annotations

import asyncio
import math
import re
import threading
import time
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from companion._common.checking import UsageError, check_whole, is_finite
from companion._common.extras import import_extra
from companion.models.decoding.constraints import ConstraintError
from companion.models.decoding.writing import Answer
from companion.models.pretrained.sentences import count_sentence_tokens, embed_texts
from companion.serving.batching import Batcher, OverloadError
from companion.serving.chat_handlers import EMBEDDER, ApiHandler, routes
from companion.serving.chat_requests import RequestError, Writing
from companion.serving.http import HttpMetrics, Server

prometheus_client = import_extra("prometheus_client", "serve")

__all__ = ["ChatService"]

if TYPE_CHECKING:
    from companion.models.decoding.generator import AnswerStream, TextGenerator

_EMBEDDER_TOKENS = 256

Parts = AsyncGenerator[str | Answer, None]


class ChatService(Server):
    """Serves a language model over HTTP in the form of OpenAI's API.

    It runs in a thread of its own or in the foreground, as every `Server`, and can be started again
    after it was stopped. At the end, answers under way get ten seconds.

    Args:
        generator: A `TextGenerator`, for example of `load_language_model`.
        name: str. What requests call the model: letters, digits, `_` and `-`. Defaults to
            `"smollm2"`.
        host: str. The address to listen on. Defaults to `"127.0.0.1"`, which only programs on this
            machine reach.
        port: int. The port; 0 takes any that is free. Defaults to `0`.
        allow_remote: bool. Whether `host` may be an address that other machines reach. The service
            knows no passwords and no encryption, so that is refused unless it is asked for.
            Defaults to `False`.
        answer_tokens: int. How long an answer to a conversation may be if the request does not say.
            Defaults to `1024`.
        waiting: int. Requests that may wait for their turn; one more is refused. Defaults to `64`.
        waiting_seconds: float. How long one waits for its turn before it is refused. Defaults to
            `60.0`.

    Raises:
        UsageError: If `host` is not this machine's own and `allow_remote` is not given, or the name
            has other characters.
        ValueError: If a limit is not positive.

    Example:

    >>> import json, urllib.request
    >>> from companion.models import load_language_model
    >>> with ChatService(load_language_model(weights="int8")) as service:
    ...     models = json.load(urllib.request.urlopen(f"{service.url}/v1/models"))
    >>> [model["id"] for model in models["data"]]
    ['smollm2', 'all-minilm-l6-v2']
    """

    metrics: _Metrics

    def __init__(
        self,
        generator: TextGenerator,
        name: str = "smollm2",
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        allow_remote: bool = False,
        answer_tokens: int = 1024,
        waiting: int = 64,
        waiting_seconds: float = 60.0,
    ) -> None:
        if not re.fullmatch(r"[\w-]+", name, re.ASCII) or name == EMBEDDER:
            raise UsageError(
                f"name is {name!r}; it may have letters, digits, _ and - only, and {EMBEDDER} is "
                "taken."
            )
        self.answer_tokens = check_whole(answer_tokens, "answer_tokens", least=1)
        self.waiting = check_whole(waiting, "waiting", least=1)
        if not is_finite(waiting_seconds) or waiting_seconds <= 0:
            raise UsageError(f"waiting_seconds is {waiting_seconds!r}; it must be above 0.")
        self.waiting_seconds = waiting_seconds
        super().__init__(
            routes(name),
            _Metrics(),
            host=host,
            port=port,
            allow_remote=allow_remote,
        )
        self.elsewhere = ApiHandler
        self.name, self.created = name, int(time.time())
        self._generator = generator

    @property
    def context_length(self) -> int:
        """Tokens that prompt and answer have together at most."""
        return self._generator.context_length

    def begin(self) -> None:
        """Starts the threads that write and that make vectors."""
        self._ending = threading.Event()
        self._writer: Batcher[_Job, Answer] = Batcher(
            self._write, batch_items=1, waiting=self.waiting, seconds=math.inf
        )
        self._embedder: Batcher[str, tuple[np.ndarray, int]] = Batcher(
            _embed, waiting=self.waiting, seconds=self.waiting_seconds
        )

    def end(self) -> None:
        """Ends them, and the answer under way at its next token."""
        self._ending.set()
        self._writer.close()
        self._embedder.close()

    async def write(self, asked: Writing) -> AsyncGenerator[str | Answer, None]:
        """Writes an answer when its turn comes; closing the generator ends it at the next token.

        Args:
            asked: `Writing`.

        Yields:
            Pieces of its text as they come; at last the `Answer`.

        Raises:
            OverloadError: If too many requests wait, or this one too long.
            RequestError: If the prompt is too long, or no answer has the form that is asked for.
        """
        job = _Job(asked)
        work = asyncio.ensure_future(self._writer.submit([job]))
        work.add_done_callback(lambda _: job.pieces.put_nowait(None))
        timer = job.loop.call_later(
            self.waiting_seconds, lambda: None if job.begun else work.cancel()
        )
        try:
            with self.metrics.answers.track_inprogress():
                while (piece := await job.pieces.get()) is not None:
                    yield piece
            if work.cancelled():
                raise OverloadError(
                    f"No turn within {self.waiting_seconds:g} s, or the service ends: try later."
                )
            yield work.result()[0]
        finally:
            job.left.set()
            timer.cancel()
            work.cancel()

    async def embed(self, texts: Sequence[str]) -> list[tuple[np.ndarray, int]]:
        """Returns each text's vector and number of tokens.

        Args:
            texts: sequence of str.

        Returns:
            A list of pairs: a float32 array `(384,)` and an int.

        Raises:
            OverloadError: If too many requests wait, or this one too long.
            RequestError: If a text is too long.
        """
        return list(await self._embedder.submit(texts))

    def _write(self, jobs: list[_Job]) -> list[Answer]:
        (job,) = jobs
        job.begun = True
        stream = self._start(job.asked)
        try:
            for piece in stream:
                if job.left.is_set() or self._ending.is_set():
                    break
                job.loop.call_soon_threadsafe(job.pieces.put_nowait, piece)
        except ConstraintError as error:
            room = self.context_length - stream.answer.prompt_tokens
            if len(stream.answer.tokens) < min(job.asked.options["max_tokens"], room):
                raise RequestError(400, str(error), "response_format") from None
        self.metrics.tokens.labels("prompt").inc(stream.answer.prompt_tokens)
        self.metrics.tokens.labels("answer").inc(len(stream.answer.tokens))
        return [stream.answer]

    def _start(self, asked: Writing) -> AnswerStream:
        tokenizer, prompt = self._generator.tokenizer, asked.prompt
        try:
            if isinstance(prompt, str):
                prompt = tokenizer.encode(prompt)
            elif isinstance(prompt[0], dict) and hasattr(tokenizer, "encode_chat"):
                prompt = tokenizer.encode_chat(prompt)
            if len(prompt) >= self.context_length:
                raise RequestError(
                    400,
                    f"{asked.param} has {len(prompt):,} tokens, and the model's context length is "
                    f"{self.context_length:,} tokens, the answer included: shorten it.",
                    asked.param,
                    "context_length_exceeded",
                )
            return self._generator.stream(prompt, **asked.options)
        except ConstraintError as error:
            raise RequestError(400, str(error), "response_format", "invalid_schema") from None
        except ValueError as error:
            raise RequestError(400, str(error), asked.param, "invalid_value") from None


class _Job:
    """An answer that is waited for: the loop that waits, and the pieces that it is given."""

    def __init__(self, asked: Writing) -> None:
        self.asked, self.begun, self.left = asked, False, threading.Event()
        self.loop = asyncio.get_running_loop()
        self.pieces: asyncio.Queue[str | None] = asyncio.Queue()


def _embed(texts: list[str]) -> list[tuple[np.ndarray, int]]:
    counts = count_sentence_tokens(texts)
    if (longest := max(counts)) > _EMBEDDER_TOKENS:
        raise RequestError(
            400,
            f"A text of input has {longest:,} tokens, and the model's context length is "
            f"{_EMBEDDER_TOKENS}: cut it into parts.",
            "input",
            "context_length_exceeded",
        )
    return list(zip(embed_texts(texts, max_tokens=_EMBEDDER_TOKENS), counts, strict=True))


class _Metrics(HttpMetrics):
    def __init__(self) -> None:
        super().__init__()
        self.tokens = prometheus_client.Counter(
            "tokens", "Tokens read and written.", ["kind"], **self.own
        )
        self.answers = prometheus_client.Gauge(
            "answers", "Answers under way or waiting for their turn.", **self.own
        )
