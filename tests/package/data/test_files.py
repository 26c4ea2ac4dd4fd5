"""A reader's own files are read to the letter, or refused with file and line."""

from __future__ import annotations

import csv
import sys

import pytest

from companion._common.checking import UsageError
from companion.data import load_texts

HEADER = "label,text\n"


def read(tmp_path, content, name="mine.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return load_texts(str(path), **options)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"text,label\ncaf\xe9,good\n", "byte 14 is 0xe9"),
        (b"text,label\nab\0,good\n", "byte 13 is zero"),
        ("text,label\na,b\n".encode("utf-16-le"), "as in UTF-16. Save it as UTF-8 first"),
        ("text,label\na,b\n".encode("utf-16"), "is UTF-16: save it as UTF-8"),
        (b"PK\x03\x04\x14\0\x06\0", "a zip archive, as .xlsx files are"),
        (b"\x1f\x8b\x08\0", "compressed with gzip"),
        ("review,stars\nfine,5\n", "has the columns 'review', 'stars'; it needs text and label"),
        ("text,text,label\na,b,c\n", "it needs text and label, each once"),
        ("", "is empty; it needs text and label"),
        ("\n\n", "is empty"),
        ("text,label\n", "has a header and no rows"),
        ("text,label\nfine,good\n,bad\n", "line 3: the text or the label is missing"),
        ("text,label\nfine\n", "line 2: it has 1 cell, the header 2"),
        ("text,label\nfine,good\n \n", "line 3: it has 1 cell"),
        ("text,label\nso-so, good,bad\nnice, bad,good\n", "line 2: it has 3 cells, the header 2"),
        (f"{HEADER}good,Nice tea, really warm\nbad,x\n", "line 2: it has 3 cells"),
        ("text,label\na,1\nb,1\n", "has the labels '1'; it needs at least two"),
        # Quotation marks that swallow rows: never closed, closed by a later row, in either order.
        (f'{HEADER}good,a\nbad,b\ngood,c\nbad,"Stale\ngood,soup\nbad,d\n', "line 5: the quotation"),
        (f'{HEADER}good,a\nbad,"Cold tea\ngood,b\nbad,4"\n', "line 3: the text in quotation marks"),
        ('text,label\na,good\n"Cold,bad\nb,good\nfour",bad\n', "line 3: the text in quotation"),
        (f'{HEADER}good,"a ""b\nbad,c\n', "line 2: the quotation mark that opens"),
        (f'{HEADER}good,"Great" soup\nbad,x\n', "line 2: ' ' stands behind a closing quotation"),
        (f'{HEADER}good,"two\nlines"\nbad,"x"y\n', "line 4: 'y' stands behind"),
    ],
)
def test_a_faulty_table_is_refused_with_file_and_place(tmp_path, content, message):
    with pytest.raises(UsageError) as refused:
        read(tmp_path, content)
    assert message in str(refused.value)
    assert str(tmp_path / "mine.csv") in str(refused.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_what_csv_allows_comes_back_to_the_letter(tmp_path, ends):
    content = ends.join(["text,label", '"said ""fine"",', 'then, ok",good', '5" nail,bad', "", ""])
    dataset = read(tmp_path, content)
    assert dataset.train.texts == ['said "fine",\nthen, ok', '5" nail']
    assert dataset.train.labels.tolist() == [1, 0]


def test_a_quotation_mark_in_a_tsv_is_a_character(tmp_path):
    content = 'label\ttext\ngood\ttea\nbad\t"Cold\ngood\tWarm\nbad\tAbout 4"\ngood\t"jam"\n'
    texts = read(tmp_path, content, "mine.tsv").train.texts
    assert texts == ["tea", '"Cold', "Warm", 'About 4"', '"jam"']
    with pytest.raises(UsageError, match=r"line 2: it has 3 cells.*may hold no tab"):
        read(tmp_path, "label\ttext\ngood\ta\tb\n", "mine.tsv")


def test_a_table_may_be_large_and_marked_and_changes_no_setting_of_csv(tmp_path):
    before, text = csv.field_size_limit(), 'said "fine",\nthen ' + "ok " * 100_000
    path = tmp_path / "mine.CSV"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows([("label", "id", "text"), ("a", 1, text), ("b", 2, "很好")])
    dataset = load_texts(str(path))
    assert dataset.train.texts == [text.strip(), "很好"]
    assert dataset.label_names == ("a", "b")
    assert csv.field_size_limit() == before


def test_many_labels_are_numbered_in_the_order_of_the_alphabet_or_as_given(tmp_path):
    content = "text,label\nx,b\ny,c\nz,a\n"
    assert read(tmp_path, content).train.labels.tolist() == [1, 2, 0]
    given = read(tmp_path, content, label_names=["c", "b", "a"])
    assert given.train.labels.tolist() == [1, 0, 2]
    with pytest.raises(UsageError, match="it needs 'a' and 'b'"):
        read(tmp_path, content, label_names=["a", "b"])


def test_a_closed_standard_input_is_refused(monkeypatch):
    from companion.data.files import read_lines

    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="standard input is closed"):
        read_lines("-")
