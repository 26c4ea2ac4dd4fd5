"""Recordings of any kind become one channel at one rate, or are refused with a reason."""

from __future__ import annotations

import io

import numpy as np
import pytest

from companion import data

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("scipy")


def tone(rate: int, seconds: float = 0.5, hertz: float = 440.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


def written(samples: np.ndarray, rate: int, **settings: str) -> io.BytesIO:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, **({"format": "WAV", "subtype": "PCM_16"} | settings))
    return file


def loudest_hertz(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * 16_000 / len(samples))


@pytest.mark.parametrize("rate", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000])
def test_a_tone_of_any_rate_keeps_its_pitch_length_and_strength(rate: int) -> None:
    samples = data.read_recording(written(tone(rate), rate))
    assert abs(len(samples) - 8_000) <= 2
    assert abs(loudest_hertz(samples) - 440) < 3
    assert abs(np.sqrt(np.mean(samples[500:-500] ** 2)) - 0.5 / np.sqrt(2)) < 0.01


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_24", "PCM_32", "FLOAT", "ULAW"])
def test_the_depth_of_the_samples_changes_no_more_than_its_rounding(subtype: str) -> None:
    samples = data.read_recording(written(tone(16_000), 16_000, subtype=subtype))
    assert np.abs(samples - tone(16_000)).max() < 0.03


def test_of_two_channels_the_mean_is_heard() -> None:
    stereo = np.stack([tone(16_000), np.zeros(8_000)], axis=1)
    samples = data.read_recording(written(stereo, 16_000))
    assert np.allclose(samples, tone(16_000) / 2, atol=1e-3)


def test_what_is_too_high_for_the_new_rate_is_not_heard_as_another_tone() -> None:
    samples = data.read_recording(written(tone(44_100, hertz=12_000), 44_100))
    assert np.abs(samples[200:-200]).max() < 0.01


def test_half_an_hour_is_read_whole() -> None:
    file = written(np.zeros(30 * 60 * 2_000, np.float32), 2_000)
    assert len(data.read_recording(file, sample_rate=2_000)) == 30 * 60 * 2_000


@pytest.mark.parametrize("kept", [0, 3, 20, 44, 5_000])
def test_a_file_that_ends_too_early_is_refused(kept: int) -> None:
    content = written(tone(16_000), 16_000).getvalue()
    with pytest.raises(ValueError, match=r"empty|cut off|no recording"):
        data.read_recording(io.BytesIO(content[:kept]))


def test_a_file_without_a_sample_or_with_values_that_are_no_numbers_is_refused() -> None:
    with pytest.raises(ValueError, match="holds no sound"):
        data.read_recording(written(np.zeros(0), 16_000))
    with pytest.raises(ValueError, match="no numbers"):
        data.read_recording(written(np.full(100, np.nan), 16_000, subtype="FLOAT"))


def test_a_text_is_no_recording_and_a_missing_file_is_named(tmp_path) -> None:
    text = tmp_path / "letter.wav"
    text.write_text("Dear Sir or Madam, " * 20)
    with pytest.raises(ValueError, match=r"letter\.wav is no recording"):
        data.read_recording(text)
    with pytest.raises(FileNotFoundError):
        data.read_recording(tmp_path / "nowhere.wav")


def test_more_hours_than_can_be_read_are_refused_before_they_are_read() -> None:
    file = written(np.zeros(5 * 3600, np.int16), 1, subtype="PCM_16")
    with pytest.raises(ValueError, match=r"5\.0 hours; at most 4"):
        data.read_recording(file)


def test_what_is_written_is_read_back_and_an_old_file_stays_unless_it_may_go(tmp_path) -> None:
    path = tmp_path / "a.wav"
    data.write_recording(path, tone(8_000), sample_rate=8_000)
    assert np.abs(data.read_recording(path, sample_rate=8_000) - tone(8_000)).max() < 1e-3
    with pytest.raises(FileExistsError, match="overwrite=True"):
        data.write_recording(path, np.zeros(10))
    assert len(data.read_recording(path, sample_rate=8_000)) == 4_000
    data.write_recording(path, np.zeros(10), overwrite=True)
    assert len(data.read_recording(path)) == 10


@pytest.mark.parametrize("samples", [[], [[0.0, 0.1]], [float("nan")]])
def test_what_is_no_sound_is_not_written(samples, tmp_path) -> None:
    with pytest.raises(ValueError, match="samples must be"):
        data.write_recording(tmp_path / "a.wav", samples)
    assert not list(tmp_path.iterdir())
