"""A reader's own photographs, brought to the form that a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import UsageError, check_whole
from companion._common.extras import import_extra

__all__ = ["read_picture", "read_pictures"]

_FEWEST, _MOST = 8, 50_000_000  # pixels a side, and in all

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # how bright red, green and blue are to the eye


def read_picture(
    source: str | Path | Any, *, side: int = 224, crop: bool = True
) -> NDArray[np.float32]:
    """Read the middle square of a picture at the size that a network takes.

    A picture of a telephone that lies on its side is turned as its file says. Grey pictures, such
    with a palette, those for print (CMYK) and those of sixteen bits become red, green and blue, and
    what is transparent becomes white.

    Args:
        source: path, or an open file that can be rewound. Any kind of file that Pillow reads; of an
            animation the first picture.
        side: int, at least 8. Height and width of the result. Defaults to `224`.
        crop: bool. If not, the whole picture is kept, and made smaller where one of its sides is
            longer than `side`. Defaults to `True`.

    Returns:
        A float32 array of shape (side, side, 3), or (height, width, 3), with values from 0 to 1.

    Raises:
        ValueError: It is no picture, is cut off, has fewer than 8 pixels a side or more than 50
            million in all, or `side` is too small.
        OSError: The file cannot be opened.
        ModuleNotFoundError: Pillow is not installed.

    Example:

    >>> import io
    >>> from PIL import Image
    >>> file = io.BytesIO()
    >>> Image.new("L", (40, 30), 255).save(file, "png")
    >>> picture = read_picture(file, side=16)
    >>> picture.shape, float(picture.min())
    ((16, 16, 3), 1.0)
    """
    side = check_whole(side, "side", least=_FEWEST)
    pillow, operations = import_extra("PIL.Image", "data"), import_extra("PIL.ImageOps", "data")
    try:
        image = pillow.open(source)
    except pillow.DecompressionBombError as error:
        raise ValueError(f"{source} is too large a picture: {error}") from error
    except pillow.UnidentifiedImageError as error:
        raise ValueError(
            f"{source} is no picture that Pillow can read; give a PNG or JPEG file, for example."
        ) from error
    with image:
        _check_size(source, *image.size)
        if image.format == "JPEG":
            image.draft("RGB", (2 * side, 2 * side))  # decodes a large photo at a fraction of it
        try:
            upright = operations.exif_transpose(image)
        except (OSError, SyntaxError) as error:  # as Pillow calls a file that ends too early
            raise ValueError(f"{source} is damaged or cut off ({error}).") from error
    size = (side, side)
    if crop:
        short = min(upright.size)
        left, top = ((length - short) // 2 for length in upright.size)
        upright = upright.crop((left, top, left + short, top + short))
    else:
        scale = min(1, side / max(upright.size))
        size = tuple(max(1, round(length * scale)) for length in upright.size)
    scaled = _three_colours(pillow, upright).resize(size, pillow.Resampling.BILINEAR)
    return np.asarray(scaled, dtype=np.float32) / np.float32(255)


def read_pictures(
    pictures: Sequence[Any] | NDArray[Any], *, side: int, channels: int = 3
) -> NDArray[np.float32]:
    """Bring files or pixels to the one form that a network takes.

    Args:
        pictures: list of files, each as for `read_picture`, of which the middle square is read; or
            array, or list of arrays, of shape (n, side, side) for grey pictures or (n, side, side,
            channels), with fractions from 0 to 1 or whole numbers from 0 to 255.
        side: int, at least 8. Height and width of the result.
        channels: int. 1 for brightness only, or 3 for red, green and blue. Defaults to `3`.

    Returns:
        A float32 array of shape (n, side, side, channels) with values from 0 to 1.

    Raises:
        ValueError: A file is no picture, an array has another shape or holds something else, or
            there is none.
        OSError: A file cannot be opened.

    Example:

    >>> import numpy as np
    >>> read_pictures(np.full((2, 8, 8), 255), side=8, channels=1).shape
    (2, 8, 8, 1)
    """
    listed = isinstance(pictures, list | tuple | np.ndarray) and np.iterable(pictures)
    if not listed or not len(pictures):
        raise UsageError(f"pictures is {pictures!r}; give a list of at least one: [picture].")
    if not any(isinstance(one, np.ndarray | list | tuple) for one in pictures):
        files = np.stack([read_picture(file, side=side) for file in pictures])
        return files if channels == 3 else files @ _GREY[:, None]
    return _checked_pixels(pictures, (side, side, channels))


def _checked_pixels(pictures: Any, shape: tuple[int, int, int]) -> NDArray[np.float32]:
    try:
        array = np.asarray(pictures)
    except ValueError:  # as NumPy calls rows of different lengths
        array = np.empty(0, object)
    if array.dtype.kind not in "fiu":
        raise UsageError("pictures must be files, or numbers in an array of pictures of one shape.")
    if array.shape[1:] == shape[:2] and shape[2] == 1:
        array = array[..., None]
    if array.shape[1:] != shape:
        raise UsageError(
            f"pictures have the shape {array.shape}; it must be (n, {shape[0]}, {shape[1]}) for "
            f"grey ones or (n, {', '.join(map(str, shape))}). Scale them, or set side and channels."
        )
    most = 1 if array.dtype.kind == "f" else 255
    if not ((array >= 0) & (array <= most)).all():  # the negation also catches nan
        raise UsageError(
            f"pictures of the dtype {array.dtype} must hold numbers from 0 to {most}, and these "
            f"hold {array.min()} to {array.max()}. Divide them first."
        )
    return (array / most).astype(np.float32)


def _check_size(source: object, width: int, height: int) -> None:
    if min(width, height) < _FEWEST or width * height > _MOST:
        raise ValueError(
            f"{source} has {width:,} by {height:,} pixels; at least {_FEWEST} a side and at most "
            f"{_MOST:,} in all can be read. Crop or scale it first."
        )


def _three_colours(pillow: Any, image: Any) -> Any:
    if image.mode.startswith(("I", "F")):  # 16 or more bits a pixel, which convert() would clip
        values = np.asarray(image, dtype=np.float64)
        most = 255 if values.max() <= 255 else max(65_535, values.max())
        image = pillow.fromarray((values.clip(0) * (255 / most)).astype(np.uint8))
    if image.mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        image = image.convert("RGBA")
        white = pillow.new("RGBA", image.size, "white")
        image = pillow.alpha_composite(white, image)
    return image.convert("RGB")
