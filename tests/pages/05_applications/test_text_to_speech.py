"""What the page on speaking claims: its score, its way back to sound, its timing, its costs."""

from __future__ import annotations

import re
from typing import Any

import jiwer
import numpy as np
import pytest

from benchmarks import speech, synthesis
from companion import data, preprocessing
from tools.cells import run_cells

PAGE = "05_applications/text_to_speech"


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    stored = data.load_measurements("synthesis")
    start: dict[str, Any] = {"np": np, "re": re, "jiwer": jiwer, "data": data, "seed": 0}
    start |= {"stored": stored, "SENTENCES": stored["sentences"], "heard": stored["heard"]}
    start |= {"preprocessing": preprocessing, "RATE": 16_000, "HOP": 160, "WINDOW": 400}
    return run_cells(PAGE, "word-errors", "magnitudes", "griffin-lim", **start, BANDS=80)


def test_the_word_error_rate_is_that_of_jiwer_over_all_sentences(page: dict[str, Any]) -> None:
    meant = [page["normal"](text) for text in page["SENTENCES"]]
    for voice in page["heard"].values():
        said = [page["normal"](text) for text in voice["said"]]
        ours = page["error_rate"](page["word_rows"](voice["said"]))
        assert np.isclose(ours, jiwer.wer(meant, said))
        assert len(said) == len(meant) == len(speech.SENTENCES)


def test_a_sentence_of_which_nothing_is_heard_has_all_its_words_wrong(page: dict[str, Any]) -> None:
    rows = page["word_rows"]([""] * len(page["SENTENCES"]))
    assert (rows[:, 0] == rows[:, 1]).all()


def test_overlapping_pieces_add_up_to_the_sound_that_was_cut(page: dict[str, Any]) -> None:
    sound = np.random.default_rng(0).normal(size=4_000)
    again = page["to_sound"](page["to_frames"](sound))
    assert np.allclose(again[400:3_600], sound[400:3_600])


def test_the_strengths_found_have_the_bands_that_were_asked_for(page: dict[str, Any]) -> None:
    strengths = np.random.default_rng(0).uniform(0.1, 1, (5, 201))
    bands = np.log10(strengths**2 @ page["filters"].T)
    found = page["to_magnitudes"]((bands - page["FLOOR"]) / page["SCALE"], steps=200)
    assert np.allclose(np.log10(found**2 @ page["filters"].T), bands, atol=0.05)
    assert (found >= 0).all()


def test_the_sound_of_a_tone_is_a_tone_of_that_pitch(page: dict[str, Any]) -> None:
    tone = 0.5 * np.sin(2 * np.pi * 800 * np.arange(8_000) / 16_000)
    found = page["griffin_lim"](np.abs(page["to_frames"](tone)), 20)
    middle = np.abs(np.fft.rfft(found[1_000:5_000]))
    assert abs(middle.argmax() * 16_000 / 4_000 - 800) <= 8
    assert len(found) <= len(tone)


def test_the_page_and_the_benchmark_turn_spectra_into_the_same_sound(page: dict[str, Any]) -> None:
    levels = np.random.default_rng(0).uniform(0, 2, (20, 80))
    ours = page["griffin_lim"](page["to_magnitudes"](levels), 5)
    theirs = synthesis.griffin_lim(synthesis.to_magnitudes(levels), 5)
    assert np.allclose(ours, theirs, atol=1e-4)


def test_lengths_of_phonemes_add_up_to_the_spectrogram() -> None:
    for row in synthesis.spoken(["Where is my parcel?", "Yes, please."]):
        assert sum(row["lengths"]) == len(row["mel"])
        assert min(row["lengths"]) > 0
        index, where = synthesis.places([row["lengths"]], len(row["mel"]))
        assert np.bincount(index[0]).tolist() == row["lengths"]
        assert where.min() >= 0


def test_no_test_sentence_is_learned_from_or_held_back() -> None:
    texts = synthesis.sentences()
    assert not set(speech.SENTENCES) & {*texts["learn"], *texts["held"]}
    assert not set(texts["learn"]) & set(texts["held"])


def test_a_table_of_averages_repeats_a_sentence_that_it_has_seen_alone() -> None:
    flat = {"phonemes": ["a", "."], "lengths": [3, 3]}
    flat["mel"] = np.repeat([[1.0], [2.0]], 3, axis=0) * np.ones(80)
    table = synthesis.averages([flat])
    assert np.allclose(synthesis.look_up(table, flat), flat["mel"])


