"""What the page on deep learning claims: its budgets, gradients, windows and teeth."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.cells import run_cells

PAGE = "02_concepts/deep_learning"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = [
        "setup",
        "digits",
        "forward",
        "gradients",
        "train",
        "helpers",
        "fit-widths",
        "windows",
        "teeth",
    ]
    return run_cells(PAGE, *cells)


@pytest.fixture(scope="module")
def answers_to(page: dict[str, Any]) -> Any:
    """The explorer's function over a network that is not trained; its last neuron is silent."""
    weights = page["start"](page["networks"][4], seeds=1)
    values = [h.reshape(3000, -1) for h in page["forward"](page["x_train"], *weights)[0]]
    values[4][:, 11] = 0
    return run_cells(PAGE, "answers-to", **(page | {"trained_train": values}))["answers_to"]


@given(depth=st.integers(1, 4), budget=st.integers(11_000, 25_000))
def test_every_depth_gets_a_network_within_one_per_cent_of_the_budget(
    page: dict[str, Any], depth: int, budget: int
) -> None:
    shapes = page["fit_widths"](depth, budget)
    assert len(shapes) == depth + 1
    assert page["count"](shapes) == pytest.approx(budget, rel=0.01)


@pytest.mark.parametrize("kind", ["dense", "windows"])
def test_gradients_agree_with_central_differences(page: dict[str, Any], kind: str) -> None:
    shapes = {"dense": [(196, 5), (5, 4), (4, 10)], "windows": [(25, 3), (75, 10)]}[kind]
    images, labels = page["small_train"][:6], page["y_train"][:6]
    x = page["windows"](images) if kind == "windows" else images.reshape(6, 1, 196)
    weights, biases = page["start"](shapes, seeds=2)
    layers, theta = len(weights), [part + 0.01 for part in weights + biases]

    def loss() -> float:
        z = page["forward"](x, theta[:layers], theta[layers:])[1]
        p = page["softmax"](z)[:, np.arange(6), labels]  # (seeds, images)
        return float(-np.log(p).mean(axis=1).sum())

    rng = np.random.default_rng(0)
    found = page["gradients"](x, labels, theta[:layers], theta[layers:])
    for part, slopes in zip(theta, found, strict=True):
        for _ in range(10):
            place = tuple(rng.integers(part.shape))
            ends = []
            for change in (1e-6, -2e-6):
                part[place] += change
                ends.append(loss())
            part[place] += 1e-6
            assert slopes[place] == pytest.approx((ends[0] - ends[1]) / 2e-6, abs=1e-6)


def test_a_layer_over_windows_is_a_convolution(page: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    images, kernel = rng.normal(size=(2, 14, 14)), rng.normal(size=(5, 5))
    by_windows = page["windows"](images) @ kernel.ravel()
    steps = range(0, 10, 2)
    by_hand = [
        [(image[r : r + 5, c : c + 5] * kernel).sum() for r in steps for c in steps]
        for image in images
    ]
    np.testing.assert_allclose(by_windows, by_hand)


def test_shuffling_keeps_every_pixel_and_mixes_all_images_alike(page: dict[str, Any]) -> None:
    images = np.stack([np.arange(196).reshape(14, 14), 1000 + np.arange(196).reshape(14, 14)])
    first, second = page["shuffle"](images)
    assert sorted(first.ravel()) == list(range(196))
    np.testing.assert_array_equal(second - first, np.full((14, 14), 1000))


@given(folds=st.integers(1, 12), of=st.integers(0, 2**14))
def test_folding_draws_a_saw_with_two_to_the_k_pieces(
    page: dict[str, Any], folds: int, of: int
) -> None:
    x = Fraction(of, 2**14)
    y = x
    for _ in range(folds):
        y = Fraction(page["fold"](y))
    stroke, along = divmod(x * 2**folds, 1)  # which of 2**folds strokes, how far along it
    assert y == (along if stroke % 2 == 0 else 1 - along)


@given(st.lists(st.tuples(st.integers(1, 2**12 - 1), st.integers(-9, 9)), max_size=40))
def test_one_hidden_layer_has_at_most_one_piece_more_than_neurons(
    page: dict[str, Any], neurons: list[tuple[int, int]]
) -> None:
    grid = page["grid"]
    curve = sum((w * np.maximum(grid - k / 2**12, 0) for k, w in neurons), np.zeros(len(grid)))
    assert page["pieces"](curve) <= len(neurons) + 1


@pytest.mark.parametrize("bad", [0, -1, 41, 1e9, 1.5, float("nan"), "1", None, True])
def test_the_explorer_refuses_layers_and_neurons_that_do_not_exist(
    answers_to: Any, bad: object
) -> None:
    with pytest.raises(ValueError, match="layer must be a whole number from 1 to 4"):
        answers_to(layer=bad, neuron=1)
    with pytest.raises(ValueError, match="neuron must be a whole number from 1 to"):
        answers_to(layer=1, neuron=bad)


def test_the_explorer_shows_the_twenty_images_of_a_neuron_and_says_when_it_is_silent(
    answers_to: Any,
) -> None:
    told = answers_to(layer=1, neuron=1)
    counts = told["readouts"]["Digits among the twenty"].split(", ")
    assert sum(int(part.split(" × ")[0]) for part in counts) == 20
    assert len(told["rows"]) == 196
    silent = answers_to(layer=4, neuron=12)
    assert silent["readouts"]["Silent on"].startswith("100%")
    assert not any(row["ink"] for row in silent["rows"])
