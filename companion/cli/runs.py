"""What a training notes beside its model, and the folder that it works in.

`run.json` says what a finished model has learnt from. While a training is under way the same stands
in `checkpoints/unfinished.json`, so that a command can tell whether it continues that training.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from companion._common.checking import UsageError
from companion.cli.shared import shorten

__all__ = [
    "check_finished",
    "digest",
    "is_unfinished",
    "locate",
    "read_run",
    "training",
    "write_run",
]

_RUN, _UNFINISHED = "run.json", "unfinished.json"

_MOST_BYTES = 2**20

Run = dict[str, Any]


def digest(texts: Sequence[str], labels: Sequence[object] = ()) -> str:
    """Returns a hash of what is learnt from.

    Args:
        texts: List of strings.
        labels: List of strings or numbers.

    Returns:
        String of 64 hexadecimal digits.
    """
    content = json.dumps([list(texts), [str(label) for label in labels]])
    return hashlib.sha256(content.encode()).hexdigest()


def locate(path: str | Path, folder: Path) -> str:
    """Returns a file's place as `run.json` keeps it: seen from the model's folder.

    Args:
        path: Path of the file.
        folder: Path of the model's folder.

    Returns:
        String, never an absolute path.
    """
    try:
        return os.path.relpath(Path(path).resolve(), folder.resolve())
    except ValueError:  # another drive
        return Path(path).name


def read_run(folder: Path) -> Run | None:
    """Returns what was noted beside a model.

    Args:
        folder: Path of the model's folder.

    Returns:
        Dictionary; `None` where nothing is noted, as after `TextClassifier.save`.

    Raises:
        UsageError: If it is damaged, or belongs to another model than the folder's.
    """
    run = _read(folder / _RUN)
    if run is not None and run.get("model") != _model(folder):
        raise UsageError(
            f"{folder / _RUN} belongs to another model than the one beside it: train again, or "
            "remove that file, which only says what the model has learnt from."
        )
    return run


def write_run(folder: Path, run: Run) -> None:
    """Notes beside a saved model what it has learnt from.

    Args:
        folder: Path of the model's folder.
        run: Dictionary of JSON values.
    """
    from companion._common.files import write_atomically

    # As ASCII: a file's name may hold bytes that are no UTF-8.
    content = json.dumps(run | {"model": _model(folder)}, indent=1)
    write_atomically(folder / _RUN, content.encode("ascii"))


def check_finished(asked: Run, folder: Path) -> None:
    """Refuses to take a folder's model for the one that is asked for, if it is another.

    Args:
        asked: What the command would note.
        folder: Path of the model's folder.

    Raises:
        UsageError: If data or options differ, or nothing is noted; it names the difference.
    """
    noted = read_run(folder)
    if noted is None:
        raise UsageError(
            f"{folder} holds a model, and nothing says what it has learnt from. Train elsewhere "
            "with --out DIR, or anew with --restart."
        )
    _compare(noted, asked, folder)


def _compare(noted: Run, asked: Run, folder: Path) -> None:
    found = []
    if noted.get("data") != asked["data"]:
        found.append(f"--data was {noted.get('data')} and is now {asked['data']}")
    elif noted.get("sha256") != asked["sha256"]:
        found.append(f"{asked['data']} has changed since")
    before = noted.get("options")
    before = before if isinstance(before, dict) else {}
    for name, value in asked["options"].items():
        if before.get(name) != value:
            option = f"--{name.replace('_', '-')}"
            was, now = ("not given" if v is None else v for v in (before.get(name), value))
            found.append(f"{option} was {was} and is now {now}")
    if found:
        raise UsageError(
            f"{folder} holds another training: {shorten('; '.join(found), 400)}. Train elsewhere "
            "with --out DIR, or anew with --restart."
        )


@contextlib.contextmanager
def training(out: Path, asked: Run, *, restart: bool) -> Iterator[Path]:
    """Holds the folder of a training, and leaves it as it was if nothing comes of the training.

    Args:
        out: Path of the model's folder; created if needed.
        asked: What is going to be noted.
        restart: Whether to put aside the checkpoints of an earlier training.

    Yields:
        Path of the folder for checkpoints.

    Raises:
        UsageError: If an unfinished training of other data or options is there.
        KeyboardInterrupt: With what to do next, if anything is kept.
    """
    from companion._common.files import write_atomically
    from companion.training.checkpoints import CheckpointFolder

    folder = CheckpointFolder(out / "checkpoints")
    made = [path for path in (out, *out.parents, folder.folder) if not path.exists()]
    mark, kept = folder.folder / _UNFINISHED, False
    try:
        with folder.lock():
            before = _read(mark)
            if before is not None and not restart:
                _compare(before, asked, out)
            with _aside(folder) if restart else contextlib.nullcontext():
                write_atomically(mark, json.dumps(asked, indent=1).encode("ascii"))
                try:
                    yield folder.folder
                except BaseException:
                    kept = bool(folder.paths())
                    if not kept:
                        mark.unlink(missing_ok=True)
                        if before is not None:
                            write_atomically(mark, json.dumps(before, indent=1).encode("ascii"))
                    raise
                mark.unlink()
    except KeyboardInterrupt:
        if not kept:
            raise
        without = " without --restart" if restart else ""
        raise KeyboardInterrupt(
            f"What is finished is kept in {folder}: the same command{without} continues."
        ) from None
    finally:
        _remove_empty(made, folder.folder)


def is_unfinished(out: Path) -> bool:
    """Returns whether a training in the folder is unfinished.

    Args:
        out: Path of the model's folder.

    Returns:
        Boolean.
    """
    return (out / "checkpoints" / _UNFINISHED).exists()


@contextlib.contextmanager
def _aside(folder: Any) -> Iterator[None]:
    """Puts checkpoints aside, until there are new ones or the training has failed without any."""
    for path in folder.paths():
        path.replace(path.with_name(f"old-{path.name}"))
    try:
        yield
    finally:
        new = folder.paths()
        for path in folder.folder.glob("old-epoch-*.npz"):
            if new:
                path.unlink()
            else:
                path.replace(path.with_name(path.name.removeprefix("old-")))


def _remove_empty(made: Sequence[Path], checkpoints: Path) -> None:
    """Removes folders that this command made and that hold nothing but a lock."""
    for path in sorted(made, key=lambda path: len(path.parts), reverse=True):
        if not path.is_dir():
            continue
        if {each.name for each in path.iterdir()} <= {".lock"}:
            with contextlib.suppress(OSError):
                (path / ".lock").unlink(missing_ok=True)
                path.rmdir()


def _model(folder: Path) -> str | None:
    """Returns the hash of the file that a saved model is known by."""
    config = folder / "config.json"
    return hashlib.sha256(config.read_bytes()).hexdigest() if config.is_file() else None


def _read(path: Path) -> Run | None:
    if not path.exists():
        return None
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError("it is too large")
        run = json.loads(path.read_bytes())
        types = {"data": str, "sha256": str, "options": dict, "texts": int, "labels": dict}
        if not isinstance(run, dict) or any(type(run[name]) is not types[name] for name in types):
            raise ValueError("a value is of the wrong type")
    except (OSError, ValueError, KeyError, RecursionError):
        raise UsageError(
            f"{path} is damaged: it says what the model has learnt from. Train again with "
            "--restart, or remove that file."
        ) from None
    return run
