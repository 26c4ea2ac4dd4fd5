"""Vega-Lite charts in the house style: for a page, which adds its theme's colours, and on paper."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from companion._common.extras import install_hint
from companion.teaching.style import INK, LINES, MUTED, PALETTE

__all__ = ["draw_chart", "fields_from_outside", "styled_chart"]


# Sizes and shapes only: colours of text and lines are left to the page, which has two themes.
_SHAPES: dict[str, Any] = {
    "background": "transparent",
    "font": "sans-serif",
    "view": {"stroke": None},
    "range": {"category": list(PALETTE)},
    "axis": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
    "axisX": {"grid": False, "tickCount": 6, "titlePadding": 8},
    "axisY": {
        "domain": False,
        "ticks": False,
        "tickCount": 6,
        "labelPadding": 6,
        "titlePadding": 12,
    },
    "legend": {"labelFontSize": 12, "titleFontSize": 13, "titleFontWeight": "normal"},
    "line": {"strokeWidth": 2.5},
    "point": {"size": 90, "filled": True, "opacity": 1},
    "text": {"fontSize": 13},
}

_WORDS = {"labelColor": MUTED, "titleColor": INK}

# What the page would set, for pictures that lie on white paper.
_PAPER: dict[str, Any] = {
    "background": "white",
    "padding": 12,
    "axis": {**_WORDS, "gridColor": LINES, "domainColor": MUTED, "tickColor": MUTED},
    "legend": {**_WORDS, "symbolOpacity": 1},  # even where the chart's own marks are faint
    "text": {"color": INK},
    "rule": {"color": MUTED},
}


def styled_chart(chart: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a chart with the house's sizes and shapes, without colours of text and lines.

    Args:
        chart: dict. A Vega-Lite specification; what it sets itself is kept.

    Returns:
        A new dict.

    Example:
        >>> styled_chart({"mark": "line", "height": 200})["height"]
        200
    """
    return _styled(chart, {})


def draw_chart(
    chart: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], kind: Literal["png", "svg"]
) -> Any:
    """Draws a chart on white.

    Args:
        chart: dict. A Vega-Lite specification.
        rows: sequence of dicts. The chart's data.
        kind: `"png"`, two pixels for each of the chart's, or `"svg"`.

    Returns:
        The PNG as bytes, or the SVG as str.

    Raises:
        ModuleNotFoundError: If vl-convert-python is not installed.
        ValueError: If Vega-Lite does not understand the chart.

    Example:
        >>> encoding = {"x": {"field": "x", "type": "quantitative"}}
        >>> draw_chart({"mark": "point", "encoding": encoding}, [{"x": 1}], "svg")[:4]
        '<svg'
    """
    try:
        import vl_convert
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"Drawing a chart needs vl-convert-python. Run: {install_hint('book')}",
            name=error.name,
        ) from error
    spec = _styled(chart, _PAPER) | {"data": {"values": list(rows)}}
    if kind == "svg":
        return vl_convert.vegalite_to_svg(spec)
    return vl_convert.vegalite_to_png(spec, scale=2)


def fields_from_outside(chart: Mapping[str, Any]) -> list[str]:
    """Finds the fields that a chart takes from its data, not from its own transforms.

    Args:
        chart: dict. A Vega-Lite specification.

    Returns:
        A list of str.

    Example:
        >>> calculated = [{"calculate": "datum.x * 2", "as": "double"}]
        >>> encoding = {"x": {"field": "x"}, "y": {"field": "double"}}
        >>> fields_from_outside({"transform": calculated, "encoding": encoding})
        ['x']
    """
    made = set(_mentioned(chart, "as"))
    return [field for field in _mentioned(chart, "field") if field not in made]


def _styled(chart: Mapping[str, Any], colours: Mapping[str, Any]) -> dict[str, Any]:
    config = _merged(_merged(_SHAPES, colours), chart.get("config", {}))
    return {"width": 560, "height": 300, **chart, "config": config}


def _merged(base: Mapping[str, Any], extra: Mapping[str, Any]) -> dict[str, Any]:
    both = [k for k in extra if isinstance(extra[k], Mapping) and isinstance(base.get(k), Mapping)]
    return {**base, **extra, **{k: _merged(base[k], extra[k]) for k in both}}


def _mentioned(node: Any, key: str) -> Iterator[str]:
    """Yields every text under `key`, alone or in a list, at any depth."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            texts = value if isinstance(value, list) else [value]
            yield from (text for text in texts if name == key and isinstance(text, str))
            yield from _mentioned(value, key)
    elif isinstance(node, list | tuple):
        for item in node:
            yield from _mentioned(item, key)
