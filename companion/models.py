"""Builders of the course's models: uncompiled Keras models with Keras's own argument names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion.backend import keras
from companion.layers import DecoderBlock, PositionEmbedding

__all__ = ["build_bag_classifier", "build_gpt", "build_lstm_classifier"]


def build_lstm_classifier(
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    embedding_dim: int = 64,
    hidden_dim: int = 64,
    mask_zero: bool = True,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds a classifier that reads a text's token ids in order.

    Embedding, LSTM, one sigmoid unit. The input is declared as integers, so that mixed precision
    cannot round a token id.

    Args:
        vocabulary_size: Integer. Number of token ids, padding (0) included. Defaults to 1000.
        sequence_length: Integer. Tokens in a row. Defaults to 100.
        embedding_dim: Integer. Numbers that stand for one token. Defaults to 64.
        hidden_dim: Integer. Size of the LSTM's state. Defaults to 64.
        mask_zero: Boolean. Whether the LSTM skips padding. Without it, rows padded at the end stay
            near chance. Defaults to `True`.
        dropout: Float in [0, 1). Share of the LSTM's output dropped in training. Defaults to 0.

    Returns:
        Uncompiled `keras.Model`: int32 `(batch, sequence_length)` to float32 `(batch, 1)`, the
        probability of label 1.

    Raises:
        ValueError: If a size is below 1 or `dropout` is outside [0, 1).

    Example:

    >>> build_lstm_classifier(mask_zero=False).count_params()
    97089

    Reference:
        Hochreiter and Schmidhuber, 1997, Long Short-Term Memory; with the forget gate of Gers,
        Schmidhuber and Cummins, 2000.
    """
    _check(vocabulary_size, sequence_length, embedding_dim, hidden_dim, dropout=dropout)
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    embed = keras.layers.Embedding(vocabulary_size, embedding_dim, mask_zero=mask_zero)
    states = keras.layers.LSTM(hidden_dim)(embed(ids))  # (batch, hidden_dim)
    return _with_output(ids, states, dropout, "lstm_classifier")


def build_bag_classifier(
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    embedding_dim: int = 64,
    dropout: float = 0.0,
) -> keras.Model:
    """Builds a classifier that averages a text's embeddings and ignores their order.

    Padding does not count in the average; a row of padding alone averages to zeros.

    Args:
        vocabulary_size: Integer. Number of token ids, padding (0) included. Defaults to 1000.
        sequence_length: Integer. Tokens in a row. Defaults to 100.
        embedding_dim: Integer. Numbers that stand for one token. Defaults to 64.
        dropout: Float in [0, 1). Share of the average dropped in training. Defaults to 0.

    Returns:
        Uncompiled `keras.Model`: int32 `(batch, sequence_length)` to float32 `(batch, 1)`, the
        probability of label 1.

    Raises:
        ValueError: If a size is below 1 or `dropout` is outside [0, 1).

    Example:

    >>> build_bag_classifier(vocabulary_size=50, embedding_dim=4).count_params()
    205

    Reference:
        Iyyer and others, 2015, Deep Unordered Composition Rivals Syntactic Methods for Text
        Classification.
    """
    _check(vocabulary_size, sequence_length, embedding_dim, dropout=dropout)
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    embedded = keras.layers.Embedding(vocabulary_size, embedding_dim)(ids)
    # Keras's GlobalAveragePooling1D divides by the number of tokens: nan for a row without any.
    # float32, because bfloat16 cannot count beyond 256.
    is_token = keras.ops.cast(keras.ops.not_equal(ids, 0), "float32")[..., None]
    total = keras.ops.sum(keras.ops.cast(embedded, "float32") * is_token, axis=1)
    mean = total / keras.ops.maximum(keras.ops.sum(is_token, axis=1), 1.0)  # (batch, embedding_dim)
    return _with_output(ids, mean, dropout, "bag_classifier")


def _with_output(
    ids: keras.KerasTensor, features: keras.KerasTensor, dropout: float, name: str
) -> keras.Model:
    if dropout:
        features = keras.layers.Dropout(dropout)(features)
    # float32, because a low-precision sigmoid rounds probabilities near 1 to 1.
    output = keras.layers.Dense(1, activation="sigmoid", dtype="float32", name="probability")
    return keras.Model(ids, output(features), name=name)


def build_gpt(
    vocabulary_size: int,
    sequence_length: int = 128,
    hidden_dim: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    num_key_value_heads: int | None = None,
    intermediate_dim: int | None = None,
    positions: str = "rotary",
    dropout: float = 0.0,
    activation: str | Callable[[Any], Any] = "gelu",
) -> keras.Model:
    """Builds a decoder-only Transformer that predicts each next token of a sequence.

    A norm stands before each branch (pre-norm), and the same table turns ids into vectors and
    vectors into logits (tied embeddings).

    Args:
        vocabulary_size: Integer. Number of token ids.
        sequence_length: Integer. The longest sequence. Defaults to 128.
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
    _check(vocabulary_size, sequence_length, hidden_dim, num_layers, num_heads, dropout=dropout)
    if positions not in ("rotary", "learned"):
        raise ValueError(f"positions={positions!r} must be 'rotary' or 'learned'.")
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    small = keras.initializers.RandomNormal(stddev=0.02)
    embed = keras.layers.ReversibleEmbedding(
        vocabulary_size, hidden_dim, embeddings_initializer=small, name="token_embedding"
    )
    x = embed(ids)  # (batch, sequence_length, hidden_dim)
    if positions == "learned":
        x = PositionEmbedding(sequence_length, name="position_embedding")(x)
    for i in range(num_layers):
        x = DecoderBlock(
            num_heads,
            num_key_value_heads,
            intermediate_dim,
            rotary=positions == "rotary",
            dropout=dropout,
            activation=activation,
            name=f"block_{i}",
        )(x)
    x = keras.layers.RMSNormalization(name="final_norm")(x)
    return keras.Model(ids, embed(x, reverse=True), name="gpt")


def build_gpt_optimizer(
    num_steps: int, peak: float, final_share: float
) -> keras.optimizers.Optimizer:
    """Returns AdamW whose learning rate rises from zero and falls along half a cosine.

    Args:
        num_steps: Integer. All steps of the training; the first twentieth of them rises.
        peak: Float. The highest learning rate.
        final_share: Float in [0, 1]. What of the peak is left after the last step.

    Returns:
        A `keras.optimizers.AdamW`.

    Reference:
        Hoffmann et al., 2022, Training Compute-Optimal Large Language Models.
    """
    rising = max(num_steps // 20, 1)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0,
        max(num_steps - rising, 1),
        alpha=final_share,
        warmup_target=peak,
        warmup_steps=rising,
    )
    return keras.optimizers.AdamW(schedule, weight_decay=0.1, beta_2=0.95, clipnorm=1.0)


def _check(*sizes: int, dropout: float) -> None:
    if min(sizes) < 1:
        raise ValueError(f"Sizes must be at least 1; given {sizes}.")
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it must be at least 0 and below 1.")
