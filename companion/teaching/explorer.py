"""The explorer: a tested function, its controls and a chart, live in Jupyter and on a plain page.

In a notebook ipywidgets call the function. On the site there is no Python: the page carries the
function's results for every combination of the controls' values and draws them itself.
"""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import product
from typing import Any

import numpy as np

from companion._common.checking import check_name, check_text, close_to
from companion._common.display import display_bundle, in_kernel
from companion.teaching.charts import draw_chart, fields_from_outside, styled_chart
from companion.teaching.controls import Control
from companion.teaching.words.numbers import round_significant

__all__ = ["Explorer"]


_MAX_STATES = 3_000

_MAX_CHARACTERS = 1_000_000  # of one explorer's data in a page

_WIDGET = "application/vnd.jupyter.widget-view+json"


@dataclass(frozen=True)
class Explorer:
    """A function that a reader explores through controls and a chart.

    `state` computes one result for any arguments, `states` those of the whole grid, and `show`
    displays the explorer. Numbers in rows are rounded, so that every machine stores the same ones.

    Args:
        name: str. Lower-case words joined by hyphens; once per page.
        title: str. What can be explored, in one line.
        function: callable. Takes the controls' names as keyword arguments and returns
            `{"rows": [{column: value, ...}, ...], "readouts": {label: text, ...}}`, with the same
            columns and the same labels in every state.
        controls: sequence of `Control`, at least one.
        chart: dict. A Vega-Lite specification with `"data": {"name": "rows"}`, whose fields are the
            rows' columns.
        alt: str. What the chart shows, for readers who cannot see it.
        digits: int. Significant digits that numbers in the rows keep. Defaults to `4`.

    Raises:
        ValueError: If names repeat, the grid has more than 3,000 states, the chart uses a field
            that is no column, or the function returns something of another form.

    Example:
        >>> square = Explorer(
        ...     "square", "The square of a number",
        ...     lambda x: {"rows": [{"x": x, "y": x**2}], "readouts": {"Square": f"{x**2}"}},
        ...     [Control("x", "Number", [1, 2, 3], 2)],
        ...     {"data": {"name": "rows"}, "mark": "point",
        ...      "encoding": {"x": {"field": "x", "type": "quantitative"},
        ...                   "y": {"field": "y", "type": "quantitative"}}},
        ...     "One point: a number and its square.",
        ... )
        >>> square.state(x=5)["readouts"]
        {'Square': '25'}
        >>> len(square.states())
        3
    """

    name: str
    title: str
    function: Callable[..., Mapping[str, Any]]
    controls: Sequence[Control]
    chart: Mapping[str, Any]
    alt: str
    digits: int = 4

    def __post_init__(self) -> None:
        check_name(self.name)
        check_text("title", self.title)
        check_text("alt", self.alt)
        names = [control.name for control in self.controls]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f"An explorer needs at least one control and no two of one name, but has {names}."
            )
        size = math.prod(len(control.values) for control in self.controls)
        if size > _MAX_STATES:
            raise ValueError(
                f"The grid has {size:,} states, and at most {_MAX_STATES:,} fit in a page. "
                "Give the controls fewer values."
            )
        try:
            inspect.signature(self.function).bind(**dict.fromkeys(names))
        except TypeError as error:
            raise ValueError(
                f"The function cannot be called with {names} as keyword arguments: {error}."
            ) from error
        if self.chart.get("data") != {"name": "rows"}:
            raise ValueError(
                f'The chart\'s data must be {{"name": "rows"}}, not {self.chart.get("data")!r}.'
            )
        columns = list(self.state()["rows"][0])
        for field in fields_from_outside(self.chart):
            if field not in columns:
                raise ValueError(f"The chart uses the field {field!r}; {close_to(field, columns)}")

    def state(self, **params: Any) -> dict[str, Any]:
        """Computes one state.

        Args:
            **params: The function's arguments by the controls' names, any that it accepts, not only
                the controls' values. A control not named stands at its start.

        Returns:
            A dict with `"rows"`, a list of dicts, and `"readouts"`, a dict of texts.

        Raises:
            ValueError: If a name is no control's, if the function returns something of another
                form, and whatever the function itself objects to.
        """
        start = {control.name: control.start for control in self.controls}
        for name in params:
            if name not in start:
                raise ValueError(
                    f"Explorer {self.name!r} has no control {name!r}; {close_to(name, start)}"
                )
        return self._checked(self.function(**{**start, **params}))

    def states(self) -> list[dict[str, Any]]:
        """Computes the state of every combination of values, the last control changing fastest.

        Returns:
            A list of dicts as from `state`.

        Raises:
            ValueError: If a state has other columns or readouts than the first.
        """
        names = [control.name for control in self.controls]
        states: list[dict[str, Any]] = []
        for values in product(*(control.values for control in self.controls)):
            params = dict(zip(names, values, strict=True))
            states.append(self.state(**params))
            shapes = [(list(s["rows"][0]), list(s["readouts"])) for s in (states[0], states[-1])]
            if shapes[0] != shapes[1]:
                raise ValueError(
                    "Every state must have the same columns and readouts, but "
                    f"{params} has {shapes[1]} and the first state {shapes[0]}."
                )
        return states

    def show(self) -> None:
        """Displays the explorer once in every form: live, as HTML, as a picture and as text.

        Raises:
            ModuleNotFoundError: If vl-convert-python, which draws the picture, is not installed.
            ValueError: If `states` finds a fault, or the states are too much data for a page.
        """
        start = self.state()
        at = "; ".join(f"{c.label} {c.texts[c.values.index(c.start)]}" for c in self.controls)
        text = [self.alt, f"Shown for: {at}.", *(f"{k}: {v}" for k, v in start["readouts"].items())]
        bundle = {
            "text/plain": "\n".join(text),
            "text/html": self.to_html(),
            "image/png": draw_chart(self.chart, start["rows"], "png"),
        }
        live = self._live() if in_kernel() else None
        if live is not None:
            bundle[_WIDGET] = live._repr_mimebundle_()[_WIDGET]
        display_bundle(bundle)

    def to_html(self) -> str:
        """Makes the explorer's part of a page.

        Returns:
            A str of HTML: a figure with the readouts at the start and, as JSON, all states.

        Raises:
            ValueError: If `states` finds a fault, or the states are too much data for a page.
        """
        states = self.states()
        data = {
            "title": self.title,
            "alt": self.alt,
            "controls": [control.as_json() for control in self.controls],
            "chart": styled_chart(self.chart),
            "states": [
                {
                    "columns": {k: [row[k] for row in s["rows"]] for k in s["rows"][0]},
                    "readouts": s["readouts"],
                }
                for s in states
            ],
        }
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if len(text) > _MAX_CHARACTERS:
            raise ValueError(
                f"The states of explorer {self.name!r} take {len(text):,} characters, and at most "
                f"{_MAX_CHARACTERS:,} fit in a page. Give fewer values, rows or digits."
            )
        # Escaped, a text cannot end the script element.
        text = text.replace("<", "\\u003c")
        return (
            f'<figure class="explorer" data-explorer="{self.name}">'
            f"<figcaption>{escape(self.title)}</figcaption>"
            f'<div class="explorer-static"></div>{_readouts_html(self.state()["readouts"])}'
            f'<script type="application/json">{text}</script></figure>'
        )

    def _checked(self, result: Any) -> dict[str, Any]:
        """Returns the function's result with rounded numbers, or says what is wrong with it."""
        rows, readouts = [], {}
        if isinstance(result, Mapping) and set(result) == {"rows", "readouts"}:
            rows, readouts = list(result["rows"]), dict(result["readouts"])
        if not rows or not all(
            isinstance(row, Mapping) and set(row) == set(rows[0]) for row in rows
        ):
            problem = "'rows' a list of at least one dict, all with the same columns"
        elif not readouts or not all(isinstance(text, str) for text in readouts.values()):
            problem = "'readouts' a dict of at least one text"
        else:
            rows = [{column: self._plain(row[column]) for column in rows[0]} for row in rows]
            return {"rows": rows, "readouts": readouts}
        raise ValueError(
            f"The function of explorer {self.name!r} must return a dict with just 'rows' and "
            f"'readouts', and {problem}, not {repr(result)[:200]}."
        )

    def _plain(self, value: Any) -> Any:
        """Returns a value for JSON: rounded; NaN and infinity, which it lacks, as None."""
        value = value.item() if isinstance(value, np.generic) else value
        if value is None or isinstance(value, str | int):
            return value
        if not isinstance(value, float):
            raise ValueError(
                f"Rows hold numbers and texts, but explorer {self.name!r} has {value!r}."
            )
        if not math.isfinite(value):
            return None
        rounded = round_significant(value, self.digits)
        return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded

    def _live(self) -> Any:
        """Returns the widgets of the explorer, or None where there are none."""
        try:
            import ipywidgets
        except ModuleNotFoundError:
            return None
        inputs = {control.name: control.as_widget() for control in self.controls}
        picture = ipywidgets.HTML()

        def redraw(_: object = None) -> None:
            # One value is set: an Output widget would leave outputs that tests cannot compare.
            state = self.state(**{name: widget.value for name, widget in inputs.items()})
            svg = draw_chart(self.chart, state["rows"], "svg")
            readouts = _readouts_html(state["readouts"])
            picture.value = f'<div role="img" aria-label="{escape(self.alt)}">{svg}</div>{readouts}'

        for widget in inputs.values():
            widget.observe(redraw, names="value")
        redraw()
        title = ipywidgets.HTML(f"<strong>{escape(self.title)}</strong>")
        return ipywidgets.VBox([title, *inputs.values(), picture])


def _readouts_html(readouts: Mapping[str, str]) -> str:
    pairs = (f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in readouts.items())
    return f'<dl class="explorer-readouts">{"".join(pairs)}</dl>'
