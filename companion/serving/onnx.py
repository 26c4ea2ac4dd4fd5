"""Trained classifiers for machines without TensorFlow."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import UsageError, check_texts
from companion._common.extras import import_extra
from companion.tasks.folder import read_folder, refusing, write_folder
from companion.tasks.labels import check_threshold, choose_classes, encode_labels
from companion.tasks.parameters import check_parameters

if TYPE_CHECKING:
    from companion.tasks.text_classifier import TextClassifier

__all__ = ["OnnxClassifier", "export_onnx"]

_KIND, _MODEL, _VOCABULARY = "onnx-classifier", "model.onnx", "vocabulary.json"

_PUNCTUATION = str.maketrans("", "", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")

_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def export_onnx(
    classifier: TextClassifier, folder: str | os.PathLike[str], *, quantize: bool = False
) -> OnnxClassifier:
    """Writes a classifier as a folder that needs no TensorFlow to predict.

    It holds the model, the vocabulary, the classes and the threshold. A kill or a full disk leaves
    the old export or the new one whole.

    Args:
        classifier: A trained `TextClassifier`, of any number of classes.
        folder: Path; created if needed. An export there is replaced.
        quantize: Boolean. Whether weights are stored as 8-bit integers: about a quarter of the
            size, and slightly other probabilities. Defaults to `False`.

    Returns:
        The `OnnxClassifier` read back from the folder.

    Raises:
        UsageError: If the classifier is not trained, or the folder holds something else.
        OSError: If the folder cannot be written.
        ModuleNotFoundError: If the packages for it are not installed.

    Example:

    >>> import tempfile
    >>> import numpy as np
    >>> from companion.tasks import TextClassifier
    >>> classifier = TextClassifier("bag", sequence_length=4, vocabulary_size=5)
    >>> history = classifier.fit(["good tea", "bad tea"] * 10, [1, 0] * 10, progress=False)
    >>> small = export_onnx(classifier, tempfile.mkdtemp())
    >>> texts = ["good coffee", "bad coffee"]
    >>> bool(np.allclose(small.predict_proba(texts), classifier.predict_proba(texts), atol=1e-6))
    True
    """
    if classifier.model is None or classifier.vectorizer is None:
        raise UsageError("The classifier is not trained: call fit first, or TextClassifier.load.")
    runtime = import_extra("onnxruntime", "export")
    content = _converted(classifier, quantize)
    runtime.InferenceSession(content)  # before anything is replaced
    vocabulary = classifier.vectorizer.get_vocabulary(include_special_tokens=False)
    write_folder(
        Path(folder),
        _KIND,
        {"parameters": classifier.settings, "classes": classifier.classes_.tolist()},
        files={
            _MODEL: content,
            _VOCABULARY: json.dumps([str(token) for token in vocabulary]).encode(),
        },
    )
    return OnnxClassifier(folder)


class OnnxClassifier:
    """A classifier that ONNX Runtime computes: it starts in a moment and needs no TensorFlow.

    Args:
        folder: Path of a folder that `export_onnx` wrote.

    Attributes:
        classes_: Array of the labels, shape `(classes,)`.
        threshold: Float. Of two classes, `predict` says the second when its probability is at
            least this.
        settings: Dictionary of the arguments of the `TextClassifier`.

    Raises:
        UsageError: If a file is missing, damaged, changed or of another format.
        ModuleNotFoundError: If ONNX Runtime is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        saved = read_folder(path, _KIND, files=[_MODEL, _VOCABULARY])
        runtime = import_extra("onnxruntime", "export")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # the models are too small to share out
        with refusing(path, _KIND):
            self.settings: dict[str, Any] = dict(saved.settings["parameters"])
            check_parameters(self.settings)
            self.classes_, order = encode_labels(saved.settings["classes"])
            if order.tolist() != list(range(len(order))):
                raise ValueError(f"its classes {saved.settings['classes']} are not sorted")
            self.threshold = float(self.settings["threshold"])
            check_threshold(self.threshold, len(self.classes_))
            self._length: int = self.settings["sequence_length"]
            self._characters = self.settings["split"] == "character"
            self._at_end = self.settings["architecture"] == "lstm" and (
                not self.settings["mask_zero"]
            )
            vocabulary = json.loads(saved.files[_VOCABULARY])
            self._ids = {token: i for i, token in enumerate(vocabulary, 2)}
            try:
                self._session = runtime.InferenceSession(saved.files[_MODEL], options)
            except Exception as error:  # ONNX Runtime has a class of its own for every reason
                raise ValueError(f"ONNX Runtime says: {error}") from error

    def token_ids(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the ids that the Keras layer gives, computed in plain Python.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n, sequence_length)` and dtype int32.

        Raises:
            UsageError: If a text is no text.
        """
        texts = check_texts(texts)
        rows = np.zeros((len(texts), self._length), np.int32)
        for row, text in zip(rows, texts, strict=True):
            ids = [self._ids.get(token, 1) for token in self._tokens(text)[: self._length]]
            row[slice(len(row) - len(ids), None) if self._at_end else slice(len(ids))] = ids
        return rows

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of each class.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n, classes)` and dtype float32; the columns follow `classes_`.

        Raises:
            UsageError: If a text is no text.
        """
        (name,) = (given.name for given in self._session.get_inputs())
        probabilities = np.asarray(self._session.run(None, {name: self.token_ids(texts)})[0])
        if len(self.classes_) > 2:
            return probabilities
        return np.concatenate([1 - probabilities, probabilities], axis=1)

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's label, one of `classes_`.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n,)` and the dtype of `classes_`.

        Raises:
            UsageError: If a text is no text.
        """
        labels: np.ndarray = self.classes_[
            choose_classes(self.predict_proba(texts), self.threshold)
        ]
        return labels

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Returns the share of all tokens that the vocabulary does not hold.

        Args:
            texts: List of non-empty strings. Every token counts, also those that are cut off.

        Returns:
            Float from 0 to 1; 0 if the texts hold no token at all.

        Raises:
            UsageError: If a text is no text.
        """
        tokens = [token for text in check_texts(texts) for token in self._tokens(text)]
        return float(np.mean([token not in self._ids for token in tokens])) if tokens else 0.0

    def _tokens(self, text: str) -> list[str]:
        plain = text.translate(_SMALL).translate(_PUNCTUATION)
        if self._characters:
            return list(plain)
        return re.findall(r"[^ \t\n\v\f\r]+", plain)  # other spaces separate nothing in Keras


def _converted(classifier: TextClassifier, quantize: bool) -> bytes:
    model: Any = classifier.model
    # Keras gives NumPy this name back for tf2onnx, and asks first, at which NumPy warns.
    vars(np).setdefault("object", object)
    with tempfile.TemporaryDirectory() as place, _quiet("tensorflow", "tf2onnx", "root"):
        whole = Path(place, _MODEL)
        # Keras exports only a model that has been called, which a loaded one has not.
        model(np.zeros((1, classifier.settings["sequence_length"]), np.int32))
        model.export(str(whole), format="onnx", verbose=False)
        if quantize:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(whole, whole, weight_type=QuantType.QInt8)
        return whole.read_bytes()


@contextlib.contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Keeps the converters' advice, which is about their own insides, out of this thread's log."""
    own = threading.get_ident()

    def is_for_us(record: logging.LogRecord) -> bool:
        return record.thread != own or record.levelno >= logging.ERROR

    loggers = [logging.getLogger(name) for name in names]
    for logger in loggers:
        logger.addFilter(is_for_us)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(is_for_us)
