"""A small recogniser for a page: a reader's recording is written down in the browser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from companion._common.checking import UsageError, check_texts
from companion.data.recordings import check_samples
from companion.preprocessing import log_mels
from companion.serving.web import Packed, WebForm, check_examples, pack

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = ["WebRecognizer", "export_web_speech"]

_HOP = 160  # samples between two pieces of a spectrogram

_MOST_SOUND = 225_000  # bytes of all examples: seven seconds

_RESIDUAL = ["LayerNormalization", "Conv1D", "Dropout", "Add"]


def export_web_speech(model: Any, words: Sequence[str]) -> WebRecognizer:
    """Writes a trained recogniser in the form that a page's script computes.

    Weights are rounded as `export_web` rounds them, so the export answers a little differently.

    Args:
        model: `keras.Model` from `build_speech_recognizer`. It stays as it is.
        words: list of str. The words that it writes, in the order of their numbers from 1 on.

    Returns:
        A `WebRecognizer`, which hears what the page will hear.

    Raises:
        UsageError: If the model is none of `build_speech_recognizer`'s, has another number of
            words, or its weights take more than 2 MB.

    Example:

    >>> import numpy as np
    >>> from companion.models import build_speech_recognizer
    >>> web = export_web_speech(build_speech_recognizer(2, frames=40, hidden_dim=4), ["no", "yes"])
    >>> web.predict([np.ones(4_000)]).shape
    (1, 10, 3)
    """
    words = check_texts(words)
    kinds = [type(operation).__name__ for operation in _operations(model)]
    blocks = max(0, len(kinds) - 5) // len(_RESIDUAL)
    ends = ["LayerNormalization", "Dense"]
    if kinds != ["InputLayer", "Conv1D", "Conv1D", *_RESIDUAL * blocks, *ends]:
        raise UsageError(
            f"The page's script computes a network of `build_speech_recognizer`, not a model of "
            f"the layers {', '.join(kinds) or 'none'}."
        )
    if model.output_shape[-1] != len(words) + 1:
        raise UsageError(
            f"The model has {model.output_shape[-1]} scores; with {len(words)} words and the blank "
            f"it must have {len(words) + 1}."
        )
    weighed = [layer for layer in model.layers if layer.weights]
    layers = [_convolution(layer) for layer in weighed[:2]]
    layers += [
        _convolution(layer, before)
        for before, layer in zip(weighed[2:-2:2], weighed[3:-2:2], strict=True)
    ]
    norm, scores = weighed[-2:]
    last = {"kind": "StepShares", "epsilon": norm.epsilon}
    layers.append(last | {"weights": [*norm.weights, *scores.weights]})
    return WebRecognizer(words, *pack(model, layers))


def _operations(model: Any) -> list[Any]:
    return list(getattr(model, "operations", getattr(model, "layers", [])))


def _convolution(layer: Any, norm: Any = None) -> dict[str, Any]:
    """Returns what the script must know of a convolution, with the normalisation before it."""
    config = layer.get_config()
    needed = {"padding": "same", "activation": "gelu", "groups": 1, "use_bias": True}
    for name, value in needed.items():
        if config[name] != value:
            raise UsageError(f"{layer.name!r} has {name}={config[name]!r}; it must be {value!r}.")
    steps = {"strides": config["strides"][0], "dilation": config["dilation_rate"][0]}
    if norm is None:
        return {"kind": "Conv1D", "weights": layer.weights} | steps
    both = {"epsilon": norm.epsilon, "weights": [*norm.weights, *layer.weights]}
    return {"kind": "ResidualConv1D"} | both | steps


class WebRecognizer(Packed):
    """A recogniser with 8-bit weights, in Keras and as data for a page.

    `export_web_speech` makes it; it keeps a copy of its own.

    Args:
        words: list of str. The words that it writes.
        model: `keras.Model` with the rounded weights.
        layers: list of dict. What the page's script must know of each layer.
        content: bytes. All weights, one array after the other.
    """

    def __init__(
        self,
        words: Sequence[str],
        model: Any,
        layers: Sequence[dict[str, Any]],
        content: bytes,
    ) -> None:
        super().__init__(model, layers, content)
        self.words = list(words)

    @property
    def longest(self) -> int:
        """How many samples it hears; what comes after them is left out."""
        return _HOP * int(self.model.input_shape[1])

    def spectrograms(self, sounds: Sequence[ArrayLike]) -> NDArray[np.float32]:
        """Makes what the network reads: relative to the loudest point, padded with silence.

        Args:
            sounds: list of arrays of shape `(samples,)`, 16,000 a second, from -1 to 1.

        Returns:
            Array `(sounds, frames, bands)`.
        """
        frames, bands = self.model.input_shape[1:]
        heard = [np.asarray(sound)[: self.longest] for sound in sounds]
        return log_mels(heard, frames, bands)

    def predict(self, sounds: Sequence[ArrayLike]) -> NDArray[np.float64]:
        """Computes what the page's script computes, in Keras.

        Args:
            sounds: list of arrays of shape `(samples,)`, 16,000 a second, from -1 to 1.

        Returns:
            Array `(sounds, steps, words + 1)`: at each step the probability of the blank and of
            each word.
        """
        scores = self.model.predict(self.spectrograms(sounds), verbose=0).astype(np.float64)
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=-1, keepdims=True))

    def hear(self, sounds: Sequence[ArrayLike]) -> list[str]:
        """Writes down sounds: the likeliest symbol of each step, repeats joined, no blanks.

        Args:
            sounds: list of arrays of shape `(samples,)`, 16,000 a second, from -1 to 1.

        Returns:
            List of str, the words that it writes of each sound.
        """
        best = self.predict(sounds).argmax(axis=-1)
        kept = (row[np.diff(row, prepend=0) != 0] for row in best)
        return [" ".join(self.words[i - 1] for i in row if i) for row in kept]

    def ask_sound(
        self, name: str, title: str, note: str, *, label: str, examples: Mapping[str, ArrayLike]
    ) -> WebForm:
        """Makes a form in which a reader chooses or makes a recording.

        Args:
            name: str. Lower-case words joined by hyphens; once per page.
            title: str. What can be asked, in one line.
            note: str. How good the network is, and what it knows.
            label: str. What the reader is to choose.
            examples: dict from what is heard to a sound of shape `(samples,)`, 16,000 a second,
                from -1 to 1, at least one. They are kept as 16-bit numbers, seven seconds in all.

        Returns:
            A `WebForm`; as a cell's last expression it shows itself.

        Raises:
            ValueError: If the name is none, a text is empty, there is no example, or one is no
                sound or too long.
        """
        check_examples(examples)
        whole = [check_samples(sound) for sound in examples.values()]
        longest = max(map(len, whole))
        if longest > self.longest:
            raise ValueError(
                f"An example has {longest:,} samples, and {self.longest:,} are heard. Cut it."
            )
        kept = [np.rint(32_767 * np.clip(sound, -1, 1)).astype("<i2") for sound in whole]
        if sum(sound.nbytes for sound in kept) > _MOST_SOUND:
            raise ValueError(
                f"The examples have {sum(map(len, kept)):,} samples; a page holds "
                f"{_MOST_SOUND // 2:,}. Give fewer or shorter ones."
            )
        frames, bands = self.model.input_shape[1:]
        form = {
            "kind": "speech",
            "label": label,
            "words": self.words,
            "frames": frames,
            "bands": bands,
            "examples": list(examples),
            "sounds": [b64encode(sound.tobytes()).decode() for sound in kept],
        }
        heard = self.hear([sound / 32_768 for sound in kept])
        table = [(text, said or "nothing") for text, said in zip(examples, heard, strict=True)]
        return self._form((name, title, note), "The network writes", table, form)
