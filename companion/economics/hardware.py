"""What a model asks of a machine: operations, memory, time, energy and emissions.

Every function is one formula, with the unit of each argument in its name or its description. All of
them are estimates before anything is bought: bounds from below, or counts of the large terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from companion._common.checking import check_amounts, check_whole, is_finite
from companion.economics.factsheet import facts

__all__ = [
    "Device",
    "activation_bytes",
    "cache_bytes",
    "decode_seconds",
    "device_hours",
    "emissions_kg",
    "energy_kwh",
    "flops_per_token",
    "flops_utilisation",
    "load_devices",
    "training_bytes",
    "training_flops",
    "weight_bytes",
]

_DEVICES = ("A100", "H100", "H200", "B200")


@dataclass(frozen=True)
class Device:
    """A graphics processor by its data sheet, and its rent; `date` is the prices'."""

    name: str
    peak_flop_per_second: float  # dense, in bfloat16
    memory_bytes: float
    bandwidth_bytes_per_second: float
    power_watts: float  # the most that it is built to draw
    hour_low_usd: float
    hour_high_usd: float
    date: str


def load_devices() -> dict[str, Device]:
    """Returns the graphics processors among the facts, the oldest first.

    Returns:
        A dict from the name to its `Device`.

    Example:

    >>> device = load_devices()["H100"]
    >>> device.peak_flop_per_second / 1e12, device.memory_bytes / 1e9, device.power_watts
    (989.0, 80.0, 700.0)
    """
    return {name: _device(name) for name in _DEVICES}


def _device(name: str) -> Device:
    def of(what: str) -> float:
        return facts[f"{name.lower()}_{what}"].number

    return Device(
        name,
        peak_flop_per_second=of("peak_flop_per_second"),
        memory_bytes=1e9 * of("memory_gigabytes"),
        bandwidth_bytes_per_second=1e12 * of("bandwidth_terabytes_per_second"),
        power_watts=of("power_watts"),
        hour_low_usd=of("gpu_hour_low_usd"),
        hour_high_usd=of("gpu_hour_high_usd"),
        date=facts[f"{name.lower()}_gpu_hour_low_usd"].date,
    )


def flops_per_token(
    parameters: float,
    *,
    training: bool = False,
    num_layers: int = 0,
    attention_dim: int = 0,
    sequence_length: int = 0,
    causal: bool = False,
) -> float:
    """Returns the operations that a Transformer needs for one token.

    A weight is multiplied and added: 2 operations. Attention compares the token with each of the
    sequence and mixes their values: 2 products of 2 operations for each of `attention_dim` numbers
    in each layer. The way back takes twice as much as the way forward, so training takes 3 times
    as much. Normalisation, activation functions and the softmax are left out.

    Args:
        parameters: float, at least 0. Weights that multiply: of a mixture of experts the active
            ones, without tables that are only looked up.
        training: bool. Whether gradients are computed too. Defaults to `False`.
        num_layers: int of at least 0. Defaults to `0`, which leaves attention out.
        attention_dim: int of at least 0. Heads times the numbers of one head. Defaults to `0`.
        sequence_length: int of at least 0. Tokens that attention looks at. Defaults to `0`.
        causal: bool. Whether a token looks at earlier ones only, which halves attention's part on
            average over a sequence. Defaults to `False`, by which PaLM's utilisation was reported.

    Returns:
        A float, in floating-point operations (FLOP).

    Raises:
        ValueError: If a number is negative, infinite or, of layers, numbers and tokens, no whole
            one.

    Example:

    >>> flops_per_token(1e9), flops_per_token(1e9, training=True)
    (2000000000.0, 6000000000.0)

    Reference:
        Kaplan et al., 2020: Scaling Laws for Neural Language Models. Chowdhery et al., 2023: PaLM.
    """
    check_amounts(parameters=parameters)
    for name, size in (
        ("num_layers", num_layers),
        ("attention_dim", attention_dim),
        ("sequence_length", sequence_length),
    ):
        check_whole(size, name, least=0)
    attention = 4 * num_layers * attention_dim * sequence_length / (2 if causal else 1)
    return float((3 if training else 1) * (2 * parameters + attention))


def training_flops(parameters: float, tokens: float, **attention: Any) -> float:
    """Returns the operations of a whole training, about 6 for each parameter and token.

    Args:
        parameters: float, at least 0, as for `flops_per_token`.
        tokens: float, at least 0. Tokens that the model learns from, repeats included.
        **attention: `num_layers`, `attention_dim`, `sequence_length` and `causal`, as for
            `flops_per_token`.

    Returns:
        A float, in FLOP.

    Raises:
        ValueError: As `flops_per_token`.

    Example:

    >>> f"{training_flops(175e9, 300e9):.2e}"
    '3.15e+23'
    """
    check_amounts(tokens=tokens)
    return tokens * flops_per_token(parameters, training=True, **attention)


