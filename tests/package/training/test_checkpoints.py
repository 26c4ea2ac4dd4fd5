"""A checkpoint file survives a kill and a full disk, and damage to it is found."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest

from companion._common.files import write_atomically
from companion.tasks.folder import holds_model
from companion.training import CheckpointError, CheckpointFolder
from companion.training.checkpoints import pack, unpack

ARRAYS = {"w": np.arange(12.0).reshape(3, 4), "seed": np.array([7, 2**31], dtype=np.uint32)}


@pytest.fixture
def folder(tmp_path):
    folder = CheckpointFolder(tmp_path / "new" / "checkpoints")
    for epoch in (1, 2):
        folder.save(epoch, ARRAYS, {"epoch": epoch})
    return folder


def epochs(folder):
    return [path.name for path in folder.paths()]


def files(path):
    return sorted(file.name for file in path.iterdir())


def test_packing_gives_back_every_array_and_value():
    arrays, meta = unpack(pack(ARRAYS, {"metrics": {"loss": [0.1]}}))
    assert meta == {"metrics": {"loss": [0.1]}}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert (arrays[name] == array).all()


def test_objects_that_would_need_a_pickle_are_not_packed():
    with pytest.raises(ValueError, match="pickle"):
        pack({"w": np.array([object()])}, {})


def test_a_pickle_is_not_read(tmp_path):
    np.savez(tmp_path / "evil.npz", meta=np.array([object()]))
    with pytest.raises(ValueError, match="pickle"):
        unpack((tmp_path / "evil.npz").read_bytes())


@pytest.mark.parametrize("content", [b"PK junk", b"PK\x03\x04 junk"])
def test_what_is_no_npz_file_is_refused_without_advice_to_read_a_pickle(content):
    with pytest.raises(ValueError, match="npz") as error:
        unpack(content)
    assert "pickle" not in str(error.value)


def test_a_zip_file_of_other_things_is_refused(tmp_path):
    for name in ("meta", "meta.npy", "w"):
        with zipfile.ZipFile(tmp_path / "other.npz", "w") as file:
            file.writestr(name, "{}")
        with pytest.raises(ValueError, match=r"something else|cannot|not"):
            unpack((tmp_path / "other.npz").read_bytes())


def test_any_damaged_byte_or_missing_end_is_found_or_harmless():
    good = pack(ARRAYS, {"epoch": 1})
    for position in range(0, len(good), 7):
        flipped = bytearray(good)
        flipped[position] ^= 0x55
        for damaged in (bytes(flipped), good[:position]):
            try:
                arrays, meta = unpack(damaged)
            except ValueError:
                continue
            assert meta == {"epoch": 1}  # the byte was one that nothing reads, such as a date
            assert all((arrays[name] == ARRAYS[name]).all() for name in ARRAYS)


def test_the_newest_checkpoint_is_loaded_and_only_the_last_ones_stay(folder):
    folder.save(3, ARRAYS, {"epoch": 3})
    assert epochs(folder) == ["epoch-0002.npz", "epoch-0003.npz"]
    assert folder.load()[1] == {"epoch": 3}


def test_epochs_are_sorted_as_numbers(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=3)
    for epoch in (9999, 10000, 10001):
        folder.save(epoch, {}, {"epoch": epoch})
    assert folder.load()[1] == {"epoch": 10001}


def test_an_empty_or_missing_folder_holds_no_checkpoint(tmp_path):
    assert CheckpointFolder(tmp_path).load() is None
    assert CheckpointFolder(tmp_path / "missing").load() is None


def test_the_half_written_file_of_a_killed_run_is_removed(folder):
    rest = folder.folder / ".epoch-0003.npz.tmp"
    rest.write_bytes(b"half")
    assert folder.load()[1] == {"epoch": 2}
    assert not rest.exists()


def test_a_foreign_file_in_the_folder_is_left_alone(folder):
    (folder.folder / "notes.txt").write_text("mine", encoding="utf-8")
    folder.save(3, ARRAYS, {})
    assert (folder.folder / "notes.txt").exists()


@pytest.mark.parametrize("damage", [b"", b"no zip at all", "half"])
def test_a_damaged_newest_file_is_named_with_the_last_good_one_and_kept(folder, damage):
    older, newest = folder.paths()
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2] if damage == "half" else damage)
    with pytest.raises(CheckpointError) as error:
        folder.load()
    assert str(newest) in str(error.value).split("The last good checkpoint is ")[0]
    assert str(older) in str(error.value).split("The last good checkpoint is ")[1]
    assert epochs(folder) == [older.name, newest.name]
    newest.unlink()  # what the message advises
    assert folder.load()[1] == {"epoch": 1}


def test_a_full_disk_is_a_clear_error_and_leaves_the_last_good_checkpoint(folder, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CheckpointError, match=r"No space left.*epoch-0002.npz.*Free some space"):
        folder.save(3, ARRAYS, {})
    assert files(folder.folder) == ["epoch-0001.npz", "epoch-0002.npz"]
    assert folder.load()[1] == {"epoch": 2}


@pytest.mark.skipif(os.name != "posix", reason="file size limits are POSIX")
def test_a_write_that_the_system_cuts_off_leaves_the_last_good_checkpoint(folder):
    code = f"""
