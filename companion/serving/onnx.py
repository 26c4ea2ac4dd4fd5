"""Trained classifiers for machines without TensorFlow."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import check_texts
from companion._common.extras import install_hint
from companion._common.files import write_atomically

__all__ = ["OnnxClassifier", "export_onnx"]


if TYPE_CHECKING:
    from companion.tasks.text_classifier import TextClassifier

_FORMAT = "onnx-1"

_PUNCTUATION = str.maketrans("", "", "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'")

_SMALL = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def export_onnx(
    classifier: TextClassifier, folder: str | os.PathLike[str], *, quantize: bool = False
) -> OnnxClassifier:
    """Writes a classifier as `config.json` and `model.onnx`, which need no TensorFlow to predict.

    Args:
        classifier: A trained `TextClassifier`.
        folder: Path; created if needed. Files of these names are replaced.
        quantize: Boolean. Whether weights are stored as 8-bit integers: about a quarter of the
            size, and slightly other probabilities. Defaults to `False`.

    Returns:
        The `OnnxClassifier` read back from the folder.

    Raises:
        ValueError: If the classifier is not trained.
        ModuleNotFoundError: If the packages for it are not installed.

    Example:

    >>> from companion import TextClassifier
    >>> classifier = TextClassifier("bag", sequence_length=4, vocabulary_size=5)
    >>> history = classifier.fit(["good tea", "bad tea"] * 10, [1, 0] * 10, progress=False)
    >>> folder = Path(tempfile.mkdtemp())
    >>> small = export_onnx(classifier, folder)
    >>> texts = ["good coffee", "bad coffee"]
    >>> bool(np.allclose(small.predict_proba(texts), classifier.predict_proba(texts), atol=1e-6))
    True
    """
    if classifier.model is None or classifier.vectorizer is None:
        raise ValueError("The classifier is not trained: call fit first, or TextClassifier.load.")
    onnxruntime = _onnxruntime()
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place, warnings.catch_warnings(), _silence():
        warnings.simplefilter("ignore")  # of tf2onnx, about names that NumPy will take back
        whole = Path(place, "model.onnx")
        # Keras exports only a model that has been called, which a loaded one has not.
        classifier.model(np.zeros((1, classifier.settings["sequence_length"]), np.int32))
        classifier.model.export(str(whole), format="onnx", verbose=False)
        if quantize:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(whole, whole, weight_type=QuantType.QInt8)
        content = whole.read_bytes()
    onnxruntime.InferenceSession(content)  # before anything is replaced
    vocabulary = classifier.vectorizer.get_vocabulary(include_special_tokens=False)
    config = {
        "format": _FORMAT,
        "settings": classifier.settings,
        "model_sha256": hashlib.sha256(content).hexdigest(),
        "vocabulary": [str(token) for token in vocabulary],
    }
    write_atomically(path / "model.onnx", content)
    text = json.dumps(config, ensure_ascii=False, indent=1)
    write_atomically(path / "config.json", text.encode())
    return OnnxClassifier(path)


class OnnxClassifier:
    """A classifier that ONNX Runtime computes: it starts in a moment and needs no TensorFlow.

    Args:
        folder: Path of a folder that `export_onnx` wrote.

    Raises:
        ValueError: If a file is missing, damaged, changed or of another format.
        ModuleNotFoundError: If ONNX Runtime is not installed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        path = Path(folder)
        again = "Export again: companion export DIR."
        try:
            config = json.loads((path / "config.json").read_bytes())
            content = (path / "model.onnx").read_bytes()
            if config["format"] != _FORMAT:
                raise ValueError(f"its format is {config['format']!r}, not {_FORMAT!r}")
            if hashlib.sha256(content).hexdigest() != config["model_sha256"]:
                raise ValueError("model.onnx is damaged or was exchanged")
            self.settings: dict[str, Any] = dict(config["settings"])
            self._length = int(self.settings["sequence_length"])
            self._ids = {token: i for i, token in enumerate(config["vocabulary"], 2)}
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path} holds no usable export: {error}. {again}") from error
        runtime = _onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = 1  # the models are too small to share out
        self._session = runtime.InferenceSession(content, options)

    def token_ids(self, texts: Sequence[str]) -> np.ndarray:
        """Returns the ids that the Keras layer gives, computed in plain Python.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n, sequence_length)` and dtype int32.

        Raises:
            ValueError: If a text is no text.
        """
        texts = check_texts(texts)
        rows = np.zeros((len(texts), self._length), np.int32)
        keep_order = self.settings["architecture"] == "lstm" and not self.settings["mask_zero"]
        for row, text in zip(rows, texts, strict=True):
            ids = [self._ids.get(token, 1) for token in self._tokens(text)[: self._length]]
            place = slice(len(row) - len(ids), None) if keep_order else slice(len(ids))
            row[place] = ids
        return rows

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of label 1.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n,)` and dtype float32.

        Raises:
            ValueError: If a text is no text.
        """
        (name,) = (given.name for given in self._session.get_inputs())
        probabilities = self._session.run(None, {name: self.token_ids(texts)})[0]  # (n, 1)
        return np.asarray(probabilities)[:, 0]

    def unknown_share(self, texts: Sequence[str]) -> float:
        """Returns the share of all tokens that the vocabulary does not hold.

        Args:
            texts: List of non-empty strings. Every token counts, also those that are cut off.

        Returns:
            Float from 0 to 1; 0 if the texts hold no token at all.

        Raises:
            ValueError: If a text is no text.
        """
        tokens = [token for text in check_texts(texts) for token in self._tokens(text)]
        return float(np.mean([token not in self._ids for token in tokens])) if tokens else 0.0

    def _tokens(self, text: str) -> list[str]:
        plain = text.translate(_SMALL).translate(_PUNCTUATION)
        if self.settings["split"] == "character":
            return list(plain)
        return re.findall(r"[^ \t\n\v\f\r]+", plain)  # other spaces separate nothing in Keras


def _onnxruntime() -> Any:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"ONNX needs onnxruntime, onnx and tf2onnx. Run: {install_hint('export')}",
            name=error.name,
        ) from error
    return onnxruntime


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keeps the converters' advice, which is about their own insides, off stderr."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        yield
    finally:
        logging.disable(before)
