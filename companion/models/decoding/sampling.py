"""Sampling from a language model: what comes next, token by token, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from companion._common.backend import keras
from companion.models.layers import DecoderBlock, PositionEmbedding

__all__ = ["generate_tokens", "next_token_probabilities"]


ops = keras.ops


def next_token_probabilities(
    logits: Any, *, temperature: float = 1.0, top_k: int | None = None, top_p: float = 1.0
) -> np.ndarray:
    """Returns the probabilities from which the next token is drawn.

    Args:
        logits: Array of shape `(vocabulary_size,)`, or several rows of them.
        temperature: Float of at least 0. Divides the logits: below 1 favours likely tokens, 0
            leaves only the likeliest. Defaults to 1.
        top_k: Integer or `None`. Keep only that many likeliest tokens. Defaults to `None`, all.
        top_p: Float in (0, 1]. Keep the fewest likeliest tokens that hold this probability
            together. Defaults to 1, all.

    Returns:
        Float64 array of the shape of `logits`; each row sums to 1.

    Raises:
        ValueError: If an argument is outside its range, or a logit is not finite.

    Example:

    >>> next_token_probabilities([2.0, 1.0, 0.0], top_k=2).round(2).tolist()
    [0.73, 0.27, 0.0]

    Reference:
        Fan et al., 2018 (top-k); Holtzman et al., 2020 (top-p).
    """
    logits = np.asarray(logits, dtype="float64")
    _check_sampling(temperature, top_k, top_p)
    if not np.isfinite(logits).all() or logits.ndim < 1:
        raise ValueError("logits must be finite numbers, in rows of one per token.")
    order = np.argsort(-logits, axis=-1, kind="stable")
    ranked = np.take_along_axis(logits, order, axis=-1)
    ranked = (ranked - ranked[..., :1]) / max(temperature, 1e-8)
    shares = np.exp(np.maximum(ranked, -700.0))
    shares /= shares.sum(axis=-1, keepdims=True)
    before = np.cumsum(shares, axis=-1) - shares
    rank = np.arange(logits.shape[-1])
    keep = (before < top_p) & (rank < (top_k or logits.shape[-1]))
    shares = np.where(keep, shares, 0.0)
    shares /= shares.sum(axis=-1, keepdims=True)
    probabilities = np.empty_like(shares)
    np.put_along_axis(probabilities, order, shares, axis=-1)
    return probabilities


def generate_tokens(
    model: keras.Model,
    prompt_ids: Sequence[int],
    num_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    seed: int = 0,
) -> list[int]:
    """Continues a prompt with tokens drawn from a model that `build_gpt` made.

    Keys and values of the past are kept, and the whole loop is compiled once for each model,
    whatever prompt, length, seed and sampling arguments come after.

    Args:
        model: `keras.Model` from `build_gpt`.
        prompt_ids: Sequence of integer, at least one. Where to start.
        num_tokens: Integer. How many to add; with the prompt at most the model's sequence length.
        temperature: Float of at least 0; 0 always takes the likeliest token. Defaults to 1.
        top_k: Integer or `None`. See `next_token_probabilities`.
        top_p: Float in (0, 1]. See `next_token_probabilities`.
        seed: Integer. Decides the draws. Defaults to 0.

    Returns:
        List of `num_tokens` integers.

    Raises:
        ValueError: If the prompt is empty, holds an unknown id or leaves no room, or a sampling
            argument is outside its range.

    Example:

    >>> from companion.models.gpt import build_gpt
    >>> model = build_gpt(vocabulary_size=11, sequence_length=8, hidden_dim=8, num_layers=1)
    >>> len(generate_tokens(model, [1, 2, 3], 4))
    4
    """
    _check_sampling(temperature, top_k, top_p)
    vocabulary_size, sequence_length = model.output_shape[-1], model.input_shape[1]
    prompt = np.asarray(prompt_ids)
    if prompt.ndim != 1 or not len(prompt) or prompt.dtype.kind not in "iu":
        raise ValueError("prompt_ids must be a sequence of at least one integer token id.")
    if prompt.min() < 0 or prompt.max() >= vocabulary_size:
        raise ValueError(f"prompt_ids must lie between 0 and {vocabulary_size - 1}.")
    if num_tokens < 1 or len(prompt) + num_tokens > sequence_length:
        raise ValueError(
            f"num_tokens={num_tokens} must be at least 1 and, with the prompt's {len(prompt)}, at "
            f"most the model's sequence_length={sequence_length}. Shorten one of them."
        )
    # One uniform number a position: the draws are the same on every machine and backend.
    end = len(prompt) + num_tokens
    draws = np.random.default_rng(seed).random(sequence_length).astype("float32")
    ids = np.pad(prompt, (0, sequence_length - len(prompt))).astype("int32")
    filled = _compiled(model)(
        *(ids, draws, np.int32(len(prompt)), np.int32(end)),
        *(
            np.float32(max(temperature, 1e-6)),
            np.int32(min(top_k or vocabulary_size, vocabulary_size)),
            np.float32(top_p),
        ),
    )
    return [int(token) for token in np.asarray(filled)[len(prompt) : end]]


def _check_sampling(temperature: float, top_k: int | None, top_p: float) -> None:
    if not (np.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature={temperature!r} must be a number of at least 0.")
    if top_k is not None and not (isinstance(top_k, int | np.integer) and top_k >= 1):
        raise ValueError(f"top_k={top_k!r} must be a whole number from 1, or None for all tokens.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p!r} must be above 0 and at most 1.")


def _compiled(model: keras.Model) -> Callable[..., Any]:
    """Returns the model's loop, compiled where the backend compiles; kept with the model."""
    if "_generation_loop" not in model.__dict__:
        loop: Callable[..., Any] = partial(_loop, model)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            loop = tf.function(loop, jit_compile=True)
        elif keras.backend.backend() == "jax":
            loop = _with_weights_as_arguments(model, loop)
        model.__dict__["_generation_loop"] = loop
    return cast("Callable[..., Any]", model.__dict__["_generation_loop"])


