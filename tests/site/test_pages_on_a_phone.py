"""Every page as it comes from a disk to a phone by night, opened once for all that is asked of it.

Pages with explorers are opened twice more, by browsers that can do less.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.site.conftest import PAGES, Opened, Site
from tests.site.explorers import EXPLORERS, assert_stays_a_picture, explorers_of, find, shown_at
from tests.site.visits import Visit, axe_violations, overflow, start_explorers
from tools.notebooks import ROOT, notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

WINDOW = {"width": 390, "height": 844}
VIEW = {"viewport": WINDOW, "color_scheme": "dark"}
NARROWER = ({"width": 360, "height": 800}, {"width": 320, "height": 700})
LESSONS = [f"book/{notebook.key}" for notebook in notebooks(ROOT)]
# Of each figure: what is beyond the window's edge, and how much of its width on a desk is shown.
FIGURES = """pictures => pictures.map((picture) => {
    const { right, width } = picture.getBoundingClientRect();
    return [right - innerWidth, width / (parseFloat(picture.style.width) || picture.naturalWidth)];
})"""
# Scrolling without a shadow at the edge, or out of a key's reach.
UNMARKED = """formulas => formulas
    .filter((one) => one.scrollWidth > one.clientWidth + 1)
    .filter((one) => !getComputedStyle(one).backgroundImage.includes("gradient") || one.tabIndex)
    .map((one) => one.textContent)"""
# Words of a chart that reach over its edge, where they are cut.
CUT_WORDS = """figure => {
    const edge = figure.querySelector("svg").getBoundingClientRect();
    return [...figure.querySelectorAll("svg text")].filter((text) => {
        const { left, right, width } = text.getBoundingClientRect();
        return width && (left < edge.left - 2 || right > edge.right + 2);
    }).map((text) => text.textContent);
}"""
each_page = pytest.mark.parametrize("name", PAGES)
each_lesson = pytest.mark.parametrize("name", LESSONS)
each_page_with_explorers = pytest.mark.parametrize(
    "name", list(dict.fromkeys(explorer.page for explorer in EXPLORERS))
)


@pytest.fixture
def disk(site: Site) -> str:
    return f"{site.folder.as_uri()}/"


@pytest.fixture
def phone(name: str, opened: Opened, disk: str) -> Page:
    """The page, opened for the first of its tests and at rest."""
    return opened.page(disk, name, start_explorers)


@each_page
def test_is_no_wider_than_the_window(name: str, phone: Page) -> None:
    assert overflow(phone) == 0
    for window in NARROWER:
        phone.set_viewport_size(window)
        assert overflow(phone) == 0
    phone.set_viewport_size(WINDOW)


@each_lesson
def test_a_figure_fits_and_a_button_enlarges_it(name: str, phone: Page) -> None:
    pictures = phone.locator("div.cell_output > img:visible")
    assert all(beyond <= 0 for beyond, _ in pictures.evaluate_all(FIGURES))
    buttons = phone.locator("button.enlarge:visible")
    assert buttons.count() == pictures.count()
    for button in buttons.all():
        button.press("Enter")
    assert all(share >= 0.99 for _, share in pictures.evaluate_all(FIGURES))
    assert overflow(phone) == 0
    for button in buttons.all():
        button.press("Enter")
    assert all(beyond <= 0 for beyond, _ in pictures.evaluate_all(FIGURES))


@each_page
def test_a_wide_formula_shows_that_it_scrolls(name: str, phone: Page) -> None:
    phone.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    phone.evaluate("() => new Promise((done) => requestAnimationFrame(() => setTimeout(done)))")
    formulas = phone.locator('mjx-container[display="true"]:visible, span.math.scrolls')
    assert formulas.evaluate_all(UNMARKED) == []


@each_page_with_explorers
def test_no_word_of_a_chart_is_cut(name: str, phone: Page) -> None:
    for explorer in explorers_of(name):
        assert find(phone, explorer).evaluate(CUT_WORDS) == [], explorer.name


@each_page_with_explorers
def test_an_explorer_works(name: str, phone: Page) -> None:
    for explorer in explorers_of(name):
        shown = shown_at(find(phone, explorer), [explorer.last])
        assert shown == [explorer.state(explorer.last)], explorer.name


@pytest.mark.parametrize("name", ["book/index"])
def test_the_course_opens_with_a_picture_and_what_moves_it(name: str, phone: Page) -> None:
    bottom = "part => part.getBoundingClientRect().bottom + scrollY"
    figure = phone.locator("figure.explorer")
    for part in (figure.locator("svg"), figure.locator("input").first):
        assert part.evaluate(bottom) <= WINDOW["height"]


@each_page
def test_violates_no_accessibility_rule(name: str, phone: Page) -> None:
    assert axe_violations(phone) == []


@each_page
def test_works_from_a_disk(name: str, phone: Page, opened: Opened) -> None:
    assert opened.seen == Visit()


@pytest.fixture(scope="module")
def scriptless(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(java_script_enabled=False)
    yield context.new_page()
    context.close()


@each_page_with_explorers
def test_without_scripts_the_pictures_and_their_readouts_stay(
    name: str, scriptless: Page, disk: str
) -> None:
    scriptless.goto(f"{disk}{name}.html")
    for explorer in explorers_of(name):
        assert_stays_a_picture(scriptless, explorer)


@pytest.fixture(scope="module")
def lesser(browser: Browser) -> Iterator[Page]:
    """A browser that cannot watch the view and gets no charts' library."""
    page = browser.new_page()
    page.add_init_script("delete window.IntersectionObserver")
    for script in ("vendor/vega", "mathjax/"):  # formulas are not looked at here
        page.route(f"**/{script}**", lambda route: route.abort())
    yield page
    page.close()


@each_page_with_explorers
def test_without_view_to_watch_and_library_every_explorer_is_tried_and_stays_a_picture(
    name: str, lesser: Page, disk: str
) -> None:
    left = {explorer.name for explorer in explorers_of(name)}

    def said_so(message: ConsoleMessage) -> bool:
        left.difference_update(one for one in set(left) if f"{one} stays a picture" in message.text)
        return not left

    with lesser.expect_console_message(said_so):
        lesser.goto(f"{disk}{name}.html")
    for explorer in explorers_of(name):
        assert_stays_a_picture(lesser, explorer)
