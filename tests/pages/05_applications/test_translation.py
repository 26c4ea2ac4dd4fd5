"""What the page on translation claims: its words, its table, its score, its network, its hours."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import numpy as np
import pytest
import sacrebleu
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import translation
from companion import data
from tools.cells import run_cells

pytestmark = pytest.mark.tensorflow

PAGE = "05_applications/translation"
SENTENCES = st.text(alphabet="abcdef gh.", min_size=8, max_size=30).filter(
    lambda text: len("".join(text.split())) > 6
)


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return data.load_measurements("translation")


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    part, dictionary = translation.parts()
    often = Counter(
        word for source, _ in part["fit"] for word in translation.cut(source, dictionary)
    )
    start: dict[str, Any] = {"np": np, "re": re, "Counter": Counter, "tests": part["test"]}
    start |= {"dictionary": dictionary, "often": often, "fit": part["fit"][:4]}
    return run_cells(PAGE, "score-tools", "pieces", "model-one", "look-up", "gap", **start)


class TestScore:
    @given(said=st.lists(SENTENCES, min_size=3, max_size=3), seed=st.integers(0, 99))
    @settings(max_examples=40, deadline=None)
    def test_it_is_the_one_that_sacrebleu_computes(
        self, page: dict[str, Any], said: list[str], seed: int
    ) -> None:
        meant = [said[i] for i in np.random.default_rng(seed).permutation(3)]
        ours = page["chrf"](page["matches"](said, meant))
        assert ours == pytest.approx(sacrebleu.corpus_chrf(said, [meant]).score)

    def test_a_sentence_said_as_it_was_meant_has_a_hundred(self, page: dict[str, Any]) -> None:
        said = ["The library is inside the school."]
        assert page["chrf"](page["matches"](said, said)) == pytest.approx(100)


class TestWords:
    def test_the_page_and_its_stored_runs_cut_and_join_alike(self, page: dict[str, Any]) -> None:
        part, dictionary = translation.parts()
        for source, target in part["held"]:
            words = page["cut"](source, dictionary)
            assert "".join(words) == source
            assert words == translation.cut(source, dictionary)
            tokens = page["tokenize"](target)
            assert tokens == translation.tokenize(target)
            assert page["join"](tokens) == translation.join(tokens)
        assert page["REMARKS"] == translation.REMARKS
        for gloss in dictionary.values():
            assert page["meaning"](gloss) == translation.meaning(gloss)

    @pytest.mark.parametrize(
        ("gloss", "expected"),
        [
            ("to be careful; cautious", "careful"),
            ("surname Li; plum", "plum"),
            ("(of sb) to give; to hand", "give"),
            ("surname Wu", ""),
            ("", ""),
        ],
    )
    def test_a_meaning_is_the_first_that_is_no_remark(
        self, page: dict[str, Any], gloss: str, expected: str
    ) -> None:
        assert page["meaning"](gloss) == expected


class TestTable:
    def test_each_round_of_model_one_explains_the_sentences_better(
        self, page: dict[str, Any]
    ) -> None:
        pairs = [(["a", "b"], ["x", "y"]), (["a"], ["x"]), (["b", "c"], ["y", "z"])]
        found = page["model_one"](pairs, 20)
        assert {word: found[word] for word in "abc"} == {"a": "x", "b": "y", "c": "z"}
        assert found == translation.model_one(pairs, 20)

    def test_the_dictionary_speaks_for_words_below_the_count_only(
        self, page: dict[str, Any]
    ) -> None:
        dictionary, often = {"一": "one; single", "二": "two"}, Counter({"一": 5, "二": 1})
        part, table = [("一二", "")], {"一": "first", "二": "second"}
        said = [page["look_up"](part, table, often, dictionary, least)[0] for least in (0, 2, 9)]
        assert said == ["First second", "First two", "One two"]


def test_gaps_stand_where_the_stored_runs_have_them(page: dict[str, Any]) -> None:
    part, dictionary = translation.parts()
    vocabulary = translation.Vocabulary(part["fit"], dictionary, 3, True)
    for source, _ in part["test"]:
        shown, filled = page["with_gaps"](source, 3)
        ids, held = vocabulary.read(source)
        number = len([word for word in shown if word.startswith("<gap")])
        assert number == len(filled)
        assert [translation.meaning(dictionary[w]) for w in held] == filled[: translation.GAPS]
        assert len(ids) == len(shown)


def test_an_answer_with_its_gaps_filled_reads_as_a_sentence() -> None:
    fit = [("我喝茶", "I drink tea."), ("我喝水", "I drink water."), ("我看书", "I read books.")]
    dictionary = {"茶": "tea", "水": "water", "喝": "to drink", "看": "to read", "书": "book"}
    vocabulary = translation.Vocabulary(fit, dictionary, 2, True)
    ids, held = vocabulary.read("我喝茶")
    assert held == ["茶"]
    target = vocabulary.target("I drink tea.", held)
    assert vocabulary.ids["<gap 0>"] in target
    assert vocabulary.write(target, held) == "I drink tea."
    assert len(ids) == 3


class TestStoredRuns:
    def test_each_has_a_translation_of_every_test_sentence(self, evidence: dict[str, Any]) -> None:
        part, _ = translation.parts()
        assert list(evidence["runs"]) == list(translation.RUNS)
        for name, run in evidence["runs"].items():
            assert set(run["held"]) == set(run["test"]) == set(translation.SEARCHES)
            assert run["gaps"] == translation.RUNS[name]["gaps"]
            for said in run["test"].values():
                assert len(said) == len(part["test"])
        for said in evidence["baselines"].values():
            assert len(said) == len(part["test"])

    def test_attention_has_a_row_for_each_word_written(self, evidence: dict[str, Any]) -> None:
        for run in evidence["runs"].values():
            for case in run["looked"]:
                weights = np.array(case["weights"])
                assert weights.shape == (len(case["written"]), len(case["read"]))


@given(
    one=st.lists(st.sampled_from("abc"), max_size=6),
    other=st.lists(st.sampled_from("abc"), min_size=1, max_size=6),
)
@settings(max_examples=60, deadline=None)
def test_edits_are_a_distance(edits: Any, one: list[str], other: list[str]) -> None:
    assert edits(one, other) == edits(other, one)
    assert edits(one, one) == 0
    assert abs(len(one) - len(other)) <= edits(one, other) <= max(len(one), len(other))


@pytest.fixture(scope="module")
def edits() -> Any:
    return run_cells(PAGE, "edits")["edits"]


# The package's layers of each kind, in the order in which the page makes its own.
LAYERS = [
    "token_embedding",
    "source_positions",
    "target_positions",
    "encoder_0_attention",
    "decoder_0_attention",
    "cross_0_attention",
    "encoder_0_up",
    "encoder_0_down",
    "decoder_0_up",
    "decoder_0_down",
    "encoder_0_attention_norm",
    "encoder_0_norm",
    "encoder_norm",
    "decoder_0_attention_norm",
    "cross_0_attention_norm",
    "decoder_norm",
    "decoder_0_norm",
]


def test_the_network_on_the_page_computes_what_the_packages_does() -> None:
    from companion import models
    from companion._common.backend import keras

    made = run_cells(PAGE, "branches", "network", keras=keras)
    ours, theirs = made["build"](17), models.build_translator(17, 16, 64, num_layers=1)
    rng = np.random.default_rng(0)
    theirs.set_weights([rng.normal(0.1, 0.3, weight.shape) for weight in theirs.weights])
    parts = [theirs.get_layer("encoder"), theirs.get_layer("decoder")]
    named = {layer.name: layer for part in parts for layer in part.layers}
    waiting: dict[type, list[Any]] = {}
    for name in LAYERS:
        waiting.setdefault(type(named[name]), []).append(named[name])
    learnt = [layer for layer in ours.layers if layer.weights]
    for layer in sorted(learnt, key=lambda x: int("0" + re.sub(r"\D", "", x.name))):
        layer.set_weights(waiting[type(layer)].pop(0).get_weights())
    assert not any(waiting.values())
    ids = {"source_ids": np.array([[4, 9, 5, 0]]), "target_ids": np.array([[1, 3, 7]])}
    np.testing.assert_allclose(np.asarray(ours(ids)), np.asarray(theirs(ids)), atol=1e-4)
