"""Photographs come from installed packages, in one form, each with a card."""

from __future__ import annotations

import numpy as np
import pytest

from companion.data import load_photo

NAMES = ["astronaut", "brick", "camera", "cat", "china", "coffee", "coins", "flower", "grass"]
NAMES += ["gravel", "motorcycle", "retina", "rocket", "tissue"]


@pytest.mark.parametrize("name", NAMES)
def test_every_photo_has_three_colours_from_0_to_1_and_says_who_made_it(name):
    photo = load_photo(name)
    assert photo.pixels.dtype == np.float32
    assert photo.pixels.ndim == 3
    assert photo.pixels.shape[2] == 3
    assert 0 <= photo.pixels.min() < 0.3 < 0.6 < photo.pixels.max() <= 1
    assert photo.card.licence.startswith(("CC0", "CC BY", "NASA", "SpaceX", "no "))


@pytest.mark.parametrize("name", ["brick", "camera", "coins", "grass", "gravel"])
def test_brightness_of_a_grey_photo_is_its_red(name):
    photo = load_photo(name)
    assert np.allclose(photo.grey, photo.pixels[..., 0], atol=1e-6)


def test_brightness_lies_between_the_darkest_and_the_lightest_colour_of_a_pixel():
    photo = load_photo("coffee")
    assert photo.grey.shape == photo.pixels.shape[:2]
    assert (photo.grey >= photo.pixels.min(axis=2) - 1e-6).all()
    assert (photo.grey <= photo.pixels.max(axis=2) + 1e-6).all()


def test_an_unknown_photo_is_answered_with_a_guess():
    with pytest.raises(ValueError, match="no photo 'rockets'; did you mean 'rocket'"):
        load_photo("rockets")
