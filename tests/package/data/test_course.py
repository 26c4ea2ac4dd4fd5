"""The course's pages come as sections of plain text."""

from __future__ import annotations

import json

import pytest

from companion.data import load_course

MARKDOWN = """# How *long*?

Seventy 78 %<!--= share:.0% --> {term}`tokens <token>` {cite}`one2020`, see {doc}`the page <other>`.

(my-label)=
## A heading

First.

:::{admonition} A box
:class: tip
Inside `code_with_names`.
:::

:::{quiz} name
Which?

- [ ] A wrong answer.

  Because.
:::

:::{outcome} name
The right answer
:::

## References

Nobody reads this.
"""


@pytest.fixture
def book(tmp_path):
    folder = tmp_path / "04_more"
    folder.mkdir()
    cells = [
        {"cell_type": "markdown", "source": MARKDOWN.splitlines(keepends=True)},
        {"cell_type": "code", "source": ["secret = 1"], "outputs": []},
        {"cell_type": "markdown", "source": "## Last\n\nEnd."},
    ]
    folder.joinpath("page.ipynb").write_text(json.dumps({"cells": cells}), "utf-8")
    entries = ":sorted:\n\ntea\n  A {term}`drink`.\n\nrice\n  Food.\n"
    glossary = f"# Glossary\n\nWords.\n\n```{{glossary}}\n{entries}```\n"
    tmp_path.joinpath("glossary.md").write_text(glossary, "utf-8")
    tmp_path.joinpath("about.md").write_text("# About\n\nNot read.", "utf-8")
    return tmp_path


def test_each_heading_gives_a_section_with_its_label(book):
    found = [(one.page, one.title, one.heading, one.label) for one in load_course(book)]
    assert found[:3] == [
        ("04_more/page", "How long?", "How long?", ""),
        ("04_more/page", "How long?", "A heading", "my-label"),
        ("04_more/page", "How long?", "Last", ""),
    ]


def test_marks_comments_code_and_quizzes_are_left_out_and_boxes_keep_their_titles(book):
    first, second, *_ = load_course(book)
    assert first.text == "Seventy 78 % tokens , see the page."
    assert second.text == "First.\n\nA box\n\nInside `code_with_names`.\n\nThe right answer"


def test_each_entry_of_the_glossary_is_a_passage(book):
    entries = [one for one in load_course(book) if one.page == "glossary"]
    assert [(one.heading, one.text) for one in entries] == [("tea", "A drink."), ("rice", "Food.")]


def test_without_pages_the_error_says_to_clone_the_repository(tmp_path):
    with pytest.raises(FileNotFoundError, match="Clone the course's repository"):
        load_course(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"cells": [1]}', b"\xff\xfe"])
def test_a_damaged_page_is_named(tmp_path, content):
    tmp_path.joinpath("01_a").mkdir()
    tmp_path.joinpath("01_a", "broken.ipynb").write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.ipynb is no page"):
        load_course(tmp_path)


def test_the_courses_own_pages_are_read_whole():
    pages = {one.page for one in load_course()}
    assert {"glossary", "04_practice/large_model", "01_background/index"} <= pages
    assert all(one.text.strip() for one in load_course())
    assert not any("<!--" in one.text or "{term}" in one.text for one in load_course())
