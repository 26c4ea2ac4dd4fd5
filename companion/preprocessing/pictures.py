"""A reader's own photographs, brought to the form that a network takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_whole
from companion._common.extras import import_extra

__all__ = ["read_picture"]

_FEWEST, _MOST = 8, 50_000_000  # pixels a side, and in all


def read_picture(source: str | Path | Any, *, side: int = 224) -> NDArray[np.float32]:
    """Read the middle square of a picture at the size that a network takes.

    A picture of a telephone that lies on its side is turned as its file says. Grey pictures, such
    with a palette, those for print (CMYK) and those of sixteen bits become red, green and blue, and
    what is transparent becomes white.

    Args:
        source: path, or an open file that can be rewound. Any kind of file that Pillow reads; of an
            animation the first picture.
        side: int, at least 8. Height and width of the result. Defaults to `224`.

    Returns:
        A float32 array of shape (side, side, 3) with values from 0 to 1.

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
    short = min(upright.size)
    left, top = ((length - short) // 2 for length in upright.size)
    middle = _three_colours(pillow, upright.crop((left, top, left + short, top + short)))
    square = middle.resize((side, side), pillow.Resampling.BILINEAR)
    return np.asarray(square, dtype=np.float32) / np.float32(255)


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
