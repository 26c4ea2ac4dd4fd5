"""What real recordings gave: the transcripts that we typed, and scores that follow from words."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import yaml

from benchmarks import speech, speech_network, speech_real, speech_telephone, speech_tones
from companion.data import load_measurements


@pytest.fixture(scope="module")
def real() -> dict[str, Any]:
    found: dict[str, Any] = load_measurements("speech")["real"]
    return found


def test_at_least_a_hundred_prompts_are_typed_and_none_comes_twice() -> None:
    lines = speech_real.PROMPTS.read_text("utf-8").splitlines()
    names = [line.split(":")[0] for line in lines if not line.startswith("#")]
    meant = speech_real.prompts()
    assert len(meant) >= 100
    assert sorted(names) == sorted(set(names)) == sorted(meant)  # YAML would keep the last of two
    assert len(set(meant.values())) == len(meant)


def test_a_prompt_is_a_few_plain_words() -> None:
    for text in speech_real.prompts().values():
        assert text.split() == speech_real.normal(text)
        assert 3 <= len(text.split()) <= 25


def test_what_was_meant_is_what_was_typed(real: dict[str, Any]) -> None:
    found = real["whisper"]
    assert found["meant"] == yaml.safe_load(speech_real.PROMPTS.read_text("utf-8"))
    assert list(found["meant"]) == list(speech_real.prompts())  # what was said has their order


def test_the_stored_errors_are_those_of_the_stored_words(real: dict[str, Any]) -> None:
    found, texts = real["whisper"], list(real["whisper"]["meant"].values())
    spoken = {"real": texts, "real digits": speech.WORDS[: speech_real.DIGITS]}
    for kind, said in found["said"].items():
        meant = [speech_real.normal(text) for text in spoken.get(kind, texts[:: found["every"]])]
        pairs = list(zip([speech_real.normal(text) for text in said], meant, strict=True))
        assert found["words"][kind] == [len(b) for _, b in pairs]
        assert found["wrong"][kind] == [speech.edits(a, b) for a, b in pairs]
        usual = jiwer.wer([" ".join(b) for _, b in pairs], [" ".join(a) for a, _ in pairs])
        assert np.isclose(sum(found["wrong"][kind]) / sum(found["words"][kind]), usual)


def test_each_network_heard_all_digits_of_each_speaker(real: dict[str, Any]) -> None:
    found = real["network"]
    assert np.shape(found["triples"]) == (speech_real.TRIPLES, 3)
    for kind in ("real", "neural voice", "eSpeak's voices"):
        assert len(found["single"][kind]) == len(found["joined"][kind]) == len(speech.SEEDS)
        for single, joined in zip(found["single"][kind], found["joined"][kind], strict=True):
            assert {len(row) for row in single} == {speech_real.DIGITS}
            assert len(joined) == speech_real.TRIPLES


def test_the_networks_that_were_trained_again_write_what_was_stored(real: dict[str, Any]) -> None:
    assert len(real["network"]["again"]) == len(speech.SEEDS)
    assert min(real["network"]["again"]) > 0.9


def test_a_folder_without_the_recordings_is_refused_with_what_to_install(tmp_path: Path) -> None:
    file = tmp_path / "speech.json"
    file.write_text(json.dumps({"best": {}}))
    with pytest.raises(SystemExit, match="asterisk-core-sounds-en-wav"):
        speech.main([str(file), "--real", str(tmp_path / "nowhere")])
    assert json.loads(file.read_text()) == {"best": {}}


def test_a_file_without_networks_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speech_real, "check", lambda folder: None)
    with pytest.raises(SystemExit, match=r"run python -m benchmarks\.speech first"):
        speech_real.measure(tmp_path, tmp_path / "none.json")


def test_parts_that_the_file_holds_are_not_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "speech.json"
    file.write_text(json.dumps({"best": {}, "runs": 7, "real": {"network": 1}}))
    monkeypatch.setattr(speech_real, "check", lambda folder: None)
    monkeypatch.setattr(speech_real, "whisper", lambda folder: 2)
    monkeypatch.setattr(speech_telephone, "measure", lambda folder, found, keep: keep({}))
    speech_real.measure(tmp_path, file)
    real = {"network": 1, "whisper": 2, "telephone": {}}
    assert json.loads(file.read_text()) == {"best": {}, "runs": 7, "real": real}
    assert "without Debian's package gcin-voice" in capsys.readouterr().out


def test_the_telephone_keeps_low_tones_and_drops_high_ones() -> None:
    time = np.arange(16_000) / 16_000
    low, high = (np.sin(2 * np.pi * pitch * time) for pitch in (500, 6_000))
    inside = slice(1_000, -1_000)
    assert np.allclose(speech_real.as_on_the_telephone(low)[inside], low[inside], atol=0.01)
    assert np.abs(speech_real.as_on_the_telephone(high)[inside]).max() < 0.01


def test_joined_numbers_are_made_of_the_speakers_in_turn() -> None:
    speakers = [[np.full(1, 10 * k + digit) for digit in range(10)] for k in range(2)]
    numbers = speech_real.joined(speakers)
    for i, (row, sound) in enumerate(zip(speech_real.triples(), numbers, strict=True)):
        assert sound.tolist() == [10 * (i % 2) + digit for digit in row]


def test_the_kept_network_is_the_first_of_the_stored_runs() -> None:
    kept, stored = load_measurements("speech_network"), load_measurements("speech")
    run = stored["runs"][f"ctc {kept['rate']} {kept['seed']}"]
    assert (kept["rate"], kept["words"], kept["again"]) == (stored["best"]["ctc"], speech.WORDS, 1)
    pairs = list(zip(run["said"]["both new"], stored["meant"]["both new"], strict=True))
    wrong = sum(speech.edits(a, b) for a, b in pairs) / sum(len(b) for _, b in pairs)
    assert kept["wrong"] == pytest.approx(wrong)
    assert len(base64.b64decode(kept["weights"])) == 2 * run["parameters"]


def test_weights_are_packed_one_array_after_the_other() -> None:
    class Model:
        def get_weights(self) -> list[Any]:
            return [np.array([[1.5, -2.0]], "float32"), np.array([0.1], "float32")]

    found = np.frombuffer(base64.b64decode(speech_network.packed(Model())), "<f2")
    np.testing.assert_allclose(found, [1.5, -2, 0.1], rtol=1e-3)


def test_the_option_keeps_a_network_and_measures_nothing_else(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []
    monkeypatch.setattr(speech_network, "measure", asked.append)
    speech.main([str(tmp_path / "speech.json"), "--network"])
    assert asked == [tmp_path / "speech.json"]


def test_the_line_keeps_what_is_in_its_band_and_drops_the_rest() -> None:
    time = np.arange(16_000) / 16_000
    low, inside, high = (np.sin(2 * np.pi * pitch * time) for pitch in (100, 1_000, 5_000))
    heard = speech_telephone.on_the_line(low + inside + high)
    assert heard.dtype == np.float32
    np.testing.assert_allclose(heard, inside, atol=1e-4)


def test_every_kind_that_learned_over_the_line_has_the_rate_that_was_best_on_held_back(
    real: dict[str, Any],
) -> None:
    found = real["telephone"]
    assert list(found["best"]) == list(speech_telephone.KINDS)
    for kind, best in found["best"].items():
        held = {rate: found["runs"][f"{kind} {rate}"]["held"] for rate in speech_telephone.RATES}
        assert min(held, key=lambda rate: held[rate]) == best
        said = found["runs"][f"{kind} {best}"]["said"]
        assert {len(row) % speech_real.DIGITS for row in said.values()} == {0}
        assert len(said["real"]) == speech_real.DIGITS


def test_runs_over_the_line_that_the_file_holds_are_not_done_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked, kept = [], []

    def train(kind: str, rate: float, heard: dict[str, Any]) -> dict[str, Any]:
        asked.append((kind, rate))
        return {"held": abs(rate - 0.01)}

    monkeypatch.setattr(speech_telephone, "train", train)
    monkeypatch.setattr(speech_telephone, "examples", lambda folder: {"learn": {}})
    start: dict[str, Any] = {"runs": {"line 0.001": {"held": 0.0}}}
    speech_telephone.measure(tmp_path, start, kept.append)
    assert kept.pop()["best"] == dict.fromkeys(speech_telephone.KINDS, 0.01) | {"line": 0.001}
    assert asked[0] == ("before", 0)
    assert ("line", 0.001) not in asked
    runs = 1 + len(speech_telephone.KINDS) * len(speech_telephone.RATES) - 1
    assert len(asked) == len(set(asked)) == len(kept) == runs


@pytest.mark.parametrize(
    ("name", "meant"),
    [("ㄇㄚ", ("ㄇㄚ", 1)), ("ㄇㄚ1", ("ㄇㄚ", 0)), ("ㄇㄚ3", ("ㄇㄚ", 3)), ("ㄅ", ("ㄅ", 1))],
)
def test_the_tone_is_the_last_digit_and_one_if_there_is_none(
    name: str, meant: tuple[str, int]
) -> None:
    assert speech_tones.syllable(name) == meant


def test_all_tones_of_a_syllable_are_in_the_same_part() -> None:
    names = [f"syllable {i // 4}" for i in range(400)]
    part = speech_tones.part_of(names)
    assert np.bincount(part).tolist() == [240, 80, 80]
    assert (part.reshape(100, 4) == part.reshape(100, 4)[:, :1]).all()


def test_the_course_of_a_rising_tone_rises_by_as_many_semitones() -> None:
    time = np.arange(8_000) / 16_000
    semitones = 12 * np.log2(150 / 100) + 8 * time / time[-1]
    phase = 2 * np.pi * np.cumsum(100 * 2 ** (semitones / 12)) / 16_000
    sound = sum(np.sin(k * phase) / k for k in (1, 2, 3))
    course = speech_tones.contour(sound)
    assert course.shape == (speech_tones.POINTS,)
    places = np.linspace(0, 1, speech_tones.POINTS)
    np.testing.assert_allclose(course[2:-2], (7.02 + 8 * places)[2:-2], atol=0.8)
    assert speech_tones.spectrogram(sound).shape == (speech_tones.POINTS * speech_tones.BANDS,)


def test_the_smoothest_course_passes_over_a_single_jump() -> None:
    scores = np.zeros((5, 40))
    scores[:, 10] = 0.8
    scores[2, 34] = 1.0
    assert speech_tones.smoothest(scores).tolist() == [10] * 5


def test_the_stored_tones_are_heard_by_the_classifier_that_was_best_on_held_back(
    real: dict[str, Any],
) -> None:
    found = real["tones"]
    for voice in speech_tones.VOICES:
        test = found["test"][voice]
        assert len(test["tones"]) == len(test["syllables"]) == found["parts"][voice][2]
        for kind in speech_tones.KINDS:
            chosen = found["chosen"][voice][kind]
            held = list(chosen["held"].values())
            assert held[speech_tones.PENALTIES.index(chosen["best"])] == max(held)
            assert max(held) not in {held[0], held[-1]}  # the grid is bracketed
            for learner in speech_tones.VOICES:
                heard = test["heard"][f"{kind}, learned {learner}"]
                assert len(heard) == len(test["tones"])
                assert set(heard) <= {1, 2, 3, 4}
