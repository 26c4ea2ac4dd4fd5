"""A file is there whole, the old one or the new one, whoever writes and whatever fails."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading

import pytest

from companion._common.files import hold_lock, remove_leftovers, write_atomically


def files(path):
    return sorted(file.name for file in path.iterdir())


@pytest.mark.parametrize("content", [b"", b"new", bytes(range(256)) * 5000])
def test_what_is_written_is_read_and_replaces_what_was_there(tmp_path, content):
    path = tmp_path / "config.json"
    path.write_bytes(b"old and longer")
    write_atomically(path, content)
    assert path.read_bytes() == content
    assert files(tmp_path) == ["config.json"]


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_keeps_the_old_content_and_names_the_file(tmp_path, monkeypatch, step):
    path = tmp_path / "config.json"
    write_atomically(path, b"old")

    def fail(*names):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match=r"No space left.*config\.json'$") as error:
        write_atomically(path, b"new")
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["config.json"]


def test_an_interrupted_write_leaves_nothing_beside_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_atomically(path, b"old")

    def interrupt(*names):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["config.json"]


def test_a_folder_that_cannot_be_synchronised_is_no_failure(tmp_path, monkeypatch):
    fsync = os.fsync

    def only_files(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")  # as some network drives answer
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", only_files)
    write_atomically(tmp_path / "a.txt", b"new")
    assert (tmp_path / "a.txt").read_bytes() == b"new"


def test_writers_of_one_file_do_not_harm_each_other(tmp_path):
    path, failures = tmp_path / "a.txt", []
    contents = [bytes([number]) * 50_000 for number in range(4)]

    def write(content):
        try:
            for _ in range(25):
                write_atomically(path, content)
        except OSError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if os.name == "posix":  # Windows lets nobody replace a file while another does
        assert failures == []
    assert path.read_bytes() in contents
    assert files(tmp_path) == ["a.txt"]


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_a_file_has_the_permissions_that_any_new_file_has(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.txt", b"new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == 0o666 & ~umask


def test_only_what_killed_writers_left_is_cleaned_up(tmp_path):
    kept = ["a.txt", ".a.txt", "a.txt.tmp", ".a.txt.mine.tmp", ".b.txt.0123456789abcdef.tmp"]
    for name in [*kept, ".a.txt.0123456789abcdef.tmp"]:
        (tmp_path / name).touch()
    remove_leftovers(tmp_path, "a.*")
    assert files(tmp_path) == sorted(kept)
    remove_leftovers(tmp_path)
    assert files(tmp_path) == sorted(kept[:-1])
    remove_leftovers(tmp_path / "missing")


@pytest.mark.skipif(os.name != "posix", reason="a kill in a system call is POSIX")
def test_what_a_killed_writer_leaves_is_what_the_clean_up_finds(tmp_path):
    code = f"""
import os, pathlib, signal
from companion._common import files
os.replace = lambda *names: os.kill(os.getpid(), signal.SIGKILL)
files.write_atomically(pathlib.Path({str(tmp_path)!r}, "a.txt"), b"new")
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode != 0
    assert len(files(tmp_path)) == 1
    remove_leftovers(tmp_path, "a.txt")
    assert files(tmp_path) == []


def test_one_thread_may_hold_a_lock_twice_and_another_none(tmp_path):
    path, seen = tmp_path / ".lock", []

    def other():
        try:
            with hold_lock(path):
                seen.append("in")
        except BlockingIOError as error:
            seen.append(str(error))

    def ask():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    with hold_lock(path):
        with hold_lock(path):
            ask()
        ask()
    ask()
    assert seen == [str(os.getpid()), str(os.getpid()), "in"]


def test_a_folder_has_one_lock_whatever_it_is_called(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = f"""
import pathlib
from companion._common.files import hold_lock
try:
    with hold_lock(pathlib.Path({str(tmp_path)!r}, "..", {tmp_path.name!r}, ".lock")):
        print("in")
except BlockingIOError as error:
    print(error)
"""
    with hold_lock(tmp_path.relative_to(tmp_path) / ".lock"):
        run = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
        )
    assert run.stdout.strip() == str(os.getpid())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_does_not_inherit_a_lock(tmp_path):
    code = f"""
import os, pathlib, sys
from companion._common.files import hold_lock
path = pathlib.Path({str(tmp_path)!r}, ".lock")
with hold_lock(path):
    child = os.fork()
    if child == 0:
        try:
            with hold_lock(path):
                os._exit(1)
        except BlockingIOError as error:
            os._exit(0 if str(error) == str(os.getppid()) else 2)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "0"


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")
def test_a_lock_file_can_be_read_by_others_and_run_by_nobody(tmp_path):
    with hold_lock(tmp_path / ".lock"):
        assert stat.S_IMODE((tmp_path / ".lock").stat().st_mode) == 0o644


def test_a_lock_that_cannot_be_made_is_no_lock_that_another_holds(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file") as error, hold_lock(tmp_path / "file" / ".lock"):
        pass
    assert not isinstance(error.value, BlockingIOError)
