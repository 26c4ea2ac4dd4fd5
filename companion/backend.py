"""Keras, imported in one place, with an error that says what to install."""

from __future__ import annotations

try:
    import keras
except ModuleNotFoundError as error:  # keras itself, or the backend that it asks for
    raise ModuleNotFoundError(
        f"Training and prediction need Keras and TensorFlow, and {error.name!r} is not installed. "
        "From the project's folder run: pip install '.[train]'",
        name=error.name,
    ) from error

__all__ = ["keras"]
