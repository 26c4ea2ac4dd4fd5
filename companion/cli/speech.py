"""What the commands `companion transcribe` and `companion speak` do."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Any

from companion._common.checking import UsageError
from companion.cli.shared import command_line, note, say, shorten

__all__ = ["VOICE", "speak", "transcribe"]

VOICE = "piper-joe"

_RATE, _PAUSE = 16_000, 0.3  # samples a second; seconds of silence between sentences

_MOST, _LONGEST = 20_000, 1_000  # characters of the text, and of a sentence

_DOUBT = 0.6  # the recogniser's own probability that nobody speaks


def transcribe(args: argparse.Namespace) -> None:
    """Writes down what is said in a recording of English speech.

    Args:
        args: Parsed arguments: `file`.

    Raises:
        ValueError: If the file is no recording, is empty or is cut off.
        OSError: If the file cannot be opened.
    """
    from companion.data.recordings import read_recording
    from companion.models.pretrained.speech import load_speech_recognizer

    samples = read_recording(args.file)
    begin = 0.0
    for piece in load_speech_recognizer().transcribe(samples):
        if piece.no_speech > _DOUBT:
            note(f"note: from second {begin:.0f} on, perhaps nobody speaks.")
        say(piece.text)
        begin += piece.seconds


def speak(args: argparse.Namespace) -> None:
    """Says an English text and writes the sound to a WAV file.

    Args:
        args: Parsed arguments: `text`, `file`, `voice`, `force`.

    Raises:
        ValueError: If there is nothing to say, the text is too long, the file's name does not end
            in .wav, or there is no such voice.
        OSError: If the file exists, or cannot be written.
    """
    from companion.data.recordings import write_recording

    sentences = _sentences(args.text)
    _check_target(args.file, force=args.force)
    sound = _spoken(sentences, args.voice)
    write_recording(args.file, sound, sample_rate=_RATE, overwrite=args.force)
    say(f"{len(sound) / _RATE:.1f} seconds of speech: {args.file}")
    note(f"next: {command_line('companion', 'transcribe', args.file)}")


def _sentences(text: str) -> list[str]:
    """Return the sentences, or say why they cannot be spoken."""
    if len(text) > _MOST:
        raise UsageError(f"the text has {len(text):,} characters; give at most {_MOST:,} at once.")
    found = [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text)]
    sentences = [part for part in found if re.search(r"\w", part)]
    if not sentences:
        raise UsageError(f"there is nothing to say in {shorten(text, 40)!r}; give words.")
    longest = max(sentences, key=len)
    if len(longest) > _LONGEST:
        raise UsageError(
            f"a sentence has {len(longest):,} characters, from {shorten(longest, 40)!r} on; end "
            f"sentences with a full stop, after {_LONGEST:,} at the latest."
        )
    return sentences


def _check_target(file: Path, *, force: bool) -> None:
    """Refuse a file that cannot be written, before a voice is loaded."""
    if file.suffix.lower() != ".wav":
        raise UsageError(f"{file} does not end in .wav, the only format that is written.")
    if file.is_dir():
        raise IsADirectoryError(f"{file} is a folder; name a file in it.")
    if os.path.lexists(file) and not force:
        raise FileExistsError(f"{file} exists already; --force replaces it.")
    if not file.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {file.parent}; make it first.")
    if not os.access(file.parent, os.W_OK):
        raise PermissionError(f"the folder {file.parent} cannot be written; choose another.")


def _spoken(sentences: list[str], voice: str) -> Any:
    import numpy as np

    from companion.data import voices
    from companion.models.pretrained import voices as neural

    if voice == VOICE:
        sounds = neural.load_voice(voice).say(sentences, sample_rate=_RATE)
    else:
        sounds = voices.say(sentences, voice, sample_rate=_RATE)
    silence = np.zeros(round(_PAUSE * _RATE), np.float32)
    parts = [piece for sound in sounds for piece in (sound, silence)]
    return np.concatenate(parts[:-1])
