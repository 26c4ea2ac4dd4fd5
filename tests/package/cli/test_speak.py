"""A text becomes a WAV file; what cannot be said or written is refused and nothing is lost."""

from __future__ import annotations

import os
import sys
import wave

import pytest

from companion.models.pretrained import voices

pytest.importorskip("scipy")


def seconds(path):
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return file.getnframes() / file.getframerate()


def test_a_text_is_said_sentence_by_sentence_with_pauses_between(run, voice, tmp_path):
    code, out, _ = run("speak", "Hello there. Is it you?\nYes", tmp_path / "a.wav")
    assert code == 0
    assert voice.heard == ["Hello there.", "Is it you?", "Yes"]
    assert 3.1 < seconds(tmp_path / "a.wav") < 5
    assert "a.wav" in out


def test_a_voice_of_the_synthesiser_can_be_chosen(run, tmp_path):
    pytest.importorskip("espeakng_loader")
    assert run("speak", "Yes.", tmp_path / "a.wav", "--voice", "en-us+Annie")[0] == 0
    assert 0.2 < seconds(tmp_path / "a.wav") < 2
    code, _, err = run("speak", "Yes.", tmp_path / "b.wav", "--voice", "en-us+Nobody")
    assert (code, (tmp_path / "b.wav").exists()) == (2, False)
    assert "no voice 'Nobody'" in err


@pytest.mark.parametrize("text", ["", "  ", "\n", "...", "a" * 1_001, "Yes. " * 5_000])
def test_nothing_to_say_and_too_much_are_refused(run, voice, tmp_path, text):
    code, _, err = run("speak", text, tmp_path / "a.wav")
    assert (code, voice.heard, (tmp_path / "a.wav").exists()) == (2, [], False)
    assert "nothing to say" in err or "characters" in err


def test_an_existing_file_is_replaced_only_by_force(run, voice, tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"mine")
    code, _, err = run("speak", "Yes.", path)
    assert (code, path.read_bytes(), voice.heard) == (1, b"mine", [])
    assert "--force" in err
    assert run("speak", "Yes.", path, "--force")[0] == 0
    assert seconds(path) == 1


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [("a.mp3", 2, ".wav"), ("nowhere/a.wav", 1, "no folder"), ("folder.wav", 1, "is a folder")],
)
def test_a_file_that_cannot_be_written_is_refused_before_a_voice_is_loaded(
    run, voice, tmp_path, name, code, message
):
    (tmp_path / "folder.wav").mkdir()
    found, _, err = run("speak", "Yes.", tmp_path / name, "--force")
    assert (found, voice.heard) == (code, [])
    assert message in err


@pytest.mark.skipif(
    os.name == "nt" or getattr(os, "geteuid", int)() == 0, reason="everything may be written"
)
def test_a_folder_that_may_not_be_written_is_named(run, voice, tmp_path):
    (tmp_path / "locked").mkdir(mode=0o500)
    code, _, err = run("speak", "Yes.", tmp_path / "locked/a.wav")
    assert (code, voice.heard) == (1, [])
    assert "cannot be written" in err


def test_a_voice_that_is_not_installed_is_named_with_what_installs_it(run, monkeypatch, tmp_path):
    voices.load_voice.cache_clear()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    code, _, err = run("speak", "Yes.", tmp_path / "a.wav")
    assert (code, (tmp_path / "a.wav").exists()) == (1, False)
    assert "onnxruntime" in err
    assert "pip install" in err
