"""Which numbers lie so near to a rounding boundary that another processor may print another digit.

Two runs on two profiles tell how far a value moves. Where the next boundary is nearer than three
times that, print a digit less, or a fact that every machine agrees on.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import NamedTuple

from tools.comparison import exponent, read_number

SPREADS = 3


class Formatted(NamedTuple):
    """A number as an f-string was given it; ``place`` is a cell or what prose is bound to."""

    place: str
    spec: str
    value: float


def narrow(first: Iterable[Formatted], second: Iterable[Formatted]) -> Iterator[tuple[str, str]]:
    """Each number of two runs that is near a boundary: its place, and both values."""
    told = set()
    runs = _by_place(first), _by_place(second)
    for key in runs[0].keys() & runs[1].keys():
        ones, others = (run[key] for run in runs)
        if len(ones) != len(others):
            continue  # another way through the cell: its text tells
        for one, other in zip(ones, others, strict=True):
            place, spec = key
            if is_narrow(one, other, spec) and (place, one) not in told:
                told.add((place, one))
                told_as = f"{one!r} and {other!r} print as {one:{spec}} and {other:{spec}}"
                yield place, f"{told_as}: print a digit less, or a fact"


def _by_place(run: Iterable[Formatted]) -> dict[tuple[str, str], list[float]]:
    found = defaultdict(list)
    for each in run:
        found[each.place, each.spec].append(each.value)
    return found


def is_narrow(one: float, other: float, spec: str) -> bool:
    """Whether a third machine may print this number otherwise, in this format."""
    spread = abs(one - other)
    if not (math.isfinite(spread) and spread > 0):
        return False
    printed = read_number(text := f"{one:{spec}}")
    if printed is None:
        return False
    unit = float(Decimal((0, (1,), exponent(printed)))) / (100 if "%" in text else 1)
    apart = min(abs((value / unit) % 1 - 0.5) * unit for value in (one, other))
    return apart < SPREADS * spread
