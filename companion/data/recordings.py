"""A reader's own recordings, brought to one channel and one rate."""

from __future__ import annotations

import io
import os
import wave
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import UsageError, check_whole
from companion._common.extras import import_extra
from companion._common.files import write_atomically

__all__ = ["check_samples", "read_recording", "resample", "wav_bytes", "write_recording"]

_MOST_SECONDS, _BLOCK = 4 * 3600, 2**18  # frames read at a time


def read_recording(source: str | Path | Any, *, sample_rate: int = 16_000) -> NDArray[np.float32]:
    """Read a recording as one channel at the rate that a recogniser takes.

    WAV, FLAC, OGG and MP3 files of any rate and depth can be read. Several channels become their
    mean. Half an hour takes a few hundred megabytes of memory while it is read.

    Args:
        source: path, or an open binary file that can be rewound.
        sample_rate: int, at least 1,000. Samples a second of the result. Defaults to `16_000`.

    Returns:
        A float32 array of shape (samples,), about from -1 to 1.

    Raises:
        ValueError: It is no recording, is empty, is cut off, holds values that are no numbers, or
            is longer than four hours; or `sample_rate` is too low.
        OSError: The file cannot be opened.
        ModuleNotFoundError: The package soundfile is not installed.

    Example:

    >>> import io, soundfile
    >>> import numpy as np
    >>> file = io.BytesIO()
    >>> soundfile.write(file, np.zeros((8_000, 2)), 8_000, format="WAV", subtype="PCM_24")
    >>> read_recording(file).shape  # a second of silence in stereo
    (16000,)
    """
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    soundfile = import_extra("soundfile", "data")
    if isinstance(source, str | Path):
        with Path(source).open("rb") as file:
            return _read(soundfile, file, str(source), sample_rate)
    return _read(soundfile, source, "The recording", sample_rate)


def check_samples(samples: ArrayLike) -> NDArray[np.float64]:
    """Return samples of one channel as an array, or say what is wrong with them.

    Args:
        samples: array of shape (samples,).

    Returns:
        A float64 array of the same shape.

    Raises:
        ValueError: There is no sound, it has several channels or holds values that are no numbers.

    Example:

    >>> check_samples([0, 1])
    array([0., 1.])
    """
    try:
        sound = np.asarray(samples, np.float64)
    except (TypeError, ValueError):  # texts, or rows of different lengths
        sound = np.empty(0)
    if sound.ndim != 1 or not len(sound) or not np.isfinite(sound).all():
        raise UsageError(
            f"samples must be finite numbers of shape (samples,), not of shape {sound.shape}; "
            "average the channels first."
        )
    return sound


def wav_bytes(samples: ArrayLike, *, sample_rate: int = 16_000) -> bytes:
    """Return a WAV file of one channel with 16 bits a sample.

    Args:
        samples: array of shape (samples,), from -1 to 1; what is louder is clipped.
        sample_rate: int, at least 1,000. Samples a second. Defaults to `16_000`.

    Returns:
        Bytes.

    Raises:
        ValueError: There is no sound, it has several channels or holds values that are no numbers.

    Example:

    >>> import numpy as np
    >>> len(wav_bytes(np.zeros(100)))  # a header of 44 bytes
    244
    """
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    sound = check_samples(samples)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(sample_rate)
        writer.writeframes(np.round(sound.clip(-1, 1) * 32_767).astype("<i2").tobytes())
    return file.getvalue()


def write_recording(
    path: str | Path, samples: ArrayLike, *, sample_rate: int = 16_000, overwrite: bool = False
) -> None:
    """Write a sound to a WAV file.

    Args:
        path: path of the file.
        samples: array of shape (samples,), from -1 to 1; what is louder is clipped.
        sample_rate: int, at least 1,000. Samples a second. Defaults to `16_000`.
        overwrite: bool. Whether a file of that name is replaced. Defaults to `False`.

    Raises:
        ValueError: There is no sound, it has several channels or holds values that are no numbers.
        FileExistsError: There is such a file, and `overwrite` is not set; it stays as it was.
        OSError: The folder is missing or cannot be written.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_recording(Path(folder, "a.wav"), np.zeros(8_000))
    ...     len(read_recording(Path(folder, "a.wav")))
    8000
    """
    content = wav_bytes(samples, sample_rate=sample_rate)
    if not overwrite and os.path.lexists(path):
        raise FileExistsError(f"{path} exists already; overwrite=True replaces it.")
    write_atomically(Path(path), content)


def resample(samples: NDArray[Any], sample_rate: int, new_rate: int) -> NDArray[np.float32]:
    """Return the same sound with another number of samples a second.

    What is too high for the new rate is filtered out before, or it would be heard as another tone.

    Args:
        samples: array of shape (samples,).
        sample_rate: int. Samples a second of the array.
        new_rate: int. Samples a second of the result.

    Returns:
        A float32 array of shape (samples * new_rate / sample_rate,), rounded up.

    Example:

    >>> import numpy as np
    >>> resample(np.ones(44_100), 44_100, 16_000).shape
    (16000,)
    """
    if sample_rate == new_rate:
        return np.asarray(samples, np.float32)
    signal = import_extra("scipy.signal", "data")
    common = int(np.gcd(sample_rate, new_rate))
    found = signal.resample_poly(
        np.asarray(samples, np.float64), new_rate // common, sample_rate // common
    )
    return np.asarray(found, np.float32)


def _read(soundfile: Any, file: Any, name: str, sample_rate: int) -> NDArray[np.float32]:
    file.seek(0)
    head = file.read(12)
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    if not size:
        raise ValueError(f"{name} is empty; give a file that holds sound.")
    promised = int.from_bytes(head[4:8], "little") + 8
    streamed = promised in (8, 2**32 + 7)  # a program that wrote it without going back
    if head[:4] == b"RIFF" and head[8:] == b"WAVE" and promised > size and not streamed:
        raise ValueError(
            f"{name} is cut off: it has {size:,} bytes and says {promised:,}. Copy it again."
        )
    try:
        with soundfile.SoundFile(file) as sound:
            return _samples(sound, name, sample_rate)
    except soundfile.LibsndfileError as error:
        raise ValueError(
            f"{name} is no recording that can be read, or is damaged ({error}); give a WAV, FLAC, "
            "OGG or MP3 file."
        ) from error


def _samples(sound: Any, name: str, sample_rate: int) -> NDArray[np.float32]:
    seconds = sound.frames / sound.samplerate
    if seconds > _MOST_SECONDS:
        raise ValueError(
            f"{name} lasts {seconds / 3600:,.1f} hours; at most {_MOST_SECONDS // 3600} can be "
            "read. Cut it into parts."
        )
    blocks = sound.blocks(blocksize=_BLOCK, dtype="float32", always_2d=True)
    means = [block.mean(axis=1) for block in blocks]
    samples = np.concatenate(means) if means else np.zeros(0, np.float32)
    if not len(samples):
        raise ValueError(f"{name} holds no sound; give a file with at least one sample.")
    if not np.isfinite(samples).all():
        raise ValueError(f"{name} holds values that are no numbers; export it again as 16 bits.")
    return resample(samples, sound.samplerate, sample_rate)
