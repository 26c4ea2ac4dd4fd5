"""A GPT writes with its cache what it would write without, in the form that is asked for."""

from __future__ import annotations

import json
import re
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from companion import models
from companion.models.decoding.graph import quantize_rows
from companion.models.decoding.weights import GPTWeights
from companion.models.decoding.writing import draw_token
from tests.package.models.gguf_files import gguf, llama


@pytest.fixture(scope="module", name="tiny")
def tiny_model(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    path.write_bytes(gguf(*llama()))
    return models.load_language_model(path)


PROMPT = [5, 9, 200, 31, 77]


def test_what_is_written_with_the_cache_is_what_the_whole_text_asks_for(tiny):
    ids = list(PROMPT)
    for _ in range(12):
        ids.append(int(tiny.logits(ids)[-1].argmax()))
    wanted = ids[len(PROMPT) :]
    wanted = wanted[: wanted.index(0)] if 0 in wanted else wanted
    assert list(tiny.generate(PROMPT, max_tokens=12).tokens) == wanted


def test_a_long_prompt_is_read_in_parts_as_if_in_one(tmp_path):
    changed, tensors = llama(**{"llama.context_length": 1024})
    (tmp_path / "long.gguf").write_bytes(gguf(changed, tensors))
    long = models.load_language_model(tmp_path / "long.gguf")
    ids = np.random.default_rng(0).integers(1, 250, 600).tolist()
    short = long.logits(ids[:100])
    np.testing.assert_allclose(long.logits(ids)[:100], short, atol=1e-4)


def test_prompts_side_by_side_are_answered_as_each_alone(tiny):
    prompts = [PROMPT, [3], list(range(10, 40))]
    alone = [tiny.generate(prompt, max_tokens=10).tokens for prompt in prompts]
    together = tiny.generate_batch(prompts, max_tokens=10)
    assert [answer.tokens for answer in together] == alone


def test_a_batch_may_fill_the_context(tiny):
    full = list(range(1, tiny.context_length))
    answers = tiny.generate_batch([full, [1]], max_tokens=1000)
    assert len(answers[0].tokens) <= 1
    assert all(answer.finish_reason in ("stop", "length") for answer in answers)


@given(
    row=st.lists(st.floats(-30, 30), min_size=2, max_size=40),
    draw=st.floats(0, 1, exclude_max=True),
    temperature=st.floats(0.05, 5),
    top_k=st.none() | st.integers(1, 50),
    top_p=st.floats(0.01, 1),
    min_p=st.floats(0, 1),
)
@example(row=[-1e-70, 0.0], draw=0.0, temperature=1.0, top_k=None, top_p=0.5, min_p=0.0)
@example(row=[0.0, 19.0], draw=0.0, temperature=0.5, top_k=None, top_p=1.0, min_p=0.0)
@settings(deadline=None)
def test_a_drawn_token_is_one_that_the_stated_probabilities_allow(row, draw, **options):
    shares = models.next_token_probabilities(row, **options)
    assert shares[draw_token(row, draw, **options)] > 0


@pytest.mark.parametrize(
    "options", [{}, {"top_k": 4}, {"top_p": 0.7}, {"min_p": 0.2}, {"top_k": 6, "top_p": 0.9}]
)
def test_draws_follow_the_stated_probabilities(options):
    row = np.random.default_rng(0).normal(size=12)
    counts = np.zeros(12)
    for draw in (np.arange(4000) + 0.5) / 4000:
        counts[draw_token(row, draw, temperature=1.5, **options)] += 1
    stated = models.next_token_probabilities(row, temperature=1.5, **options)
    np.testing.assert_allclose(counts / 4000, stated, atol=1 / 4000)


def test_a_seed_decides_the_text(tiny):
    texts = [tiny.generate(PROMPT, temperature=2.0, seed=seed, max_tokens=20) for seed in (0, 0, 1)]
    assert texts[0] == texts[1] != texts[2]


def test_a_penalty_keeps_tokens_from_coming_again(tiny):
    plain = tiny.generate(PROMPT, max_tokens=50)
    varied = tiny.generate(PROMPT, max_tokens=50, repetition_penalty=1e6)
    repeats = [len(a.tokens) - len(set(a.tokens)) for a in (plain, varied)]
    assert repeats[1] <= repeats[0]
    assert not set(varied.tokens) & set(PROMPT)


@given(seed=st.integers(0, 10**6), stop=st.lists(st.sampled_from(["a", "th", "e ", "é"])))
@settings(deadline=None, max_examples=40)
def test_a_stream_gives_the_whole_text_in_whole_characters_and_ends_before_a_stop(tiny, seed, stop):
    stream = tiny.stream(PROMPT, temperature=1.5, seed=seed, stop=stop, max_tokens=40)
    pieces = list(stream)
    assert "".join(pieces) == stream.answer.text
    assert not any(text in stream.answer.text for text in stop)
    free = tiny.generate(PROMPT, temperature=1.5, seed=seed, max_tokens=40)
    assert free.text.startswith(stream.answer.text)
    assert free.text == tiny.tokenizer.decode(free.tokens)


def test_a_character_of_several_tokens_comes_in_one_piece(tiny):
    regex = "(😀|你){5}"
    pieces = list(tiny.stream(PROMPT, regex=regex, max_tokens=60))
    assert re.fullmatch(regex, "".join(pieces))
    assert set(pieces) <= {"😀", "你"}


@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_an_answer_in_a_form_always_has_it(tiny, seed):
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["bill", "offer"]},
            "pages": {"type": "integer", "minimum": 1, "maximum": 40},
        },
        "required": ["kind", "pages"],
        "additionalProperties": False,
    }
    found = json.loads(tiny.generate(PROMPT, schema=schema, temperature=3.0, seed=seed).text)
    assert found["kind"] in ("bill", "offer")
    assert 1 <= found["pages"] <= 40
    text = tiny.generate(PROMPT, regex="[a-c]{3}-[0-9]+", temperature=3.0, seed=seed).text
    assert re.fullmatch("[a-c]{3}-[0-9]+", text)


