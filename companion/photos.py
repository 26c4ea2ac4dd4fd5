"""Photographs to look at through filters, from the files of two installed packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from companion.data import Card
from companion.presentation import close_to
from companion.reading import read_packaged

__all__ = ["Photo", "load_photo"]

_CC0 = "CC0 by the photographer"
_CC_BY = "CC BY 2.0, Flickr user"
# Name: package, file, what it shows, licence; as the packages' own documentation has it.
_PHOTOS = {
    "astronaut": ("skimage", "data/astronaut.png", "Eileen Collins, astronaut", "NASA, no rights"),
    "brick": ("skimage", "data/brick.png", "a brick wall", "CC0, from CC0Textures"),
    "cat": ("skimage", "data/chelsea.png", "Chelsea, a cat", f"{_CC0}, Stefan van der Walt"),
    "china": ("sklearn", "datasets/images/china.jpg", "a temple", f"{_CC_BY} danielbuechele"),
    "coffee": ("skimage", "data/coffee.png", "a cup of coffee", f"{_CC0}, Rachel Michetti"),
    "flower": ("sklearn", "datasets/images/flower.jpg", "a flower", f"{_CC_BY} vultilion"),
    "grass": ("skimage", "data/grass.png", "grass from above", "CC0, by the author linolafett"),
    "gravel": ("skimage", "data/gravel.png", "gravel from above", "CC0, from CC0Textures"),
    "rocket": ("skimage", "data/rocket.jpg", "a rocket's launch", "SpaceX, public domain"),
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
        name: str. `"astronaut"`, `"brick"`, `"cat"`, `"china"`, `"coffee"`, `"flower"`,
            `"grass"`, `"gravel"` or `"rocket"`. Brick, grass and gravel are grey: their three
            colours are equal.

    Returns:
        A `Photo`. Of `"china"`, `"flower"` and `"rocket"`, which are stored as JPEG, a decoder of
        another version may round single pixels in another way.

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
