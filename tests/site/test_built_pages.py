"""The site as files: it builds without a warning, and every page is whole by itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import NavigableString, Tag

from tests.site import checks
from tests.site.conftest import Site
from tests.site.explorers import EXPLORERS, read
from tools.notebooks import ROOT, Notebook, notebooks, toc_entries

pytestmark = pytest.mark.site

# Chinese characters and their punctuation.
TWO_COLUMNS = re.compile("[\u3000-\u303f\u4e00-\u9fff\uff00-\uff60]")


def pages(site: Site) -> list[Path]:
    return [site.folder / f"{entry}.html" for entry in toc_entries(ROOT)]


def test_the_site_builds_without_a_warning(site: Site) -> None:
    assert site.returncode == 0, site.log
    assert "WARNING" not in site.log


def test_every_page_of_the_contents_and_no_other_is_built(site: Site) -> None:
    assert set((site.folder / "book").rglob("*.html")) == set(pages(site))


def test_every_link_leads_somewhere(site: Site) -> None:
    assert checks.dead_links(site.folder) == []


def test_no_page_loads_anything_from_another_host(site: Site) -> None:
    assert checks.outside_loads(site.folder) == []


def test_every_picture_has_words(site: Site) -> None:
    assert checks.mute_pictures(site.folder) == []


@pytest.mark.parametrize("notebook", notebooks(ROOT), ids=lambda notebook: notebook.key)
def test_a_pictures_words_are_those_stored_with_it(notebook: Notebook, site: Site) -> None:
    page = checks.read(site.folder / "book" / f"{notebook.key}.html")
    article = page.find("article")
    shown = {picture["alt"] for picture in article.find_all("img")}
    folded = {squeeze(fold) for fold in article.select("details.figure-words:not([open])")}
    bundles = [output.get("data", {}) for _, output in notebook.outputs()]
    for bundle in bundles:
        if "image/png" in bundle:
            alt, *words = bundle["text/plain"].splitlines()
            assert alt in shown
            told = " ".join(["The figure in words", *words])
            assert "text/html" in bundle or " ".join(told.split()) in folded


def squeeze(tag: Tag) -> str:
    """A tag's text with a space between its parts."""
    return " ".join(tag.get_text(" ").split())


def test_the_landing_page_opens_with_an_explorer_of_the_course(site: Site) -> None:
    (figure,) = checks.read(site.folder / "book/index.html").select("article figure.explorer")
    (shown,) = [one for one in EXPLORERS if one.name == figure["data-explorer"]]
    assert read(figure.find("script", type="application/json").string) == shown.data


def test_the_markers_behind_numbers_stay_out_of_the_pages(site: Site) -> None:
    assert [page.name for page in pages(site) if "<!--=" in page.read_text("utf-8")] == []


def test_only_pages_with_formulas_load_mathjax(site: Site) -> None:
    for page in pages(site):
        text = page.read_text("utf-8")
        assert ("mathjax/" in text) == ('class="math' in text), page.name


def test_what_every_page_loads_is_one_stylesheet_and_two_scripts(site: Site) -> None:
    shared = [
        {
            tag.get("href") or tag["src"]
            for tag in checks.read(page).select("link[rel=stylesheet], script[src]")
        }
        for page in site.folder.glob("book/0*/*.html")
    ]
    assert sorted(re.sub(r".*/|\?.*", "", file) for file in set.intersection(*shared)) == [
        "all-first.js",
        "all-later.js",
        "all-styles.css",
    ]


def test_large_pictures_are_stored_in_few_bytes(site: Site) -> None:
    large = [one.name for one in site.folder.glob("_images/*.png") if one.stat().st_size > 20_000]
    assert large == []


@pytest.mark.parametrize("script", ["searchindex.js", "search_counts.js", "sphinx_highlight.js"])
def test_only_the_search_loads_what_it_needs(script: str, site: Site) -> None:
    for page in checks.pages(site.folder):
        assert (script in page.read_text("utf-8")) == (page.name == "search.html")


@pytest.mark.parametrize("notebook", notebooks(ROOT), ids=lambda notebook: notebook.key)
def test_printed_prose_is_wrapped_and_printed_tables_are_not(
    notebook: Notebook, site: Site
) -> None:
    page = checks.read(site.folder / "book" / f"{notebook.key}.html")
    for output in page.select("div.output.stream"):
        lines = output.get_text().splitlines()
        longest = max(len(line) + len(TWO_COLUMNS.findall(line)) for line in lines)
        assert ("long-lines" in output["class"]) == (longest > 100)


