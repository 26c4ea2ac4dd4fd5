"""What the page on speech claims: its spectrogram, its score, its loss, its noise, its hours."""

from __future__ import annotations

import itertools
import re
import textwrap
from typing import Any

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import speech, speech_real
from companion import data, preprocessing
from tools.cells import run_cells

pytestmark = pytest.mark.tensorflow

PAGE = "05_applications/speech_to_text"
WORDS = st.lists(st.sampled_from(["yes", "no", "seven", "order"]), min_size=1, max_size=6)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    stored = data.load_measurements("speech")
    start: dict[str, Any] = {"np": np, "re": re, "stored": stored, "pairwise": itertools.pairwise}
    start |= {"runs": stored["runs"], "best": stored["best"], "WORDS": stored["words"]}
    start |= {"preprocessing": preprocessing, "product": itertools.product, "textwrap": textwrap}
    return start


@pytest.fixture(scope="module")
def score(page: dict[str, Any]) -> dict[str, Any]:
    return run_cells(PAGE, "edit-distance", "by-voice", **page)


@given(said=WORDS, meant=WORDS)
@settings(max_examples=60, deadline=None)
def test_the_word_error_rate_is_that_of_jiwer(
    score: dict[str, Any], said: list[str], meant: list[str]
) -> None:
    assert np.isclose(
        score["edits"](said, meant) / len(meant), jiwer.wer(*map(" ".join, (meant, said)))
    )
    assert speech.edits(said, meant) == score["edits"](said, meant)


def test_collapsed_steps_are_those_that_the_benchmark_writes() -> None:
    rng = np.random.default_rng(0)
    for steps in rng.integers(0, 3, (50, 9)):
        joined = [k for k, _ in itertools.groupby(steps.tolist()) if k]
        assert [word + 1 for word in speech.collapse(steps)] == joined


def test_no_voice_and_no_pair_of_words_is_on_two_sides() -> None:
    names, pairs = speech.voices(), speech.pairs()
    assert sum(map(len, names.values())) == len({name for part in names.values() for name in part})
    assert sorted(np.bincount(pairs.ravel())) == [64, 64, 128]
    rng = np.random.default_rng(0)
    for part in range(3):
        for _ in range(30):
            row = speech.sentence(rng, pairs == part)
            assert 3 <= len(row) <= 5
            assert all(pairs[a, b] == part for a, b in itertools.pairwise(row))


@pytest.mark.parametrize("level", [20, 0, -5])
def test_noise_is_as_many_decibels_below_the_speech_as_was_asked(level: int) -> None:
    rng = np.random.default_rng(0)
    sound, noise = 0.01 * rng.normal(size=4_000), rng.normal(size=4_000)
    added = speech.mixed(sound, noise, level).astype(float) - sound
    assert np.isclose(10 * np.log10(np.mean(sound**2) / np.mean(added**2)), level, atol=0.1)


def test_words_spread_evenly_cover_the_sound_and_nothing_behind_it() -> None:
    part = {"words": [[7, 3]], "sounds": [np.zeros(16_000)]}  # seven three
    (row,) = speech.spread(part)
    assert np.flatnonzero(row).tolist() == list(range(25))
    assert set(row[:12]) == {8}
    assert set(row[13:25]) == {4}


def test_the_stored_scores_are_those_of_the_stored_words(score: dict[str, Any]) -> None:
    stored = score["stored"]
    for run in stored["runs"].values():
        said, meant = run["said"]["held"], stored["meant"]["held"]
        wrong = sum(score["edits"](a, b) for a, b in zip(said, meant, strict=True))
        assert np.isclose(wrong / sum(map(len, meant)), run["held"])


def test_whispers_words_are_compared_without_capitals_and_signs(score: dict[str, Any]) -> None:
    normal = run_cells(PAGE, "parts", "whisper-rates", **score, PARTS={})["normal"]
    assert normal("It's 739, yes!") == ["it's", "seven", "three", "nine", "yes"]


def test_real_prompts_are_scored_as_the_benchmark_scored_them(score: dict[str, Any]) -> None:
    start = score | {"PARTS": {}}
    page = run_cells(PAGE, "parts", "whisper-rates", "real-rates", **start)
    for kind in ("real", "neural voice", "eSpeak's voices"):
        rows = page["prompt_rows"](page["real"]["said"][kind])
        assert rows[:, 0].tolist() == page["real"]["wrong"][kind]
        assert rows[:, 1].tolist() == page["real"]["words"][kind]
    for text in (*page["person"], "It's 739, yes!"):
        assert page["normal"](text) == speech_real.normal(text)


def test_a_digit_is_wrong_unless_it_and_nothing_else_is_written(score: dict[str, Any]) -> None:
    page = run_cells(PAGE, "digit-errors", **score)
    for kind in page["KINDS"]:
        for rate, speakers in zip(
            page["digit_errors"](kind),
            page["stored"]["real"]["network"]["single"][kind],
            strict=True,
        ):
            wrong = [said != "0123456789"[i] for row in speakers for i, said in enumerate(row)]
            assert np.isclose(rate, sum(wrong) / len(wrong))
