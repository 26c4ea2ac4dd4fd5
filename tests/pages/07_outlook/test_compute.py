"""The page on compute: its bills add up, and its small forms of a network are what it says."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import economics, facts, teaching
from tools.cells import run_cells

SIZES = st.sampled_from(["135 M", "8 B", "70 B", "1 T"])
GPUS = st.sampled_from(["A100", "H100", "H200", "B200"])


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ["sizes", "first-result", "operations-result", "memory-result", "decode-speed"]
    cells += ["can-i-run", "train", "shrink"]
    names = {"devices": economics.load_devices(), "economics": economics, "facts": facts}
    return run_cells("07_outlook/compute", *cells, **names, np=np, math=math, teaching=teaching)


def number(text: str) -> float:
    return float(text.split()[0].replace(",", ""))


@given(model=SIZES, gpu=GPUS, bits=st.sampled_from([4, 8, 16]), users=st.integers(1, 200))
def test_the_gpus_hold_what_the_model_needs(
    page: dict[str, Any], model: str, gpu: str, bits: int, users: int
) -> None:
    state = page["can_i_run"](model, gpu, bits, users, 2048)
    weights, caches, held = (row["gb"] for row in state["rows"])
    assert weights + caches <= 0.9 * held
    one_fewer = held - page["devices"][gpu].memory_bytes / 1e9
    assert weights + caches > 0.9 * one_fewer


@given(model=SIZES, gpu=GPUS, users=st.integers(1, 50))
def test_more_users_make_tokens_no_dearer_on_the_same_gpus(
    page: dict[str, Any], model: str, gpu: str, users: int
) -> None:
    device = page["devices"][gpu]
    speeds = [page["tokens_per_second"](model, device, batch=n) for n in (users, users + 1)]
    assert speeds[0] <= speeds[1] * (1 + 1e-9)
    assert speeds[1] / (users + 1) <= speeds[0] / users * (1 + 1e-9)  # each waits no less


@given(model=SIZES, gpu=GPUS, count=st.integers(1, 100))
def test_shared_work_is_faster_by_the_number_of_gpus(
    page: dict[str, Any], model: str, gpu: str, count: int
) -> None:
    device = page["devices"][gpu]
    alone, together = (page["tokens_per_second"](model, device, count=n) for n in (1, count))
    assert together == pytest.approx(count * alone)


@given(gpu=GPUS, share=st.floats(0.01, 1))
def test_a_training_bill_is_the_hours_at_both_rents(
    page: dict[str, Any], gpu: str, share: float
) -> None:
    device = page["devices"][gpu]
    hours, low, high = page["training_bill"](device, 1e21, share)
    assert hours * 3600 * device.peak_flop_per_second * share == pytest.approx(1e21)
    assert low / hours == pytest.approx(device.hour_low_usd)
    assert high / hours == pytest.approx(device.hour_high_usd)


@given(model=SIZES, context=st.sampled_from([512, 4096, 32_768]))
def test_attention_takes_a_growing_share(page: dict[str, Any], model: str, context: int) -> None:
    shares = [page["attention_share"](model, c) for c in (context, 2 * context)]
    assert 0 < shares[0] < shares[1] < 1
    # twice the context doubles attention's work, and nothing else
    odds = [share / (1 - share) for share in shares]
    assert odds[1] == pytest.approx(2 * odds[0])


def test_sixteen_bytes_a_parameter_and_activations_make_the_memory_of_training(
    page: dict[str, Any],
) -> None:
    for name, (parameters, _) in page["models"].items():
        need = page["training_memory"](name)
        assert sum(need.values()) - need["activations"] == pytest.approx(16 * parameters)


def test_training_follows_the_slope_of_the_loss_that_differences_give(
    page: dict[str, Any],
) -> None:
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(100, 6)), page["softmax"](rng.normal(size=(100, 3)))
    w = [rng.normal(size=shape) for shape in ((6, 4), (4,), (4, 3), (3,))]
    draws = np.random.default_rng(7).integers(0, 100, 100)  # the first batch; the second rests

    def loss(weights: list[np.ndarray]) -> float:
        shares = page["softmax"](page["logits"](weights, x[draws]))
        return float(-np.mean(np.sum(targets[draws] * np.log(shares), axis=1)))

    after = page["train"](x, targets, w, decay=0, epochs=2, rate=1e-3, seed=7)
    for i in range(4):
        moved = (after[i] - w[i]).ravel()
        for j in range(0, w[i].size, 3):
            up, down = [a.copy() for a in w], [a.copy() for a in w]
            up[i].flat[j] += 1e-5
            down[i].flat[j] -= 1e-5
            slope = (loss(up) - loss(down)) / 2e-5
            if abs(slope) > 1e-4:
                assert np.sign(moved[j]) == -np.sign(slope)


@given(bits=st.integers(2, 12), seed=st.integers(0, 1000))
def test_rounding_moves_no_weight_by_more_than_half_a_step(
    page: dict[str, Any], bits: int, seed: int
) -> None:
    w = np.random.default_rng(seed).normal(size=(20, 5))
    rounded = page["rounded"](w, bits)
    step = np.abs(w).max(0) / (2 ** (bits - 1) - 1)
    assert np.all(np.abs(rounded - w) <= step / 2 * (1 + 1e-9))
    for column in rounded.T:
        assert len(np.unique(column)) <= 2**bits - 1


@given(share=st.floats(0.1, 0.95), seed=st.integers(0, 1000))
def test_pruning_keeps_the_largest_weights_and_all_of_the_rest(
    page: dict[str, Any], share: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    w = [rng.normal(size=shape) for shape in ((30, 8), (8,), (8, 10), (10,))]
    cut, kilobytes = page["pruned"](w, share)
    for before, after in zip(w, cut, strict=True):
        if before.ndim == 1:
            assert np.array_equal(before, after)
            continue
        kept = after != 0
        assert np.array_equal(after[kept], before[kept])
        assert abs(kept.mean() - (1 - share)) <= 1 / before.size + 1e-9
        assert np.abs(before[kept]).min() >= np.abs(before[~kept]).max()
    assert kilobytes == (6 * sum((a != 0).sum() for a in cut[::2]) + 4 * 18) / 1000
