"""The small GPT: what it may see, what its cache may not change, and how tokens are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import companion

pytestmark = pytest.mark.tensorflow

VARIANTS = [
    {"positions": "rotary"},
    {"positions": "learned"},
    {"positions": "rotary", "num_key_value_heads": 2},
    {"positions": "learned", "num_key_value_heads": 1},
]


def small_gpt(**options):
    """A GPT whose weights are large enough that a mistake shows in its choices."""
    model = companion.models.build_gpt(50, 16, hidden_dim=16, num_layers=2, num_heads=4, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


@pytest.fixture(scope="module", params=VARIANTS, ids=lambda v: "-".join(map(str, v.values())))
def model(request):
    return small_gpt(**request.param)


def logits(model, ids):
    row = np.zeros((1, model.input_shape[1]), "int32")
    row[0, : len(ids)] = ids
    return np.asarray(model(row))[0]


def test_a_future_token_cannot_change_a_past_logit(model):
    first, second = logits(model, [1, 2, 3, 4, 5]), logits(model, [1, 2, 3, 40, 41])
    np.testing.assert_allclose(first[:3], second[:3], atol=1e-6)
    assert not np.allclose(first[3], second[3], atol=1e-3)


def test_the_order_of_past_tokens_matters(model):
    assert not np.allclose(logits(model, [1, 2, 3])[2], logits(model, [2, 1, 3])[2], atol=1e-3)


def test_cached_and_uncached_logits_agree():
    from companion.models import DecoderBlock

    block = DecoderBlock(num_heads=4, num_key_value_heads=2)
    x = np.random.default_rng(0).normal(size=(2, 6, 16)).astype("float32")
    whole = np.asarray(block(x))
    cache = block.empty_cache(2, 6)
    for place in range(6):
        one, cache = block(x[:, place : place + 1], cache=cache, position=place)
        np.testing.assert_allclose(np.asarray(one)[:, 0], whole[:, place], atol=1e-5)


@pytest.mark.parametrize("heads", [4, 2])
def test_values_mixed_by_the_attention_weights_are_what_the_block_adds(heads):
    from companion.models import DecoderBlock

    block = DecoderBlock(num_heads=4, num_key_value_heads=heads)
    x = np.random.default_rng(0).normal(size=(2, 6, 16)).astype("float32")
    block(x)
    block.feedforward_down.kernel.assign(0 * block.feedforward_down.kernel)
    weights = np.asarray(block.attention_weights(x))
    assert np.triu(weights, 1).max() < 1e-6
    together = np.asarray(block.query_key_value(block.attention_norm(x)))
    value = np.repeat(together[..., -4 * heads :].reshape(2, 6, heads, 4), 4 // heads, axis=2)
    mixed = np.einsum("bhqk,bkhd->bqhd", weights, value).reshape(2, 6, 16)
    added = np.asarray(block.attention_output(mixed))
    np.testing.assert_allclose(np.asarray(block(x)), x + added, atol=1e-5)


def test_generating_with_the_cache_gives_the_tokens_of_the_plain_model(model):
    ids = [7, 8, 9]
    for _ in range(8):
        ids.append(int(np.argmax(logits(model, ids)[len(ids) - 1])))
    assert companion.models.generate_tokens(model, [7, 8, 9], 8, temperature=0) == ids[3:]


def test_drawn_tokens_follow_the_probabilities_that_the_package_states(model):
    options = {"temperature": 1.3, "top_k": 7, "top_p": 0.8}
    draws = np.random.default_rng(5).random(16).astype("float32")
    ids = [7, 8, 9]
    for _ in range(8):
        scores = logits(model, ids)[len(ids) - 1]
        order = np.argsort(-scores, kind="stable")
        reached = np.cumsum(companion.models.next_token_probabilities(scores, **options)[order])
        ids.append(int(order[np.searchsorted(reached, draws[len(ids)], side="right")]))
    assert companion.models.generate_tokens(model, [7, 8, 9], 8, seed=5, **options) == ids[3:]


def test_one_seed_gives_one_text_and_another_seed_another(model):
    texts = [
        companion.models.generate_tokens(model, [1], 15, temperature=2, seed=s) for s in (0, 0, 1)
    ]
    assert texts[0] == texts[1] != texts[2]


def test_no_argument_is_compiled_into_the_loop(model, monkeypatch):
    from companion.models.decoding.sampling import _compiled

    loop, calls = _compiled(model), []
    if not hasattr(loop, "experimental_get_compiler_ir"):
        pytest.skip("only TensorFlow shows what it compiles")
    monkeypatch.setitem(model.__dict__, "_generation_loop", lambda *a: calls.append(a) or loop(*a))
    companion.models.generate_tokens(model, [1, 2], 3)
    code = loop.experimental_get_compiler_ir(*calls[0])(stage="hlo")
    parameters = code[code.index("ENTRY") :].count(" parameter(")
    assert parameters == len(calls[0]) + len(model.weights)


def test_a_top_k_above_the_vocabulary_keeps_all(model):
    plain = companion.models.generate_tokens(model, [1, 2], 5, seed=3)
    assert companion.models.generate_tokens(model, [1, 2], 5, seed=3, top_k=10**12) == plain


def test_new_weights_reach_the_compiled_loop():
    model = small_gpt()
    before = companion.models.generate_tokens(model, [1, 2], 10, temperature=0)
    for weight in model.weights:
        weight.assign(np.random.default_rng(9).normal(size=weight.shape) * 0.3)
    assert companion.models.generate_tokens(model, [1, 2], 10, temperature=0) != before


def test_fewer_key_value_heads_mean_a_smaller_cache():
    from companion.models import DecoderBlock

    full, shared = DecoderBlock(4), DecoderBlock(4, num_key_value_heads=1)
    for block in (full, shared):
        block.build((None, 8, 16))
    assert np.size(full.empty_cache(1, 8)) == 4 * np.size(shared.empty_cache(1, 8))


def test_the_embedding_is_tied_and_counted_once():
    model = companion.models.build_gpt(1000, 8, hidden_dim=16, num_layers=1, num_heads=2)
    block = 4 * 16 * 16 + 2 * 4 * 16 * 16 + 2 * 16
    assert model.count_params() == 1000 * 16 + block + 16


def test_a_saved_model_comes_back_the_same(tmp_path, model):
    import keras

    model.save(tmp_path / "gpt.keras")
    again = keras.models.load_model(tmp_path / "gpt.keras", safe_mode=True)
    np.testing.assert_array_equal(logits(model, [1, 2, 3]), logits(again, [1, 2, 3]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_heads": 3}, "divide"),
        ({"num_key_value_heads": 3}, "divide"),
        ({"positions": "sinus"}, "rotary"),
        ({"num_layers": 0}, "at least 1"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_an_impossible_model_is_refused(options, said):
    with pytest.raises(ValueError, match=said):
        companion.models.build_gpt(10, **options)


@pytest.mark.parametrize(
    ("prompt", "count", "options"),
    [
        ([], 3, {}),
        ([1.5], 3, {}),
        ([50], 3, {}),
        ([-1], 3, {}),
        ([1], 0, {}),
        ([1], 16, {}),
        ([1], 3, {"temperature": -1}),
        ([1], 3, {"temperature": float("nan")}),
        ([1], 3, {"top_k": 0}),
        ([1], 3, {"top_k": 2.7}),
        ([1], 3, {"top_p": 0}),
        ([1], 3, {"top_p": 1.1}),
    ],
)
def test_a_wrong_request_is_refused(prompt, count, options):
    model = companion.models.build_gpt(50, 16, hidden_dim=8, num_layers=1, num_heads=2)
    with pytest.raises(ValueError, match="must"):
        companion.models.generate_tokens(model, prompt, count, **options)


ROWS = st.lists(st.floats(-50, 50), min_size=2, max_size=20)


@given(row=ROWS, temperature=st.floats(0, 10), top_k=st.integers(1, 25), top_p=st.floats(0.01, 1))
@settings(deadline=None)
def test_probabilities_are_shares_of_one(row, temperature, top_k, top_p):
    shares = companion.models.next_token_probabilities(
        row, temperature=temperature, top_k=top_k, top_p=top_p
    )
    assert shares.min() >= 0
    assert shares.sum() == pytest.approx(1)
    assert np.count_nonzero(shares) <= top_k


@given(row=ROWS, top_p=st.floats(0.01, 1))
@settings(deadline=None)
def test_top_p_keeps_the_fewest_that_reach_it(row, top_p):
    plain = companion.models.next_token_probabilities(row)
    kept = companion.models.next_token_probabilities(row, top_p=top_p) > 0
    assert plain[kept].sum() >= top_p - 1e-9
    assert plain[kept].sum() - plain[kept].min() < top_p + 1e-9


def test_low_temperature_leaves_the_likeliest_token():
    assert companion.models.next_token_probabilities([1.0, 3.0, 2.0], temperature=0).tolist() == [
        0,
        1,
        0,
    ]


def test_no_play_stands_on_both_sides():
    plays = companion.data.load_shakespeare(num_test=5, seed=3)
    assert not set(plays.train) & set(plays.test)
    assert len(plays.test) == 5


def test_the_plays_hold_no_markup():
    plays = companion.data.load_shakespeare()
    text = "".join((*plays.train.values(), *plays.test.values()))
    assert not set("*_#\\~<>") & set(text)


@pytest.mark.parametrize("num_test", [0, 38, -1])
def test_a_split_without_a_side_is_refused(num_test):
    with pytest.raises(ValueError, match="num_test"):
        companion.data.load_shakespeare(num_test=num_test)
