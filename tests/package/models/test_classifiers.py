"""The models compute what their names say."""

from __future__ import annotations

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


@pytest.fixture(name="lstm")
def lstm_builder():
    from companion.models import build_lstm_classifier

    return build_lstm_classifier


@pytest.fixture(name="bag")
def bag_builder():
    from companion.models import build_bag_classifier

    return build_bag_classifier


@pytest.fixture(params=["lstm", "bag"])
def build(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def mixed_bfloat16():
    from companion._common.backend import keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


def predict(model, rows):
    return np.asarray(model(np.array(rows, dtype="int32")))[:, 0]


def test_the_lstm_has_the_parameters_of_the_source_documents_model(lstm):
    embedding, gates, output = 1000 * 64, 4 * 64 * (64 + 64 + 1), 64 + 1
    assert lstm(mask_zero=False).count_params() == embedding + gates + output


def test_padding_does_not_change_a_prediction(build):
    short, long = build(50, 3), build(50, 9)
    long.set_weights(short.get_weights())
    padded = [[7, 8, 9] + [0] * 6]
    np.testing.assert_allclose(predict(short, [[7, 8, 9]]), predict(long, padded), rtol=1e-6)


def test_without_a_mask_padding_changes_the_lstm(lstm):
    short, long = (lstm(50, length, mask_zero=False) for length in (3, 9))
    long.set_weights(short.get_weights())
    assert abs(predict(short, [[7, 8, 9]]) - predict(long, [[7, 8, 9] + [0] * 6])) > 1e-4


def test_the_order_of_words_matters_to_the_lstm_only(lstm, bag):
    forward, backward = [[3, 4, 5]], [[5, 4, 3]]
    lstm, bag = lstm(50, 3), bag(50, 3)
    assert abs(predict(lstm, forward) - predict(lstm, backward)) > 1e-6
    np.testing.assert_allclose(predict(bag, forward), predict(bag, backward), rtol=1e-6)


def test_the_bag_is_the_sigmoid_of_the_weighted_mean_embedding(bag):
    model = bag(50, 4, embedding_dim=3)
    table, kernel, bias = model.get_weights()
    logit = table[[7, 9]].mean(axis=0) @ kernel + bias
    np.testing.assert_allclose(predict(model, [[7, 9, 0, 0]]), 1 / (1 + np.exp(-logit)), rtol=1e-5)


def test_a_row_of_padding_alone_gives_a_probability(build):
    assert 0 < predict(build(50, 4), [[0, 0, 0, 0]])[0] < 1


def test_dropout_acts_in_training_only(build):
    model = build(50, 3, dropout=0.5)
    row = np.array([[7, 8, 9]], dtype="int32")
    assert (predict(model, row) == predict(model, row)).all()
    assert len({float(model(row, training=True)[0, 0]) for _ in range(9)}) > 1


def test_mixed_precision_keeps_token_ids_apart_and_the_output_exact(build, mixed_bfloat16):
    model = build(1000, 1)
    with_embeddings = model.get_weights()
    with_embeddings[0][:] = np.linspace(-3, 3, 1000)[:, None]  # every id its own embedding
    model.set_weights(with_embeddings)
    embedding = type(model)(model.input, model.layers[1].output)
    vectors = np.asarray(embedding(np.array([[256], [257]]))).astype("float32")
    assert (vectors[0] != vectors[1]).any()
    assert model.output.dtype == "float32"


@pytest.mark.parametrize(
    "wrong", [{"vocabulary_size": 0}, {"sequence_length": 0}, {"dropout": 1}, {"dropout": -0.1}]
)
def test_impossible_sizes_are_refused(build, wrong):
    with pytest.raises(ValueError, match="at least"):
        build(**wrong)


@pytest.mark.parametrize("key_value_heads", [None, 2, 1])
def test_a_gpt_has_the_parameters_of_its_parts(key_value_heads):
    from companion.models import build_gpt

    model = build_gpt(50, 8, 16, num_layers=3, num_heads=4, num_key_value_heads=key_value_heads)
    attention = 16 * (4 + 2 * (key_value_heads or 4)) * 4 + 16 * 16  # four numbers a head
    block = attention + 2 * 16 * 64 + 2 * 16  # feed-forward network and norms
    assert model.count_params() == 50 * 16 + 3 * block + 16


@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_a_block_computes_with_the_activation_that_it_is_given_and_keeps_it(activation):
    from companion._common.backend import keras
    from companion.models import DecoderBlock

    x = np.random.default_rng(0).normal(size=(1, 3, 8)).astype("float32")
    block = DecoderBlock(num_heads=2, activation=activation)
    again = DecoderBlock.from_config(block.get_config())
    for one in (block, again):
        one.build(x.shape)
    again.set_weights(block.get_weights())
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(block(x)))
    up = np.asarray(x @ np.asarray(block.feedforward_up.kernel))
    expected = np.asarray(getattr(keras.activations, activation)(up))
    np.testing.assert_allclose(np.asarray(block.feedforward_up(x)), expected, atol=1e-6)


def test_rotary_positions_turn_by_powers_of_ten_thousand():
    from companion.models import DecoderBlock

    block = DecoderBlock(num_heads=2)
    block.build((None, 4, 16))
    rates = 10000.0 ** (-np.arange(4) / 4)  # Su et al., 2021, with eight numbers a head
    angles = np.asarray(block._angles(3, 5))[0, :, 0]
    np.testing.assert_allclose(angles, np.outer([5, 6, 7], rates), rtol=1e-5)


def test_a_large_gradient_moves_a_gpt_as_one_of_length_one_would():
    from companion._common.backend import keras
    from companion.training import build_gpt_optimizer

    ends = []
    for first in ([300.0, 400.0], [0.6, 0.8], [0.3, 0.4]):
        optimizer, weight = build_gpt_optimizer(100, 0.1, 0.1), keras.Variable([1.0, 1.0])
        for gradient in (first, [0.1, -0.2], [0.1, -0.2]):
            optimizer.apply([keras.ops.convert_to_tensor(gradient)], [weight])
        ends.append(np.asarray(weight))
    np.testing.assert_allclose(ends[0], ends[1], rtol=1e-6)
    assert not np.allclose(ends[1], ends[2], rtol=1e-4)
