"""The pre-trained network reads meaning, and reads each text for itself."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from companion.models import embed_texts

TEXTS = ["A cup of tea.", "Some hot coffee, please!", "Pay your invoice within a week.", "Tea"]


@pytest.fixture(scope="module")
def vectors():
    return embed_texts(TEXTS)


def test_every_text_becomes_a_vector_of_length_one(vectors):
    assert vectors.shape == (4, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_vector_does_not_depend_on_the_company_or_the_order(vectors):
    assert np.allclose(embed_texts(TEXTS[::-1])[::-1], vectors, atol=1e-5)
    for i, text in enumerate(TEXTS):
        assert np.allclose(embed_texts([text])[0], vectors[i], atol=1e-5)


def test_capitals_do_not_matter(vectors):
    assert np.allclose(embed_texts([TEXTS[0].upper()])[0], vectors[0], atol=1e-5)


def test_texts_of_like_meaning_have_like_vectors(vectors):
    likeness = vectors @ vectors.T
    assert likeness[0, 3] > 0.6  # tea and tea
    assert likeness[0, 1] > likeness[0, 2]  # tea is nearer to coffee than to an invoice


def test_the_order_of_words_is_read():
    one, other = embed_texts(["The dog bites the man.", "The man bites the dog."])
    assert one @ other < 0.999


def test_a_long_text_is_read_up_to_the_limit():
    start = "good tea " * 20
    near, far = embed_texts([start + "awful", start + "wonderful"], max_tokens=20)
    assert np.allclose(near, far, atol=1e-5)
    near, far = embed_texts([start + "awful", start + "wonderful"], max_tokens=64)
    assert not np.allclose(near, far, atol=1e-3)


@pytest.mark.parametrize("missing", ["safetensors", "tokenizers", "threadpoolctl"])
def test_a_missing_package_says_what_to_install(missing, monkeypatch):
    from companion.models.pretrained import sentences as pretrained

    pretrained._load.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ModuleNotFoundError, match=rf"'{missing}'.*companion\[pretrained\]"):
        embed_texts(["tea"])


@pytest.mark.parametrize("given", ["one text", [], ["a", ""], ["a", None]])
def test_what_is_no_list_of_texts_is_refused(given):
    with pytest.raises(ValueError, match="text"):
        embed_texts(given)


@pytest.mark.parametrize("max_tokens", [2, 257, True, 0.5, float("nan")])
def test_a_limit_out_of_range_is_refused(max_tokens):
    with pytest.raises(ValueError, match="from 3 to 256"):
        embed_texts(["tea"], max_tokens=max_tokens)
