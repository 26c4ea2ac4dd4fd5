"""Texts out of a reader's own files, checked down to the byte and the line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from companion._common.checking import UsageError, close_to
from companion.data.cards import Card, Split, TextDataset
from companion.data.catalogue import text_loaders

__all__ = ["load_texts", "read_lines", "read_text"]

_Row = tuple[int, list[str]]  # the number of the line that it begins on, and its cells

_CELL = re.compile(r'"((?:[^"]++|"")*+)"|([^",\n][^,\n]*|)')  # quoted, or not

_BINARY = {
    b"PK\x03\x04": "a zip archive, as .xlsx files are: save the sheet as CSV in UTF-8",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\xff\xfe": "UTF-16: save it as UTF-8 first",
    b"\xfe\xff": "UTF-16: save it as UTF-8 first",
    b"%PDF": "a PDF: save its text as UTF-8",
}


def load_texts(name: str, label_names: Sequence[str] | None = None) -> TextDataset:
    r"""Loads a data set by its name, or a file as one part that serves for training or testing.

    Args:
        name: String. Name of a data set, or path of a UTF-8 `.csv` or `.tsv` file with the columns
            text and label. In a `.tsv` each row is one line, and quotation marks are part of the
            text.
        label_names: List of the labels that a file may hold; `None` takes its own, in the order of
            the alphabet. Defaults to `None`.

    Returns:
        A `TextDataset`; of a file, train and test are the same object.

    Raises:
        UsageError: If there is no such data set or file, or it holds something else; of a row, the
            message names file and line.

    Example:

    >>> from pathlib import Path
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "mine.csv")
    ...     _ = path.write_text("text,label\nFine.,good\nStale.,bad\n", encoding="utf-8")
    ...     mine = load_texts(str(path))
    >>> mine.train.texts, mine.train.labels, mine.label_names
    (['Fine.', 'Stale.'], array([1, 0], dtype=int8), ('bad', 'good'))
    """
    loaders = text_loaders()
    if name in loaders:
        return loaders[name]()
    path = Path(name)
    if path.suffix.lower() not in (".csv", ".tsv"):
        raise UsageError(
            f"there is no data set {name!r}; {close_to(name, loaders)} A file must end in "
            ".csv or .tsv."
        )
    texts, labels = _read_table(path, label_names or ())
    found = sorted(set(labels))
    names = tuple(label_names or found)
    if len(names) < 2 or not set(found) <= set(names):
        wanted = " and ".join(map(repr, names)) if label_names else "at least two"
        has = ", ".join(map(repr, found[:9]))
        raise UsageError(f"{path} has the labels {has}; it needs {wanted}.")
    numbers = {name: number for number, name in enumerate(names)}
    split = Split(texts, np.array([numbers[label] for label in labels], _dtype(len(names))))
    shares = (f"{labels.count(name) / len(labels):.0%} {name!r}" for name in names[:9])
    card = Card(
        title=path.name,
        source=name,
        licence="As its owner says.",
        examples=f"{len(texts):,}: {', '.join(shares)}{' ...' if len(names) > 9 else ''}.",
        use="Training, or testing, as a whole.",
        limits="Whether texts repeat, or are labelled well, is for you to check.",
    )
    return TextDataset(path.stem, split, split, names, card)


def _dtype(num_labels: int) -> type[np.signedinteger]:
    return np.int8 if num_labels <= np.iinfo(np.int8).max else np.int32


def read_text(path: str | Path) -> str:
    """Reads a UTF-8 text file; its line ends become newlines.

    Args:
        path: Path of the file, or `"-"` for stdin.

    Returns:
        The text, without a byte-order mark.

    Raises:
        UsageError: If the file cannot be read, or is no UTF-8 text; names the first bad byte.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "old.txt")
    ...     _ = path.write_bytes("café".encode("latin-1"))
    ...     read_text(path)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    companion._common.checking.UsageError: ...old.txt is not UTF-8: byte 3 is 0xe9. Save it ...
    """
    name = "standard input" if path == "-" else path
    content = _bytes(path, str(name))
    for start, what in _BINARY.items():
        if content.startswith(start):
            raise UsageError(f"{name} is {what}.")
    if 0 in content:
        raise UsageError(
            f"{name} is no UTF-8 text: byte {content.index(0)} is zero, as in UTF-16. Save it as "
            "UTF-8 first."
        )
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        raise UsageError(
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
        UsageError: If the file cannot be read, or is no UTF-8 text.

    Example:

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "two.txt").write_text("很好\nGood\n", encoding="utf-8")
    ...     read_lines(Path(folder, "two.txt"))
    ['很好', 'Good']
    """
    # Not splitlines: it also breaks at characters that may stand inside a text.
    return read_text(path).removesuffix("\n").split("\n")


