"""A picture classifier from photographs to labels, which a folder of plain files can hold."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import UsageError
from companion._common.extras import import_extra
from companion.models.classifiers import build_image_classifier
from companion.preprocessing.pictures import read_pictures
from companion.tasks.folder import read_folder, refusing, restore_weights, weights_of, write_folder
from companion.tasks.labels import encode_labels, hold_out
from companion.tasks.parameters import check_parameters, plain_parameters
from companion.training.trainer import History, Trainer

import_extra("sklearn", "train")  # where it is missing, say how to install it
from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: E402

__all__ = ["ImageClassifier"]

_KIND, _BATCH = "image-classifier", 64


class ImageClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Learns to tell kinds of pictures apart: reading, network and training in one.

    A scikit-learn classifier, as `TextClassifier` is; `fit` returns its `History`. Wherever it
    takes pictures, they are files or arrays as `read_pictures` takes them.

    Args:
        side: Integer from 8 to 256. Height and width at which it looks. Defaults to 28.
        channels: 1 looks at brightness only, 3 at colours too. Defaults to 1.
        hidden_dim: Integer. Size of the dense layer. Defaults to 128.
        dropout: Float in [0, 1). Defaults to 0.3.
        augment: Boolean. Whether it learns from copies that are turned, scaled and moved a little.
            Training then takes longer. Defaults to `False`.
        seed: Integer. Decides weights, order and held-out part. Defaults to 0.

    Attributes:
        classes_: Array of the different labels, sorted, shape `(classes,)`; set by `fit`.

    Example:

    >>> import numpy as np
    >>> pictures = np.zeros((40, 8, 8))
    >>> pictures[::2, :4] = 1  # every second one is bright above
    >>> classifier = ImageClassifier(side=8, hidden_dim=16, dropout=0.0)
    >>> names = ["sky", "night"] * 20
    >>> history = classifier.fit(pictures, names, epochs=40, patience=None, progress=False)
    >>> print(classifier.predict(pictures[:2]), classifier.predict_proba(pictures[:2]).shape)
    ['sky' 'night'] (2, 2)
    """

    def __init__(
        self,
        *,
        side: int = 28,
        channels: int = 1,
        hidden_dim: int = 128,
        dropout: float = 0.3,
        augment: bool = False,
        seed: int = 0,
    ) -> None:
        self.side = side
        self.channels = channels
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.augment = augment
        self.seed = seed
        self._check()
        self.model: keras.Model | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, with NumPy's numbers as Python's."""
        return plain_parameters(self.get_params())

    def fit(
        self,
        pictures: Sequence[Any] | np.ndarray,
        labels: Sequence[str] | Sequence[int] | np.ndarray,
        *,
        epochs: int = 10,
        batch_size: int = 32,
        validation_split: float = 0.2,
        patience: int | None = 2,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        progress: str | bool = "auto",
    ) -> History:
        """Learns from labelled pictures, from scratch, or from the newest checkpoint.

        Sets Keras's global seed.

        Args:
            pictures: List of files, or array, length `n`, as above.
            labels: List or array of strings or of whole numbers, shape `(n,)`, with at least two
                different ones.
            epochs: Integer. Passes over the data, at most. Defaults to 10.
            batch_size: Integer. Pictures in one step. Defaults to 32.
            validation_split: Float in [0, 1). Share of each label's pictures that is held out, to
                choose the epoch by. Defaults to 0.2.
            patience: Integer. Stops after so many epochs without a better held-out loss and keeps
                the best epoch's weights; `None` trains all epochs. Defaults to 2.
            checkpoint_dir: Path of a folder that makes a stopped run continue, or `None`.
                Defaults to `None`.
            progress: `"auto"` or `False`, as in `Trainer`. Defaults to `"auto"`.

        Returns:
            A `History`.

        Raises:
            ValueError: If pictures, labels or a setting are not as above; it names the file.
            OSError: If a file cannot be opened.
            CheckpointError: If `checkpoint_dir` holds another run or cannot be used.
        """
        self._check()
        classes, targets = encode_labels(labels, "picture")
        x, y = self._pixels(pictures), targets.astype(np.int32)
        if len(x) != len(y):
            raise UsageError(f"{len(x)} pictures and {len(y)} labels: give one label each.")
        train, held_out = hold_out(targets, validation_split, self.settings["seed"])
        if patience is not None and not len(held_out):
            raise UsageError(
                f"patience={patience} needs held-out data, and validation_split leaves none: give "
                "more pictures, a larger validation_split, or patience=None."
            )
        keras.utils.set_random_seed(self.settings["seed"])
        self.classes_, self.model = classes, self._build(len(classes))
        self.model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        trainer = Trainer(
            self.model, seed=self.seed, checkpoint_dir=checkpoint_dir, progress=progress
        )
        return trainer.fit(
            x[train],
            y[train],
            batch_size=batch_size,
            epochs=epochs,
            validation_data=(x[held_out], y[held_out]) if len(held_out) else None,
            patience=patience,
        )

    def predict(self, pictures: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Returns each picture's most probable label, one of `classes_`.

        Args:
            pictures: List of files, or array, length `n`, as above.

        Returns:
            Array of the shape `(n,)` and the dtype of `classes_`.

        Raises:
            ValueError: If the classifier is not trained, or a picture is none.
            OSError: If a file cannot be opened.
        """
        which = self.predict_proba(pictures).argmax(axis=1)
        labels: np.ndarray = self.classes_[which]
        return labels

    def predict_proba(self, pictures: Sequence[Any] | np.ndarray) -> np.ndarray:
        """Returns each picture's probability of each class.

        Args:
            pictures: List of files, or array, length `n`, as above.

        Returns:
            Array of the shape `(n, classes)` and dtype float32; the columns follow `classes_`.

        Raises:
            ValueError: If the classifier is not trained, or a picture is none.
            OSError: If a file cannot be opened.
        """
        model, x = self._trained(), self._pixels(pictures)
        # Full batches only: a picture's probability is the same whatever stands beside it.
        full = np.pad(x, ((0, -len(x) % _BATCH), (0, 0), (0, 0), (0, 0)))
        probabilities: np.ndarray = model.predict(full, batch_size=_BATCH, verbose=0)[: len(x)]
        return probabilities

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves weights, settings and labels as files that cannot run code.

        A kill or a full disk leaves the old classifier or the new one whole.

        Args:
            folder: Path; created if needed. A picture classifier there is replaced.

        Raises:
            ValueError: If the classifier is not trained, or the folder holds something else.
            OSError: If the folder cannot be written.
        """
        arrays = weights_of(self._trained())
        settings = {"parameters": self.settings, "classes": self.classes_.tolist()}
        write_folder(Path(folder), _KIND, settings, arrays=arrays)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> ImageClassifier:
        """Loads what `save` wrote.

        Args:
            folder: Path of the folder.

        Returns:
            An `ImageClassifier` that predicts exactly as the saved one.

        Raises:
            ValueError: If a file is missing, damaged, of another format or of another model.
        """
        path = Path(folder)
        saved = read_folder(path, _KIND, count=_count)
        with refusing(path, _KIND):
            classifier = cls(**saved.settings["parameters"])
            classifier.classes_, _ = encode_labels(saved.settings["classes"])
            model = classifier._build(len(classifier.classes_))
            restore_weights(model, saved.arrays)
            classifier.model = model
        return classifier

    def __sklearn_is_fitted__(self) -> bool:
        """Says whether it can predict."""
        return self.model is not None

    def _check(self) -> None:
        check_parameters(self.get_params())
        if self.channels == 2 or not isinstance(self.augment, bool):
            raise UsageError(
                f"channels is {self.channels} and augment {self.augment!r}; they must be 1 or 3, "
                "and True or False."
            )

    def _build(self, num_classes: int) -> keras.Model:
        settings = self.settings
        del settings["seed"]
        return build_image_classifier(**settings, num_classes=num_classes)

    def _trained(self) -> Any:
        if self.model is None:
            raise UsageError(
                "The classifier is not trained: call fit first, or ImageClassifier.load."
            )
        return self.model

    def _pixels(self, pictures: Sequence[Any] | np.ndarray) -> np.ndarray:
        return read_pictures(
            pictures, side=self.settings["side"], channels=self.settings["channels"]
        )


def _count(settings: dict[str, Any]) -> int:
    """Returns how many numbers a model of these settings has, if there can be one."""
    parameters = ImageClassifier(**settings["parameters"]).settings
    classes, _ = encode_labels(settings["classes"])
    if classes.tolist() != settings["classes"]:
        raise ValueError(f"the classes {settings['classes']} are not sorted, or one is there twice")
    filters = 25 * parameters["channels"] * 24 + 24 + 25 * 24 * 64 + 64
    left, hidden = (parameters["side"] + 3) // 4, parameters["hidden_dim"]  # halved twice
    return int(filters + (64 * left**2 + 1) * hidden + (hidden + 1) * len(classes))
