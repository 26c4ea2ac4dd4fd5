"""What the page on attention claims: shares, masks, heads, places, its explorer, a real block."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sympy as sp
from hypothesis import given
from hypothesis import strategies as st

from tools.cells import run_cells

SENTENCE = "You will not be disappointed with this product."
CELLS = ["look-up", "attention", "heads", "turn", "attention-explorer", "exercise-saving"]
SEEDS = st.integers(0, 1000)
WIDTHS = st.integers(1, 9)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    def look(text: str) -> tuple[list[str], Any, float]:
        return list(text[:8]), np.full((2, 8, 8), 1 / 8), 0.5

    names = {"np": np, "rng": np.random.default_rng(0), "sentence": SENTENCE, "look": look}
    return run_cells("02_concepts/attention", *CELLS, **names)


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


@given(n=WIDTHS, heads=st.integers(1, 3), d=WIDTHS, seed=SEEDS)
def test_heads_together_are_the_sum_of_each_head_alone(
    page: dict[str, Any], n: int, heads: int, d: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    x, (wq, wk, wv) = rng.normal(size=(n, 4)), rng.normal(size=(3, 4, heads, d))
    wo = rng.normal(size=(heads, d, 4))
    found, weights = page["multi_head"](x, wq, wk, wv, wo)
    alone = [
        page["multi_head"](x, wq[:, [h]], wk[:, [h]], wv[:, [h]], wo[[h]])[0] for h in range(heads)
    ]
    assert np.allclose(found, sum(alone))
    assert weights.shape == (heads, n, n)


@given(a=st.integers(0, 500), b=st.integers(0, 500), later=st.integers(0, 500), seed=SEEDS)
def test_the_score_of_turned_vectors_depends_on_the_distance_alone(
    page: dict[str, Any], a: int, b: int, later: int, seed: int
) -> None:
    turn, (q, k) = page["turn"], np.random.default_rng(seed).normal(size=(2, 1, 8))
    here = turn(q, [a]) @ turn(k, [b]).T
    assert np.allclose(here, turn(q, [a + later]) @ turn(k, [b + later]).T)


@given(place=st.integers(0, 10_000), seed=SEEDS)
def test_a_turn_keeps_the_length_and_place_zero_the_vector(
    page: dict[str, Any], place: int, seed: int
) -> None:
    x = np.random.default_rng(seed).normal(size=(1, 6))
    assert np.isclose(np.linalg.norm(page["turn"](x, [place])), np.linalg.norm(x))
    assert np.array_equal(page["turn"](x, [0]), x)


@given(n=st.integers(1, 40), width=st.integers(1, 50))
def test_the_looks_of_a_window_are_those_that_its_mask_allows(
    page: dict[str, Any], n: int, width: int
) -> None:
    mask = np.tri(n, dtype=bool) & ~np.tri(n, k=-width, dtype=bool)
    assert page["count_looks"](n, width) == mask.sum()


@pytest.mark.tensorflow
@pytest.mark.parametrize(("heads", "shared"), [(2, 1), (6, 2), (3, 3)])
def test_a_head_by_hand_has_the_weights_of_the_block(
    page: dict[str, Any], heads: int, shared: int
) -> None:
    import keras

    from companion import models

    keras.utils.set_random_seed(0)
    block = models.DecoderBlock(heads, num_key_value_heads=shared, rope_base=50.0)
    x = np.random.default_rng(0).normal(size=(1, 7, 12)).astype("float32")
    block(x)
    source = run_cells(
        "02_concepts/attention",
        "large-by-hand",
        np=np,
        turn=page["turn"],
        attention=page["attention"],
    )
    theirs = np.asarray(block.attention_weights(x))[0]
    for head in range(heads):
        ours = source["head_by_hand"](block, x[0], head)
        assert np.allclose(ours, theirs[head], atol=1e-5)


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