def weight_bytes(parameters: float, bits: float = 16) -> float:
    """Returns the memory of a model's weights.

    Args:
        parameters: float, at least 0. All of them, also the experts that rest.
        bits: float above 0. Bits for each weight; where a group of weights shares a scale, its
            share of that too. Defaults to `16`.

    Returns:
        A float, in bytes.

    Raises:
        ValueError: If a number is negative, infinite or, of the bits, 0.

    Example:

    >>> weight_bytes(8e9) / 1e9, weight_bytes(8e9, bits=4 + 16 / 32) / 1e9
    (16.0, 4.5)
    """
    check_amounts(parameters=parameters)
    _check_positive(bits=bits)
    return parameters * bits / 8


def training_bytes(
    parameters: float,
    *,
    bytes_per_weight: float = 2,
    bytes_per_gradient: float = 2,
    bytes_per_optimizer_state: float = 12,
) -> float:
    """Returns the memory of weights, gradients and optimiser while a model is trained.

    Activations come on top, see `activation_bytes`.

    Args:
        parameters: float, at least 0.
        bytes_per_weight: float, at least 0. Defaults to `2`, 16 bits.
        bytes_per_gradient: float, at least 0. Defaults to `2`.
        bytes_per_optimizer_state: float, at least 0. Defaults to `12`: Adam's two averages and an
            exact copy of the weight, of 4 bytes each.

    Returns:
        A float, in bytes.

    Raises:
        ValueError: If a number is negative or infinite.

    Example:

    >>> training_bytes(70e9) / 1e12
    1.12

    Reference:
        Rajbhandari et al., 2020: ZeRO.
    """
    sizes = {
        "bytes_per_weight": bytes_per_weight,
        "bytes_per_gradient": bytes_per_gradient,
        "bytes_per_optimizer_state": bytes_per_optimizer_state,
    }
    check_amounts(parameters=parameters, **sizes)
    return float(parameters * sum(sizes.values()))


def activation_bytes(
    *,
    num_layers: int,
    hidden_dim: int,
    num_heads: int,
    sequence_length: int,
    batch_size: int = 1,
    keep_attention: bool = False,
) -> float:
    """Returns the memory of what the layers keep for the way back, in 16 bits.

    The count is for a layer of the original form, four times as wide within: 34 bytes for each
    token and each number of its width, and where the table of attention is kept, 5 bytes for each
    head and pair of tokens. Gated layers and other widths differ by tens of per cent.

    Args:
        num_layers: int of at least 1.
        hidden_dim: int of at least 1. Width of the model.
        num_heads: int of at least 1.
        sequence_length: int of at least 1. Tokens of one sequence.
        batch_size: int of at least 1. Sequences at a time. Defaults to `1`.
        keep_attention: bool. Whether the table of attention is kept, instead of being computed
            again. Defaults to `False`.

    Returns:
        A float, in bytes.

    Raises:
        ValueError: If a number is no whole one of at least 1.

    Example:

    >>> sizes = {"num_layers": 32, "hidden_dim": 4096, "num_heads": 32, "sequence_length": 4096}
    >>> round(activation_bytes(**sizes) / 1e9, 1)
    18.3
    >>> round(activation_bytes(**sizes, keep_attention=True) / 1e9, 1)
    104.2

    Reference:
        Korthikanti et al., 2023: Reducing Activation Recomputation in Large Transformer Models.
    """
    for name, size in (
        ("num_layers", num_layers),
        ("hidden_dim", hidden_dim),
        ("num_heads", num_heads),
        ("sequence_length", sequence_length),
        ("batch_size", batch_size),
    ):
        check_whole(size, name, least=1)
    for_token = 34 * hidden_dim + (5 * num_heads * sequence_length if keep_attention else 0)
    return float(num_layers * batch_size * sequence_length * for_token)


def cache_bytes(
    tokens: int,
    *,
    num_layers: int,
    num_key_value_heads: int,
    head_dim: int,
    bytes_per_number: float = 2,
) -> float:
    """Returns the memory of the keys and values of one sequence.

    Args:
        tokens: int of at least 0. Tokens read and written so far.
        num_layers: int of at least 1.
        num_key_value_heads: int of at least 1. Fewer than the heads that ask, where these share.
        head_dim: int of at least 1. Numbers of one head.
        bytes_per_number: float above 0. Defaults to `2`.

    Returns:
        A float, in bytes.

    Raises:
        ValueError: If a number is no whole one, or too small.

    Example:

    >>> cache_bytes(1, num_layers=80, num_key_value_heads=8, head_dim=128)
    327680.0

    Reference:
        Austin et al., 2025: How to Scale Your Model.
    """
    check_whole(tokens, "tokens", least=0)
    check_whole(num_layers, "num_layers", least=1)
    check_whole(num_key_value_heads, "num_key_value_heads", least=1)
    check_whole(head_dim, "head_dim", least=1)
    _check_positive(bytes_per_number=bytes_per_number)
    return float(2 * bytes_per_number * tokens * num_layers * num_key_value_heads * head_dim)


