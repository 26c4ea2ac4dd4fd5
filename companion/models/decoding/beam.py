"""Beam search: keep the few likeliest beginnings instead of one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import check_whole, is_finite

__all__ = ["beam_search", "translate_ids"]


def beam_search(
    next_log_probabilities: Callable[[np.ndarray, np.ndarray], Any],
    num_sequences: int,
    *,
    start_id: int,
    end_id: int,
    max_tokens: int,
    beam_width: int = 4,
    length_penalty: float = 0.0,
) -> list[list[int]]:
    """Finds a likely sequence of tokens for each of several tasks side by side.

    In each step every kept beginning is continued by every token, and of all these the
    `beam_width` likeliest are kept; one that has ended is kept as it is. With `beam_width=1` this
    is greedy search. With a width that keeps everything it finds the likeliest sequence of all.

    Args:
        next_log_probabilities: Callable. Takes beginnings, int array `(rows, t)` that begin with
            `start_id`, and the task that each belongs to, int array `(rows,)`; returns log
            probabilities `(rows, vocabulary_size)` of the next token.
        num_sequences: Integer. Number of tasks.
        start_id: Integer. Token before the first.
        end_id: Integer. Token that ends a sequence.
        max_tokens: Integer. Longest sequence, its end included.
        beam_width: Integer. Beginnings that are kept. Defaults to 4.
        length_penalty: Float of at least 0. Sequences are compared by their log probability
            divided by their length to this power; above 0 favours long ones. Defaults to 0.

    Returns:
        List of lists of integers, without start and end.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> import numpy as np
    >>> table = np.log([[0.1, 0.6, 0.3], [0.1, 0.5, 0.4], [0.9, 0.05, 0.05]])
    >>> after = lambda beginnings, tasks: table[beginnings[:, -1]]
    >>> beam_search(after, 1, start_id=0, end_id=0, max_tokens=3, beam_width=1)
    [[1, 1, 1]]
    >>> beam_search(after, 1, start_id=0, end_id=0, max_tokens=3, beam_width=3)
    [[2]]

    Reference:
        Wu et al., 2016 (the penalty for length).
    """
    for name, value in (("num_sequences", num_sequences), ("max_tokens", max_tokens)):
        check_whole(value, name, least=1)
    width = check_whole(beam_width, "beam_width", least=1)
    if not (is_finite(length_penalty) and length_penalty >= 0):
        raise ValueError(f"length_penalty={length_penalty!r} must be a number of at least 0.")
    tasks = np.arange(num_sequences)
    beams = np.full((num_sequences, 1, 1), start_id)  # (tasks, kept, length)
    scores, ended = np.zeros((num_sequences, 1)), np.zeros((num_sequences, 1), bool)
    lengths = np.zeros((num_sequences, 1))
    for _ in range(max_tokens):
        kept = beams.shape[1]
        found = next_log_probabilities(beams.reshape(-1, beams.shape[2]), np.repeat(tasks, kept))
        steps = np.array(found, dtype="float64").reshape(num_sequences, kept, -1)
        steps[ended] = -np.inf
        steps[ended, end_id] = 0  # an ended sequence goes on in one way, at no cost
        longer = lengths + ~ended
        totals = scores[:, :, None] + steps
        ranks = totals / np.maximum(longer, 1)[:, :, None] ** length_penalty
        best = np.argsort(-ranks.reshape(num_sequences, -1), axis=1, kind="stable")[:, :width]
        parent, token = np.divmod(best, steps.shape[2])
        rows = tasks[:, None]
        scores, lengths = totals[rows, parent, token], longer[rows, parent]
        ended = ended[rows, parent] | (token == end_id)
        beams = np.concatenate([beams[rows, parent], token[:, :, None]], axis=2)
        if ended.all():
            break
    return [_before(list(map(int, beam[0, 1:])), end_id) for beam in beams]


def translate_ids(
    model: keras.Model,
    source_ids: Any,
    *,
    start_id: int,
    end_id: int,
    max_tokens: int = 32,
    beam_width: int = 1,
    length_penalty: float = 0.0,
) -> list[list[int]]:
    """Translates sequences of tokens with a model that `build_translator` made.

    Args:
        model: `keras.Model` from `build_translator`.
        source_ids: Integer array `(n, length)`, padded with 0.
        start_id: Integer. See `beam_search`.
        end_id: Integer. See `beam_search`.
        max_tokens: Integer. See `beam_search`. Defaults to 32.
        beam_width: Integer. See `beam_search`. Defaults to 1, greedy search.
        length_penalty: Float. See `beam_search`. Defaults to 0.

    Returns:
        List of `n` lists of integers, without start and end.

    Raises:
        ValueError: If an argument is outside its range.

    Example:

    >>> from companion.models.seq2seq import build_translator
    >>> model = build_translator(11, hidden_dim=8, num_layers=1, num_heads=2)
    >>> len(translate_ids(model, [[4, 9, 0], [5, 0, 0]], start_id=10, end_id=10, max_tokens=3))
    2
    """
    source = np.asarray(source_ids, dtype="int32")
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    memory = np.asarray(encoder(source))

    def following(beginnings: np.ndarray, tasks: np.ndarray) -> Any:
        logits = decoder([source[tasks], memory[tasks], beginnings.astype("int32")])[:, -1]
        return keras.ops.log_softmax(keras.ops.cast(logits, "float32"))

    return beam_search(
        following,
        len(source),
        start_id=start_id,
        end_id=end_id,
        max_tokens=max_tokens,
        beam_width=beam_width,
        length_penalty=length_penalty,
    )


def _before(tokens: list[int], end_id: int) -> list[int]:
    return tokens[: tokens.index(end_id)] if end_id in tokens else tokens
