"""One answer in the making: which token comes next, which text it adds, and when to stop."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole
from companion.models.decoding.constraints import Constraint, ConstraintError
from companion.models.decoding.probabilities import check_sampling

__all__ = ["Answer", "Options", "Writer", "draw_token"]


@dataclass(frozen=True)
class Answer:
    """What a model wrote.

    Args:
        text: str.
        tokens: tuple of int. The ids that it chose, the one that ends an answer left out.
        prompt_tokens: int. How many it had read before.
        finish_reason: str. `"stop"` if it ended by itself, at a stop string or at the end of a
            form, or `"length"` if there was no more room.
    """

    text: str
    tokens: tuple[int, ...]
    prompt_tokens: int
    finish_reason: str


@dataclass(frozen=True)
class Options:
    """How an answer is written; see `TextGenerator.stream`."""

    max_tokens: int = 256
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    stop: str | Sequence[str] = ()
    seed: int = 0
    regex: str | None = None
    schema: Any = None

    def __post_init__(self) -> None:
        check_whole(self.max_tokens, "max_tokens", least=1)
        check_whole(self.seed, "seed", least=0)
        check_sampling(self.temperature, self.top_k, self.top_p, self.min_p)
        if not 0 < self.repetition_penalty < float("inf"):
            raise ValueError(
                f"repetition_penalty={self.repetition_penalty!r} must be above 0; 1 is none."
            )
        for text in self.stops:
            if not isinstance(text, str) or not text:
                raise ValueError(
                    f"stop={self.stop!r} must be a text or a list of texts, none empty."
                )

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end an answer."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop)


def draw_token(
    logits: ArrayLike,
    draw: float,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> int:
    """Draws a token by the probabilities of `next_token_probabilities`, without sorting them all.

    Args:
        logits: array of shape `(vocabulary_size,)`; minus infinity for what is not allowed.
        draw: float in [0, 1). A uniform random number.
        temperature: float. This and the rest as in `next_token_probabilities`.
        top_k: int or `None`.
        top_p: float.
        min_p: float.

    Returns:
        An int, the token's id.

    Example:

    >>> draw_token([2.0, 1.0, 0.0], 0.9, top_k=2)
    1
    """
    logits = np.asarray(logits)
    if temperature == 0:
        return int(logits.argmax())
    shares = np.exp((logits.astype("float64") - logits.max()) / max(temperature, 1e-8))
    shares /= shares.sum()
    # What has less than an equal part of what top_p leaves out stands behind all that it keeps.
    least = max(min_p * shares.max(), (1 - top_p) / len(shares))
    ids = np.flatnonzero((shares >= least) & (shares > 0))
    if top_k is not None and top_k < len(ids):
        cut = np.partition(logits[ids], -top_k)[-top_k]
        ids = ids[logits[ids] >= cut]
    if top_k is not None or top_p < 1:
        ids = ids[np.argsort(-logits[ids], kind="stable")][:top_k]
    if top_p < 1:
        before = np.cumsum(shares[ids]) - shares[ids]
        ids = ids[before < top_p]
    reached = np.cumsum(shares[ids])
    place = np.searchsorted(reached, draw * reached[-1], side="right")
    return int(ids[min(place, len(ids) - 1)])


class Writer:
    """Chooses one answer's tokens and turns them into text, character by character.

    Args:
        vocabulary: sequence of bytes. What each id stands for.
        specials: set of int. Ids that are no part of the text.
        ends: set of int. Ids that end it.
        prompt: sequence of int.
        options: `Options`.
        room: int. Tokens that there is room for.
        row: int. Which of several answers this is; each has its own random numbers.
        constraint: `Constraint` or `None`.
    """

    def __init__(
        self,
        vocabulary: Sequence[bytes],
        specials: frozenset[int],
        ends: frozenset[int],
        prompt: Sequence[int],
        options: Options,
        room: int,
        row: int = 0,
        constraint: Constraint | None = None,
    ) -> None:
        self._vocabulary, self._specials, self._ends = vocabulary, specials, ends
        self._options, self._constraint = options, constraint
        self._left, self._prompt_tokens = min(options.max_tokens, room), len(prompt)
        self._random = np.random.default_rng((options.seed, row))
        self._seen = np.unique(np.asarray(prompt, dtype="int64"))
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._held = ""  # written, but perhaps the beginning of a stop string
        self._text: list[str] = []
        self.tokens: list[int] = []
        self.finish_reason: str | None = None

    def choose(self, logits: NDArray[np.float32]) -> int:
        """Returns the next token's id.

        Args:
            logits: float32 array `(vocabulary,)`.

        Returns:
            An int.
        """
        options = self._options
        if options.repetition_penalty != 1:
            logits = logits.copy()
            seen = logits[self._seen]
            penalty = np.float32(options.repetition_penalty)
            logits[self._seen] = np.where(seen > 0, seen / penalty, seen * penalty)
        if self._constraint is not None:
            logits = self._constraint.allow(logits)
        return draw_token(
            logits,
            self._random.random(),
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            min_p=options.min_p,
        )

    def add(self, token: int) -> str:
        """Takes a token in and returns the text that it makes certain, often a word, or nothing."""
        formed = self._constraint is not None and self._constraint.add(token)
        if token in self._ends:
            return self._finish("stop")
        self.tokens.append(token)
        self._left -= 1
        if self._options.repetition_penalty != 1:
            self._seen = np.union1d(self._seen, [token])
        added = b"" if token in self._specials else self._vocabulary[token]
        self._held += self._decoder.decode(added)
        stopped = self._cut()
        if stopped is not None:
            self._held = stopped
            self._decoder.reset()
            return self._finish("stop")
        if formed:
            return self._finish("stop")
        if not self._left:
            return self._finish("length")
        return self._release(len(self._held) - self._may_begin())

    @property
    def answer(self) -> Answer:
        """The answer, once it is finished."""
        reason = self.finish_reason or "length"
        return Answer("".join(self._text), tuple(self.tokens), self._prompt_tokens, reason)

    def _finish(self, reason: str) -> str:
        self.finish_reason = reason
        if self._constraint is not None and reason == "length" and not self._constraint.complete:
            raise ConstraintError(
                f"The answer did not reach its form within max_tokens={len(self.tokens)}: allow "
                "more, or bound its parts, for example by maxLength or maxItems in the schema."
            )
        self._held += self._decoder.decode(b"", final=True)
        return self._release(len(self._held))

    def _release(self, length: int) -> str:
        out, self._held = self._held[:length], self._held[length:]
        self._text.append(out)
        return out

    def _cut(self) -> str | None:
        """Returns what stands before the first stop string, or `None` if there is none."""
        places = [self._held.find(stop) for stop in self._options.stops]
        found = [place for place in places if place >= 0]
        return self._held[: min(found)] if found else None

    def _may_begin(self) -> int:
        """Returns how many of the last characters may be the beginning of a stop string."""
        return max(
            (
                length
                for stop in self._options.stops
                for length in range(1, min(len(stop), len(self._held) + 1))
                if self._held.endswith(stop[:length])
            ),
            default=0,
        )
