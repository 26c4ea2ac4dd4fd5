"""Sounds that a page can play, together with the words that say what is heard."""

from __future__ import annotations

import html
from base64 import b64encode

import numpy as np
from numpy.typing import ArrayLike

from companion._common.checking import check_text, check_whole
from companion._common.display import display_bundle
from companion.data.recordings import wav_bytes

__all__ = ["play"]

_MOST_BYTES = 100_000  # each sound is a part of its page


def play(samples: ArrayLike, alt: str, *, sample_rate: int = 16_000) -> None:
    """Displays a player for a short sound, with what is heard as a caption.

    The sound is stored in the page with 16 bits a sample, so it plays without a network.

    Args:
        samples: array of shape (samples,), from -1 to 1; what is louder is clipped.
        alt: str. One sentence that says what is heard, for those who cannot hear it.
        sample_rate: int. Samples a second. Defaults to `16_000`.

    Raises:
        ValueError: There is no sound, it is longer than a page can hold, or `alt` is empty.

    Example:

    >>> import numpy as np
    >>> play(np.zeros(8_000), "Half a second of silence.")
    Sound of 0.5 seconds: Half a second of silence.
    """
    alt = check_text("alt", alt)
    sample_rate = check_whole(sample_rate, "sample_rate", least=1_000)
    sound = np.asarray(samples, np.float64)
    if sound.ndim != 1 or not 0 < 2 * len(sound) <= _MOST_BYTES or not np.isfinite(sound).all():
        raise ValueError(
            f"samples must be 1 to {_MOST_BYTES // 2:,} finite numbers of shape (samples,), not "
            f"of shape {sound.shape}; play a shorter piece."
        )
    text, data = html.escape(alt), b64encode(wav_bytes(sound, sample_rate=sample_rate)).decode()
    player = (
        f'<figure class="sound"><audio controls aria-label="{text}" style="max-width:100%" '
        f'src="data:audio/wav;base64,{data}"></audio><figcaption>{text}</figcaption></figure>'
    )
    plain = f"Sound of {len(sound) / sample_rate:.1f} seconds: {alt}"
    display_bundle({"text/html": player, "text/plain": plain})
