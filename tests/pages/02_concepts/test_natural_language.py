"""What the page on natural language claims: its tokeniser, vectors, explorer, bill."""

from __future__ import annotations

import re
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion
from tools.cells import run_cells

CELLS = ["stretches", "learn-merges", "cut", "pieces-function", "pieces-explorer"]


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
    names = {"np": np, "re": re, "companion": companion, "Counter": Counter, "pairwise": pairwise}
    names |= {"english": few[0], "chinese": few[1], "english_only": only, "SIZE": 400}
    return run_cells("02_concepts/natural_language", *CELLS, **names)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40))
def test_the_pages_tokeniser_is_the_packages_on_any_text(page: dict[str, Any], text: str) -> None:
    assert page["cut"](text, page["merges"]) == page["tool"].encode(text)


@settings(max_examples=50, deadline=None)
@given(text=st.text(max_size=40))
def test_stretches_leave_nothing_out(page: dict[str, Any], text: str) -> None:
    assert "".join(page["STRETCH"].findall(text)) == text


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


def test_words_that_share_their_groups_vector_all_find_their_group() -> None:
    class Rows(dict[Any, int]):
        def __missing__(self, word: Any) -> int:
            return self.setdefault(word, len(self))  # the next row for each new word

    shared, apart = np.repeat(np.eye(5), [5, 3, 4, 4, 4], axis=0), np.eye(20)[::-1]
    page = run_cells(
        "02_concepts/natural_language",
        "word-groups",
        np=np,
        E=shared,
        table=shared,
        places=Rows(),
        its_places=Rows(),
    )
    assert all(page["hits"])
    assert all(page["hits_lm"])
    assert not all(page["same_group"](apart))
    assert page["chance"] == pytest.approx((5 * 4 + 3 * 2 + 3 * 4 * 3) / 20 / 19)
