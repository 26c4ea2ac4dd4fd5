"""Builder of the course's speech recogniser: an uncompiled Keras model."""

from __future__ import annotations

from companion._common.backend import keras
from companion._common.checking import check_whole
from companion.models._sizes import check_sizes

__all__ = ["build_speech_recognizer"]


def build_speech_recognizer(
    num_words: int,
    *,
    frames: int = 320,
    num_bands: int = 40,
    hidden_dim: int = 64,
    dropout: float = 0.1,
) -> keras.Model:
    """Builds a small network from spectrograms to scores of words, to be trained with CTC.

    Two convolutions halve the number of steps; three more look further to both sides, each twice
    as far as the one before, and add to what they were given.

    Args:
        num_words: Integer. Words that it can write.
        frames: Integer, a multiple of 4. Pieces of sound in a spectrogram. Defaults to 320.
        num_bands: Integer. Bands of pitches in a piece. Defaults to 40.
        hidden_dim: Integer. Size of each layer. Defaults to 64.
        dropout: Float in [0, 1). Share dropped in training. Defaults to 0.1.

    Returns:
        Uncompiled `keras.Model`: float32 `(batch, frames, num_bands)` to float32 `(batch, frames /
        4, num_words + 1)`, scores (logits) of the blank (0) and of each word.

    Raises:
        ValueError: If a size is too small, or `dropout` is outside [0, 1).

    Example:

    >>> build_speech_recognizer(16).output_shape
    (None, 80, 17)

    Reference:
        Graves and others, 2006 (CTC).
    """
    check_whole(frames, "frames", least=4, multiple_of=4)
    check_sizes(num_words=num_words, num_bands=num_bands, hidden_dim=hidden_dim, dropout=dropout)
    layers, options = keras.layers, {"padding": "same", "activation": "gelu"}
    inputs = x = keras.Input((frames, num_bands), name="spectrogram")
    for _ in range(2):
        x = layers.Conv1D(hidden_dim, 5, strides=2, **options)(x)
    for dilation in (1, 2, 4):
        y = layers.LayerNormalization()(x)
        y = layers.Conv1D(hidden_dim, 5, dilation_rate=dilation, **options)(y)
        x = x + layers.Dropout(dropout)(y)
    scores = layers.Dense(num_words + 1, dtype="float32", name="scores")
    return keras.Model(inputs, scores(layers.LayerNormalization()(x)), name="speech_recognizer")
