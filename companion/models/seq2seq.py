"""From one sequence to another: an encoder that reads and a decoder that looks back and writes."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion._common.backend import keras
from companion.models._sizes import check_sizes
from companion.models.layers import PositionEmbedding

__all__ = ["build_translator", "cross_attention"]


ops, layers = keras.ops, keras.layers


def build_translator(
    vocabulary_size: int,
    sequence_length: int = 64,
    hidden_dim: int = 128,
    num_layers: int = 2,
    num_heads: int = 4,
    intermediate_dim: int | None = None,
    dropout: float = 0.1,
) -> keras.Model:
    """Builds a Transformer that reads one sequence of tokens and predicts another.

    The encoder reads the whole source; padding, token 0, is hidden from all attention. The decoder
    predicts each next token of the target from the ones before it and, through cross-attention,
    from the source. One table holds the vectors of both languages' tokens and gives the logits
    (tied embeddings), so a token may be copied. A norm stands before each branch.

    Args:
        vocabulary_size: Integer. Number of token ids, those of both languages together.
        sequence_length: Integer. The longest source, and the longest target. Defaults to 64.
        hidden_dim: Integer. Width of the vectors. Defaults to 128.
        num_layers: Integer. Blocks of the encoder, and of the decoder. Defaults to 2.
        num_heads: Integer, a divisor of `hidden_dim`. Heads of each attention. Defaults to 4.
        intermediate_dim: Integer or `None`. Width of the feed-forward networks. Defaults to
            `None`, four times `hidden_dim`.
        dropout: Float in [0, 1). Share of each branch dropped in training. Defaults to 0.1.

    Returns:
        Uncompiled `keras.Model`: a dictionary of int32 `"source_ids"` `(batch, n)` and
        `"target_ids"` `(batch, m)` to float32 logits `(batch, m, vocabulary_size)`. Its layers
        `"encoder"` and `"decoder"` are models that may be called alone.

    Raises:
        ValueError: If a size is below 1, or the heads do not divide the width.

    Example:

    >>> import numpy as np
    >>> model = build_translator(vocabulary_size=50, hidden_dim=8, num_layers=1, num_heads=2)
    >>> ids = np.array([[4, 9, 0]])
    >>> tuple(model({"source_ids": ids, "target_ids": ids[:, :2]}).shape)
    (1, 2, 50)

    Reference:
        Vaswani et al., 2017, Attention Is All You Need.
    """
    check_sizes(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        hidden_dim=hidden_dim,
        num_layers=num_layers,
        num_heads=num_heads,
        intermediate_dim=intermediate_dim,
        dropout=dropout,
    )
    if hidden_dim % num_heads:
        raise ValueError(f"num_heads={num_heads} must divide hidden_dim={hidden_dim}.")
    branch = _Branches(hidden_dim, num_heads, intermediate_dim or 4 * hidden_dim, dropout)
    table = _tied_embedding(vocabulary_size, hidden_dim)
    source = keras.Input((None,), dtype="int32", name="source_ids")
    target = keras.Input((None,), dtype="int32", name="target_ids")
    memory_input = keras.Input((None, hidden_dim), name="memory")
    seen = ops.not_equal(source, 0)[:, None, :]  # (batch, 1, n): where there is no padding

    x = PositionEmbedding(sequence_length, name="source_positions")(table(source))
    for i in range(num_layers):
        x = branch.attend(x, None, f"encoder_{i}", attention_mask=seen)
        x = branch.feed_forward(x, f"encoder_{i}")
    encoder = keras.Model(source, layers.RMSNormalization(name="encoder_norm")(x), name="encoder")

    x = PositionEmbedding(sequence_length, name="target_positions")(table(target))
    for i in range(num_layers):
        x = branch.attend(x, None, f"decoder_{i}", use_causal_mask=True)
        x = branch.attend(x, memory_input, f"cross_{i}", attention_mask=seen)
        x = branch.feed_forward(x, f"decoder_{i}")
    logits = table(layers.RMSNormalization(name="decoder_norm")(x), reverse=True)
    decoder = keras.Model([source, memory_input, target], logits, name="decoder")

    inputs = {"source_ids": source, "target_ids": target}
    return keras.Model(inputs, decoder([source, encoder(source), target]), name="translator")


def _tied_embedding(vocabulary_size: int, hidden_dim: int) -> keras.Layer:
    small = keras.initializers.RandomNormal(stddev=hidden_dim**-0.5)
    return layers.ReversibleEmbedding(
        vocabulary_size, hidden_dim, embeddings_initializer=small, name="token_embedding"
    )


def cross_attention(model: keras.Model, source_ids: Any, target_ids: Any) -> np.ndarray:
    """Returns where the decoder's last block looks in the source while it reads each target token.

    Args:
        model: `keras.Model` from `build_translator`.
        source_ids: Integer array `(batch, n)`, padded with 0.
        target_ids: Integer array `(batch, m)`.

    Returns:
        Float array `(batch, num_heads, m, n)`; the last axis sums to 1.

    Example:

    >>> model = build_translator(11, hidden_dim=8, num_layers=1, num_heads=2)
    >>> cross_attention(model, [[4, 9, 5]], [[1, 2]]).shape
    (1, 2, 2, 3)
    """
    source, target = (ops.convert_to_tensor(ids, "int32") for ids in (source_ids, target_ids))
    encoder, decoder = model.get_layer("encoder"), model.get_layer("decoder")
    names = [layer.name for layer in decoder.layers if layer.name.endswith("_attention")]
    name = [name for name in names if name.startswith("cross_")][-1]
    memory = encoder(source)
    inner = keras.Model(decoder.inputs, decoder.get_layer(f"{name}_norm").output)
    _, weights = decoder.get_layer(name)(
        inner([source, memory, target]),
        memory,
        attention_mask=source[:, None, :] != 0,
        return_attention_scores=True,
    )
    return np.asarray(weights)


class _Branches:
    """Adds branches beside a shortcut, each after a norm, all of one size."""

    def __init__(self, width: int, num_heads: int, inner: int, dropout: float) -> None:
        self.width, self.num_heads, self.inner, self.dropout = width, num_heads, inner, dropout

    def attend(self, x: Any, memory: Any, name: str, **masks: Any) -> Any:
        """Adds what attention finds in `memory`, or in `x` itself if that is `None`."""
        normed = layers.RMSNormalization(name=f"{name}_attention_norm")(x)
        attention = layers.MultiHeadAttention(
            self.num_heads, self.width // self.num_heads, name=f"{name}_attention"
        )
        found = attention(normed, normed if memory is None else memory, **masks)
        return x + layers.Dropout(self.dropout)(found)

    def feed_forward(self, x: Any, name: str) -> Any:
        """Adds what a feed-forward network makes of each position."""
        normed = layers.RMSNormalization(name=f"{name}_norm")(x)
        hidden = layers.Dense(self.inner, "gelu", name=f"{name}_up")(normed)
        return x + layers.Dropout(self.dropout)(
            layers.Dense(self.width, name=f"{name}_down")(hidden)
        )
