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


def hertz(mel: float) -> float:
    """Slaney's scale: 15 equal steps to 1,000 Hz, and then 27 to 6.4 times that."""
    return mel * 200 / 3 if mel < 15 else 1_000 * 6.4 ** ((mel - 15) / 27)


@pytest.mark.parametrize(
    ("sample_rate", "top"), [(16_000, 15 + 27 * np.log(8) / np.log(6.4)), (1_600, 12)]
)
def test_each_band_is_the_triangle_between_its_neighbours_on_slaneys_scale(sample_rate, top):
    filters = preprocessing.mel_filters(20, sample_rate=sample_rate, window=sample_rate)
    edges = [hertz(mel) for mel in np.linspace(0, top, 22)]
    for i, found in enumerate(filters):
        low, _, high = band = edges[i : i + 3]
        expected = np.interp(np.arange(len(found)), band, [0, 2 / (high - low), 0])
        np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "wrong", "least"),
    [("num_bands", 0, 1), ("sample_rate", 999, 1_000), ("window", 15, 16)],
)
def test_a_size_that_is_too_small_is_named_with_the_least(name, wrong, least) -> None:
    with pytest.raises(ValueError, match=f"^{name} must be a whole number of at least {least},"):
        preprocessing.mel_filters(**{"num_bands": 20, name: wrong})


def test_a_tone_at_another_sample_rate_is_found_at_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1_000 * np.arange(4_000) / 8_000)
    mel = preprocessing.log_mel(tone, sample_rate=8_000)
    assert (mel.shape, mel.dtype) == ((50, 80), np.float32)
    weights = preprocessing.mel_filters(sample_rate=8_000, window=200)[mel[20].argmax()]
    assert weights[round(1_000 / 40)] > 0
    (row,) = preprocessing.log_mels([tone], num_frames=50, sample_rate=8_000)
    np.testing.assert_allclose(row.argmax(axis=1), mel.argmax(axis=1))


def test_a_sound_is_mirrored_at_its_beginning() -> None:
    sound = RNG.normal(0, 0.1, 1_600)
    mirrored = np.concatenate([sound[800:0:-1], sound])
    found, expected = preprocessing.log_mel(sound), preprocessing.log_mel(mirrored)
    np.testing.assert_allclose(found[0], expected[5], atol=1e-5)
    alternating = preprocessing.log_mel(np.tile([0.0, 1.0], 800))
    np.testing.assert_allclose(preprocessing.log_mel([0, 1])[0], alternating[5], atol=1e-5)


def test_silence_beside_a_loud_sound_is_minus_one() -> None:
    sound = np.concatenate([RNG.normal(size=1_000), np.zeros(2_000)])
    table = preprocessing.log_mels([sound], num_frames=20)
    assert table.shape == (1, 20, 80)
    assert table.min() == -1


@pytest.mark.parametrize(("search", "looked"), [(0.1, 1), (1.0, 10)])
def test_a_pause_before_the_time_of_search_is_not_looked_for(search, looked) -> None:
    sound = np.ones(40_000, np.float32)
    start = 32_000 - (looked + 1) * 1_600
    sound[start : start + 1_600] = 0
    first, _ = preprocessing.cut_at_pauses(sound, seconds=2, search=search)
    assert len(first) == 32_000 - looked * 1_600 + 800  # all that is heard there is equally loud


def test_quiet_is_what_has_little_power_whatever_its_sign() -> None:
    sound = np.tile(np.array([1, -1], np.float32), 20_000)
    sound[27_200:28_800] = 0.1
    first, _ = preprocessing.cut_at_pauses(sound, seconds=2, search=0.5)
    assert len(first) == 28_000


def test_a_sound_that_just_fits_is_not_cut() -> None:
    (whole,) = preprocessing.cut_at_pauses(np.ones(32_000, np.float32), seconds=2, search=0.5)
    assert len(whole) == 32_000
