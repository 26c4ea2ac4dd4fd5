"""A trained classifier, and a table to train one on."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from companion.cli import main

THINGS = ["tea", "soup", "coffee", "rice", "bread"]
GOOD, BAD = ["good", "great", "love", "best"], ["bad", "stale", "awful", "worst"]


def write_table(path: Path, numbers) -> Path:
    """Writes forty invented reviews for each number."""
    rows = [
        (f"{word} {thing} {number}; really", "praise" if word in GOOD else "blame")
        for number in numbers
        for word in GOOD + BAD
        for thing in THINGS
    ]
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t" if path.suffix == ".tsv" else ",").writerows(
            [("text", "label"), *rows]
        )
    return path


def contents(folder: Path) -> dict[Path, bytes]:
    """Returns what stands in a folder."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def run(capsys):
    """Runs the command and returns exit code, stdout, stderr."""

    def run(*words):
        try:
            code = main([str(word) for word in words])
        except SystemExit as end:  # argparse's way out
            code = end.code
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A trained classifier, made by the command itself."""
    folder = tmp_path_factory.mktemp("models")
    table = write_table(folder / "mine.csv", range(5))
    words = ["--architecture", "bag", "--epochs", "40", "--out", str(folder / "mine")]
    assert main(["train", "--data", str(table), *words]) == 0
    return folder / "mine"
