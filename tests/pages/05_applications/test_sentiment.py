"""What the page on sentiment claims: its reader, its stored runs, its alarm, its correction."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks import sentiment
from companion import data, economics, evaluation
from tools.cells import run_cells

PAGE = "05_applications/sentiment"
LANGUAGES = ("Chinese", "English")
TEXTS = ["很好很好", "真好吃", "太不好", "不好吃", "好吃，很好", "不行不行", "还行", "太差，不行"]
LABELS = np.array([1, 1, 0, 0, 1, 0, 1, 0])


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return data.load_measurements("sentiment")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    import jieba

    start = {"CountVectorizer": CountVectorizer, "TfidfTransformer": TfidfTransformer, "np": np}
    start |= {"LogisticRegression": LogisticRegression, "jieba": jieba, "evaluation": evaluation}
    rng = np.random.default_rng(0)
    answers = {("books", name): rng.normal(size=60) for name in ("all shops", "other shops")}
    start["by_shop"] = answers | {("books", "truth"): np.array([0, 1, 1] * 20)}
    return run_cells(PAGE, "cut", "learn", "explorer-function", **start)


class TestReader:
    @given(learnt=st.sets(st.integers(0, 7), min_size=6))
    @settings(max_examples=20, deadline=None)
    def test_reviews_that_it_may_not_learn_from_change_nothing(
        self, page: dict[str, Any], learnt: set[int]
    ) -> None:
        rows = sorted(learnt)
        how = page["PIECES"]["characters"]
        counts = CountVectorizer(**how).fit_transform(TEXTS)
        found = page["learn"](counts[rows], LABELS[rows], 10)(counts)
        alone = TfidfVectorizer(min_df=2, sublinear_tf=True, **how)
        x = alone.fit_transform([TEXTS[i] for i in rows])
        model = sentiment.logistic(10).fit(x, LABELS[rows])
        np.testing.assert_allclose(found, model.decision_function(alone.transform(TEXTS)))

    @given(text=st.text(alphabet="好不很吃 的good not,。!", max_size=30))
    @settings(max_examples=50, deadline=None)
    def test_cutting_loses_nothing_but_white_space(self, page: dict[str, Any], text: str) -> None:
        pieces = page["cut_words"](text)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert pieces == sentiment.cut_words(text)

    def test_the_page_and_its_stored_runs_read_the_same_pieces(self, page: dict[str, Any]) -> None:
        for way, how in page["PIECES"].items():
            ours, theirs = (CountVectorizer(**h) for h in (how, sentiment.WAYS[way]))
            assert (ours.fit_transform(TEXTS) != theirs.fit_transform(TEXTS)).nnz == 0


class TestStoredRuns:
    def test_they_are_the_whole_grid(self, evidence: dict[str, Any]) -> None:
        for language in LANGUAGES:
            for way in sentiment.WAYS:
                runs = [r for r in evidence["linear"][language] if r["way"] == way]
                assert tuple(run["setting"] for run in runs) == sentiment.C_GRID
        rates = tuple(run["setting"] for run in evidence["network"]["Chinese"]["runs"])
        assert rates == sentiment.RATE_GRID

    def test_the_embedded_reviews_are_different_ones_of_the_test(
        self, evidence: dict[str, Any]
    ) -> None:
        stored = evidence["embedded"]["Chinese"]
        assert len(set(stored["tests"])) == sentiment.SAMPLE
        assert set(stored["tests"]) <= set(range(2000))
        for way in ("characters", "MiniLM"):
            assert len(stored[way]["said"]) == sentiment.SAMPLE
            assert set(stored[way]["said"]) == {"0", "1"}
            assert min(sentiment.SAMPLE_GRID) < stored[way]["C"] < max(sentiment.SAMPLE_GRID)

    def test_log_odds_stand_beside_every_review_and_change_where_a_word_was_changed(
        self, evidence: dict[str, Any]
    ) -> None:
        assert len(evidence["network"]["Chinese"]["odds"]["test"]) == 2000
        for language, number in zip(LANGUAGES, (2000, 1000), strict=True):
            run = evidence["final"][language]
            rows = run["swapped"]
            for way in sentiment.WAYS:
                assert len(run["odds"]["test"][way]) == number
                before = np.array(run["odds"]["test"][way])[rows]
                assert np.mean(before != run["odds"]["swapped"][way]) > 0.9

    def test_each_test_review_belongs_to_one_shop(self, evidence: dict[str, Any]) -> None:
        runs = evidence["shops"]["Chinese"]
        rows = [row for shop in sentiment.SHOPS for row in runs[shop]["tests"]]
        assert sorted(rows) == list(range(2000))
        for run in runs.values():
            assert len(run["all shops"]) == len(run["other shops"]) == len(run["tests"])

    def test_equally_many_lines_were_learnt_with_and_without_copies(
        self, evidence: dict[str, Any]
    ) -> None:
        run = evidence["leak"]["Chinese"]
        assert run["rows"] == run["lines"]
        assert len(run["labels"]) == len(run["copies left in"]) == len(run["copies left out"])


class TestAlarm:
    @given(first=st.floats(0.01, 0.99), second=st.floats(0.01, 0.99))
    @settings(max_examples=30, deadline=None)
    def test_a_higher_threshold_never_misses_fewer(
        self, page: dict[str, Any], first: float, second: float
    ) -> None:
        low, high = sorted((first, second))
        missed, flagged = (
            [page["alarms"]("books", "all shops", t)["rows"][i]["percent"] for t in (low, high)]
            for i in (0, 1)
        )
        assert missed[0] <= missed[1]
        assert flagged[0] >= flagged[1]

    @pytest.mark.parametrize(
        "wrong",
        [("games", "all shops", 0.5), ("books", "truth", 0.5), ("books", "nothing", 0.5)]
        + [("books", "all shops", threshold) for threshold in (0, 1, -1, float("nan"))],
    )
    def test_it_says_what_it_needs(self, page: dict[str, Any], wrong: tuple[Any, ...]) -> None:
        with pytest.raises(ValueError, match=r"There are no answers|must lie between"):
            page["alarms"](*wrong)


def test_one_review_in_five_is_a_complaint_when_money_is_counted() -> None:
    rng = np.random.default_rng(0)
    labels = np.array([0, 1] * 400)
    part = SimpleNamespace(labels=labels)
    log_odds = {"characters + words": 3 * labels - 1.5 + rng.normal(size=800)}
    start = {"np": np, "economics": economics, "evaluation": evaluation, "seed": 0}
    start["chinese"] = SimpleNamespace(held=part, test=part)
    start["odds"] = {("Chinese", name): log_odds for name in ("held", "test")}
    start["final"] = {"Chinese": "characters + words"}
    made = run_cells(PAGE, "value", **start)
    kept = made["one_in_five"](labels, seed=3)
    assert len(kept) == len(set(kept)) == 500
    assert np.mean(labels[kept] == 0) == pytest.approx(0.2)
    assert set(kept[labels[kept] == 1]) == set(np.flatnonzero(labels == 1))
