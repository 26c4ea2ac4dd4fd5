"""Photographs of every kind that people have become the square that a network takes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from companion.preprocessing import read_picture, read_pictures

SIDE = 16


def stored(image: Image.Image, kind: str = "png", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


@pytest.fixture
def halves() -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:, :20, 0] = pixels[:, 20:, 2] = 255
    return Image.fromarray(pixels)


def test_a_picture_keeps_its_sides_and_its_colours(halves):
    found = read_picture(stored(halves), side=SIDE)
    assert found.shape == (SIDE, SIDE, 3)
    assert found.dtype == np.float32
    assert found[:, 0].mean(axis=0).tolist() == [1, 0, 0]
    assert found[:, -1].mean(axis=0).tolist() == [0, 0, 1]


def test_only_the_middle_square_is_read():
    pixels = np.zeros((40, 120, 3), np.uint8)
    pixels[:, 40:80] = 255
    assert read_picture(stored(Image.fromarray(pixels)), side=SIDE).min() == 1


@pytest.mark.parametrize(("orientation", "first"), [(1, "left"), (3, "right"), (6, "top")])
def test_a_picture_of_a_turned_telephone_stands_upright(halves, orientation, first):
    exif = Image.Exif()
    exif[0x0112] = orientation
    found = read_picture(stored(halves, "jpeg", exif=exif, quality=95), side=SIDE)
    places = {"left": found[:, 0], "right": found[:, -1], "top": found[0]}
    red = {place: pixels[:, 0].mean() for place, pixels in places.items()}
    assert max(red, key=red.get) == first


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "LA", "1", "I;16", "I", "F"])
def test_every_kind_of_picture_becomes_red_green_and_blue(mode):
    grey = Image.new("L", (30, 20), 255)
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 65_535, np.uint16))
    else:
        image = grey.convert(mode)
    kind = "jpeg" if mode == "CMYK" else "tiff"
    found = read_picture(stored(image, kind), side=SIDE)
    assert found.shape == (SIDE, SIDE, 3)
    assert found.min() > 0.98


def test_red_for_print_is_red_on_the_screen():
    red = Image.new("RGB", (30, 30), (255, 0, 0)).convert("CMYK")
    found = read_picture(stored(red, "tiff"), side=SIDE).mean(axis=(0, 1))
    assert found[0] > 0.9
    assert found[1:].max() < 0.1


def test_what_is_transparent_becomes_white():
    clear = Image.new("RGBA", (30, 30), (0, 0, 0, 0))
    assert read_picture(stored(clear), side=SIDE).min() == 1


def test_the_same_photograph_at_twenty_megapixels_looks_the_same(halves, tmp_path):
    large = tmp_path / "large.jpg"
    halves.resize((5000, 4000), Image.Resampling.NEAREST).save(large, quality=90)
    found = read_picture(large, side=SIDE)
    assert found[:, 2].mean(axis=0) == pytest.approx([1, 0, 0], abs=0.05)
    assert found[:, -3].mean(axis=0) == pytest.approx([0, 0, 1], abs=0.05)


@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 7)])
def test_a_picture_of_a_few_pixels_is_refused_with_its_size(size):
    with pytest.raises(ValueError, match=f"{size[0]} by {size[1]} pixels; at least 8 a side"):
        read_picture(stored(Image.new("RGB", size)))


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded():
    many = Image.new("1", (9000, 9000))
    with pytest.raises(ValueError, match="at most 50,000,000 in all"):
        read_picture(stored(many))


def test_a_bomb_of_a_picture_is_refused():
    with pytest.raises(ValueError, match=r"too large|at most 50,000,000"):
        read_picture(stored(Image.new("1", (20_000, 20_000))))


def test_a_picture_that_is_cut_off_is_refused(halves):
    whole = stored(halves.resize((400, 400)), "jpeg").getvalue()
    with pytest.raises(ValueError, match="damaged or cut off"):
        read_picture(io.BytesIO(whole[: len(whole) // 2]))


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_picture_is_refused(content):
    with pytest.raises(ValueError, match="no picture that Pillow can read"):
        read_picture(io.BytesIO(content))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.png"):
        read_picture(tmp_path / "nothing.png")


@pytest.mark.parametrize("side", [0, 7, 2.5, "large", True])
def test_an_impossible_side_is_refused(side):
    with pytest.raises(ValueError, match="side"):
        read_picture(stored(Image.new("L", (30, 30))), side=side)


@pytest.mark.parametrize(("size", "shape"), [((120, 40), (5, 16, 3)), ((12, 9), (9, 12, 3))])
def test_a_whole_picture_is_made_smaller_but_never_larger(size, shape):
    image = Image.new("RGB", size, (255, 0, 0))
    found = read_picture(stored(image), side=SIDE, crop=False)
    assert found.shape == shape
    assert (found == (1, 0, 0)).all()


def test_files_and_pixels_of_a_picture_are_the_same(halves):
    files = read_pictures([stored(halves), stored(halves)], side=40)
    np.testing.assert_array_equal(files, read_pictures([np.asarray(halves)] * 2, side=40))
    grey = read_pictures([stored(halves)], side=40, channels=1)
    assert grey.shape == (1, 40, 40, 1)
    assert grey[0, 0, 0, 0] == pytest.approx(0.299)  # red is brighter to the eye than blue
    assert grey[0, 0, -1, 0] == pytest.approx(0.114)
