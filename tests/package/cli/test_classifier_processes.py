"""`companion train --processes N`: the same weights from any number, also after a kill."""

from __future__ import annotations

import json
import os
import socket
import sys

import numpy as np
import pytest

from tools.notebooks import ROOT

from .conftest import contents, write_table

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

# In Python's place: the same, but process WHICH is killed at the end of epoch EPOCH, from 1.
DYING = """
import os, runpy, signal, sys
from companion.training.loop import Loop
usual = Loop.on_epoch_end
def on_epoch_end(self, epoch, logs=None):
    if epoch + 1 == EPOCH and sys.argv[-1] == "WHICH":
        os.kill(os.getpid(), signal.SIGKILL)
    usual(self, epoch, logs)
Loop.on_epoch_end = on_epoch_end
sys.argv = sys.argv[2:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="module", autouse=True)
def two_cores():
    pytest.importorskip("jax")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
        patch.setattr(os, "cpu_count", lambda: 2)
        yield


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Forty texts: 32 are learnt from, and of batches of twelve a process leaves eight over."""
    return write_table(tmp_path_factory.mktemp("data") / "mine.csv", range(1))


def command(table, out, processes):
    sizes = ["--architecture", "bag", "--epochs", "4", "--batch-size", "12"]
    return ["train", "--data", table, *sizes, "--processes", processes, "--out", out]


def finished(table, out, processes):
    from companion.cli import main

    assert main([str(word) for word in command(table, out, processes)]) == 0
    return out


@pytest.fixture(scope="module")
def one(table, tmp_path_factory):
    return finished(table, tmp_path_factory.mktemp("one") / "mine", 1)


@pytest.fixture(scope="module")
def two(table, tmp_path_factory):
    return finished(table, tmp_path_factory.mktemp("two") / "mine", 2)


@pytest.fixture
def killing(tmp_path, monkeypatch):
    """Returns what runs a command of which a process is killed at the end of an epoch."""

    def kill(run, words, *, process, epoch):
        code = DYING.replace("EPOCH", str(epoch)).replace("WHICH", str(process))
        (tmp_path / "dying.py").write_text(code, "utf-8")
        python = tmp_path / "python"
        python.write_text(f'#!/bin/bash\nexec "{sys.executable}" {tmp_path}/dying.py "$@"\n')
        python.chmod(0o755)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "executable", str(python))
            patch.setenv("PYTHONPATH", str(ROOT))
            code, _, err = run(*words)
        assert code == 1
        assert "was killed by signal 9" in err
        assert "the same call goes on" in err

    return kill


def agree(folder, other):
    """Both have the same vocabulary, weights within 1e-6 and probabilities within 1e-6."""
    from companion.tasks import TextClassifier

    first, second = TextClassifier.load(folder), TextClassifier.load(other)
    assert first.vectorizer.get_vocabulary() == second.vectorizer.get_vocabulary()
    for mine, yours in zip(first.model.get_weights(), second.model.get_weights(), strict=True):
        np.testing.assert_allclose(mine, yours, atol=1e-6)
    texts = ["good tea", "stale rice and awful soup", "nothing of that"]
    np.testing.assert_allclose(first.predict_proba(texts), second.predict_proba(texts), atol=1e-6)


def test_two_processes_learn_what_one_learns_and_every_command_reads_it(run, table, one, two):
    agree(one, two)
    noted = [json.loads((folder / "run.json").read_bytes()) for folder in (one, two)]
    assert noted[0]["options"] == noted[1]["options"]
    said = [run("predict", folder, "good tea") for folder in (one, two)]
    assert said[0][0] == 0
    assert said[0] == said[1]
    assert run("evaluate", two, "--data", table)[0] == 0
    assert run("export", two)[0] == 0
    code, out, _ = run(*command(table, one, 2))  # finished by one: nothing is left to do for two
    assert (code, "finished" in out) == (0, True)


def test_a_killed_worker_and_the_same_command_give_the_same_weights_bit_by_bit(
    run, table, two, tmp_path, killing
):
    words = command(table, tmp_path / "mine", 2)
    killing(run, words, process=1, epoch=3)
    assert not (tmp_path / "mine" / "config.json").exists()
    code, _, err = run(*words)
    assert code == 0
    assert "Continuing after epoch-000" in err
    whole, killed = ((f / "config.json").read_bytes() for f in (two, tmp_path / "mine"))
    assert killed == whole  # it holds the weights' hash


def test_one_then_two_then_one_end_as_one(run, table, one, tmp_path, killing):
    out = tmp_path / "mine"
    killing(run, command(table, out, 1), process=0, epoch=2)
    killing(run, command(table, out, 2), process=0, epoch=3)
    assert max(path.name for path in out.glob("checkpoints/*.npz")) == "epoch-0002.npz"
    code, _, err = run(*command(table, out, 1))
    assert code == 0
    assert "Continuing after epoch-0002" in err
    agree(one, out)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--processes", "0"], "a whole number from 1"),
        (["--processes", "two"], "a whole number from 1"),
        (["--processes", "5"], "--batch-size 12 must be a multiple of --processes 5"),
        (["--processes", "4"], "more than the 2 processor cores"),
        (["--batch-size", "34"], "--batch-size 34 is more than the 32 texts to learn from"),
        (["--wait", "0"], "above 0"),
    ],
)
def test_a_number_of_processes_that_cannot_be_changes_nothing(run, table, one, more, said):
    before = contents(one)
    code, _, err = run(*command(table, one, 2), "--restart", *more)
    assert code == 2
    assert said in err
    assert contents(one) == before


def test_without_jax_one_sentence_says_what_to_install(run, table, one, monkeypatch):
    before = contents(one)
    monkeypatch.setattr("companion.training.processes.find_spec", lambda _: None)
    code, _, err = run(*command(table, one, 2), "--restart")
    assert code == 1
    assert "--processes 2 needs JAX, which is not installed. Run: pip install" in err
    assert contents(one) == before


def test_training_in_the_program_and_in_processes_are_two_trainings(run, table, one):
    words = command(table, one, 1)
    place = words.index("--processes")
    code, _, err = run(*words[:place], *words[place + 2 :])
    assert code == 2
    assert "--processes was given and is now not given" in err


def test_a_port_that_another_program_takes_is_named_as_the_cause(run, table, tmp_path, monkeypatch):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr("companion.training.processes._free_port", lambda: port)
        code, _, err = run(*command(table, tmp_path / "mine", 2))
    assert code == 1
    assert f"another program has taken port {port}, where they were to meet" in err
    assert not (tmp_path / "mine").exists()