import resource, numpy as np
from companion.training import CheckpointError, CheckpointFolder
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    CheckpointFolder({str(folder.folder)!r}).save(3, {{"w": np.ones(100_000)}}, {{}})
except CheckpointError as error:
    print(error)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Cannot write the checkpoint" in run.stdout
    assert files(folder.folder) == ["epoch-0001.npz", "epoch-0002.npz"]
    assert folder.load()[1] == {"epoch": 2}


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small disk")
def test_a_really_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    options = ["-t", "tmpfs", "-o", "size=128k", "tmpfs", str(tmp_path)]
    if subprocess.run(["mount", *options], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs rights that this user has not")
    try:
        folder = CheckpointFolder(tmp_path)
        folder.save(1, {"w": np.ones(5_000)}, {"epoch": 1})
        with pytest.raises(CheckpointError, match="No space left"):
            folder.save(2, {"w": np.ones(50_000)}, {"epoch": 2})
        assert files(tmp_path) == ["epoch-0001.npz"]
        assert folder.load()[1] == {"epoch": 1}
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


@pytest.mark.slow
def test_a_kill_while_saving_leaves_a_readable_checkpoint(tmp_path):
    code = f"""
import numpy as np
from companion.training import CheckpointFolder
folder = CheckpointFolder({str(tmp_path)!r})
for epoch in range(1, 100_000):
    folder.save(epoch, {{"w": np.full(500_000, epoch)}}, {{"epoch": epoch}})
"""
    folder = CheckpointFolder(tmp_path)
    rng = np.random.default_rng(0)
    for _ in range(4):
        newest = folder.paths()[-1:]
        process = subprocess.Popen([sys.executable, "-c", code])
        deadline = time.monotonic() + 60
        while folder.paths()[-1:] == newest and time.monotonic() < deadline:
            time.sleep(0.001)
        time.sleep(rng.random() / 20)
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.wait()
        arrays, meta = folder.load()
        assert (arrays["w"] == meta["epoch"]).all()
        for path in folder.paths():
            path.unlink()


def test_a_failed_write_keeps_the_old_content(tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_atomically(path, b"old")

    def fail(*names):
        raise PermissionError(errno.EACCES, "in use")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(PermissionError) as error:
        write_atomically(path, b"new")
    assert error.value.filename == str(path)
    assert path.read_bytes() == b"old"
    assert files(tmp_path) == ["config.json"]


def test_at_least_one_checkpoint_must_stay(tmp_path):
    with pytest.raises(ValueError, match="keep is 0"):
        CheckpointFolder(tmp_path, keep=0)


def test_only_one_process_trains_in_a_folder_and_a_killed_ones_lock_is_taken_over(tmp_path):
    folder = CheckpointFolder(tmp_path / "new")
    code = f"""
import time
from companion.training import CheckpointFolder
with CheckpointFolder({str(folder.folder)!r}).lock():
    print("holds", flush=True)
    time.sleep(600)
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "holds\n"
        busy = rf"another training \(process {process.pid}\) is using .*new: wait"
        with pytest.raises(CheckpointError, match=busy), folder.lock():
            pass
    finally:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.communicate()
    with folder.lock(), folder.lock():  # one process may take it twice
        folder.save(1, ARRAYS, {"epoch": 1})
    assert epochs(folder) == ["epoch-0001.npz"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with (
        pytest.raises(CheckpointError, match=r"Cannot write in .*use another folder"),
        CheckpointFolder(tmp_path / "file" / "checkpoints").lock(),
    ):
        pass


@pytest.mark.parametrize("config", ['{"format": 2}', '{"name": "theirs"}', "[]", "{", None])
def test_a_folder_of_something_else_is_refused(tmp_path, config):
    (tmp_path / "weights.npz").write_bytes(b"theirs")
    if config is not None:
        (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(ValueError, match=r"weights.npz of something else.*--out DIR"):
        holds_model(tmp_path, 1, ["config.json", "weights.npz"])


def test_a_training_stopped_while_saving_is_no_finished_model(tmp_path):
    CheckpointFolder(tmp_path / "checkpoints").save(1, ARRAYS, {})
    (tmp_path / "weights.npz").write_bytes(b"ours")
    assert not holds_model(tmp_path, 1, ["config.json", "weights.npz"])
