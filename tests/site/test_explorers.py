"""Explorers on the page: what their controls show is what the course's function returned."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import pytest

from tests.house.notebooks import ROOT, notebooks
from tests.site.conftest import Site
from tests.site.visits import Visit, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

MAX_STATES = 200
STORED = re.compile(
    r'data-explorer="([\w-]+)".*?<script type="application/json">(.*?)</script>', re.S
)
SET_STATE = """async (figure, indices) => {
    const explorer = figure.explorer;
    explorer.inputs.forEach((input, i) => {
        input.value = indices[i];
        input.dispatchEvent(new Event("input"));
    });
    await explorer.drawn;
}"""
SHOWN = """async (figure) => {
    await figure.explorer.drawn;
    const rows = figure.explorer.view.data("rows");
    const names = Object.keys(figure.explorer.state.columns);
    const terms = [...figure.querySelectorAll("dt")].map((term) => term.textContent);
    const values = [...figure.querySelectorAll("dd")].map((value) => value.textContent);
    return {
        columns: Object.fromEntries(names.map((name) => [name, rows.map((row) => row[name])])),
        readouts: Object.fromEntries(terms.map((term, i) => [term, values[i]])),
    };
}"""


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


def stored_explorers() -> list[Explorer]:
    return [
        Explorer(f"book/{notebook.key}", name, json.loads(data))
        for notebook in notebooks(ROOT)
        for _, output in notebook.outputs()
        for name, data in STORED.findall(output.get("data", {}).get("text/html", ""))
    ]


EXPLORERS = stored_explorers()
each_explorer = pytest.mark.parametrize("explorer", EXPLORERS, ids=lambda explorer: explorer.name)


def find(page: Page, explorer: Explorer) -> Locator:
    return page.locator(f'figure[data-explorer="{explorer.name}"]')


def test_the_course_has_an_explorer() -> None:
    assert EXPLORERS


@each_explorer
def test_each_control_moves_by_keyboard_over_its_range(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, explorer.page, Visit())
    figure = find(page, explorer)
    for i, control in enumerate(explorer.data["controls"]):
        widget = figure.get_by_label(control["label"], exact=True)
        is_slider = widget.get_attribute("type") == "range"
        widget.press("Home")
        for index, text in enumerate(control["texts"]):
            if index:
                widget.press("ArrowRight" if is_slider else "ArrowDown")
            indices = [*explorer.start[:i], index, *explorer.start[i + 1 :]]
            shown = figure.evaluate(SHOWN)
            expected = explorer.state(indices)
            assert {key: shown[key] for key in expected} == expected
            if is_slider:
                assert figure.locator("output").all_inner_texts().count(text) >= 1
                assert widget.get_attribute("aria-valuetext") == text
        figure.evaluate(SET_STATE, explorer.start)
    page.context.close()


@each_explorer
def test_every_combination_shows_what_the_function_returned(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, explorer.page, Visit())
    figure = find(page, explorer)
    grid = [list(indices) for indices in product(*(range(size) for size in explorer.sizes))]
    for indices in grid[:: len(grid) // MAX_STATES + 1]:
        figure.evaluate(SET_STATE, indices)
        assert figure.evaluate(SHOWN) == explorer.state(indices), indices
    page.context.close()


@each_explorer
def test_the_picture_follows_the_data(explorer: Explorer, browser: Browser, address: str) -> None:
    page = open_page(browser, address, explorer.page, Visit())
    figure = find(page, explorer)
    pictures = {}
    for indices in ([0] * len(explorer.sizes), [size - 1 for size in explorer.sizes]):
        figure.evaluate(SET_STATE, indices)
        columns = json.dumps(explorer.state(indices)["columns"])
        pictures[columns] = figure.locator("svg").inner_html()
    assert len(set(pictures.values())) == len(pictures) == 2
    page.context.close()


@each_explorer
def test_the_chart_is_named_and_takes_the_pictures_place(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, explorer.page, Visit())
    figure = find(page, explorer)
    assert figure.get_by_role("img", name=explorer.data["alt"], exact=True).is_visible()
    assert not figure.locator(".explorer-static").is_visible()
    page.context.close()


@each_explorer
def test_the_explorer_works_from_a_disk(explorer: Explorer, browser: Browser, site: Site) -> None:
    page = open_page(browser, f"{site.folder.as_uri()}/", explorer.page, Visit())
    figure = find(page, explorer)
    last = [size - 1 for size in explorer.sizes]
    figure.evaluate(SET_STATE, last)
    assert figure.evaluate(SHOWN) == explorer.state(last)
    page.context.close()


@each_explorer
def test_the_chart_takes_the_colours_of_the_theme(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, explorer.page, Visit(), color_scheme="light")
    label = find(page, explorer).locator("svg .role-axis-label text").first
    before = label.get_attribute("fill")
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(
        """([figure, fill]) =>
            figure.querySelector(".role-axis-label text").getAttribute("fill") !== fill""",
        arg=[find(page, explorer).element_handle(), before],
    )
    page.context.close()


@each_explorer
def test_the_chart_fits_a_column_that_changes(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = open_page(browser, address, explorer.page, Visit())
    widen_article = "document.querySelector('.bd-sidebar-primary').style.display = 'none'"
    for change in (
        lambda: page.set_viewport_size({"width": 390, "height": 900}),
        lambda: page.set_viewport_size({"width": 1000, "height": 900}),
        lambda: page.evaluate(widen_article),
    ):
        change()
        page.wait_for_function(
            """figure => Math.abs(figure.querySelector("svg").getBoundingClientRect().width
                - figure.querySelector(".explorer-chart").clientWidth) < 3""",
            arg=find(page, explorer).element_handle(),
        )
    page.context.close()


def assert_stays_a_picture(figure: Locator, explorer: Explorer) -> None:
    assert figure.locator(".explorer-static img").is_visible()
    assert figure.locator("input, select, svg").count() == 0
    readouts = explorer.state(explorer.start)["readouts"]
    assert figure.locator("dt").all_inner_texts() == list(readouts)
    assert figure.locator("dd").all_inner_texts() == list(readouts.values())


@each_explorer
def test_without_scripts_the_picture_and_its_readouts_stay(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{address}{explorer.page}.html")
    assert_stays_a_picture(find(page, explorer), explorer)
    context.close()


@each_explorer
def test_without_the_charts_library_the_picture_and_its_readouts_stay(
    explorer: Explorer, browser: Browser, address: str
) -> None:
    page = browser.new_page()
    page.route("**/vendor/vega.js", lambda route: route.abort())
    with page.expect_console_message(lambda message: "stays a picture" in message.text):
        page.goto(f"{address}{explorer.page}.html")
    assert_stays_a_picture(find(page, explorer), explorer)
    page.close()
