"""The synthesiser says the same twice, hears its settings and refuses what it does not know."""

from __future__ import annotations

import numpy as np
import pytest

from companion import data

pytest.importorskip("espeakng_loader")


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    rates, pitches = [175, 350, 175, 175], [50, 50, 50, 99]
    speakers = ["en-us+Annie", "en-us+Annie", "en-us+Andy", "en-us+Annie"]
    return data.say(["Cancel my order."] * 4, speakers, words_per_minute=rates, pitch=pitches)


def test_the_same_call_gives_the_same_sound_and_another_voice_another(sounds) -> None:
    (again,) = data.say(["Cancel my order."], "en-us+Annie")
    assert np.array_equal(again, sounds[0])
    assert not np.array_equal(sounds[2][:1_000], sounds[0][:1_000])


def test_twice_the_speed_is_shorter(sounds) -> None:
    assert 0.3 < len(sounds[1]) / len(sounds[0]) < 0.8


def test_every_voice_of_the_list_speaks() -> None:
    names = data.list_voices()
    spoken = data.say(["yes"] * len(names), [f"en+{name}" for name in names])
    assert min(np.abs(sound).max() for sound in spoken) > 0.05
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"voices": "en-us+Nobody"}, "no voice 'Nobody'"),
        ({"voices": "qq"}, "no voice or language 'qq'"),
        ({"voices": ["en-us", "en"]}, "one for each of the 1 texts: 2"),
        ({"words_per_minute": 20}, "from 80 to 450, not 20"),
        ({"pitch": 120}, "from 0 to 99, not 120"),
    ],
)
def test_what_it_does_not_know_is_refused(settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.say(["yes"], **settings)


@pytest.mark.parametrize("texts", [[], [" "], [""], ["yes\0no"], "yes"])
def test_nothing_to_say_is_refused(texts) -> None:
    with pytest.raises(ValueError, match=r"texts|nothing to say"):
        data.say(texts)


def test_phonemes_are_those_of_the_words() -> None:
    assert data.to_phonemes(["yes", "yes"]) == ["jˈɛs", "jˈɛs"]


def test_each_phoneme_has_its_time_and_the_sound_is_what_is_said_without_times() -> None:
    first, second = data.say_phonemes(["Cancel my order, please.", "Yes"])
    assert "".join(second.phonemes) == "jˈɛs"
    assert {"k", "m", "d", "p"} <= set(first.phonemes)
    for spoken in (first, second):
        assert len(spoken.phonemes) == len(spoken.starts)
        assert spoken.starts == sorted(spoken.starts)
        assert spoken.starts[-1] <= len(spoken.sound) / 16_000
    assert np.array_equal(first.sound, data.say(["Cancel my order, please."])[0])


@pytest.mark.parametrize(
    ("texts", "voice", "message"), [([""], "en-us", "nothing"), (["yes"], "qq", "language 'qq'")]
)
def test_phonemes_with_times_are_refused_as_sounds_are(texts, voice, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        data.say_phonemes(texts, voice)
