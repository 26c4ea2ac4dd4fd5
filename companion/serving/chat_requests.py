"""Requests in the form of OpenAI's API: read, checked, and refused in that API's words.

What would change an answer and is not offered here is refused, unless its value asks for nothing.
What changes no answer, such as `user`, is ignored, and a name that the API does not know is refused
as the API does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from companion._common.checking import check_texts
from companion.serving.http import RefusalError

__all__ = ["Embedding", "RequestError", "Writing", "read_chat", "read_completion", "read_embedding"]

# What the API knows and this service does not offer: the values that ask for nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "best_of": (1,),
    "echo": (False,),
    "suffix": ("",),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "modalities": (["text"],),
    "audio": (),
    "prediction": (),
    "reasoning_effort": (),
    "verbosity": (),
    "web_search_options": (),
}

_IGNORED = {
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "store",
    "user",
}

_WRITING = {
    "model",
    "max_tokens",
    "seed",
    "stop",
    "stream",
    "stream_options",
    "temperature",
    "top_p",
}

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}

_MOST_STOPS, _HOTTEST, _SEEDS = 4, 2, 2**64

_USUAL_COMPLETION = 16  # tokens, as in the API


class RequestError(RefusalError):
    """A request that is refused, with what the API's clients look for.

    Args:
        status: int. The HTTP status.
        reason: str. What is wrong and what is allowed.
        param: str or `None`. The argument that is wrong. Defaults to `None`.
        code: str or `None`. A word for the kind of error. Defaults to `None`.
    """

    def __init__(
        self, status: int, reason: str, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(status, reason)
        self.param, self.code = param, code


@dataclass(frozen=True)
class Writing:
    """What is to be written.

    Args:
        model: str. The name that was asked for.
        prompt: str, list of messages or list of token ids.
        param: str. What the request calls the prompt.
        options: dict. What `TextGenerator.stream` is given.
        stream: bool. Whether the answer is sent while it is written.
        usage: bool. Whether a stream ends with the number of tokens.
    """

    model: str
    prompt: Any
    param: str
    options: dict[str, Any]
    stream: bool
    usage: bool


@dataclass(frozen=True)
class Embedding:
    """What is to be turned into vectors.

    Args:
        model: str. The name that was asked for.
        texts: list of str.
        base64: bool. Whether numbers are sent as bytes in base64.
        dimensions: int or `None`. How many numbers are asked for.
    """

    model: str
    texts: list[str]
    base64: bool
    dimensions: int | None


def read_chat(body: Any, usual_tokens: int) -> Writing:
    """Reads a request to answer a conversation.

    Args:
        body: What the request's JSON says.
        usual_tokens: int. How long an answer may be if the request does not say.

    Returns:
        `Writing`.

    Raises:
        RequestError: If anything in it is wrong, or is not offered.
    """
    own = {"messages", "max_completion_tokens", "response_format"}
    fields = _fields(body, own | _WRITING)
    if "max_completion_tokens" in fields:
        if "max_tokens" in fields:
            raise _wrong("max_tokens", "stands beside max_completion_tokens: give one of them")
        fields["max_tokens"] = fields.pop("max_completion_tokens")
    schema = _schema(fields.get("response_format", {"type": "text"}))
    messages = _messages(fields.get("messages"))
    form = {} if schema is None else {"schema": schema}
    return _writing(fields, messages, "messages", usual_tokens, form)


def read_completion(body: Any) -> Writing:
    """Reads a request to go on with a text.

    Args:
        body: What the request's JSON says.

    Returns:
        `Writing`.

    Raises:
        RequestError: If anything in it is wrong, or is not offered.
    """
    fields = _fields(body, {"prompt"} | _WRITING)
    prompt = fields.get("prompt")
    if isinstance(prompt, list) and len(prompt) == 1 and isinstance(prompt[0], str | list):
        prompt = prompt[0]
    ids = isinstance(prompt, list) and all(map(_is_whole, prompt))
    if not prompt or not (ids or isinstance(prompt, str)):
        raise _wrong("prompt", "must be a text or a list of token ids, not empty, and only one")
    return _writing(fields, prompt, "prompt", _USUAL_COMPLETION, {})


def read_embedding(body: Any, most_texts: int) -> Embedding:
    """Reads a request for vectors.

    Args:
        body: What the request's JSON says.
        most_texts: int. How many texts may be sent at a time.

    Returns:
        `Embedding`.

    Raises:
        RequestError: If anything in it is wrong, or is not offered.
    """
    fields = _fields(body, {"model", "input", "encoding_format", "dimensions"})
    texts: Any = fields.get("input")
    coding = fields.get("encoding_format", "float")
    try:
        texts = check_texts([texts] if isinstance(texts, str) else texts)
    except ValueError as error:
        raise RequestError(400, f"input: {error}", "input") from None
    if len(texts) > most_texts:
        raise _wrong("input", f"has {len(texts):,} texts; {most_texts} are allowed at a time")
    if coding not in ("float", "base64"):
        raise _wrong("encoding_format", "must be float or base64")
    dimensions = _whole(fields, "dimensions", None, 1)
    return Embedding(_model(fields), list(texts), coding == "base64", dimensions)


def _fields(body: Any, allowed: Iterable[str]) -> dict[str, Any]:
    """Returns a request's arguments without those that are null or ignored."""
    if not isinstance(body, dict):
        raise RequestError(400, "The body must be a JSON object, such as {}.")
    known = {*allowed}
    found = {}
    for name, value in body.items():
        if name in known:
            if value is not None:
                found[name] = value
        elif name in _NEUTRAL:
            if value is not None and value not in _NEUTRAL[name]:
                reason = f"{name} is not offered by this service: leave it out."
                if name == "n":
                    reason = "n must be 1: this service writes one answer to a request."
                raise RequestError(400, reason, name, "unsupported_value")
        elif name not in _IGNORED:
            reason = f"Unrecognized request argument supplied: {name[:80]}. Allowed here: "
            raise RequestError(400, reason + ", ".join(sorted(known)) + ".", name[:80])
    return found


