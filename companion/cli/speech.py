"""What the command `companion transcribe` does."""

from __future__ import annotations

import argparse

from companion.cli.shared import note, say

__all__ = ["transcribe"]

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
