"""A training on several processes: the parts of a batch, the same program on every cluster."""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from companion.training import CheckpointError, CheckpointFolder, parallel, train_in_parallel
from tools.notebooks import ROOT

DEPLOY = ROOT / "deploy"
TINY = ["--width", "16", "--layers", "1", "--batch-size", "2", "--steps", "4", "--every", "2"]
TEXT = np.arange(251, dtype=np.uint8)


@pytest.mark.parametrize("parts", [1, 2, 3, 6])
def test_the_parts_of_a_batch_together_are_the_batch_of_one_process(parts: int) -> None:
    whole = parallel.batch_rows(TEXT, step=3, batch_size=6, seed=5, part=0, parts=1)
    split = [parallel.batch_rows(TEXT, 3, 6, 5, part, parts) for part in range(parts)]
    assert np.array_equal(np.concatenate(split), whole)
    assert {len(part) for part in split} == {6 // parts}


def test_the_batch_is_another_one_with_each_step_and_seed() -> None:
    batches = [parallel.batch_rows(TEXT, s, 6, seed, 0, 1) for s in (0, 1) for seed in (0, 1)]
    assert len({batch.tobytes() for batch in batches}) == 4
    assert all((np.diff(batch) == 1).all() for batch in batches)


@pytest.mark.slow
def test_the_gradients_of_equal_parts_average_to_that_of_the_whole_batch() -> None:
    jax = pytest.importorskip("jax")
    weights = parallel.first_weights(16, 1, seed=0)
    rows = np.random.default_rng(0).integers(0, 256, (2, 65)).astype("int32")
    both = jax.jit(jax.value_and_grad(parallel.mean_loss))
    loss, whole = both(weights, rows)
    _, first = both(weights, rows[:1])
    _, second = both(weights, rows[1:])
    assert float(loss) == pytest.approx(np.log(256), abs=0.3)  # as good as drawing a byte
    mean = jax.tree.map(lambda a, b: (a + b) / 2, first, second)
    for found, expected in zip(jax.tree.leaves(mean), jax.tree.leaves(whole), strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"processes": 0}, "processes"),
        ({"processes": 2, "batch_size": 3}, "multiple of processes=2"),
        ({"width": 24}, "multiple of 16"),
        ({"steps": 0}, "steps"),
        ({"every": 1.5}, "every"),
        ({"restarts": -1}, "restarts"),
        ({"seed": -1}, "seed"),
    ],
)
def test_a_number_that_cannot_be_is_refused_before_a_process_starts(
    tmp_path: Path, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        train_in_parallel(tmp_path / "new", **wrong)
    assert not (tmp_path / "new").exists()


def test_a_checkpoint_of_other_settings_is_left_as_it_is(tmp_path: Path) -> None:
    jax = pytest.importorskip("jax")
    folder, names = CheckpointFolder(tmp_path), parallel.SETTINGS
    options = argparse.Namespace(**dict.fromkeys(names, 16))
    parallel.keep(folder, (np.ones(2), np.zeros(3)), [0.5], options)
    state, losses = parallel.restored(folder, (np.zeros(2), np.zeros(3)), options)
    assert losses == [0.5]
    assert [leaf.tolist() for leaf in jax.tree.leaves(state)] == [[1, 1], [0, 0, 0]]
    options.width = 32
    with pytest.raises(CheckpointError, match="only the number of processes is free"):
        parallel.restored(folder, state, options)
    assert len(folder.paths()) == 1


@pytest.mark.parametrize("restarts", [0, 2])
def test_processes_that_die_are_started_as_often_as_allowed_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: int
) -> None:
    python = program(tmp_path / "python", 'echo "out of memory"; exit 3')
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(ChildProcessError, match=f"failed {restarts + 1} times: .*out of memory"):
        train_in_parallel(tmp_path / "gpt", processes=2, restarts=restarts)
    log = (tmp_path / "gpt" / "processes.log").read_text("utf-8")
    assert restarts < log.count("memory") <= 2 * (restarts + 1)


def test_processes_that_never_end_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = program(tmp_path / "python", f"echo $$ >> {tmp_path}/numbers; exec tail -f /dev/null")
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(TimeoutError, match=r"over 0\.3 s"):
        train_in_parallel(tmp_path / "gpt", processes=2, timeout_seconds=0.3)
    for number in (tmp_path / "numbers").read_text("utf-8").split():
        with pytest.raises(ProcessLookupError):
            os.kill(int(number), 0)


