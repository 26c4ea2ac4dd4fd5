"""A text of several sentences becomes one sound; what cannot be said is refused."""

from __future__ import annotations

import numpy as np
import pytest

from companion.tasks import SpeechSynthesizer

pytest.importorskip("scipy")


def test_sentences_are_said_with_pauses_of_the_asked_length_between(voice):
    sound = SpeechSynthesizer(sample_rate=8_000, pause=0.5).speak("Hello there.  Is it you?\n\nYes")
    assert voice.heard == ["Hello there.", "Is it you?", "Yes"]
    assert sound.dtype == np.float32
    loud = sound.reshape(-1, 4_000).max(axis=1) > 0  # half seconds
    assert loud.tolist() == [True, True, False] * 2 + [True, True]


@pytest.mark.parametrize(
    "text", ["", " \n", "...", "a" * 1_001, "Yes. " * 5_000, None, ["Yes."], b"Yes."]
)
def test_nothing_to_say_and_too_much_are_refused_before_a_voice_is_loaded(voice, text):
    with pytest.raises(ValueError, match=r"nothing to say|characters|not str"):
        SpeechSynthesizer().speak(text)
    assert voice.heard == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sample_rate": 100}, "sample_rate must be"),
        ({"sample_rate": 16e3}, "sample_rate must be"),
        ({"pause": -1}, "pause must be"),
        ({"pause": float("nan")}, "pause must be"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        SpeechSynthesizer(**settings)


def test_a_voice_of_the_synthesiser_speaks_and_an_unknown_one_is_named():
    pytest.importorskip("espeakng_loader")
    sound = SpeechSynthesizer("en-us+Annie", sample_rate=22_050).speak("Yes.")
    assert 0.2 < len(sound) / 22_050 < 2
    assert 0.05 < np.abs(sound).max() <= 1
    with pytest.raises(ValueError, match="no voice 'Nobody'"):
        SpeechSynthesizer("en-us+Nobody").speak("Yes.")
