"""Every page as it comes from a disk to a phone by night, opened once for all that is asked of it.

Pages with explorers are opened twice more, by browsers that can do less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.site.conftest import PAGES, Opened, Site
from tests.site.explorers import EXPLORERS, assert_stays_a_picture, explorers_of, find, shown_at
from tests.site.visits import Visit, axe_violations, open_page, overflow, start_explorers

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

WINDOW = {"width": 390, "height": 844}
NARROW = {"width": 360, "height": 800}
each_page = pytest.mark.parametrize("name", PAGES)
each_page_with_explorers = pytest.mark.parametrize(
    "name", list(dict.fromkeys(explorer.page for explorer in EXPLORERS))
)


@pytest.fixture
def disk(site: Site) -> str:
    return f"{site.folder.as_uri()}/"


@pytest.fixture
def phone(name: str, opened: Opened, browser: Browser, disk: str) -> Page:
    """The page, opened for the first of its tests and at rest."""

    def open_it(seen: Visit) -> Page:
        page = open_page(browser, disk, name, seen, viewport=WINDOW, color_scheme="dark")
        start_explorers(page)
        return page

    return opened.page(name, open_it)


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


@each_page_with_explorers
def test_without_scripts_the_pictures_and_their_readouts_stay(
    name: str, browser: Browser, disk: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{disk}{name}.html")
    for explorer in explorers_of(name):
        assert_stays_a_picture(page, explorer)
    context.close()


@each_page_with_explorers
def test_without_view_to_watch_and_library_every_explorer_is_tried_and_stays_a_picture(
    name: str, browser: Browser, disk: str
) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.IntersectionObserver")
    for script in ("vendor/vega", "mathjax/"):  # formulas are not asked for here
        page.route(f"**/{script}**", lambda route: route.abort())
    left = {explorer.name for explorer in explorers_of(name)}

    def said_so(message: ConsoleMessage) -> bool:
        left.difference_update(one for one in set(left) if f"{one} stays a picture" in message.text)
        return not left

    with page.expect_console_message(said_so):
        page.goto(f"{disk}{name}.html")
    for explorer in explorers_of(name):
        assert_stays_a_picture(page, explorer)
    page.close()
