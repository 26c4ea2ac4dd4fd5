"""What the page on the six steps claims: its gradients, its stop, its equality with `fit`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.cells import run_cells

SEED = st.integers(0, 2**16)
LOSSES = st.lists(st.floats(0, 10), min_size=1, max_size=20)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    draw = np.random.default_rng(0)
    pixels, labels = draw.random((640, 784)), draw.integers(0, 10, 640)
    names = ["steps-one-to-three", "steps-four-to-six", "loop", "explorer-function", "cost"]
    start = [np.zeros((784, 32)), np.zeros(32), np.zeros((32, 10)), np.zeros(10)]
    data = {"x": pixels, "y": labels, "x_val": pixels[:100], "y_val": labels[:100], "start": start}
    return run_cells("03_algorithms/six_steps", *names, np=np, **data)


@given(seed=SEED, hidden=st.integers(1, 8), batch=st.integers(1, 6))
@settings(max_examples=20, deadline=None)
def test_the_gradients_are_the_slopes_of_the_loss(
    page: dict[str, Any], seed: int, hidden: int, batch: int
) -> None:
    draw = np.random.default_rng(seed)
    weights = page["initialise"](draw, hidden=hidden)
    x, y = draw.random((batch, 784)), draw.integers(0, 10, batch)
    grads = page["gradients"](weights, x, y, *page["forward"](weights, x))
    way = [draw.normal(size=w.shape) for w in weights]

    def loss(length: float) -> float:
        moved = [w + length * v for w, v in zip(weights, way, strict=True)]
        return float(page["cross_entropy"](page["forward"](moved, x)[1], y))

    slope = sum(np.sum(g * v) for g, v in zip(grads, way, strict=True))
    assert np.isclose((loss(1e-7) - loss(-1e-7)) / 2e-7, slope, rtol=1e-3, atol=1e-4)


@given(seed=SEED, shift=st.floats(-1e3, 1e3))
@settings(max_examples=20, deadline=None)
def test_probabilities_add_to_one_and_ignore_what_all_digits_share(
    page: dict[str, Any], seed: int, shift: float
) -> None:
    draw = np.random.default_rng(seed)
    w1, b1, w2, b2 = page["initialise"](draw, hidden=4)
    x = draw.random((3, 784))
    p = page["forward"]([w1, b1, w2, b2], x)[1]
    assert np.allclose(p.sum(axis=1), 1)
    assert np.allclose(p, page["forward"]([w1, b1, w2, b2 + shift], x)[1])


def test_from_zero_weights_only_the_last_biases_ever_move(page: dict[str, Any]) -> None:
    weights = [0 * w for w in page["initialise"](np.random.default_rng(0), hidden=4)]
    x, y = page["x"][:20], page["y"][:20]
    grads = page["gradients"](weights, x, y, *page["forward"](weights, x))
    assert [bool(np.any(g)) for g in grads] == [False, False, False, True]


def test_the_source_s_update_is_the_page_s_without_momentum(page: dict[str, Any]) -> None:
    moved, _ = page["update"]([np.array([3.0])], [np.array([2.0])], [np.array([9.0])], 0.5)
    assert moved == [np.array([2.0])]


@given(losses=LOSSES, patience=st.integers(1, 5))
def test_training_stops_only_when_the_last_losses_bring_no_new_best(
    page: dict[str, Any], losses: list[float], patience: int
) -> None:
    stops = page["should_stop"](np.array(losses), patience)
    tail, before = losses[-patience:], losses[:-patience]
    assert bool(stops) == (bool(before) and min(before) <= min(tail))


def test_training_stops_on_nonsense(page: dict[str, Any]) -> None:
    assert page["should_stop"]([1.0, float("nan")], 5)
    assert page["should_stop"]([1.0, float("inf")], 5)


def test_training_returns_the_best_weights_not_the_last(page: dict[str, Any]) -> None:
    start = page["initialise"](np.random.default_rng(0), hidden=4)
    best, history = page["train"](start, np.random.default_rng(0), rate=0.5, patience=2, epochs=8)
    loss = page["cross_entropy"](page["forward"](best, page["x_val"])[1], page["y_val"])
    assert np.isclose(loss, history[:, 1].min())


def test_a_counting_array_counts_what_the_shapes_say(page: dict[str, Any]) -> None:
    rows = np.ones((5, 7)).view(page["Counted"])
    product, flops = page["count"](lambda a, b: a @ b, rows, np.ones((7, 3)))
    assert product.shape == (5, 3)
    assert flops == 2 * 5 * 7 * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": -1},
        {"scale": float("nan")},
        {"scale": 1e13},
        {"scale": "large"},
        {"scale": True},
        {"learning_rate": 0},
        {"learning_rate": -0.1},
        {"learning_rate": True},
        {"learning_rate": float("inf")},
    ],
)
def test_the_explorer_says_what_it_needs(page: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        page["first_epochs"](**({"scale": 1, "learning_rate": 0.1} | wrong))


@pytest.mark.parametrize("extreme", [{"learning_rate": 1e9}, {"scale": 1e9}, {"scale": 0}])
def test_the_explorer_draws_what_overflows_at_the_edge(
    page: dict[str, Any], extreme: dict[str, Any]
) -> None:
    state = page["first_epochs"](**({"scale": 1, "learning_rate": 0.1} | extreme))
    assert all(0.01 <= row["loss"] <= 100 for row in state["rows"])


@pytest.fixture(scope="module")
def stop(page: dict[str, Any]) -> Any:
    cells = ["exercise-stop", "exercise-stop-checker"]
    names = {name: page[name] for name in ("np", "should_stop")}
    import companion

    return run_cells("03_algorithms/six_steps", *cells, companion=companion, **names)["stop"]


def last_best_by_place(losses: list[float], patience: int, least: float) -> bool:
    best = 0
    for place, loss in enumerate(losses):
        if losses[best] - loss >= least:
            best = place
    return len(losses) - 1 - best >= patience


def by_counting_down(losses: list[float], patience: int, least: float) -> bool:
    best, left = float("inf"), patience
    for loss in losses:
        best, left = (loss, patience) if loss <= best - least else (best, left - 1)
    return left <= 0


@pytest.mark.parametrize("answer", [last_best_by_place, by_counting_down])
def test_the_exercise_on_stopping_accepts_what_its_text_says(stop: Any, answer: Any) -> None:
    assert stop.check(answer) is None


def one_epoch_off(losses: list[float], patience: int, least: float) -> bool:
    return last_best_by_place(losses, patience - 1, least)


def one_epoch_only(losses: list[float], patience: int, least: float) -> bool:
    return last_best_by_place(losses, patience, least) and not last_best_by_place(
        losses, patience + 1, least
    )


def strictly_lower(losses: list[float], patience: int, least: float) -> bool:
    return last_best_by_place(losses, patience, least * 1.0001)


@pytest.mark.parametrize("answer", [one_epoch_off, one_epoch_only, strictly_lower])
def test_the_exercise_on_stopping_rejects_what_is_nearly_right(stop: Any, answer: Any) -> None:
    assert stop.check(answer) is not None
