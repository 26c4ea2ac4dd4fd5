"""A text classifier from texts to probabilities, which a folder of two plain files can hold."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import check_binary, check_texts
from companion._common.files import write_atomically
from companion.models.classifiers import build_bag_classifier, build_lstm_classifier
from companion.preprocessing.text import build_vectorizer, restore_vectorizer
from companion.training.checkpoints import pack, unpack
from companion.training.trainer import History, Trainer

__all__ = ["TextClassifier"]


_FORMAT = 1

_OTHERS = {
    "onnx-1": "an exported classifier: read it with companion.serving.OnnxClassifier, or with "
    "the command companion serve.",
    "language-1": "a language model: read it with companion.tasks.LanguageModel, or with the "
    "command companion generate.",
}

_TOO_FEW = (
    "validation_split leaves none: give more texts, a larger validation_split, or patience=None."
)

_LONG_TRAINING = 20_000  # examples times epochs

_BATCH = 64

_TEXT = ("split", "vocabulary_size", "sequence_length")

_BAG = ("vocabulary_size", "sequence_length", "embedding_dim", "dropout")

_LSTM = (*_BAG, "hidden_dim", "mask_zero")

_TRAIN_AGAIN = "Train again with TextClassifier.fit and .save, or with the command companion train."


class TextClassifier:
    """Learns to tell two kinds of texts apart: vocabulary, model and training in one.

    Args:
        architecture: `"lstm"` reads the tokens in order; `"bag"` averages them, trains several
            times faster and often predicts as well. Defaults to `"lstm"`.
        split: `"word"`, or `"character"` for languages written without spaces. Defaults to
            `"word"`.
        vocabulary_size: Integer. Number of token ids. Defaults to 1000.
        sequence_length: Integer. Tokens read of each text, from its beginning. Defaults to 100.
        embedding_dim: Integer. Numbers that stand for one token. Defaults to 64.
        hidden_dim: Integer. Size of the LSTM's state. Defaults to 64.
        mask_zero: Boolean. Whether the LSTM skips padding. If not, texts are padded on the left, so
            that it still ends on a word. Defaults to `True`.
        dropout: Float in [0, 1). Defaults to 0.
        seed: Integer. Decides weights, order and held-out part. Defaults to 0.

    Example:

    >>> texts, labels = ["good tea", "bad tea"] * 10, [1, 0] * 10
    >>> classifier = TextClassifier("bag", sequence_length=4)
    >>> history = classifier.fit(texts, labels, epochs=60, patience=None, progress=False)
    >>> good, bad = classifier.predict_proba(["good coffee", "bad coffee"])
    >>> bool(bad < 0.5 < good)
    True
    """

    def __init__(
        self,
        architecture: str = "lstm",
        *,
        split: str = "word",
        vocabulary_size: int = 1000,
        sequence_length: int = 100,
        embedding_dim: int = 64,
        hidden_dim: int = 64,
        mask_zero: bool = True,
        dropout: float = 0.0,
        seed: int = 0,
    ) -> None:
        if architecture not in ("lstm", "bag"):
            raise ValueError(f"architecture is {architecture!r}; it must be 'lstm' or 'bag'.")
        self.settings: dict[str, Any] = {
            "architecture": architecture,
            "split": split,
            "vocabulary_size": vocabulary_size,
            "sequence_length": sequence_length,
            "embedding_dim": embedding_dim,
            "hidden_dim": hidden_dim,
            "mask_zero": mask_zero,
            "dropout": dropout,
            "seed": seed,
        }
        self.vectorizer: keras.layers.TextVectorization | None = None
        self.model: keras.Model | None = None

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[int] | np.ndarray,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_split: float = 0.2,
        patience: int | None = 2,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        progress: str | bool = "auto",
    ) -> History:
        """Learns from labelled texts, from scratch, or from the newest checkpoint.

        The vocabulary comes from the texts that are trained on, without the held-out ones. Sets
        Keras's global seed.

        Args:
            texts: List of non-empty strings, length `n`.
            labels: Array of 0 and 1, shape `(n,)`.
            epochs: Integer. Passes over the data, at most. Defaults to 10.
            batch_size: Integer. Texts in one step. Defaults to 32.
            validation_split: Float in [0, 1). Share of each label's texts that is held out, to
                choose the epoch by. Defaults to 0.2.
            patience: Integer. Stops after so many epochs without a better held-out loss and keeps
                the best epoch's weights; `None` trains all epochs. Defaults to 2.
            checkpoint_dir: Path of a folder that makes a stopped run continue, or `None`.
                Defaults to `None`.
            progress: `"auto"` or `False`, as in `Trainer`. Defaults to `"auto"`.

        Returns:
            A `History`.

        Raises:
            ValueError: If texts, labels or a setting are not as above.
            CheckpointError: If `checkpoint_dir` holds another run or cannot be used.
        """
        texts = check_texts(texts)
        if np.asarray(labels).dtype.kind not in "biuf":
            raise ValueError("labels must be 0 and 1, for example np.array(names) == 'good'.")
        targets = check_binary(labels, "labels")
        if len(texts) != len(targets):
            raise ValueError(f"{len(texts)} texts and {len(targets)} labels: give one label each.")
        seed = self.settings["seed"]
        train, held_out = _split(targets, validation_split, seed)
        if patience is not None and not len(held_out):
            raise ValueError(f"patience={patience} needs held-out data, and {_TOO_FEW}")
        keras.utils.set_random_seed(seed)
        self.vectorizer = build_vectorizer([texts[i] for i in train], **self._only(_TEXT))
        self.model = self._build()
        fused = _compile(self.model, examples=len(train) * epochs)
        ids = self._ids(texts)
        trainer = Trainer(self.model, seed=seed, checkpoint_dir=checkpoint_dir, progress=progress)
        history = trainer.fit(
            ids[train],
            targets[train],
            batch_size=batch_size,
            epochs=epochs,
            validation_data=(ids[held_out], targets[held_out]) if len(held_out) else None,
            patience=patience,
        )
        if fused:
            self.model.jit_compile = False  # a loaded model then predicts the same, bit by bit
        return history

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of label 1.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n,)` and dtype float32.

        Raises:
            ValueError: If the classifier is not trained, or a text is no text.
        """
        model, _ = self._trained()
        ids = self._ids(check_texts(texts))
        # Full batches only: TensorFlow compiles for one shape, and a text's probability is the same
        # to the last bit whatever stands beside it.
        full = np.pad(ids, ((0, -len(ids) % _BATCH), (0, 0)))
        probabilities: np.ndarray = model.predict(full, batch_size=_BATCH, verbose=0)
        return probabilities[: len(ids), 0]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves the classifier as `config.json` and `weights.npz`, which cannot run code.

        Args:
            folder: Path; created if needed. Files of these names are replaced.

        Raises:
            ValueError: If the classifier is not trained.
            OSError: If the folder cannot be written.
        """
        model, vectorizer = self._trained()
        weights = {_name(i, w): np.asarray(w) for i, w in enumerate(model.weights)}
        content = pack(weights, {"format": _FORMAT})
        config = {
            "format": _FORMAT,
            "settings": self.settings,
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            "vocabulary": vectorizer.get_vocabulary(include_special_tokens=False),
        }
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        write_atomically(path / "weights.npz", content)
        text = json.dumps(config, ensure_ascii=False, indent=1)
        write_atomically(path / "config.json", text.encode())

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> TextClassifier:
        """Loads what `save` wrote.

        Args:
            folder: Path of the folder.

        Returns:
            A `TextClassifier` that predicts exactly as the saved one.

        Raises:
            ValueError: If a file is missing, damaged, of another format or of another model.
        """
        path = Path(folder)
        config, content = _read(path)
        try:
            classifier = cls(**config["settings"])
            classifier.vectorizer = restore_vectorizer(
                config["vocabulary"], **classifier._only(_TEXT)
            )
            weights, _ = unpack(content)
            _check_sizes(classifier.settings, weights)  # or a huge model would be built first
            model = classifier.model = classifier._build()
            expected = {_name(i, w): tuple(w.shape) for i, w in enumerate(model.weights)}
            found = {name: weight.shape for name, weight in weights.items()}
            if found != expected:
                raise ValueError(f"the weights have the shapes {found}, not {expected}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path} holds no usable classifier: {error}. {_TRAIN_AGAIN}"
            ) from error
        model.set_weights([weights[name] for name in expected])
        return classifier

    def _build(self) -> keras.Model:
        if self.settings["architecture"] == "bag":
            return build_bag_classifier(**self._only(_BAG))
        return build_lstm_classifier(**self._only(_LSTM))

    def _only(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.settings[name] for name in names}

    def _trained(self) -> tuple[Any, Any]:
        if self.model is None or self.vectorizer is None:
            raise ValueError(
                "The classifier is not trained: call fit first, or TextClassifier.load."
            )
        return self.model, self.vectorizer

    def _ids(self, texts: list[str]) -> np.ndarray:
        _, vectorizer = self._trained()
        ids = np.asarray(vectorizer(texts)).astype("int32")  # (n, sequence_length)
        if self.settings["architecture"] == "lstm" and not self.settings["mask_zero"]:
            # Without a mask the LSTM would end on the padding: zeros first, tokens in their order.
            order = np.argsort(ids != 0, axis=1, kind="stable")
            ids = np.take_along_axis(ids, order, axis=1)
        return ids


def _compile(model: keras.Model, examples: int) -> bool:
    """Compiles for training on so many examples in all; says whether by XLA."""
    # XLA fuses an LSTM's many small operations; that pays once the training is long enough.
    fused: bool = keras.backend.backend() == "tensorflow" and examples >= _LONG_TRAINING
    model.compile(
        "adam",
        "binary_crossentropy",
        metrics=["accuracy"],
        jit_compile=True if fused else "auto",
        steps_per_execution=25 if fused else 1,
    )
    return fused


def _split(labels: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the positions of the training and held-out examples, the same share of each label."""
    if not 0 <= share < 1:
        raise ValueError(f"validation_split is {share}; it must be at least 0 and below 1.")
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(labels), dtype=bool)
    for label in (0, 1):
        rows = rng.permutation(np.flatnonzero(labels == label))
        if not len(rows):
            raise ValueError(f"No label is {label}: give examples of both kinds, labelled 0 and 1.")
        held_out[rows[: round(share * len(rows))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _check_sizes(settings: dict[str, Any], weights: dict[str, np.ndarray]) -> None:
    shapes = {name: weight.shape for name, weight in weights.items()}
    sizes = {size for shape in shapes.values() for size in shape}
    names = ("vocabulary_size", "embedding_dim", "hidden_dim")
    for name in names if settings["architecture"] == "lstm" else names[:2]:
        if settings[name] not in sizes:
            raise ValueError(
                f"the weights have the shapes {shapes}, and {name} is {settings[name]!r}"
            )
    if not all(np.isfinite(weight).all() for weight in weights.values()):
        raise ValueError("the weights hold nan or infinity")


def _name(index: int, weight: Any) -> str:
    return f"{index:02d}_{weight.name}"


def _read(path: Path) -> tuple[dict[str, Any], bytes]:
    if path.is_file():
        raise ValueError(
            f"{path} is a file; TextClassifier reads the folder that TextClassifier.save wrote. "
            f"Files that could run code (.keras, .h5, pickle) are not read. {_TRAIN_AGAIN}"
        )
    if not (path / "config.json").is_file():
        raise ValueError(f"There is no config.json in {path}. {_TRAIN_AGAIN}")
    try:
        config = json.loads((path / "config.json").read_bytes())
        version = config["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / 'config.json'} is damaged. {_TRAIN_AGAIN}") from error
    if str(version) in _OTHERS:
        raise ValueError(f"{path} holds {_OTHERS[version]}")
    if version != _FORMAT:
        raise ValueError(
            f"{path} has the format {version}, and this version of companion reads {_FORMAT}. "
            f"{_TRAIN_AGAIN}"
        )
    if not (path / "weights.npz").is_file():
        raise ValueError(f"There is no weights.npz in {path}. {_TRAIN_AGAIN}")
    content = (path / "weights.npz").read_bytes()
    if hashlib.sha256(content).hexdigest() != config.get("weights_sha256"):
        raise ValueError(
            f"{path / 'weights.npz'} is damaged or belongs to another config.json. {_TRAIN_AGAIN}"
        )
    return config, content
