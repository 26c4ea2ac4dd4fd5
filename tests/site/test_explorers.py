"""Explorers on the page: what their controls show is what the course's function returned."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.site.conftest import Site
from tests.site.visits import Visit, open_page
from tools.notebooks import ROOT, notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

MAX_STATES = 60
MAX_ROWS = 20_000  # drawn in one test
STORED = re.compile(
    r'data-explorer="([\w-]+)".*?<script type="application/json">(.*?)</script>', re.S
)
# Both give JSON: a number comes back as it was written, however large.
SHOWN = """async (figure) => {
    await figure.explorer.drawn;
    const rows = figure.explorer.view.data("rows");
    const names = Object.keys(figure.explorer.state.columns);
    const terms = [...figure.querySelectorAll("dt")].map((term) => term.textContent);
    const values = [...figure.querySelectorAll("dd")].map((value) => value.textContent);
    return JSON.stringify({
        columns: Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])),
        readouts: Object.fromEntries(terms.map((term, i) => [term, values[i]])),
    });
}"""
THEME_COLOURS = """["text-base", "text-muted"].map((name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--pst-color-${name}`).trim())"""
SHOWN_AT = f"""async (figure, grid) => {{
    const shown = {SHOWN};
    const states = [];
    for (const indices of grid) {{
        figure.explorer.inputs.forEach((input, i) => {{
            input.value = indices[i];
            input.dispatchEvent(new Event("input"));
        }});
        states.push(await shown(figure));
    }}
    return `[${{states}}]`;
}}"""


@dataclass(frozen=True)
class Explorer:
    """An explorer as its notebook stores it."""

    page: str
    name: str
    data: dict[str, Any]

    @property
    def sizes(self) -> list[int]:
        return [len(control["values"]) for control in self.data["controls"]]

    @property
    def start(self) -> list[int]:
        return [control["values"].index(control["start"]) for control in self.data["controls"]]

    def state(self, indices: list[int]) -> dict[str, Any]:
        """The stored state at these values; the last control's changes fastest."""
        grid = list(product(*(range(size) for size in self.sizes)))
        return self.data["states"][grid.index(tuple(indices))]


def read(text: str) -> Any:
    """JSON with every number a float: 2.85e20 is written with and without its exponent."""
    return json.loads(text, parse_int=float)


def stored_explorers() -> list[Explorer]:
    return [
        Explorer(f"book/{notebook.key}", name, read(data))
        for notebook in notebooks(ROOT)
        for _, output in notebook.outputs()
        for name, data in STORED.findall(output.get("data", {}).get("text/html", ""))
    ]


EXPLORERS = stored_explorers()


@pytest.fixture(scope="module", params=EXPLORERS, ids=lambda explorer: explorer.name)
def explorer(request: pytest.FixtureRequest) -> Explorer:
    return request.param


@pytest.fixture(scope="module")
def opened(explorer: Explorer, browser: Browser, address: str) -> Iterator[Page]:
    """The explorer's page, opened once for the tests that use its controls."""
    page = open_page(browser, address, explorer.page, Visit())
    yield page
    page.context.close()


@pytest.fixture
def page(opened: Page, explorer: Explorer) -> Page:
    """The explorer's page as it opens on a desk by day."""
    opened.emulate_media(color_scheme="light")
    opened.set_viewport_size({"width": 1280, "height": 720})
    shown_at(find(opened, explorer), [explorer.start])
    return opened


def find(page: Page, explorer: Explorer) -> Locator:
    return page.locator(f'figure[data-explorer="{explorer.name}"]')


def test_the_course_has_an_explorer() -> None:
    assert EXPLORERS


def shown_at(figure: Locator, grid: list[list[int]]) -> list[dict[str, Any]]:
    """What the explorer shows with its controls at these values."""
    return list(read(figure.evaluate(SHOWN_AT, grid)))


def test_each_control_moves_by_keyboard_over_its_range(explorer: Explorer, page: Page) -> None:
    figure = find(page, explorer)
    assert figure.get_by_role("img", name=explorer.data["alt"], exact=True).is_visible()
    assert not figure.locator(".explorer-static").is_visible()
    for i, control in enumerate(explorer.data["controls"]):
        widget = figure.get_by_label(control["label"], exact=True)
        is_slider = widget.get_attribute("type") == "range"
        widget.press("Home")
        for index, text in enumerate(control["texts"]):
            if index:
                widget.press("ArrowRight" if is_slider else "ArrowDown")
            indices = [*explorer.start[:i], index, *explorer.start[i + 1 :]]
            assert read(figure.evaluate(SHOWN)) == explorer.state(indices)
            if is_slider:
                assert figure.locator("output").all_inner_texts().count(text) >= 1
                assert widget.get_attribute("aria-valuetext") == text
        shown_at(figure, [explorer.start])


def test_picture_and_readouts_are_what_the_function_returned(
    explorer: Explorer, page: Page
) -> None:
    figure = find(page, explorer)
    grid = [list(indices) for indices in product(*(range(size) for size in explorer.sizes))]
    rows = len(next(iter(explorer.state(grid[0])["columns"].values())))
    some = grid[:: len(grid) // min(MAX_STATES, MAX_ROWS // rows) + 1]
    assert shown_at(figure, some) == [explorer.state(indices) for indices in some]
    pictures = {}
    for indices in (grid[0], grid[-1]):
        [shown] = shown_at(figure, [indices])
        pictures[json.dumps(shown["columns"])] = figure.locator("svg").inner_html()
    assert len(set(pictures.values())) == len(pictures) == 2


def test_a_picture_that_failed_does_not_keep_the_next_from_being_drawn(
    explorer: Explorer, page: Page
) -> None:
    figure, last = find(page, explorer), [size - 1 for size in explorer.sizes]
    failed = figure.evaluate(
        """figure => figure.explorer.queue(() => { throw new Error("planted"); })
            .then(() => "drawn", (error) => error.message)"""
    )
    assert failed == "planted"
    assert shown_at(figure, [last]) == [explorer.state(last)]


def test_the_explorer_works_from_a_disk(explorer: Explorer, browser: Browser, site: Site) -> None:
    page = open_page(browser, f"{site.folder.as_uri()}/", explorer.page, Visit())
    figure = find(page, explorer)
    last = [size - 1 for size in explorer.sizes]
    assert shown_at(figure, [last]) == [explorer.state(last)]
    page.context.close()


def test_the_chart_follows_the_theme_and_the_width(explorer: Explorer, page: Page) -> None:
    figure = find(page, explorer).element_handle()
    light = page.evaluate(THEME_COLOURS)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        f"light => ({THEME_COLOURS}).every((colour) => !light.includes(colour))", arg=light
    )
    page.wait_for_function(
        """([figure, light]) =>
            [...figure.querySelectorAll("svg [fill], svg [stroke]")].every((part) =>
                !light.includes(part.getAttribute("fill"))
                && !light.includes(part.getAttribute("stroke")))""",
        arg=[figure, light],
    )
    sidebar = "document.querySelector('.bd-sidebar-primary').style.display"
    for change in (
        lambda: page.set_viewport_size({"width": 390, "height": 900}),
        lambda: page.set_viewport_size({"width": 1000, "height": 900}),
        lambda: page.evaluate(f"{sidebar} = 'none'"),
        lambda: page.evaluate(f"{sidebar} = ''"),
    ):
        change()
        page.wait_for_function(
            """figure => Math.abs(figure.querySelector("svg").getBoundingClientRect().width
                - figure.querySelector(".explorer-chart").clientWidth) < 3""",
            arg=figure,
        )


def assert_stays_a_picture(figure: Locator, explorer: Explorer) -> None:
    assert figure.locator(".explorer-static img").is_visible()
    assert figure.locator("input, select, svg").count() == 0
    readouts = explorer.state(explorer.start)["readouts"]
    assert figure.locator("dt").all_inner_texts() == list(readouts)
    assert figure.locator("dd").all_inner_texts() == list(readouts.values())


def test_without_scripts_the_picture_and_its_readouts_stay(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{explorer.page}.html")
    assert_stays_a_picture(find(page, explorer), explorer)
    context.close()


def test_the_charts_library_is_loaded_when_an_explorer_comes_near(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{address}{explorer.page}.html")
    page.wait_for_load_state("networkidle")
    assert not [url for url in asked if "vega" in url]
    find(page, explorer).scroll_into_view_if_needed()
    find(page, explorer).locator("svg").first.wait_for()
    page.close()


def test_a_browser_that_cannot_watch_the_view_starts_the_explorers_at_once(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.add_init_script("delete window.IntersectionObserver")
    page.goto(f"{address}{explorer.page}.html")
    find(page, explorer).locator("svg").first.wait_for()
    page.close()


def test_without_the_charts_library_the_picture_and_its_readouts_stay(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.route("**/vendor/vega.js", lambda route: route.abort())
    with page.expect_console_message(lambda message: "stays a picture" in message.text):
        page.goto(f"{address}{explorer.page}.html")
        page.keyboard.press("Shift")
    assert_stays_a_picture(find(page, explorer), explorer)
    page.close()
