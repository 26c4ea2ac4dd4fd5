"""Says a text of any length: sentence by sentence, with pauses between."""

from __future__ import annotations

import re

import numpy as np

from companion._common.checking import UsageError, check_amounts, check_whole
from companion.data import voices
from companion.models.pretrained import voices as neural

__all__ = ["SpeechSynthesizer"]

_NEURAL = "piper-joe"

_MOST, _LONGEST = 20_000, 1_000  # characters of the text, and of a sentence


class SpeechSynthesizer:
    """Says a text in English.

    Args:
        voice: `"piper-joe"`, a packaged neural voice, or one of the synthesiser eSpeak NG, such as
            `"en-us"` or `"en-us+Annie"`. Defaults to `"piper-joe"`.
        sample_rate: Integer, at least 1,000. Samples a second of the sound. Defaults to 16,000.
        pause: Float, at least 0. Seconds of silence between sentences. Defaults to 0.3.

    Raises:
        ValueError: If a number is not as above.

    Example:

    >>> sound = SpeechSynthesizer("en-us").speak("Hello there. Is it you?")
    >>> 1 < len(sound) / 16_000 < 5
    True
    """

    def __init__(
        self, voice: str = "piper-joe", *, sample_rate: int = 16_000, pause: float = 0.3
    ) -> None:
        check_amounts(pause=pause)
        self.voice, self.pause = voice, pause
        self.sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)

    def speak(self, text: str) -> np.ndarray:
        """Says a text.

        Args:
            text: String of at most 20,000 characters, and at most 1,000 a sentence.

        Returns:
            Array of the shape `(samples,)` and dtype float32, from -1 to 1.

        Raises:
            ValueError: If there is nothing to say, the text is too long, or there is no such voice.
            ModuleNotFoundError: If the package that holds the voice, or runs it, is not installed.
        """
        sentences = _sentences(text)
        if self.voice == _NEURAL:
            sounds = neural.load_voice(self.voice).say(sentences, sample_rate=self.sample_rate)
        else:
            sounds = voices.say(sentences, self.voice, sample_rate=self.sample_rate)
        silence = np.zeros(round(self.pause * self.sample_rate), np.float32)
        parts = [piece for sound in sounds for piece in (sound, silence)]
        return np.concatenate(parts[:-1])


def _sentences(text: str) -> list[str]:
    """Returns the sentences, or says why they cannot be spoken."""
    if not isinstance(text, str):
        raise UsageError(f"text is of type {type(text).__name__}, not str.")
    if len(text) > _MOST:
        raise UsageError(f"the text has {len(text):,} characters; give at most {_MOST:,} at once.")
    found = [part.strip() for part in re.split(r"(?<=[.!?])\s+|\n+", text)]
    sentences = [part for part in found if re.search(r"\w", part)]
    if not sentences:
        raise UsageError(f"there is nothing to say in {text[:40]!r}; give words.")
    longest = max(sentences, key=len)
    if len(longest) > _LONGEST:
        raise UsageError(
            f"a sentence has {len(longest):,} characters, from {longest[:40]!r} on; end sentences "
            f"with a full stop, after {_LONGEST:,} at the latest."
        )
    return sentences
