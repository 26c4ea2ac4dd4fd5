"""The pages as a reader meets them: on desk and phone, light and dark, from server or disk."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest

from tests.site.conftest import Site
from tests.site.visits import Visit, axe_violations, open_page
from tools.notebooks import ROOT, notebooks, toc_entries

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

PAGES = [*toc_entries(ROOT), "search", "genindex"]
OPENINGS = [entry for entry in toc_entries(ROOT) if re.search(r"/\d\d_\w+/index$", entry)]
LESSONS = [f"book/{notebook.key}" for notebook in notebooks(ROOT)]
VIEWS = [("light", 1280), ("dark", 390)]  # colours and layout do not depend on each other


@pytest.fixture(scope="module")
def visit(browser: Browser, address: str) -> Any:
    """Opens a page once in a colour scheme and at a width, whichever test asks first."""

    @cache
    def open_once(name: str, scheme: str, width: int) -> Visit:
        seen = Visit()
        view = {"width": width, "height": 900}
        page = open_page(browser, address, name, seen, viewport=view, color_scheme=scheme)
        root = "document.documentElement"
        seen.overflow = page.evaluate(f"{root}.scrollWidth - {root}.clientWidth")
        seen.violations = axe_violations(page)
        page.context.close()
        return seen

    return open_once


@pytest.mark.parametrize("name", PAGES)
class TestEveryPage:
    def test_asks_no_other_host_for_anything(self, name: str, visit: Any) -> None:
        assert [visit(name, *view).outside for view in VIEWS] == [[]] * len(VIEWS)

    def test_reports_no_error(self, name: str, visit: Any) -> None:
        assert [visit(name, *view).errors for view in VIEWS] == [[]] * len(VIEWS)

    def test_is_no_wider_than_the_window(self, name: str, visit: Any) -> None:
        assert [visit(name, *view).overflow for view in VIEWS] == [0] * len(VIEWS)

    def test_violates_no_accessibility_rule(self, name: str, visit: Any) -> None:
        assert [visit(name, *view).violations for view in VIEWS] == [[]] * len(VIEWS)

    def test_works_from_a_disk(self, name: str, browser: Browser, site: Site) -> None:
        seen = Visit()
        open_page(browser, f"{site.folder.as_uri()}/", name, seen).context.close()
        assert seen == Visit()


def test_axe_would_find_a_fault(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><button aria-label="Find">Go</button>')
    assert axe_violations(page) == ["label-content-name-mismatch: button"]
    page.close()


@pytest.fixture(params=["server", "disk"])
def base(request: pytest.FixtureRequest, site: Site) -> str:
    if request.param == "disk":
        return f"{site.folder.as_uri()}/"
    return str(request.getfixturevalue("address"))


def test_the_search_finds_a_word_by_keyboard(base: str, browser: Browser) -> None:
    seen = Visit()
    page = open_page(browser, base, "book/index", seen)
    page.keyboard.press("Control+k")
    page.keyboard.type("checkpoint")
    page.keyboard.press("Enter")
    result = page.locator("#search-results li a", has_text="Glossary").first
    result.wait_for()
    page.wait_for_load_state("networkidle")  # it still reads the pages for their summaries
    result.press("Enter")
    page.wait_for_url("**/book/glossary.html*")
    page.context.close()
    assert seen == Visit()


def test_the_first_visit_follows_the_systems_theme(browser: Browser, address: str) -> None:
    for scheme in ("light", "dark"):
        page = open_page(browser, address, "book/index", Visit(), color_scheme=scheme)
        assert page.evaluate("document.documentElement.dataset.theme") == scheme
        page.context.close()


def test_the_theme_button_switches_and_is_remembered(browser: Browser, address: str) -> None:
    page = open_page(browser, address, "book/index", Visit(), color_scheme="light")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    page.locator(".theme-switch-button").first.press("Enter")
    dark = page.evaluate(background)
    assert dark != light
    page.reload()
    assert page.evaluate(background) == dark
    page.context.close()


def test_a_page_without_scripts_has_its_colours(browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}book/index.html")
    [colour] = {page.evaluate("getComputedStyle(document.querySelector('h1')).color")}
    assert colour == "rgb(29, 39, 51)"
    context.close()


def test_paper_is_light_whatever_the_screen_is(browser: Browser, address: str) -> None:
    page = open_page(browser, address, "book/index", Visit(), color_scheme="dark")
    theme = "document.documentElement.dataset.theme"
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.onPaper = {theme} }})")
    page.pdf()
    assert page.evaluate(f"[window.onPaper, {theme}]") == ["light", "dark"]
    page.context.close()


@pytest.mark.parametrize("name", OPENINGS)
def test_the_opening_of_a_chapter_is_one_screen(name: str, browser: Browser, address: str) -> None:
    page = open_page(browser, address, name, Visit(), viewport={"width": 1280, "height": 800})
    last = page.locator("article.bd-article :is(p, table)").last
    assert last.evaluate("part => part.getBoundingClientRect().bottom") <= 800
    page.context.close()


@pytest.fixture(scope="module", params=LESSONS)
def lesson(request: pytest.FixtureRequest, browser: Browser, address: str) -> Iterator[Page]:
    """A page of the course, opened once for the tests that answer its questions."""
    page = open_page(browser, address, request.param, Visit())
    yield page
    page.context.close()


def test_no_line_of_code_is_cut_on_a_small_desk(lesson: Page) -> None:
    cut = """codes => codes.filter((code) => code.scrollWidth > code.clientWidth + 1)
        .map((code) => code.textContent)"""
    assert lesson.locator("div.cell_input pre:visible").evaluate_all(cut) == []


def test_a_quiz_answers_by_keyboard_and_in_words(lesson: Page) -> None:
    for quiz in lesson.locator(".quiz").all():
        verdicts = []
        for option in quiz.locator("details").all():
            assert not option.locator("p").is_visible()
            option.locator("summary").press("Enter")
            verdicts.append(option.locator("p strong").inner_text())
        assert sorted(verdicts) == ["No."] * (len(verdicts) - 1) + ["Right."]
    assert lesson.locator(".quiz").count() > 0


def test_an_outcome_repeats_what_was_predicted(lesson: Page) -> None:
    for prediction in lesson.locator(".prediction").all():
        name = prediction.get_attribute("data-name")
        outcome = lesson.locator(f'.outcome[data-name="{name}"]')
        assert "You predicted" not in outcome.inner_text()
        options = prediction.locator("label")
        for option in (options.first, options.last):  # changing one's mind counts
            option.locator("input").press("Space")
            words = outcome.locator(".outcome-yours").all_inner_texts()
            assert words == [f"You predicted: {option.inner_text().strip()}"]
    assert lesson.locator(".prediction").count() > 0