def test_the_numbers_of_a_manifest_are_those_that_the_program_reads() -> None:
    container, job = container_of_the_job_set()
    set_here = {entry["name"]: entry["value"] for entry in container["env"]}
    assert int(set_here["PROCESSES"]) == job["completions"] == job["parallelism"]
    read = set(re.findall(r"\$(\w+)", container["command"][-1]))
    assert read == {*set_here, "JOB_COMPLETION_INDEX"}  # Kubernetes itself sets the last one
    manifest = yaml.safe_load((DEPLOY / "scaling_out.jobset.yaml").read_text("utf-8"))
    name, (process,) = manifest["metadata"]["name"], manifest["spec"]["replicatedJobs"]
    host = f"{name}-{process['name']}-0-0.{manifest['spec']['network']['subdomain']}"
    assert set_here["COORDINATOR"].split(":")[0] == host
    assert job["backoffLimit"] == 0  # so that the set, and not one pod alone, starts again
    (volume,) = job["template"]["spec"]["volumes"]
    assert set_here["FOLDER"].startswith(container["volumeMounts"][0]["mountPath"] + "/")
    assert container["volumeMounts"][0]["name"] == volume["name"]


def test_the_job_within_the_manifest_has_the_form_that_kubernetes_asks_for() -> None:
    validate = pytest.importorskip("kubernetes_validate")
    _, job = container_of_the_job_set()
    whole = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "gpt"}, "spec": job}
    validate.validate(whole, "1.30", strict=True)
    with pytest.raises(validate.ValidationError):
        validate.validate(whole | {"spec": job | {"completions": "two"}}, "1.30", strict=True)


@pytest.mark.skipif(sys.platform != "linux", reason="counted by Linux alone")
def test_bytes_count_as_sent_before_they_are_read_or_confirmed() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as here,
        server.accept()[0],
    ):
        before = parallel.sent_bytes()
        here.sendall(bytes(100_000))
        assert parallel.sent_bytes() == before + 100_000


@pytest.mark.slow
def test_the_command_of_the_manifest_trains_and_any_number_of_processes_goes_on(
    tmp_path: Path,
) -> None:
    pytest.importorskip("jax")
    container, _ = container_of_the_job_set()
    *shell, line = container["command"]
    two_steps = " ".join(TINY).replace("--steps 4", "--steps 2")
    own = {"JOB_COMPLETION_INDEX": "0", "PROCESSES": "1", "FOLDER": str(tmp_path / "gpt")}
    first = run([*shell, line.replace("--steps 100", two_steps)], tmp_path, COORDINATOR="", **own)
    # The same folder, now by Slurm's script with two processes, whose last step is the fourth.
    fake_slurm(tmp_path)
    script = ["bash", str(DEPLOY / "scaling_out.sbatch"), str(tmp_path / "gpt"), *TINY]
    job = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_JOB_NODELIST": "-", "SLURM_NTASKS": "2"}
    result = run(script, tmp_path, **job)
    assert (result["processes"], result["first_step"], len(result["losses"])) == (2, 2, 4)
    assert result["losses"][:2] == first["losses"]
    sent = np.diff(result["sent_bytes"])
    if sys.platform == "linux" and sent.any():
        assert sent[0] >= 4 * result["parameters"]


def container_of_the_job_set() -> tuple[dict[str, Any], dict[str, Any]]:
    manifest = yaml.safe_load((DEPLOY / "scaling_out.jobset.yaml").read_text("utf-8"))
    assert (manifest["apiVersion"], manifest["kind"]) == ("jobset.x-k8s.io/v1alpha2", "JobSet")
    job = manifest["spec"]["replicatedJobs"][0]["template"]["spec"]
    return job["template"]["spec"]["containers"][0], job


def fake_slurm(folder: Path) -> None:
    """Two programs in Slurm's place: the one names this machine, the other starts the tasks."""
    programs = {
        "scontrol": "echo 127.0.0.1",
        "srun": 'shift; for i in $(seq "$SLURM_NTASKS"); do SLURM_PROCID=$((i - 1)) "$@" & '
        'all="$all $!"; done; for one in $all; do wait $one || exit 1; done',
    }
    for name, text in programs.items():
        program(folder / name, text)


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
    path.chmod(0o755)
    return path


def run(command: list[str], folder: Path, **variables: str) -> dict[str, Any]:
    """Runs a command as a cluster would, with this Python, and returns what it has written."""
    program(folder / "python", f'exec "{sys.executable}" "$@"')
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | variables | {"PATH": path, "JAX_PLATFORMS": "cpu"}
    subprocess.run(command, env=environment, cwd=ROOT, check=True, timeout=120)
    return json.loads((folder / "gpt" / "result.json").read_text("utf-8"))
