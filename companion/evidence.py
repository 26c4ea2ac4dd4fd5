"""Results of the course's own runs that take too long for a notebook, stored in `measurements/`."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import Any

__all__ = ["load_evidence"]

_FOLDER = Path(__file__).with_name("measurements")


def load_evidence(name: str) -> dict[str, Any]:
    """Return what a long run of the course measured, and how.

    Args:
        name: String. The run's name: a file of the folder `companion/measurements`.

    Returns:
        Dict. Under `"command"` stands what makes the file anew.

    Raises:
        KeyError: If there is no such run.

    Example:

    >>> load_evidence("scaling_sweep")["command"]
    'python -m benchmarks.scaling_sweep'
    """
    names = sorted(path.stem for path in _FOLDER.glob("*.json"))
    if name not in names:
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(names)}."
        raise KeyError(f"There is no stored run {name!r}. {hint}")
    evidence: dict[str, Any] = json.loads(_FOLDER.joinpath(f"{name}.json").read_text("utf-8"))
    return evidence
