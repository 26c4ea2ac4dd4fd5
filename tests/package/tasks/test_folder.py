"""A folder holds one whole model at every moment, and a stranger's folder can do no harm."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from companion._common.checking import UsageError
from companion._common.files import hold_lock
from companion.tasks.folder import (
    holds_model,
    read_folder,
    refusing,
    remove_model,
    restore_weights,
    weights_of,
    write_folder,
)
from tests.package.tasks.faults import failing_disk

KIND = "text-classifier"


def save(path, number, kind=KIND):
    """Saves a model of which every part tells its number."""
    array = np.full((2, 3), number, "float32")
    text = json.dumps([number]).encode()
    write_folder(path, kind, {"number": number}, arrays={"w": array}, files={"words.json": text})


def load(path, kind=KIND):
    """Returns the number of the model that a folder holds, after asking each of its parts."""
    saved = read_folder(path, kind, files=["words.json"], count=lambda settings: 6)
    numbers = {saved.settings["number"], *saved.arrays["w"].ravel().tolist()}
    (number,) = numbers | {*json.loads(saved.files["words.json"])}
    return number


def names(path):
    return sorted(file.name for file in path.iterdir())


def is_tidy(path):
    """Whether nothing is there but one model and the lock."""
    kinds = [name.split("-")[0] for name in names(path)]
    return kinds == [".lock", "config.json", "weights", "words"]


def each_fault(tmp_path, start):
    """Lets the disk fail at the first operation of replacing a model, at the second, and so on."""
    for at in range(1000):
        path = tmp_path / str(at)
        start(path)
        error = None
        with failing_disk(at) as faults:
            try:
                save(path, 2)
            except OSError as failure:
                error = failure
        if not faults.happened:
            assert at > 10  # three files, each written, kept and renamed
            return
        yield path, error


def test_a_full_disk_at_any_moment_leaves_the_old_model_or_the_new_one_whole(tmp_path):
    found = set()
    for path, error in each_fault(tmp_path, lambda path: save(path, 1)):
        assert holds_model(path, KIND)
        found.add((load(path), error is None))
        save(path, 3)
        assert load(path) == 3
        assert is_tidy(path)
    assert found == {(1, False), (2, True)}  # what was not written is said, and nothing else


def test_a_full_disk_at_any_moment_of_the_first_saving_leaves_nothing_or_a_model(tmp_path):
    found = set()
    for path, error in each_fault(tmp_path, lambda path: None):
        there = holds_model(path, KIND)
        found.add((load(path) if there else None, error is None))
        save(path, 3)
        assert load(path) == 3
    assert found == {(None, False), (2, True)}


def test_a_saving_that_failed_leaves_no_file_of_its_own(tmp_path):
    for path, error in each_fault(tmp_path, lambda path: save(path, 1)):
        assert error is None or is_tidy(path)


DYING = """
import os, sys
from pathlib import Path
from tests.package.tasks.faults import failing_disk
from tests.package.tasks.test_folder import save
for at in range(1000):
    path = Path(sys.argv[1], str(at))
    save(path, 1)
    child = os.fork()
    if not child:
        with failing_disk(at, die=True):
            save(path, 2)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
def test_a_process_that_dies_at_any_moment_leaves_the_old_model_or_the_new_one_whole(tmp_path):
    subprocess.run([sys.executable, "-c", DYING, str(tmp_path)], check=True)
    folders = sorted(tmp_path.iterdir(), key=lambda path: int(path.name))
    found = [load(path) for path in folders]
    assert all(holds_model(path, KIND) for path in folders)
    assert found == sorted(found)  # from some moment on it is the new one
    assert found[0] == 1
    assert found[-2:] == [2, 2]  # died while tidying, and not at all
    assert any(not is_tidy(path) for path in folders)
    for path in folders:
        save(path, 3)
        assert load(path) == 3
        assert is_tidy(path)


def test_a_reader_whom_a_writer_overtakes_gets_the_new_model_whole(tmp_path):
    save(tmp_path, 1)
    todo = [2]

    def overtaken(settings):
        if todo:
            save(tmp_path, todo.pop())
        return 6

    saved = read_folder(tmp_path, KIND, files=["words.json"], count=overtaken)
    assert (saved.settings["number"], saved.arrays["w"][0, 0]) == (2, 2)


