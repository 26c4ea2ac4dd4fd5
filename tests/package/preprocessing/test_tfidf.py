"""Weights of words are those of the formula, and the alphabet decides which words are kept."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from companion.preprocessing import build_tfidf

TEXTS = st.lists(
    st.lists(st.sampled_from(["ant", "bee", "cat", "dog", "eel"]), min_size=1, max_size=8).map(
        " ".join
    ),
    min_size=1,
    max_size=8,
)


def weights(texts: list[str], words: list[str], sublinear: bool) -> np.ndarray:
    """The definition: count, times the logarithm of how few texts hold the word, to length one."""
    rows = []
    for text in texts:
        counts = Counter(text.split())
        row = []
        for word in words:
            count = counts[word]
            frequency = 1 + math.log(count) if sublinear and count else count
            holders = sum(word in other.split() for other in texts)
            row.append(frequency * (math.log((1 + len(texts)) / (1 + holders)) + 1))
        length = math.sqrt(sum(x * x for x in row))
        rows.append([x / length if length else 0.0 for x in row])
    return np.array(rows)


@given(texts=TEXTS, sublinear=st.booleans())
def test_the_weights_are_those_of_the_definition(texts: list[str], sublinear: bool) -> None:
    table = build_tfidf(sublinear_tf=sublinear).fit(texts)
    words = sorted({word for text in texts for word in text.split()})
    assert table.get_feature_names_out().tolist() == words
    np.testing.assert_allclose(table.transform(texts).toarray(), weights(texts, words, sublinear))


@given(texts=TEXTS, number=st.integers(1, 5))
def test_the_most_frequent_words_are_kept_and_the_alphabet_breaks_ties(
    texts: list[str], number: int
) -> None:
    counts = Counter(word for text in texts for word in text.split())
    assume(number <= len(counts))
    kept = sorted(counts, key=lambda word: (counts[word], word))[-number:]
    assert build_tfidf(number).fit(texts).get_feature_names_out().tolist() == sorted(kept)


def test_the_choice_among_equals_is_always_the_same_one() -> None:
    texts = ["eel dog cat bee ant"]
    first = build_tfidf(2).fit(texts).get_feature_names_out().tolist()
    assert first == build_tfidf(2).fit(["cat ant eel bee dog"]).get_feature_names_out().tolist()


def test_options_reach_the_counter() -> None:
    pairs = build_tfidf(ngram_range=(2, 2)).fit(["green tea leaves"])
    assert pairs.get_feature_names_out().tolist() == ["green tea", "tea leaves"]


@pytest.mark.parametrize("number", [0, -1, 2.0, True, "2"])
def test_a_number_of_words_that_cannot_be_is_refused(number: object) -> None:
    with pytest.raises(ValueError, match="max_features must be a whole number of at least 1"):
        build_tfidf(number)  # type: ignore[arg-type]
