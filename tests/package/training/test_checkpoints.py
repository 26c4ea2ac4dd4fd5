"""A checkpoint file survives a kill and a full disk, and damage to it is found."""

from __future__ import annotations

import errno
import io
import os
import signal
import struct
import subprocess
import sys
import threading
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies

from companion.training import CheckpointError, CheckpointFolder
from companion.training.checkpoints import pack, unpack

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
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


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
NAMES = st.from_regex(r"[a-z]{1,8}[0-9]{0,4}", fullmatch=True).filter(
    lambda name: name not in ("meta", "file", "allow", "args")
)
PACKED = st.tuples(
    st.dictionaries(
        NAMES,
        numpy_strategies.arrays(
            st.sampled_from(["float32", "float64", "float16", "int32", "uint8", "bool"]),
            numpy_strategies.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=3,
    ),
    st.dictionaries(TEXTS, JSON, max_size=3),
)


def assert_equal(found, arrays):
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()  # nan and -0.0, too


@given(content=PACKED)
def test_packing_gives_back_every_array_and_value(content):
    arrays, meta = content
    found, found_meta = unpack(pack(arrays, meta))
    assert found_meta == meta
    assert_equal(found, arrays)


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


def test_arrays_without_the_values_are_refused(tmp_path):
    np.savez(tmp_path / "other.npz", w=np.ones(3))
    with pytest.raises(ValueError, match=r"^it holds something else than pack writes$"):
        unpack((tmp_path / "other.npz").read_bytes())


@given(content=PACKED, place=st.floats(0, 1, exclude_max=True), bits=st.integers(1, 255))
def test_any_damaged_byte_is_found_or_harmless(content, place, bits):
    arrays, meta = content
    damaged = bytearray(pack(arrays, meta))
    damaged[int(place * len(damaged))] ^= bits
    try:
        found, found_meta = unpack(bytes(damaged))
    except ValueError:
        return
    assert found_meta == meta  # the byte was one that nothing reads, such as a date
    assert_equal(found, arrays)


@given(content=PACKED, place=st.floats(0, 1, exclude_max=True))
def test_any_missing_end_is_found(content, place):
    good = pack(*content)
    with pytest.raises(ValueError, match=r"\S"):
        unpack(good[: int(place * len(good))])


def test_every_byte_of_the_numbers_is_guarded():
    good = pack(ARRAYS, {})
    start = good.index(ARRAYS["w"].tobytes())
    for place in range(start, start + ARRAYS["w"].nbytes):
        damaged = bytearray(good)
        damaged[place] ^= 1
        with pytest.raises(ValueError, match=r"\S"):
            unpack(bytes(damaged))


def declared(shape, numbers):
    """A part of a checkpoint whose header declares another shape than it has numbers for."""
    stream = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + np.zeros(numbers).tobytes()


def zipped(parts, compression=zipfile.ZIP_STORED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as file:
        for name, content in parts.items():
            file.writestr(name, content)
    return stream.getvalue()


def written(array, version):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, array, version=version)
    return stream.getvalue()


def test_both_headers_that_numpy_writes_for_plain_arrays_are_read_and_no_third():
    meta = written(np.frombuffer(b"{}", np.uint8), (1, 0))
    found, _ = unpack(zipped({"w.npy": written(ARRAYS["w"], (2, 0)), "meta.npy": meta}))
    assert_equal(found, {"w": ARRAYS["w"]})
    with pytest.raises(ValueError, match=r"^w\.npy is not an array that pack writes$"):
        unpack(zipped({"w.npy": written(ARRAYS["w"], (3, 0)), "meta.npy": meta}))


def peak_of_refusal(content, message):
    """The most memory that a refusal takes, in bytes."""
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=message):
            unpack(content)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zipped({"w.npy": declared((2**31,), 4)}), "declares"),
        (zipped({"w.npy": declared((2**20, 2**20), 0)}), "declares"),
        (zipped({"w.npy": declared((2**24,), 2**24)}, zipfile.ZIP_DEFLATED), "compressed"),
    ],
    ids=["a long header", "a wide header", "compressed zeros"],
)
def test_a_small_file_that_declares_a_large_array_is_refused_before_memory_is_taken(
    content, message
):
    assert peak_of_refusal(content, message) < 10 * len(content) + 100_000


def test_parts_that_share_the_same_bytes_cannot_multiply_them():
    one = zipped({"w.npy": declared((1000,), 1000)})
    entries = one[one.index(b"PK\x01\x02") : one.index(b"PK\x05\x06")]
    end = bytearray(one[one.index(b"PK\x05\x06") :])
    end[8:12] = struct.pack("<HH", 500, 500)
    end[12:16] = struct.pack("<I", 500 * len(entries))
    bomb = one[: one.index(b"PK\x01\x02")] + 500 * entries + bytes(end)
    with pytest.raises(ValueError, match=r"more bytes than it has|Overlapped"):
        unpack(bomb)


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
    rest = folder.folder / ".epoch-0003.npz.0123456789abcdef.tmp"
    rest.write_bytes(b"half")
    assert folder.load()[1] == {"epoch": 2}
    assert not rest.exists()


def test_a_foreign_file_in_the_folder_is_left_alone(folder):
    (folder.folder / "notes.txt").write_text("mine", encoding="utf-8")
    folder.save(3, ARRAYS, {})
    assert (folder.folder / "notes.txt").exists()


