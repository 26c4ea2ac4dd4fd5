"""Keras, imported in one place, with an error that says what to install."""

from __future__ import annotations

import os
import sys
from typing import Any

from companion._common.extras import install_hint

__all__ = ["check_settings", "keras", "without_tuning"]

# Both are read when TensorFlow starts: without them it writes notices into every first output, and
# oneDNN's reordered sums make the same training end elsewhere on another processor.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

# A keras.json in the home folder would else decide the backend: KERAS_BACKEND alone does.
_is_first = "keras" not in sys.modules
if _is_first:
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")

try:
    import keras
except ModuleNotFoundError as error:  # keras itself, or the backend that it asks for
    raise ModuleNotFoundError(
        f"Training and prediction need Keras and TensorFlow, and {error.name!r} is not installed. "
        f"Run: {install_hint('train')}",
        name=error.name,
    ) from error

if _is_first:  # else a program may have chosen something itself, see check_settings
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


def check_settings() -> None:
    """Refuses settings of Keras under which a model would silently be another one.

    A dtype policy that a program sets, such as mixed precision, is no such setting.

    Raises:
        ValueError: If Keras's floats, epsilon or layout of pictures are not the usual ones. They
            may come from a `keras.json` in the home folder.

    Example:

    >>> check_settings()
    """
    for name, usual in (
        ("floatx", "float32"),
        ("epsilon", 1e-7),
        ("image_data_format", "channels_last"),
    ):
        found = getattr(keras.config, name)()
        if found != usual:
            raise ValueError(
                f"Keras's {name} is {found!r}, which keras.json in the folder ~/.keras or this "
                f"program has set, and models here are made for {usual!r}: call "
                f"keras.config.set_{name}({usual!r}) before you build a model. For fewer bits, use "
                "keras.config.set_dtype_policy, for example with 'mixed_bfloat16'."
            )


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
