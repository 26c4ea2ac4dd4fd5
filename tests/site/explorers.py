"""The explorers as their notebooks store them, and what they show on a page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

from tools.notebooks import ROOT, notebooks

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

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
    def grid(self) -> list[list[int]]:
        """Every setting of the controls; the last one's value changes fastest."""
        return [list(indices) for indices in product(*(range(size) for size in self.sizes))]

    @property
    def start(self) -> list[int]:
        return [control["values"].index(control["start"]) for control in self.data["controls"]]

    @property
    def last(self) -> list[int]:
        return [size - 1 for size in self.sizes]

    def state(self, indices: list[int]) -> dict[str, Any]:
        """The stored state at these values."""
        return dict(self.data["states"][self.grid.index(indices)])

    def some_settings(self) -> list[list[int]]:
        """Settings of the controls, evenly spread and few enough to be drawn in one test."""
        rows = len(next(iter(self.data["states"][0]["columns"].values())))
        return self.grid[:: len(self.grid) // min(MAX_STATES, MAX_ROWS // rows) + 1]


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


def explorers_of(name: str) -> list[Explorer]:
    return [explorer for explorer in EXPLORERS if explorer.page == name]


def find(page: Page, explorer: Explorer) -> Locator:
    return page.locator(f'figure[data-explorer="{explorer.name}"]')


def shown_at(figure: Locator, grid: list[list[int]]) -> list[dict[str, Any]]:
    """What the explorer shows with its controls at these values."""
    return list(read(figure.evaluate(SHOWN_AT, grid)))


def assert_stays_a_picture(page: Page, explorer: Explorer) -> None:
    figure = find(page, explorer)
    assert figure.locator(".explorer-static img").is_visible()
    assert figure.locator("input, select, svg").count() == 0
    readouts = explorer.state(explorer.start)["readouts"]
    assert figure.locator("dt").all_inner_texts() == list(readouts)
    assert figure.locator("dd").all_inner_texts() == list(readouts.values())