def decode_seconds(
    read_bytes: float,
    *,
    bandwidth_bytes_per_second: float,
    flops: float = 0,
    peak_flop_per_second: float | None = None,
) -> float:
    """Returns the least time of one step of decoding, which writes one token for each sequence.

    Each step reads the weights once for all sequences, and the cache of each. Reading and computing
    can go on at the same time, so the longer of both counts.

    Args:
        read_bytes: float, at least 0. Weights that work, and the caches of all sequences.
        bandwidth_bytes_per_second: float above 0. Of the memory.
        flops: float, at least 0. Operations for the tokens of all sequences. Defaults to `0`.
        peak_flop_per_second: float above 0, or `None`, which leaves computing out. Defaults to
            `None`.

    Returns:
        A float, in seconds. No program is faster; most are slower.

    Raises:
        ValueError: If a number is negative or infinite, a divisor is 0, or operations come without
            the device's peak.

    Example:

    >>> round(1 / decode_seconds(16e9, bandwidth_bytes_per_second=3.35e12))  # tokens a second
    209

    Reference:
        Austin et al., 2025: How to Scale Your Model. Williams et al., 2009: Roofline.
    """
    check_amounts(read_bytes=read_bytes, flops=flops)
    _check_positive(bandwidth_bytes_per_second=bandwidth_bytes_per_second)
    reading = read_bytes / bandwidth_bytes_per_second
    if peak_flop_per_second is None:
        if flops:
            raise ValueError("flops needs peak_flop_per_second: give the device's peak too.")
        return reading
    _check_positive(peak_flop_per_second=peak_flop_per_second)
    return max(reading, flops / peak_flop_per_second)


def flops_utilisation(
    flops: float, seconds: float, *, peak_flop_per_second: float, devices: int = 1
) -> float:
    """Returns the share of the devices' peak that did the model's work.

    Args:
        flops: float, at least 0. Operations of the model, without what was computed twice.
        seconds: float above 0. What they took.
        peak_flop_per_second: float above 0. Of one device, without sparsity.
        devices: int of at least 1. Defaults to `1`.

    Returns:
        A float. Above 1 something was counted wrongly.

    Raises:
        ValueError: If a number is negative or infinite, or a divisor is 0.

    Example:

    >>> flops_utilisation(3e12, 1, peak_flop_per_second=1e12, devices=6)
    0.5

    Reference:
        Chowdhery et al., 2023: PaLM, on model FLOPs utilisation.
    """
    check_amounts(flops=flops)
    _check_positive(seconds=seconds, peak_flop_per_second=peak_flop_per_second)
    check_whole(devices, "devices", least=1)
    return flops / (seconds * devices * peak_flop_per_second)


def device_hours(flops: float, *, peak_flop_per_second: float, utilisation: float) -> float:
    """Returns the hours that one device would take; so many devices share them.

    Args:
        flops: float, at least 0. Operations of the model.
        peak_flop_per_second: float above 0.
        utilisation: float above 0 and at most 1. Share of the peak that is reached.

    Returns:
        A float, in device-hours.

    Raises:
        ValueError: If a number is not allowed.

    Example:

    >>> device_hours(3.6e18, peak_flop_per_second=1e15, utilisation=0.5)
    2.0
    """
    check_amounts(flops=flops)
    _check_positive(peak_flop_per_second=peak_flop_per_second)
    if not (is_finite(utilisation) and 0 < utilisation <= 1):
        raise ValueError(
            f"utilisation must be a share above 0 and at most 1, such as 0.4, not {utilisation!r}."
        )
    return flops / (peak_flop_per_second * utilisation * 3600)


def energy_kwh(hours: float, power_watts: float, *, overhead: float = 1.0) -> float:
    """Returns the energy of a run.

    Args:
        hours: float, at least 0. Device-hours.
        power_watts: float, at least 0. Of one device: its rated power gives an upper estimate.
        overhead: float of at least 1. Energy of the whole hall for each unit that reaches the
            device (power usage effectiveness, PUE). Defaults to `1.0`.

    Returns:
        A float, in kilowatt-hours.

    Raises:
        ValueError: If a number is not allowed.

    Example:

    >>> energy_kwh(1000, 400, overhead=1.25)
    500.0
    """
    check_amounts(hours=hours, power_watts=power_watts)
    if not (is_finite(overhead) and overhead >= 1):
        raise ValueError(
            f"overhead must be at least 1: what the whole hall draws for one unit that reaches the "
            f"device, such as 1.1; it is {overhead!r}."
        )
    return hours * power_watts * overhead / 1000


def emissions_kg(energy_kwh: float, *, grams_per_kwh: float) -> float:
    """Returns the carbon dioxide equivalent of energy.

    Args:
        energy_kwh: float, at least 0.
        grams_per_kwh: float, at least 0. Of the grid that the energy comes from.

    Returns:
        A float, in kilograms.

    Raises:
        ValueError: If a number is negative or infinite.

    Example:

    >>> emissions_kg(500, grams_per_kwh=400)
    200.0
    """
    check_amounts(energy_kwh=energy_kwh, grams_per_kwh=grams_per_kwh)
    return energy_kwh * grams_per_kwh / 1000


def _check_positive(**amounts: Any) -> None:
    """Checks that each can be divided by: a finite number above 0."""
    for name, amount in amounts.items():
        if not (is_finite(amount) and amount > 0):
            raise ValueError(f"{name} must be a number above 0, but is {amount!r}.")
