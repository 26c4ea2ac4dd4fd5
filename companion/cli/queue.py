"""What the command `companion predict-files` does: a queue of files that may be stopped."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from companion._common.checking import UsageError
from companion.cli.classifier import with_threshold
from companion.cli.shared import note, say

__all__ = ["predict_files"]

if TYPE_CHECKING:
    from companion.tasks.text_classifier import TextClassifier

_AT_ONCE = 64  # files whose lines are written together


def predict_files(args: argparse.Namespace) -> None:
    """Predicts the label of each text file of a folder, once, however often it is stopped.

    Args:
        args: Parsed arguments: `dir`, `folder`, `out` and `threshold`.

    Raises:
        UsageError: If there are no files, or `out` holds something else.
    """
    paths = sorted(args.folder.glob("*.txt"))
    if not paths:
        raise UsageError(f"{args.folder} is no folder with .txt files.")
    if not args.out.parent.is_dir():
        raise UsageError(f"there is no folder {args.out.parent}: make it first.")
    from companion._common.files import hold_lock
    from companion._common.progress import Bar
    from companion.tasks.text_classifier import TextClassifier

    classifier = with_threshold(TextClassifier.load(args.dir), args.threshold)
    model = hashlib.sha256(
        (args.dir / "config.json").read_bytes() + repr(classifier.threshold).encode()
    ).hexdigest()[:16]
    try:
        with hold_lock(args.out.with_name(f".{args.out.name}.lock")), args.out.open("a+b") as file:
            done = _done(file, args.out, model)
            todo = [path for path in paths if path.name not in done]
            bar = Bar(len(todo))
            for start in range(0, len(todo), _AT_ONCE):
                bar.update(start, f"file {start + 1:,} of {len(todo):,}")
                file.write(_lines(classifier, todo[start : start + _AT_ONCE], model))
                file.flush()
                os.fsync(file.fileno())
            bar.close()
    except BlockingIOError as error:
        raise UsageError(f"process {error} is writing {args.out}: wait until it ends.") from None
    if done:
        note(f"{len(paths) - len(todo):,} of {len(paths):,} files were done before.")
    say(f"{len(paths):,} files: {args.out}")


def _done(file: IO[bytes], path: Path, model: str) -> set[str]:
    """Returns which files have their line; what a kill has left of a last line is cut off."""
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    try:
        rows = [json.loads(line) for line in whole.splitlines()]
        names, models = {row["file"] for row in rows}, {row["model"] for row in rows}
        if not whole and not b'{"file": '.startswith(content[:9]):
            raise ValueError("its only line is another")
    except (ValueError, TypeError, KeyError):
        raise UsageError(f"{path} holds something else than predictions: name another.") from None
    if models - {model}:
        raise UsageError(
            f"{path} holds predictions of another model or --threshold: give another --out."
        )
    file.truncate(len(whole))
    return names


def _lines(classifier: TextClassifier, paths: list[Path], model: str) -> bytes:
    from companion.data.files import read_text

    rows: list[dict[str, Any]] = [{"file": path.name, "model": model} for path in paths]
    texts = dict[int, str]()
    for number, path in enumerate(paths):
        try:
            texts[number] = read_text(path)
            if not texts[number].strip():
                del texts[number]
                raise ValueError("it holds no text")
        except (OSError, ValueError) as error:
            rows[number]["error"] = str(error)
    if texts:
        given, names = list(texts.values()), classifier.classes_.tolist()
        labels, shares = classifier.predict(given).tolist(), classifier.predict_proba(given)
        for number, label, share in zip(texts, labels, shares.tolist(), strict=True):
            rows[number] |= {"label": label, "probability": round(share[names.index(label)], 6)}
    return "".join(json.dumps(row) + "\n" for row in rows).encode("ascii")
