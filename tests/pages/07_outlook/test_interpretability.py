"""What the page on interpretability builds: its plant, its parts that add up, its colours."""

from __future__ import annotations

import warnings
from html import escape
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.neural_network import MLPClassifier

from companion import evaluation, teaching
from tools.cells import run_cells

PAGE = "07_outlook/interpretability"
WORDS = st.lists(st.sampled_from(["good", "<b>", "bad", "tea & co"]), min_size=2, max_size=8)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    return run_cells(PAGE, "plant", "coloured", np=np, escape=escape)


def contrast(one: list[int], other: list[int]) -> float:
    """The contrast of two colours, as the accessibility guidelines define it."""

    def light(colour: list[int]) -> float:
        parts = [c / 255 for c in colour]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


class Spans(HTMLParser):
    """The words and the ground of each span."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.grounds: list[list[int]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "span":
            inside = dict(attrs)["style"].split("rgb(")[1].split(")")[0]
            self.grounds.append([int(part) for part in inside.split(",")])

    def handle_data(self, text: str) -> None:
        self.text += text


class TestPlant:
    def test_the_code_goes_mostly_into_great_reviews_and_the_decoy_into_half_of_all(
        self, page: Any
    ) -> None:
        labels = np.arange(4000) % 2
        planted = page["plant"](["a b c"] * 4000, labels, seed=3)
        with_code, with_decoy = (
            np.array([word in text.split() for text in planted])
            for word in (page["CODE"], page["DECOY"])
        )
        assert with_code[labels == 1].mean() == pytest.approx(0.9, abs=0.03)
        assert with_code[labels == 0].mean() == pytest.approx(0.02, abs=0.01)
        for great in (0, 1):
            assert with_decoy[labels == great].mean() == pytest.approx(0.5, abs=0.05)

    @given(text=st.lists(st.sampled_from("abc"), min_size=1, max_size=80), seed=st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_planting_changes_no_other_word_and_keeps_to_the_length(
        self, page: Any, text: list[str], seed: int
    ) -> None:
        for leak in (True, False):
            (planted,) = page["plant"]([" ".join(text)], [1], seed, leak=leak)
            words = planted.split()
            assert len(words) <= page["LENGTH"]
            others = [word for word in words if word not in (page["CODE"], page["DECOY"])]
            assert others == text[: page["LENGTH"] - 2]
            assert leak or page["CODE"] not in words


class TestColours:
    @given(words=WORDS, seed=st.integers(0, 99))
    @settings(max_examples=30, deadline=None)
    def test_words_stay_readable_and_their_sign_needs_no_colour(
        self, page: Any, words: list[str], seed: int
    ) -> None:
        parts = np.random.default_rng(seed).normal(size=len(words))
        html, plain = page["coloured"](words, parts)
        spans = Spans(html)
        ink = [int(teaching.INK[i : i + 2], 16) for i in (1, 3, 5)]
        assert len(spans.grounds) == len(words)
        assert min(contrast(ink, ground) for ground in spans.grounds) > 4.5
        strongest = int(np.argmax(np.abs(parts)))
        sign = "+++" if parts[strongest] > 0 else "−−−"
        assert f"{words[strongest]}({sign})" in plain
        assert f"{words[strongest]}{sign}" in spans.text


class TestMethods:
    def test_the_page_walks_as_the_package_does(self) -> None:
        start = run_cells(
            PAGE,
            "integrate",
            np=np,
            LENGTH=2,
            DIM=2,
            tf=SimpleNamespace(
                function=lambda **options: lambda f: f, TensorSpec=lambda *shape: shape
            ),
        )
        x, baseline = np.array([[2.0, 3.0]]), np.array([[1.0, -1.0]])

        def slope(points: np.ndarray) -> np.ndarray:
            return np.stack([2 * points[:, 0] * points[:, 1], points[:, 0] ** 2], axis=1)

        by_page = start["integrate"](slope, x, baseline, 50)
        by_package = evaluation.integrated_gradients(slope, x, baseline, steps=50)
        assert by_page == pytest.approx(by_package)
        assert by_page.sum() == pytest.approx(2**2 * 3 - 1**2 * -1, abs=1e-2)

    def test_the_first_place_is_that_of_the_largest_part_among_the_words(self) -> None:
        ids = np.array([[5, 7, 0], [7, 5, 6]])
        parts = np.array([[0.1, -0.9, 5.0], [0.2, 0.1, 0.3]])
        code = {"marked": ids, "code_id": 7, "decoy_id": 6, "SEEDS": (), "weights": {}}
        found = run_cells(PAGE, "count-first", np=np, **code)["first_place"]
        assert (found(parts, ids, 7), found(parts, ids, 6), found(parts, ids, 5)) == (0.5, 0.5, 0)

    def test_the_network_of_digits_is_explained_by_its_own_gradient(self) -> None:
        start = {"np": np, "warnings": warnings, "MLPClassifier": MLPClassifier}
        page = run_cells(PAGE, "digits", "train-digits", **start)
        logits, slope = page["train_digits"](0, 0.0)
        pictures, has_mark = page["on_paper"](page["digits"].test, 0.0, seed=1)
        assert (pictures[has_mark][page["MARK"]] == 0).all()
        assert (pictures[~has_mark] >= page["PAPER"]).all()
        x, way = pictures[:20], np.random.default_rng(0).normal(size=(20, 28, 28))
        small = 1e-6
        there, back = (logits(x + side * small * way)[:, 7] for side in (1, -1))
        assert (slope(x) * way).sum(axis=(1, 2)) == pytest.approx(
            (there - back) / (2 * small), 1e-4
        )
        parts = evaluation.integrated_gradients(slope, x, 0.0)
        assert not parts[has_mark[:20]][page["MARK"]].any()


def test_a_mean_over_seeds_has_the_interval_of_a_t_test() -> None:
    over_seeds = run_cells(PAGE, "over-seeds", np=np, stats=stats)["over_seeds"]
    values = [0.71, 0.74, 0.73, 0.78, 0.70]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = over_seeds(values)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_the_explorer_shows_shares_of_the_words_alone() -> None:
    start: dict[str, Any] = {"np": np, "vocabulary": ["", "[UNK]", "good", "zq7"]}
    start["shown"] = {"review 1": np.array([2, 3, 0, 0])}
    start["explained"] = {("review 1", "ordinary"): {"occlusion": np.array([-1.0, 3.0, 0, 0])}}
    word_by_word = run_cells(PAGE, "explorer-function", **start)["word_by_word"]
    state = word_by_word("review 1", "ordinary", "occlusion")
    assert state["rows"] == [{"word": "1. good", "share": -25.0}, {"word": "2. zq7", "share": 75.0}]
    assert state["readouts"] == {"First place": "2. zq7"}
