"""A GPT as its settings and tables, wherever they come from: what the fast decoder is built of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "GPTSettings",
    "GPTWeights",
    "identities",
    "model_of_weights",
    "same_identities",
    "weights_of_model",
]


@dataclass(frozen=True)
class GPTSettings:
    """The arguments of `build_gpt`, each with its value.

    Args:
        vocabulary_size: int.
        context_length: int. The longest sequence that the model was made for.
        hidden_dim: int.
        num_layers: int.
        num_heads: int.
        num_key_value_heads: int.
        intermediate_dim: int.
        activation: str. Keras's name of it.
        gated: bool.
        rotary: bool. Else positions are learned.
        rope_base: float.
        epsilon: float.
    """

    vocabulary_size: int
    context_length: int
    hidden_dim: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    intermediate_dim: int
    activation: str = "silu"
    gated: bool = True
    rotary: bool = True
    rope_base: float = 10000.0
    epsilon: float = 1e-6

    @property
    def head_dim(self) -> int:
        """Numbers in a head."""
        return self.hidden_dim // self.num_heads

    @property
    def block_tables(self) -> tuple[str, ...]:
        """Names of the tables of a block that are multiplied with vectors."""
        gate = ("gate",) if self.gated else ()
        return ("qkv", "attention_output", *gate, "up", "down")


@dataclass(frozen=True)
class GPTWeights:
    """A GPT's settings, and its tables, each read when it is asked for.

    Args:
        settings: `GPTSettings`.
        read: callable from a name to a float32 array. The names are `token_embedding`,
            `position_embedding` where positions are learned, `final_norm`, and in each block
            `block_0/attention_norm`, `qkv`, `attention_output`, `feedforward_norm`, `gate`, `up`
            and `down`. A table has one row an output.
    """

    settings: GPTSettings
    read: Callable[[str], NDArray[np.float32]]


def identities(model: Any) -> tuple[Any, ...]:
    """Returns what changes whenever the model computes something else.

    A variable's array is kept, not copied: while it is kept, TensorFlow and JAX put new values
    elsewhere, so that the place in memory tells whether a value is still the same.

    Args:
        model: `keras.Model`.

    Returns:
        Tuple to keep, and to compare by `same_identities`.
    """
    layers = tuple(
        (layer.name, getattr(layer, "lora_enabled", False), layer.dtype_policy.name)
        for layer in model._flatten_layers()
    )
    return layers, [_array(weight) for weight in model.weights]


def same_identities(one: tuple[Any, ...] | None, other: tuple[Any, ...]) -> bool:
    """Returns whether a model computes what it computed when `one` was taken."""
    if one is None or one[0] != other[0] or len(one[1]) != len(other[1]):
        return False
    return all(
        a.shape == b.shape
        and a.dtype == b.dtype
        and (a.ctypes.data == b.ctypes.data or np.array_equal(a, b))
        for a, b in zip(one[1], other[1], strict=True)
    )


def _array(variable: Any) -> NDArray[Any]:
    value = variable.value
    try:
        return np.asarray(memoryview(value))  # TensorFlow: the very bytes of the variable
    except TypeError:
        return np.asarray(value)  # JAX, whose arrays never change


def weights_of_model(model: Any, context_length: int | None = None) -> GPTWeights:
    """Returns the settings and tables of a model that `build_gpt` made.

    What low-rank adapters add to a table is added here, and a table that Keras has quantised comes
    as the numbers that it stands for.

    Args:
        model: `keras.Model` from `build_gpt`.
        context_length: int or `None`. Needed where the model has no `sequence_length`.

    Returns:
        `GPTWeights`.

    Raises:
        ValueError: If the model is none of `build_gpt`'s, or has an activation that the fast
            decoder lacks.
    """
    from companion.models.layers import DecoderBlock

    blocks = [layer for layer in model.layers if isinstance(layer, DecoderBlock)]
    layers = {layer.name: layer for layer in model.layers}
    if not blocks or not {"token_embedding", "final_norm"} <= set(layers):
        raise ValueError(f"The model {model.name!r} has no decoder blocks: make it by build_gpt.")
    length, block = context_length or model.input_shape[1], blocks[0]
    if length is None:
        raise ValueError(
            "A model without a sequence_length needs context_length=, for example 512."
        )
    activation = _name_of(block.activation)
    settings = GPTSettings(
        vocabulary_size=model.output_shape[-1],
        context_length=length,
        hidden_dim=block.num_heads * block.head_dim,
        num_layers=len(blocks),
        num_heads=block.num_heads,
        num_key_value_heads=block.num_key_value_heads,
        intermediate_dim=block.feedforward_up.units,
        activation=activation,
        gated=block.gated,
        rotary=block.rotary,
        rope_base=block.rope_base,
        epsilon=block.epsilon,
    )

    def read(name: str) -> NDArray[np.float32]:
        place, _, part = name.rpartition("/")
        if part == "token_embedding":
            return _embedded(layers[part], settings.vocabulary_size)
        if part == "position_embedding":
            return _float32(layers[part].table)
        if not place:
            return _float32(layers[part].scale)
        layer = getattr(blocks[int(place.removeprefix("block_"))], _ATTRIBUTES[part])
        return _float32(layer.scale) if part.endswith("norm") else _rows(layer)

    return GPTWeights(settings, read)


_ATTRIBUTES = {
    "attention_norm": "attention_norm",
    "qkv": "query_key_value",
    "attention_output": "attention_output",
    "feedforward_norm": "feedforward_norm",
    "gate": "feedforward_gate",
    "up": "feedforward_up",
    "down": "feedforward_down",
}

_ACTIVATIONS = ("gelu", "relu", "silu")


def _name_of(activation: Any) -> str:
    from companion._common.backend import keras

    for name in _ACTIVATIONS:
        if activation is getattr(keras.activations, name):
            return name
    raise ValueError(
        f"The fast decoder knows the activations {', '.join(_ACTIVATIONS)}, but the model has "
        f"{getattr(activation, '__name__', activation)!r}: use generate_tokens."
    )


def _float32(value: Any) -> NDArray[np.float32]:
    from companion._common.backend import keras

    return np.asarray(keras.ops.convert_to_numpy(value), dtype="float32")


def _embedded(layer: Any, size: int) -> NDArray[np.float32]:
    if layer.quantization_mode is None:
        return _float32(layer.embeddings)
    return _float32(layer(np.arange(size)))


def _rows(layer: Any) -> NDArray[np.float32]:
    """Returns a dense layer's table, one row an output."""
    if layer.quantization_mode is None:
        return np.ascontiguousarray(_float32(layer.kernel).T)
    activation, layer.activation = layer.activation, None
    try:  # each unit vector picks one row of the kernel, whatever it is kept as
        return np.ascontiguousarray(_float32(layer(np.eye(layer.input_spec.axes[-1]))).T)
    finally:
        layer.activation = activation


