"""A text classifier from texts to labels, which a folder of plain files can hold."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import UsageError, check_texts, check_whole
from companion._common.extras import import_extra
from companion.models.classifiers import build_bag_classifier, build_lstm_classifier
from companion.preprocessing.text import build_vectorizer, restore_vectorizer
from companion.tasks.folder import (
    read_folder,
    refusing,
    restore_weights,
    weights_of,
    write_folder,
)
from companion.tasks.labels import check_threshold, choose_classes, encode_labels, hold_out
from companion.tasks.parameters import check_parameters, plain_parameters
from companion.training.processes import WAIT_SECONDS, check_processes
from companion.training.trainer import History, Trainer

import_extra("sklearn", "train")  # where it is missing, say how to install it
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402

__all__ = ["TextClassifier"]


_KIND, _VOCABULARY = "text-classifier", "vocabulary.json"

_TOO_FEW = (
    "validation_split leaves none: give more texts, a larger validation_split, or patience=None."
)

_LONG_TRAINING = 20_000  # examples times epochs

_BATCH = 64

_TEXT = ("split", "vocabulary_size", "sequence_length")

_BAG = ("vocabulary_size", "sequence_length", "embedding_dim", "dropout")

_LSTM = (*_BAG, "hidden_dim", "mask_zero")


class TextClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learns to tell kinds of texts apart: vocabulary, model and training in one.

    A scikit-learn classifier: `clone`, `cross_val_score` and `GridSearchCV` take it, with texts for
    `X`; `score` is the share of right labels. Only `fit` differs: it returns its `History`.

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
        threshold: Float from 0 to 1.01, for two classes only. `predict` says the second class when
            its probability is at least this, for example the `best_threshold` of `threshold_value`.
            It may be set after training too, and is saved. Defaults to 0.5.

    Attributes:
        classes_: Array of the different labels, sorted, shape `(classes,)`; set by `fit`.

    Example:

    >>> texts, labels = ["good tea", "bad tea"] * 10, ["happy", "angry"] * 10
    >>> classifier = TextClassifier("bag", sequence_length=4)
    >>> history = classifier.fit(texts, labels, epochs=60, patience=None, progress=False)
    >>> print(classifier.classes_, classifier.predict(["good coffee", "bad coffee"]))
    ['angry' 'happy'] ['happy' 'angry']
    >>> classifier.predict_proba(["good coffee"]).shape
    (1, 2)
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
        threshold: float = 0.5,
    ) -> None:
        self.architecture = architecture
        self.split = split
        self.vocabulary_size = vocabulary_size
        self.sequence_length = sequence_length
        self.embedding_dim = embedding_dim
        self.hidden_dim = hidden_dim
        self.mask_zero = mask_zero
        self.dropout = dropout
        self.seed = seed
        self.threshold = threshold
        self._check()
        self.vectorizer: keras.layers.TextVectorization | None = None
        self.model: keras.Model | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, with NumPy's numbers as Python's."""
        return plain_parameters(self.get_params())

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[str] | Sequence[int] | np.ndarray,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_split: float = 0.2,
        patience: int | None = 2,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        progress: str | bool = "auto",
        processes: int | None = None,
        wait_seconds: float = WAIT_SECONDS,
    ) -> History:
        """Learns from labelled texts, from scratch, or from the newest checkpoint.

        The vocabulary comes from the texts that are trained on, without the held-out ones. Sets
        Keras's global seed.

        Args:
            texts: List of non-empty strings, length `n`.
            labels: List or array of strings or of whole numbers, shape `(n,)`, with at least two
                different ones.
            epochs: Integer. Passes over the data, at most. Defaults to 10.
            batch_size: Integer. Texts in one step. Defaults to 32.
            validation_split: Float in [0, 1). Share of each label's texts that is held out, to
                choose the epoch by. Defaults to 0.2.
            patience: Integer. Stops after so many epochs without a better held-out loss and keeps
                the best epoch's weights; `None` trains all epochs. Defaults to 2.
            checkpoint_dir: Path of a folder that makes a stopped run continue, or `None`.
                Defaults to `None`.
            progress: `"auto"` or `False`, as in `Trainer`. Defaults to `"auto"`.
            processes: Integer or `None`, as in `Trainer`; it must divide `batch_size`. An epoch is
                then of whole batches, and the texts that are left begin the next one. Any number
                gives the same weights up to rounding, and `None` others, since TensorFlow takes
                other steps with the embedding than JAX. Defaults to `None`.
            wait_seconds: Float, as in `Trainer`. Defaults to two minutes.

        Returns:
            A `History`.

        Raises:
            ValueError: If texts, labels or a setting are not as above.
            CheckpointError: If `checkpoint_dir` holds another run or cannot be used.
            ChildProcessError: If one of several processes fails.
            TimeoutError: If one of them does not start in time.
        """
        check_processes(processes, batch_size)
        texts = check_texts(texts)
        self._check()
        classes, targets = encode_labels(labels)
        if len(texts) != len(targets):
            raise UsageError(f"{len(texts)} texts and {len(targets)} labels: give one label each.")
        check_threshold(self.threshold, len(classes))
        train, held_out = hold_out(targets, validation_split, self.settings["seed"])
        if patience is not None and not len(held_out):
            raise UsageError(f"patience={patience} needs held-out data, and {_TOO_FEW}")
        whole = _whole_batches(len(train), batch_size, processes)
        model = self._begin([texts[i] for i in train], classes)
        fused = _compile(model, len(classes), examples=len(train) * epochs)
        ids = self._ids(texts)
        held = (ids[held_out], targets[held_out]) if len(held_out) else None
        how: dict[str, Any] = {"checkpoint_dir": checkpoint_dir, "progress": progress}
        how |= {"processes": processes, "wait_seconds": wait_seconds}
        plan: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "patience": patience}
        plan |= {"examples_per_epoch": whole, "validation_data": held}
        trainer = Trainer(model, seed=self.settings["seed"], **how)
        history = trainer.fit(ids[train], targets[train], **plan)
        if fused:
            model.jit_compile = False  # a loaded model then predicts the same, bit by bit
        return history

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's label, one of `classes_`.

        Of two classes the second if its probability is at least `threshold`; of more, the most
        probable.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n,)` and the dtype of `classes_`.

        Raises:
            ValueError: If the classifier is not trained, a text is no text, or `threshold` is not
                0.5 with more than two classes.
        """
        self._trained()
        self._check()
        check_threshold(self.threshold, len(self.classes_))
        which = choose_classes(self.predict_proba(texts), self.threshold)
        labels: np.ndarray = self.classes_[which]
        return labels

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Returns each text's probability of each class.

        Args:
            texts: List of non-empty strings, length `n`.

        Returns:
            Array of the shape `(n, classes)` and dtype float32; the columns follow `classes_`.

        Raises:
            ValueError: If the classifier is not trained, or a text is no text.
        """
        model, _ = self._trained()
        ids = self._ids(check_texts(texts))
        # Full batches only: TensorFlow compiles for one shape, and a text's probability is the same
        # to the last bit whatever stands beside it.
        full = np.pad(ids, ((0, -len(ids) % _BATCH), (0, 0)))
        probabilities: np.ndarray = model.predict(full, batch_size=_BATCH, verbose=0)[: len(ids)]
        if len(self.classes_) > 2:
            return probabilities
        return np.concatenate([1 - probabilities, probabilities], axis=1)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves weights, vocabulary, labels and threshold as files that cannot run code.

        A kill or a full disk leaves the old classifier or the new one whole.

        Args:
            folder: Path; created if needed. A text classifier there is replaced.

        Raises:
            ValueError: If the classifier is not trained, or the folder holds something else.
            OSError: If the folder cannot be written.
        """
        model, vectorizer = self._trained()
        self._check()
        check_threshold(self.threshold, len(self.classes_))
        vocabulary = vectorizer.get_vocabulary(include_special_tokens=False)
        write_folder(
            Path(folder),
            _KIND,
            {"parameters": self.settings, "classes": self.classes_.tolist()},
            arrays=weights_of(model),
            files={_VOCABULARY: json.dumps([str(token) for token in vocabulary]).encode()},
        )

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
        saved = read_folder(path, _KIND, files=[_VOCABULARY], count=_count)
        with refusing(path, _KIND):
            classifier = cls(**saved.settings["parameters"])
            classifier.classes_, _ = encode_labels(saved.settings["classes"])
            vocabulary = json.loads(saved.files[_VOCABULARY])
            classifier.vectorizer = restore_vectorizer(vocabulary, **classifier._only(_TEXT))
            model = classifier._build()
            restore_weights(model, saved.arrays)
            classifier.model = model
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        """Says whether it can predict."""
        return self.model is not None

    def __sklearn_tags__(self) -> Any:
        """Says to scikit-learn that this is a classifier of strings, not of a table."""
        tags = super().__sklearn_tags__()
        tags.input_tags.string = tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        return tags

    def _check(self) -> None:
        if self.architecture not in ("lstm", "bag"):
            raise UsageError(f"architecture is {self.architecture!r}; it must be 'lstm' or 'bag'.")
        if self.split not in ("word", "character"):
            raise UsageError(f"split is {self.split!r}; it must be 'word' or 'character'.")
        if not isinstance(self.mask_zero, (bool, np.bool_)):
            raise UsageError(f"mask_zero is {self.mask_zero!r}; it must be True or False.")
        check_parameters(self.get_params())

    def _begin(self, texts: list[str], classes: np.ndarray) -> keras.Model:
        """Makes the vocabulary of these texts, and a new model."""
        keras.utils.set_random_seed(self.settings["seed"])
        self.vectorizer = build_vectorizer(texts, **self._only(_TEXT))
        self.classes_ = classes
        self.model = self._build()
        return self.model

    def _build(self) -> keras.Model:
        if self.settings["architecture"] == "bag":
            return build_bag_classifier(**self._only(_BAG), num_classes=len(self.classes_))
        return build_lstm_classifier(**self._only(_LSTM), num_classes=len(self.classes_))

    def _only(self, names: tuple[str, ...]) -> dict[str, Any]:
        settings = self.settings
        return {name: settings[name] for name in names}

    def _trained(self) -> tuple[Any, Any]:
        if self.model is None or self.vectorizer is None:
            raise UsageError(
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


def _whole_batches(texts: int, batch_size: int, processes: int | None) -> int | None:
    """Returns how many texts an epoch has, if processes share them; `None` is all."""
    if processes is None:
        return None
    whole = texts // check_whole(batch_size, "batch_size", least=1) * batch_size
    if not whole:
        raise UsageError(
            f"batch_size={batch_size} is more than the {texts} texts to learn from, and processes="
            f"{processes} share whole batches: give a smaller batch_size or more texts."
        )
    return whole


def _compile(model: keras.Model, num_classes: int, examples: int) -> bool:
    """Compiles for training on so many examples in all; says whether by XLA."""
    # XLA fuses an LSTM's many small operations; that pays once the training is long enough.
    fused: bool = keras.backend.backend() == "tensorflow" and examples >= _LONG_TRAINING
    model.compile(
        "adam",
        "binary_crossentropy" if num_classes == 2 else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True if fused else "auto",
        steps_per_execution=25 if fused else 1,
    )
    return fused


def _count(settings: dict[str, Any]) -> int:
    """Returns how many numbers a model of these settings has, if there can be one."""
    parameters = TextClassifier(**settings["parameters"]).settings
    classes, _ = encode_labels(settings["classes"])
    if classes.tolist() != settings["classes"]:
        raise ValueError(f"the classes {settings['classes']} are not sorted, or one is there twice")
    check_threshold(parameters["threshold"], len(classes))
    width, state = parameters["embedding_dim"], parameters["hidden_dim"]
    units = 1 if len(classes) == 2 else len(classes)
    table = parameters["vocabulary_size"] * width
    if parameters["architecture"] == "bag":
        return int(table + (width + 1) * units)
    return int(table + 4 * state * (width + state + 1) + (state + 1) * units)
