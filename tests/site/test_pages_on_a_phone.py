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

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

WINDOW = {"width": 390, "height": 844}
VIEW = {"viewport": WINDOW, "color_scheme": "dark"}
NARROW = {"width": 360, "height": 800}
each_page = pytest.mark.parametrize("name", PAGES)
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
    phone.set_viewport_size(NARROW)
    assert overflow(phone) == 0
    phone.set_viewport_size(WINDOW)


@each_page_with_explorers
def test_an_explorer_works(name: str, phone: Page) -> None:
    for explorer in explorers_of(name):
        shown = shown_at(find(phone, explorer), [explorer.last])
        assert shown == [explorer.state(explorer.last)], explorer.name


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
