"""A settings file of Keras in the home folder decides nothing about a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.tensorflow

OTHER = {
    "floatx": "float16",
    "epsilon": 0.001,
    "image_data_format": "channels_first",
    "backend": "no_such_backend",
}


def run(tmp_path, code, **settings):
    (tmp_path / "keras.json").write_text(json.dumps(settings), encoding="utf-8")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("KERAS_")}
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=environment | {"KERAS_HOME": str(tmp_path)},
    )


@pytest.mark.slow
def test_keras_json_does_not_decide_the_model(tmp_path):
    code = """
from companion._common.backend import check_settings, keras
check_settings()
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
names = "backend", "floatx", "epsilon", "image_data_format"
print(model.weights[0].dtype, *(getattr(keras.config, name)() for name in names))
"""
    found = run(tmp_path, code, **OTHER)
    assert found.stdout.split() == ["float32", "tensorflow", "float32", "1e-07", "channels_last"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["floatx", "epsilon", "image_data_format"])
def test_where_keras_was_there_first_training_says_what_keras_json_has_set(tmp_path, name):
    code = """
import keras
import numpy as np
from companion.training import Trainer
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
model.compile("sgd", "mse")
Trainer(model).fit(np.eye(2), np.ones(2))
"""
    found = run(tmp_path, code, **{name: OTHER[name]})
    assert found.returncode != 0
    assert f"ValueError: Keras's {name} is {OTHER[name]!r}, which keras.json" in found.stderr
    assert f"call keras.config.set_{name}(" in found.stderr


def test_mixed_precision_that_a_program_asks_for_is_left_alone():
    from companion._common.backend import check_settings, keras

    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        check_settings()
    finally:
        keras.config.set_dtype_policy("float32")
