"""A stranger's file runs nothing, and takes no more memory than its own size."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow

CONFIG, WEIGHTS = "config.json", "model.weights.h5"


@pytest.fixture(scope="module")
def model():
    import keras

    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dropout(0.2),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def good(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("good") / "model.keras"
    model.save(path)
    return path


def changed(good, path, compression=zipfile.ZIP_STORED, **changes):
    """Writes a .keras file with other parts, and returns its path."""
    with zipfile.ZipFile(good) as whole:
        parts = {name: whole.read(name) for name in whole.namelist()}
    with zipfile.ZipFile(path, "w", compression) as bad:
        for name, content in parts.items():
            change = changes.get(name.partition(".")[0], lambda content: content)
            bad.writestr(name, change(content))
    return path


def same_weights(one, other):
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return all(np.array_equal(*pair) for pair in pairs)


def test_a_whole_keras_file_is_loaded_with_its_weights(model, good):
    from companion.serving import load_model

    assert same_weights(load_model(good), model)


def test_layers_of_other_kinds_are_loaded_too(tmp_path):
    import keras

    from companion.serving import load_model

    ids = keras.Input((10,))
    rows = keras.layers.Embedding(20, 8)(ids)
    rows = keras.layers.MultiHeadAttention(2, 4)(rows, rows)
    state = keras.layers.Bidirectional(keras.layers.GRU(5))(rows)
    model = keras.Model(ids, keras.layers.Dense(2)(state))
    model.save(tmp_path / "model.keras")
    assert same_weights(load_model(tmp_path / "model.keras"), model)


def test_a_lambda_layer_is_refused_and_does_nothing(tmp_path):
    import keras

    from companion.serving import load_model

    trace = tmp_path / "trace.txt"
    keras.config.enable_unsafe_deserialization()  # even then
    try:
        place = str(trace)
        layer = keras.layers.Lambda(lambda x: (Path(place).touch(), x)[1])
        keras.Sequential([keras.Input((2,)), layer]).save(tmp_path / "model.keras")
        trace.unlink()
        with pytest.raises(ValueError, match="Lambda layer, which holds Python code"):
            load_model(tmp_path / "model.keras")
    finally:
        from keras.src.backend.common import global_state

        global_state.set_global_attribute("safe_mode_saving", None)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda config: config.replace(b'"keras.layers"', b'"os.path"'), r"module 'os\.path'"),
        (lambda config: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (lambda config: b"{", "Expecting property name"),
    ],
)
def test_a_configuration_that_misleads_is_refused(good, tmp_path, change, reason):
    from companion.serving import load_model

    with pytest.raises(ValueError, match=reason):
        load_model(changed(good, tmp_path / "bad.keras", config=change))


def with_rows(shape, **settings):
    """Returns a change of the weights: the first are of another shape, and nearly no bytes."""

    def change(content):
        import h5py

        weights, names = io.BytesIO(content), []
        with h5py.File(weights, "r+") as file:
            file.visititems(
                lambda name, part: names.append(name) if isinstance(part, h5py.Dataset) else None
            )
            del file[names[0]]
            file.create_dataset(names[0], shape, "f4", **settings)
        return weights.getvalue()

    return change


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"config": lambda content: content + b" " * 2**24}, "its parts would take"),
        ({"model": lambda content: bytes(2**24)}, "its parts would take"),
        ({"metadata": lambda content: b" " * 2**24}, "its parts would take"),
        (
            {"config": lambda content: content.replace(b'"units": 3,', b'"units": 2000000000,')},
            "settings ask for 34,000,000",
        ),
        ({"model": with_rows((9000, 9000), compression="gzip")}, "weights unpack to 324,000,"),
        ({"model": with_rows((1000,), external=[("/etc/hostname", 0, 4000)])}, "in another file"),
    ],
)
def test_sizes_that_fill_the_memory_are_refused_before_it_is_taken(good, tmp_path, changes, reason):
    from companion.serving import load_model

    path = changed(good, tmp_path / "bad.keras", zipfile.ZIP_DEFLATED, **changes)
    with pytest.raises(ValueError, match=reason):
        load_model(path)


def test_settings_as_long_as_the_weights_are_refused(good, tmp_path):
    from companion.serving import load_model

    path = changed(good, tmp_path / "bad.keras", config=lambda content: content + b" " * 2**25)
    with pytest.raises(ValueError, match=r"its config\.json has 33,5.* more than 16,777,216"):
        load_model(path)


def test_a_name_that_stands_twice_in_the_file_is_refused(good, tmp_path):
    from companion.serving import load_model

    path = changed(good, tmp_path / "bad.keras")
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr(CONFIG, b"{}")
    with pytest.raises(ValueError, match="without a whole Keras model"):
        load_model(path)


def test_what_was_checked_is_loaded_though_the_file_is_exchanged_meanwhile(
    model, good, tmp_path, monkeypatch
):
    import keras

    from companion.serving import load_model

    path, load, opened = changed(good, tmp_path / "model.keras"), keras.saving.load_model, []

    def exchanged(file, **settings):
        opened.append(Path(file))
        path.write_bytes(b"another file")
        return load(file, **settings)

    monkeypatch.setattr(keras.saving, "load_model", exchanged)
    assert same_weights(load_model(path), model)
    assert [file.exists() for file in opened] == [False]  # the copy is not left behind


def test_nothing_that_was_refused_is_built_later(good, tmp_path):
    import keras

    from companion.serving import load_model

    change = changed(
        good,
        tmp_path / "bad.keras",
        config=lambda content: content.replace(b'"units": 3,', b'"units": 200000000,'),
    )
    with pytest.raises(ValueError, match="settings ask for"):
        load_model(change)
    with keras.StatelessScope():
        pass  # at whose end Keras makes what was only announced
    assert same_weights(load_model(good), keras.saving.load_model(good))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no .keras file"),
        (b"not a model", "no .keras file"),
        (b"PK\x03\x04 cut", "cut off"),
        (b"\x80\x04\x95 pickle", "a pickle, which runs code"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (None, "No such file"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(tmp_path, content, reason):
    from companion.serving import load_model

    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        load_model(path)
