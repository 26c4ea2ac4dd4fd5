"""What the commands `companion transcribe` and `companion speak` do."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from companion._common.checking import UsageError
from companion.cli.shared import command_line, note, say

__all__ = ["VOICE", "speak", "transcribe"]

VOICE = "piper-joe"

_RATE = 16_000  # samples a second

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
    # The task `SpeechRecognizer` would load Keras first, for its own small network.
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
    from companion.tasks.speech_synthesizer import SpeechSynthesizer

    _check_target(args.file, force=args.force)
    sound = SpeechSynthesizer(args.voice, sample_rate=_RATE).speak(args.text)
    write_recording(args.file, sound, sample_rate=_RATE, overwrite=args.force)
    say(f"{len(sound) / _RATE:.1f} seconds of speech: {args.file}")
    note(f"next: {command_line('companion', 'transcribe', args.file)}")


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
