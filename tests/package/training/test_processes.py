"""Processes of one training: refused before they start, missed by name, and never left behind."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from companion.training import processes
from companion.training.processes import check_processes, run_processes

# Ways to stand in for Python: what a started process does with the words it is given.
COMES = 'for word; do [ "$last" = --place ] && place=$word; last=$word; done; touch "$place/$last"'
WAITS = "exec tail -f /dev/null"


@pytest.fixture
def instead_of_python(tmp_path, monkeypatch):
    """Lets words of shell run in Python's place, and returns the processes that they become."""
    begin = subprocess.Popen

    def put(text: str) -> list[subprocess.Popen[bytes]]:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/bash\n{text}\n", "utf-8")
        path.chmod(0o755)
        begun: list[subprocess.Popen[bytes]] = []

        def note(*command, **options):
            begun.append(begin(*command, **options))
            return begun[-1]

        monkeypatch.setattr(sys, "executable", str(path))
        monkeypatch.setattr(processes.subprocess, "Popen", note)
        return begun

    return put


def none_is_left(begun: list[subprocess.Popen[bytes]]) -> bool:
    return len(begun) == 2 and all(process.poll() is not None for process in begun)


@pytest.mark.parametrize(
    ("number", "batch_size", "words"),
    [
        (0, 4, "processes"),
        (-1, 4, "processes"),
        (1.5, 4, "processes"),
        (3, 4, "batch_size=4 must be a multiple of processes=3"),
        (4, 4, "more than the 2 processor cores"),
    ],
)
def test_a_number_of_processes_that_cannot_be_is_refused(monkeypatch, number, batch_size, words):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    with pytest.raises(ValueError, match=words):
        check_processes(number, batch_size)


def test_only_a_number_of_processes_needs_jax_and_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1}, raising=False)
    monkeypatch.setattr(processes, "find_spec", lambda _: None)
    check_processes(None, 3)
    for number in (1, 2):
        with pytest.raises(ModuleNotFoundError, match=r"pip install .*applications"):
            check_processes(number, 4)


def test_all_that_never_come_are_named_and_stopped(tmp_path, instead_of_python):
    begun = instead_of_python(WAITS)
    with pytest.raises(TimeoutError, match=r"Process 1 and 2 of 2 did not come within .*=0,"):
        run_processes("module", [], 2, tmp_path / "log", wait_seconds=0)
    assert none_is_left(begun)


def test_the_one_that_never_comes_is_named(tmp_path, instead_of_python, monkeypatch):
    begun = instead_of_python(f"{COMES}; {WAITS}")
    seen = Path.exists

    def exists(path, **options):  # of the sign of the second process, for ever
        return path.name != "1" and seen(path, **options)

    # A clock that stands still until the first has come, so that nothing depends on how fast.
    came = iter([0.0])

    def clock():
        places = Path(processes.tempfile.gettempdir()).glob("*/0")
        return next(came, 1e9 if any(seen(path) for path in places) else 0.0)

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(processes.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "exists", exists)
    monkeypatch.setattr(processes.time, "monotonic", clock)
    with pytest.raises(TimeoutError, match=r"Process 2 of 2 did not come within .*=60,"):
        run_processes("module", [], 2, tmp_path / "log", wait_seconds=60)
    assert none_is_left(begun)


def test_when_one_fails_the_others_are_stopped(tmp_path, instead_of_python):
    begun = instead_of_python(f'[ "${{@: -1}}" = 1 ] && {{ echo no memory; exit 3; }}; {WAITS}')
    codes = run_processes("module", [], 2, tmp_path / "log")
    assert codes == [None, 3]
    assert "no memory" in (tmp_path / "log").read_text("utf-8")
    assert none_is_left(begun)


def test_all_can_be_stopped_at_a_look(tmp_path, instead_of_python):
    begun = instead_of_python(WAITS)
    looks = itertools.count()
    codes = run_processes("module", [], 2, tmp_path / "log", at_each_look=lambda: next(looks) > 2)
    assert codes == [None, None]
    assert none_is_left(begun)


def test_a_process_ends_with_the_one_that_has_started_it(tmp_path):
    code = (
        "import sys, threading; from pathlib import Path; "
        "from companion.training.processes import announce; "
        "announce(Path(sys.argv[1]), 3); print('here', flush=True); threading.Event().wait()"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], **pipes) as process:
        assert process.stdout.readline() == b"here\n"
        assert (tmp_path / "3").exists()
        process.stdin.close()  # as the system does when the starter is killed
        assert process.wait(timeout=120) == 1
