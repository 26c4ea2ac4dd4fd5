"""Texts out of a reader's own files, checked down to the byte and the line."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from companion._common.checking import close_to
from companion.data.cards import Card, Split, TextDataset
from companion.data.reviews import list_datasets, load_dataset

__all__ = ["load_texts", "read_lines", "read_text"]


def load_texts(
    name: str, size: str = "packaged", label_names: Sequence[str] | None = None
) -> TextDataset:
    r"""Loads a data set by its name, or a file as one part that serves for training or testing.

    Args:
        name: String. Name of a data set, or path of a UTF-8 `.csv` or `.tsv` file with the columns
            text and label.
        size: String. `"packaged"` or `"full"`, for a named set. Defaults to `"packaged"`.
        label_names: The two labels that a file may hold; `None` takes its own two, in the order of
            the alphabet. Defaults to `None`.

    Returns:
        A `TextDataset`; of a file, train and test are the same object.

    Raises:
        ValueError: If there is no such data set or file, or it holds something else.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.csv")
    ...     _ = path.write_text("text,label\nFine.,good\nStale.,bad\n", encoding="utf-8")
    ...     mine = load_texts(str(path))
    >>> mine.train.texts, mine.train.labels, mine.label_names
    (['Fine.', 'Stale.'], array([1, 0], dtype=int8), ('bad', 'good'))
    """
    if name in list_datasets():
        return load_dataset(name, size)
    path = Path(name)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise ValueError(
            f"there is no data set {name!r}; {close_to(name, list_datasets())} A file must end in "
            ".csv or .tsv."
        )
    texts, labels = _read_table(path)
    names = label_names or sorted(set(labels))
    if len(names) != 2 or not set(labels) <= set(names):
        wanted = f"{names[0]!r} and {names[1]!r}" if label_names else "exactly two"
        raise ValueError(f"{path} has the labels {sorted(set(labels))[:9]}; it needs {wanted}.")
    split = Split(texts, np.array([label == names[1] for label in labels], dtype=np.int8))
    card = Card(
        title=path.name,
        source=name,
        licence="As its owner says.",
        examples=f"{len(texts):,}, {split.labels.mean():.0%} of them {names[1]!r}.",
        use="Training, or testing, as a whole.",
        limits="Whether texts repeat, or are labelled well, is for you to check.",
    )
    return TextDataset(path.stem, split, split, (names[0], names[1]), card)


def read_text(path: str | Path) -> str:
    """Reads a UTF-8 text file; its line ends become newlines.

    Args:
        path: Path of the file, or `"-"` for stdin.

    Returns:
        The text, without a byte-order mark.

    Raises:
        ValueError: If the file cannot be read, or is no UTF-8 text; names the first bad byte.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "old.txt")
    ...     _ = path.write_bytes("café".encode("latin-1"))
    ...     read_text(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: ...old.txt is not UTF-8: byte 3 is 0xe9. Save it as UTF-8 first.
    """
    name = "standard input" if path == "-" else path
    try:
        content = sys.stdin.buffer.read() if path == "-" else Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"cannot read {name}: {error.strerror}.") from None
    if 0 in content:
        raise ValueError(
            f"{name} is no UTF-8 text: byte {content.index(0)} is zero, as in UTF-16. Save it as "
            "UTF-8 first."
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{name} is not UTF-8: byte {error.start} is 0x{content[error.start]:02x}. Save it as "
            "UTF-8 first."
        ) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def read_lines(path: str | Path) -> list[str]:
    r"""Reads the lines of a UTF-8 text file.

    Args:
        path: Path of the file, or `"-"` for stdin.

    Returns:
        List of strings without their newlines.

    Raises:
        ValueError: If the file cannot be read, or is no UTF-8 text.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "two.txt").write_text("很好\nGood\n", encoding="utf-8")
    ...     read_lines(Path(folder, "two.txt"))
    ['很好', 'Good']
    """
    # Not splitlines: it also breaks at characters that may stand inside a text.
    return read_text(path).removesuffix("\n").split("\n")


def _read_table(path: Path) -> tuple[list[str], list[str]]:
    csv.field_size_limit(2**31 - 1)  # a text may be longer than csv's 128 kB
    separator = "\t" if path.suffix.lower() == ".tsv" else ","
    table = csv.DictReader(io.StringIO(read_text(path), newline=""), delimiter=separator)
    if not {"text", "label"} <= set(table.fieldnames or ()):
        raise ValueError(f"{path} has the columns {table.fieldnames}; it needs text and label.")
    texts, labels = [], []
    for row in table:
        text, label = (row["text"] or "").strip(), (row["label"] or "").strip()
        if not text or not label:
            raise ValueError(f"{path}, line {table.line_num}: the text or the label is missing.")
        texts.append(text)
        labels.append(label)
    return texts, labels
