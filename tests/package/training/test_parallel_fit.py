"""A Keras model on several processes learns what one learns, and a kill loses nothing."""

from __future__ import annotations

import os
import shutil
import sys

import numpy as np
import pytest

from companion.training import CheckpointFolder, Trainer
from tools.notebooks import ROOT

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

X = np.random.default_rng(0).integers(0, 11, (24, 6)).astype("int32")
Y = (X * 3 + 1) % 11

# In Python's place: the same, but it dies in the middle of writing its first checkpoint.
DYING = """
import runpy, sys
from companion.training.checkpoints import CheckpointFolder
from tests.package.tasks.faults import failing_disk
usual = CheckpointFolder.save
def save(*arguments):
    with failing_disk(2, die=True):
        usual(*arguments)
CheckpointFolder.save = save
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch):
    pytest.importorskip("jax")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)


def fit(folder, epochs, processes=None, **options):
    """Trains, or goes on, and returns the history and the weights."""
    import keras

    from companion.models import build_gpt
    from companion.training import build_gpt_optimizer

    keras.utils.set_random_seed(0)
    sizes = {"sequence_length": 6, "hidden_dim": 8, "num_layers": 1, "num_heads": 2}
    model = build_gpt(11, **sizes)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(build_gpt_optimizer(24, 0.01, final_share=0.1), loss, jit_compile=False)
    trainer = Trainer(
        model, checkpoint_dir=folder, keep=9, progress=False, processes=processes, wait_seconds=600
    )
    history = trainer.fit(X, Y, batch_size=4, epochs=epochs, **options)
    return history.history["loss"], model.get_weights()


def test_one_then_two_of_which_one_dies_then_two_then_one_end_as_one(tmp_path, monkeypatch):
    alone, alone_weights = fit(tmp_path / "alone", epochs=4)
    folder = tmp_path / "shared"
    folder.mkdir()
    shutil.copy(tmp_path / "alone" / "epoch-0001.npz", folder)
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nexec "{sys.executable}" -c \'{DYING}\' "$@"\n', "utf-8")
    python.chmod(0o755)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(python))
        patch.setenv("PYTHONPATH", str(ROOT))
        with pytest.raises(ChildProcessError, match=r"Process 1 of 2 ended with code 9"):
            fit(folder, epochs=3, processes=2)
    assert [path.name for path in CheckpointFolder(folder).paths()] == ["epoch-0001.npz"]
    fit(folder, epochs=3, processes=2)
    assert not list(folder.glob(".*.tmp"))  # what was half written is gone
    shared, shared_weights = fit(folder, epochs=4)
    assert shared == pytest.approx(alone, abs=1e-5)
    for one, other in zip(alone_weights, shared_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)


def test_two_stop_where_one_stops_and_keep_the_same_best_weights(tmp_path):
    # Five held-out rows, which two cannot share, of other targets: their loss soon rises.
    options = {"validation_data": (X[:5], (Y[:5] + 5) % 11), "patience": 2, "epochs": 9}
    alone, alone_weights = fit(tmp_path / "alone", **options)
    shared, shared_weights = fit(tmp_path / "shared", **options, processes=2)
    assert 3 <= len(alone) < 9
    assert shared == pytest.approx(alone, abs=1e-5)
    for one, other in zip(alone_weights, shared_weights, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    # Stopped is finished: nothing is started again, and the best weights are put back.
    again, again_weights = fit(tmp_path / "shared", **options, processes=2)
    assert again == shared
    for one, other in zip(again_weights, shared_weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"callbacks": [None]}, "callbacks cannot be had with processes=2"),
        ({"batch_size": 5}, "multiple of processes=2"),
        ({"examples_per_epoch": 23}, "give 22 examples an epoch"),
    ],
)
def test_what_processes_cannot_share_is_refused_and_leaves_no_folder(tmp_path, wrong, words):
    import keras

    model = keras.Sequential([keras.Input((6,), dtype="int32"), keras.layers.Embedding(11, 2)])
    model.compile("sgd", "mse")
    trainer = Trainer(model, checkpoint_dir=tmp_path / "new", processes=2, progress=False)
    with pytest.raises(ValueError, match=words):
        trainer.fit(X, np.zeros((24, 6, 2)), **{"batch_size": 4, "epochs": 1} | wrong)
    assert not (tmp_path / "new").exists()