def test_the_half_written_file_of_another_program_is_left_alone(folder):
    rest = folder.folder / ".notes.txt.0123456789abcdef.tmp"
    rest.write_bytes(b"half")
    folder.load()
    assert rest.exists()


def test_a_folder_reads_as_its_path(folder):
    assert str(folder) == str(folder.folder)


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


def test_the_last_good_checkpoint_is_found_behind_several_damaged_ones(tmp_path):
    folder = CheckpointFolder(tmp_path, keep=3)
    for epoch in (1, 2, 3):
        folder.save(epoch, ARRAYS, {"epoch": epoch})
    good, *damaged = folder.paths()
    for path in damaged:
        path.write_bytes(b"")
    with pytest.raises(CheckpointError, match=rf"The last good checkpoint is .*{good.name}"):
        folder.load()
    good.write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"There is no good checkpoint, .*start anew\."):
        folder.load()


def test_an_error_without_a_number_is_passed_on_in_its_own_words(folder, monkeypatch):
    def broken(descriptor):
        raise OSError("the drive is gone")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(CheckpointError, match=r"epoch-0003\.npz: the drive is gone\. The "):
        folder.save(3, ARRAYS, {})


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
@pytest.mark.parametrize("saved", [1, 2, 3])
def test_a_kill_while_saving_leaves_a_readable_checkpoint(tmp_path, saved):
    code = f"""
import numpy as np
from companion.training import CheckpointFolder
folder = CheckpointFolder({str(tmp_path)!r})
for epoch in range(1, 100_000):
    folder.save(epoch, {{"w": np.full(500_000, epoch)}}, {{"epoch": epoch}})
    print(epoch, flush=True)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        for _ in range(saved):
            process.stdout.readline()
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))  # in the next save
    folder = CheckpointFolder(tmp_path)
    arrays, meta = folder.load()
    assert meta["epoch"] >= saved
    assert (arrays["w"] == meta["epoch"]).all()
    assert not list(tmp_path.glob(".epoch-*"))


DYING = """
import os, sys
from pathlib import Path
import numpy as np
from companion.training import CheckpointFolder
from tests.package.tasks.faults import failing_disk
ARRAYS = {"w": np.ones(9)}
for at in range(1000):
    folder = CheckpointFolder(Path(sys.argv[1], str(at)))
    for epoch in (1, 2):
        folder.save(epoch, ARRAYS, {"epoch": epoch})
    child = os.fork()
    if not child:
        with failing_disk(at, die=True):
            folder.save(3, ARRAYS, {"epoch": 3})
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
def test_a_process_that_dies_at_any_operation_of_saving_leaves_the_last_epoch_or_the_next(tmp_path):
    subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=True)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    found = [CheckpointFolder(path).load() for path in folders]
    epochs_left = [meta["epoch"] for _, meta in found]
    assert epochs_left == sorted(epochs_left)  # from some moment on it is the new one
    assert (epochs_left[0], epochs_left[-2:]) == (2, [3, 3])  # the last child did not die
    for path, (arrays, _) in zip(folders, found, strict=True):
        assert_equal(arrays, {"w": np.ones(9)})
        assert all(file.suffix == ".npz" for file in path.iterdir())  # load has tidied


@pytest.mark.parametrize("keep", [0, -1, 1.5, True, None, "2"])
def test_at_least_one_checkpoint_must_stay(tmp_path, keep):
    with pytest.raises(ValueError, match=r"keep must be a whole number of at least 1"):
        CheckpointFolder(tmp_path, keep=keep)


def test_only_one_process_trains_in_a_folder_and_a_killed_ones_lock_is_taken_over(tmp_path):
    folder = CheckpointFolder(tmp_path / "new")
    code = f"""
from companion.training import CheckpointFolder
with CheckpointFolder({str(folder.folder)!r}).lock():
    print("holds", flush=True)
    input()
"""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    process = subprocess.Popen([sys.executable, "-c", code], text=True, **pipes)
    try:
        assert process.stdout.readline() == "holds\n"
        busy = rf"another training \(process {process.pid}\) is using .*new: wait"
        for _ in range(2):  # asking does not wipe out who holds it
            with pytest.raises(CheckpointError, match=busy), folder.lock():
                pass
    finally:
        process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
        process.communicate()
    with folder.lock(), CheckpointFolder(folder.folder).lock():  # one thread may take it twice
        folder.save(1, ARRAYS, {"epoch": 1})
    assert epochs(folder) == ["epoch-0001.npz"]


def test_another_thread_does_not_get_into_a_folder_in_which_one_trains(tmp_path):
    refused = []

    def other():
        with pytest.raises(CheckpointError, match=rf"process {os.getpid()}\) is using") as error:
            CheckpointFolder(tmp_path).lock().__enter__()
        refused.append(error)

    with CheckpointFolder(tmp_path).lock():
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    with CheckpointFolder(tmp_path).lock():
        pass


def test_a_lock_makes_the_folders_on_the_way(tmp_path):
    folder = CheckpointFolder(tmp_path / "runs" / "first")
    with folder.lock():
        folder.save(1, ARRAYS, {})
    assert epochs(folder) == ["epoch-0001.npz"]


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with (
        pytest.raises(CheckpointError, match=r"Cannot write in .*use another folder"),
        CheckpointFolder(tmp_path / "file" / "checkpoints").lock(),
    ):
        pass
