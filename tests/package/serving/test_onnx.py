"""What is exported predicts the same without TensorFlow, and a stranger's file runs nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import zipfile
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.tensorflow

TEXTS = [f"{word} {thing}" for word in ("good", "great", "bad", "stale") for thing in ("tea", "茶")]
LABELS = [1, 1, 1, 1, 0, 0, 0, 0]


def trained(**settings):
    from companion.tasks import TextClassifier

    classifier = TextClassifier(vocabulary_size=12, sequence_length=6, **settings)
    classifier.fit(TEXTS, LABELS, epochs=2, patience=None, progress=False)
    return classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from companion.serving import export_onnx

    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(trained(architecture="bag"), folder)
    return folder


@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "bag"},
        {"architecture": "bag", "split": "character"},
        {"architecture": "lstm", "hidden_dim": 3},
        {"architecture": "lstm", "hidden_dim": 3, "mask_zero": False},
    ],
)
def test_every_kind_of_classifier_predicts_the_same_after_export(tmp_path, settings):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    classifier = trained(**settings)
    classifier.save(tmp_path / "trained")  # a loaded one was never called before its export
    exported = export_onnx(TextClassifier.load(tmp_path / "trained"), tmp_path / "onnx")
    texts = [*TEXTS, "?!", "good bad good bad good bad good", "🍵 unknown"]
    difference = exported.predict_proba(texts) - classifier.predict_proba(texts)
    assert np.abs(difference).max() < 1e-6


@pytest.mark.parametrize("split", ["word", "character"])
def test_plain_python_cuts_texts_as_keras_does(tmp_path, split):
    from companion.serving import export_onnx

    classifier = trained(architecture="bag", split=split)
    exported = export_onnx(classifier, tmp_path)
    letters = st.sampled_from(list("gGoOdD tea茶İıß\u00a0\u2028\t\n\x0b\x1c!_-'^~é🍵\u0301"))
    texts = st.lists(letters, min_size=1, max_size=30).map("".join).filter(str.strip)

    @settings(max_examples=150)
    @given(st.lists(texts, min_size=1, max_size=4))
    def same(texts):
        assert exported.token_ids(texts).tolist() == np.asarray(classifier._ids(texts)).tolist()

    same()


def test_eight_bit_weights_are_smaller_and_nearly_as_good(tmp_path):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    classifier = TextClassifier("bag", vocabulary_size=500)
    classifier.fit(TEXTS, LABELS, epochs=30, patience=None, progress=False)
    whole = export_onnx(classifier, tmp_path / "whole")
    small = export_onnx(classifier, tmp_path / "small", quantize=True)
    sizes = [(tmp_path / name / "model.onnx").stat().st_size for name in ("small", "whole")]
    assert sizes[0] < 0.4 * sizes[1]
    assert np.abs(small.predict_proba(TEXTS) - whole.predict_proba(TEXTS)).max() < 0.05


def test_an_exported_classifier_predicts_without_tensorflow(folder):
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import companion
print(companion.serving.OnnxClassifier({str(folder)!r}).predict_proba(["good tea"]).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1,)\n"


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("model.onnx", lambda content: content[:-9], "damaged or was exchanged"),
        ("model.onnx", lambda content: b"\x80\x04.", "damaged or was exchanged"),
        ("config.json", lambda content: content[:-9], "holds no usable export"),
        ("config.json", lambda content: b"[]", "holds no usable export"),
        ("config.json", lambda content: b"[" * 100_000, "holds no usable export"),
        ("config.json", lambda content: content.replace(b"onnx-1", b"onnx-9"), "format"),
    ],
)
def test_a_changed_export_is_refused_with_the_reason(folder, tmp_path, name, change, reason):
    from companion.serving import OnnxClassifier

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / name).write_bytes(change((tmp_path / name).read_bytes()))
    with pytest.raises(ValueError, match=reason):
        OnnxClassifier(tmp_path)


def test_an_untrained_classifier_is_not_exported(tmp_path):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    with pytest.raises(ValueError, match="not trained"):
        export_onnx(TextClassifier(), tmp_path)


def test_a_whole_keras_file_is_loaded_with_its_weights(tmp_path):
    from companion.serving import load_model

    model = trained(architecture="bag").model
    model.save(tmp_path / "model.keras")
    loaded = load_model(tmp_path / "model.keras")
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_lambda_layer_is_refused_and_does_nothing(tmp_path):
    import keras

    from companion.serving import load_model

    trace = tmp_path / "trace.txt"
    keras.config.enable_unsafe_deserialization()  # even then
    try:
        place = str(trace)
        layer = keras.layers.Lambda(lambda x: (Path(place).touch(), x)[1])
        keras.Sequential([keras.Input((2,)), layer]).save(tmp_path / "model.keras")
        trace.unlink()
        with pytest.raises(ValueError, match="Lambda layer, which holds Python code"):
            load_model(tmp_path / "model.keras")
    finally:
        from keras.src.backend.common import global_state

        global_state.set_global_attribute("safe_mode_saving", None)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (lambda config: config.replace(b'"keras.layers"', b'"os.path"'), r"module 'os\.path'"),
        (lambda config: b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (lambda config: b"{", "Expecting property name"),
    ],
)
def test_a_configuration_that_misleads_is_refused(tmp_path, config, reason):
    from companion.serving import load_model

    trained(architecture="bag").model.save(tmp_path / "good.keras")
    with zipfile.ZipFile(tmp_path / "good.keras") as good:
        parts = {name: good.read(name) for name in good.namelist()}
    parts["config.json"] = config(parts["config.json"])
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as bad:
        for name, content in parts.items():
            bad.writestr(name, content)
    with pytest.raises(ValueError, match=reason):
        load_model(tmp_path / "bad.keras")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
def test_a_service_that_is_told_to_end_answers_first_what_was_sent(folder, busy):
    code = """
import sys, time
from companion.cli import parser as cli
from companion.serving import OnnxClassifier
quick = OnnxClassifier.predict_proba
def slow(self, texts):
    if "wait" in texts:
        print("busy", flush=True)
        time.sleep(1)
    return quick(self, texts)
OnnxClassifier.predict_proba = slow
sys.exit(cli.main(["serve", sys.argv[1], "--port", "0"]))
"""
    command = [sys.executable, "-c", code, str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    late = threading.Timer(120, process.kill)
    late.start()
    try:
        host = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())[0]
        asked = [HTTPConnection(host, timeout=60) for _ in range(8)]
        if busy:
            asked[0].request("POST", "/predict", b'{"text": "wait"}')
            assert process.stdout.readline() == "busy\n"
        process.send_signal(signal.SIGSTOP)
        for connection in asked[busy:]:  # which the service has not seen when it is told to end
            connection.request("POST", "/predict", b'{"text": "wait"}')
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGCONT)
        assert [connection.getresponse().status for connection in asked] == [200] * 8
        out, errors = process.communicate(timeout=30)
    finally:
        late.cancel()
        process.kill()
    assert (process.returncode, errors) == (0, "")
    assert "Ended: no request is left unanswered." in out


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no .keras file"),
        (b"not a model", "no .keras file"),
        (b"PK\x03\x04 cut", "cut off"),
        (b"\x80\x04\x95 pickle", "a pickle, which runs code"),
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
        (None, "No such file"),
    ],
)
def test_what_is_no_model_is_refused_with_the_reason(tmp_path, content, reason):
    from companion.serving import load_model

    path = tmp_path / "model.keras"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=reason):
        load_model(path)
