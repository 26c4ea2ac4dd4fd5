"""Puts a Matplotlib figure into words, computed from what is drawn.

The words serve a reader who cannot see the picture, and a test that compares them with the words
stored beside it: another value, label, series or axis gives other words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from companion.teaching.words.numbers import (
    LIST_ALL,
    AxisWords,
    named,
    number,
    one_line,
    sample,
    spread,
)

__all__ = ["describe"]


_SMALL_IMAGE = 36  # cells; such an image is a table, and all of it is told


def describe(fig: Any, digits: int = 3, stable: int | None = None) -> str:
    """Describes a figure in sentences: its axes, and what each series shows.

    Up to 12 values are all given; of more, eight evenly spaced ones, the lowest, the mean and the
    highest. Whole numbers below a million are given in full.

    Args:
        fig: `matplotlib.figure.Figure`. It is read, not changed.
        digits: int, 1 to 9. Significant digits of every other number. Defaults to `3`.
        stable: int of at least 0, or `None`. If given, only the first `stable` points of each
            series and no place of a text or a vertical line are told: for long trainings, whose
            later points differ between machines. Defaults to `None`.

    Returns:
        A str: one line for the axes, one for each series, text and legend.

    Raises:
        ValueError: If `digits` or `stable` is out of range, or if the figure has something in it
            that cannot be put into words here.

    Example:
        >>> from companion.teaching.figures import figure
        >>> fig, axes = figure()
        >>> lines = axes.plot([1, 2], [0.5, 0.75], label="training")
        >>> print(describe(fig))
        Horizontal axis without a title. Vertical axis without a title.
        Line "training", 2 points: 0.5 at 1; 0.75 at 2.
    """
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 9:
        raise ValueError(f"digits={digits!r} must be a whole number from 1 to 9.")
    if stable is not None and (
        isinstance(stable, bool) or not isinstance(stable, int) or stable < 0
    ):
        raise ValueError(f"stable={stable!r} must be None or a whole number of at least 0.")
    every = [panel for axes in fig.axes for panel in (axes, *axes.child_axes)]
    panels = [p for p in every if p.get_visible() and p.get_label() != "<colorbar>"]
    title = one_line(fig.get_suptitle())
    lines = [f"Title: {title}."] if title else []
    for position, axes in enumerate(panels, start=1):
        titles = [one_line(axes.get_title(loc)) for loc in ("left", "center", "right")]
        place = f"Panel {position} of {len(panels)}" if len(panels) > 1 else ""
        heading = ": ".join(filter(None, [place, *titles]))
        lines += [f"{heading}."] if heading else []
        lines += _Panel(axes, digits, stable).lines()
    texts = [one_line(text.get_text()) for text in fig.texts if text.get_visible()]
    lines += [f'Text "{text}".' for text in texts if text != title]
    return "\n".join(lines)


def _no_words(thing: object) -> ValueError:
    return ValueError(
        f"show() cannot put a {type(thing).__name__} into words, and without words nothing proves "
        "what the figure shows. Draw with plot, step, scatter, bar, hist, fill_between, errorbar, "
        "hlines, vlines, imshow, pcolormesh, text or patches."
    )


class _Panel:
    """The words for one pair of axes."""

    def __init__(self, axes: Any, digits: int, stable: int | None) -> None:
        unknown = [*axes.tables, *axes.artists] if axes.name == "rectilinear" else [axes]
        if unknown:
            raise _no_words(unknown[0])
        self.axes = axes
        self.digits = digits
        self.stable = stable
        self.x = AxisWords(axes.xaxis, digits)
        self.y = AxisWords(axes.yaxis, digits)

    def lines(self) -> Iterator[str]:
        """Yields the axes, then each kind of series in drawing order, texts and the legend."""
        if self.axes.axison:
            yield f"{self.x.sentence('Horizontal')} {self.y.sentence('Vertical')}"
        inside: set[int] = set()
        for container in self.axes.containers:
            # A container's parts, caps of error bars included, are told as one series.
            inside.update(id(artist) for artist in container.get_children())
            yield from self._container(container)
        for artists, tell in (
            (self.axes.lines, self._line),
            (self.axes.collections, self._collection),
            (self.axes.patches, self._patch),
            (self.axes.images, self._image),
            (self.axes.texts, self._text),
        ):
            for artist in artists:
                if artist.get_visible() and id(artist) not in inside:
                    yield tell(artist)
        legend = self.axes.get_legend()
        if legend is not None and legend.get_visible():
            yield f"Legend: {', '.join(one_line(t.get_text()) for t in legend.get_texts())}."

    def _list(self, name: str, items: Sequence[str], values: Any) -> str:
        """Returns one sentence: what it is, how many points, and all or a sample of them."""
        if self.stable is not None and len(items) > self.stable:
            first = f", its first {self.stable}: {'; '.join(sample(items[: self.stable]))}"
            return f"{name}, {len(items)} points{first if self.stable else ''}."
        count = f"{len(items)} point{'' if len(items) == 1 else 's'}"
        if len(items) <= LIST_ALL:
            return f"{name}, {count}: {'; '.join(items)}." if items else f"{name}, no points."
        picked = "; ".join(sample(items))
        return f"{name}, {count}, among them {picked}. {spread(values, self.digits)}"

    def _points(self, xy: Any) -> list[str]:
        pairs = zip(self.x.words(xy[:, 0]), self.y.words(xy[:, 1]), strict=True)
        return [f"{y} at {x}" for x, y in pairs]

    def _spans(self, places: Any, low: Any, high: Any, upright: bool) -> list[str]:
        across, along = (self.x, self.y) if upright else (self.y, self.x)
        triples = zip(across.words(places), along.words(low), along.words(high), strict=True)
        return [f"{a} to {b} at {place}" for place, a, b in triples]

    def _container(self, container: Any) -> Iterator[str]:
        from matplotlib.container import BarContainer, ErrorbarContainer

        if isinstance(container, BarContainer):
            if any(patch.get_visible() for patch in container.patches):
                yield self._bars(container)
        elif isinstance(container, ErrorbarContainer):
            points, _, bars = container.lines
            if points is not None and points.get_visible():
                yield self._line(points, container.get_label())
            yield from (self._segments(b, "Error bars") for b in bars if b.get_visible())
        else:
            raise _no_words(container)

    def _bars(self, container: Any) -> str:
        upright = container.orientation != "horizontal"
        place, value = (self.x, self.y) if upright else (self.y, self.x)
        boxes = np.array([(*p.get_xy(), p.get_width(), p.get_height()) for p in container.patches])
        # boxes: (bars, 4), the columns are x, y, width and height
        left, base, width, height = boxes[:, [0, 1, 2, 3] if upright else [1, 0, 3, 2]].T
        # Bars that touch are a histogram's: their edges are what they mean.
        if not place.names and len(left) > 1 and np.allclose(left[1:], (left + width)[:-1]):
            ends = zip(place.words(left), place.words(left + width), strict=True)
            places = [f"from {a} to {b}" for a, b in ends]
        else:
            places = [f"for {name}" for name in place.words(left + width / 2)]
        items = [f"{h} {p}" for h, p in zip(value.words(height), places, strict=True)]
        if base.any():
            items = [f"{i} above {b}" for i, b in zip(items, value.words(base), strict=True)]
        return self._list(named("Bars", container.get_label()), items, height)

    def _line(self, line: Any, label: str | None = None) -> str:
        from matplotlib.lines import AxLine

        label = label or line.get_label()
        xy = np.asarray(line.get_xydata(), dtype=float).reshape(-1, 2)
        x_is_data, y_is_data = line.get_transform().contains_branch_seperately(self.axes.transData)
        if y_is_data and not x_is_data:
            return f"{named('Horizontal line', label)} at {self.y.word(xy[0, 1])}."
        if x_is_data and not y_is_data:
            place = f" at {self.x.word(xy[0, 0])}" if self.stable is None else ""
            return f"{named('Vertical line', label)}{place}."
        if isinstance(line, AxLine):
            points = self._points(np.array([p for p in (line.get_xy1(), line.get_xy2()) if p]))
            if line.get_slope() is not None:
                points.append(f"slope {number(line.get_slope(), self.digits)}")
            return f"{named('Straight line', label)} through {', '.join(points)}."
        if line.get_linestyle() in ("None", "", " "):
            what = "Points"
        else:
            what = "Steps" if str(line.get_drawstyle()).startswith("steps") else "Line"
        return self._list(named(what, label), self._points(xy), xy[:, 1])

    def _collection(self, artist: Any) -> str:
        from matplotlib import collections

        if isinstance(artist, collections.LineCollection):
            return self._segments(artist, named("Line segments", artist.get_label()))
        if isinstance(artist, collections.FillBetweenPolyCollection):
            return self._band(artist)
        if isinstance(artist, collections.PathCollection):
            return self._scatter(artist)
        if isinstance(artist, collections.QuadMesh):
            return self._image(artist)
        raise _no_words(artist)

    def _segments(self, artist: Any, name: str) -> str:
        # the ends' shape: segments, start and end, x and y
        ends = np.array(
            [np.ma.filled(s, np.nan)[[0, -1]] for s in artist.get_segments()], dtype=float
        )
        if not len(ends):
            return self._list(name, [], [])
        start, end = ends[:, 0], ends[:, 1]
        if np.array_equal(start[:, 0], end[:, 0], equal_nan=True):
            items = self._spans(start[:, 0], start[:, 1], end[:, 1], upright=True)
        elif np.array_equal(start[:, 1], end[:, 1], equal_nan=True):
            items = self._spans(start[:, 1], start[:, 0], end[:, 0], upright=False)
        else:
            pairs = zip(self._points(start), self._points(end), strict=True)
            items = [f"from {a} to {b}" for a, b in pairs]
        return self._list(name, items, ends[:, :, 1])

    def _band(self, artist: Any) -> str:
        upright = artist.t_direction == "x"
        corners = np.concatenate(
            [path.vertices for path in artist.get_paths()] or [np.empty((0, 2))]
        )
        across, along = corners[:, 0 if upright else 1], corners[:, 1 if upright else 0]
        places = np.unique(across)
        low = [along[across == place].min() for place in places]
        high = [along[across == place].max() for place in places]
        items = self._spans(places, low, high, upright)
        return self._list(named("Band", artist.get_label()), items, along)

    def _scatter(self, artist: Any) -> str:
        xy: Any = np.ma.filled(np.ma.asarray(artist.get_offsets(), dtype=float), np.nan)
        items = self._points(xy)
        for what, values in (("size", artist.get_sizes()), ("colour", artist.get_array())):
            if values is not None and len(values) == len(items) and len(np.unique(values)) > 1:
                pairs = zip(items, np.ma.filled(values, np.nan), strict=True)
                items = [f"{item} ({what} {number(v, self.digits)})" for item, v in pairs]
        return self._list(named("Points", artist.get_label()), items, xy[:, 1])

    def _image(self, image: Any) -> str:
        values: Any = np.ma.filled(np.ma.asarray(image.get_array(), dtype=float), np.nan)
        size = " by ".join(map(str, values.shape))  # rows by columns (by colour channels)
        bar = image.colorbar
        scale = one_line(bar.ax.get_ylabel() or bar.ax.get_xlabel()) if bar else ""
        name = f"{named('Image', image.get_label())} of {size} values"
        name += f", colour scale {scale}" if scale else ""
        if self.stable is not None:
            return f"{name}."
        words = [number(v, self.digits) for v in values.ravel()]
        if values.ndim == 2 and values.size <= _SMALL_IMAGE:
            rows = np.reshape(words, values.shape)
            told = [f"{self.y.word(i)}: {', '.join(row)}" for i, row in enumerate(rows)]
            return f"{name}, row {'; row '.join(told)}."
        return f"{name}, among them {', '.join(sample(words))}. {spread(values, self.digits)}"

    def _patch(self, patch: Any) -> str:
        from matplotlib.patches import StepPatch, Wedge

        label = patch.get_label()
        if isinstance(patch, StepPatch):
            heights, edges, _ = patch.get_data()
            ends = self.x.words(edges)
            steps = zip(self.y.words(heights), ends, ends[1:], strict=False)
            items = [f"{h} from {a} to {b}" for h, a, b in steps]
            return self._list(named("Steps", label), items, heights)
        if isinstance(patch, Wedge):
            share = number((patch.theta2 - patch.theta1) / 360, self.digits)
            return f"{named('Slice', label)}, {share} of the circle."
        corners = patch.get_path().transformed(patch.get_patch_transform()).vertices
        x_is_data, y_is_data = patch.get_transform().contains_branch_seperately(self.axes.transData)
        if x_is_data != y_is_data:
            column, axis, side = (0, self.x, "horizontal") if x_is_data else (1, self.y, "vertical")
            low, high = axis.words([corners[:, column].min(), corners[:, column].max()])
            return f"{named('Shade', label)} from {low} to {high} on the {side} axis."
        return self._list(named("Shape", label), self._points(corners), corners[:, 1])

    def _text(self, text: Any) -> str:
        words = f'Text "{one_line(text.get_text())}"'
        if hasattr(text, "xycoords"):
            place = text.xy if isinstance(text.xycoords, str) and text.xycoords == "data" else None
        else:
            by_data = text.get_transform().contains_branch_seperately(self.axes.transData)
            place = text.get_position() if all(by_data) else None
        if place is None or self.stable is not None:
            return f"{words}."
        x, y = self.axes.convert_xunits(place[0]), self.axes.convert_yunits(place[1])
        return f"{words} at {self.x.word(x)}, {self.y.word(y)}."
