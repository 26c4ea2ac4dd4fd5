"""What the page on pictures claims: its moves, its corruptions, its tiles, its stored runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from benchmarks import image_recognition as benchmark
from companion import data
from tools.cells import run_cells

PAGE = "05_applications/image_recognition"


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return data.load_measurements("image_recognition")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_cells(PAGE, "move", np=np, gaussian_filter=gaussian_filter)


@pytest.fixture(scope="module")
def pictures() -> Any:
    return np.random.default_rng(0).random((4, 28, 28)).astype(np.float32)


def read(letters: str) -> Any:
    return np.array([ord(letter) - ord("a") for letter in letters])


def test_a_move_by_whole_pixels_is_what_scipy_shifts(page: dict[str, Any], pictures: Any) -> None:
    moved = page["move"](pictures, [0] * 4, [1] * 4, [2] * 4, [-1] * 4)
    np.testing.assert_allclose(moved, shift(pictures, (0, 2, -1), order=0), atol=1e-5)


def test_a_quarter_turn_only_moves_pixels(page: dict[str, Any], pictures: Any) -> None:
    turned = page["move"](pictures, [90] * 4, [1] * 4, [0] * 4, [0] * 4)
    quarter = [np.rot90(pictures, times, axes=(1, 2)) for times in (1, 3)]
    assert any(np.allclose(turned, expected, atol=1e-4) for expected in quarter)


def test_page_and_benchmark_move_alike(page: dict[str, Any], pictures: Any) -> None:
    how = [[5, -12, 0, 30], [1, 0.9, 1.1, 1], [0, 1, -2, 0.5], [0, -1, 2, 1.5]]
    np.testing.assert_array_equal(page["move"](pictures, *how), benchmark.move(pictures, *how))


def test_a_corruption_of_no_strength_changes_nothing(pictures: Any) -> None:
    for kind in benchmark.STRENGTHS:
        np.testing.assert_allclose(benchmark.corrupt(pictures, kind, 0), pictures, atol=1e-5)


def test_blurring_keeps_the_ink_and_spreads_it() -> None:
    dot = np.zeros((1, 28, 28), np.float32)
    dot[0, 14, 14] = 1
    blurred = benchmark.corrupt(dot, "blur", 1.0)
    assert blurred.sum() == pytest.approx(1, abs=1e-4)
    assert blurred.max() < 0.5


def test_standardised_tiles_differ_only_in_their_pattern(pictures: Any) -> None:
    same = benchmark.standardised(0.5 * pictures + 0.2)
    np.testing.assert_allclose(same, benchmark.standardised(pictures), atol=1e-4)


def test_more_labels_include_the_fewer() -> None:
    few, many = (set(benchmark.drawn(labels, 1)) for labels in (5, 20))
    assert few < many
    assert len(few) == 5 * len(benchmark.PHOTOS)


def test_each_setting_was_chosen_on_pictures_put_aside(evidence: dict[str, Any]) -> None:
    truth = data.load_digits().train.y[benchmark.FIT :]
    for way in ("clean", "copies"):
        run = evidence["network"][way]
        best = max(run["grid"], key=lambda one: one["accuracy"])
        assert best["setting"] == run["setting"]
        held = np.array(run["held"])
        assert held.shape == (len(truth), 10)
        assert np.mean(held.argmax(axis=1) == truth) == pytest.approx(best["accuracy"], abs=0.003)


def test_the_stored_answers_are_one_for_each_test_picture(evidence: dict[str, Any]) -> None:
    truth = data.load_digits().test.y
    for way in ("clean", "copies"):
        for letters in evidence["network"][way]["said"]:
            assert len(letters) == len(truth)
            assert np.mean(read(letters) == truth) > 0.97
    for kind in ("features", "textures", "scratch", "tuned"):
        assert {len(run["said"]) for run in evidence[kind]} == {
            benchmark.TESTS * len(benchmark.PHOTOS)
        }


def test_stages_that_the_file_holds_are_not_done_again(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    stages = {name: lambda name=name: done.append(name) or name for name in ("one", "two")}
    monkeypatch.setattr(benchmark, "STAGES", stages)
    file = tmp_path / "measured.json"
    benchmark.measure(file, ["one"])
    benchmark.measure(file, ["one", "two"])
    assert done == ["one", "two"]
