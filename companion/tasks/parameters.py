"""Checks of what a task is made with, also when it comes from a stranger's folder."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from companion._common.checking import UsageError

__all__ = ["check_parameters", "plain_parameters"]


# The least and the most; the most keep one batch of a loaded model within a laptop's memory.
_WHOLE = {
    "vocabulary_size": (3, 2**20),
    "sequence_length": (1, 2**14),
    "side": (8, 256),
    "channels": (1, 3),
    "embedding_dim": (1, 2**14),
    "hidden_dim": (1, 2**14),
    "num_layers": (1, 2**10),
    "num_heads": (1, 2**10),
    "seed": (0, 2**32 - 1),
}

_NEVER = 1.01  # the threshold of threshold_value that no probability reaches


def check_parameters(parameters: Mapping[str, Any]) -> None:
    """Refuses a parameter of a task that is out of range or of another type.

    Args:
        parameters: Dictionary from names of parameters to values.

    Raises:
        UsageError: If a value is refused; the message names it and says what is allowed.

    Example:

    >>> check_parameters({"seed": 1.5})  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    companion._common.checking.UsageError: seed is 1.5; it must be a whole number from 0 to ...
    """
    for name, value in parameters.items():
        number = isinstance(value, Real) and not isinstance(value, bool)
        whole = isinstance(value, Integral) and number
        if name in _WHOLE:
            least, most = _WHOLE[name]
            is_right = whole and least <= value <= most
            allowed = f"a whole number from {least:,} to {most:,}"
        elif name == "dropout":
            is_right = number and 0 <= value < 1
            allowed = "a number of at least 0 and below 1"
        elif name == "threshold":
            is_right = number and 0 <= value <= _NEVER
            allowed = f"a number from 0 to 1, or {_NEVER} for never"
        else:
            continue
        if not is_right:
            raise UsageError(f"{name} is {value!r}; it must be {allowed}.")


def plain_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the parameters of a task with NumPy's numbers as Python's, as a file can hold them.

    Args:
        parameters: Dictionary from names of parameters to values.

    Returns:
        Dictionary of the same names.

    Example:

    >>> import numpy as np
    >>> plain_parameters({"seed": np.int64(1), "split": "word"})
    {'seed': 1, 'split': 'word'}
    """
    return {k: v.item() if isinstance(v, np.generic) else v for k, v in parameters.items()}
