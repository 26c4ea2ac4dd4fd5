"""Compares a picture with the stored one, as its words do not tell where its pixels stand.

Both are shrunk to small grey thumbnails, so that another processor's last digits and another
system's fonts change little, and a swapped, mirrored or moved picture changes much.
"""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

THUMBNAIL = 48  # pixels a side
# Shades from 0 to 1. Measured on the book's pictures: every mirror image is at least 0.25 away in
# some pixel of the thumbnail, other processors' pictures at most 0.15. Where later points of a
# training may differ, its lines and their labels move, but over all pixels the mean stays below
# 0.008, and that of a mirror image is at least 0.026. Where no point is told, as with pictures of
# trained weights, only quite another picture is found.
MAX_DIFFERENCE = 0.2
MAX_MEAN_DIFFERENCE_SOME_STABLE = 0.015
MAX_MEAN_DIFFERENCE_NONE_STABLE = 0.05


def thumbnail(png: str) -> tuple[tuple[int, int], np.ndarray[Any, Any]]:
    """The size of a picture in base64, and its thumbnail of shades from 0 to 1."""
    image = Image.open(io.BytesIO(base64.b64decode(png)))
    small = image.convert("L").resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
    return image.size, np.asarray(small, dtype=float) / 255


def pictures(outputs: Any) -> list[str]:
    return [data["image/png"] for o in outputs if "image/png" in (data := o.get("data", {}))]


def differences(source: str, stored: Any, shown: Any, *, compare: bool = True) -> list[str]:
    """One line for each stored picture of a cell that a new run shows otherwise."""
    old, new = pictures(stored), pictures(shown)
    if len(old) != len(new):
        return [f"stores {len(old)} pictures, a run shows {len(new)}"]
    lines = [_difference(*pair, source, compare=compare) for pair in zip(old, new, strict=True)]
    return [line for line in lines if line]


def same_pictures(source: str, stored: Any, shown: Any) -> list[tuple[Any, Any]]:
    """The outputs (stored, shown) whose pictures look the same and have the same words."""
    old, new = (
        [o for o in outputs if "image/png" in o.get("data", {})] for outputs in (stored, shown)
    )
    if len(old) != len(new):
        return []
    return [
        (a, b)
        for a, b in zip(old, new, strict=True)
        if a["data"].get("text/plain") == b["data"].get("text/plain")
        and not differences(source, [a], [b])
    ]


def _difference(stored: str, shown: str, source: str, *, compare: bool) -> str:
    try:
        (old_size, old), (new_size, new) = thumbnail(stored), thumbnail(shown)
    except UnidentifiedImageError:
        return "" if stored == shown else "stores something that is no picture"
    if old_size != new_size:
        return f"stores a picture of {old_size} pixels, a run shows one of {new_size}"
    apart = np.abs(old - new)
    stable = re.search(r"\bstable=(\d*)", source)
    if stable and stable[1] == "0":
        found, most = apart.mean(), MAX_MEAN_DIFFERENCE_NONE_STABLE
    elif stable:
        found, most = apart.mean(), MAX_MEAN_DIFFERENCE_SOME_STABLE
    else:
        found, most = apart.max(), MAX_DIFFERENCE
    if compare and found > most:
        return f"stores another picture than a run shows: shades differ by {found:.3f} > {most}"
    return ""
