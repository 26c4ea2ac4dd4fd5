"""What the page on sorting messages builds by hand: its score, its rules, its minutes."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score

import companion
from benchmarks import newsgroups
from companion import evaluation
from tools.cells import run_cells

PAGE = "05_applications/text_classification"
LABELS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)
WORDS = st.lists(
    st.sampled_from(["re", "in", "article", "writes", "edu", "com", "acs", "goal", "a"])
)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    start = {"np": np, "re": re, "evaluation": evaluation, "companion": companion}
    return run_cells(PAGE, "macro", "clean", "minutes-saved", "thread", texts=[""], **start)


@given(labels=LABELS)
@settings(max_examples=50, deadline=None)
def test_macro_f1_is_that_of_scikit_learn_with_every_group_counted(
    page: dict[str, Any], labels: list[tuple[int, int]]
) -> None:
    truth, said = (np.array(column) for column in zip(*labels, strict=True))
    theirs = f1_score(truth, said, labels=range(5), average="macro", zero_division=0)
    assert page["macro_f1"](truth, said, groups=5) == pytest.approx(theirs)


@given(words=WORDS)
@settings(max_examples=50, deadline=None)
def test_the_control_loses_as_many_words_as_the_rule_and_keeps_their_order(
    page: dict[str, Any], words: list[str]
) -> None:
    text = " ".join(words)
    kept = page["thinned"](text, np.random.default_rng(0)).split()
    assert len(kept) == len(page["without_sender"](text).split())
    remaining = iter(words)
    assert all(word in remaining for word in kept)


def test_the_citation_line_and_the_address_go_and_the_topic_stays(page: dict[str, Any]) -> None:
    text = "re goalies in article apr acs ca parr acs ca charles writes the goalie was superb"
    assert page["without_sender"](text) == "re goalies the goalie was superb"
    assert page["without_sender"]("ask joe cs uni edu about goalies") == "ask about goalies"


@pytest.mark.parametrize(("length", "left"), [(59, 59), (60, 40), (100, 80)])
def test_only_longer_posts_lose_their_last_twenty_words(
    page: dict[str, Any], length: int, left: int
) -> None:
    assert len(page["without_sender"](" ".join(["word"] * length)).split()) == left


@given(words=WORDS)
@settings(max_examples=50, deadline=None)
def test_the_page_and_the_stored_run_cut_threads_and_senders_alike(
    page: dict[str, Any], words: list[str]
) -> None:
    text = " ".join(words)
    assert page["thread"](text) == newsgroups.thread(text)
    assert page["without_sender"](text) == newsgroups.without_sender(text)
    assert page["thread"](f"re {text}") == page["thread"](text)


def test_a_wrong_answer_costs_its_repair_and_silence_costs_nothing(page: dict[str, Any]) -> None:
    right, sent = np.array([True, False, True, False]), np.array([True, True, False, False])
    assert page["minutes_saved"](right, sent, repair=10).tolist() == [1, -9, 0, 0]


class TestClimb:
    @staticmethod
    def tried(best: float, values: list[float], start: list[float]) -> tuple[float, list[float]]:
        asked: list[float] = []

        def score(value: float) -> float:
            asked.append(value)
            return -abs(value - best)

        return newsgroups.climb(values, start, score), asked

    def test_a_best_value_inside_needs_no_more(self) -> None:
        assert self.tried(3, [1, 2, 3, 4, 5], [2, 3, 4]) == (3, [2, 3, 4])

    def test_it_goes_on_until_the_best_has_both_neighbours(self) -> None:
        assert self.tried(2, [1, 2, 3, 4, 5], [2, 3, 4]) == (2, [2, 3, 4, 1])
        assert self.tried(5, [1, 2, 3, 4, 5, 6], [2, 3]) == (5, [2, 3, 4, 5, 6])

    def test_it_ends_where_the_values_end(self) -> None:
        assert self.tried(9, [1, 2, 3, 4], [2, 3]) == (4, [2, 3, 4])


class TestChooseNetwork:
    """With a made-up training whose accuracy is known for every setting."""

    @staticmethod
    def choose(**best: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        def train(setting: dict[str, Any]) -> dict[str, Any]:
            lost = [
                abs(np.log(setting["rate"] / best.get("rate", 1e-3))),
                abs(setting["dropout"] - best.get("dropout", 0.5)),
                abs(setting["positions"] - best.get("positions", 1)),
            ]
            share = 1 - sum(lost) / 20 - setting["seed"] * best.get("seed", 0)
            return setting | {"held_back": [0.1, share]}

        return newsgroups.choose_network(train)

    @pytest.mark.parametrize("positions", [0, 1])
    @pytest.mark.parametrize("rate", [3e-4, 3e-3])
    def test_it_finds_the_best_setting_and_trains_it_with_every_seed(
        self, positions: int, rate: float
    ) -> None:
        _, runs = self.choose(positions=positions, rate=rate, dropout=0.2)
        assert [run["seed"] for run in runs] == list(newsgroups.SEEDS)
        for run in runs:
            assert (run["positions"], run["rate"], run["dropout"]) == (bool(positions), rate, 0.2)

    def test_no_setting_is_trained_twice(self) -> None:
        trained, _ = self.choose()
        settings = [tuple(v for k, v in run.items() if k != "held_back") for run in trained]
        assert len(set(settings)) == len(settings)

    def test_the_mean_over_the_seeds_decides_and_not_the_first(self) -> None:
        def train(setting: dict[str, Any]) -> dict[str, Any]:
            lucky = setting["positions"] and setting["seed"] == 0
            return setting | {"held_back": [0.9 if lucky else 0.6 if setting["positions"] else 0.8]}

        _, runs = newsgroups.choose_network(train)
        assert not any(run["positions"] for run in runs)


@pytest.fixture
def few_posts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """Posts of three groups, each with words and vectors of its own, and what embeds them."""
    rng = np.random.default_rng(0)
    words = [["goal", "puck"], ["orbit", "moon"], ["wheel", "brake"]]
    asked: list[int] = []

    def embed(texts: list[str]) -> Any:
        asked.append(len(texts))
        group = [next(g for g in range(3) if words[g][0] in text) for text in texts]
        return (np.eye(3)[group] + rng.normal(0, 0.01, (len(texts), 3))).astype("float32")

    monkeypatch.setattr("companion.models.embed_texts", embed)
    monkeypatch.setattr(newsgroups, "PIECE", 7)
    labels = np.arange(30) % 3
    texts = [" ".join(words[g] * 2) for g in labels]
    split = SimpleNamespace(texts=texts, labels=labels)
    rows = {"fit": np.arange(20), "held_back": np.arange(20, 30)}
    posts = SimpleNamespace(train=split, test=split)
    return rows | {"posts": posts, "keep": tmp_path, "asked": asked}


def test_vectors_that_are_kept_are_not_made_again(few_posts: dict[str, Any]) -> None:
    first = newsgroups.embed_all(few_posts)
    assert few_posts["asked"] == [7, 7, 7, 7, 2] * 2
    (few_posts["keep"] / "train_00014.npy").unlink()
    again = newsgroups.embed_all(few_posts)
    assert few_posts["asked"] == [7, 7, 7, 7, 2] * 2 + [7]
    assert again[0].shape == again[1].shape == (30, 3)
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[0][:14], again[0][:14])


def test_with_all_labels_each_side_answers_every_post(few_posts: dict[str, Any]) -> None:
    found = newsgroups.all_labels(few_posts)
    truth = newsgroups.letters(few_posts["posts"].test.labels)
    assert found["said"] == {"MiniLM": truth, "sum": truth}
    assert found["held_back"] == dict.fromkeys(("word counts", "MiniLM", "sum"), truth[20:])
    assert len(found["lead"]) == 30
    assert len(found["held_back_lead"]) == 10
    assert found["chosen"]["weight"] in newsgroups.WEIGHTS


class TestStoredRun:
    @pytest.fixture(scope="class")
    def run(self) -> dict[str, Any]:
        return companion.data.load_measurements("newsgroups")

    def test_every_answer_is_a_group_and_none_is_missing(self, run: dict[str, Any]) -> None:
        sample = len(run["test_sample"])
        answers = {answer["said"]: sample for answer in run["curve"]["runs"]}
        answers |= {run["curve"]["by_name"]: sample}
        answers |= dict.fromkeys(run["final"]["said"].values(), 7528)
        answers[run["language_model"]["said"]] = newsgroups.ASKED
        answers |= dict.fromkeys(run["all_labels"]["said"].values(), 7528)
        answers |= {answer["said"]: 7528 for answer in run["network"]["runs"]}
        answers |= {svm["said"]: 7528 for svm in run["network"]["words"].values()}
        for said, number in answers.items():
            assert len(said) == number
            assert set(said) <= set("abcdefghijklmnopqrst")

    def test_every_grid_is_bracketed(self, run: dict[str, Any]) -> None:
        for kind in ("naive Bayes", "linear SVM"):
            grid = run["words"]["scores"]
            scores = [s["accuracy"] for s in grid if s["model"] == kind]
            assert 0 < int(np.argmax(scores)) < len(scores) - 1, kind

    def test_the_stored_networks_are_those_that_the_rule_chooses(self, run: dict[str, Any]) -> None:
        stored = {
            tuple(one[name] for name in ("positions", "width", "dropout", "seed", "rate")): one
            for one in run["network"]["grid"]
        }
        asked = []

        def train(setting: dict[str, Any]) -> dict[str, Any]:
            key = tuple(setting[name] for name in ("positions", "width", "dropout", "seed", "rate"))
            asked.append(key)
            return setting | {"held_back": stored[key]["held_back"]}

        _, runs = newsgroups.choose_network(train)
        assert asked == list(stored)
        for again, kept in zip(runs, run["network"]["runs"], strict=True):
            assert again.items() <= kept.items()

    def test_minilms_strength_and_weight_are_bracketed_and_the_best(
        self, run: dict[str, Any]
    ) -> None:
        found = run["all_labels"]
        for kind in newsgroups.VECTOR_MODELS:
            grid = sorted(
                (s["setting"], s["accuracy"]) for s in found["grid"] if s["model"] == kind
            )
            scores = [accuracy for _, accuracy in grid]
            assert 0 < int(np.argmax(scores)) < len(scores) - 1, kind
        best = max(found["grid"], key=lambda tried: tried["accuracy"])
        assert best.items() >= {k: found["chosen"][k] for k in ("model", "setting")}.items()
        weights = sorted((s["weight"], s["accuracy"]) for s in found["weights"])
        place = int(np.argmax([accuracy for _, accuracy in weights]))
        assert 0 < place < len(weights) - 1
        heaviest = max(weight["accuracy"] for weight in found["weights"])
        assert dict(weights)[found["chosen"]["weight"]] == heaviest

    def test_the_sample_is_drawn_without_repeats_from_the_test_posts(
        self, run: dict[str, Any]
    ) -> None:
        sample = run["test_sample"]
        assert len(set(sample)) == len(sample) == newsgroups.TEST_SAMPLE
        assert 0 <= min(sample) <= max(sample) < 7528
