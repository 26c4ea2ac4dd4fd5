from __future__ import annotations

import json
import math
import re
import sys
from html.parser import HTMLParser
from itertools import product
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from companion.economics import threshold_value, value_per_case
from companion.evaluation import bootstrap_interval
from companion.teaching import Control, Explorer, explore_threshold_value
from companion.teaching import explorer as explorer_module
from companion.teaching.charts import draw_chart, styled_chart

WIDGET = "application/vnd.jupyter.widget-view+json"
CHART: dict[str, Any] = {
    "data": {"name": "rows"},
    "mark": "line",
    "encoding": {
        "x": {"field": "x", "type": "quantitative"},
        "y": {"field": "y", "type": "quantitative"},
    },
}


def power(exponent: float, kind: str) -> dict[str, Any]:
    if exponent < 0:
        raise ValueError("exponent must be at least 0.")
    sign = 1 if kind == "plain" else -1
    rows = [{"x": x, "y": sign * (x / 3) ** exponent} for x in range(4)]
    return {"rows": rows, "readouts": {"Last <y>": f"{rows[-1]['y']:.3f}"}}


CONTROLS = (
    Control("exponent", "Exponent", [1, 2, 3], 2),
    Control("kind", "Kind", ["plain", "</script>"], "plain"),
)


def make(**changes: Any) -> Explorer:
    arguments: dict[str, Any] = {
        "name": "power",
        "title": "Powers < roots",
        "function": power,
        "controls": CONTROLS,
        "chart": CHART,
        "alt": 'A curve, "steep".',
    }
    return Explorer(**{**arguments, **changes})


