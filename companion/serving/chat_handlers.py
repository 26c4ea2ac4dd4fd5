"""What the addresses of a `ChatService` answer, in the form of OpenAI's API."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import uuid
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from companion._common.extras import import_extra
from companion.models.decoding.writing import Answer
from companion.serving.chat_requests import (
    RequestError,
    Writing,
    read_chat,
    read_completion,
    read_embedding,
)
from companion.serving.http import Handler, MetricsPage, RefusalError

iostream = import_extra("tornado.iostream", "serve")

__all__ = ["EMBEDDER", "ApiHandler", "routes"]

if TYPE_CHECKING:
    from companion.serving.chat_service import ChatService, Parts

EMBEDDER = "all-minilm-l6-v2"

_MOST_TEXTS = 256  # of one request for vectors


def routes(name: str) -> dict[str, type[Handler]]:
    """Returns the handler of each address.

    Args:
        name: str. What requests call the model.

    Returns:
        Dictionary from paths to subclasses of `Handler`.
    """
    return {
        "/v1/chat/completions": _Chat,
        "/v1/completions": _Completion,
        "/v1/embeddings": _Embeddings,
        "/v1/models": _Models,
        **{f"/v1/models/{each}": _Model for each in (name, EMBEDDER)},
        "/health": _Health,
        "/metrics": MetricsPage,
    }


class ApiHandler(Handler):
    """Says no in the API's form; by itself it answers 404."""

    service: ChatService

    def refusal(self, error: RefusalError) -> dict[str, Any]:
        """Returns the content of an answer that says no."""
        kind = "server_error" if error.status >= 500 else "invalid_request_error"
        more = {name: getattr(error, name, None) for name in ("param", "code")}
        return {"error": {"message": error.reason, "type": kind, **more}}

    def check_model(self, asked: str, offered: str) -> None:
        """Refuses a model that is not the one at this address."""
        if asked != offered:
            reason = f"The model {asked!r:.80} does not exist here; {self.request.path} has "
            raise RequestError(404, f"{reason}{offered!r}.", "model", "model_not_found")


class _Writes(ApiHandler):
    """Answers by one text; a subclass gives the form to it."""

    allowed = "POST"
    whole: ClassVar[str]
    part: ClassVar[str]
    prefix: ClassVar[str]

    def read(self) -> Writing:
        """Returns what is asked."""
        raise NotImplementedError

    def choice(self, text: str, *, whole: bool = False) -> dict[str, Any]:
        """Returns the answer, or a part of it."""
        raise NotImplementedError

    async def reply(self) -> None:
        asked = self.read()
        self.check_model(asked.model, self.service.name)
        self._head = {
            "id": f"{self.prefix}-{uuid.uuid4().hex}",
            "object": self.part if asked.stream else self.whole,
            "created": int(time.time()),
            "model": self.service.name,
        }
        async with contextlib.aclosing(self.service.write(asked)) as parts:
            if asked.stream:
                await self._stream(parts, asked)
                return
            async for part in parts:
                if isinstance(part, Answer):
                    choice = self.choice(part.text, whole=True)
                    await self.finish(self._content(choice, part) | {"usage": _usage(part)})

    async def _stream(self, parts: Parts, asked: Writing) -> None:
        part = await anext(parts)  # what is refused before has a status of its own
        self.set_header("Content-Type", "text/event-stream; charset=utf-8")
        self.set_header("Cache-Control", "no-cache")
        more = {"usage": None} if asked.usage else {}
        try:
            if first := self.opening():
                await self._send(self._content(first) | more)
            while isinstance(part, str):
                await self._send(self._content(self.choice(part)) | more)
                part = await anext(parts)
            await self._send(self._content(self.choice(""), part) | more)
            if asked.usage:
                await self._send(self._head | {"choices": [], "usage": _usage(part)})
            self.write("data: [DONE]\n\n")
        except iostream.StreamClosedError:
            raise
        except Exception as error:
            self.log_exception(type(error), error, error.__traceback__)
            failed = RefusalError(500, "The answer has failed in the service; its log says more.")
            await self._send(self.refusal(error if isinstance(error, RefusalError) else failed))
        await self.finish()

    def opening(self) -> dict[str, Any]:
        """Returns what a stream begins with, if anything."""
        return {}

    def _content(self, choice: dict[str, Any], answer: Answer | None = None) -> dict[str, Any]:
        reason = answer.finish_reason if answer else None
        fixed = {"index": 0, "logprobs": None, "finish_reason": reason}
        return self._head | {"choices": [fixed | choice]}

    async def _send(self, event: dict[str, Any]) -> None:
        self.write(f"data: {json.dumps(event)}\n\n")
        await self.flush()


class _Chat(_Writes):
    whole, part, prefix = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def read(self) -> Writing:
        return read_chat(self.read_json(), self.service.answer_tokens)

    def choice(self, text: str, *, whole: bool = False) -> dict[str, Any]:
        if whole:
            return {"message": {"role": "assistant", "content": text, "refusal": None}}
        return {"delta": {"content": text} if text else {}}

    def opening(self) -> dict[str, Any]:
        return {"delta": {"role": "assistant", "content": ""}}


class _Completion(_Writes):
    whole = part = "text_completion"
    prefix = "cmpl"

    def read(self) -> Writing:
        return read_completion(self.read_json())

    def choice(self, text: str, *, whole: bool = False) -> dict[str, Any]:
        return {"text": text}


class _Embeddings(ApiHandler):
    allowed = "POST"

    async def reply(self) -> None:
        asked = read_embedding(self.read_json(), _MOST_TEXTS)
        self.check_model(asked.model, EMBEDDER)
        found = await self.service.embed(asked.texts)
        size = len(found[0][0])
        if asked.dimensions not in (None, size):
            reason = f"dimensions must be {size}: the model gives no other number."
            raise RequestError(400, reason, "dimensions", "invalid_value")
        data = [
            {"object": "embedding", "index": i, "embedding": _numbers(vector, asked.base64)}
            for i, (vector, _) in enumerate(found)
        ]
        tokens = sum(count for _, count in found)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        body = {"object": "list", "data": data, "model": asked.model, "usage": usage}
        await self.finish(body)


class _Models(ApiHandler):
    allowed = "GET"

    async def reply(self) -> None:
        models = [self.describe(name) for name in (self.service.name, EMBEDDER)]
        await self.finish({"object": "list", "data": models})

    def describe(self, name: str) -> dict[str, Any]:
        """Returns what the API says of a model."""
        created = self.service.created
        return {"id": name, "object": "model", "created": created, "owned_by": "companion"}


class _Model(_Models):
    async def reply(self) -> None:
        await self.finish(self.describe(self.request.path.rpartition("/")[2]))


class _Health(ApiHandler):
    allowed = "GET"

    async def reply(self) -> None:
        service = self.service
        limits = {
            "body_bytes": service.body_bytes,
            "context_length": service.context_length,
            "answer_tokens": service.answer_tokens,
            "waiting": service.waiting,
            "waiting_seconds": service.waiting_seconds,
            "embedding_texts": _MOST_TEXTS,
        }
        await self.finish({"status": "ok", "model": service.name, "limits": limits})


def _usage(answer: Answer) -> dict[str, int]:
    read, written = answer.prompt_tokens, len(answer.tokens)
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
    }


def _numbers(vector: np.ndarray, as_base64: bool) -> str | list[float]:
    if as_base64:
        return base64.b64encode(vector.astype("<f4").tobytes()).decode()
    numbers: list[float] = vector.astype("float64").tolist()
    return numbers
