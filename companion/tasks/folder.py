"""The folder that holds a trained model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from companion.training.checkpoints import CheckpointFolder

__all__ = ["holds_model"]


def holds_model(folder: Path, model_format: object, names: Sequence[str]) -> bool:
    """Says whether a folder holds a finished model, and refuses one that holds something else.

    Args:
        folder: Path of the folder that is to be written.
        model_format: The `"format"` that the model's own `config.json` states.
        names: The files that a finished model has, `"config.json"` among them.

    Returns:
        Whether a model of this format is there.

    Raises:
        ValueError: If files of these names are there and belong to something else.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as place:
    ...     size = Path(place, "config.json").write_text('{"format": 1}', encoding="utf-8")
    ...     holds_model(Path(place), 1, ["config.json"]), holds_model(Path(place, "new"), 1, [])
    (True, False)
    """
    found = [name for name in names if (folder / name).exists()]
    stopped = "config.json" not in found and CheckpointFolder(folder / "checkpoints").paths()
    if not found or stopped:  # config.json is written last
        return False
    try:
        is_own = bool(json.loads((folder / "config.json").read_bytes())["format"] == model_format)
    except (OSError, ValueError, KeyError, TypeError):
        is_own = False
    if not is_own:
        raise ValueError(
            f"{folder} holds {' and '.join(found)} of something else, which would be replaced: "
            "give another folder with --out DIR."
        )
    return True
