"""The progress bar works in any call of Keras's fit."""

from __future__ import annotations

import io
import sys

import numpy as np
import pytest

pytestmark = pytest.mark.tensorflow


class Terminal(io.StringIO):
    def isatty(self):
        return True


def shown(monkeypatch, *data, **settings):
    from companion._common.backend import keras
    from companion.training import ProgressBar

    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    monkeypatch.setattr(sys, "stderr", Terminal())
    model.fit(*data, verbose=0, callbacks=[ProgressBar()], **settings)
    return sys.stderr.getvalue().split("\r")


def test_arrays_fill_the_bar(monkeypatch):
    lines = shown(monkeypatch, np.eye(2), np.ones(2), batch_size=1, epochs=2)
    assert any(f"[{'#' * 30}] epoch 2/2 · loss" in line for line in lines)
    assert lines[-2].strip() == lines[-1] == ""


def test_a_generator_of_unknown_length_counts_steps(monkeypatch):
    batches = ((np.eye(2), np.ones((2, 1))) for _ in range(3))
    lines = shown(monkeypatch, batches, epochs=1)
    assert any("epoch 1/1 · step" in line for line in lines)
    assert lines[-2].strip() == lines[-1] == ""