def test_every_page_describes_itself_to_search_engines(site: Site) -> None:
    descriptions = {
        page: checks.read(page).find("meta", attrs={"name": "description"})["content"]
        for page in pages(site)
    }
    assert all(len(text) >= 20 for text in descriptions.values()), descriptions
    assert len(set(descriptions.values())) == len(descriptions)


def test_chinese_text_is_marked_as_chinese(site: Site) -> None:
    chinese = re.compile("[\u4e00-\u9fff]")
    marked = 0
    for page in pages(site):
        for text in checks.read(page).body.find_all(string=chinese):
            parent = text.parent
            if parent.name not in ("script", "option"):
                assert parent.get("lang") == "zh", f"{page.name}: {text}"
                marked += 1
    assert marked > 0


def test_a_number_stays_with_its_percent_sign(site: Site) -> None:
    for page in pages(site):
        for text in checks.read(page).body.find_all(string=re.compile(r"\d %")):
            assert text.find_parent(["pre", "code", "figure", "script", "option"]), (
                f"{page.name}: {text}"
            )


def test_a_formula_stays_with_the_mark_behind_it(site: Site) -> None:
    for page in pages(site):
        for formula in checks.read(page).select("article span.math"):
            behind = formula.next_sibling
            if isinstance(behind, NavigableString) and behind[:1] in set(",.;:!?)"):
                assert formula.parent.get("class") == ["one-line"], f"{page.name}: {formula}"


def test_every_figure_of_a_notebook_can_be_enlarged(site: Site) -> None:
    for notebook in notebooks(ROOT):
        page = site.folder / "book" / f"{notebook.key}.html"
        for picture in checks.read(page).select("div.cell_output > img"):
            button = picture.find_next_sibling()
            assert (button.name, button["class"]) == ("button", ["enlarge"]), picture["src"]


def test_every_head_says_once_how_wide_the_page_is(site: Site) -> None:
    for page in pages(site):
        assert len(checks.read(page).find_all("meta", attrs={"name": "viewport"})) == 1, page.name


def test_every_page_names_its_language(site: Site) -> None:
    assert {checks.read(page).find("html")["lang"] for page in pages(site)} == {"en"}


def test_a_notebook_can_be_downloaded_from_its_page(site: Site) -> None:
    for notebook in notebooks(ROOT):
        page = site.folder / "book" / f"{notebook.key}.html"
        [link] = checks.read(page).select("a.btn-download-source-button")
        assert (page.parent / link["href"]).resolve().read_bytes() == notebook.path.read_bytes()
        assert link.has_attr("download")  # or a server's JSON opens as text
        assert not link.has_attr("target")


def test_no_page_shows_a_path_of_the_machine_that_built_it(site: Site) -> None:
    for page in pages(site):
        assert str(ROOT) not in page.read_text("utf-8"), page.name


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    """A site with one fault of each kind."""
    (tmp_path / "style.css").write_text("@import url(https://fonts.example.org/a.css);")
    (tmp_path / "b.html").write_text('<p id="here">')
    (tmp_path / "a.html").write_text(
        '<a href="b.html#here">right</a><a href="b.html#gone">wrong</a><a href="c.html">wrong</a>'
        '<a href="https://example.org">elsewhere</a><script src="//cdn.example.org/x.js"></script>'
        '<img src="style.css" alt="../_images/3f.png"><img src="style.css">'
        '<img src="style.css" alt="A curve that rises">'
    )
    return tmp_path


def test_dead_links_are_found(faulty: Path) -> None:
    assert checks.dead_links(faulty) == ["a.html: b.html#gone", "a.html: c.html"]


def test_loads_from_other_hosts_are_found(faulty: Path) -> None:
    assert checks.outside_loads(faulty) == [
        "a.html: //cdn.example.org/x.js",
        "style.css: https://fonts.example.org/a.css",
    ]


def test_pictures_without_words_are_found(faulty: Path) -> None:
    assert checks.mute_pictures(faulty) == ["a.html: style.css"] * 2