class Elements(HTMLParser):
    """Collects start tags with attributes and the text in each element; fails on bad nesting."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(html)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.setdefault(self.open[-1], []).append(data)


def page_data(explorer: Explorer) -> dict[str, Any]:
    (text,) = Elements(explorer.to_html()).texts["script"]
    return json.loads(text)


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    shown: list[dict[str, Any]] = []

    def display(data: dict[str, Any], *, raw: bool, metadata: dict[str, Any]) -> None:
        assert raw
        shown.append(data)

    shell = SimpleNamespace(kernel=object())
    monkeypatch.setattr("companion._common.display._shell", lambda: shell)
    monkeypatch.setattr("IPython.display.display", display)
    return shown


@pytest.fixture
def quick_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(chart: Any, rows: Any, kind: str) -> Any:
        return b"PNG" if kind == "png" else f"<svg>{json.dumps(rows)}</svg>"

    monkeypatch.setattr(explorer_module, "draw_chart", draw)


def test_the_page_holds_every_state_in_row_major_order() -> None:
    data = page_data(make())
    grid = product(*(control["values"] for control in data["controls"]))
    assert len(data["states"]) == 6
    for (exponent, kind), state in zip(grid, data["states"], strict=True):
        expected = make().state(exponent=exponent, kind=kind)
        assert state["readouts"] == expected["readouts"]
        columns = state["columns"]
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        assert rows == expected["rows"]


def test_the_page_says_what_its_script_needs_and_no_more() -> None:
    data = page_data(make())
    assert list(data) == ["title", "alt", "controls", "chart", "states"]
    assert data["controls"][0] == {
        "name": "exponent",
        "label": "Exponent",
        "values": [1, 2, 3],
        "texts": ["1", "2", "3"],
        "start": 2,
    }
    assert data["chart"]["data"] == {"name": "rows"}


def test_the_html_is_whole_whatever_the_texts_contain() -> None:
    html = make().to_html()
    page = Elements(html)
    assert [tag for tag, _ in page.tags] == [
        *("figure", "figcaption", "div", "dl", "dt", "dd", "script")
    ]
    assert page.tags[0][1] == {"class": "explorer", "data-explorer": "power"}
    assert page.tags[2][1] == {"class": "explorer-static"}
    assert page.texts["figcaption"] == ["Powers < roots"]
    assert page.texts["dt"] == ["Last <y>"]
    assert page.texts["dd"] == ["1.000"]
    assert html.count("</script>") == 1


def test_the_charts_config_leaves_the_colours_of_words_to_the_page() -> None:
    config = json.dumps(styled_chart({"config": {"axis": {"labelFontSize": 9}}})["config"])
    assert not re.search(r"label_?color|title_?color|grid_?color", config, re.IGNORECASE)
    assert '"labelFontSize": 9' in config  # what a chart sets itself is kept
    assert '"background": "transparent"' in config


def test_numbers_are_rounded_so_that_every_machine_stores_the_same() -> None:
    values = [1 / 3, np.float32(0.1), -0.0, 2.0000000000001, math.nan, 123456.7, np.int64(7), True]
    rows = [{"x": i, "y": value} for i, value in enumerate(values)]
    result = {"rows": rows, "readouts": {"Rows": "8"}}
    state = make(function=lambda exponent, kind: result).state()
    assert [row["y"] for row in state["rows"]] == [0.3333, 0.1, 0, 2, None, 123500, 7, True]
    assert str(state["rows"][2]["y"]) == "0"


def test_a_state_off_the_grid_can_be_computed() -> None:
    assert make().state(exponent=0.5)["readouts"] == {"Last <y>": "1.000"}
    assert make().state(exponent=0, kind="minus")["readouts"] == {"Last <y>": "-1.000"}


def test_the_functions_own_objection_reaches_the_reader() -> None:
    with pytest.raises(ValueError, match="exponent must be at least 0"):
        make().state(exponent=-1)


def test_an_unknown_control_gets_a_close_match() -> None:
    with pytest.raises(ValueError, match="no control 'exponet'; did you mean 'exponent'"):
        make().state(exponet=1)


def test_show_displays_one_output_in_every_form(
    displayed: list[dict[str, Any]], quick_drawing: None
) -> None:
    explorer = make()
    explorer.show()
    (output,) = displayed
    assert set(output) == {"text/plain", "text/html", "image/png", WIDGET}
    assert output["text/html"] == explorer.to_html()
    assert output["text/plain"].splitlines() == [
        'A curve, "steep".',
        "Shown for: Exponent 2; Kind plain.",
        "Last <y>: 1.000",
    ]
    assert output[WIDGET]["model_id"]


def test_showing_twice_stores_the_same(
    displayed: list[dict[str, Any]], quick_drawing: None
) -> None:
    make().show()
    make().show()
    first, second = displayed
    del first[WIDGET], second[WIDGET]  # its number is the one thing that tests leave out
    assert first == second


def test_without_ipywidgets_the_rest_is_shown(
    displayed: list[dict[str, Any]], quick_drawing: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    make().show()
    assert set(displayed[0]) == {"text/plain", "text/html", "image/png"}


def test_without_a_kernel_the_words_are_printed(
    quick_drawing: None, capsys: pytest.CaptureFixture[str]
) -> None:
    make().show()
    assert capsys.readouterr().out.endswith("Last <y>: 1.000\n")


def test_the_notebooks_controls_redraw_the_chart_and_its_readouts(quick_drawing: None) -> None:
    _, exponent, kind, picture = make()._live().children
    assert (exponent.description, exponent.value) == ("Exponent", 2)
    exponent.value = 3
    kind.value = "</script>"
    state = make().state(exponent=3, kind="</script>")
    assert json.dumps(state["rows"]) in picture.value
    assert "<dd>-1.000</dd>" in picture.value


@pytest.mark.slow
def test_the_picture_is_drawn_from_the_rows() -> None:
    states = [make().state(exponent=e)["rows"] for e in (1, 2)]
    line, curve = (draw_chart(CHART, rows, "svg") for rows in states)
    assert line.startswith("<svg")
    assert line != curve
    assert draw_chart(CHART, states[0], "png").startswith(b"\x89PNG")


def test_a_missing_drawing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ModuleNotFoundError, match="vl-convert-python"):
        make().show()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Power 1"}, "lower-case words"),
        ({"title": " "}, "title"),
        ({"alt": ""}, "alt"),
        ({"controls": ()}, "at least one control"),
        ({"controls": (CONTROLS[0], CONTROLS[0])}, "no two of one name"),
        ({"controls": CONTROLS[:1]}, "missing a required argument: 'kind'"),
        ({"chart": {"mark": "line"}}, '"name": "rows"'),
        ({"chart": {**CHART, "encoding": {"x": {"field": "xx"}}}}, "field 'xx'; did you mean 'x'"),
        ({"controls": (CONTROLS[0], Control("kind", "Kind", range(1001), 0))}, "3,003 states"),
        ({"function": lambda exponent, kind: []}, "must return a dict"),
        ({"function": lambda exponent, kind: {"rows": [], "readouts": {"a": "b"}}}, "one dict"),
        ({"function": lambda exponent, kind: {"rows": [1], "readouts": {"a": "b"}}}, "one dict"),
        ({"function": lambda exponent, kind: {"rows": [{"x": 1}], "readouts": {}}}, "one text"),
        (
            {"function": lambda exponent, kind: {"rows": [{"x": [1]}], "readouts": {"a": "b"}}},
            "numbers and texts",
        ),
    ],
)
def test_an_impossible_explorer_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make(**changes)


@pytest.mark.parametrize("part", ["rows", "readouts"])
def test_a_state_with_other_columns_or_readouts_is_refused(part: str) -> None:
    def function(exponent: float, kind: str) -> dict[str, Any]:
        result = power(exponent, kind)
        extra = {"z": "1"} if exponent == 3 else {}
        if part == "rows":
            return {**result, "rows": [{**row, **extra} for row in result["rows"]]}
        return {**result, "readouts": {**result["readouts"], **extra}}

    explorer = make(function=function)
    with pytest.raises(ValueError, match="'exponent': 3, 'kind': 'plain'"):
        explorer.states()


def test_too_much_data_for_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explorer_module, "_MAX_CHARACTERS", 100)
    with pytest.raises(ValueError, match=r"at most 100 fit in a page\. Give fewer"):
        make().to_html()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("not a name", "Label", [1, 2], 1), "name of an argument"),
        (("x", "", [1, 2], 1), "label"),
        (("x", "Label", [1], 1), "two different values"),
        (("x", "Label", [1, 1], 1), "two different values"),
        (("x", "Label", [1, math.nan], 1), "finite"),
        (("x", "Label", [1, 2], 3), "starts at 3"),
        (("x", "Label", [0.11, 0.12], 0.11, "{:.1f}"), "Show more digits"),
    ],
)
def test_an_impossible_control_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Control(*arguments)


def test_a_control_of_numbers_is_a_slider_and_one_of_texts_a_list() -> None:
    numbers, texts = (control.as_widget() for control in CONTROLS)
    assert type(numbers).__name__ == "SelectionSlider"
    assert type(texts).__name__ == "Dropdown"


def test_values_from_numpy_become_pythons_own() -> None:
    control = Control("x", "Label", np.array([1, 2]), np.int64(2))
    assert json.dumps(control.as_json()["values"]) == "[1, 2]"
    assert type(control.start) is int


rng = np.random.default_rng(0)
PROBABILITIES = rng.random(400)
EVENTS = (rng.random(400) < PROBABILITIES).astype(int)
HALF = slice(0, 200), slice(200, 400)


def explore(**options: Any) -> Explorer:
    return explore_threshold_value(EVENTS, PROBABILITIES, num_resamples=50, **options)


def test_the_value_explorer_draws_the_packages_curve_and_marks_its_best_threshold() -> None:
    costs = {"cost_miss_usd": 7.0, "cost_false_alarm_usd": 3.0}
    state = explore().state(**costs, volume=1000)
    expected = threshold_value(EVENTS, PROBABILITIES, **costs, volume=1000)
    values = [row["value_usd"] for row in state["rows"]]
    assert np.allclose(values, expected.value_usd, rtol=1e-3)
    (marked,) = [row for row in state["rows"] if row["low_usd"] is not None]
    assert marked["threshold"] == expected.best_threshold
    assert marked["low_usd"] < marked["value_usd"] < marked["high_usd"]
    assert state["readouts"]["Best threshold"] == f"{expected.best_threshold:.2f}"


def test_the_value_explorers_interval_is_the_bootstrap_of_savings_times_the_volume() -> None:
    costs = {"cost_miss_usd": 5, "cost_false_alarm_usd": 5}
    state = explore().state(**costs, volume=2000)
    best = threshold_value(EVENTS, PROBABILITIES, **costs, volume=1).best_threshold
    saved = value_per_case(EVENTS, best <= PROBABILITIES, **costs)
    interval = bootstrap_interval(np.mean, saved, num_resamples=50)
    (marked,) = [row for row in state["rows"] if row["low_usd"] is not None]
    assert marked["low_usd"] == pytest.approx(2000 * interval.low, rel=1e-3)
    assert marked["high_usd"] == pytest.approx(2000 * interval.high, rel=1e-3)


def test_ten_times_the_messages_are_worth_ten_times_as_much() -> None:
    small, large = (explore().state(volume=v)["rows"] for v in (1000, 10_000))
    for column in ("value_usd", "low_usd", "high_usd"):
        pairs = [(a[column], b[column]) for a, b in zip(small, large, strict=True)]
        assert all(b == pytest.approx(10 * a, rel=1e-3) for a, b in pairs if a is not None)


def test_readouts_tell_flagged_caught_and_what_the_value_is_compared_with() -> None:
    explorer = explore_threshold_value([1, 0, 0, 0], [0.9, 0.6, 0.3, 0.1], num_resamples=10)
    readouts = explorer.state(cost_miss_usd=1, cost_false_alarm_usd=2, volume=400)["readouts"]
    assert readouts.pop("Value per year").startswith("100 USD (95 % interval 0 to ")
    assert readouts == {
        "Best threshold": "0.61",
        "Compared with": "flagging nothing",
        "Messages flagged": "25 %",
        "Events caught": "100 %",
    }
    dear = explorer.state(cost_miss_usd=50, cost_false_alarm_usd=1)["readouts"]
    assert dear["Compared with"] == "flagging everything"


def test_with_validation_data_the_threshold_is_chosen_there_and_valued_elsewhere() -> None:
    chosen, valued = HALF
    explorer = explore_threshold_value(
        EVENTS[valued],
        PROBABILITIES[valued],
        validation_events=EVENTS[chosen],
        validation_probabilities=PROBABILITIES[chosen],
        num_resamples=50,
    )
    costs = {"cost_miss_usd": 10, "cost_false_alarm_usd": 5, "volume": 1000}
    best = threshold_value(EVENTS[chosen], PROBABILITIES[chosen], **costs).best_threshold
    curve = threshold_value(EVENTS[valued], PROBABILITIES[valued], **costs)
    assert best != curve.best_threshold  # otherwise this test would prove nothing
    state = explorer.state(**costs)
    (marked,) = [row for row in state["rows"] if row["low_usd"] is not None]
    assert marked["threshold"] == best
    assert marked["value_usd"] < curve.best_value_usd
    assert state["readouts"]["Best threshold on validation data"] == f"{best:.2f}"


def test_the_value_explorer_refuses_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="cost_miss_usd"):
        explore().state(cost_miss_usd=-1)
    with pytest.raises(ValueError, match="volume"):
        explore().state(volume=-1)
    with pytest.raises(ValueError, match="both validation_events"):
        explore(validation_events=EVENTS)


def test_the_value_explorer_fits_into_a_page() -> None:
    data = page_data(explore())
    assert len(data["states"]) == math.prod(len(c["values"]) for c in data["controls"]) == 90
    labels = [c["label"] for c in data["controls"]]
    assert labels == ["Cost of a miss (USD)", "Cost of a false alarm (USD)", "Messages per year"]
