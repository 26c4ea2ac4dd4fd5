"""What the page on frameworks builds: the classifier in JAX and PyTorch, held to NumPy by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from tools.cells import run_cells

RNG = np.random.default_rng(0)
SHAPES = [(1000, 64), (64, 256), (64, 256), (256,), (64, 1), (1,)]
WEIGHTS = [RNG.normal(0, 0.1, shape).astype(np.float32) for shape in SHAPES]
IDS = RNG.integers(0, 1000, (5, 100)).astype(np.int32)
LABELS = np.array([0, 1, 1, 0, 1], np.float32)


def by_hand(ids: Any) -> Any:
    """The probabilities, one word after another."""
    words, kernel, turn, bias, out, offset = WEIGHTS
    state = memory = np.zeros((len(ids), 64))
    for column in ids.T:
        gates = np.split(words[column] @ kernel + state @ turn + bias, 4, axis=1)
        i, f, g, o = expit(gates[0]), expit(gates[1]), np.tanh(gates[2]), expit(gates[3])
        memory = f * memory + i * g
        state = o * np.tanh(memory)
    return expit(state @ out + offset)[:, 0]


def built(name: str) -> tuple[Any, Any, Any]:
    if name == "torch":
        torch = pytest.importorskip("torch")
        rule: Any = lambda parameters: torch.optim.SGD(parameters, 0.1)  # noqa: E731
    else:
        rule = pytest.importorskip("optax").sgd(0.1)
    cells = [name] if name == "torch" else ["jax-lstm", "jax"]
    result: tuple[Any, Any, Any] = run_cells("06_tools/frameworks", *cells)[f"in_{name}"](
        WEIGHTS, rule
    )
    return result


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_framework_predicts_and_loses_what_numpy_does(name: str) -> None:
    step, predict, _ = built(name)
    p = by_hand(IDS)
    np.testing.assert_allclose(np.asarray(predict(IDS)), p, atol=1e-5)
    cross_entropy = -np.mean(np.log(np.where(LABELS > 0, p, 1 - p)))
    assert float(step(IDS, LABELS)) == pytest.approx(cross_entropy, abs=1e-5)


@pytest.mark.parametrize("name", ["jax", "torch"])
def test_a_step_lowers_the_loss_on_its_own_batch(name: str) -> None:
    step, _, _ = built(name)
    assert float(step(IDS, LABELS)) > float(step(IDS, LABELS))
