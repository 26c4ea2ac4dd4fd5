"""The book on paper: every page of the menu, bound with links that stay inside."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pypdf import PdfReader

from tests.site.conftest import Site
from tools.notebooks import ROOT, toc_entries
from tools.pdf import bind, contents, main, print_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.site, pytest.mark.slow]

CHAPTER = "book/01_background"


def test_the_pdf_holds_each_page_of_the_course_once(site: Site) -> None:
    names = [name.removesuffix(".html") for name, _, _ in contents(site.folder)]
    assert names == list(toc_entries(ROOT))


def test_a_link_to_another_page_leads_to_where_it_begins(site: Site, browser: Browser) -> None:
    page = browser.new_page()
    prints = []
    for name in (f"{CHAPTER}/index.html", f"{CHAPTER}/summary.html"):
        content = print_page(page, (site.folder / name).as_uri(), "A <title>")
        prints.append((name, name, name.endswith("summary.html"), content))
    page.close()
    bound = bind(prints, site.folder)
    file = io.BytesIO()
    bound.write(file)
    assert b"file:" not in file.getvalue()
    reader = PdfReader(file)
    first = len(PdfReader(io.BytesIO(prints[0][3])).pages)
    [chapter, [summary]] = reader.outline
    assert reader.get_destination_page_number(chapter) == 0
    assert reader.get_destination_page_number(summary) == first
    jumps = [
        note.get_object()["/A"]["/D"][0].get_object()
        for sheet in reader.pages[:first]
        for note in sheet.get("/Annots", [])
        if note.get_object().get("/A", {}).get("/S") == "/GoTo"
    ]
    assert jumps
    assert all(jump == reader.pages[first] for jump in jumps)
    assert "A <title>" in reader.pages[0].extract_text()


def test_without_a_site_it_says_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path)])
    assert "make book" in capsys.readouterr().err