def _model(fields: Mapping[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not model:
        raise _wrong("model", "must be the name of a model: see /v1/models")
    return model


def _writing(
    fields: dict[str, Any], prompt: Any, param: str, usual_tokens: int, form: dict[str, Any]
) -> Writing:
    temperature = _share(fields, "temperature", _HOTTEST)
    top_p = _share(fields, "top_p", 1)
    seed = _whole(fields, "seed", None)
    options = form | {
        "max_tokens": _whole(fields, "max_tokens", usual_tokens, 1),
        # No probability at all is the likeliest token alone, as is no temperature.
        "temperature": temperature if top_p else 0.0,
        "top_p": top_p or 1.0,
        "seed": secrets.randbelow(_SEEDS) if seed is None else seed % _SEEDS,
        "stop": _stops(fields.get("stop", [])),
    }
    stream, more = fields.get("stream", False), fields.get("stream_options", {})
    if not isinstance(stream, bool):
        raise _wrong("stream", "must be true or false")
    if not isinstance(more, dict) or ("stream_options" in fields and not stream):
        raise _wrong("stream_options", "must be an object, and is for stream=true only")
    usage = stream and more.get("include_usage") is True
    return Writing(_model(fields), prompt, param, options, stream, usage)


def _whole(
    fields: Mapping[str, Any], name: str, usual: int | None, least: int | None = None
) -> int | None:
    value: int | None = fields.get(name, usual)
    if value is not None and (not _is_whole(value) or (least is not None and value < least)):
        bound = "" if least is None else f" of at least {least}"
        raise _wrong(name, f"must be a whole number{bound}")
    return value


def _share(fields: Mapping[str, Any], name: str, most: int) -> float:
    value = fields.get(name, 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise _wrong(name, f"must be a number from 0 to {most}")
    return float(value)


def _stops(value: Any) -> list[str]:
    stops = [value] if isinstance(value, str) else value
    texts = isinstance(stops, list) and all(isinstance(stop, str) and stop for stop in stops)
    if not texts or len(stops) > _MOST_STOPS:
        raise _wrong("stop", f"must be a text or a list of at most {_MOST_STOPS}, none empty")
    return list(stops)


def _messages(value: Any) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise _wrong("messages", 'must be a list such as [{"role": "user", "content": "Hello"}]')
    return [_message(message, f"messages[{i}]") for i, message in enumerate(value)]


def _message(message: Any, param: str) -> dict[str, str]:
    role = message.get("role") if isinstance(message, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise _wrong(f"{param}.role", f"must be one of {', '.join(_ROLES)}")
    if message.get("tool_calls") or message.get("function_call"):
        raise _wrong(param, "calls a tool, and this service offers none")
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [
        part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None
        for part in parts
    ]
    if not all(isinstance(text, str) for text in texts):
        raise _wrong(f"{param}.content", "must be a text, or a list of parts of type text")
    return {"role": _ROLES[role], "content": "".join(map(str, texts))}


def _schema(form: Any) -> Any:
    """Returns the JSON schema that an answer must be valid under, or `None`."""
    kind = form.get("type") if isinstance(form, dict) else None
    if kind == "text":
        return None
    if kind == "json_object":
        return {"type": "object"}
    named = form.get("json_schema") if kind == "json_schema" else None
    schema = named.get("schema") if isinstance(named, dict) else None
    if not isinstance(schema, dict):
        raise _wrong(
            "response_format",
            "must have the type text, json_object or json_schema, the last with "
            '{"json_schema": {"name": "...", "schema": {...}}} beside it',
        )
    return schema


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _wrong(param: str, what: str) -> RequestError:
    return RequestError(400, f"{param} {what}.", param, "invalid_value")
