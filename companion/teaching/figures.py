"""Figures in the house style, shown together with the words that prove what they show."""

from __future__ import annotations

import io
import sys
from typing import Any

import numpy as np

from companion._common.checking import check_text
from companion._common.display import display_bundle
from companion._common.extras import import_extra
from companion.teaching.style import CARD, INK, LINES, MUTED, PALETTE
from companion.teaching.words.figure import describe

__all__ = ["figure", "label_lines", "show"]


def show(fig: Any, alt: str, *, digits: int = 3, stable: int | None = None) -> None:
    """Displays a figure together with a description computed from the plotted data, and closes it.

    The description is the output's text form. Tests compare it with the stored one, so a picture of
    other data is noticed; on the site it is the picture's alternative text.

    Args:
        fig: `matplotlib.figure.Figure`.
        alt: str. One sentence that says what the picture is meant to show.
        digits: int, 1 to 9. Significant digits in the description. Defaults to `3`.
        stable: int of at least 0, or `None`. If given, only that many first points of each series
            are described, see `describe`. Defaults to `None`.

    Raises:
        ValueError: If `alt` is empty, or `describe` cannot put the figure into words.

    Example:
        >>> fig, axes = figure()
        >>> bars = axes.bar(["great", "other"], [658, 342])
        >>> show(fig, "Two thirds of the reviews are great.")
        Two thirds of the reviews are great.
        Horizontal axis without a title, labels great, other. Vertical axis without a title.
        Bars, 2 points: 658 for great; 342 for other.
    """
    alt = check_text("alt", alt)
    text = f"{alt}\n{describe(fig, digits, stable)}"
    _drop_crowded_minor_labels(fig)
    picture = io.BytesIO()
    fig.savefig(picture, format="png", dpi=fig.dpi, metadata={"Software": None})
    size = {"width": round(96 * fig.get_figwidth())}  # CSS pixels: sharp on dense screens
    display_bundle({"image/png": picture.getvalue(), "text/plain": text}, {"image/png": size})
    if "matplotlib.pyplot" in sys.modules:  # a figure made with it would be shown a second time
        sys.modules["matplotlib.pyplot"].close(fig)


def _drop_crowded_minor_labels(fig: Any) -> None:
    """Leaves the small ticks of a log axis without numbers where these would lie over others."""
    from itertools import combinations

    from matplotlib.ticker import NullFormatter

    for axis in (axis for axes in fig.axes for axis in (axes.xaxis, axes.yaxis)):
        if any(label.get_text() for label in axis.get_minorticklabels()):
            fig.draw_without_rendering()  # brings the places up to date
            labels = [label for label in axis.get_ticklabels(which="both") if label.get_text()]
            boxes = [label.get_window_extent() for label in labels]
            if any(one.overlaps(other) for one, other in combinations(boxes, 2)):
                axis.set_minor_formatter(NullFormatter())


def figure(width: float = 7, height: float = 4, ncols: int = 1) -> tuple[Any, Any]:
    """Makes an empty figure in the house style.

    Its background is a light card, which reads in light and in dark mode, and its colours are told
    apart by people with colour-blindness. Name series with `label_lines`, not in a legend.

    Args:
        width: float. Inches, more than 0. Defaults to `7`.
        height: float. Inches, more than 0. Defaults to `4`.
        ncols: int. How many panels side by side. Defaults to `1`.

    Returns:
        The `matplotlib.figure.Figure`, and its axes: one `matplotlib.axes.Axes`, or an array of
        them of shape `(ncols,)` if there are several.

    Raises:
        ValueError: If a size is not positive.
        ModuleNotFoundError: If Matplotlib is not installed.

    Example:
        >>> fig, axes = figure(ncols=2)
        >>> axes.shape
        (2,)

    Reference:
        Okabe and Ito, *Color Universal Design*, 2008 (the palette).
    """
    if not (width > 0 and height > 0 and ncols >= 1):
        raise ValueError(
            f"width={width!r} and height={height!r} must be more than 0, "
            f"and ncols={ncols!r} at least 1."
        )
    matplotlib = import_extra("matplotlib", "notebook")
    from cycler import cycler
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "axes.axisbelow": True,
        "axes.edgecolor": MUTED,
        "axes.facecolor": CARD,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.labelcolor": INK,
        "axes.labelpad": 7,
        "axes.labelsize": 11,
        "axes.prop_cycle": cycler(color=PALETTE) + cycler(linewidth=[2.2] * len(PALETTE)),
        "axes.spines.left": False,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "figure.constrained_layout.h_pad": 0.12,  # inches
        "figure.constrained_layout.w_pad": 0.12,
        "grid.color": LINES,
        "xtick.color": MUTED,
        "xtick.labelsize": 10,
        "ytick.color": MUTED,
        "ytick.labelsize": 10,
        "ytick.left": False,
    }
    with matplotlib.rc_context(style):
        # Not through pyplot, which would keep the figure and choose a window system.
        fig = Figure(figsize=(width, height), dpi=144, facecolor=CARD, layout="constrained")
        axes = fig.subplots(ncols=ncols)
    return fig, axes


def label_lines(axes: Any) -> None:
    """Writes each line's label at its right end, in its colour, without overlaps.

    Labels that would overlap are moved apart, as little as can be, around their lines' ends.

    Args:
        axes: `matplotlib.axes.Axes` with labelled lines. Call this last, when their limits are set.

    Example:
        >>> fig, axes = figure()
        >>> lines = axes.plot([1, 2], [3, 4], label="training")
        >>> label_lines(axes)
        >>> axes.texts[0].get_text()
        'training'
    """
    from matplotlib.colors import to_rgb

    ends = []
    for line in axes.lines:
        xy = np.asarray(line.get_xydata(), dtype=float)
        xy = xy[np.isfinite(xy).all(axis=1)]
        if len(xy) and not line.get_label().startswith("_"):
            ends.append((line, xy[np.argmax(xy[:, 0])]))
    axes.get_ylim()  # brings the limits, and with them the transformation, up to date
    points_per_pixel = 72 / axes.figure.dpi
    heights = [float(axes.transData.transform(end)[1]) * points_per_pixel for _, end in ends]
    order = np.argsort(heights, kind="stable")
    floor = float(axes.bbox.y0) * points_per_pixel  # below it are the axis' own numbers
    places = _spread_out([heights[i] for i in order], 13, floor)  # 13 points: one text's height
    for i, place in zip(order, places, strict=True):
        line, end = ends[i]
        axes.annotate(
            line.get_label(),
            end,
            xytext=(7, place - heights[i]),
            textcoords="offset points",
            color=[0.8 * part for part in to_rgb(line.get_color())],  # darker, to be read as text
            va="center",
            annotation_clip=False,
        )


def _spread_out(heights: list[float], gap: float, floor: float) -> list[float]:
    """Returns the places nearest to rising heights, a gap apart and not below the floor."""
    groups: list[list[float]] = []  # the labels that touch, each by where the lowest would stand
    for i, height in enumerate(heights):
        groups.append([height - gap * i])
        while len(groups) > 1 and np.mean(groups[-2]) > np.mean(groups[-1]):
            groups[-2:] = [groups[-2] + groups[-1]]
    lowest = [max(float(np.mean(group)), floor) for group in groups for _ in group]
    return [place + gap * i for i, place in enumerate(lowest)]