def _with_weights_as_arguments(model: keras.Model, loop: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles for JAX, which would otherwise keep the weights of the first call as constants."""
    import jax

    def stateless(weights: list[Any], *arguments: Any) -> Any:
        with keras.StatelessScope(list(zip(model.variables, weights, strict=True))):
            return loop(*arguments)

    compiled = jax.jit(stateless)
    return lambda *arguments: compiled([v.value for v in model.variables], *arguments)


def _loop(
    model: keras.Model,
    ids: Any,
    draws: Any,
    start: Any,
    end: Any,
    temperature: Any,
    top_k: Any,
    top_p: Any,
) -> Any:
    """Fills `ids` from `start` to `end`; all shapes are the model's, so it is compiled once."""
    embedding, norm = model.get_layer("token_embedding"), model.get_layer("final_norm")
    blocks = [layer for layer in model.layers if isinstance(layer, DecoderBlock)]
    places = [layer for layer in model.layers if isinstance(layer, PositionEmbedding)]
    caches = tuple(block.empty_cache(1, model.input_shape[1]) for block in blocks)

    def step(place: Any, ids: Any, caches: Any) -> tuple[Any, Any, Any]:
        x = embedding(ops.reshape(ids[place], (1, 1)))
        for layer in places:
            x = layer(x, position=place)
        kept = []
        for block, cache in zip(blocks, caches, strict=True):
            x, updated = block(x, cache=cache, position=place)
            kept.append(updated)
        logits = ops.cast(embedding(norm(x), reverse=True)[0, 0], "float32")
        drawn = _draw(logits / temperature, draws[place + 1], top_k, top_p)
        token = ops.where(place + 1 < start, ids[place + 1], drawn)
        ids = ops.slice_update(ids, (place + 1,), ops.reshape(token, (1,)))
        return place + 1, ids, tuple(kept)

    return ops.while_loop(
        lambda place, ids, caches: place + 1 < end, step, (ops.array(0, "int32"), ids, caches)
    )[1]


def _draw(logits: Any, draw: Any, top_k: Any, top_p: Any) -> Any:
    """Draws a token id: the likeliest ones stand first, and `draw` in [0, 1) picks among them."""
    size = logits.shape[0]
    values, ids = ops.top_k(logits, size)
    shares = ops.softmax(values)
    before = ops.cumsum(shares) - shares
    shares = ops.where((before < top_p) & (ops.arange(size) < top_k), shares, 0.0)
    # Fewer than all are reached by a draw below one, whatever rounding did to the sum.
    reached = ops.cumsum(shares) <= draw * ops.sum(shares)
    count = ops.sum(ops.cast(shares > 0, "int32"))
    # Not ids[place]: a slice's start is a constant to XLA, which would compile for every draw anew.
    return ops.take(ids, ops.minimum(ops.sum(ops.cast(reached, "int32")), count - 1))
