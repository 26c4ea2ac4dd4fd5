"""The formulas of compute hold by hand and by their units, and refuse what cannot be."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.economics import (
    activation_bytes,
    cache_bytes,
    decode_seconds,
    device_hours,
    emissions_kg,
    energy_kwh,
    facts,
    flops_per_token,
    flops_utilisation,
    load_devices,
    training_bytes,
    training_flops,
    weight_bytes,
)

amounts = st.floats(1e-3, 1e15)
sizes = st.integers(1, 1000)
factors = st.integers(2, 50)


@given(rows=sizes, columns=sizes)
def test_one_product_is_counted_as_its_multiplications_and_additions(
    rows: int, columns: int
) -> None:
    by_hand = sum(2 * columns for _ in range(rows))  # a row: multiply and add each of its numbers
    assert flops_per_token(rows * columns) == by_hand


@given(parameters=amounts, layers=sizes, dim=sizes, tokens=sizes)
def test_the_way_back_takes_twice_as_much_as_the_way_forward(
    parameters: float, layers: int, dim: int, tokens: int
) -> None:
    shape = {"num_layers": layers, "attention_dim": dim, "sequence_length": tokens}
    forward = flops_per_token(parameters, **shape)
    assert flops_per_token(parameters, training=True, **shape) == pytest.approx(3 * forward)


@given(layers=sizes, heads=st.integers(1, 16), head_dim=sizes, tokens=st.integers(1, 40))
def test_attention_is_counted_pair_by_pair(
    layers: int, heads: int, head_dim: int, tokens: int
) -> None:
    shape = {"num_layers": layers, "attention_dim": heads * head_dim, "sequence_length": tokens}
    scores = 2 * head_dim * tokens * heads * layers  # one query with each key, in each head
    mixing = 2 * head_dim * tokens * heads * layers  # each value times its weight
    assert flops_per_token(0, **shape) == scores + mixing
    earlier = sum(range(1, tokens + 1)) / tokens  # mean number of tokens up to one's own
    causal = flops_per_token(0, **shape, causal=True)
    assert causal <= flops_per_token(0, **shape) * earlier / tokens
    assert causal == pytest.approx((scores + mixing) / 2)


def test_attention_outweighs_the_products_beyond_the_published_context() -> None:
    # A gated layer four times as wide: 4 d² for attention's matrices and 3 · 4 d² for the rest.
    width = 64
    products = flops_per_token(16 * width**2, training=True)
    # The published convention halves the pairs, as a token looks only at earlier ones.
    context = int(facts["attention_dominates_context_factor"].number) * width
    shape: dict[str, Any] = {"num_layers": 1, "attention_dim": width, "training": True}
    at = flops_per_token(0, sequence_length=context, causal=False, **shape)
    assert at == products


@given(parameters=amounts, tokens=amounts, factor=factors)
def test_training_grows_with_parameters_and_with_tokens(
    parameters: float, tokens: float, factor: int
) -> None:
    once = training_flops(parameters, tokens)
    assert training_flops(factor * parameters, tokens) == pytest.approx(factor * once)
    assert training_flops(parameters, factor * tokens) == pytest.approx(factor * once)
    rule = facts["training_flop_per_parameter_token"].number
    assert once == pytest.approx(rule * parameters * tokens)


def test_the_utilisation_that_palm_reported_follows_from_its_speed() -> None:
    layers, heads, head, length, chips = (
        int(facts[f"palm_{name}"].number)
        for name in ("layers", "heads", "head_dim", "sequence_tokens", "chips")
    )
    shape = {"num_layers": layers, "attention_dim": heads * head, "sequence_length": length}
    flops = training_flops(
        facts["palm_parameters"].number, facts["palm_tokens_per_second"].number, **shape
    )
    peak = facts["tpu_v4_peak_flop_per_second"].number
    share = flops_utilisation(flops, 1, peak_flop_per_second=peak, devices=chips)
    published = facts["palm_model_flops_utilisation"].number
    assert round(share, 3) == published
    bare = training_flops(facts["palm_parameters"].number, facts["palm_tokens_per_second"].number)
    assert flops_utilisation(bare, 1, peak_flop_per_second=peak, devices=chips) < share


@given(parameters=amounts, bits=st.floats(0.5, 64), factor=factors)
def test_weights_take_their_bits(parameters: float, bits: float, factor: int) -> None:
    assert weight_bytes(8 * parameters, bits) == pytest.approx(parameters * bits)
    assert weight_bytes(parameters, factor * bits) == pytest.approx(
        factor * weight_bytes(parameters, bits)
    )


@given(parameters=amounts)
def test_training_takes_the_sum_of_what_is_kept_for_each_weight(parameters: float) -> None:
    one = {"bytes_per_weight": 0, "bytes_per_gradient": 0, "bytes_per_optimizer_state": 0}
    default = {"bytes_per_weight": 2, "bytes_per_gradient": 2, "bytes_per_optimizer_state": 12}
    parts = sum(training_bytes(parameters, **one | {name: default[name]}) for name in one)
    assert training_bytes(parameters) == pytest.approx(parts)
    assert training_bytes(parameters) == pytest.approx(8 * weight_bytes(parameters, 16))


@given(layers=sizes, width=sizes, heads=sizes, length=sizes, batch=sizes)
def test_activations_are_counted_token_by_token_and_pair_by_pair(
    layers: int, width: int, heads: int, length: int, batch: int
) -> None:
    shape: dict[str, Any] = {
        "num_layers": layers,
        "hidden_dim": width,
        "num_heads": heads,
        "sequence_length": length,
        "batch_size": batch,
    }
    bare = activation_bytes(**shape)
    # the published count: 34 bytes for each token and each number of the width
    assert bare == layers * batch * length * 34 * width
    assert activation_bytes(**shape | {"batch_size": 1}) * batch == bare
    assert bare == layers * batch * activation_bytes(**shape | {"num_layers": 1, "batch_size": 1})
    pairs = activation_bytes(**shape, keep_attention=True) - bare
    # a table of softmax and one of dropout's input in 16 bits, and a mask of one byte
    assert pairs == layers * batch * heads * length**2 * (2 + 2 + 1)


def test_the_published_cache_of_llama_2_follows_from_its_shape() -> None:
    shape = {
        name: int(facts[f"llama2_13b_{key}"].number)
        for name, key in (
            ("num_layers", "layers"),
            ("num_key_value_heads", "key_value_heads"),
            ("head_dim", "head_dim"),
        )
    }
    gigabytes = cache_bytes(int(facts["llama2_13b_cache_tokens"].number), **shape) / 1e9
    assert round(gigabytes, 1) == facts["llama2_13b_cache_gigabytes"].number


@given(tokens=sizes, layers=sizes, heads=sizes, dim=sizes, factor=factors)
def test_the_cache_grows_with_each_of_its_sizes(
    tokens: int, layers: int, heads: int, dim: int, factor: int
) -> None:
    shape = {"num_layers": layers, "num_key_value_heads": heads, "head_dim": dim}
    once = cache_bytes(tokens, **shape)
    assert once == 4 * tokens * layers * heads * dim  # a key and a value, two bytes each
    assert cache_bytes(factor * tokens, **shape) == factor * once
    for name, size in shape.items():
        assert cache_bytes(tokens, **shape | {name: factor * size}) == factor * once
    assert cache_bytes(tokens, **shape, bytes_per_number=1) == once / 2


@given(read=amounts, flops=amounts, bandwidth=amounts, peak=amounts)
def test_a_step_of_decoding_takes_the_longer_of_reading_and_computing(
    read: float, flops: float, bandwidth: float, peak: float
) -> None:
    machine = {"bandwidth_bytes_per_second": bandwidth, "peak_flop_per_second": peak}
    reading = decode_seconds(read, bandwidth_bytes_per_second=bandwidth)
    computing = decode_seconds(0, flops=flops, **machine)
    both = decode_seconds(read, flops=flops, **machine)
    assert both == max(reading, computing) <= reading + computing
    assert reading * bandwidth == pytest.approx(read)  # seconds times bytes a second are bytes
    assert computing * peak == pytest.approx(flops)


@given(flops=amounts, peak=amounts, share=st.floats(0.01, 1), devices=st.integers(1, 10_000))
def test_the_utilisation_of_the_hours_that_it_gives_is_itself(
    flops: float, peak: float, share: float, devices: int
) -> None:
    hours = device_hours(flops, peak_flop_per_second=peak, utilisation=share)
    seconds = 3600 * hours / devices
    found = flops_utilisation(flops, seconds, peak_flop_per_second=peak, devices=devices)
    assert found == pytest.approx(share)


@given(hours=amounts, watts=amounts, overhead=st.floats(1, 3), grams=amounts)
def test_energy_and_emissions_have_their_units(
    hours: float, watts: float, overhead: float, grams: float
) -> None:
    joules = hours * 3600 * watts * overhead
    assert energy_kwh(hours, watts, overhead=overhead) * 3.6e6 == pytest.approx(joules)
    energy = energy_kwh(hours, watts)
    assert 1000 * emissions_kg(energy, grams_per_kwh=grams) == pytest.approx(energy * grams)


def test_the_energy_and_emissions_that_llama_reported_follow_from_its_hours() -> None:
    energy = energy_kwh(
        facts["llama1_65b_gpu_hours"].number,
        load_devices()["A100"].power_watts,
        overhead=facts["llama1_power_usage_effectiveness"].number,
    )
    assert energy / 1000 == pytest.approx(facts["llama1_65b_energy_mwh"].number, rel=0.005)
    kilograms = emissions_kg(energy, grams_per_kwh=facts["llama1_grid_grams_per_kwh"].number)
    assert round(kilograms / 1000) == facts["llama1_65b_emissions_tonnes"].number


def test_devices_hold_the_numbers_of_the_facts_in_base_units() -> None:
    devices = load_devices()
    assert list(devices) == ["A100", "H100", "H200", "B200"]
    for name, device in devices.items():
        key = name.lower()
        assert device.name == name
        assert device.peak_flop_per_second == facts[f"{key}_peak_flop_per_second"].number
        assert device.memory_bytes / 1e9 == facts[f"{key}_memory_gigabytes"].number
        terabytes = device.bandwidth_bytes_per_second / 1e12
        assert terabytes == pytest.approx(facts[f"{key}_bandwidth_terabytes_per_second"].number)
        assert device.power_watts == facts[f"{key}_power_watts"].number
        assert device.hour_low_usd < device.hour_high_usd
        assert device.date == facts[f"{key}_gpu_hour_high_usd"].date
    measured = [key for key in facts if key.endswith("_measured_flop_per_second")]
    assert measured
    for key in measured:  # nothing measured is faster than the data sheet says
        assert facts[key].number < devices[key.split("_")[0].upper()].peak_flop_per_second


ACTIVATIONS = {"num_layers": 1, "hidden_dim": 1, "num_heads": 1, "sequence_length": 1}
CACHE = {"num_layers": 1, "num_key_value_heads": 1, "head_dim": 1}
KEPT = ("weight", "gradient", "optimizer_state")
AMOUNTS: list[tuple[Callable[..., float], dict[str, Any], str]] = [
    (flops_per_token, {}, "parameters"),
    (training_flops, {"parameters": 1}, "tokens"),
    (weight_bytes, {}, "parameters"),
    (training_bytes, {}, "parameters"),
    *((training_bytes, {"parameters": 1}, f"bytes_per_{kept}") for kept in KEPT),
    (decode_seconds, {"bandwidth_bytes_per_second": 1}, "read_bytes"),
    (decode_seconds, {"read_bytes": 1, "bandwidth_bytes_per_second": 1}, "flops"),
    (flops_utilisation, {"seconds": 1, "peak_flop_per_second": 1}, "flops"),
    (device_hours, {"peak_flop_per_second": 1, "utilisation": 1}, "flops"),
    (energy_kwh, {"hours": 1}, "power_watts"),
    (energy_kwh, {"power_watts": 1}, "hours"),
    (emissions_kg, {"energy_kwh": 1}, "grams_per_kwh"),
    (emissions_kg, {"grams_per_kwh": 1}, "energy_kwh"),
]
ATTENTION = ("num_layers", "attention_dim", "sequence_length")
WHOLE: list[tuple[Callable[..., float], dict[str, Any], str]] = [
    *((flops_per_token, {"parameters": 1}, name) for name in ATTENTION),
    *((activation_bytes, ACTIVATIONS, name) for name in [*ACTIVATIONS, "batch_size"]),
    *((cache_bytes, CACHE | {"tokens": 1}, name) for name in [*CACHE, "tokens"]),
    (flops_utilisation, {"flops": 1, "seconds": 1, "peak_flop_per_second": 1}, "devices"),
]
POSITIVE: list[tuple[Callable[..., float], dict[str, Any], str]] = [
    (weight_bytes, {"parameters": 1}, "bits"),
    (cache_bytes, CACHE | {"tokens": 1}, "bytes_per_number"),
    (decode_seconds, {"read_bytes": 1}, "bandwidth_bytes_per_second"),
    (
        decode_seconds,
        {"read_bytes": 1, "bandwidth_bytes_per_second": 1, "flops": 1},
        "peak_flop_per_second",
    ),
    (flops_utilisation, {"flops": 1, "peak_flop_per_second": 1}, "seconds"),
    (flops_utilisation, {"flops": 1, "seconds": 1}, "peak_flop_per_second"),
    (device_hours, {"flops": 1, "utilisation": 1}, "peak_flop_per_second"),
]


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "8", True])
@pytest.mark.parametrize(("function", "others", "name"), AMOUNTS)
def test_an_impossible_amount_is_refused(
    function: Callable[..., float], others: dict[str, Any], name: str, wrong: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number of at least 0"):
        function(**others, **{name: wrong})


@pytest.mark.parametrize("wrong", [-1, 1.5, "8", None, True])
@pytest.mark.parametrize(("function", "others", "name"), WHOLE)
def test_layers_heads_and_tokens_are_whole(
    function: Callable[..., float], others: dict[str, Any], name: str, wrong: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        function(**others | {name: wrong})


@pytest.mark.parametrize("wrong", [0, -1, math.nan, math.inf, "8", True])
@pytest.mark.parametrize(("function", "others", "name"), POSITIVE)
def test_nothing_is_divided_by_zero(
    function: Callable[..., float], others: dict[str, Any], name: str, wrong: Any
) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a number above 0"):
        function(**others, **{name: wrong})


@pytest.mark.parametrize("wrong", [0, 1.01, 40, math.nan, "0.4"])
def test_a_utilisation_is_a_share(wrong: Any) -> None:
    with pytest.raises(ValueError, match="utilisation must be a share above 0 and at most 1"):
        device_hours(1, peak_flop_per_second=1, utilisation=wrong)


@pytest.mark.parametrize("wrong", [0.9, math.inf, None])
def test_an_overhead_below_one_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="overhead must be at least 1"):
        energy_kwh(1, 1, overhead=wrong)


def test_what_is_not_said_is_one_device_one_text_and_no_attention() -> None:
    shape = {"num_layers": 2, "hidden_dim": 3, "num_heads": 1, "sequence_length": 5}
    assert activation_bytes(**shape) == activation_bytes(**shape, batch_size=1)
    speed: dict[str, Any] = {"seconds": 2, "peak_flop_per_second": 10}
    assert flops_utilisation(5, **speed) == flops_utilisation(5, **speed, devices=1) == 0.25
    assert flops_per_token(7, num_layers=2, attention_dim=3) == flops_per_token(7)
    assert flops_per_token(7, num_layers=2, sequence_length=3) == flops_per_token(7)
    assert flops_per_token(7, attention_dim=2, sequence_length=3) == flops_per_token(7)


def test_the_ends_are_allowed() -> None:
    assert cache_bytes(0, num_layers=1, num_key_value_heads=1, head_dim=1) == 0
    assert device_hours(3600, peak_flop_per_second=1, utilisation=1) == 1
    assert energy_kwh(1000, 1) == energy_kwh(1000, 1, overhead=1) == 1


def test_operations_without_a_peak_are_refused() -> None:
    with pytest.raises(ValueError, match="flops needs peak_flop_per_second"):
        decode_seconds(1, bandwidth_bytes_per_second=1, flops=1)
