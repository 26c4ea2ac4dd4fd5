"""Print the built site as one PDF: ``python -m tools.pdf [SITE] [PDF]``.

A browser prints each page of the course in the order of the menu, light and on A4. The prints are
bound together: chapters and pages become the outline, and a link from page to page leads to the
place where that page begins, because the file must not know the folder it was made in.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject

from tests.site.browser import HELP, find_browser, launch
from tools.notebooks import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Page

FIRST = "book/index.html"
MARGIN = "18mm"
FOOT = (
    '<div style="font: 8px sans-serif; width: 100%; margin: 0 18mm; color: #52606d">{title}'
    '<span style="float: right"><span class="pageNumber"></span> of '
    '<span class="totalPages"></span></span></div>'
)
# What comes into view only on a screen is drawn before it is printed.
SETTLED = """async () => {
    for (const picture of document.images) picture.loading = "eager";
    await Promise.all([...document.images].map((picture) => picture.decode().catch(() => {})));
    await globalThis.MathJax?.startup?.promise;
    await document.fonts.ready;
}"""


def contents(site: Path) -> Iterator[tuple[str, str, bool]]:
    """Each page in the menu's order: its file, its title, and whether it is inside a chapter."""
    page = BeautifulSoup((site / FIRST).read_text(encoding="utf-8"), "html.parser")
    title = page.find("h1")
    yield FIRST, title.get_text().rstrip("#").strip() if title else "", False
    for link in page.select("nav.bd-links a.internal"):
        file = (site / FIRST).parent / str(link["href"])
        name = file.resolve().relative_to(site.resolve()).as_posix()
        yield (
            name,
            link.get_text(" ", strip=True),
            link.find_parent("li", class_="toctree-l2") is not None,
        )


def print_page(page: Page, address: str, title: str) -> bytes:
    """One page as a PDF."""
    page.goto(address)
    page.evaluate(SETTLED)
    return page.pdf(
        format="A4",
        scale=0.8,
        print_background=True,
        display_header_footer=True,
        header_template="<span></span>",
        footer_template=FOOT.format(title=escape(title)),
        margin={"top": MARGIN, "bottom": MARGIN, "left": MARGIN, "right": MARGIN},
    )


def bind(prints: Sequence[tuple[str, str, bool, bytes]], site: Path) -> PdfWriter:
    """The prints in one file, with an outline and with links that stay inside it."""
    writer = PdfWriter()
    starts: dict[Path, int] = {}
    chapter = None
    for name, title, is_inside, content in prints:
        starts[site / name] = first = len(writer.pages)
        writer.append(PdfReader(io.BytesIO(content)), import_outline=False)
        parent = chapter if is_inside else None
        item = writer.add_outline_item(title=title, page_number=first, parent=parent)
        chapter = chapter if is_inside else item
    for page in writer.pages:
        notes = [note.get_object() for note in page.get("/Annots", ArrayObject())]
        kept = [note for note in notes if _stays_inside(note, starts, writer)]
        page[NameObject("/Annots")] = ArrayObject(kept)
    return writer


def _stays_inside(note: Any, starts: dict[Path, int], writer: PdfWriter) -> bool:
    """Turn a link to a file into one to its first page; say whether the link leads anywhere."""
    address = urlsplit(str(note.get("/A", {}).get("/URI", "")))
    if address.scheme != "file":
        return True
    first = starts.get(Path(unquote(address.path)))
    if first is None:
        return False
    place = ArrayObject([writer.pages[first].indirect_reference, NameObject("/Fit")])
    note[NameObject("/A")] = DictionaryObject(
        {NameObject("/S"): NameObject("/GoTo"), NameObject("/D"): place}
    )
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="pdf", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("site", nargs="?", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("pdf", nargs="?", type=Path, default=ROOT / "_build" / "course.pdf")
    options = parser.parse_args(arguments)
    site = options.site.resolve()
    if not (site / FIRST).is_file():
        parser.error(f"{site} holds no built site. Run: make book")
    executable = find_browser()
    if executable is None:
        parser.error(HELP)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = launch(playwright, executable)
        page = browser.new_page(color_scheme="light")
        prints = []
        for name, title, is_inside in contents(site):
            prints.append((name, title, is_inside, print_page(page, (site / name).as_uri(), title)))
        browser.close()
    writer = bind(prints, site)
    options.pdf.parent.mkdir(parents=True, exist_ok=True)
    writer.write(options.pdf)
    print(f"{options.pdf}: {len(prints)} pages of the course on {len(writer.pages)} of paper")
    return 0


if __name__ == "__main__":
    sys.exit(main())