def _bytes(path: str | Path, name: str) -> bytes:
    try:
        if path != "-":
            return Path(path).read_bytes()
        if sys.stdin is None:  # closed by who started this process
            raise UsageError("standard input is closed: give a file, or send the texts with |.")
        return sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror or error}.") from None


def _read_table(path: Path, label_names: Sequence[str]) -> tuple[list[str], list[str]]:
    content = read_text(path).replace("\r", "\n")  # a line end of old Macs
    is_csv = path.suffix.lower() == ".csv"
    rows = _csv_rows(path, content) if is_csv else _tsv_rows(content)
    _, header = next(rows, (1, []))
    header = [cell.strip() for cell in header]
    if not (header.count("text") == header.count("label") == 1):
        has = f"has the columns {', '.join(map(repr, header))}" if any(header) else "is empty"
        raise UsageError(f"{path} {has}; it needs text and label, each once.")
    texts, labels, long = [], [], []
    for line, cells in rows:
        text, label = _text_and_label(path, line, cells, header)
        texts.append(text)
        labels.append(label)
        long += [(line, cell) for cell in cells if "\n" in cell]
    if not texts:
        raise UsageError(f"{path} has a header and no rows: give labelled texts.")
    for line, cell in long:
        _refuse_swallowed_rows(path, line, cell, header, {*labels, *label_names})
    return texts, labels


def _text_and_label(path: Path, line: int, cells: list[str], header: list[str]) -> tuple[str, str]:
    if len(cells) != len(header):
        many = f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
        advice = "the text or the label is missing."
        if len(cells) > len(header):
            is_csv = path.suffix.lower() == ".csv"
            advice = "put the text in quotation marks." if is_csv else "a text may hold no tab."
        raise UsageError(f"{path}, line {line}: it has {many}, the header {len(header)}: {advice}")
    row = dict(zip(header, cells, strict=True))
    text, label = row["text"].strip(), row["label"].strip()
    if not text or not label:
        raise UsageError(f"{path}, line {line}: the text or the label is missing.")
    return text, label


def _tsv_rows(content: str) -> Iterator[_Row]:
    for number, line in enumerate(content.split("\n"), 1):
        if line:
            yield number, line.split("\t")


def _csv_rows(path: Path, content: str) -> Iterator[_Row]:
    """Yields the rows of a CSV file as RFC 4180 has them, or says where it breaks its rules."""
    place, line = 0, 1
    while place < len(content):
        start, cells = line, list[str]()
        while True:
            quoted = content.startswith('"', place)
            cell = _CELL.match(content, place)
            if cell is None or (quoted and cell[1] is None):
                raise UsageError(
                    f"{path}, line {line}: the quotation mark that opens a text here is never "
                    "closed. Close it, or double the marks that belong to the text."
                )
            cells.append(cell[1].replace('""', '"') if quoted else cell[2])
            line += cell[0].count("\n")
            place = cell.end()
            after = content[place : place + 1]
            if after not in ("", ",", "\n"):
                raise UsageError(
                    f"{path}, line {line}: {after!r} stands behind a closing quotation mark. "
                    "Double the marks that belong to the text, and put the whole text in marks."
                )
            place += 1
            if after != ",":
                break
        line += 1
        if cells != [""]:
            yield start, cells


def _refuse_swallowed_rows(
    path: Path, line: int, cell: str, header: list[str], labels: set[str]
) -> None:
    """Refuses a text of several lines of which one is a row: a quotation mark was too many."""
    for number, inner in enumerate(cell.split("\n")[1:], line + 1):
        cells = inner.split(",")
        if len(cells) == len(header) and cells[header.index("label")].strip(' "') in labels:
            raise UsageError(
                f"{path}, line {line}: the text in quotation marks that begins here holds line "
                f"{number}, which looks like a row of its own. Close the marks where the text ends."
            )
