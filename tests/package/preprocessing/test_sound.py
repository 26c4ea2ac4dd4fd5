"""The log-mel spectrogram is what its definition says, and measures what is heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion import preprocessing

RNG = np.random.default_rng(0)


def test_every_band_has_the_area_of_one_and_bands_rise() -> None:
    filters = preprocessing.mel_filters(40, window=4_000)
    assert np.allclose(filters.sum(axis=1) * 4, 1, atol=0.02)  # 4 Hz between frequencies
    assert np.all(np.diff(filters.argmax(axis=1)) > 0)


def test_scipy_finds_the_same_power_in_the_same_piece() -> None:
    signal = pytest.importorskip("scipy.signal")
    sound = RNG.normal(0, 0.1, 1_600)
    piece = sound[800 - 200 : 800 + 200]  # the middle of frame 5
    power = np.abs(np.fft.rfft(piece * signal.windows.hann(400, sym=False))) ** 2
    expected = np.log10(preprocessing.mel_filters(80) @ power)
    assert np.allclose(preprocessing.log_mel(sound)[5], expected, atol=1e-5)


def test_a_tone_is_loudest_in_the_band_that_holds_it() -> None:
    tone = np.sin(2 * np.pi * 1_500 * np.arange(8_000) / 16_000)
    loudest = preprocessing.log_mel(tone)[20].argmax()
    weights = preprocessing.mel_filters()[loudest]
    assert weights[round(1_500 / 40)] > 0


def test_ten_times_the_amplitude_adds_two() -> None:
    sound = RNG.normal(0, 0.01, 1_600)
    louder = preprocessing.log_mel(10 * sound) - preprocessing.log_mel(sound)
    assert np.allclose(louder, 2, atol=1e-3)


@pytest.mark.parametrize("length", [1, 2, 159, 160, 161, 400, 16_000])
def test_each_hundredth_of_a_second_begun_is_a_frame(length: int) -> None:
    assert preprocessing.log_mel(np.zeros(length)).shape == (-(-length // 160), 80)


def test_a_long_sound_gives_the_frames_of_its_beginning() -> None:
    sound = RNG.normal(0, 0.1, 45 * 16_000)
    assert np.allclose(
        preprocessing.log_mel(sound, 20)[:90], preprocessing.log_mel(sound[:16_000], 20)[:90]
    )


@pytest.mark.parametrize("sound", [[], [[0.0, 1.0]], [np.nan], [np.inf] * 500])
def test_what_is_no_sound_is_refused(sound) -> None:
    with pytest.raises(ValueError, match="finite numbers of shape"):
        preprocessing.log_mel(sound)


@given(length=st.integers(1, 60_000), seconds=st.floats(0.4, 3), seed=st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_pieces_are_the_whole_sound_and_none_is_too_long(length, seconds, seed) -> None:
    sound = np.random.default_rng(seed).normal(size=length).astype(np.float32)
    pieces = preprocessing.cut_at_pauses(sound, seconds=seconds, search=seconds / 3)
    np.testing.assert_array_equal(np.concatenate(pieces), sound)
    assert all(0 < len(piece) <= seconds * 16_000 for piece in pieces)


def test_a_sound_is_cut_in_its_pause() -> None:
    sound = np.ones(40_000, np.float32)
    sound[27_000:30_000] = 0
    first, second = preprocessing.cut_at_pauses(sound, seconds=2, search=0.5)
    assert first[-1] == second[0] == 0


def test_spectrograms_of_one_length_are_relative_to_the_loudest_point_of_each() -> None:
    sounds = [RNG.normal(size=2_000), 1e-3 * RNG.normal(size=3_999)]
    sounds[1][1_000:2_500] = 0
    table = preprocessing.log_mels(sounds, num_frames=30, num_bands=12)
    assert table.shape == (2, 30, 12)
    for row, sound in zip(table, sounds, strict=True):
        mel = preprocessing.log_mel(sound, 12)
        expected = np.maximum((mel - mel.max()) / 4 + 1, -1)
        np.testing.assert_allclose(row[: len(mel)], expected, atol=1e-6)
        assert (row[len(mel) :] == -1).all()
        assert row.max() == 1
