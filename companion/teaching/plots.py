"""The pictures of results that several pages show."""

from __future__ import annotations

from typing import Any

import numpy as np

from companion.economics.decisions import ThresholdValue
from companion.teaching.figures import figure, label_lines
from companion.teaching.style import MUTED, PALETTE

__all__ = ["plot_calibration", "plot_learning_curve", "plot_threshold_value"]


def plot_learning_curve(history: Any, metric: str = "accuracy") -> Any:
    """Plots a metric by epoch on the training and, if there are any, the validation data.

    Args:
        history: `History`, as returned by `Trainer.fit`.
        metric: str. A name in `history.history`. Defaults to `"accuracy"`.

    Returns:
        The `matplotlib.figure.Figure`; give it to `show`.

    Raises:
        ValueError: If the history has no such metric.

    Example:
        >>> from types import SimpleNamespace
        >>> metrics = {"accuracy": [0.7, 0.9], "val_accuracy": [0.7, 0.6]}
        >>> fig = plot_learning_curve(SimpleNamespace(history=metrics, best_epoch=1))
        >>> [line.get_label() for line in fig.axes[0].lines][:2]
        ['training', 'validation']
    """
    if metric not in history.history:
        names = [name for name in history.history if not name.startswith("val_")]
        raise ValueError(f"metric={metric!r} was not recorded. Recorded: {', '.join(names)}.")
    fig, axes = figure()
    for name, label in ((metric, "training"), (f"val_{metric}", "validation")):
        values = history.history.get(name, [])
        if values:
            axes.plot(range(1, len(values) + 1), values, marker="o", markersize=5, label=label)
    axes.set_xlabel("Epoch")
    axes.set_ylabel(metric.replace("_", " ").capitalize())
    axes.xaxis.get_major_locator().set_params(integer=True)
    if f"val_{metric}" in history.history:
        _mark_vertical(axes, history.best_epoch, "best epoch")
    axes.margins(y=0.12)
    label_lines(axes)
    return fig


def plot_calibration(calibration: Any) -> Any:
    """Plots observed shares against predicted probabilities; a perfect forecast is on the diagonal.

    Args:
        calibration: `Calibration`, as returned by `companion.calibration`.

    Returns:
        The `matplotlib.figure.Figure`; give it to `show`.

    Example:
        >>> from types import SimpleNamespace
        >>> bins = SimpleNamespace(predicted=[0.2, 0.8], observed=[0.1, 0.7], counts=[30, 10])
        >>> fig = plot_calibration(bins)
        >>> fig.axes[0].get_ylabel()
        'Observed share'
    """
    fig, axes = figure(width=5.2, height=4.8)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (4, 3)))
    axes.annotate(
        "perfectly calibrated",
        (0.06, 0.06),
        xytext=(0, 7),
        textcoords="offset points",
        color=MUTED,
        rotation=45,
        rotation_mode="anchor",
        transform_rotates_text=True,
    )
    axes.plot(calibration.predicted, calibration.observed, linewidth=1.2, color=PALETTE[0])
    # The area of a point is the number of messages it stands for.
    area = 500 * np.asarray(calibration.counts) / np.sum(calibration.counts) + 12
    axes.scatter(calibration.predicted, calibration.observed, area, PALETTE[0], zorder=3)
    axes.set(xlim=(0, 1), ylim=(0, 1), xlabel="Predicted probability", ylabel="Observed share")
    axes.set_aspect("equal")
    return fig


def plot_threshold_value(value: ThresholdValue) -> Any:
    """Plots the yearly value against the threshold and marks the best threshold.

    Args:
        value: `ThresholdValue`, as returned by `companion.economics.threshold_value`.

    Returns:
        The `matplotlib.figure.Figure`; give it to `show`.

    Example:
        >>> from companion.economics.decisions import threshold_value
        >>> costs = {"cost_miss_usd": 5, "cost_false_alarm_usd": 1, "volume": 1000}
        >>> fig = plot_threshold_value(threshold_value([1, 0], [0.9, 0.2], **costs))
        >>> fig.axes[0].texts[0].get_text()
        'best threshold 0.21'
    """
    fig, axes = figure()
    axes.plot(value.thresholds, value.value_usd)
    axes.axhline(0, color=MUTED, linewidth=1)
    axes.set(xlabel="Threshold", ylabel="Value per year (USD)")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.margins(x=0.01, y=0.12)
    axes.plot([value.best_threshold], [value.best_value_usd], "o", color=PALETTE[1], markersize=8)
    _mark_vertical(axes, value.best_threshold, f"best threshold {value.best_threshold:.2f}")
    return fig


def _mark_vertical(axes: Any, place: float, text: str) -> None:
    axes.axvline(place, color=MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.annotate(
        text,
        (place, 1),
        xycoords=axes.get_xaxis_transform(),
        xytext=(4, -2),
        textcoords="offset points",
        color=MUTED,
        va="top",
    )