def model_of_weights(weights: GPTWeights) -> Any:
    """Returns a model from `build_gpt` that has these weights.

    Args:
        weights: `GPTWeights`.

    Returns:
        Uncompiled `keras.Model` for sequences of any length where positions are rotary.
    """
    from companion.models.gpt import build_gpt

    settings = weights.settings
    model = build_gpt(
        settings.vocabulary_size,
        None if settings.rotary else settings.context_length,
        settings.hidden_dim,
        settings.num_layers,
        settings.num_heads,
        settings.num_key_value_heads,
        settings.intermediate_dim,
        positions="rotary" if settings.rotary else "learned",
        activation=settings.activation,
        gated=settings.gated,
        rope_base=settings.rope_base,
        epsilon=settings.epsilon,
    )
    model.get_layer("token_embedding").embeddings.assign(weights.read("token_embedding"))
    model.get_layer("final_norm").scale.assign(weights.read("final_norm"))
    if not settings.rotary:
        table = model.get_layer("position_embedding").table
        table.assign(weights.read("position_embedding"))
    for i in range(settings.num_layers):
        block = model.get_layer(f"block_{i}")
        for name in settings.block_tables:
            kernel = getattr(block, _ATTRIBUTES[name]).kernel
            kernel.assign(weights.read(f"block_{i}/{name}").T)
        for name in ("attention_norm", "feedforward_norm"):
            getattr(block, name).scale.assign(weights.read(f"block_{i}/{name}"))
    return model
