"""A control of an explorer: an argument's name, what the reader sees, and the values offered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from companion._common.checking import check_text

__all__ = ["Control"]


@dataclass(frozen=True)
class Control:
    """One thing a reader can change in an explorer.

    Args:
        name: str. The argument's name in the explorer's function.
        label: str. What the reader sees, with the unit.
        values: sequence of at least two different numbers or texts, in the order shown.
        start: One of `values`, where the control begins.
        format: str. How a value is written, as in `str.format`. Defaults to `"{}"`.

    Raises:
        ValueError: If the values are too few, repeat themselves or read the same, or `start` is
            not among them.

    Example:
        >>> Control("cost_usd", "Cost (USD)", [1, 1000], 1, "${:,}").texts
        ('$1', '$1,000')
    """

    name: str
    label: str
    values: Sequence[Any]
    start: Any
    format: str = "{}"

    def __post_init__(self) -> None:
        if not str(self.name).isidentifier():
            raise ValueError(
                f"Control name {self.name!r} must be the name of an argument, such as 'cost_usd'."
            )
        check_text("label", self.label)
        # NumPy's numbers are made Python's own, which JSON can hold.
        values = tuple(v.item() if isinstance(v, np.generic) else v for v in self.values)
        if len(values) < 2 or len(set(values)) < len(values):
            raise ValueError(
                f"Control {self.name!r} needs at least two different values, but has {values}."
            )
        if not all(isinstance(v, str | int) or math.isfinite(v) for v in values):
            raise ValueError(
                f"Control {self.name!r} takes finite numbers and texts, but has {values}."
            )
        if self.start not in values:
            raise ValueError(
                f"Control {self.name!r} starts at {self.start!r}, which is not one of {values}."
            )
        object.__setattr__(self, "values", values)
        object.__setattr__(self, "start", values[values.index(self.start)])
        if len(set(self.texts)) < len(values):
            raise ValueError(
                f"format={self.format!r} writes two values of control {self.name!r} the same: "
                f"{self.texts}. Show more digits."
            )

    @property
    def texts(self) -> tuple[str, ...]:
        """The values as a reader sees them."""
        return tuple(self.format.format(value) for value in self.values)

    def as_json(self) -> dict[str, Any]:
        """Returns what a page needs to build the control."""
        keys = ("name", "label", "values", "texts", "start")
        return {key: getattr(self, key) for key in keys}

    def as_widget(self) -> Any:
        """Returns the control as an ipywidget: a slider for numbers, a list for texts."""
        import ipywidgets

        numeric = not any(isinstance(value, str | bool) for value in self.values)
        kind = ipywidgets.SelectionSlider if numeric else ipywidgets.Dropdown
        return kind(
            options=list(zip(self.texts, self.values, strict=True)),
            value=self.start,
            description=self.label,
            style={"description_width": "16em"},
            layout={"width": "36em", "max_width": "100%"},
        )
