"""What the page on natural language claims: tokeniser, attention, explorers."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

import companion
from tools.cells import run_cells

SENTENCE = "You will not be disappointed with this product."
CELLS = ["stretches", "learn-merges", "cut", "pieces-function", "pieces-explorer", "attention"]
SEEDS = st.integers(0, 1000)
WIDTHS = st.integers(1, 9)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    english, chinese = companion.data.load_food_reviews(), companion.data.load_chinese_reviews()
    few = [
        SimpleNamespace(
            train=SimpleNamespace(texts=reviews.train.texts[:30]),
            test=SimpleNamespace(texts=reviews.test.texts[:5]),
        )
        for reviews in (english, chinese)
    ]
    only = companion.preprocessing.BytePairTokenizer(400).fit(few[0].train.texts)

    def look(text: str) -> tuple[list[str], Any, float]:
        tokens = list(text[:8])
        return tokens, np.full((2, 8, 8), 1 / 8), 0.5

    names = {"np": np, "re": re, "companion": companion, "Counter": Counter, "pairwise": pairwise}
    names |= {"english": few[0], "chinese": few[1], "english_only": only, "SIZE": 400}
    names |= {"sentence": SENTENCE, "look": look}
    return run_cells("02_concepts/natural_language", *CELLS, "attention-explorer", **names)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40))
def test_the_pages_tokeniser_is_the_packages_on_any_text(page: dict[str, Any], text: str) -> None:
    assert page["cut"](text, page["merges"]) == page["tool"].encode(text)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40))
def test_stretches_leave_nothing_out(page: dict[str, Any], text: str) -> None:
    assert "".join(page["STRETCH"].findall(text)) == text


@given(n=WIDTHS, d=WIDTHS, d_v=WIDTHS, seed=SEEDS)
def test_every_row_of_weights_is_a_set_of_shares_and_the_output_an_average(
    page: dict[str, Any], n: int, d: int, d_v: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    query, key, value = rng.normal(size=(n, d)), rng.normal(size=(n, d)), rng.normal(size=(n, d_v))
    output, weights = page["attention"](query, key, value)
    assert output.shape == (n, d_v)
    assert np.allclose(weights.sum(axis=1), 1)
    assert (weights >= 0).all()
    assert (output <= value.max(axis=0) + 1e-9).all()
    assert (output >= value.min(axis=0) - 1e-9).all()


@given(n=WIDTHS, d=WIDTHS, seed=SEEDS)
def test_attention_does_not_know_the_order_of_what_it_looks_at(
    page: dict[str, Any], n: int, d: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    query, key, value = rng.normal(size=(3, n, d))
    order = rng.permutation(n)
    assert np.allclose(
        page["attention"](query, key, value)[0],
        page["attention"](query, key[order], value[order])[0],
    )


@given(n=st.integers(2, 9), seed=SEEDS)
def test_a_causal_mask_hides_every_later_token(page: dict[str, Any], n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    query, key, value = rng.normal(size=(3, n, 4))
    causal = np.tril(np.ones((n, n), dtype=bool))
    before, _ = page["attention"](query, key, value, causal)
    changed = int(rng.integers(n))
    key[changed:], value[changed:] = rng.normal(size=(2, n - changed, 4))
    after, _ = page["attention"](query, key, value, causal)
    assert np.allclose(before[:changed], after[:changed])


def test_the_variance_of_a_product_of_a_query_and_a_key_is_the_width() -> None:
    d = 4
    q, k = sp.symbols(f"q1:{d + 1}"), sp.symbols(f"k1:{d + 1}")
    square = sp.Poly(sp.expand(sum(a * b for a, b in zip(q, k, strict=True)) ** 2), *q, *k)
    # Independent, mean zero, variance one: a power of one has the mean 0, a power of two 1.
    mean = sum(c for powers, c in square.terms() if set(powers) <= {0, 2})
    assert mean == d


def test_a_model_as_unsure_as_among_k_tokens_has_the_perplexity_k() -> None:
    k, length = sp.symbols("k T", positive=True)
    loss = -length * sp.log(1 / k) / length
    assert sp.simplify(sp.exp(loss) - k) == 0


@pytest.mark.parametrize("merges", [-1, 1e9, float("nan"), 0.5, "3", None])
def test_the_explorer_of_pieces_refuses_a_number_of_merges_that_is_none(
    page: dict[str, Any], merges: Any
) -> None:
    with pytest.raises(ValueError, match="whole number from 0"):
        page["explore_pieces"](page["lines"][0], "English reviews", merges)


def test_the_explorer_of_pieces_refuses_another_text_and_shows_every_token(
    page: dict[str, Any],
) -> None:
    with pytest.raises(ValueError, match="Choose a text"):
        page["explore_pieces"]("another", "English reviews", 3)
    for line in page["lines"]:
        state = page["explore_pieces"](line, "English and Chinese", 0)
        assert len(state["rows"]) == len(line.encode())


@pytest.mark.parametrize("change", [{"text": "another"}, {"head": 3}, {"head": float("nan")}])
def test_the_explorer_of_attention_refuses_another_text_or_head(
    page: dict[str, Any], change: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="Choose head 1 or 2"):
        page["explore_attention"](**{"text": SENTENCE, "head": 1, "place": 1, **change})


@pytest.mark.parametrize("place", [0, -1, 9, 1e9, float("nan"), None])
def test_the_explorer_of_attention_refuses_a_place_outside_the_sentence(
    page: dict[str, Any], place: Any
) -> None:
    with pytest.raises(ValueError, match="has the tokens 1 to 8"):
        page["explore_attention"](SENTENCE, 1, place)
