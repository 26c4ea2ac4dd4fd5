"""What is exported predicts the same without TensorFlow."""

from __future__ import annotations

import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from http.client import HTTPConnection

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.tensorflow

TEXTS = [f"{word} {thing}" for word in ("good", "great", "bad", "stale") for thing in ("tea", "茶")]
TWO = [1, 1, 1, 1, 0, 0, 0, 0]
THREE = ["kind", "kind", "fine", "fine", "rude", "rude", "rude", "rude"]


def trained(labels=TWO, **settings):
    from companion.tasks import TextClassifier

    classifier = TextClassifier(**{"vocabulary_size": 12, "sequence_length": 6, **settings})
    classifier.fit(TEXTS, labels, epochs=2, patience=None, progress=False)
    return classifier


@pytest.fixture(scope="module")
def classifier():
    return trained(architecture="bag")


@pytest.fixture(scope="module")
def folder(classifier, tmp_path_factory):
    from companion.serving import export_onnx

    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(classifier, folder)
    return folder


@pytest.mark.parametrize("labels", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize(
    "settings",
    [
        {"architecture": "bag"},
        {"architecture": "bag", "split": "character"},
        {"architecture": "lstm", "hidden_dim": 3},
        {"architecture": "lstm", "hidden_dim": 3, "mask_zero": False},
    ],
)
def test_every_kind_of_classifier_predicts_the_same_after_export(tmp_path, settings, labels):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    classifier = trained(labels, **settings)
    classifier.save(tmp_path / "trained")  # a loaded one was never called before its export
    exported = export_onnx(TextClassifier.load(tmp_path / "trained"), tmp_path / "onnx")
    texts = [*TEXTS, "?!", "good bad good bad good bad good", "🍵 unknown"]
    probabilities = exported.predict_proba(texts)
    assert probabilities.shape == (len(texts), len(set(labels)))
    assert np.abs(probabilities - classifier.predict_proba(texts)).max() < 1e-6
    np.testing.assert_array_equal(exported.classes_, classifier.classes_)
    np.testing.assert_array_equal(exported.predict(texts), classifier.predict(texts))


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_the_threshold_that_was_chosen_travels_with_the_export(tmp_path, threshold):
    from companion.serving import OnnxClassifier, export_onnx

    classifier = trained(architecture="bag", threshold=threshold)
    export_onnx(classifier, tmp_path)
    exported = OnnxClassifier(tmp_path)
    assert exported.threshold == threshold
    assert set(exported.predict(TEXTS).tolist()) == {1 if threshold == 0 else 0}


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
        cut = np.asarray(classifier.vectorizer(texts))
        assert exported.token_ids(texts).tolist() == cut.tolist()

    same()


def test_eight_bit_weights_are_smaller_and_nearly_as_good(tmp_path):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    classifier = TextClassifier("bag", vocabulary_size=500)
    classifier.fit(TEXTS, TWO, epochs=30, patience=None, progress=False)
    whole = export_onnx(classifier, tmp_path / "whole")
    small = export_onnx(classifier, tmp_path / "small", quantize=True)
    (eight,) = (tmp_path / "small").glob("*.onnx")
    (full,) = (tmp_path / "whole").glob("*.onnx")
    assert eight.stat().st_size < 0.4 * full.stat().st_size
    assert np.abs(small.predict_proba(TEXTS) - whole.predict_proba(TEXTS)).max() < 0.05


def test_an_exported_classifier_predicts_without_tensorflow(folder):
    code = f"""
import sys
sys.modules["tensorflow"] = sys.modules["keras"] = None
import companion
print(companion.serving.OnnxClassifier({str(folder)!r}).predict_proba(["good tea"]).shape)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(1, 2)\n"


def classes(value):
    def change(content):
        config = json.loads(content)
        config["settings"]["classes"] = value
        return json.dumps(config).encode()

    return change


def settings_with(parameter, value):
    def change(content):
        config = json.loads(content)
        config["settings"]["parameters"][parameter] = value
        return json.dumps(config).encode()

    return change


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("model-*.onnx", lambda content: content[:-9], "is damaged"),
        ("model-*.onnx", lambda content: b"\x80\x04.", "is damaged"),
        ("vocabulary-*.json", lambda content: content + b" ", "bytes, more than"),
        ("config.json", lambda content: content[:-9], "damaged or of another format"),
        ("config.json", lambda content: b"[]", "damaged or of another format"),
        ("config.json", lambda content: b"[" * 100_000, "damaged or of another format"),
        ("config.json", lambda content: b" " * 2_000_000, "bytes, more than"),
        ("config.json", settings_with("sequence_length", 2_000_000_000), "sequence_length is 2000"),
        ("config.json", settings_with("sequence_length", "6"), "sequence_length is '6'"),
        ("config.json", settings_with("threshold", 2), "threshold is 2"),
        ("config.json", classes([1, 0]), "are not sorted"),
        ("config.json", classes([1]), "at least two kinds"),
        ("config.json", classes([0, {}]), "all strings or all whole numbers"),
    ],
)
def test_a_changed_export_is_refused_with_the_reason(folder, tmp_path, name, change, reason):
    from companion.serving import OnnxClassifier

    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (changed,) = tmp_path.glob(name)
    changed.write_bytes(change(changed.read_bytes()))
    with pytest.raises(ValueError, match=rf"no usable exported classifier: .*{reason}"):
        OnnxClassifier(tmp_path)


def test_a_folder_that_holds_something_else_is_not_written_over(classifier, tmp_path):
    from companion.serving import export_onnx

    classifier.save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match="holds a text classifier, which would be replaced"):
        export_onnx(classifier, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_export_says_nothing_of_its_converters_and_silences_nobody_else(
    classifier, tmp_path, capfd, caplog
):
    from companion.serving import export_onnx

    other = threading.Event()

    def warn():
        logging.getLogger("tensorflow").warning("of another thread")
        other.set()

    class Model:
        """Warns from another thread while the classifier's model is exported."""

        def __call__(self, ids):
            return classifier.model(ids)

        def export(self, *given, **named):
            threading.Thread(target=warn).start()
            assert other.wait(30)
            logging.getLogger("tensorflow").warning("of the converter")
            classifier.model.export(*given, **named)

    class Trained:
        model, vectorizer = Model(), classifier.vectorizer
        settings, classes_ = classifier.settings, classifier.classes_

    logger = logging.getLogger("tensorflow")
    logger.addHandler(caplog.handler)
    try:
        export_onnx(Trained(), tmp_path, quantize=True)
    finally:
        logger.removeHandler(caplog.handler)
    assert {record.message for record in caplog.records} == {"of another thread"}
    assert "pre-processing" not in capfd.readouterr().err


def test_an_untrained_classifier_is_not_exported(tmp_path):
    from companion.serving import export_onnx
    from companion.tasks import TextClassifier

    with pytest.raises(ValueError, match="not trained"):
        export_onnx(TextClassifier(), tmp_path)


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
