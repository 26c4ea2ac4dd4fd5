"""What the notebooks' outputs become on a page.

* A picture gets the sentence it was shown with as its alternative; the words computed from its data
  (the rest of the bundle's ``text/plain``) stand below it, folded. On a phone a button enlarges it.
* An explorer's picture goes into its figure, where a reader without JavaScript finds it.
* A printed line that is longer than a table's row is prose, such as a card's, and is wrapped.
* A cell tagged ``check`` is folded to one line that says how many statements it checks.
* The directive ``explorer`` shows on another page an explorer that a notebook stores.
* The markers behind prose numbers (``<!--= expression -->``) are for the tests and are left out.
"""

from __future__ import annotations

import ast
import base64
import json
import os
import re
from html import escape
from pathlib import Path
from typing import Any
from unicodedata import east_asian_width

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

MARKER = re.compile(r"\s*<!--=.*?-->\s*", re.DOTALL)
LONGEST_ROW = 100  # of a printed table, and the columns that fit beside both side bars
# Shown on a phone, where a figure's words are small.
ENLARGE = '<button type="button" class="enlarge">Enlarge the figure</button>'
PICTURE_SLOT = '<div class="explorer-static">'


class DropMarkers(SphinxTransform):
    """Remove the prose markers before titles, search words and descriptions are collected."""

    default_priority = 20

    def apply(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(nodes.raw)):
            if MARKER.fullmatch(node.astext()):
                node.parent.remove(node)


class DescribePictures(SphinxPostTransform):
    """Join the picture, the text and the HTML of one output bundle."""

    default_priority = 3  # myst-nb keeps a single one of them at priority 4

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(_is_bundle)):
            parts = {part["mime_type"]: part for part in bundle.children}
            picture, text = parts.get("image/png"), parts.get("text/plain")
            if picture is None or text is None:
                continue
            images = list(picture.findall(nodes.image))
            alt, *words = text.astext().splitlines()
            for image in images:
                image["alt"] = alt
            page = parts.get("text/html")
            if page is None:
                picture.append(nodes.raw("", ENLARGE, format="html"))
            if page is None and words:
                picture.append(nodes.raw("", words_in_a_fold(words), format="html"))
            if page is not None and PICTURE_SLOT in page.astext():
                page.children = explorer_nodes(page.astext(), images)


def explorer_nodes(page: str, images: list[nodes.image]) -> list[nodes.Node]:
    """Return an explorer's HTML as nodes, its picture where a reader without a script finds it."""
    before, after = page.split(PICTURE_SLOT, 1)
    return [
        nodes.raw("", before + PICTURE_SLOT, format="html"),
        *images,
        nodes.raw("", after, format="html"),
    ]


class ShowExplorer(SphinxDirective):
    """The directive ``explorer PAGE NAME``: an explorer as its own page's notebook stores it."""

    required_arguments = 2

    def run(self) -> list[nodes.Node]:
        page, name = self.arguments
        notebook = Path(self.env.srcdir) / f"{page}.ipynb"
        self.env.note_dependency(str(notebook))
        picture, text, html = self.find(notebook, f'data-explorer="{name}"')
        file = Path(self.env.doctreedir) / "explorers" / f"{name}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(picture))
        here = Path(self.env.doc2path(self.env.docname)).parent
        uri = Path(os.path.relpath(file, here)).as_posix()
        return explorer_nodes(html, [nodes.image(uri=uri, alt=text.splitlines()[0])])

    def find(self, notebook: Path, mark: str) -> list[str]:
        if notebook.is_file():
            for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
                for output in cell.get("outputs", []):
                    parts = output.get("data", {})
                    if mark in "".join(parts.get("text/html", "")):
                        kinds = ("image/png", "text/plain", "text/html")
                        return ["".join(parts[kind]) for kind in kinds]
        raise self.error(f"{notebook.name} stores no explorer with {mark}")


def words_in_a_fold(lines: list[str]) -> str:
    """Return the HTML of a picture's words, one paragraph a line, in details that open."""
    paragraphs = "".join(f"<p>{escape(line)}</p>" for line in lines)
    return (
        '<details class="figure-words mathjax_ignore"><summary>The figure in words</summary>'
        f"{paragraphs}</details>"
    )


def columns(line: str) -> int:
    """Return the width of a printed line, in which a Chinese character takes two columns."""
    return sum(2 if east_asian_width(character) in "FW" else 1 for character in line)


class WrapLongLines(SphinxPostTransform):
    """Mark the printed outputs that hold prose, which scrolling sideways would make unreadable."""

    default_priority = 5

    def run(self, **kwargs: Any) -> None:
        for block in self.document.findall(nodes.literal_block):
            lines = block.astext().splitlines()
            if "output" in block["classes"] and max(map(columns, lines), default=0) > LONGEST_ROW:
                block["classes"].append("long-lines")


class FoldChecks(SphinxPostTransform):
    """Fold the cells that check a section to one line, which opens."""

    default_priority = 100  # myst-nb wraps what is to be folded at priority 199

    def run(self, **kwargs: Any) -> None:
        for cell in self.document.findall(nodes.container):
            if "tag_check" in cell.get("classes", []):
                count = count_asserts(cell[0].astext())
                line = f"Checked: {count} statement{'' if count == 1 else 's'}"
                cell["hide_mode"] = "input"
                cell["prompt_show"] = cell["prompt_hide"] = line


def count_asserts(source: str) -> int:
    """Return how many statements a cell's code asserts."""
    return sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(source)))


def _is_bundle(node: nodes.Node) -> bool:
    return isinstance(node, nodes.container) and node.get("nb_element") == "mime_bundle"


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("explorer", ShowExplorer)
    app.add_transform(DropMarkers)
    app.add_post_transform(DescribePictures)
    app.add_post_transform(WrapLongLines)
    app.add_post_transform(FoldChecks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
