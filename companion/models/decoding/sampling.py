"""Sampling from a language model: what comes next, token by token, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from companion._common.backend import keras
from companion.models.decoding.probabilities import check_sampling
from companion.models.layers import DecoderBlock, PositionEmbedding

__all__ = ["generate_tokens"]


ops = keras.ops


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
    check_sampling(temperature, top_k, top_p)
    vocabulary_size, sequence_length = model.output_shape[-1], model.input_shape[1]
    if sequence_length is None:
        raise ValueError("A model for sequences of any length must be given to TextGenerator.")
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


def _compiled(model: keras.Model) -> Callable[..., Any]:
    """Returns the model's loop, compiled where the backend compiles.

    It is kept with the model, for as long as the model computes in the same way: low-rank adapters
    and quantised tables are part of what is compiled, the numbers in them are not.
    """
    form = _form(model)
    if model.__dict__.get("_generation_form") != form:
        loop: Callable[..., Any] = partial(_loop, model)
        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            loop = tf.function(loop, jit_compile=True)
        elif keras.backend.backend() == "jax":
            loop = _with_weights_as_arguments(model, loop)
        model.__dict__["_generation_loop"] = loop
        model.__dict__["_generation_form"] = form
    return cast("Callable[..., Any]", model.__dict__["_generation_loop"])


def _form(model: keras.Model) -> tuple[object, ...]:
    layers = (
        (layer.path, layer.dtype_policy.name, getattr(layer, "lora_enabled", False))
        for layer in model._flatten_layers()
    )
    weights = ((weight.path, tuple(weight.shape), weight.dtype) for weight in model.variables)
    return (*layers, *weights)


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
    positions = [layer for layer in model.layers if isinstance(layer, PositionEmbedding)]
    caches = tuple(block.empty_cache(1, model.input_shape[1]) for block in blocks)

    def step(position: Any, ids: Any, caches: Any) -> tuple[Any, Any, Any]:
        x = embedding(ops.reshape(ids[position], (1, 1)))
        for layer in positions:
            x = layer(x, position=position)
        kept = []
        for block, cache in zip(blocks, caches, strict=True):
            x, updated = block(x, cache=cache, position=position)
            kept.append(updated)
        logits = ops.cast(embedding(norm(x), reverse=True)[0, 0], "float32")
        drawn = _draw(logits / temperature, draws[position + 1], top_k, top_p)
        token = ops.where(position + 1 < start, ids[position + 1], drawn)
        ids = ops.slice_update(ids, (position + 1,), ops.reshape(token, (1,)))
        return position + 1, ids, tuple(kept)

    return ops.while_loop(
        lambda position, ids, caches: position + 1 < end, step, (ops.array(0, "int32"), ids, caches)
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