def test_the_cost_grows_with_wrong_words_and_never_falls_below_listening(
    page: dict[str, Any],
) -> None:
    rows = {name: page["word_rows"](page["heard"][name]["said"]) for name in page["heard"]}
    names = {name: name for name in ("piper", "teacher", "ours")}
    found = run_cells(PAGE, "cost", **page, rows=rows, SPEAKERS=names)
    cost = found["narration_usd"]("piper")
    listened = cost(np.array([[0, 100]]))
    assert found["WAGE"] <= listened < found["WAGE"] + 1
    assert cost(np.array([[2, 100]])) - listened == pytest.approx(
        0.02 * found["PACE"] * 60 * found["FIX_SECONDS"] / 3600 * found["WAGE"]
    )


def test_rates_are_chosen_by_whole_runs_in_a_grid_that_goes_on_and_heard_by_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trained, tops = list[tuple[str, float, int, int]](), {"lengths": 0.05, "mel": 0.002}
    test = [{"mel": np.full((2, 80), float(i)), "phonemes": ["a"], "lengths": [2]} for i in (0, 1)]

    def learner(rows: Any, held: Any) -> Any:
        assert (rows, held) == (test, ["held"])

        def train(kind: str, rate: float, epochs: int, seed: int) -> tuple[Any, float]:
            trained.append((kind, rate, epochs, seed))
            return (kind, rate, seed), 3 + abs(np.log(rate / tops[kind])) + seed / 10

        return train

    def draw(network: Any, rows: Any, names: Any, lengths: Any = None) -> Any:
        assert (network[0], rows, names) == ("mel", test, ["a"])
        far = 0.5 if lengths is None else 100 + lengths
        return [row["mel"] + far * (network[2] + 1) for row in rows]

    def hear(name: str, sounds: Any) -> dict[str, Any]:
        return {"said": [f"{name} {float(sound[0, 0]):g}" for sound in sounds]}

    monkeypatch.setattr(synthesis, "learner", learner)
    monkeypatch.setattr(synthesis, "draw", draw)
    monkeypatch.setattr(
        synthesis, "guess_lengths", lambda net, *_: net[2] if net[0] != "mel" else 0
    )
    monkeypatch.setattr(synthesis, "sound_of", lambda mel: mel)
    monkeypatch.setattr(synthesis, "hear", hear)
    found = synthesis.repeat(test, ["held"], test)  # type: ignore[list-item]
    assert [rate for rate, _ in found["grids"]["lengths"]] == [0.003, 0.01, 0.03, 0.09]
    assert [rate for rate, _ in found["grids"]["mel"]] == [0.001, 0.003, 0.01, 0.03]
    for kind, grid in found["grids"].items():
        for rate, score in grid:
            assert score == pytest.approx(3 + abs(np.log(rate / tops[kind])))
    assert found["rates"] == {"lengths": 0.03, "mel": 0.003}
    assert {epochs for _, _, epochs, _ in trained} == {synthesis.EPOCHS}
    assert len(trained) == len(set(trained)) == 4 + 4 + 2 * 2  # the first seed is not done again
    for seed, run in enumerate(found["seeds"]):
        assert run["held"]["mel"] == pytest.approx(3 + np.log(1.5) + seed / 10)
        assert run["held"]["lengths"] == pytest.approx(3 + np.log(5 / 3) + seed / 10)
        assert run["decibels"] == pytest.approx([30 * 0.5 * (seed + 1)] * 2)
        loud = (100 + seed) * (seed + 1)
        assert run["said"] == [f"seed {seed} {loud}", f"seed {seed} {loud + 1}"]


def test_the_stored_rates_are_the_best_of_grids_that_go_on_beyond_them() -> None:
    found = data.load_measurements("synthesis")["repeated"]
    for kind, grid in found["grids"].items():
        rates, scores = zip(*grid, strict=True)
        assert list(rates) == sorted(rates)
        assert {*synthesis.WHOLE_RATES} <= {*rates}
        place = int(np.argmin(scores))
        assert rates[place] == found["rates"][kind]
        assert 0 < place < len(rates) - 1
        assert found["seeds"][0]["held"][kind] == scores[place]  # the same training


def test_each_stored_seed_said_all_sentences_and_none_twice_alike() -> None:
    found = data.load_measurements("synthesis")["repeated"]["seeds"]
    assert len(found) == len(synthesis.SEEDS)
    for run in found:
        assert len(run["said"]) == len(run["decibels"]) == len(speech.SENTENCES)
    assert len({tuple(run["decibels"]) for run in found}) == len(found)
