"""Two machines that share nothing but a cable, and workers that are killed at any moment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from companion.training import CheckpointFolder, train_in_parallel
from tools.notebooks import ROOT

pytestmark = pytest.mark.slow

TINY = {"width": 16, "layers": 1, "batch_size": 2}

# A root of namespaces of its own, in which alone it may do what follows; all in it ends with it.
APART = ["unshare", "--map-root-user", "--net", "--uts", "--mount", "--pid", "--fork"]
APART += ["--kill-child", "--mount-proc", "bash", "-e", "-c"]
CABLE = "ip link add cable0 type veth peer name cable1"

# Two machines: each has a network, a name and a list of names. Only the cable joins them.
MACHINES = f"""
join() {{
    hostname "machine$1"
    echo "10.0.0.1$1 machine$1" > "hosts$1"
    mount --bind "hosts$1" /etc/hosts
    ip address add "10.0.0.1$1/24" dev "cable$1"
    ip link set lo up
    ip link set "cable$1" up
    shift
    "$@"
}}
export -f join
mkfifo apart wired
unshare --net --uts --mount bash -e -c 'echo > apart; read < wired; join 1 "$@" 1' - "$@" &
read < apart
{CABLE} netns $!
echo > wired
join 0 "$@" 0
wait $!
"""

# In Python's place: the same, but of each attempt one process dies at one of its calls.
DYING = """
import json, os, signal, sys
from pathlib import Path
from companion.training import parallel

place, own = Path(os.environ["PLACE"]), int(sys.argv[-1])
with (place / f"begun{own}").open("a+") as begun:
    begun.write("x")
    attempt = begun.tell() - 1
plan, calls, batches, usual = json.loads(os.environ["PLAN"]), 0, 0, parallel.batch_rows
victim, moment = plan[attempt] if attempt < len(plan) else (None, None)

def count(*event):
    global calls
    calls += 1
    if own == victim and calls == moment:
        os.kill(os.getpid(), signal.SIGKILL)

def batch_rows(*arguments):
    global batches
    batches += 1
    if batches == 3:  # before, JAX compiles, with more calls than all the rest
        sys.setprofile(count)
    return usual(*arguments)

parallel.batch_rows = batch_rows
parallel.main(sys.argv[3:])
sys.setprofile(None)
(place / f"calls{own}").write_text(str(calls))
"""


def test_machines_that_share_only_a_cable_learn_what_one_process_learns(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    if not all(map(shutil.which, ("unshare", "ip", "bash"))):
        pytest.skip("needs Linux with unshare (util-linux), ip (iproute2) and bash")
    tried = subprocess.run([*APART, CABLE], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"this system makes no networks of one's own: {tried.stderr.strip()}")
    numbers = [f"--{name.replace('_', '-')}={number}" for name, number in TINY.items()]
    command = [sys.executable, "-m", "companion.training.parallel", str(tmp_path / "two")]
    command += [*numbers, "--steps=4", "--processes=2"]
    command += ["--coordinator=10.0.0.10:6000", "--process-id"]  # which the machine adds
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}
    subprocess.run(
        [*APART, MACHINES, "-", *command], cwd=tmp_path, env=environment, check=True, timeout=120
    )
    two = json.loads((tmp_path / "two" / "result.json").read_text("utf-8"))
    one = train_in_parallel(tmp_path / "one", steps=4, **TINY)
    assert (one["processes"], two["processes"]) == (1, 2)
    np.testing.assert_allclose(two["losses"], one["losses"], atol=1e-5)
    if any(two["sent_bytes"]):
        steps = np.diff(two["sent_bytes"])
        assert (steps >= 4 * two["parameters"]).all()


def test_workers_killed_at_drawn_moments_end_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("jax")
    python = tmp_path / "python"
    python.write_text(f'#!/bin/bash\nexec "{sys.executable}" -c \'{DYING}\' "$@"\n', "utf-8")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def train(name: str, plan: list[tuple[int, int]]) -> tuple[dict, dict[str, np.ndarray]]:
        place = tmp_path / name
        place.mkdir()
        monkeypatch.setenv("PLACE", str(place))
        monkeypatch.setenv("PLAN", json.dumps(plan))
        result = train_in_parallel(
            place / "gpt", processes=2, steps=12, every=1, restarts=len(plan), **TINY
        )
        found = CheckpointFolder(place / "gpt").load()
        assert found is not None
        return result, found[0]

    calm, weights = train("calm", [])
    # Each moment lies in one of three steps after the second, or in a checkpoint after one.
    within = [int((tmp_path / "calm" / f"calls{i}").read_text()) * 3 // 10 for i in (0, 1)]
    rng = np.random.default_rng(0)
    plan = [(int(i), int(rng.integers(1, within[i]))) for i in rng.permutation([0, 1, 0])]
    killed, same = train("killed", plan)
    assert (calm["attempts"], killed["attempts"]) == (1, 1 + len(plan))
    assert killed["losses"] == calm["losses"]
    for name, array in weights.items():
        np.testing.assert_array_equal(same[name], array)
