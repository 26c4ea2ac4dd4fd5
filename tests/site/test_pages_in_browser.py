"""What works the same on every page, tried on one: search, theme, paper."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.site.conftest import Site
from tests.site.visits import Visit, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.site, pytest.mark.slow]


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
