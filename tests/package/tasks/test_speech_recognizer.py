"""A closed list of words is learned from whole recordings, and any recording can be heard."""

from __future__ import annotations

import json

import numpy as np
import pytest

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("scipy")

pytestmark = pytest.mark.tensorflow

PITCHES = {"low": 250, "middle": 1_000, "high": 4_000}  # three words of a language of whistles


def whistle(text, noise=0.01, seed=0):
    """Returns a sound of 0.2 seconds a word, with pauses of 0.1 seconds."""
    time = np.arange(3_200) / 16_000
    pause = np.zeros(1_600)
    parts = [pause]
    for word in text.split():
        parts += [0.5 * np.sin(2 * np.pi * PITCHES[word] * time), pause]
    sound = np.concatenate(parts)
    rng = np.random.default_rng(seed)
    return (sound + noise * rng.normal(size=len(sound))).astype(np.float32)


rng = np.random.default_rng(0)
TEXTS = [" ".join(rng.choice(list(PITCHES), rng.integers(1, 4))) for _ in range(64)]


def make(architecture="ctc", **settings):
    from companion.tasks import SpeechRecognizer

    return SpeechRecognizer(architecture, **{"seconds": 1.2, "hidden_dim": 16, **settings})


def load(folder):
    from companion.tasks import SpeechRecognizer

    return SpeechRecognizer.load(folder)


def fit(recognizer, number, **settings):
    sounds = [whistle(text, seed=i) for i, text in enumerate(TEXTS[:number])]
    texts = [text.title() for text in TEXTS[:number]]
    recognizer.fit(sounds, texts, batch_size=8, progress=False, **settings)
    return recognizer


@pytest.fixture(scope="module")
def trained():
    """A recogniser that can be asked, but has learned next to nothing."""
    return fit(make(), 16, epochs=1)


@pytest.fixture
def folder(trained, tmp_path):
    trained.save(tmp_path / "saved")
    return tmp_path / "saved"


def written(pieces):
    return " ".join(piece.text for piece in pieces)


@pytest.mark.slow
def test_it_learns_words_without_being_told_when_they_come_and_cuts_what_is_long_at_pauses():
    learned = fit(make(dropout=0.0), 64, epochs=24, learning_rate=0.01, validation_split=0)
    assert learned.words_ == ["high", "low", "middle"]
    for text in ("low high", "high high middle", "middle"):
        (piece,) = learned.transcribe(whistle(text, seed=1_000))
        assert piece.text == text
        assert piece.no_speech < 0.5
    text = "low high middle high low low middle high high middle"
    pieces = learned.transcribe(whistle(text, seed=1_000))
    assert len(pieces) > 2
    assert written(pieces) == text


def test_each_piece_says_how_long_it_is_and_how_sure_the_network_is(trained):
    sound = whistle("low high middle high low low middle")
    pieces = trained.transcribe(sound)
    assert len(pieces) > 1
    assert sum(piece.seconds for piece in pieces) == pytest.approx(len(sound) / 16_000)
    assert all(piece.log_probability <= 0 <= piece.no_speech <= 1 for piece in pieces)


@pytest.mark.slow
def test_half_an_hour_can_be_heard(trained):
    pieces = trained.transcribe(np.zeros(30 * 60 * 16_000, np.float32))
    assert sum(piece.seconds for piece in pieces) == pytest.approx(1_800)


@pytest.mark.parametrize(
    ("rate", "channels", "kind"),
    [(16_000, 1, "PCM_16"), (44_100, 2, "PCM_24"), (48_000, 1, "FLOAT"), (8_000, 1, "PCM_U8")],
)
def test_files_of_any_rate_depth_and_number_of_channels_are_read(
    trained, tmp_path, rate, channels, kind
):
    from companion.data import resample

    sound = resample(whistle("low middle"), 16_000, rate)
    soundfile.write(tmp_path / "a.wav", np.stack([sound] * channels, 1), rate, subtype=kind)
    (piece,) = trained.transcribe(tmp_path / "a.wav")
    assert piece.seconds == pytest.approx(len(whistle("low middle")) / 16_000, abs=0.001)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all"])
def test_files_that_are_no_recordings_are_named(trained, tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.wav"):
        trained.transcribe(tmp_path / "a.wav")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        trained.transcribe(tmp_path / "nowhere.wav")


@pytest.mark.parametrize("sound", [[], np.zeros((2, 9)), [np.nan], ["a"], [[1], [1, 2]]])
def test_what_is_no_sound_is_refused(trained, sound):
    with pytest.raises(ValueError, match="finite numbers of shape"):
        trained.transcribe(sound)


@pytest.mark.parametrize(
    ("sounds", "texts", "message"),
    [
        ([whistle("low")], ["low", "high"], "1 recordings and 2 transcripts"),
        ([], [], "texts is empty"),
        ([whistle("low")], [" "], r"texts\[0\] is empty"),
        ([whistle("low")], [None], "not str"),
        ([whistle("low")] * 2, ["low", "low " * 16], "16 words"),
        ([whistle("low"), np.zeros(40_000)], ["low"] * 2, r"recordings\[1\] lasts 2\.5 seconds"),
        ([np.zeros(0)], ["low"], "finite numbers"),
    ],
)
def test_what_cannot_be_learnt_from_is_refused(sounds, texts, message):
    with pytest.raises(ValueError, match=message):
        make().fit(sounds, texts, progress=False)


@pytest.mark.parametrize(
    ("name", "value"),
    [("architecture", "rnn"), ("seconds", 0), ("seconds", np.nan), ("hidden_dim", 0), ("seed", -1)],
)
def test_impossible_settings_are_refused(name, value):
    with pytest.raises(ValueError, match=f"{name} is"):
        make(**{name: value})


def test_an_untrained_recogniser_and_whisper_say_what_to_do(tmp_path):
    for use in (lambda r: r.transcribe(np.zeros(9)), lambda r: r.save(tmp_path / "a")):
        with pytest.raises(ValueError, match="call fit first"):
            use(make())
    with pytest.raises(ValueError, match="not trained here"):
        make("whisper").fit([whistle("low")], ["low"])
    assert not (tmp_path / "a").exists()


def test_a_saved_recogniser_writes_the_same(trained, folder):
    again = load(folder)
    assert (again.settings, again.words_) == (trained.settings, trained.words_)
    sound = whistle("high low", noise=0.2)
    assert again.transcribe(sound) == trained.transcribe(sound)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("parameters", "hidden_dim", 17),
        ("parameters", "architecture", "whisper"),
        ("parameters", "seconds", "1"),
        (None, "words", ["low", "high", "middle"]),
        (None, "words", ["high", "low"]),
        (None, "words", [1, 2, 3]),
        (None, "words", None),
    ],
)
def test_settings_that_do_not_fit_the_weights_are_refused(folder, part, name, value):
    config = json.loads((folder / "config.json").read_text())
    settings = config["settings"]
    (settings[part] if part else settings)[name] = value
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="holds no usable speech recogniser"):
        load(folder)
