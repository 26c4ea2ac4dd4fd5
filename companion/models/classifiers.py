"""Builders of the course's classifiers of texts and pictures: uncompiled Keras models."""

from __future__ import annotations

from companion._common.backend import keras
from companion._common.checking import check_whole
from companion.models._sizes import check_sizes

__all__ = ["build_bag_classifier", "build_image_classifier", "build_lstm_classifier"]


def build_lstm_classifier(
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    embedding_dim: int = 64,
    hidden_dim: int = 64,
    mask_zero: bool = True,
    dropout: float = 0.0,
    num_classes: int = 2,
) -> keras.Model:
    """Builds a classifier that reads a text's token ids in order.

    Embedding, LSTM, one sigmoid unit, or a softmax over three or more classes. The input is
    declared as integers, so that mixed precision cannot round a token id.

    Args:
        vocabulary_size: Integer. Number of token ids, padding (0) included. Defaults to 1000.
        sequence_length: Integer. Tokens in a row. Defaults to 100.
        embedding_dim: Integer. Numbers that stand for one token. Defaults to 64.
        hidden_dim: Integer. Size of the LSTM's state. Defaults to 64.
        mask_zero: Boolean. Whether the LSTM skips padding. Without it, rows padded at the end stay
            near chance. Defaults to `True`.
        dropout: Float in [0, 1). Share of the LSTM's output dropped in training. Defaults to 0.
        num_classes: Integer, at least 2. Kinds of texts to tell apart. Defaults to 2.

    Returns:
        Uncompiled `keras.Model`: int32 `(batch, sequence_length)` to float32 `(batch, 1)`, the
        probability of label 1; with three or more classes to `(batch, num_classes)`, that of each.

    Raises:
        ValueError: If a size or `num_classes` is too small, or `dropout` is outside [0, 1).

    Example:

    >>> build_lstm_classifier(mask_zero=False).count_params()
    97089

    Reference:
        Hochreiter and Schmidhuber, 1997, Long Short-Term Memory; with the forget gate of Gers,
        Schmidhuber and Cummins, 2000.
    """
    check_sizes(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        embedding_dim=embedding_dim,
        hidden_dim=hidden_dim,
        dropout=dropout,
    )
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    embed = keras.layers.Embedding(vocabulary_size, embedding_dim, mask_zero=mask_zero)
    states = keras.layers.LSTM(hidden_dim)(embed(ids))  # (batch, hidden_dim)
    return _with_output(ids, states, dropout, "lstm_classifier", num_classes)


def build_bag_classifier(
    vocabulary_size: int = 1000,
    sequence_length: int = 100,
    embedding_dim: int = 64,
    dropout: float = 0.0,
    num_classes: int = 2,
) -> keras.Model:
    """Builds a classifier that averages a text's embeddings and ignores their order.

    Padding does not count in the average; a row of padding alone averages to zeros.

    Args:
        vocabulary_size: Integer. Number of token ids, padding (0) included. Defaults to 1000.
        sequence_length: Integer. Tokens in a row. Defaults to 100.
        embedding_dim: Integer. Numbers that stand for one token. Defaults to 64.
        dropout: Float in [0, 1). Share of the average dropped in training. Defaults to 0.
        num_classes: Integer, at least 2. Kinds of texts to tell apart. Defaults to 2.

    Returns:
        Uncompiled `keras.Model`: int32 `(batch, sequence_length)` to float32 `(batch, 1)`, the
        probability of label 1; with three or more classes to `(batch, num_classes)`, that of each.

    Raises:
        ValueError: If a size or `num_classes` is too small, or `dropout` is outside [0, 1).

    Example:

    >>> build_bag_classifier(vocabulary_size=50, embedding_dim=4).count_params()
    205

    Reference:
        Iyyer and others, 2015, Deep Unordered Composition Rivals Syntactic Methods for Text
        Classification.
    """
    check_sizes(
        vocabulary_size=vocabulary_size,
        sequence_length=sequence_length,
        embedding_dim=embedding_dim,
        dropout=dropout,
    )
    ids = keras.Input((sequence_length,), dtype="int32", name="token_ids")
    embedded = keras.layers.Embedding(vocabulary_size, embedding_dim)(ids)
    # Keras's GlobalAveragePooling1D divides by the number of tokens: nan for a row without any.
    # float32, because bfloat16 cannot count beyond 256.
    is_token = keras.ops.cast(keras.ops.not_equal(ids, 0), "float32")[..., None]
    total = keras.ops.sum(keras.ops.cast(embedded, "float32") * is_token, axis=1)
    mean = total / keras.ops.maximum(keras.ops.sum(is_token, axis=1), 1.0)  # (batch, embedding_dim)
    return _with_output(ids, mean, dropout, "bag_classifier", num_classes)


