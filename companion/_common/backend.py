"""Keras, imported in one place, with an error that says what to install."""

from __future__ import annotations

import os
from typing import Any

from companion._common.extras import install_hint

__all__ = ["keras", "without_tuning"]

# Both are read when TensorFlow starts: without them it writes notices into every first output, and
# oneDNN's reordered sums make the same training end elsewhere on another processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

try:
    import keras
except ModuleNotFoundError as error:  # keras itself, or the backend that it asks for
    raise ModuleNotFoundError(
        f"Training and prediction need Keras and TensorFlow, and {error.name!r} is not installed. "
        f"Run: {install_hint('train')}",
        name=error.name,
    ) from error


def without_tuning(data: Any) -> Any:
    """Returns a `tf.data.Dataset` that does not tune itself.

    TensorFlow 2.21 can end an epoch only at the next turn of the thread that tunes its data, and
    the turns come ever more seldom: 10, 30, 70, 150 ... milliseconds after the epoch's start.

    Args:
        data: A `tf.data.Dataset`.

    Returns:
        A `tf.data.Dataset` of the same elements.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = False
    return data.with_options(options)
