"""Answers of a given form: at each step only tokens are allowed that can still lead to it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.extras import import_extra

__all__ = ["Constraint", "ConstraintError", "Guide"]

# Blanks as the model has seen them; as many as it likes would let it write blanks for ever.
_BLANKS = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


class ConstraintError(ValueError):
    """A form that no text has, that is wrongly described, or that an answer had no room for."""


class Guide:
    """Knows a model's tokens, and follows the forms that answers must have.

    Args:
        tokenizer: tokeniser with `vocabulary`, `end_id` and `encode`.
        specials: set of int. Ids that are no part of a text.
    """

    def __init__(self, tokenizer: Any, specials: frozenset[int]) -> None:
        self._library = import_extra("llguidance", "pretrained")
        described = _Described(tokenizer, specials)
        self.tokens = self._library.LLTokenizer(self._library.TokenizerWrapper(described))
        self.size, self.end_id = len(tokenizer.vocabulary), tokenizer.end_id

    def constraint(self, regex: str | None, schema: Any) -> Constraint:
        """Starts an answer of a form.

        Args:
            regex: str or `None`. A regular expression that the whole answer matches.
            schema: dict, str, bool or `None`. A JSON schema that it is valid under; `True` for any
                JSON.

        Returns:
            `Constraint`.

        Raises:
            ConstraintError: If the form is wrongly described, or no text can have it.
        """
        matcher = self._library.LLMatcher
        if (regex is None) == (schema is None):
            raise ConstraintError("Give either regex= or schema=, not both.")
        if regex is not None:
            if not isinstance(regex, str) or not regex:
                raise ConstraintError(f"regex={regex!r} must be a regular expression, a text.")
            grammar, what = matcher.grammar_from_regex(regex), f"The expression {regex!r:.80}"
        else:
            grammar, what = self._of_schema(schema), "The schema"
        return Constraint(matcher(self.tokens, grammar, log_level=0), self, what)

    def _of_schema(self, schema: Any) -> Any:
        schema = {} if schema is True else schema
        try:
            read = json.loads(schema) if isinstance(schema, str) else schema
            if not isinstance(read, dict):
                raise ValueError("it must be a dict")
            return self._library.LLMatcher.grammar_from_json_schema(
                json.dumps(read), defaults=_BLANKS
            )
        except (TypeError, ValueError) as error:
            raise ConstraintError(f"The schema is no JSON schema: {error}.") from None


class Constraint:
    """The form of one answer, and how far it has come.

    Args:
        matcher: `llguidance.LLMatcher`.
        guide: `Guide`.
        what: str. What to call the form in an error.
    """

    def __init__(self, matcher: Any, guide: Guide, what: str) -> None:
        self._matcher, self._guide, self._what = matcher, guide, what
        if matcher.is_error() or not self._mask().any():
            # The library's own text has the place of the fault in its first lines.
            reason = " ".join(matcher.get_error().split())[:300] or "no token can begin it"
            raise ConstraintError(f"{what} cannot be met: {reason}")

    def allow(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the logits with minus infinity where a token would break the form."""
        allowed = self._mask()
        if not allowed.any():
            raise ConstraintError(f"{self._what} leads to where nothing can follow.")
        found: NDArray[np.float32] = np.where(allowed, logits, np.float32(-np.inf))
        return found

    def add(self, token: int) -> bool:
        """Goes on by a token; returns whether the answer is then complete and can only end."""
        if not self._matcher.consume_token(token):
            raise ConstraintError(f"{self._what} does not allow the token {token}.")
        return bool(self._matcher.is_stopped())

    @property
    def complete(self) -> bool:
        """Whether the answer, as it is, has the form."""
        return bool(self._matcher.is_accepting())

    def _mask(self) -> NDArray[np.bool_]:
        if self._matcher.is_error():
            return np.zeros(self._guide.size, dtype=bool)
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype="uint8")
        return np.unpackbits(bits, bitorder="little")[: self._guide.size].astype(bool)


class _Described:
    """A tokeniser as `llguidance` asks for it."""

    def __init__(self, tokenizer: Any, specials: frozenset[int]) -> None:
        self.eos_token_id, self.bos_token_id = tokenizer.end_id, None
        self.tokens = [bytes(piece) for piece in tokenizer.vocabulary]
        self.special_token_ids = sorted(specials)
        self._encode = tokenizer.encode

    def __call__(self, text: str) -> list[int]:
        found: list[int] = self._encode(text)
        return found
