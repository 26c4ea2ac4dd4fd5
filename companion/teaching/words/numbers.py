"""Numbers, positions and lists of them in words, for the description of a figure."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "AxisWords",
    "large_number",
    "named",
    "number",
    "one_line",
    "round_significant",
    "sample",
    "spread",
]


def round_significant(value: float, digits: int) -> float:
    """Rounds to significant digits; whole numbers below a million stay as they are, -0 becomes 0.

    Args:
        value: float. A finite number.
        digits: int. How many significant digits to keep.

    Returns:
        A float.

    Example:
        >>> [round_significant(value, 3) for value in (0.123456, 12345.6, 2026)]
        [0.123, 12300.0, 2026.0]
    """
    value = float(value)
    # A tolerance, because 2025.9999999999 on another machine must print as 2026 does on this one.
    if abs(value) < 1e6 and abs(value - round(value)) <= 1e-9 * abs(value):
        return float(round(value))
    return round(value, digits - 1 - math.floor(math.log10(abs(value))))


_SIZES = ((1e12, " trillion"), (1e9, " billion"), (1e6, " million"), (0.0, ""))
_RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


def large_number(value: float, digits: int = 2) -> str:
    """Writes a number as people say it: in millions, billions or trillions, or as a power of ten.

    Args:
        value: float. A finite number.
        digits: int of at least 1. Significant digits. Defaults to `2`.

    Returns:
        A str.

    Raises:
        ValueError: If `value` is not finite, or `digits` less than 1.

    Example:
        >>> [large_number(value) for value in (1_380_000, 96e9, 4_920, 2e23)]
        ['1.4 million', '96 billion', '4,900', '2.0 × 10²³']
    """
    if not math.isfinite(value) or digits < 1:
        raise ValueError(f"value={value!r} must be finite, and digits={digits!r} at least 1.")
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    rounded, exponent = float(f"{mantissa}e{power}"), int(power)
    if exponent >= 15:
        return f"{mantissa} × 10{str(exponent).translate(_RAISED)}"
    unit, name = next((unit, name) for unit, name in _SIZES if abs(rounded) >= unit)
    decimals = max(0, digits - 1 - exponent + (round(math.log10(unit)) if unit else 0))
    return f"{rounded / (unit or 1):,.{decimals}f}{name}"


LIST_ALL = 12  # items; a longer list is sampled

SAMPLE = 8

_FORMULA = re.compile(r"(?<!\\)\$(.+?)(?<!\\)\$")

_SIGNS = {"cdot": "·", "sqrt": "√", "times": "×", "pm": "±"}


def one_line(text: object) -> str:
    r"""Puts a text on one line, its formulas as one would read them.

    Args:
        text: object with a text form, in which Matplotlib reads what stands between dollar signs as
            TeX.

    Returns:
        A str.

    Example:
        >>> one_line(r"Variance of  $q \cdot k$ ")
        'Variance of q·k'
    """
    read = _FORMULA.sub(lambda found: _read_formula(found[1]), str(text))
    return " ".join(read.replace("\\$", "$").split())


def _read_formula(tex: str) -> str:
    """Drops what only places and shapes the letters of a formula."""
    tex = re.sub(r"\\(?:math[a-z]+|text|[,;!])", "", tex)
    tex = re.sub(r"\\ ", " ", tex)
    tex = re.sub(r" ?\\([a-zA-Z]+) ?", lambda found: _SIGNS.get(found[1], f" {found[1]} "), tex)
    return re.sub(r"[_{}\\]", "", tex)


def number(value: float, digits: int) -> str:
    """Writes one number with at most so many significant digits.

    Args:
        value: float.
        digits: int.

    Returns:
        A str.

    Example:
        >>> [number(v, 3) for v in (0.123456, -0.0, 2026, 1.5e-7, float("nan"))]
        ['0.123', '0', '2026', '1.5e-7', 'no value']
    """
    value = float(value)
    if math.isnan(value):
        return "no value"
    if math.isinf(value):
        return "infinity" if value > 0 else "minus infinity"
    rounded = round_significant(value, digits)
    if rounded == 0 or 1e-4 <= abs(rounded) < 1e6:
        return np.format_float_positional(rounded, trim="-")
    return np.format_float_scientific(rounded, trim="-", exp_digits=1).replace("e+", "e")


def sample(items: Sequence[str]) -> Sequence[str]:
    """Shortens a list to evenly spaced items with both its ends.

    Args:
        items: sequence of str.

    Returns:
        All of up to 12 items, 8 of more.

    Example:
        >>> " ".join(sample([str(i) for i in range(100)]))
        '0 14 28 42 57 71 85 99'
    """
    if len(items) <= LIST_ALL:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, SAMPLE).round().astype(int)]


def spread(values: Any, digits: int) -> str:
    """Says how far values reach.

    Args:
        values: array of any shape, NaN and masked values left out.
        digits: int. Significant digits.

    Returns:
        A sentence with the lowest, the mean and the highest value.

    Example:
        >>> spread([1, 2, 6], 3)
        'Lowest 1, mean 3, highest 6.'
    """
    finite: Any = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan).ravel()
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        return "No finite value."
    low, high = float(finite.min()), float(finite.max())
    mean = float(finite.mean())
    if largest := max(-low, high):
        # A mean of numbers that cancel is no more exact than the largest of them.
        mean = round(mean, digits - 1 - math.floor(math.log10(largest)))
    texts = [number(value, digits) for value in (low, mean, high)]
    return "Lowest {}, mean {}, highest {}.".format(*texts)


def named(what: str, label: object) -> str:
    """Says what something is, with its label unless that is one of Matplotlib's own.

    Args:
        what: str.
        label: object with a text form.

    Returns:
        A str.

    Example:
        >>> named("Line", "training"), named("Line", "_child0")
        ('Line "training"', 'Line')
    """
    text = one_line(label)
    return f'{what} "{text}"' if text and not text.startswith("_") else what


class AxisWords:
    """How one axis names its places (by number, date or label), and the axis itself in words.

    Args:
        axis: `matplotlib.axis.Axis`.
        digits: int. Significant digits.
    """

    def __init__(self, axis: Any, digits: int) -> None:
        from matplotlib import category, dates, ticker

        self._axis = axis
        self._digits = digits
        self._formatter = axis.get_major_formatter()
        date_formatters = (dates.AutoDateFormatter, dates.ConciseDateFormatter, dates.DateFormatter)
        self._dates = isinstance(self._formatter, date_formatters)
        self._plain = (ticker.ScalarFormatter, ticker.LogFormatter, *date_formatters)
        by_hand = (ticker.FuncFormatter, ticker.FixedFormatter, category.StrCategoryFormatter)
        at_places = (ticker.FixedLocator, category.StrCategoryLocator)
        self.names: dict[float, str] = {}
        if isinstance(self._formatter, by_hand) and isinstance(axis.get_major_locator(), at_places):
            places = axis.get_majorticklocs()
            texts = self._formatter.format_ticks(places)
            self.names = {
                round(float(p), 9): one_line(t) for p, t in zip(places, texts, strict=True)
            }

    def word(self, value: float) -> str:
        """Names one place on the axis.

        Args:
            value: float. In the axis's own numbers.

        Returns:
            A str.
        """
        if self._dates and math.isfinite(value):
            from matplotlib.dates import num2date

            return str(num2date(value).date())  # type: ignore[no-untyped-call]
        return self.names.get(round(float(value), 9)) or number(value, self._digits)

    def words(self, values: Any) -> list[str]:
        """Names many places; on a linear axis one too small to be seen beside the others is 0.

        Args:
            values: array of float, shape (n,).

        Returns:
            A list of n str.
        """
        array = np.asarray(values, dtype=float)
        if self._axis.get_scale() == "linear" and np.isfinite(array).any():
            largest = np.abs(array[np.isfinite(array)]).max()
            array = np.where(np.abs(array) < 1e-9 * largest, 0.0, array)
        return [self.word(v) for v in array]

    def sentence(self, side: str) -> str:
        """Describes the axis: title, scale, limits set by hand, labels or unusual numbers.

        Args:
            side: str. Which axis it is.

        Returns:
            A str.
        """
        title = one_line(self._axis.get_label_text())
        parts = [f"{side} axis: {title}" if title else f"{side} axis without a title"]
        if self._axis.get_scale() != "linear":
            parts.append(f"{self._axis.get_scale()} scale")
        by_data = getattr(self._axis.axes, f"get_autoscale{self._axis.axis_name}_on")()
        if not by_data:  # otherwise the limits follow from the data
            low, high = self.words(sorted(self._axis.get_view_interval()))
            parts.append(f"shown from {low} to {high}")
        if self._axis.get_inverted():
            parts.append("reversed")
        if self.names:
            parts.append(f"labels {', '.join(sample(list(self.names.values())))}")
        elif not isinstance(self._formatter, self._plain):
            # Otherwise percent signs on the wrong numbers would leave no trace.
            one = one_line(self._formatter(1, 0))
            parts += [f'1 is written "{one}"'] if one != "1" else []
        return ", ".join(parts) + "."