@pytest.mark.parametrize(
    "form",
    [
        {"schema": {"type": "integer", "minimum": 5, "maximum": 2}},
        {"schema": {"allOf": [{"type": "string"}, {"type": "integer"}]}},
        {"schema": {"type": "poem"}},
        {"schema": '{"type": '},
        {"schema": 3},
        {"schema": {"enum": []}},
        {"regex": "("},
        {"regex": ""},
        {"regex": "a", "schema": True},
    ],
)
def test_a_form_that_no_text_has_is_refused(tiny, form):
    with pytest.raises(models.ConstraintError, match=r"cannot be met|no JSON|must be|not both"):
        tiny.generate(PROMPT, **form)


def test_a_form_that_needs_more_tokens_than_allowed_is_no_answer(tiny):
    with pytest.raises(models.ConstraintError, match="max_tokens=3"):
        tiny.generate(PROMPT, regex="[a-z]{30}", max_tokens=3)


@pytest.mark.parametrize(
    "options",
    [
        {"max_tokens": 0},
        {"temperature": -1},
        {"top_k": 0},
        {"top_p": 0},
        {"min_p": 2},
        {"repetition_penalty": 0},
        {"stop": ""},
        {"stop": [3]},
        {"seed": -1},
        {"temprature": 1},
    ],
)
def test_a_wrong_option_is_refused_by_its_name(tiny, options):
    with pytest.raises(ValueError, match=next(iter(options))):
        tiny.generate(PROMPT, **options)


@pytest.mark.parametrize("prompt", ["", [], [-1], [10**6], [1.5], list(range(64)), "a" * 64])
def test_a_prompt_that_is_empty_unknown_or_too_long_is_refused(tiny, prompt):
    with pytest.raises(ValueError, match=r"empty|token id|at most"):
        tiny.generate(prompt)


def test_a_text_model_takes_no_conversation(tiny):
    with pytest.raises(ValueError, match="chat template"):
        tiny.generate([{"role": "user", "content": "Hello"}])


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_fewer_bits_give_nearly_the_same_probabilities(tiny, tmp_path, weights):
    (tmp_path / "tiny.gguf").write_bytes(gguf(*llama()))
    small = models.load_language_model(tmp_path / "tiny.gguf", weights=weights)
    wide, narrow = (
        models.next_token_probabilities(model.logits(PROMPT)) for model in (tiny, small)
    )
    assert small.weight_bytes < tiny.weight_bytes * (0.51 if weights == "float16" else 0.29)
    assert (abs(wide - narrow).sum(axis=-1) / 2).max() < 0.1
    with pytest.raises(ValueError, match="float32"):
        _ = small.model


@pytest.mark.parametrize("bits", [8, 4])
def test_whole_numbers_are_the_nearest_on_a_ladder_of_their_block(bits):
    table = np.random.default_rng(bits).normal(size=(3, 40)).astype("float32")
    numbers, scales = quantize_rows(table, bits)
    if bits == 4:  # two in a byte, the first lowest
        numbers = np.stack([numbers & 15, numbers >> 4], axis=-1).reshape(3, 2, 32)
    whole = numbers.astype(int) - 2 ** (bits - 1)
    assert abs(whole).max() == 2 ** (bits - 1) - 1
    back = (whole * scales[..., None]).reshape(3, -1)[:, :40]
    steps = np.repeat(scales, 32, axis=1)[:, :40]
    assert (abs(back - table) <= steps * 0.5001).all()


