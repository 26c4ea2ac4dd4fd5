"""Every page as a server sends it to a desk by day, opened once for all that is asked of it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.site import checks
from tests.site.conftest import PAGES, Opened, Site
from tests.site.explorers import EXPLORERS, SHOWN, Explorer, explorers_of, find, read, shown_at
from tests.site.visits import axe_violations, overflow, start_explorers
from tools.notebooks import ROOT, notebooks, toc_entries

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, Page

pytestmark = [pytest.mark.site, pytest.mark.slow]

OPENINGS = [entry for entry in toc_entries(ROOT) if re.search(r"/\d\d_\w+/index$", entry)]
LESSONS = [f"book/{notebook.key}" for notebook in notebooks(ROOT)]
# Pictures of other things in each state: of squares and words, of two halves of a field, of other
# pictures, films and ways.
WITHOUT_GREY = {"answers-to", "kernel", "one-neuron", "pieces", "ways-to-train", "your-list"}
WINDOW = {"width": 1280, "height": 800}
VIEW = {"viewport": WINDOW, "color_scheme": "light"}
MOST_REQUESTS, MOST_BYTES = 20, 600_000
each_page = pytest.mark.parametrize("name", PAGES)
each_lesson = pytest.mark.parametrize("name", LESSONS)
each_page_with_explorers = pytest.mark.parametrize(
    "name", list(dict.fromkeys(explorer.page for explorer in EXPLORERS))
)
each_explorer = pytest.mark.parametrize(
    ("name", "explorer"),
    [(explorer.page, explorer) for explorer in EXPLORERS],
    ids=[explorer.name for explorer in EXPLORERS],
)
# Whether the charts' library was asked for, once what is near the view has been seen, and whether
# it should have been.
CHARTS_AT_FIRST = """async () => {
    for (const _ of "12") await new Promise(requestAnimationFrame);
    const near = (figure) => figure.getBoundingClientRect().top < 2 * innerHeight;
    return {
        asked: document.querySelector('script[src*="vendor/vega"]') !== null,
        needed: [...document.querySelectorAll("figure.explorer")].some(near),
    };
}"""
DARK_AND_DRAWN = """async (figures) => {
    await new Promise(requestAnimationFrame); // the theme's change is told after the script
    for (const { explorer } of figures) await explorer.drawn;
}"""
SEEN_CODE = """() => [...document.querySelectorAll("div.cell:not(.tag_hide-cell) div.cell_input")]
    .filter((input) => input.checkVisibility()).length"""
# Where the axes of numbers begin and end; a chart may lack one.
ENDS_OF_AXES = """({ explorer: { view } }) => Object.fromEntries(["x", "y"].map((name) => {
    const scale = view._runtime.scales[name]?.value;
    return [name, ["linear", "log"].includes(scale?.type) ? scale.domain() : []];
}))"""
# What is drawn of the state's own rows and of the start's, and where.
DRAWN = """({ explorer: { view } }) => {
    const [svg] = view.container().getElementsByTagName("svg");
    const places = (parts) => parts
        .map((part) => `${part.getAttribute("d")} ${part.getAttribute("transform")}`);
    const isGhost = (part) => part.closest('[class*=" start-"]') !== null;
    const isSeen = (part) => part.checkVisibility({ opacityProperty: true })
        && part.getAttribute("opacity") !== "0";
    const parts = [...svg.querySelectorAll('[class*=" role-mark "] path')].filter(isSeen);
    const scales = ["x", "y"].map((name) => view._runtime.scales[name]?.value)
        .map((scale) => [scale?.domain(), scale?.range()]);
    return {
        own: places(parts.filter((part) => !isGhost(part))),
        start: places(parts.filter(isGhost)),
        scales: JSON.stringify(scales),
    };
}"""
BOTTOM = "part => part.getBoundingClientRect().bottom + scrollY"
# The theme's words and lines as the charts' parts are coloured.
THEME_COLOURS = """["text-base", "text-muted"].map((name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--pst-color-${name}`).trim())"""
PART_COLOURS = """figure => [...figure.querySelectorAll("svg [fill], svg [stroke]")]
    .flatMap((part) => [part.getAttribute("fill"), part.getAttribute("stroke")])"""
# In its words, and to a screen reader.
SLIDER_SAYS = """slider =>
    [slider.parentElement.querySelector("output").innerText,
        slider.getAttribute("aria-valuetext")]"""
FILLS_ITS_COLUMN = """figure => Math.abs(figure.querySelector("svg").getBoundingClientRect().width
    - figure.querySelector(".explorer-chart").clientWidth) < 3"""


@pytest.fixture
def desk(name: str, opened: Opened, address: str) -> Page:
    """The page, opened for the first of its tests and at rest."""

    def come_near(page: Page) -> None:
        opened.notes = page.evaluate(CHARTS_AT_FIRST)
        figures = page.locator("figure.explorer")
        if figures.count():
            figures.last.scroll_into_view_if_needed()
            figures.last.locator("svg").first.wait_for()
        start_explorers(page)

    return opened.page(address, name, come_near)


@each_page
def test_asks_no_other_host_for_anything(name: str, desk: Page, opened: Opened) -> None:
    assert opened.seen.outside == []


@each_page
def test_the_first_view_is_light(
    name: str, desk: Page, opened: Opened, address: str, site: Site
) -> None:
    files = [url.removeprefix(address).partition("?")[0] for url in opened.seen.first_view]
    assert len(files) <= MOST_REQUESTS
    assert sum(checks.sent_bytes(site.folder / file) for file in set(files)) <= MOST_BYTES


@each_page
def test_is_no_wider_than_the_window(name: str, desk: Page) -> None:
    assert overflow(desk) == 0


@pytest.mark.parametrize("name", OPENINGS)
def test_the_opening_of_a_chapter_is_one_screen(name: str, desk: Page) -> None:
    # its words and its list of pages; a section may follow
    last = desk.locator("article.bd-article :is(p, table):not(section section *)").last
    bottom = last.evaluate("part => part.getBoundingClientRect().bottom + scrollY")
    assert bottom <= WINDOW["height"]


@each_page_with_explorers
def test_the_charts_library_is_loaded_when_an_explorer_comes_near(
    name: str, desk: Page, opened: Opened
) -> None:
    assert opened.notes["asked"] == opened.notes["needed"]


@each_lesson
def test_no_line_of_code_is_cut(name: str, desk: Page) -> None:
    cut = """codes => codes.filter((code) => code.scrollWidth > code.clientWidth + 1)
        .map((code) => code.textContent)"""
    assert desk.locator("div.cell_input pre:visible").evaluate_all(cut) == []


@each_lesson
def test_no_printed_line_is_cut(name: str, desk: Page) -> None:
    cut = """lines => lines.filter((line) => line.scrollWidth > line.clientWidth + 1)
        .map((line) => line.textContent)"""
    assert desk.locator("div.cell_output pre:visible").evaluate_all(cut) == []


@each_page
def test_the_list_of_sections_fits(name: str, desk: Page) -> None:
    cut = "lists => lists.filter((list) => list.scrollWidth > list.clientWidth).length"
    assert desk.locator(".bd-sidebar-secondary").evaluate_all(cut) == 0


@each_lesson
def test_a_quiz_answers_by_keyboard_and_in_words(name: str, desk: Page) -> None:
    for quiz in desk.locator(".quiz").all():
        verdicts = []
        for option in quiz.locator("details").all():
            assert not option.locator("p").is_visible()
            option.locator("summary").press("Enter")
            verdicts.append(option.locator("p strong").inner_text())
        assert sorted(verdicts) == ["No."] * (len(verdicts) - 1) + ["Right."]
    assert desk.locator(".quiz").count() > 0


@each_lesson
def test_an_outcome_repeats_what_was_predicted(name: str, desk: Page) -> None:
    for prediction in desk.locator(".prediction").all():
        question = prediction.get_attribute("data-name")
        outcome = desk.locator(f'.outcome[data-name="{question}"]')
        assert "You predicted" not in outcome.inner_text()
        options = prediction.locator("label")
        for option in (options.first, options.last):  # changing one's mind counts
            option.locator("input").press("Space")
            words = outcome.locator(".outcome-yours").all_inner_texts()
            assert words == [f"You predicted: {option.inner_text().strip()}"]
    assert desk.locator(".prediction").count() > 0


@pytest.fixture
def figure(explorer: Explorer, desk: Page) -> Locator:
    """An explorer on its page, with its controls as they are at first."""
    found = find(desk, explorer)
    shown_at(found, [explorer.start])
    return found


@each_explorer
def test_each_control_moves_by_keyboard_over_its_range(explorer: Explorer, figure: Locator) -> None:
    assert figure.get_by_role("img", name=explorer.data["alt"], exact=True).is_visible()
    assert not figure.locator(".explorer-static").is_visible()
    for i, control in enumerate(explorer.data["controls"]):
        widget = figure.get_by_label(control["label"], exact=True)
        is_slider = widget.get_attribute("type") == "range"
        widget.press("Home")
        for index, text in enumerate(control["texts"]):
            if index:
                figure.page.keyboard.press("ArrowRight" if is_slider else "ArrowDown")
            indices = [*explorer.start[:i], index, *explorer.start[i + 1 :]]
            assert read(figure.evaluate(SHOWN)) == explorer.state(indices)
            if is_slider:
                assert widget.evaluate(SLIDER_SAYS) == [text, text]
        shown_at(figure, [explorer.start])


@each_explorer
def test_picture_and_readouts_are_what_the_function_returned(
    explorer: Explorer, figure: Locator
) -> None:
    some = explorer.some_settings()
    assert shown_at(figure, some) == [explorer.state(indices) for indices in some]
    pictures = {}
    for indices in (explorer.grid[0], explorer.last):
        [shown] = shown_at(figure, [indices])
        pictures[json.dumps(shown["columns"])] = figure.locator("svg").inner_html()
    assert len(set(pictures.values())) == len(pictures) == 2


@each_explorer
def test_an_axis_stays_where_it_is_or_the_reader_is_told(
    explorer: Explorer, figure: Locator
) -> None:
    ends = []
    for indices in (explorer.start, *explorer.some_settings()):
        shown_at(figure, [indices])
        ends.append(figure.evaluate(ENDS_OF_AXES))
    note = "".join(figure.locator(".explorer-note").all_inner_texts())
    for axis, name in (("x", "horizontal"), ("y", "vertical")):
        stays = len({tuple(end[axis]) for end in ends}) == 1
        assert stays or f"{name} axis" in note or f"{name} and the" in note


@each_explorer
def test_an_axis_writes_powers_of_ten_as_people_do(explorer: Explorer, figure: Locator) -> None:
    for indices in (explorer.grid[0], explorer.start, explorer.last):
        shown_at(figure, [indices])
        labels = figure.locator(".role-axis-label text").all_text_contents()
        assert not [label for label in labels if re.search(r"\de[+\-−]?\d", label)]


@each_explorer
def test_the_start_stays_in_grey_until_the_reader_goes_back_to_it(
    explorer: Explorer, figure: Locator
) -> None:
    start = figure.evaluate(DRAWN)
    memory = figure.locator(".explorer-memory")
    assert start["start"] == []
    assert not memory.is_visible()
    remembered = 0
    ends = [(i, end) for i, last in enumerate(explorer.last) for end in (0, last)]
    for i, end in ends:
        indices = [*explorer.start[:i], end, *explorer.start[i + 1 :]]
        shown_at(figure, [indices])
        drawn = figure.evaluate(DRAWN)
        if drawn["start"]:
            remembered += 1
            assert "Grey: the start." in memory.inner_text()
            if drawn["scales"] == start["scales"]:
                assert set(drawn["start"]) <= set(start["own"])
        assert memory.is_visible() == (indices != explorer.start)
    assert remembered > 0 or explorer.name in WITHOUT_GREY
    shown_at(figure, [explorer.last])
    if explorer.last != explorer.start:
        figure.get_by_role("button", name="Back to the start").press("Enter")
    assert read(figure.evaluate(SHOWN)) == explorer.state(explorer.start)
    assert figure.evaluate(DRAWN)["start"] == []
    assert not memory.is_visible()


@each_explorer
def test_a_picture_that_failed_does_not_keep_the_next_from_being_drawn(
    explorer: Explorer, figure: Locator
) -> None:
    failed = figure.evaluate(
        """figure => figure.explorer.queue(() => { throw new Error("planted"); })
            .then(() => "drawn", (error) => error.message)"""
    )
    assert failed == "planted"
    assert shown_at(figure, [explorer.last]) == [explorer.state(explorer.last)]


@pytest.mark.parametrize("name", ["book/04_practice/language_model"])
def test_a_single_bar_is_no_wall(name: str, desk: Page) -> None:
    figure = desk.locator('figure[data-explorer="next-token"]')
    shown_at(figure, [[0, 0, 2, 2]])  # at temperature 0 one token is left
    [bar] = figure.locator(".mark-rect.role-mark:not([class*=start-]) path").all()
    box = bar.bounding_box()
    assert box is not None
    assert 20 < box["height"] < 60


@pytest.mark.parametrize("name", ["book/index"])
def test_the_course_opens_with_an_explorer_that_moves(name: str, desk: Page) -> None:
    figure = desk.locator("figure.explorer")
    seen = [*figure.locator("input").all(), figure.locator("svg"), figure.locator("dd").first]
    assert max(one.evaluate(BOTTOM) for one in seen) <= WINDOW["height"]


@each_page_with_explorers
def test_the_charts_follow_the_width(name: str, desk: Page) -> None:
    figures = [find(desk, explorer).element_handle() for explorer in explorers_of(name)]
    sidebar = "document.querySelector('.bd-sidebar-primary').style.display"
    for change in (
        lambda: desk.set_viewport_size({"width": 390, "height": 800}),
        lambda: desk.set_viewport_size(WINDOW),
        lambda: desk.evaluate(f"{sidebar} = 'none'"),
        lambda: desk.evaluate(f"{sidebar} = ''"),
    ):
        change()
        for figure in figures:
            desk.wait_for_function(FILLS_ITS_COLUMN, arg=figure)


@each_page_with_explorers
def test_the_charts_follow_the_theme(name: str, desk: Page) -> None:
    light = set(desk.evaluate(THEME_COLOURS))
    figures = [find(desk, explorer) for explorer in explorers_of(name)]
    # A chart without words or axes has only colours of its own.
    themed = [bool(light & set(figure.evaluate(PART_COLOURS))) for figure in figures]
    desk.emulate_media(color_scheme="dark")
    desk.wait_for_function("document.documentElement.dataset.theme === 'dark'")
    desk.locator("figure.explorer").evaluate_all(DARK_AND_DRAWN)
    dark = set(desk.evaluate(THEME_COLOURS))
    assert not dark & light
    for figure, has_words in zip(figures, themed, strict=True):
        colours = set(figure.evaluate(PART_COLOURS))
        assert bool(colours & dark) == has_words
        assert not colours & light
    desk.emulate_media(color_scheme="light")
    desk.wait_for_function("document.documentElement.dataset.theme === 'light'")
    desk.locator("figure.explorer").evaluate_all(DARK_AND_DRAWN)


def test_code_is_shown_as_chosen_on_this_page_and_the_next(browser: Browser, address: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}book/04_practice/text_classifier.html")
    as_written = page.evaluate(SEEN_CODE)
    outputs = page.locator("div.cell_output:visible").count()
    page.get_by_role("radio", name="key").press("ArrowLeft")
    assert page.evaluate(SEEN_CODE) == 0
    assert page.locator("div.cell_output:visible").count() == outputs
    page.get_by_role("radio", name="all").check(force=True)
    assert page.evaluate(SEEN_CODE) > as_written > 0
    page.goto(f"{address}book/05_applications/sentiment.html")
    assert page.get_by_role("radio", name="all").is_checked()
    folded = page.locator("div.cell.tag_hide-input > details:not([open])")
    assert folded.count() == 0
    context.close()


@each_page
def test_violates_no_accessibility_rule(name: str, desk: Page) -> None:
    assert axe_violations(desk) == []


@each_page
def test_reports_no_error(name: str, desk: Page, opened: Opened) -> None:
    assert opened.seen.errors == []


def test_axe_would_find_a_fault(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content('<html lang="en"><title>t</title><button aria-label="Find">Go</button>')
    assert axe_violations(page) == ["label-content-name-mismatch: button"]
    page.close()
