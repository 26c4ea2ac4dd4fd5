"""What Keras lacks for a GPT: a block that can keep its keys and values, and positions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion._common.backend import keras
from companion.models._sizes import check_sizes

__all__ = ["DecoderBlock", "PositionEmbedding"]


ops = keras.ops


@keras.saving.register_keras_serializable("companion")
class DecoderBlock(keras.layers.Layer):  # type: ignore[misc]
    """Causal self-attention and a feed-forward network, each after a norm and beside a shortcut.

    Called on a whole sequence, every position attends to itself and to what stands before it.
    Called with a cache, on one new position, it attends to the cached ones and puts its own keys
    and values beside them: the same numbers, without computing the past again.

    Args:
        num_heads: Integer. Attention heads; they share the width between them.
        num_key_value_heads: Integer, a divisor of `num_heads`, or `None` for as many. With fewer,
            several heads read the same keys and values, and the cache shrinks (grouped queries).
        intermediate_dim: Integer or `None`. Width of the feed-forward network; four times the
            input's if `None`.
        rotary: Boolean. Whether queries and keys are turned by an angle that grows with their
            position, so that attention depends on distance. Defaults to `True`.
        dropout: Float in [0, 1). Share of each branch dropped in training. Defaults to 0.
        activation: String or function, as Keras's `Dense` takes it. The feed-forward network's.
            Defaults to `"gelu"`.
        gated: Boolean. Whether a second layer of the feed-forward network, the gate, goes through
            the activation and is multiplied with the first, which then has none. Large models of
            today have a gate with `activation="silu"`. Defaults to `False`.
        rope_base: Float above 1. The slowest rotary angle grows with about one `rope_base`-th of
            the position; models for long texts have a larger one. Defaults to 10,000.
        epsilon: Float above 0. What the norms add to the mean square. Defaults to 1e-6.
        **kwargs: As every Keras layer takes them: `name`, `dtype`.

    Raises:
        ValueError: If the heads do not divide the width, or their own number, or an argument is
            outside its range.

    Example:

    >>> import keras
    >>> block = DecoderBlock(num_heads=2)
    >>> tuple(block(keras.ops.zeros((1, 5, 8))).shape)
    (1, 5, 8)

    Reference:
        Vaswani et al., 2017 (attention); Zhang and Sennrich, 2019 (the norm); Su et al., 2021
        (rotary positions); Ainslie et al., 2023 (grouped queries); Shazeer, 2020 (gates).
    """

    def __init__(
        self,
        num_heads: int,
        num_key_value_heads: int | None = None,
        intermediate_dim: int | None = None,
        rotary: bool = True,
        dropout: float = 0.0,
        activation: str | Callable[[Any], Any] = "gelu",
        gated: bool = False,
        rope_base: float = 10000.0,
        epsilon: float = 1e-6,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_sizes(
            num_heads=num_heads,
            num_key_value_heads=num_key_value_heads,
            intermediate_dim=intermediate_dim,
            dropout=dropout,
        )
        if not (rope_base > 1 and epsilon > 0):
            raise ValueError(
                f"rope_base={rope_base!r} must be above 1, and epsilon={epsilon!r} above 0."
            )
        self.activation = keras.activations.get(activation)
        self.num_heads = num_heads
        self.num_key_value_heads = num_key_value_heads or num_heads
        self.intermediate_dim = intermediate_dim
        self.rotary, self.dropout = rotary, dropout
        self.gated, self.rope_base, self.epsilon = gated, rope_base, epsilon
        if num_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_key_value_heads={num_key_value_heads} must divide num_heads={num_heads}."
            )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights for inputs of shape `(batch, sequence, width)`."""
        width = int(input_shape[-1] or 0)
        self.head_dim = width // self.num_heads
        if self.head_dim * self.num_heads != width or (self.rotary and self.head_dim % 2):
            raise ValueError(
                f"num_heads={self.num_heads} must divide the width {width}"
                + (" into even parts, as rotary positions need." if self.rotary else ".")
            )
        inner = self.intermediate_dim or 4 * width
        together = (self.num_heads + 2 * self.num_key_value_heads) * self.head_dim
        self.attention_norm = self._norm("attention_norm")
        self.query_key_value = self._dense(together, "qkv")
        self.attention_output = self._dense(width, "attention_output")
        self.feedforward_norm = self._norm("feedforward_norm")
        self.feedforward_up = self._dense(inner, "up", None if self.gated else self.activation)
        self.feedforward_down = self._dense(width, "down")
        self.drop = keras.layers.Dropout(self.dropout, dtype=self.dtype_policy)
        for layer in (self.attention_norm, self.query_key_value, self.attention_output):
            layer.build(input_shape)
        for layer in (self.feedforward_norm, self.feedforward_up):
            layer.build(input_shape)
        self.feedforward_down.build((*input_shape[:-1], inner))
        if self.gated:
            self.feedforward_gate = self._dense(inner, "gate", self.activation)
            self.feedforward_gate.build(input_shape)

    def _dense(self, units: int, name: str, activation: Any = None) -> keras.layers.Dense:
        return keras.layers.Dense(
            units, activation, use_bias=False, name=name, dtype=self.dtype_policy
        )

    def _norm(self, name: str) -> keras.layers.RMSNormalization:
        return keras.layers.RMSNormalization(
            epsilon=self.epsilon, name=name, dtype=self.dtype_policy
        )

    def call(
        self, x: Any, cache: Any = None, position: Any = 0, training: bool | None = None
    ) -> Any:
        """Returns the block's output, and with a cache also the cache that holds `x`'s positions.

        Args:
            x: Float tensor of shape `(batch, sequence, width)`; with a cache `(batch, 1, width)`.
            cache: Tensor from `empty_cache`, or `None`. Defaults to `None`.
            position: Integer or integer tensor. Where `x` starts in the sequence. Defaults to 0.
            training: Boolean or `None`. Whether dropout drops.

        Returns:
            Tensor of the shape of `x`, or a pair of it and the new cache.
        """
        query, key, value = self._query_key_value(self.attention_norm(x), position)
        if cache is not None:
            # shape: batch, 2, capacity, key_value_heads, head_dim
            cache = ops.slice_update(cache, [0, 0, position, 0, 0], ops.stack([key, value], axis=1))
            key, value = cache[:, 0], cache[:, 1]
        attention = ops.dot_product_attention(
            query,
            self._for_each_head(key),
            self._for_each_head(value),
            mask=None if cache is None else self._past(ops.shape(key)[1], position),
            is_causal=cache is None,
        )
        together = ops.reshape(attention, (-1, ops.shape(x)[1], self.num_heads * self.head_dim))
        x = x + self.drop(self.attention_output(together), training=training)
        normed = self.feedforward_norm(x)
        hidden = self.feedforward_up(normed)
        if self.gated:
            hidden = self.feedforward_gate(normed) * hidden
        x = x + self.drop(self.feedforward_down(hidden), training=training)
        return x if cache is None else (x, cache)

    def attention_weights(self, x: Any) -> Any:
        """Returns how much each head at each position attends to each position.

        Args:
            x: Float tensor of shape `(batch, sequence, width)`, the block's input.

        Returns:
            Tensor `(batch, num_heads, sequence, sequence)`; the last axis sums to 1.
        """
        query, key, _ = self._query_key_value(self.attention_norm(x), 0)
        scores = ops.einsum("bqhd,bkhd->bhqk", query, self._for_each_head(key))
        positions = ops.arange(ops.shape(x)[1])
        scores = ops.where(positions[:, None] >= positions, scores / self.head_dim**0.5, -1e9)
        return ops.softmax(scores)

    def empty_cache(self, batch_size: int, capacity: int) -> Any:
        """Returns zeros to keep `capacity` positions' keys and values in.

        Args:
            batch_size: Integer. Sequences side by side.
            capacity: Integer. Positions, the prompt's included.

        Returns:
            Tensor `(batch_size, 2, capacity, num_key_value_heads, head_dim)`.
        """
        shape = (batch_size, 2, capacity, self.num_key_value_heads, self.head_dim)
        return ops.zeros(shape, dtype=self.compute_dtype)

    def _query_key_value(self, x: Any, position: Any) -> tuple[Any, Any, Any]:
        length = ops.shape(x)[1]
        heads = self.num_heads + 2 * self.num_key_value_heads
        together = ops.reshape(self.query_key_value(x), (-1, length, heads, self.head_dim))
        first, second = self.num_heads, self.num_heads + self.num_key_value_heads
        query, key = together[:, :, :first], together[:, :, first:second]
        if self.rotary:
            angles = self._angles(length, position)
            query, key = apply_rotary_embedding(query, angles), apply_rotary_embedding(key, angles)
        return query, key, together[:, :, second:]

    def _angles(self, length: Any, position: Any) -> Any:
        half = self.head_dim // 2
        rates = self.rope_base ** (-ops.arange(half, dtype="float32") / half)
        positions = ops.cast(position + ops.arange(length), "float32")
        return positions[None, :, None, None] * rates  # (1, length, 1, head_dim / 2)

    def _for_each_head(self, x: Any) -> Any:
        return ops.repeat(x, self.num_heads // self.num_key_value_heads, axis=2)

    def _past(self, capacity: Any, position: Any) -> Any:
        return (ops.arange(capacity) <= position)[None, None, None, :]

    def compute_output_shape(self, input_shape: tuple[int | None, ...], **_: Any) -> Any:
        """Returns the input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, to build the layer again."""
        names = ["num_heads", "num_key_value_heads", "intermediate_dim", "rotary", "dropout"]
        names += ["gated", "rope_base", "epsilon"]
        config: dict[str, Any] = super().get_config()
        activation = keras.activations.serialize(self.activation)
        return config | {name: getattr(self, name) for name in names} | {"activation": activation}


@keras.saving.register_keras_serializable("companion")
class PositionEmbedding(keras.layers.Layer):  # type: ignore[misc]
    """Adds a learned vector for each position in the sequence.

    Args:
        sequence_length: Integer. Positions that have a vector.
        **kwargs: As every Keras layer takes them: `name`, `dtype`.

    Example:

    >>> import keras
    >>> tuple(PositionEmbedding(5)(keras.ops.zeros((1, 5, 8))).shape)
    (1, 5, 8)
    """

    def __init__(self, sequence_length: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.sequence_length = sequence_length

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the table for inputs of shape `(batch, sequence, width)`."""
        small = keras.initializers.RandomNormal(stddev=0.02)
        shape = (self.sequence_length, input_shape[-1])
        self.table = self.add_weight(shape=shape, initializer=small, name="table")

    def call(self, x: Any, position: Any = 0) -> Any:
        """Adds the vectors.

        Args:
            x: Float tensor of shape `(batch, sequence, width)`.
            position: Integer or integer tensor. Where `x` starts. Defaults to 0.

        Returns:
            Tensor of the shape of `x`.
        """
        positions = position + ops.arange(ops.shape(x)[1])
        return x + ops.cast(ops.take(self.table, positions, axis=0), x.dtype)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments, to build the layer again."""
        config: dict[str, Any] = super().get_config()
        return config | {"sequence_length": self.sequence_length}


def apply_rotary_embedding(x: Any, angles: Any) -> Any:
    """Turns pairs of numbers (the i-th of each half) by their angle."""
    cosine, sine = ops.cast(ops.cos(angles), x.dtype), ops.cast(ops.sin(angles), x.dtype)
    first, second = ops.split(x, 2, axis=-1)
    return ops.concatenate([first * cosine - second * sine, second * cosine + first * sine], -1)
