"""Photographs of every kind that people have become the square that a network takes."""

from __future__ import annotations

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from companion.preprocessing import read_picture, read_pictures

SIDE = 16


def stored(image: Image.Image, kind: str = "png", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, kind, **options)
    file.seek(0)
    return file


def declared(width: int, height: int) -> bytes:
    """A PNG file that says how many pixels of one bit it has, and holds none of them."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in ((b"IHDR", header), (b"IDAT", b""))
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


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
    with pytest.raises(ValueError, match=r"10,001 by 5,000 pixels; .*at most 50,000,000 in all"):
        read_picture(io.BytesIO(declared(10_001, 5_000)))
    with pytest.raises(ValueError, match="damaged or cut off"):  # of this size one can be read
        read_picture(io.BytesIO(declared(10_000, 5_000)))


def test_a_bomb_of_a_picture_is_refused():
    with pytest.raises(ValueError, match=r"is too large a picture: .*400000000 pixels"):
        read_picture(io.BytesIO(declared(20_000, 20_000)))


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
    with pytest.raises(ValueError, match=r"^side must be a whole number of at least 8"):
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


def test_a_picture_is_scaled_as_pillow_scales_it_and_to_the_usual_size_unless_told():
    pixels = np.random.default_rng(0).integers(0, 256, (41, 64, 3), dtype=np.uint8)
    middle = Image.fromarray(pixels[:, 11:52])  # an odd width too many
    expected = np.asarray(middle.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) / np.float32(255)
    np.testing.assert_array_equal(
        read_picture(stored(Image.fromarray(pixels)), side=SIDE), expected
    )
    assert read_picture(stored(middle)).shape == (224, 224, 3)


def test_the_smallest_picture_and_the_thinnest_are_read():
    assert read_picture(stored(Image.new("RGB", (8, 8))), side=8).shape == (8, 8, 3)
    thin = read_picture(stored(Image.new("RGB", (800, 8))), side=8, crop=False)
    assert thin.shape == (1, 8, 3)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 16_384, 65_535]], np.uint16), [0, 63, 255]),
        (np.array([[0, 64, 255]], np.int32), [0, 64, 255]),  # eight bits in a larger box
        (np.array([[-32_768, 32_768, 256]], np.int32), [0, 127, 0]),
        (np.array([[0, 65_536, 131_072]], np.int32), [0, 127, 255]),
        (np.array([[0, 128, 256]], np.int32), [0, 0, 0]),
        (np.array([[0, 64.5, 255]], np.float32), [0, 64, 255]),
        (np.array([[0, 32_768, 65_535]], np.float32), [0, 127, 255]),
    ],
)
def test_grey_values_of_many_bits_keep_their_proportions(values, expected):
    image = Image.fromarray(np.repeat(np.repeat(values, 9, axis=0), 9, axis=1))
    found = read_picture(stored(image, "tiff"), side=27, crop=False) * 255
    assert found.shape == (9, 27, 3)
    np.testing.assert_allclose(found[4, 4::9], np.transpose([expected] * 3), atol=1e-3)


def test_what_is_half_transparent_is_mixed_with_white():
    black = Image.new("LA", (30, 30), (0, 128))
    for image in (black, black.convert("RGBA")):
        assert read_picture(stored(image), side=SIDE).mean() == pytest.approx(0.5, abs=0.01)
    palette = Image.new("P", (30, 30), 0)
    palette.putpalette([255, 0, 0])
    assert read_picture(stored(palette, transparency=0), side=SIDE).min() == 1
    assert read_picture(stored(palette), side=SIDE).mean(axis=(0, 1)).tolist() == [1, 0, 0]


@pytest.mark.parametrize("kind", ["uint8", "int64", "float64"])
@pytest.mark.parametrize(("shape", "channels"), [((8, 8), 1), ((8, 8, 1), 1), ((8, 8, 3), 3)])
def test_pixels_become_fractions_in_one_form(kind, shape, channels):
    most = 1 if kind == "float64" else 255
    pixels = np.zeros((2, *shape), kind)
    pixels[1, 2, 3] = most
    for given in (pixels, list(pixels), tuple(pixels)):
        found = read_pictures(given, side=8, channels=channels)
        assert (found.shape, found.dtype) == ((2, 8, 8, channels), np.float32)
        assert found.sum() == found[1, 2, 3].sum() == channels
    assert read_pictures(pixels[:1].tolist(), side=8, channels=channels).shape[0] == 1


def test_brightness_is_what_the_eye_makes_of_each_colour():
    for colour, share in (("red", 0.299), ("lime", 0.587), ("blue", 0.114), ("white", 1)):
        file = stored(Image.new("RGB", (9, 9), colour))
        grey = read_pictures([file], side=8, channels=1)
        assert grey.mean() == pytest.approx(share)
        assert grey.dtype == np.float32


@pytest.mark.parametrize(
    ("pictures", "said"),
    [
        ([], r"pictures is \[\]; give a list of at least one"),
        (np.zeros((0, 8, 8, 3)), "give a list of at least one"),
        ("photo.png", "'photo.png'; give a list of at least one"),
        (np.float64(3), "give a list of at least one"),
        (None, "pictures is None; give a list"),
        (np.full((1, 8, 8, 3), "a"), "numbers in an array of pictures of one shape"),
        ([np.zeros((8, 8, 3)), np.zeros((8, 9, 3))], "numbers in an array of pictures of one"),
        (np.zeros((2, 8, 8)), r"shape \(2, 8, 8\); it must be \(n, 8, 8\) for .*\(n, 8, 8, 3\)"),
        (np.zeros((2, 9, 8, 3)), r"shape \(2, 9, 8, 3\); it must"),
        (np.zeros((8, 8, 3)), r"shape \(8, 8, 3\); it must"),
        (np.full((1, 8, 8, 3), 256), "int64 must hold numbers from 0 to 255.* hold 256 to 256"),
        (np.full((1, 8, 8, 3), -1), "numbers from 0 to 255.* hold -1 to -1"),
        (np.full((1, 8, 8, 3), 1.5), "float64 must hold numbers from 0 to 1, .* 1.5 to 1.5"),
        (np.full((1, 8, 8, 3), np.nan), "numbers from 0 to 1, .* nan to nan"),
    ],
)
def test_what_is_no_list_of_pictures_is_refused_with_what_it_is(pictures, said):
    with pytest.raises(ValueError, match=said):
        read_pictures(pictures, side=8)


@pytest.mark.parametrize("shape", [(2, 8, 9), (2, 8, 8, 3)])
def test_pictures_of_several_colours_are_not_taken_for_grey_ones(shape):
    with pytest.raises(ValueError, match=r"it must be .*\(n, 8, 8, 1\)"):
        read_pictures(np.zeros(shape), side=8, channels=1)


def test_a_refusal_names_the_file(tmp_path):
    file = tmp_path / "photo.png"
    for content, said in (
        (b"no picture", "is no picture"),
        (declared(20_000, 20_000), "is too large a picture"),
        (declared(4, 900), "has 4 by 900 pixels"),
        (declared(4, 9_000), "has 4 by 9,000 pixels"),
        (stored(Image.effect_noise((99, 99), 50)).getvalue()[:3_000], "is damaged or cut off"),
    ):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=rf"photo\.png {said}"):
            read_picture(file)


def test_a_large_photograph_is_decoded_at_a_fraction_of_its_size(monkeypatch):
    sizes, usual = [], ImageOps.exif_transpose
    monkeypatch.setattr(
        ImageOps, "exif_transpose", lambda image: sizes.append(image.size) or usual(image)
    )
    for kind in ("jpeg", "png"):
        read_picture(stored(Image.new("RGB", (400, 400)), kind), side=48)
    assert sizes == [(100, 100), (400, 400)]  # at least twice as many pixels a side as asked for


@pytest.mark.parametrize("part", ["PIL.Image", "PIL.ImageOps"])
def test_without_pillow_it_is_said_what_to_install(monkeypatch, part):
    monkeypatch.setitem(sys.modules, part, None)
    with pytest.raises(ModuleNotFoundError, match=r"\[data\]"):
        read_picture("photo.png")
