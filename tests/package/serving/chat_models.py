"""Language models that a service is tested with: a tiny real one, and one that waits to be told."""

from __future__ import annotations

import threading
from pathlib import Path

import openai

from companion import models
from tests.package.models.gguf_files import gguf, llama

TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"


def tiny_model(folder: Path, **changes):
    """Returns a random model of the llama architecture that knows bytes, and takes conversations.

    What it writes has no sense, but it is written by the same code as the answers of a large model.
    """
    settings = {"tokenizer.chat_template": TEMPLATE, "llama.context_length": 512} | changes
    path = folder / "tiny.gguf"
    path.write_bytes(gguf(*llama(**settings)))
    return models.load_language_model(path)


class Letters:
    """Stands for a tokeniser: each byte is a token."""

    def encode(self, text):
        return list(text.encode())

    def encode_chat(self, messages):
        return self.encode("".join(message["content"] for message in messages))


class Gated:
    """Stands for a language model: it writes a word whenever the test lets it."""

    context_length, tokenizer = 1000, Letters()

    def __init__(self, fails_after=None):
        self.gate, self.entered = threading.Semaphore(0), threading.Event()
        self.written, self.begun, self.fails_after = 0, [], fails_after

    def stream(self, ids, **options):
        self.begun.append(bytes(ids).decode())
        return _Words(self, len(ids), options["max_tokens"])


class _Words:
    def __init__(self, model, read, most):
        self.model, self.read, self.most, self.words = model, read, most, []

    def __iter__(self):
        while len(self.words) < self.most:
            self.model.entered.set()
            assert self.model.gate.acquire(timeout=60)
            if self.model.fails_after == len(self.words):
                raise OSError("the disk is gone")
            self.model.written += 1
            self.words.append("word ")
            yield "word "

    @property
    def answer(self):
        tokens = tuple(range(len(self.words)))
        return models.Answer("".join(self.words), tokens, self.read, "length")


def client_of(service, **options):
    """Returns the official client of a service."""
    return openai.OpenAI(
        base_url=f"{service.url}/v1",
        api_key="none",
        max_retries=0,
        timeout=120,
        http_client=openai.DefaultHttpxClient(trust_env=False),
        **options,
    )
