"""Sentences spoken by eSpeak NG, a small synthesiser with a hundred voices in a package.

It makes sound by rules, so what it says is labelled, free and synthetic. It runs in a process of
its own that ends after each call: its noise goes on from one sound to the next, and so the same
call gives the same sounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_texts, check_whole, close_to
from companion.data._packaged import read_packaged
from companion.data.recordings import resample

__all__ = ["SpokenPhonemes", "list_voices", "say", "say_phonemes", "to_phonemes"]

_PACKAGE, _DATA = "espeakng_loader", "espeak-ng-data"

_SPEED, _PITCH = 175, 50  # words a minute; from 0 to 99

# Their breath is noise that starts elsewhere in each process.
_BREATHY = {"Alicia", "Demonic", "f2", "f3", "f5", "sandro", "victor", "whisper", "whisperf"}


@dataclass(frozen=True)
class SpokenPhonemes:
    """A sound, and when each of its phonemes begins.

    Attributes:
        sound: float32 array of shape (samples,), from -1 to 1.
        phonemes: list of str, in the letters of the International Phonetic Alphabet; a stressed one
            begins with `ˈ` or `ˌ`, and a pause is an empty string.
        starts: list of float. The second at which each begins.
    """

    sound: NDArray[np.float32]
    phonemes: list[str]
    starts: list[float]


def list_voices() -> tuple[str, ...]:
    """Return the names of the voices that say the same twice.

    A language and a voice together are a speaker, such as `"en-us+Annie"`. The package has nine
    voices more, whose breath differs from call to call.

    Returns:
        A tuple of str in alphabetical order.

    Raises:
        ModuleNotFoundError: The package espeakng-loader is not installed.
        RuntimeError: Its files are missing.

    Example:

    >>> len(list_voices()), list_voices()[:3]
    (95, ('Alex', 'Andrea', 'Andy'))
    """

    def read(path: Path) -> tuple[str, ...]:
        return tuple(sorted({voice.name for voice in path.iterdir()} - _BREATHY))

    return read_packaged(_PACKAGE, f"{_DATA}/voices/!v", read, "packaged")


def say(
    texts: Sequence[str],
    voices: str | Sequence[str] = "en-us",
    *,
    words_per_minute: int | Sequence[int] = 175,
    pitch: int | Sequence[int] = 50,
    sample_rate: int = 16_000,
) -> list[NDArray[np.float32]]:
    """Let a synthesiser speak.

    Args:
        texts: sequence of str. What is to be said.
        voices: str, or one for each text. A language, such as `"en-us"`, or a language with one of
            `list_voices`, such as `"en-us+Annie"`. Defaults to `"en-us"`.
        words_per_minute: int from 80 to 450, or one for each text. Defaults to `175`.
        pitch: int from 0 to 99, or one for each text. Defaults to `50`.
        sample_rate: int. Samples a second of the sounds. Defaults to `16_000`.

    Returns:
        A list of float32 arrays of shape (samples,), from -1 to 1. The same call gives the same
        sounds; the same text later in a call may sound a little different.

    Raises:
        ValueError: A text is empty, a voice is unknown, a number is out of range, or there is not
            one setting for each text.
        ModuleNotFoundError: The package espeakng-loader is not installed.
        RuntimeError: Its files are missing, or the synthesiser fails.

    Example:

    >>> import numpy as np
    >>> (sound,) = say(["Cancel my order."], "en-us+Annie")
    >>> bool(np.abs(sound).max() > 0.1)
    True
    """
    lines = _lines(texts, voices, words_per_minute, pitch)
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    head, _, sound = _run(lines).partition(b"\n")
    rate, *lengths = json.loads(head)
    return _split(sound, rate, lengths, sample_rate)


def say_phonemes(
    texts: Sequence[str], voice: str = "en-us", *, sample_rate: int = 16_000
) -> list[SpokenPhonemes]:
    """Let a synthesiser speak, and tell when it says which phoneme.

    Args:
        texts: sequence of str. What is to be said.
        voice: str. A language, or a language and a voice, as in `say`. Defaults to `"en-us"`.
        sample_rate: int. Samples a second of the sounds. Defaults to `16_000`.

    Returns:
        A list of `SpokenPhonemes`.

    Raises:
        ValueError: A text is empty, or the voice is unknown.
        ModuleNotFoundError: The package espeakng-loader is not installed.
        RuntimeError: Its files are missing, or the synthesiser fails.

    Example:

    >>> (spoken,) = say_phonemes(["Yes."])
    >>> spoken.phonemes[:3], 0.1 < spoken.starts[2] < 0.4
    (['j', 'ˈɛ', 's'], True)
    """
    lines = _lines(texts, voice, _SPEED, _PITCH)
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    head, _, sound = _run(lines, "timed").partition(b"\n")
    rate, *lengths, times = json.loads(head)
    return [
        SpokenPhonemes(part, [name for name, _ in row], [start / rate for _, start in row])
        for part, row in zip(_split(sound, rate, lengths, sample_rate), times, strict=True)
    ]


def to_phonemes(texts: Sequence[str], voice: str = "en-us") -> list[str]:
    """Return how texts are pronounced, in the letters of the International Phonetic Alphabet.

    Args:
        texts: sequence of str. What is to be said.
        voice: str. A language, as in `say`. Defaults to `"en-us"`.

    Returns:
        A list of str.

    Raises:
        ValueError: The language is unknown.
        ModuleNotFoundError: The package espeakng-loader is not installed.

    Example:

    >>> to_phonemes(["Cancel my order."])
    ['kˈænsəl maɪ ˈɔːɹdɚ']
    """
    list_voices()  # says what to install
    lines: list[list[object]] = [[text, voice] for text in check_texts(texts)]
    return list(json.loads(_run(lines, "phonemes")))


def _for_each(values: object, number: int, name: str) -> list[object]:
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray):
        return [values] * number
    found = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if len(found) != number:
        raise ValueError(f"{name} must be one, or one for each of the {number} texts: {len(found)}")
    return found


def _lines(
    texts: Sequence[str], voices: object, speed: object, pitch: object
) -> list[list[object]]:
    """Return a line for each text that the synthesiser may be given, or say what is wrong."""
    texts = check_texts(texts)
    speakers = _for_each(voices, len(texts), "voices")
    rates = _for_each(speed, len(texts), "words_per_minute")
    pitches = _for_each(pitch, len(texts), "pitch")
    known = set(list_voices())
    for speaker in set(speakers):
        variant = str(speaker).partition("+")[2]
        if variant and variant not in known:
            raise ValueError(f"There is no voice {variant!r}; {close_to(variant, known)}")
    for name, values, low, high in (
        ("words_per_minute", rates, 80, 450),
        ("pitch", pitches, 0, 99),
    ):
        for value in set(values):
            if not low <= check_whole(value, name, least=0) <= high:
                raise ValueError(f"{name} must be from {low} to {high}, not {value}.")
    for text in texts:
        if not text.strip() or "\0" in text:
            raise ValueError(f"There is nothing to say in {text!r}; give words.")
    return [list(row) for row in zip(texts, speakers, rates, pitches, strict=True)]


def _split(
    sound: bytes, rate: int, lengths: list[int], sample_rate: int
) -> list[NDArray[np.float32]]:
    parts = np.split(np.frombuffer(sound, "<i2"), np.cumsum(lengths)[:-1])
    return [resample(part / 32_768, rate, sample_rate) for part in parts]


def _run(lines: list[list[object]], *arguments: str) -> bytes:
    worker = Path(__file__).with_name("_espeak.py")
    command = [sys.executable, "-I", str(worker), *arguments]
    done = subprocess.run(
        command, input=json.dumps(lines).encode(), capture_output=True, check=False
    )
    if done.returncode:
        message = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
        wrong = ValueError if done.returncode == 2 else RuntimeError
        raise wrong(f"eSpeak NG failed: {' '.join(message) or f'exit code {done.returncode}'}")
    return done.stdout
