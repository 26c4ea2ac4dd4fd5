"""What works the same on every page, tried on one: search, theme, paper."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from tests.site.conftest import Site
from tests.site.visits import Visit, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.site, pytest.mark.slow]

DESK = {"width": 1280, "height": 800}
# The search lists its hits and then reads the pages for the lines under them.
ALL_READ = """() => document.querySelector(".search-summary")?.textContent
    && [...document.querySelectorAll("#search-results li")]
        .every((hit) => hit.children.length > 1)"""


FIRST_READ = "book/04_practice/text_classifier.html"


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
    if base.startswith("http"):
        page.wait_for_function(ALL_READ)
    result.press("Enter")
    page.wait_for_url("**/book/glossary.html*")
    page.context.close()
    assert seen == Visit()


FOUND = """items => items.map((item) => ({
    address: item.querySelector("a").getAttribute("href"),
    summary: item.querySelector("p.context")?.textContent ?? "",
}))"""


@pytest.fixture(scope="module")
def results(browser: Browser, address: str) -> Iterator[Callable[[str], list[dict[str, str]]]]:
    """What the search finds, in its order, with the line under each hit; it keeps no query."""
    page = browser.new_page()

    def search(query: str) -> list[dict[str, str]]:
        page.goto(f"{address}search.html?q={query}")
        page.wait_for_function(ALL_READ)
        assert page.evaluate("localStorage.getItem('sphinx_highlight_terms')") is None
        return list(page.locator("#search-results li").evaluate_all(FOUND))

    yield search
    page.close()


def test_the_search_puts_the_page_about_a_word_first(results: Callable[..., Any]) -> None:
    for query, first in (
        ("GPT", "04_practice/language_model"),
        ("learning rate", "glossary.html#term-learning-rate"),
        ("build_gpt", "api/models.html#companion.models.build_gpt"),
    ):
        assert first in results(query)[0]["address"]


def test_the_reference_comes_after_the_pages(results: Callable[..., Any]) -> None:
    is_reference = ["book/api/" in hit["address"] for hit in results("loss")]
    assert is_reference == sorted(is_reference)
    assert 0 < sum(is_reference) < len(is_reference)


def test_a_hit_shows_prose_and_opens_where_it_stands(results: Callable[..., Any]) -> None:
    hits = [hit for hit in results("overfitting") if "book/api/" not in hit["address"]]
    assert all(len(hit["summary"]) > 20 for hit in hits)
    assert not [hit for hit in hits if re.search(r"\\\\|[{}]|\n|\w = ", hit["summary"])]
    assert any("#" in hit["address"] for hit in hits)


def test_a_chinese_word_is_found_inside_a_sentence(results: Callable[..., Any]) -> None:
    assert any("02_concepts/attention" in hit["address"] for hit in results("推荐"))


def test_the_text_does_not_move_when_the_list_of_sections_comes(
    browser: Browser, address: str
) -> None:
    page = open_page(browser, address, "book/api/models", Visit(), viewport=DESK)
    place = "JSON.stringify(document.querySelector('article').getBoundingClientRect())"
    assert page.locator(".bd-sidebar-secondary").is_visible()
    after = page.evaluate(place)
    page.evaluate("document.querySelector('.bd-sidebar-secondary').remove()")
    assert page.evaluate(place) == after
    page.context.close()


def test_a_finger_sees_the_copy_buttons(browser: Browser, address: str) -> None:
    page = open_page(browser, address, "book/api/models", Visit(), is_mobile=True, has_touch=True)
    opacity = "buttons => buttons.map((button) => getComputedStyle(button).opacity)"
    assert set(page.locator(".copybtn").evaluate_all(opacity)) == {"1"}
    page.context.close()


def test_no_formula_is_cut_on_paper(browser: Browser, address: str) -> None:
    page = open_page(
        browser, address, "book/03_algorithms/gradient_descent", Visit(), viewport=DESK
    )
    page.emulate_media(media="print")
    page.set_viewport_size({"width": 700, "height": 1000})  # A4 within a browser's margins
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    widths = page.locator('mjx-container[display="true"]').evaluate_all(
        "all => all.map((one) => [one.scrollWidth, one.clientWidth])"
    )
    assert [pair for pair in widths if pair[0] > pair[1] + 1] == []
    assert any(pair[1] > 0 for pair in widths)
    page.context.close()


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


def test_the_first_page_leads_on_from_what_was_read_until_it_is_forgotten(
    browser: Browser, base: str
) -> None:
    page = browser.new_context(viewport=DESK).new_page()  # type: ignore[arg-type]
    page.goto(f"{base}book/index.html")
    assert not page.locator(".read-so-far").count()
    for read, following in ((FIRST_READ, "trustworthy"), ("book/08_faq/faq.html", "history")):
        page.goto(base + read)
        page.locator(".prev-next-footer").scroll_into_view_if_needed()
        page.locator('nav.bd-links a[href="#"] .read-tick').wait_for()
        page.goto(f"{base}book/index.html")
        link = page.locator(".read-so-far a")
        assert f"/{following}.html" in str(link.get_attribute("href"))
    assert page.locator(".read-so-far").inner_text().startswith("You have read 2 of ")
    page.get_by_role("button", name="Forget this").press("Enter")
    assert not page.locator(".read-so-far, .read-tick").count()
    page.reload()
    assert not page.locator(".read-so-far, .read-tick").count()


def test_a_store_that_someone_else_wrote_breaks_no_page(browser: Browser, base: str) -> None:
    page = browser.new_context(viewport=DESK).new_page()  # type: ignore[arg-type]
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    for stored in ("no JSON", "7", '["book/nowhere.html", 7, null]'):
        page.goto(f"{base}book/index.html")
        page.evaluate("text => localStorage.setItem('read', text)", stored)
        page.goto(base + FIRST_READ)
        page.locator(".prev-next-footer").scroll_into_view_if_needed()
        page.locator("nav.bd-links .read-tick").wait_for()
        assert page.locator("nav.bd-links .read-tick").count() == 1
    assert errors == []
