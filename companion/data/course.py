"""The course's own pages as texts, for search and for an assistant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Passage", "load_course"]

_BOOK = Path(__file__).parents[2] / "book"

_NOT_HERE = (
    "The course's pages are not in {folder}: an installed package does not hold them. Clone the "
    "course's repository, and give its folder `book`."
)

_BREAK = re.compile(r"\n\s*\n|\n(?=#{1,4} )|(?<=\)=)\n")

_LABEL = re.compile(r"\(([\w-]+)\)=")

_HEADING = re.compile(r"#{1,4} (.+)")

_NOT_PROSE = (  # in this order
    (re.compile(r"^:::\{(quiz|prediction)\}.*?^:::$", re.S | re.M), ""),  # wrong answers, too
    (re.compile(r"<!--.*?-->", re.S), ""),  # what a number is bound to
    (re.compile(r"^`{3,}(?!\{).*?^`{3,}[^\S\n]*$", re.S | re.M), ""),  # listings
    (re.compile(r"^[:`]{3,}\{(?!admonition).*$", re.M), ""),
    (re.compile(r"^[:`]{3,}\{\w+\} ?(.*)$", re.M), r"\1"),  # a box keeps its title
    (re.compile(r"^[:`]{3,}[^\S\n]*$|^:[\w-]+:.*$", re.M), ""),
    (re.compile(r"\{cite(:\w+)?\}`[^`]*`"), ""),
    (re.compile(r"\{\w+\}`([^`<]*?)\s*(<[^`]*>)?`"), r"\1"),  # a term, or a page by its title
    (re.compile(r"!?\[([^\]]*)\]\([^)]*\)"), r"\1"),
    (re.compile(r"(?<!\w)\*{1,2}(\S|\S.*?\S)\*{1,2}(?!\w)"), r"\1"),
    (re.compile(r"[^\S\n]+"), " "),
)


@dataclass(frozen=True)
class Passage:
    """A piece of text, and where it stands.

    Args:
        text: String. What it says.
        page: String. The page's path without its ending, for example `"04_practice/faster"`.
        title: String. The page's title.
        heading: String. The heading that it stands under, on the page.
        label: String. The heading's anchor; empty where it has none.

    Example:

    >>> Passage("A token is a piece of text.", "glossary", "Glossary", "token").where
    'Glossary: token (glossary)'
    """

    text: str
    page: str
    title: str = ""
    heading: str = ""
    label: str = ""

    @property
    def where(self) -> str:
        """Title, heading and address, for a reader."""
        names = dict.fromkeys(name for name in (self.title, self.heading) if name)
        anchor = f"#{self.label}" if self.label else ""
        return f"{': '.join(names)} ({self.page}{anchor})"


def load_course(folder: str | Path | None = None) -> list[Passage]:
    r"""Returns the sections of the course's pages, without code, results and quizzes.

    Args:
        folder: Path of the course's folder `book`. Defaults to `None`: the one beside the package.

    Returns:
        List of `Passage`, one a heading, in the order of the chapters; each entry of the glossary
        is one.

    Raises:
        FileNotFoundError: If the pages are not there, as where only the package is installed.
        ValueError: If a page cannot be read.

    Example:

    >>> import tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Path(folder, "07_more").mkdir()
    ...     page = "# More?\n\n(tea)=\n## Tea\n\nTea is {term}`hot`."
    ...     _ = Path(folder, "07_more", "index.md").write_text(page)
    ...     load_course(folder)
    [Passage(text='Tea is hot.', page='07_more/index', title='More?', heading='Tea', label='tea')]
    """
    book = _BOOK if folder is None else Path(folder)
    paths = sorted(
        path
        for pattern in ("[0-9][0-9]_*/*.ipynb", "[0-9][0-9]_*/*.md", "glossary.md")
        for path in book.glob(pattern)
    )
    if not paths:
        raise FileNotFoundError(_NOT_HERE.format(folder=book))
    return [
        passage
        for path in paths
        for passage in _sections(_markdown(path), path.relative_to(book).with_suffix("").as_posix())
    ]


def _markdown(path: Path) -> str:
    try:
        text = path.read_text("utf-8")
        if path.suffix == ".md":
            return text
        cells = json.loads(text)["cells"]
        return "\n\n".join(
            "".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"
        )
    except (UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is no page of the course: it is not a notebook or text in UTF-8 ({error!r})."
        ) from error


def _sections(markdown: str, page: str) -> Iterator[Passage]:
    for pattern, kept in _NOT_PROSE:
        markdown = pattern.sub(kept, markdown)
    title = heading = label = following = ""
    blocks: list[str] = []
    for block in (*map(str.strip, _BREAK.split(markdown)), "# end"):
        if anchor := _LABEL.fullmatch(block):
            following = anchor[1]
        elif not (found := _HEADING.match(block)):
            blocks += [block] if block else []
        else:
            text = "\n\n".join(blocks)
            if page == "glossary":
                yield from _entries(blocks[1:], title)
            elif text and heading != "References":
                yield Passage(text, page, title, heading, label)
            heading, label, following = found[1].strip(), following, ""
            title = title or heading
            blocks = list(filter(None, [block[found.end() :].strip()]))


def _entries(blocks: list[str], title: str) -> Iterator[Passage]:
    for block in blocks:
        entry, _, text = block.partition("\n")
        yield Passage(" ".join(text.split()), "glossary", title, entry)
