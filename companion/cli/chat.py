"""What the commands `companion chat` and `companion serve` do."""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion._common.checking import UsageError
from companion.cli import classifier
from companion.cli.shared import note, printable, say

__all__ = ["MODEL", "WEIGHTS", "chat", "serve"]

if TYPE_CHECKING:
    from companion.models.decoding.generator import TextGenerator

MODEL = Path("smollm2")

WEIGHTS = ("float16", "int8", "float32")

_NAMES = {"smollm2": "smollm2-135m-instruct"}

_TOP_P = 0.9  # as the model's authors advise

Message = dict[str, str]


def chat(args: argparse.Namespace) -> None:
    """Talks with a large language model, in the terminal or in a pipe.

    Args:
        args: Parsed arguments: `model`, `system`, `temperature`, `max_tokens`, `seed`, `weights`.

    Raises:
        UsageError: If there is no such model, or standard input is closed or no text.
    """
    if sys.stdin is None:
        raise UsageError("standard input is closed: type there, or send lines with |.")
    asks = sys.stdin.isatty()
    if asks:
        note("the model is being loaded.")
    conversation = _Conversation(_load(args.model, args.weights), args)
    if asks:
        note("write a message. Ctrl+C stops an answer; /quit or the end of the input ends.")
    for line in _asked() if asks else _piped():
        if line.strip() == "/quit":
            break
        if line.strip():
            conversation.answer(line.strip())
        elif not asks:
            say("")


def _asked() -> Iterator[str]:
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  # lets input() edit a line and remember others
    prompt = "> " if sys.stdout.isatty() else ""
    while True:
        try:
            yield input(prompt)
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print()
            note("/quit or the end of the input ends.")


def _piped() -> Iterator[str]:
    try:
        yield from sys.stdin
    except UnicodeDecodeError:
        raise UsageError("standard input is no UTF-8 text: convert it first.") from None


class _Conversation:
    """What was said, and what is said next."""

    def __init__(self, model: TextGenerator, args: argparse.Namespace) -> None:
        self._model, self._args = model, args
        self._system = [{"role": "system", "content": args.system}] if args.system else []
        self._turns: list[list[Message]] = []  # each a message and its answer
        self._shortened, self._number = False, 0

    def answer(self, text: str) -> None:
        """Writes the answer to a message, and keeps both; a message that is refused is not kept."""
        turn = [{"role": "user", "content": text}]
        self._turns.append(turn)
        try:
            self._make_room()
            stream = self._model.stream(
                self._messages(),
                max_tokens=self._args.max_tokens,
                temperature=self._args.temperature,
                top_p=_TOP_P,
                seed=self._args.seed + self._number,
            )
        except ValueError as error:
            self._turns.pop()
            note(f"error: {error}")
            print(flush=True)
            return
        self._number += 1
        try:
            for piece in stream:
                print(printable(piece), end="", flush=True)
        except KeyboardInterrupt:
            print(" …", end="")
        print(flush=True)
        turn.append({"role": "assistant", "content": stream.answer.text})

    def _messages(self) -> list[Message]:
        return [*self._system, *(message for turn in self._turns for message in turn)]

    def _make_room(self) -> None:
        """Drops the oldest turns until the rest and an answer fit into the context."""
        length = self._model.context_length
        most = length - min(self._args.max_tokens, length // 2)
        while len(self._turns) > 1 and self._tokens() > most:
            del self._turns[0]
            if not self._shortened:
                note("note: the context is full: from now on the oldest turns are left out.")
            self._shortened = True

    def _tokens(self) -> int:
        return len(self._model.tokenizer.encode_chat(self._messages()))


def serve(args: argparse.Namespace) -> None:
    """Answers other programs over HTTP: a classifier's predictions, or a language model's texts.

    Args:
        args: Parsed arguments: `dir`, `host`, `port`, `threshold` and `weights`.

    Raises:
        UsageError: If an option is for the other kind of model.
    """
    model = args.dir
    if model.is_dir() or not (str(model) in {*_NAMES, *_NAMES.values()} or _is_file(model)):
        if args.weights:
            raise UsageError(
                f"--weights is for language models, and {model} is none: leave it out."
            )
        classifier.serve(args)
        return
    if args.threshold is not None:
        raise UsageError(f"--threshold is for classifiers, and {model} is none: leave it out.")
    from companion.serving.chat_service import ChatService
    from companion.serving.http import is_loopback

    name = re.sub(r"[^\w-]+", "-", model.stem if _is_file(model) else str(model), flags=re.ASCII)
    remote = args.host is not None and not is_loopback(args.host)
    service = ChatService(
        _load(model, args.weights),
        name,
        host=args.host or "127.0.0.1",
        port=args.port,
        allow_remote=remote,
    )
    if remote:
        note(f"note: whoever reaches {args.host} can use it: no passwords, no encryption.")
    service.run(lambda url: print(f"Serving {name} at {url}/v1. Ctrl+C ends it.", flush=True))
    lost = service.unanswered
    say(f"Ended: {f'{lost} requests were cut off' if lost else 'every request was answered'}.")


def _is_file(model: Path) -> bool:
    return model.suffix == ".gguf"


def _load(model: Path, weights: str | None) -> Any:
    from companion.models import load_language_model

    name: Any = model if _is_file(model) else _NAMES.get(str(model), str(model))
    return load_language_model(name, weights=weights or WEIGHTS[0])
