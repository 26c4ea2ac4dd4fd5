"""A pre-trained language model's tokeniser: its vocabulary, its merges and its form of a chat."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

from companion._common.extras import import_extra
from companion.models.pretrained.gguf import GGUFError

__all__ = ["ChatTokenizer", "Message"]

Message = Mapping[str, str]

_CONTROL, _BYTES = 3, 256  # the kind of a special token; how many single bytes there are

_ROLES = ("system", "user", "assistant")


class ChatTokenizer:
    """Byte-level pieces as a GGUF file lists them, and the template of a conversation.

    Args:
        metadata: dict. The settings of a GGUF file, from `read_gguf`.

    Attributes:
        vocabulary: list of bytes. What each id stands for.
        end_id: int. The id that ends an answer.
        end_ids: frozenset of int. All ids that end one.

    Raises:
        GGUFError: The file has another kind of tokeniser, or a damaged one.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        pieces, kinds, merges = (
            _items(metadata, f"tokenizer.ggml.{name}", kind)
            for name, kind in (("tokens", str), ("token_type", int), ("merges", str))
        )
        kind = metadata.get("tokenizer.ggml.model"), metadata.get("tokenizer.ggml.pre")
        if kind not in (("gpt2", "smollm"), ("gpt2", "gpt-2")):
            raise GGUFError(
                f"its tokeniser is of kind {kind}; readable are gpt2 with smollm or gpt-2."
            )
        if len(pieces) != len(kinds) or len(set(pieces)) != len(pieces):
            raise GGUFError(
                "its vocabulary is damaged: a piece stands there twice, or has no kind."
            )
        self.specials = {
            piece: i
            for i, (piece, kind) in enumerate(zip(pieces, kinds, strict=True))
            if kind == _CONTROL and piece
        }
        self._tokenizer = _byte_pairs(pieces, merges, digits=kind[1] == "smollm")
        self.vocabulary = [
            piece.encode() if piece in self.specials else _bytes_of(piece) for piece in pieces
        ]
        self.end_id = int(metadata.get("tokenizer.ggml.eos_token_id", -1))
        if not 0 <= self.end_id < len(pieces):
            raise GGUFError("it does not say which token ends an answer.")
        ends = {"<|endoftext|>", "<|im_end|>", "<|eot_id|>", "</s>"}
        self.end_ids = frozenset(
            {self.end_id, *(self.specials[e] for e in ends & set(self.specials))}
        )
        self._template = metadata.get("tokenizer.chat_template")

    @property
    def vocabulary_size(self) -> int:
        """How many ids there are."""
        return len(self.vocabulary)

    def encode(self, text: str) -> list[int]:
        """Cuts a text into pieces; marks such as `<|im_start|>` in it are text like any other.

        Args:
            text: str.

        Returns:
            A list of int.

        Raises:
            ValueError: If it is no text.
        """
        if not isinstance(text, str):
            raise ValueError(f"text must be a str, not {type(text).__name__}.")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise ValueError(
                f"text holds half a character at position {error.start}: it was decoded wrongly."
            ) from None
        found: list[int] = self._tokenizer.encode(text).ids
        return found

    def decode(self, ids: Iterable[int]) -> str:
        """Puts a text together from its pieces; special tokens are left out.

        Args:
            ids: iterable of int.

        Returns:
            A str, with `�` for bytes that are no text.
        """
        special = set(self.specials.values())
        return b"".join(self.vocabulary[i] for i in ids if i not in special).decode(
            "utf-8", "replace"
        )

    def encode_chat(self, messages: Sequence[Message], *, answer: bool = True) -> list[int]:
        """Turns a conversation into the token ids that the model was trained on.

        What stands in a message can never end it: marks such as `<|im_end|>` in it stay text.

        Args:
            messages: list of dict, each with a `role` (`"system"`, `"user"` or `"assistant"`) and a
                `content`, a str.
            answer: bool. Whether the start of the assistant's answer follows. Defaults to `True`.

        Returns:
            A list of int.

        Raises:
            ValueError: If a message is none, or the model has no chat template.
        """
        hidden = _unused_character(messages)
        safe = [
            {"role": role, "content": self._apart(content, hidden)}
            for role, content in map(_checked, messages)
        ]
        if not safe:
            raise ValueError('messages is empty: give at least {"role": "user", "content": "..."}.')
        text: str = self._compiled.render(messages=safe, add_generation_prompt=answer)
        ids: list[int] = []
        for piece in self._marks.split(text):
            if piece in self.specials:
                ids.append(self.specials[piece])
            elif piece:
                ids += self.encode(piece.replace(hidden, ""))
        return ids

    def _apart(self, content: str, hidden: str) -> str:
        """Puts a character into each mark that a message holds, so that it is none."""
        return str(self._marks.sub(lambda found: f"{found[0][0]}{hidden}{found[0][1:]}", content))

    @cached_property
    def _marks(self) -> Any:
        import re

        longest_first = sorted(self.specials, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, longest_first))})")

    @cached_property
    def _compiled(self) -> Any:
        sandbox = import_extra("jinja2.sandbox", "pretrained")
        if not isinstance(self._template, str):
            raise ValueError(
                "This model's file has no chat template: continue plain texts with it."
            )
        environment = sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        return environment.from_string(self._template)


def _checked(message: Any) -> tuple[str, str]:
    role, content = (
        (message.get("role"), message.get("content"))
        if isinstance(message, Mapping)
        else (None,) * 2
    )
    if role not in _ROLES or not isinstance(content, str):
        raise ValueError(
            f"A message must be a dict with a 'role' of {', '.join(_ROLES)} and a 'content' that "
            f"is a text; given {message!r:.80}."
        )
    return role, content


def _unused_character(messages: Sequence[Message]) -> str:
    used = str(messages)
    return next(chr(i) for i in range(0xE000, 0xF8FF) if chr(i) not in used)


def _items(metadata: Mapping[str, Any], name: str, kind: type) -> list[Any]:
    items = metadata.get(name)
    if not isinstance(items, list) or not all(isinstance(item, kind) for item in items):
        raise GGUFError(f"its setting {name!r} is missing or is no list of {kind.__name__}.")
    return items


def _byte_pairs(pieces: list[str], merges: list[str], digits: bool) -> Any:
    tokenizers = import_extra("tokenizers", "pretrained")
    pairs = [tuple(merge.split(" ")) for merge in merges]
    try:
        model = tokenizers.models.BPE({piece: i for i, piece in enumerate(pieces)}, pairs)
    except Exception as error:  # the library raises Exception itself
        raise GGUFError(f"its merges do not fit its vocabulary ({error}).") from None
    tokenizer = tokenizers.Tokenizer(model)
    before = tokenizers.pre_tokenizers
    byte_level = before.ByteLevel(add_prefix_space=False)
    single = [before.Digits(individual_digits=True)] if digits else []
    tokenizer.pre_tokenizer = before.Sequence([*single, byte_level])
    return tokenizer


def _byte_characters() -> dict[str, int]:
    """Returns the printable character that stands for each byte in a byte-level vocabulary."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(_BYTES) if byte not in printable]
    named = {chr(byte): byte for byte in printable}
    return named | {chr(_BYTES + i): byte for i, byte in enumerate(others)}


_BYTE_OF = _byte_characters()


def _bytes_of(piece: str) -> bytes:
    try:
        return bytes(_BYTE_OF[character] for character in piece)
    except KeyError:
        return piece.encode()
