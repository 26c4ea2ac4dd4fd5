"""The builder of a small GPT: an uncompiled Keras model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion._common.backend import keras
from companion.models._sizes import check_sizes
from companion.models.layers import DecoderBlock, PositionEmbedding

__all__ = ["build_gpt"]


def build_gpt(
    vocabulary_size: int,
    sequence_length: int | None = 128,
    hidden_dim: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    num_key_value_heads: int | None = None,
    intermediate_dim: int | None = None,
    positions: str = "rotary",
    dropout: float = 0.0,
    activation: str | Callable[[Any], Any] = "gelu",
    gated: bool = False,
    rope_base: float = 10000.0,
    epsilon: float = 1e-6,
) -> keras.Model:
    """Builds a decoder-only Transformer that predicts each next token of a sequence.

    A norm stands before each branch (pre-norm), and the same table turns ids into vectors and
    vectors into logits (tied embeddings).

    Args:
        vocabulary_size: Integer. Number of token ids.
        sequence_length: Integer, or `None` for sequences of any length, which learned positions
            do not allow. The longest sequence. Defaults to 128.
        hidden_dim: Integer. Width of the vectors between blocks. Defaults to 128.
        num_layers: Integer. Blocks. Defaults to 4.
        num_heads: Integer. Attention heads in a block; they divide `hidden_dim`. Defaults to 4.
        num_key_value_heads: Integer or `None`. Fewer share keys and values. Defaults to `None`.
        intermediate_dim: Integer or `None`. Width of the feed-forward networks. Defaults to
            `None`, four times `hidden_dim`.
        positions: `"rotary"` or `"learned"`. How the model knows where a token stands. Defaults to
            `"rotary"`.
        dropout: Float in [0, 1). Share of each branch dropped in training. Defaults to 0.
        activation: String or function, as Keras's `Dense` takes it. The feed-forward networks'.
            Defaults to `"gelu"`.
        gated: Boolean. Whether the feed-forward networks have a gate, see `DecoderBlock`. Defaults
            to `False`.
        rope_base: Float above 1. Base of the rotary positions' angles. Defaults to 10,000.
        epsilon: Float above 0. What the norms add to the mean square. Defaults to 1e-6.

    Returns:
        Uncompiled `keras.Model`: int32 `(batch, sequence_length)` to float32 logits
        `(batch, sequence_length, vocabulary_size)`.

    Raises:
        ValueError: If a size is below 1, the heads do not divide the width, or `positions` is
            neither of the two.

    Example:

    >>> build_gpt(vocabulary_size=256, hidden_dim=32, num_layers=2).count_params()
    32928

    Reference:
        Radford et al., 2019, Language Models are Unsupervised Multitask Learners.
    """
    sizes = {"vocabulary_size": vocabulary_size, "hidden_dim": hidden_dim, "num_layers": num_layers}
    learned = _check(sizes, sequence_length, dropout, positions)
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    small = keras.initializers.RandomNormal(stddev=0.02)
    embed = keras.layers.ReversibleEmbedding(
        vocabulary_size, hidden_dim, embeddings_initializer=small, name="token_embedding"
    )
    x = embed(ids)  # (batch, sequence_length, hidden_dim)
    if learned and sequence_length is not None:
        x = PositionEmbedding(sequence_length, name="position_embedding")(x)
    options: dict[str, Any] = {
        "num_heads": num_heads,
        "num_key_value_heads": num_key_value_heads,
        "intermediate_dim": intermediate_dim,
        "rotary": not learned,
        "dropout": dropout,
        "activation": activation,
        "gated": gated,
        "rope_base": rope_base,
        "epsilon": epsilon,
    }
    for i in range(num_layers):
        x = DecoderBlock(**options, name=f"block_{i}")(x)
    x = keras.layers.RMSNormalization(epsilon=epsilon, name="final_norm")(x)
    return keras.Model(ids, embed(x, reverse=True), name="gpt")


def _check(
    sizes: dict[str, int], sequence_length: int | None, dropout: float, positions: str
) -> bool:
    """Says whether positions are learned, and refuses what cannot be built."""
    check_sizes(sequence_length=sequence_length, dropout=dropout, **sizes)
    if positions not in ("rotary", "learned"):
        raise ValueError(f"positions={positions!r} must be 'rotary' or 'learned'.")
    if positions == "learned" and sequence_length is None:
        raise ValueError(
            "sequence_length=None needs positions='rotary': each learned position has "
            "a vector of its own, so their number must be given."
        )
    return positions == "learned"
