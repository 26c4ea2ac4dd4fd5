"""The gradient of each example on its own, for models of Keras on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from companion._common.backend import keras

__all__ = ["build_example_gradients"]


def build_example_gradients(
    model: keras.Model, loss: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], list[NDArray[np.float32]]]:
    """Returns a function that computes one gradient for each example of a batch.

    Ordinary training adds the gradients up before anyone sees them; privacy needs each of them, to
    bound it. They take the memory of the model's weights for every example.

    Args:
        model: Built `keras.Model`. Its examples must not mix: no batch normalisation.
        loss: Callable. Takes the labels and the model's output for a batch of one, and returns one
            number or an array, of which the mean is taken.

    Returns:
        Function of inputs `(batch, ...)` and labels `(batch, ...)`: list of float32 arrays
        `(batch, ...)`, one for each of `model.trainable_variables`.

    Raises:
        NotImplementedError: If Keras runs on another backend than TensorFlow.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    >>> model.set_weights([np.array([[2.0]])])
    >>> gradients = build_example_gradients(model, keras.losses.mean_squared_error)
    >>> gradients(np.array([[1.0], [3.0]]), np.zeros((2, 1)))[0].ravel().tolist()
    [4.0, 36.0]
    """
    if keras.backend.backend() != "tensorflow":
        raise NotImplementedError(
            f"Gradients by example need TensorFlow, but Keras runs on {keras.backend.backend()}: "
            "set KERAS_BACKEND=tensorflow."
        )
    import tensorflow as tf

    weights = [variable.value for variable in model.trainable_variables]

    def one(pair: tuple[Any, Any]) -> list[Any]:
        with tf.GradientTape() as tape:
            output = model(pair[0][None], training=True)
            value = tf.reduce_mean(loss(pair[1][None], output))
        found = tape.gradient(value, weights, unconnected_gradients="zero")
        return [tf.convert_to_tensor(gradient) for gradient in found]

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def every(inputs: Any, labels: Any) -> list[Any]:
        gradients: list[Any] = tf.vectorized_map(one, (inputs, labels))
        return gradients

    def example_gradients(inputs: Any, labels: Any) -> list[NDArray[np.float32]]:
        both = tf.convert_to_tensor(inputs), tf.convert_to_tensor(labels)
        return [np.asarray(gradient) for gradient in every(*both)]

    return example_gradients
