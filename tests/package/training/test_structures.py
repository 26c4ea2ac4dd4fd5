"""Several inputs, several outputs and weights are trained on as one array is."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tests.package.training.test_trainer import (
    HELD_OUT,
    REAL,
    SENTENCES,
    SEQ2SEQ,
    TWO_INPUTS,
    TWO_OUTPUTS,
    X,
    Y,
    build_dropout,
    build_seq2seq,
    build_two_inputs,
    same,
    train,
)

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module")
def keras():
    from companion._common.backend import keras

    return keras


def two_inputs(model, folder=None, *, x=TWO_INPUTS, y=TWO_OUTPUTS, **settings):
    return train(model, folder, x=x, y=y, **settings)


def seq2seq(model, folder=None, *, x=SEQ2SEQ, y=SENTENCES, sample_weight=REAL, **settings):
    return train(model, folder, x=x, y=y, sample_weight=sample_weight, **settings)


def test_a_model_with_two_inputs_and_outputs_trains_as_in_a_plain_loop(keras):
    plain, trained = build_two_inputs(keras), build_two_inputs(keras)
    order = np.random.default_rng([3, 0]).permutation(50)
    for start in range(0, 50, 16):
        rows = order[start : start + 16]
        x, y = ({k: part[rows] for k, part in whole.items()} for whole in (TWO_INPUTS, TWO_OUTPUTS))
        plain.train_on_batch(x, y)
    history = two_inputs(trained, epochs=1, seed=3, validation_data=(TWO_INPUTS, TWO_OUTPUTS))
    for one, other in zip(plain.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    loss = trained.evaluate(TWO_INPUTS, TWO_OUTPUTS, verbose=0, batch_size=16, return_dict=True)
    assert history.history["val_loss"] == [pytest.approx(loss["loss"], rel=1e-6)]


def test_inputs_may_be_a_list_a_tuple_or_a_dictionary(keras):
    def listed():
        model = build_two_inputs(keras)
        several = keras.Model(
            [model.input["numbers"], model.input["title"]],
            [model.output["kind"], model.output["price"]],
        )
        several.compile("adam", ["sparse_categorical_crossentropy", "mse"])
        return several

    x, y = list(TWO_INPUTS.values()), list(TWO_OUTPUTS.values())
    models = [listed() for _ in range(3)]
    two_inputs(models[0], x=x, y=y, validation_data=(x, y))
    two_inputs(models[1], x=tuple(x), y=tuple(y), validation_data=(tuple(x), tuple(y)))
    two_inputs(models[2], x=TWO_INPUTS, y=y, validation_data=[x, y])
    assert same(models[0], models[1])
    assert same(models[0], models[2])
    by_name = build_two_inputs(keras)
    two_inputs(by_name)
    for one, other in zip(by_name.get_weights(), models[0].get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", [build_two_inputs, build_seq2seq])
def test_structures_continue_as_if_the_run_had_never_stopped(keras, tmp_path, build):
    fit = two_inputs if build is build_two_inputs else seq2seq
    whole, resumed = build(keras), build(keras, seed=99)
    fit(build(keras), tmp_path, epochs=2)
    assert fit(resumed, tmp_path, epochs=4) == fit(whole, epochs=4)
    assert same(whole, resumed)


def test_the_targets_of_positions_without_weight_do_not_matter(keras):
    other = np.where(REAL > 0, SENTENCES, 29)
    first, again, all_count, other_all = (build_seq2seq(keras) for _ in range(4))
    seq2seq(first)
    seq2seq(again, y=other)
    assert same(first, again)
    seq2seq(all_count, sample_weight=None)
    seq2seq(other_all, sample_weight=None, y=other)
    assert not same(all_count, other_all)
    assert not same(first, all_count)


def test_weights_change_what_is_learnt_and_an_example_of_weight_zero_teaches_nothing(keras):
    weights = np.where(np.arange(50) < 25, 1.0, 0.0)
    flipped = np.where(weights > 0, Y, 1 - Y)
    plain, half, half_flipped = (build_dropout(keras) for _ in range(3))
    train(plain)
    train(half, sample_weight=weights)
    train(half_flipped, sample_weight=weights, y=flipped)
    assert not same(plain, half)
    assert same(half, half_flipped)


def test_weights_of_one_change_nothing(keras):
    plain, weighted = build_dropout(keras), build_dropout(keras)
    train(plain)
    train(weighted, sample_weight=np.ones(50))
    for one, other in zip(plain.get_weights(), weighted.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_held_out_examples_of_weight_zero_do_not_count_in_the_held_out_loss(keras):
    x, y = HELD_OUT
    weights = np.where(np.arange(20) < 10, 2.0, 0.0)
    weighted = train(build_dropout(keras), epochs=1, validation_data=(x, y, weights))
    first_half = train(build_dropout(keras), epochs=1, validation_data=(x[:10], y[:10]))
    assert weighted.history["val_loss"] == pytest.approx(first_half.history["val_loss"], rel=1e-5)


def test_three_classes_are_told_apart(keras):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 40)
    points = np.array([[0, 3], [3, 0], [-3, -3]])[labels] + rng.normal(size=(120, 2))
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, activation="softmax")])
    model.compile(keras.optimizers.Adam(0.1), "sparse_categorical_crossentropy")
    train(model, x=points, y=labels, epochs=10)
    assert (model.predict(points, verbose=0).argmax(1) == labels).mean() > 0.9


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"x": {**SEQ2SEQ, "source": SEQ2SEQ["source"] % 29}}, "data"),
        ({"x": dict(zip(SEQ2SEQ, reversed(SEQ2SEQ.values()), strict=True))}, "data"),
        ({"y": SENTENCES % 29}, "data"),
        ({"sample_weight": REAL / 2}, "data"),
        ({"sample_weight": None}, "data"),
        ({"validation_data": (SEQ2SEQ, SENTENCES, REAL)}, "validation data"),
    ],
)
def test_another_runs_checkpoint_is_refused_for_any_part_that_differs(
    keras, tmp_path, changed, what
):
    from companion.training import CheckpointError

    seq2seq(build_seq2seq(keras), tmp_path, epochs=1)
    with pytest.raises(CheckpointError, match=f"fit this run: .*the {what} has changed"):
        seq2seq(build_seq2seq(keras), tmp_path, epochs=2, **changed)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("step", [1, 3, -1])
def test_arrays_of_the_same_numbers_are_the_same_data_however_they_lie(
    keras, tmp_path, order, step
):
    x = np.asarray(np.repeat(X, abs(step), axis=0)[::step], order=order)
    if step < 0:
        x = np.asarray(X[::-1], order=order)[::-1]
    first, again = build_dropout(keras), build_dropout(keras, seed=9)
    train(first, tmp_path, epochs=1)
    train(again, tmp_path, epochs=1, x=x)
    assert same(first, again)


@pytest.mark.parametrize("with_folder", [False, True])
def test_training_takes_no_second_copy_of_the_data(keras, tmp_path, with_folder):
    x = np.zeros((200, 50_000), "float32")  # 40 MB
    model = keras.Sequential([keras.Input((50_000,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    folder = tmp_path if with_folder else None
    settings = {"y": np.zeros(200), "batch_size": 2, "epochs": 1, "examples_per_epoch": 2}
    train(model, folder, x=x, **settings)
    if with_folder:
        settings["epochs"] = 2
    tracemalloc.start()
    try:
        train(model, folder, x=x, **settings)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < x.nbytes / 4


def without(structure, name):
    return {k: part for k, part in structure.items() if k != name}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"x": None}, r"^x is of type NoneType: give an array"),
        ({"x": 3}, r"^x is of type int"),
        ({"x": "text"}, r"^x is of type str"),
        ({"x": iter([1])}, r"^x is of type list_iterator"),
        ({"x": {}}, r"^x is an empty dict"),
        ({"x": []}, r"^x is empty"),
        ({"x": [[1, 2], [3]]}, r"^x is a list of rows of different lengths"),
        ({"x": X}, r"^x and the inputs of the model differ in number, 1 and 2"),
        ({"x": list(X)}, r"^x\[0\] has 6 examples.*Rows of one input"),
        ({"x": without(TWO_INPUTS, "title")}, r"keys \['numbers'\].*\['numbers', 'title'\]"),
        ({"x": TWO_INPUTS | {"more": X}}, r"keys .*'more'.*the model takes \['numbers', 'title'\]"),
        ({"x": TWO_INPUTS | {"title": None}}, r"^x\['title'\] is of type NoneType"),
        ({"x": TWO_INPUTS | {"numbers": X[:9]}}, r"x\['numbers'\] has 9 examples.*has 50"),
        ({"x": TWO_INPUTS | {"numbers": X[:0]}}, r"^x\['numbers'\] is empty"),
        ({"x": TWO_INPUTS | {"numbers": X[0, 0]}}, r"^x\['numbers'\] is empty \(shape \(\)\)"),
        ({"x": TWO_INPUTS | {"numbers": X * np.nan}}, r"^x\['numbers'\] holds nan"),
        ({"x": TWO_INPUTS | {"numbers": np.where(X > 0, np.inf, 0)}}, r"^x\['numbers'\] holds nan"),
        ({"x": TWO_INPUTS | {"title": np.full((50, 4), "a")}}, r"^x\['title'\] .*build_vectorizer"),
        ({"x": TWO_INPUTS | {"title": X[:, :4]}}, r"^x\['title'\] .* must be integers"),
        ({"x": TWO_INPUTS | {"title": np.full((50, 4), 30)}}, r"^x\['title'\] .*ids 0 to 29"),
        ({"y": TWO_OUTPUTS["kind"]}, r"^y and the outputs .* 1 and 2"),
        ({"y": TWO_OUTPUTS | {"kind": None}}, r"^y\['kind'\] is of type NoneType"),
        ({"y": TWO_OUTPUTS | {"kind": Y[:7]}}, r"has 50 examples and y\['kind'\] has 7"),
        ({"sample_weight": np.ones(49)}, r"sample_weight has 49"),
        ({"sample_weight": -np.ones(50)}, r"^sample_weight has weights from -1.0 to -1.0"),
        ({"sample_weight": np.zeros(50)}, r"^sample_weight has weights from 0.0 to 0.0"),
        ({"sample_weight": np.full(50, np.nan)}, r"^sample_weight holds nan"),
        ({"sample_weight": {"kind": [1] * 50, "price": ["a"] * 50}}, r"^sample_weight\['price'\]"),
        ({"validation_data": TWO_INPUTS}, r"^validation_data must be a tuple \(x, y\)"),
        ({"validation_data": (TWO_INPUTS,)}, r"^validation_data must be a tuple \(x, y\)"),
        ({"validation_data": (X, Y)}, r"^validation y and the outputs"),
        ({"validation_data": (TWO_INPUTS, TWO_OUTPUTS, [1])}, r"validation sample_weight has 1"),
    ],
)
def test_what_is_no_structure_of_equally_many_examples_is_refused(keras, tmp_path, call, message):
    folder = tmp_path / "new"
    with pytest.raises(ValueError, match=message):
        two_inputs(build_two_inputs(keras), folder, **call)
    assert not folder.exists()  # nothing was begun


def test_lists_of_numbers_are_one_array(keras):
    listed, arrays = build_dropout(keras), build_dropout(keras)
    train(arrays, x=X.astype("float64"))
    train(listed, x=X.astype("float64").tolist(), y=Y.tolist())
    for one, other in zip(listed.get_weights(), arrays.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_an_embedding_that_two_inputs_share_takes_the_ids_of_both(keras):
    seq2seq(build_seq2seq(keras), epochs=1)
    halves = {name: ids / 2 for name, ids in SEQ2SEQ.items()}
    with pytest.raises(ValueError, match=r"^x\['source'\] .* must be integers"):
        seq2seq(build_seq2seq(keras), x=halves)
