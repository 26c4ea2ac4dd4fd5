"""Writes down what is said: a packaged recogniser, or one that learns the words of a menu."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import UsageError, check_texts, is_finite
from companion._common.extras import import_extra
from companion.data.recordings import check_samples, read_recording
from companion.models.pretrained import speech
from companion.models.recognizers import build_speech_recognizer
from companion.preprocessing.sound import cut_at_pauses, log_mels
from companion.tasks.folder import read_folder, refusing, restore_weights, weights_of, write_folder
from companion.tasks.labels import hold_out
from companion.tasks.parameters import check_parameters, plain_parameters
from companion.training.trainer import History, Trainer

import_extra("sklearn", "train")  # where it is missing, say how to install it
from sklearn.base import BaseEstimator  # noqa: E402

__all__ = ["SpeechRecognizer"]

_KIND, _RATE, _BANDS, _BATCH = "speech-recognizer", 16_000, 40, 16

_STEPS = 25  # a second, at each of which the network may write a word


class SpeechRecognizer(BaseEstimator):  # type: ignore[misc]
    """Writes down what is said in a recording.

    A recording is a file that `read_recording` reads, or an array of shape (samples,) from -1 to
    1, 16,000 a second.

    Args:
        architecture: `"whisper"` is a packaged network for any English, which is not trained here;
            `"ctc"` is a small one that learns a closed list of words from recordings with
            transcripts, without the words' times. Defaults to `"whisper"`.
        seconds: Float from 0.4 to 30. The longest recording that `"ctc"` hears at once; a longer
            one is cut at its quietest places. Defaults to 3.2.
        hidden_dim: Integer. Size of each layer of `"ctc"`. Defaults to 64.
        dropout: Float in [0, 1), for `"ctc"`. Defaults to 0.1.
        seed: Integer. Decides weights, order and held-out part. Defaults to 0.

    Attributes:
        words_: List of the words that `"ctc"` can write, sorted; set by `fit`.

    Example:

    >>> import numpy as np
    >>> from companion.data import say
    >>> texts = ["yes", "no"] * 8
    >>> recognizer = SpeechRecognizer("ctc", seconds=1.2, hidden_dim=8)
    >>> history = recognizer.fit(say(texts), texts, epochs=1, progress=False)
    >>> recognizer.words_, len(recognizer.transcribe(np.zeros(16_000)))
    (['no', 'yes'], 1)

    Reference:
        Graves and others, 2006 (CTC); Radford and others, 2023 (Whisper).
    """

    def __init__(
        self,
        architecture: str = "whisper",
        *,
        seconds: float = 3.2,
        hidden_dim: int = 64,
        dropout: float = 0.1,
        seed: int = 0,
    ) -> None:
        self.architecture = architecture
        self.seconds = seconds
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.seed = seed
        self._check()
        self.model: keras.Model | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments of the constructor, with NumPy's numbers as Python's."""
        return plain_parameters(self.get_params())

    def fit(
        self,
        recordings: Sequence[Any],
        transcripts: Sequence[str],
        *,
        epochs: int = 10,
        batch_size: int = 32,
        learning_rate: float = 0.003,
        validation_split: float = 0.2,
        checkpoint_dir: str | os.PathLike[str] | None = None,
        progress: str | bool = "auto",
    ) -> History:
        """Learns from recordings and what is said in them. Sets Keras's global seed.

        Args:
            recordings: List of recordings, length `n`, none longer than `seconds`.
            transcripts: List of strings, length `n`: the words in their order, without punctuation.
            epochs: Integer. Passes over the data. Defaults to 10.
            batch_size: Integer. Recordings in one step. Defaults to 32.
            learning_rate: Float. Size of Adam's steps. Defaults to 0.003.
            validation_split: Float in [0, 1). Share that is held out, to see the loss on new
                recordings. Defaults to 0.2.
            checkpoint_dir: Path of a folder that makes a stopped run continue, or `None`.
                Defaults to `None`.
            progress: `"auto"` or `False`, as in `Trainer`. Defaults to `"auto"`.

        Returns:
            A `History`.

        Raises:
            ValueError: If the architecture is `"whisper"`, a recording is too long or none, or a
                transcript has no words or too many for its time.
            OSError: If a file cannot be opened.
            CheckpointError: If `checkpoint_dir` holds another run or cannot be used.
        """
        self._check()
        if self.architecture != "ctc":
            raise UsageError("Whisper is not trained here; SpeechRecognizer('ctc') can be.")
        if len(recordings) != len(transcripts):
            raise UsageError(f"{len(recordings)} recordings and {len(transcripts)} transcripts.")
        words, y = self._targets(transcripts)
        x = self._spectrograms([_sound(one) for one in recordings])
        seed = self.settings["seed"]
        train, held_out = hold_out(np.zeros(len(x), int), validation_split, seed)
        keras.utils.set_random_seed(seed)
        self.words_, self.model = words, self._build(len(words))
        self.model.compile(
            keras.optimizers.Adam(learning_rate), keras.losses.CTC(), jit_compile=False
        )
        trainer = Trainer(self.model, seed=seed, checkpoint_dir=checkpoint_dir, progress=progress)
        return trainer.fit(
            x[train],
            y[train],
            batch_size=batch_size,
            epochs=epochs,
            validation_data=(x[held_out], y[held_out]) if len(held_out) else None,
        )

    def transcribe(self, recording: Any) -> list[speech.Transcript]:
        """Writes what is said.

        Args:
            recording: A recording of any length up to four hours.

        Returns:
            List of `Transcript`, one for each piece of at most 30 seconds, or of `seconds`.

        Raises:
            ValueError: If the recording is none, or the recogniser is not trained.
            OSError: If the file cannot be opened.
        """
        if self.architecture == "whisper":
            return speech.load_speech_recognizer().transcribe(_sound(recording))
        model, seconds = self._trained(), float(self.seconds)
        pieces = cut_at_pauses(_sound(recording), seconds=seconds, search=seconds / 3)
        x = self._spectrograms(pieces)
        full = np.pad(x, ((0, -len(x) % _BATCH), (0, 0), (0, 0)))
        scores = model.predict(full, batch_size=_BATCH, verbose=0)[: len(x)]
        return [self._read(*both) for both in zip(scores, pieces, strict=True)]

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Saves weights, settings and words as files that cannot run code.

        Args:
            folder: Path; created if needed. A speech recogniser there is replaced.

        Raises:
            ValueError: If the recogniser is not trained, or the folder holds something else.
            OSError: If the folder cannot be written.
        """
        arrays = weights_of(self._trained())
        settings = {"parameters": self.settings, "words": self.words_}
        write_folder(Path(folder), _KIND, settings, arrays=arrays)

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> SpeechRecognizer:
        """Loads what `save` wrote.

        Args:
            folder: Path of the folder.

        Returns:
            A `SpeechRecognizer` that writes exactly what the saved one does.

        Raises:
            ValueError: If a file is missing, damaged, of another format or of another model.
        """
        path = Path(folder)
        saved = read_folder(path, _KIND, count=_count)
        with refusing(path, _KIND):
            recognizer = cls(**saved.settings["parameters"])
            recognizer.words_ = saved.settings["words"]
            model = recognizer._build(len(recognizer.words_))
            restore_weights(model, saved.arrays)
            recognizer.model = model
        return recognizer

    def _check(self) -> None:
        if self.architecture not in ("whisper", "ctc"):
            raise UsageError(
                f"architecture is {self.architecture!r}; it must be 'whisper' or 'ctc'."
            )
        if not (is_finite(self.seconds) and 0.4 <= self.seconds <= 30):
            raise UsageError(f"seconds is {self.seconds!r}; it must be a number from 0.4 to 30.")
        check_parameters(self.get_params())

    def _build(self, num_words: int) -> keras.Model:
        sizes = {name: self.settings[name] for name in ("hidden_dim", "dropout")}
        frames = 4 * self._steps()
        return build_speech_recognizer(num_words, frames=frames, num_bands=_BANDS, **sizes)

    def _steps(self) -> int:
        return int(np.ceil(self.settings["seconds"] * _STEPS))

    def _trained(self) -> Any:
        if self.model is None:
            raise UsageError(
                "The recogniser is not trained: make it with SpeechRecognizer('ctc') and call fit "
                "first, or SpeechRecognizer.load."
            )
        return self.model

    def _targets(self, transcripts: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Returns the words, and each transcript's numbers from 1 on, zeros behind them."""
        rows = [text.lower().split() for text in check_texts(transcripts)]
        words = sorted({word for row in rows for word in row})
        longest = max(map(len, rows))
        if 2 * longest > self._steps():  # a word and a blank each
            raise UsageError(
                f"A transcript has {longest} words in at most {self.seconds} seconds; "
                f"{self._steps() // 2} can be written. Cut the recording, or set seconds."
            )
        table = np.zeros((len(rows), longest), np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = [words.index(word) + 1 for word in row]
        return words, table

    def _spectrograms(self, sounds: list[np.ndarray]) -> np.ndarray:
        """Returns spectrograms relative to their loudest point, padded with silence."""
        for i, sound in enumerate(sounds):
            if len(sound) > round(self.settings["seconds"] * _RATE):
                raise UsageError(
                    f"recordings[{i}] lasts {len(sound) / _RATE:.1f} seconds, and at most "
                    f"{self.seconds} are heard at once. Cut it, or set seconds."
                )
        return log_mels(sounds, 4 * self._steps(), _BANDS)

    def _read(self, scores: np.ndarray, sound: np.ndarray) -> speech.Transcript:
        """Joins repeats, leaves out blanks, and says how sure the network is."""
        logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)  # (steps, words + 1)
        best = logs.argmax(axis=1)
        kept = best[np.diff(best, prepend=0) != 0]
        text = " ".join(self.words_[i - 1] for i in kept if i)
        sure, silent = float(logs.max(axis=1).mean()), float(np.exp(logs[:, 0].sum()))
        return speech.Transcript(text, len(sound) / _RATE, min(0.0, sure), min(1.0, silent))


def _sound(recording: Any) -> np.ndarray:
    if isinstance(recording, (np.ndarray, list, tuple)):
        return check_samples(recording).astype(np.float32)
    return read_recording(recording, sample_rate=_RATE)


def _count(settings: dict[str, Any]) -> int:
    """Returns how many numbers a model of these settings has, if there can be one."""
    recognizer, words = SpeechRecognizer(**settings["parameters"]), settings["words"]
    if words != sorted({*check_texts(words)}) or recognizer.architecture != "ctc":
        raise ValueError("its words are not sorted, or one is there twice, or it has no network")
    width = recognizer.settings["hidden_dim"]
    return int(20 * width**2 + (5 * _BANDS + 13) * width + (width + 1) * (len(words) + 1))