def test_a_second_writer_is_told_to_wait(tmp_path):
    save(tmp_path, 1)
    said = []

    def write():
        with pytest.raises(UsageError, match=f"Process {os.getpid()} is saving") as error:
            save(tmp_path, 2)
        said.append(str(error.value))

    with hold_lock(tmp_path / ".lock"):
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(said) == 1
    assert load(tmp_path) == 1


@given(
    arrays_of.arrays(
        st.sampled_from(["float32", "float16", "float64", "int32", "uint8"]),
        arrays_of.array_shapes(min_dims=0, min_side=0, max_side=4),
        elements=st.integers(0, 100),
    )
)
def test_arrays_come_back_bit_by_bit_whatever_their_layout(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("model")
    given = {"a": array, "turned": array.T, "steps": np.concatenate([array[None]] * 4)[::2]}
    write_folder(path, KIND, {}, arrays=given)
    found = read_folder(path, KIND, count=lambda settings: 4 * array.size).arrays
    for name, expected in given.items():
        assert found[name].dtype == expected.dtype
        np.testing.assert_array_equal(found[name], expected)


def test_settings_come_back_with_numbers_of_numpy_as_plain_ones(tmp_path):
    settings = {"size": np.int64(3), "share": np.float32(0.5), "name": "你好", "names": ["a", "b"]}
    write_folder(tmp_path, "onnx-classifier", settings, files={"model.onnx": b"graph"})
    saved = read_folder(tmp_path, "onnx-classifier", files=["model.onnx"])
    assert saved.settings == settings
    assert (type(saved.settings["size"]), saved.files) == (int, {"model.onnx": b"graph"})
    assert saved.arrays == {}


def test_every_name_holds_a_part_of_the_hash_of_its_content(tmp_path):
    save(tmp_path, 1)
    for name in names(tmp_path)[2:]:
        digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert name.split("-")[1].split(".")[0] == digest[:16]


def test_the_config_says_its_format_so_that_a_later_one_can_be_told_apart(tmp_path):
    save(tmp_path, 1)
    config = json.loads((tmp_path / "config.json").read_bytes())
    assert (config["format"], config["kind"]) == ("companion-1", KIND)


def test_files_that_the_model_did_not_write_stay(tmp_path):
    theirs = ["notes.txt", "weights-mine.safetensors", "weights.safetensors", ".weights.tmp"]
    theirs.append(".notes.txt.0123456789abcdef.tmp")  # which another program is writing
    for name in theirs:
        (tmp_path / name).write_bytes(b"theirs")
    save(tmp_path, 1)
    save(tmp_path, 2)
    remove_model(tmp_path, KIND)
    assert names(tmp_path) == sorted([*theirs, ".lock"])
    assert {(tmp_path / name).read_bytes() for name in theirs} == {b"theirs"}


def test_a_removed_model_is_gone_and_a_missing_one_needs_no_removing(tmp_path):
    save(tmp_path, 1)
    remove_model(tmp_path, KIND)
    remove_model(tmp_path, KIND)
    remove_model(tmp_path / "never", KIND)
    assert not holds_model(tmp_path, KIND)
    assert not (tmp_path / "never").exists()


def test_there_is_no_model_where_there_is_no_folder(tmp_path):
    assert not holds_model(tmp_path, KIND)
    assert not holds_model(tmp_path / "never", KIND)


@pytest.mark.parametrize("damage", [b"", b"half", None])
def test_a_model_with_a_damaged_file_is_not_finished_and_can_be_replaced(tmp_path, damage):
    save(tmp_path, 1)
    (weights,) = tmp_path.glob("weights-*")
    if damage is None:  # as long as it was
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        damage = bytes(content)
    weights.write_bytes(damage)
    assert not holds_model(tmp_path, KIND)
    save(tmp_path, 1)
    assert load(tmp_path) == 1


@pytest.mark.parametrize("content", [b"{}", b"no JSON", b"[1]", b'{"format": 1}', b"[" * 99999])
@pytest.mark.parametrize("use", [holds_model, remove_model, save])
def test_a_config_of_something_else_is_refused_and_left_as_it_is(tmp_path, content, use):
    (tmp_path / "config.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"config\.json of something else") as error:
        use(tmp_path, KIND if use is not save else 1)
    assert "--" not in str(error.value)
    assert (tmp_path / "config.json").read_bytes() == content
    assert set(names(tmp_path)) <= {"config.json", ".lock"}


@pytest.mark.parametrize(
    ("kind", "said"),
    [("language-model", "a language model"), ("onnx-classifier", "an exported classifier")],
)
def test_a_model_of_another_kind_is_named_and_neither_read_nor_replaced(tmp_path, kind, said):
    save(tmp_path, 1, kind)
    for use in (load, holds_model, remove_model, save):
        with pytest.raises(UsageError, match=said):
            use(tmp_path, *((2,) if use is save else (KIND,)))
    assert load(tmp_path, kind) == 1


def test_a_model_is_saved_into_folders_that_are_not_there_yet(tmp_path):
    save(tmp_path / "a" / "b", 1)
    assert load(tmp_path / "a" / "b") == 1


def test_a_folder_in_the_place_of_the_config_is_no_model(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(UsageError, match=r"there is no config\.json"):
        load(tmp_path)
    with pytest.raises(UsageError, match=r"config\.json of something else"):
        holds_model(tmp_path, KIND)


def test_a_folder_in_the_place_of_the_weights_is_no_model(tmp_path):
    save(tmp_path, 1)
    weights = one(tmp_path, "weights-*")
    weights.unlink()
    weights.mkdir()
    assert not holds_model(tmp_path, KIND)
    with pytest.raises(UsageError, match="there is no weights-"):
        load(tmp_path)


class Model:
    """As much of a Keras model as holds weights."""

    def __init__(self, **weights):
        self.weights = [Weight(np.asarray(w), name=name) for name, w in weights.items()]

    def set_weights(self, arrays):
        self.weights = [
            Weight(array, name=weight.name)
            for weight, array in zip(self.weights, arrays, strict=True)
        ]


class Weight(SimpleNamespace):
    def __init__(self, array, name):
        super().__init__(array=array, name=name, shape=array.shape)

    def __array__(self, dtype=None, copy=None):
        return self.array


def test_weights_are_put_back_by_name_and_place_into_a_model_of_the_same_shapes():
    model, other = (
        Model(kernel=np.ones((2, 3)), bias=[1, 2]),
        Model(kernel=np.zeros((2, 3)), bias=[0, 0]),
    )
    arrays = weights_of(model)
    assert [*arrays] == ["000_kernel", "001_bias"]
    restore_weights(other, dict(reversed(arrays.items())))
    for found, expected in zip(other.weights, model.weights, strict=True):
        np.testing.assert_array_equal(found, expected)
    for wrong in (
        Model(kernel=np.ones((3, 2)), bias=[1, 2]),
        Model(bias=[1, 2], kernel=np.ones((2, 3))),
    ):
        with pytest.raises(ValueError, match=r"have the shapes .*\(2, 3\).*, not "):
            restore_weights(wrong, arrays)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    path = tmp_path / "model.keras"
    path.write_bytes(b"code")
    with pytest.raises(UsageError, match="is a file"):
        holds_model(path, KIND)
    with pytest.raises(UsageError, match="could run code are not read"):
        load(path)
    with pytest.raises(OSError, match=r"model\.keras"):
        save(path, 1)
    assert path.read_bytes() == b"code"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_weights_that_are_no_numbers_do_not_replace_good_ones(tmp_path, bad):
    save(tmp_path, 1)
    with pytest.raises(UsageError, match="w hold nan or infinity"):
        save(tmp_path, bad)
    assert load(tmp_path) == 1


@pytest.mark.parametrize("settings", [{"a": "x" * 2**20}, {"a": float("nan")}])
def test_settings_that_could_not_be_read_again_are_not_written(tmp_path, settings):
    with pytest.raises(ValueError, match=r"bytes of settings|JSON"):
        write_folder(tmp_path / "model", KIND, settings)
    assert not (tmp_path / "model").exists()


def test_an_unknown_kind_is_not_written(tmp_path):
    with pytest.raises(UsageError, match="'nonsense'"):
        write_folder(tmp_path, "nonsense", {})


def change(path, edit):
    """Lets a stranger edit what config.json says."""
    config = json.loads((path / "config.json").read_bytes())
    edit(config)
    (path / "config.json").write_text(json.dumps(config), encoding="utf-8")


def forge(path, name, content):
    """Puts another content in the place of a file, with the name and hash that belong to it."""
    digest = hashlib.sha256(content).hexdigest()
    stem, suffix = name.split(".")
    stored = f"{stem}-{digest[:16]}.{suffix}"
    (path / stored).write_bytes(content)
    entry = {"file": stored, "bytes": len(content), "sha256": digest}
    change(path, lambda config: config["files"].update({name: entry}))


def tensors(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def flip_a_bit(path):
    (weights,) = path.glob("weights-*")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def one(path, pattern):
    (file,) = path.glob(pattern)
    return file


HUGE = {"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}
NAN = {"w": {"dtype": "F32", "shape": [6], "data_offsets": [0, 24]}}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "config.json").unlink(), "there is no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "config.json is damaged"),
        (lambda f: (f / "config.json").write_text("[]"), "config.json is damaged"),
        (lambda f: (f / "config.json").write_bytes(b"[" * 99_999), "config.json is damaged"),
        (lambda f: (f / "config.json").write_bytes(b" " * 2**21), "more than 1,048,576"),
        (lambda f: change(f, lambda c: c.update(format="companion-2")), "another format"),
        (lambda f: change(f, lambda c: c.update(kind=["text-classifier"])), "another format"),
        (lambda f: change(f, lambda c: c.update(settings=[])), "config.json is damaged"),
        (lambda f: change(f, lambda c: c.update(files=[])), "config.json is damaged"),
        (lambda f: change(f, lambda c: c["files"].pop("words.json")), "names the files"),
        (lambda f: forge(f, "more.json", b"{}"), "names the files"),
        (lambda f: one(f, "weights-*").unlink(), "there is no weights-"),
        (lambda f: one(f, "words-*").unlink(), "there is no words-"),
        (flip_a_bit, "is damaged"),
        (lambda f: one(f, "words-*").write_bytes(b"["), "is damaged"),
        (lambda f: one(f, "weights-*").write_bytes(bytes(10**4)), "more than"),
        (lambda f: forge(f, "weights.safetensors", b""), "weights.safetensors is damaged"),
        (lambda f: forge(f, "weights.safetensors", pickle.dumps(print)), "is damaged"),
        (lambda f: forge(f, "weights.safetensors", tensors(HUGE)), "is damaged"),
        (lambda f: forge(f, "weights.safetensors", tensors({})), "0 numbers.*need 6"),
        (lambda f: forge(f, "weights.safetensors", tensors(NAN, b"\xff" * 24)), "nan or infinity"),
        (
            lambda f: change(f, lambda c: c["files"]["words.json"].update(file="../words.json")),
            "config.json is damaged",
        ),
        (
            lambda f: change(f, lambda c: c["files"]["words.json"].update(bytes=2.5)),
            "config.json is damaged",
        ),
        (
            lambda f: change(f, lambda c: c["files"]["words.json"].update(bytes=2**29)),
            "536,870,912 bytes, more than 268,435,456",
        ),
        (
            lambda f: change(f, lambda c: c["files"]["words.json"].update(bytes=-1)),
            "more than -1",
        ),
    ],
)
def test_a_foreign_or_damaged_folder_is_refused_in_a_sentence_with_what_to_do(
    tmp_path, damage, said
):
    save(tmp_path, 1)
    damage(tmp_path)
    with pytest.raises(UsageError, match=said) as error:
        load(tmp_path)
    assert str(error.value).startswith(f"{tmp_path} holds no usable text classifier: ")
    assert "Train it with TextClassifier.fit" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_path_that_leaves_the_folder_is_refused(tmp_path):
    save(tmp_path / "model", 1)
    content = b"[1]"
    digest = hashlib.sha256(content).hexdigest()
    outside = tmp_path / f"words-{digest[:16]}.json"
    outside.write_bytes(content)
    entry = {"file": f"/{outside.name}", "bytes": 3, "sha256": digest}
    change(tmp_path / "model", lambda config: config["files"].update({"/words.json": entry}))
    change(tmp_path / "model", lambda config: config["files"].pop("words.json"))
    with pytest.raises(UsageError):
        read_folder(tmp_path / "model", KIND, files=["/words.json"], count=lambda settings: 6)


@pytest.mark.parametrize("numbers", [2**29 + 1, -1, 10**30])
def test_settings_that_ask_for_absurdly_many_numbers_are_refused(tmp_path, numbers):
    save(tmp_path, 1)
    with pytest.raises(UsageError, match=f"{numbers:,} numbers, more than"):
        read_folder(tmp_path, KIND, files=["words.json"], count=lambda settings: numbers)


@pytest.mark.parametrize("numbers", [5, 7])
def test_weights_of_another_size_than_the_settings_are_refused(tmp_path, numbers):
    save(tmp_path, 1)
    with pytest.raises(UsageError, match=f"are 6 numbers, and the settings need {numbers}"):
        read_folder(tmp_path, KIND, files=["words.json"], count=lambda settings: numbers)


def grow(path, pattern, size):
    """Makes a file large without writing it, and lets config.json say so."""
    file = one(path, pattern)
    for name in ("weights.safetensors", "words.json"):
        if file.name.startswith(name.split(".")[0]):
            entry = json.loads((path / "config.json").read_bytes())["files"][name]
            forged = {name: {**entry, "bytes": size}}
            change(path, lambda config, forged=forged: config["files"].update(forged))
    os.truncate(file, size)


@pytest.mark.parametrize("pattern", ["config.json", "weights-*", "words-*"])
def test_a_huge_file_is_refused_before_it_takes_memory(tmp_path, pattern):
    save(tmp_path, 1)
    grow(tmp_path, pattern, 2**29)
    tracemalloc.start()
    try:
        with pytest.raises(UsageError, match="536,870,912 bytes, more than"):
            load(tmp_path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 2**24


def test_weights_may_have_eight_bytes_a_number_and_a_megabyte_to_say_what_they_are(tmp_path):
    array = np.arange(300_000.0)
    write_folder(tmp_path, KIND, {}, arrays={"w": array})
    saved = read_folder(tmp_path, KIND, count=lambda settings: array.size)
    np.testing.assert_array_equal(saved.arrays["w"], array)
    save(tmp_path, 1)
    forge(tmp_path, "weights.safetensors", bytes(6 * 8 + 2**20 + 1))
    with pytest.raises(UsageError, match="1,048,625 bytes, more than 1,048,624"):
        load(tmp_path)


def test_settings_may_ask_for_as_many_numbers_as_weights_may_have_or_for_none(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(UsageError, match="are 6 numbers, and the settings need 536,870,912"):
        read_folder(tmp_path, KIND, files=["words.json"], count=lambda settings: 2**29)
    write_folder(tmp_path, KIND, {}, arrays={"w": np.zeros(0)})
    assert read_folder(tmp_path, KIND, count=lambda settings: 0).arrays["w"].size == 0


@pytest.mark.parametrize(
    ("kind", "said", "advice"),
    [
        ("text-classifier", "text classifier", "Train it with TextClassifier.fit and save it, or"),
        ("language-model", "language model", "Train it with LanguageModel.fit and save it, or"),
        ("image-classifier", "image classifier", "Train it with ImageClassifier.fit and save it."),
        ("face-verifier", "face verifier", "Choose its threshold with FaceVerifier.fit and"),
        ("speech-recognizer", "speech recogniser", "Train it with SpeechRecognizer('ctc').fit and"),
        ("onnx-classifier", "exported classifier", "Export it with companion.serving.export_onnx,"),
    ],
)
def test_each_kind_is_named_and_advised_on_in_its_own_way(tmp_path, kind, said, advice):
    with pytest.raises(UsageError) as error:
        read_folder(tmp_path, kind)
    start = f"{tmp_path} holds no usable {said}: there is no config.json. {advice}"
    assert str(error.value).startswith(start)


@pytest.mark.parametrize(
    ("error", "said"),
    [(KeyError("a"), ": 'a' is missing. "), (OSError(5, "c"), ": c. "), (ValueError("d"), ": d. ")],
)
def test_a_reason_is_given_without_its_python_name_or_number(tmp_path, error, said):
    with pytest.raises(UsageError, match=said), refusing(tmp_path, KIND):
        raise error


@pytest.mark.parametrize("error", [KeyError("a"), TypeError("b"), OSError(5, "c"), ValueError("d")])
def test_whatever_a_content_makes_impossible_is_one_sentence(tmp_path, error):
    said = r"no usable language model: .*companion"
    with pytest.raises(UsageError, match=said), refusing(tmp_path, "language-model"):
        raise error


def test_a_programming_error_keeps_its_traceback(tmp_path):
    with pytest.raises(ZeroDivisionError), refusing(tmp_path, KIND):
        raise ZeroDivisionError
