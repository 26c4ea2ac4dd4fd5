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


class Counted:
    """A model that says what its setting and the number of pictures it learned from give it."""

    def __init__(self, setting: dict[str, Any], score: Any) -> None:
        self.setting, self.right, self.pictures = setting, score, 0

    def fit(self, x: Any, y: Any) -> Counted:
        assert x.ndim == 2
        assert len(x) == len(y)
        self.pictures = len(x)
        return self

    def score(self, x: Any, y: Any) -> float:
        assert len(x) == len(y) == 3  # the pictures to choose by
        return float(self.right(self.pictures // 2 - 1, **self.setting))

    def predict(self, x: Any) -> Any:
        assert len(x) == 4  # the test pictures
        return np.full(4, self.pictures // 5 - 1)  # copies of the five to learn from


def searched(method: str, score: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the search with made-up pictures, and a score of copies and setting for learning."""
    counts = {"fit": 2, "held": 3, "all": 5, "test": 4}
    parts = {name: (np.zeros((n, 28, 28)), np.zeros(n, int)) for name, n in counts.items()}

    def with_setting(name: str, **setting: Any) -> Counted:
        assert name == method
        return Counted({k: v for k, v in setting.items() if k != "copies"}, score)

    monkeypatch.setattr(benchmark, "digits", lambda: parts)
    monkeypatch.setattr(benchmark, "with_setting", with_setting)
    return benchmark.moved_copies(method)


def test_neighbours_of_moved_copies_try_every_number_with_every_k(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = searched("k-NN", lambda copies, k: copies / 100 - abs(k - 5), monkeypatch)
    pairs = [(n, k) for n in benchmark.COPIES["k-NN"] for k in benchmark.COPIES_K]
    tried = [(run["setting"]["copies"], run["setting"]["k"]) for run in found["grid"]]
    assert tried == pairs
    for (n, k), run in zip(pairs, found["grid"], strict=True):
        assert run["accuracy"] == pytest.approx(n / 100 - abs(k - 5))
    assert found["setting"] == {"k": 5, "copies": 20}
    assert found["said"] == 4 * chr(ord("a") + 20)  # learned from all, with the chosen copies


def test_support_vectors_try_the_width_then_the_strength_then_more_copies(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def score(copies: int, gamma: float, **other: float) -> float:
        return float(copies / 100 - abs(np.log(other["C"] / 10)) - abs(np.log(gamma / 0.1)))

    found = searched("SVM", score, monkeypatch)
    tried = [tuple(run["setting"][k] for k in ("copies", "C", "gamma")) for run in found["grid"]]
    widths = [(2, 3.0, gamma) for gamma in (0.02, 0.03, 0.05, 0.1, 0.2)]
    strengths = [(2, c, 0.1) for c in (1.0, 10.0, 30.0)]  # three was tried with every width
    assert tried == [*widths, *strengths, (5, 10.0, 0.1)]
    assert found["setting"] == {"C": 10.0, "gamma": 0.1, "copies": 5}
    assert found["said"] == "ffff"


def test_more_copies_are_not_chosen_if_they_are_worse(monkeypatch: pytest.MonkeyPatch) -> None:
    def score(copies: int, gamma: float, **other: float) -> float:
        return -copies - abs(gamma - 0.03) - 0.01 * abs(other["C"] - 3)

    found = searched("SVM", score, monkeypatch)
    assert found["grid"][-1]["setting"] == {"C": 3.0, "gamma": 0.03, "copies": 5}
    assert found["setting"]["copies"] == 2
    assert found["said"] == "cccc"


def test_moved_copies_stand_behind_the_pictures_with_their_labels(pictures: Any) -> None:
    x, y = benchmark.with_copies((pictures, np.array([3, 1, 4, 1])), 2)
    assert x.shape == (12, 28, 28)
    assert y.tolist() == [3, 1, 4, 1] * 3
    np.testing.assert_array_equal(x[:4], pictures)
    assert not np.allclose(x[4:8], x[8:])
    rng = np.random.default_rng(0)
    np.testing.assert_array_equal(x[4:8], benchmark.augment(pictures, rng))
    np.testing.assert_array_equal(x[8:], benchmark.augment(pictures, rng))


def test_a_setting_reaches_its_model() -> None:
    neighbours = benchmark.with_setting("k-NN", k=7, copies=5)
    assert (neighbours.n_neighbors, neighbours.weights) == (7, "distance")
    vectors = benchmark.with_setting("SVM", C=3.0, gamma=0.02, copies=2)
    assert (vectors.C, vectors.gamma) == (3.0, 0.02)


def test_the_stored_copies_were_chosen_by_the_pictures_put_aside(evidence: dict[str, Any]) -> None:
    for method, run in evidence["copies"].items():
        best = max(run["grid"], key=lambda one: one["accuracy"])
        assert best["setting"] == run["setting"]
        assert len(run["said"]) == len(data.load_digits().test.y)
        counts = 800 * np.array([one["accuracy"] for one in run["grid"]])
        assert np.allclose(counts, np.rint(counts), atol=1e-6)
        assert {one["setting"]["copies"] for one in run["grid"]} == set(benchmark.COPIES[method])