def build_image_classifier(
    side: int = 28,
    channels: int = 1,
    hidden_dim: int = 128,
    dropout: float = 0.3,
    augment: bool = False,
    num_classes: int = 10,
) -> keras.Model:
    """Builds a small convolutional network for square pictures.

    Two layers of 24 and 64 filters, five by five pixels wide, each of which halves height and
    width, a dense layer and a softmax.

    Args:
        side: Integer. Height and width of the pictures. Defaults to 28.
        channels: Integer. 1 for grey pictures, 3 for colours. Defaults to 1.
        hidden_dim: Integer. Size of the dense layer. Defaults to 128.
        dropout: Float in [0, 1). Share dropped before and after the dense layer in training.
            Defaults to 0.3.
        augment: Boolean. Whether each picture is turned by up to 12 degrees, scaled by up to a
            tenth and moved by up to a fourteenth of its side, at random, in training. Defaults to
            `False`.
        num_classes: Integer, at least 2. Kinds of pictures to tell apart. Defaults to 10.

    Returns:
        Uncompiled `keras.Model`: float32 `(batch, side, side, channels)`, from 0 to 1, to float32
        `(batch, num_classes)`, the probability of each class.

    Raises:
        ValueError: If a size or `num_classes` is too small, or `dropout` is outside [0, 1).

    Example:

    >>> model = build_image_classifier()
    >>> model.output_shape, model.count_params()
    ((None, 10), 441914)
    """
    check_sizes(side=side, channels=channels, hidden_dim=hidden_dim, dropout=dropout)
    check_whole(num_classes, "num_classes", least=2)
    layers = keras.layers
    pictures = keras.Input((side, side, channels), name="pictures")
    x = pictures
    if augment:
        x = layers.RandomRotation(12 / 360, fill_mode="nearest")(x)
        x = layers.RandomZoom(0.1, fill_mode="nearest")(x)
        x = layers.RandomTranslation(1 / 14, 1 / 14, fill_mode="nearest")(x)
    for filters in (24, 64):
        x = layers.Conv2D(filters, 5, strides=2, padding="same", activation="relu")(x)
    x = layers.Dropout(dropout)(layers.Flatten()(x))
    x = layers.Dropout(dropout)(layers.Dense(hidden_dim, activation="relu")(x))
    output = layers.Dense(num_classes, activation="softmax", dtype="float32", name="probability")
    return keras.Model(pictures, output(x), name="image_classifier")


def _with_output(
    ids: keras.KerasTensor, features: keras.KerasTensor, dropout: float, name: str, num_classes: int
) -> keras.Model:
    if num_classes < 2:
        raise ValueError(f"num_classes is {num_classes}; it must be at least 2.")
    if dropout:
        features = keras.layers.Dropout(dropout)(features)
    # float32, because a low-precision sigmoid rounds probabilities near 1 to 1.
    units, activation = (1, "sigmoid") if num_classes == 2 else (num_classes, "softmax")
    output = keras.layers.Dense(units, activation=activation, dtype="float32", name="probability")
    return keras.Model(ids, output(features), name=name)
