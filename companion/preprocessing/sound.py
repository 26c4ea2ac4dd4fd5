"""Sound as a picture of its pitches over time: the log-mel spectrogram."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole
from companion.data.recordings import check_samples

__all__ = ["cut_at_pauses", "log_mel", "log_mels", "mel_filters"]

_LINEAR_HZ, _PER_MEL, _PER_OCTAVE = 1_000.0, 200 / 3, np.log(6.4) / 27  # Slaney's mel scale


def mel_filters(
    num_bands: int = 80, *, sample_rate: int = 16_000, window: int = 400
) -> NDArray[np.float64]:
    """Return the weights that gather frequencies into bands as wide as the ear's.

    Up to 1,000 Hz the bands are equally wide, and above each is wider than the one before by the
    same factor. Each is a triangle whose area is one.

    Args:
        num_bands: int. Number of bands. Defaults to `80`.
        sample_rate: int. Samples a second. Defaults to `16_000`.
        window: int. Samples in the piece whose frequencies are measured. Defaults to `400`.

    Returns:
        A float64 array of shape (num_bands, window // 2 + 1).

    Raises:
        ValueError: A number is too small.

    Example:

    >>> mel_filters(80).shape
    (80, 201)

    Reference:
        Slaney, 1998 (Auditory Toolbox).
    """
    num_bands = check_whole(num_bands, "num_bands", least=1)
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    window = check_whole(window, "window", least=16)
    frequencies = np.fft.rfftfreq(window, 1 / sample_rate)
    edges = _hertz(np.linspace(0, _mel(sample_rate / 2), num_bands + 2))
    low, middle, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (frequencies - low) / (middle - low)
    falling = (high - frequencies) / (high - middle)
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.asarray(triangles * 2 / (high - low), np.float64)


def log_mel(
    samples: ArrayLike, num_bands: int = 80, *, sample_rate: int = 16_000
) -> NDArray[np.float32]:
    """Return how loud each band of pitches is, a hundred times a second.

    Pieces of 25 ms are weighted by Hann's window, and the squares of their Fourier transforms are
    gathered by `mel_filters`. The result is the logarithm to base 10, at least -10.

    Args:
        samples: array of shape (samples,), from -1 to 1.
        num_bands: int. Number of bands. Defaults to `80`.
        sample_rate: int. Samples a second. Defaults to `16_000`.

    Returns:
        A float32 array of shape (frames, num_bands), with one frame for each 10 ms begun.

    Raises:
        ValueError: There is no sound, it has several channels or holds values that are no numbers.

    Example:

    >>> import numpy as np
    >>> log_mel(np.zeros(16_000)).shape
    (100, 80)
    """
    sound = check_samples(samples)
    window, hop = sample_rate // 40, sample_rate // 100
    filters = mel_filters(num_bands, sample_rate=sample_rate, window=window).T
    padded = np.pad(sound, (window // 2, window), mode="reflect" if len(sound) > 1 else "edge")
    starts = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    frames = starts[: -(-len(sound) // hop)]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    found = np.empty((len(frames), num_bands), np.float32)
    for i in range(0, len(frames), 4_096):  # half an hour fits into the memory
        power = np.abs(np.fft.rfft(frames[i : i + 4_096] * hann)) ** 2
        found[i : i + 4_096] = np.log10(np.maximum(power @ filters, 1e-10))
    return found


def log_mels(
    sounds: Sequence[ArrayLike], num_frames: int, num_bands: int = 80, *, sample_rate: int = 16_000
) -> NDArray[np.float32]:
    """Return spectrograms of one length, relative to the loudest point of each, for a network.

    Args:
        sounds: sequence of arrays of shape (samples,), from -1 to 1, of at most `num_frames` frames
            of 10 ms.
        num_frames: int. Frames of each; a shorter sound is padded with silence.
        num_bands: int. Number of bands. Defaults to `80`.
        sample_rate: int. Samples a second. Defaults to `16_000`.

    Returns:
        A float32 array of shape (sounds, num_frames, num_bands): 1 is as loud as the loudest point,
        and -1 is at least eight powers of ten below it.

    Example:

    >>> import numpy as np
    >>> log_mels([np.ones(800)], num_frames=8, num_bands=2).shape
    (1, 8, 2)
    """
    table = np.full((len(sounds), num_frames, num_bands), -1, np.float32)
    for row, sound in zip(table, sounds, strict=True):
        mel = log_mel(sound, num_bands, sample_rate=sample_rate)
        row[: len(mel)] = np.maximum(mel - mel.max(), -8) / 4 + 1
    return table


def cut_at_pauses(
    samples: NDArray[np.float32], *, seconds: float, search: float, sample_rate: int = 16_000
) -> list[NDArray[np.float32]]:
    """Cut a sound into pieces of a length that a network can hear, where it is quietest.

    Args:
        samples: float array of shape (samples,).
        seconds: float. The most that a piece may last.
        search: float of at least 0.1, below `seconds`. How long before that time the quietest tenth
            of a second is looked for.
        sample_rate: int. Samples a second. Defaults to `16_000`.

    Returns:
        A list of float arrays, the pieces in their order; together they are the whole sound.

    Example:

    >>> import numpy as np
    >>> sound = np.ones(40_000, np.float32)
    >>> sound[30_000:32_000] = 0  # a pause
    >>> [len(piece) for piece in cut_at_pauses(sound, seconds=2.0, search=0.5)]
    [31200, 8800]
    """
    tenth, most = sample_rate // 10, int(seconds * sample_rate)
    look = tenth * max(1, int(10 * search))
    pieces, rest = [], samples
    while len(rest) > most:
        power = (rest[most - look : most].reshape(-1, tenth) ** 2).sum(axis=1)
        end = most - look + (2 * int(power.argmin()) + 1) * tenth // 2  # the middle of that tenth
        pieces.append(rest[:end])
        rest = rest[end:]
    return [*pieces, rest]


def _mel(hertz: float) -> float:
    if hertz < _LINEAR_HZ:
        return hertz / _PER_MEL
    return float(_LINEAR_HZ / _PER_MEL + np.log(hertz / _LINEAR_HZ) / _PER_OCTAVE)


def _hertz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    corner = _LINEAR_HZ / _PER_MEL
    above = _LINEAR_HZ * np.exp(_PER_OCTAVE * (np.maximum(mel, corner) - corner))
    return np.where(mel < corner, mel * _PER_MEL, above)
