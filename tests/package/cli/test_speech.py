"""A recording is written down; what is no recording is refused in a sentence."""

from __future__ import annotations

import numpy as np
import pytest

from companion.models.pretrained import speech

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("scipy")


class Recognizer:
    """Hears two pieces, the second of which it doubts."""

    def transcribe(self, samples):
        """Returns two pieces of a recording of 40 seconds."""
        assert len(samples) == 40 * 16_000
        return [
            speech.Transcript("Where is my parcel?", 28.0, -0.2, 0.01),
            speech.Transcript("you", 12.0, -1.0, 0.9),
        ]


def test_each_piece_is_a_line_and_a_doubted_one_is_noted(run, tmp_path, monkeypatch):
    monkeypatch.setattr(speech, "load_speech_recognizer", Recognizer)
    call = tmp_path / "call.wav"
    soundfile.write(call, np.zeros((40 * 8_000, 2)), 8_000)
    code, out, err = run("transcribe", call)
    assert (code, out) == (0, "Where is my parcel?\nyou\n")
    assert "from second 28 on, perhaps nobody speaks" in err


def test_a_file_that_is_no_recording_is_named(run, tmp_path):
    call = tmp_path / "call.wav"
    call.write_bytes(b"")
    code, _, err = run("transcribe", call)
    assert code == 2
    assert "call.wav is empty" in err


def test_a_file_that_is_not_there_fails_with_its_name(run, tmp_path):
    code, _, err = run("transcribe", tmp_path / "nowhere.wav")
    assert code == 1
    assert "nowhere.wav" in err
