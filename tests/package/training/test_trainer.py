"""A training can be repeated and continued exactly, and errors say what to do."""

from __future__ import annotations

import errno
import functools
import io
import os
import subprocess
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 6)).astype("float32")
Y = (X[:, 0] + RNG.normal(size=50) > 0).astype("int8")
HELD_OUT = (X[:20], Y[20:40])  # wrong labels: the held-out loss soon rises


@pytest.fixture(scope="module")
def keras():
    from companion._common.backend import keras

    return keras


def build_dropout(
    keras,
    seed=0,
    rate=0.3,
    loss="binary_crossentropy",
    optimizer="adam",
    activation="sigmoid",
):
    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dropout(rate)]
    output = keras.layers.Dense(1, activation=activation)
    model = keras.Sequential([keras.Input((6,)), *layers, output])
    model.compile(optimizer, loss, metrics=["accuracy"])
    return model


@pytest.fixture
def build(keras):
    """Returns a builder of a compiled model with dropout."""
    return functools.partial(build_dropout, keras)


TITLES = RNG.integers(0, 30, (50, 4)).astype("int32")
TWO_INPUTS = {"numbers": X, "title": TITLES}
TWO_OUTPUTS = {"kind": RNG.integers(0, 3, 50), "price": X[:, :1].astype("float64")}


def build_two_inputs(keras, seed=0):
    """Returns a compiled model with two inputs and two outputs."""
    keras.utils.set_random_seed(seed)
    numbers, title = (
        keras.Input((6,), name="numbers"),
        keras.Input((4,), dtype="int32", name="title"),
    )
    words = keras.layers.GlobalAveragePooling1D()(keras.layers.Embedding(30, 5)(title))
    both = keras.layers.Dropout(0.2)(keras.layers.Concatenate()([numbers, words]))
    kind = keras.layers.Dense(3, activation="softmax", name="kind")(both)
    price = keras.layers.Dense(1, name="price")(both)
    model = keras.Model({"numbers": numbers, "title": title}, {"kind": kind, "price": price})
    model.compile("adam", {"kind": "sparse_categorical_crossentropy", "price": "mse"})
    return model


SENTENCES = RNG.integers(1, 30, (50, 5)).astype("int32")
SENTENCES[::2, 3:] = 0  # padding
SEQ2SEQ = {"source": SENTENCES[:, ::-1].copy(), "target": np.roll(SENTENCES, 1, axis=1)}
REAL = (SENTENCES != 0).astype("float32")


def build_seq2seq(keras, seed=0):
    """Returns a compiled model that reads a source and continues a target."""
    keras.utils.set_random_seed(seed)
    inputs = {name: keras.Input((5,), dtype="int32", name=name) for name in ("source", "target")}
    embedding = keras.layers.Embedding(30, 6)
    meaning = keras.layers.GRU(6)(embedding(inputs["source"]))
    states = keras.layers.GRU(6, return_sequences=True)(
        embedding(inputs["target"]), initial_state=meaning
    )
    model = keras.Model(inputs, keras.layers.Dense(30)(states))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("adam", loss, weighted_metrics=["accuracy"])
    return model


CASES = {
    "dropout": lambda keras: (
        build_dropout(keras),
        {"validation_data": HELD_OUT, "patience": 3},
    ),
    "two_inputs": lambda keras: (
        build_two_inputs(keras),
        {"x": TWO_INPUTS, "y": TWO_OUTPUTS, "validation_data": (TWO_INPUTS, TWO_OUTPUTS)},
    ),
    "seq2seq": lambda keras: (
        build_seq2seq(keras),
        {"x": SEQ2SEQ, "y": SENTENCES, "sample_weight": REAL, "patience": 3}
        | {"validation_data": (SEQ2SEQ, SENTENCES, REAL)},
    ),
}


def train(model, checkpoint_dir=None, *, seed=0, x=X, y=Y, **settings):
    from companion.training import Trainer

    trainer = Trainer(model, seed=seed, checkpoint_dir=checkpoint_dir, progress=False)
    return trainer.fit(x, y, **{"batch_size": 16, "epochs": 4, **settings})


def same(one, other):
    """Whether two models agree in every bit, dropout's random state and optimizer included."""
    pairs = [(one.variables, other.variables), (one.optimizer.variables, other.optimizer.variables)]
    return all(
        (np.asarray(a) == np.asarray(b)).all() for p in pairs for a, b in zip(*p, strict=True)
    )


