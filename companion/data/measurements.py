"""Results of the course's own runs that take too long for a notebook, stored in `measured/`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from companion._common.checking import close_to

__all__ = ["load_measurements"]


_FOLDER = Path(__file__).with_name("measured")


def load_measurements(name: str) -> dict[str, Any]:
    """Return what a long run of the course measured, and how.

    Args:
        name: String. The run's name: a file of the folder `companion/data/measured`.

    Returns:
        Dict. Under `"command"` stands what makes the file anew.

    Raises:
        ValueError: If there is no such run.

    Example:

    >>> load_measurements("scaling_sweep")["command"]
    'python -m benchmarks.scaling_sweep'
    """
    names = sorted(path.stem for path in _FOLDER.glob("*.json"))
    if name not in names:
        raise ValueError(f"There is no stored run {name!r}; {close_to(name, names)}")
    measured: dict[str, Any] = json.loads(_FOLDER.joinpath(f"{name}.json").read_text("utf-8"))
    return measured