def test_at_four_bits_the_model_computes_with_the_rounded_tables(tiny, tmp_path):
    (tmp_path / "tiny.gguf").write_bytes(gguf(*llama()))
    small = models.load_language_model(tmp_path / "tiny.gguf", weights="int4")
    eight = models.load_language_model(tmp_path / "tiny.gguf", weights="int8")
    assert small.weight_bytes < eight.weight_bytes

    def rounded(name):
        table = source.read(name)
        if name == "token_embedding" or table.ndim == 1:
            return table
        numbers, scales = quantize_rows(table, 4)
        pairs = np.stack([numbers & 15, numbers >> 4], axis=-1).reshape(len(table), -1, 32)
        back = (pairs.astype("float32") - 8) * scales[..., None]
        return back.reshape(len(table), -1)[:, : table.shape[1]]

    source = tiny._source
    by_tables = models.TextGenerator(GPTWeights(source.settings, rounded), tiny.tokenizer)
    whole, tables, found = (model.logits(PROMPT) for model in (tiny, by_tables, small))
    # What remains is that its vectors are rounded as well, to eight bits.
    assert (found - tables).std() < 0.6 * (found - whole).std() < 0.5 * whole.std()


def small_gpt(**options):
    model = models.build_gpt(257, 32, hidden_dim=24, num_layers=2, num_heads=4, **options)
    rng = np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.3)
    return model


@pytest.fixture(name="bytes_only")
def byte_tokenizer():
    from companion.preprocessing import BytePairTokenizer

    return BytePairTokenizer(257)


def by_keras(model, ids):
    row = np.zeros((1, model.input_shape[1] or len(ids)), "int32")
    row[0, : len(ids)] = ids
    return np.asarray(model(row))[0, : len(ids)]


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"positions": "learned"},
        {"num_key_value_heads": 2, "activation": "relu"},
        {"gated": True, "activation": "silu", "rope_base": 500.0, "epsilon": 1e-3},
    ],
    ids=str,
)
def test_the_fast_decoder_computes_what_the_keras_model_computes(bytes_only, options):
    model = small_gpt(**options)
    generator = models.TextGenerator(model, bytes_only)
    ids = list(b"To be, or not")
    np.testing.assert_allclose(generator.logits(ids), by_keras(model, ids), atol=1e-4)
    plain = models.generate_tokens(model, ids, 8, temperature=0)
    written = list(generator.generate(ids, max_tokens=8).tokens)
    assert written == (plain[: plain.index(256)] if 256 in plain else plain)


@pytest.mark.tensorflow
def test_the_keras_model_of_a_file_computes_what_the_fast_decoder_computes(tiny):
    np.testing.assert_allclose(by_keras(tiny.model, PROMPT), tiny.logits(PROMPT), atol=1e-4)


@pytest.mark.tensorflow
def test_what_is_written_follows_new_weights_adapters_and_quantised_tables(bytes_only):
    from companion._common.backend import keras

    model = small_gpt()
    generator, ids = models.TextGenerator(model, bytes_only), list(b"To be, or not")

    def agree(tolerance=1e-4):
        np.testing.assert_allclose(generator.logits(ids), by_keras(model, ids), atol=tolerance)
        plain = models.generate_tokens(model, ids, 6, temperature=0)
        last = [int(by_keras(model, ids + plain[:i])[-1].argmax()) for i in range(6)]
        assert plain == last
        return generator.logits(ids)

    seen = [agree()]
    model.get_layer("block_0").query_key_value.enable_lora(2)
    for weight in model.trainable_weights:
        weight.assign(np.random.default_rng(1).normal(size=weight.shape) * 0.3)
    seen.append(agree())
    model.compile(keras.optimizers.Adam(0.1), keras.losses.SparseCategoricalCrossentropy(True))
    model.fit(np.ones((4, 32), "int32"), np.ones((4, 32), "int32"), verbose=0)
    seen.append(agree())
    model.get_layer("block_1").feedforward_up.quantize("int8")
    seen.append(agree(0.1))
    for before, after in pairwise(seen):
        assert abs(before - after).max() > 1e-3


@pytest.mark.tensorflow
def test_a_tokeniser_of_another_size_does_not_fit():
    from companion.preprocessing import BytePairTokenizer

    model = models.build_gpt(300, 8, hidden_dim=16, num_layers=1)
    with pytest.raises(ValueError, match="belong together"):
        models.TextGenerator(model, BytePairTokenizer(257))


@pytest.mark.tensorflow
def test_an_activation_that_the_fast_decoder_lacks_is_named(bytes_only):
    with pytest.raises(ValueError, match="tanh"):
        models.TextGenerator(small_gpt(activation="tanh"), bytes_only)