@pytest.fixture
def watched(keras):
    """Returns a model that writes down the batches that it is given, and the list of them."""
    seen = []

    class Watched(keras.Sequential):
        def train_step(self, data):
            seen.append(keras.tree.map_structure(np.asarray, data))
            return super().train_step(data)

    model = Watched([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
    return model, seen


def numbers(count):
    return np.arange(count, dtype="float32")[:, None]


def order(watched, **settings):
    model, seen = watched
    seen.clear()
    train(model, x=numbers(50), y=numbers(50), **settings)
    return np.concatenate([batch[0][:, 0] for batch in seen]).astype(int).tolist()


def test_each_epoch_has_its_own_order_that_depends_on_seed_and_epoch_only(watched):
    orders = []
    for seed in (0, 1):
        both = order(watched, seed=seed, epochs=3)
        orders += [both[start : start + 50] for start in (0, 50, 100)]
        assert order(watched, seed=seed, epochs=2) == both[:100]
    assert all(sorted(epoch) == list(range(50)) for epoch in orders)
    assert len({tuple(epoch) for epoch in orders}) == 6


@pytest.mark.parametrize("size", [1, 16, 20, 50])
def test_a_part_of_a_pass_shows_each_example_once_in_the_pass(watched, size):
    seen = order(watched, epochs=2 * 50 // size, examples_per_epoch=size)
    assert len(seen) == 2 * 50 // size * size
    for start in (0, 50):
        shown = seen[start : start + 50]
        assert len(set(shown)) == len(shown)


@pytest.mark.parametrize(("size", "lengths"), [(64, [32, 32]), (50, [32, 18]), (3, [3])])
def test_batches_hold_examples_and_their_own_targets_in_the_types_that_were_given(
    watched, size, lengths
):
    model, seen = watched
    train(model, x=numbers(size), y=-numbers(size).astype("float64"), batch_size=32, epochs=1)
    assert [len(x) for x, y in seen] == lengths
    for x, y in seen:
        assert (x.dtype, y.dtype) == ("float32", "float64")
        np.testing.assert_array_equal(x, -y)


def test_tensorflow_reads_from_a_set_that_no_thread_tunes(build, monkeypatch):
    model, given = build(), []

    def read(data, **settings):
        given.append(data)
        raise InterruptedError

    monkeypatch.setattr(model, "fit", read)
    with pytest.raises(InterruptedError):
        train(model)
    (data,) = given
    assert data.options().autotune.enabled is False
    assert int(data.cardinality()) == 4


def test_training_equals_a_plain_loop_over_the_documented_order(build):
    plain, trained = build(), build()
    for epoch in range(2):
        order = np.random.default_rng([7, epoch]).permutation(50)
        for start in range(0, 50, 16):
            rows = order[start : start + 16]
            plain.train_on_batch(X[rows], Y[rows])
    train(trained, seed=7, epochs=2)
    for one, other in zip(plain.get_weights(), trained.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_same_seed_repeats_a_run_bit_for_bit_and_another_does_not(build):
    first, again, other = build(), build(), build()
    assert train(first) == train(again)
    train(other, seed=1)
    assert same(first, again)
    assert not same(first, other)


@pytest.mark.parametrize("patience", [None, 3])
def test_raised_epochs_continue_as_if_the_run_had_never_stopped(build, tmp_path, patience):
    settings = {"validation_data": HELD_OUT, "patience": patience}
    whole, resumed = build(), build(seed=99)
    train(build(), tmp_path, epochs=2, **settings)
    assert train(resumed, tmp_path, epochs=5, **settings) == train(whole, epochs=5, **settings)
    assert same(whole, resumed)


KILLED = """
import os, signal, sys
import numpy as np
from companion._common.backend import keras
from tests.package.training import test_trainer as tests

case, folder, weights, kill = sys.argv[1:]

class Kill(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == (2, 2):
            os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))

model, call = tests.CASES[case](keras)
tests.train(model, folder, callbacks=[Kill()] if kill == "kill" else [], **call)
np.savez(weights, *map(np.asarray, model.variables))
"""


@pytest.mark.slow
@pytest.mark.parametrize("case", ["dropout", "two_inputs", "seq2seq"])
def test_a_run_killed_in_the_middle_of_an_epoch_resumes_to_the_same_weights(keras, tmp_path, case):
    folder, weights = tmp_path / "checkpoints", tmp_path / "weights.npz"
    command = [sys.executable, "-c", KILLED, case, str(folder), str(weights)]
    killed = subprocess.run([*command, "kill"], capture_output=True, text=True, check=False)
    assert killed.returncode != 0
    assert not weights.exists()
    assert [p.name for p in sorted(folder.glob("*.npz"))] == ["epoch-0001.npz", "epoch-0002.npz"]

    subprocess.run([*command, "finish"], capture_output=True, text=True, check=True)
    never_stopped, call = CASES[case](keras)
    train(never_stopped, **call)
    with np.load(weights, allow_pickle=False) as resumed:
        for variable, name in zip(never_stopped.variables, resumed.files, strict=True):
            assert (np.asarray(variable) == resumed[name]).all()


def test_a_complete_run_returns_its_history_without_training(build, tmp_path, monkeypatch):
    model, again = build(), build(seed=99)
    history = train(model, tmp_path)
    monkeypatch.setattr(again, "fit", None)
    assert train(again, tmp_path) == history
    assert same(model, again)


def test_early_stopping_keeps_the_best_epochs_weights_also_after_a_resume(build, tmp_path):
    settings = {"validation_data": HELD_OUT, "patience": 1, "epochs": 30}
    model, again = build(optimizer="sgd"), build(seed=99, optimizer="sgd")
    history = train(model, tmp_path, **settings)
    losses = history.history["val_loss"]
    assert history.stopped_early
    assert history.epochs == history.best_epoch + 1 < 30
    assert losses[history.best_epoch - 1] == min(losses)
    assert model.evaluate(*HELD_OUT, verbose=0)[0] == pytest.approx(min(losses), rel=1e-6)
    settings["epochs"] = 40  # a run that has stopped stays stopped
    assert train(again, tmp_path, **settings) == history
    assert [w.tolist() for w in again.get_weights()] == [w.tolist() for w in model.get_weights()]


def test_a_run_cut_after_its_best_epoch_still_ends_with_that_epochs_weights(build, tmp_path):
    settings = {"validation_data": HELD_OUT, "patience": 3}
    whole, resumed = build(optimizer="sgd"), build(seed=99, optimizer="sgd")
    history = train(whole, epochs=30, **settings)
    cut = history.best_epoch + 1
    assert cut < history.epochs < 30
    train(build(optimizer="sgd"), tmp_path, epochs=cut, **settings)
    assert train(resumed, tmp_path, epochs=30, **settings) == history
    assert same(whole, resumed)


@pytest.mark.parametrize("policy", ["mixed_float16", "bfloat16"])
def test_low_precision_runs_resume_too(build, tmp_path, keras, policy):
    keras.config.set_dtype_policy(policy)
    try:
        whole, resumed = build(), build(seed=99)
    finally:
        keras.config.set_dtype_policy("float32")
    settings = {"validation_data": HELD_OUT, "patience": 9, "epochs": 2}
    history = train(whole, tmp_path, **settings)
    assert train(resumed, tmp_path, **settings) == history
    assert same(whole, resumed)


def test_without_held_out_data_the_training_loss_picks_the_best_epoch(build):
    history = train(build(rate=0))
    assert history.monitor == "loss"
    assert history.best_epoch == 1 + int(np.argmin(history.history["loss"]))


def test_a_full_disk_ends_training_and_freeing_space_continues_it(build, tmp_path, monkeypatch):
    from companion.training import CheckpointError

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    train(build(), tmp_path, epochs=2)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(CheckpointError, match=r"epoch-0003.*No space left.*epoch-0002.npz"):
            train(build(), tmp_path)
    whole, resumed = build(), build()
    assert train(resumed, tmp_path) == train(whole)
    assert same(whole, resumed)


@pytest.mark.parametrize(
    ("model", "call", "message"),
    [
        ({"rate": 0.2}, {}, "the model has changed"),
        ({"optimizer": "sgd"}, {}, "the optimizer has changed"),
        ({"loss": "mse"}, {}, "the loss has changed"),
        ({}, {"seed": 1}, "seed was 0 and is now 1"),
        ({}, {"batch_size": 8}, "batch_size was 16 and is now 8"),
        ({}, {"x": X + 1}, "the data has changed"),
        ({}, {"y": 1 - Y}, "the data has changed"),
        ({}, {"validation_data": HELD_OUT}, "the validation data has changed"),
        ({}, {"epochs": 1}, "of 2 epochs, and epochs=1"),
    ],
)
def test_another_runs_checkpoint_is_refused_with_what_differs(
    build, tmp_path, model, call, message
):
    from companion.training import CheckpointError

    train(build(), tmp_path, epochs=2)
    with pytest.raises(CheckpointError, match=message):
        train(build(**model), tmp_path, **{"epochs": 2, **call})


@pytest.mark.parametrize("meta", [{}, {"epoch": 1, "metrics": {}, "run": 5, "stopper": {}}])
def test_a_checkpoint_of_something_else_is_refused(build, tmp_path, meta):
    from companion.training import CheckpointError, CheckpointFolder

    CheckpointFolder(tmp_path).save(1, {}, meta)
    with pytest.raises(CheckpointError, match=r"not one of Trainer's: it states no .*run"):
        train(build(), tmp_path)


def test_a_folder_in_which_another_process_trains_is_left_alone(build, tmp_path):
    from companion.training import CheckpointError

    code = f"""
from companion.training import CheckpointFolder
with CheckpointFolder({str(tmp_path)!r}).lock():
    input(CheckpointFolder({str(tmp_path)!r}))
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-u", "-c", code], **pipes) as process:
        process.stdout.read(1)
        with pytest.raises(CheckpointError, match=rf"process {process.pid}\) is using"):
            train(build(), tmp_path)
        process.stdin.close()
    assert train(build(), tmp_path).epochs == 4


def test_a_loss_that_is_no_number_is_an_error_and_is_not_saved(build, tmp_path, keras):
    diverging = keras.optimizers.SGD(1e30)
    with pytest.raises(FloatingPointError, match=r"in epoch \d.*learning_rate"):
        train(build(optimizer=diverging, loss="mse", rate=0), tmp_path, y=Y * 1e30, epochs=3)
    for path in tmp_path.glob("*.npz"):
        with np.load(path, allow_pickle=False) as file:
            assert b"NaN" not in file["meta"].tobytes()


def test_a_held_out_loss_that_is_no_number_is_an_error_and_is_not_saved(build, tmp_path):
    far = (np.full_like(X, 1e38), Y)
    with pytest.raises(
        FloatingPointError, match=r"val_loss is (nan|inf) in epoch 1.*learning_rate"
    ):
        train(build(loss="mse", rate=0, activation=None), tmp_path, validation_data=far)
    assert not list(tmp_path.glob("*.npz"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"x": X[:0], "y": Y[:0]}, "x is empty"),
        ({"y": Y[:49]}, "x has 50 examples and y has 49"),
        ({"y": np.where(Y, "good", "bad")}, "y has the dtype <U4.*number the labels"),
        ({"x": ["a text"] * 50}, "build_vectorizer"),
        ({"y": np.where(Y, np.nan, 1)}, "y holds nan"),
        ({"validation_data": (X, Y[:9])}, "validation x has 50 examples and validation y has 9"),
        ({"patience": -1, "validation_data": HELD_OUT}, "patience must be .* but is -1"),
        ({"patience": 2}, "needs held-out data"),
        ({"monitor": "val_f1"}, "monitor"),
    ],
)
def test_what_cannot_be_trained_is_refused(build, call, message):
    with pytest.raises(ValueError, match=message):
        train(build(), **call)


@pytest.mark.parametrize("value", [0, -1, 1.5, float("nan"), float("inf"), True, "2", [1]])
@pytest.mark.parametrize("name", ["batch_size", "epochs", "examples_per_epoch"])
def test_a_number_of_things_that_is_none_is_refused(build, name, value):
    with pytest.raises(ValueError, match=rf"{name} must be a whole number of at least 1"):
        train(build(), **{name: value})


@pytest.mark.parametrize("value", [0, 0.0, -1, float("nan"), float("inf"), True, "2", [1]])
def test_a_time_limit_that_is_no_time_is_refused(build, value):
    with pytest.raises(ValueError, match=r"minutes=.* must be a finite number above 0"):
        train(build(), minutes=value)


@pytest.mark.parametrize("seed", [-1, 0.5, None, True])
def test_a_seed_that_is_no_whole_number_is_refused(build, seed):
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        train(build(), seed=seed)


def test_numbers_of_numpy_are_numbers_and_can_be_saved(build, tmp_path):
    four = {"epochs": np.int64(4), "batch_size": np.int32(16), "seed": np.int64(0)}
    model = build()
    history = train(model, tmp_path, examples_per_epoch=np.int64(50), minutes=np.float32(9), **four)
    assert history == train(build(), examples_per_epoch=50)


def test_a_time_limit_stops_after_an_epoch_and_the_same_call_goes_on(build, tmp_path):
    whole, stopped = build(), build()
    train(whole, epochs=3)
    for epochs in (1, 2, 3):
        assert train(stopped, tmp_path, epochs=3, minutes=1e-9).epochs == epochs
    assert same(whole, stopped)


@pytest.mark.parametrize("progress", ["off", "on", None, 1])
def test_another_word_for_progress_is_refused(build, progress):
    from companion.training import Trainer

    with pytest.raises(ValueError, match=r"progress=.*'auto' or True"):
        Trainer(build(), progress=progress)


def test_a_model_that_is_not_compiled_is_refused(keras):
    with pytest.raises(ValueError, match=r"model\.compile"):
        train(keras.Sequential([keras.layers.Dense(1)]))


IDS = np.array([[256, 257], [999, 0]] * 5, dtype="int32")
TARGETS = np.array([0, 1] * 5)


@pytest.fixture
def embedding_model(keras):
    def build(*first, policy="float32"):
        keras.config.set_dtype_policy(policy)
        layers = [keras.layers.Embedding(1000, 2), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential([*first, *layers])
        model.compile("sgd", "mse")
        return model

    yield build
    keras.config.set_dtype_policy("float32")


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("built", [False, True])
def test_token_ids_that_mixed_precision_would_round_are_refused(embedding_model, policy, built):
    model = embedding_model(policy=policy)
    if built:
        model.build((None, 2))
    with pytest.raises(ValueError, match=r"keras\.Input\(shape, dtype='int32'\)"):
        train(model, x=IDS, y=TARGETS)


def test_token_ids_above_256_train_their_own_embeddings_in_mixed_precision(embedding_model, keras):
    model = embedding_model(keras.Input((2,), dtype="int32"), policy="mixed_bfloat16")
    before = model.get_weights()[0]
    train(model, x=IDS, y=TARGETS, epochs=1)
    changed = np.flatnonzero((model.get_weights()[0] != before).any(axis=1))
    assert changed.tolist() == [0, 256, 257, 999]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (IDS.astype("float32"), "they must be integers"),
        (IDS + 1, "the ids 0 to 999"),
        (IDS - 1, "ids from -1"),
    ],
)
def test_token_ids_that_the_embedding_cannot_take_are_refused(embedding_model, ids, message):
    with pytest.raises(ValueError, match=message):
        train(embedding_model(), x=ids, y=TARGETS)


def test_the_summary_is_one_line_without_what_other_machines_would_round_differently():
    from companion.training import History

    metrics = {"loss": [0.7, 0.5, 0.4], "val_loss": [0.61234, 0.5, 0.6], "val_acc": [0.5, 0.75, 1]}
    history = History(metrics, "val_loss", best_epoch=2, stopped_early=True)
    assert history.summary() == (
        "3 epochs, stopped early; best epoch 2: val_loss 0.5000, val_acc 0.750"
    )
    alone = History({"loss": [0.7]}, "loss", best_epoch=1, stopped_early=False)
    assert "0.7" not in alone.summary()


def test_a_notebook_gets_the_summary_and_silence_is_silent(build, monkeypatch, capsys):
    from companion.training import Trainer

    monkeypatch.setattr("companion.training.trainer.in_kernel", lambda: True)
    history = Trainer(build()).fit(X, Y, epochs=1)
    assert capsys.readouterr().out == history.summary() + "\n"
    Trainer(build(), progress=False).fit(X, Y, epochs=1)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_a_bar_that_fills_and_goes(build, monkeypatch, capsys):
    from companion.training import Trainer

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    Trainer(build()).fit(X, Y, epochs=2, batch_size=16)
    shown = sys.stderr.getvalue().split("\r")
    assert any(f"[{'#' * 30}] epoch 2/2 · accuracy" in line for line in shown)
    assert shown[-2].strip() == shown[-1] == ""
    assert capsys.readouterr().out == ""
