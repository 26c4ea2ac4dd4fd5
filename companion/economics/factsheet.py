"""Facts from outside: every number that a page quotes and does not compute, with its source.

They stand in `facts.yml`. A fact that was only seen quoted by somebody else (mark V2), or is known
but was not looked up again (mark M), is to be worded "reported as"; `Fact.reported` says so.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Fact", "FactSheet", "UnknownFactError", "facts"]


@dataclass(frozen=True)
class Fact:
    """One fact; in an f-string, a format applies to its value.

    Example:

    >>> from companion import facts
    >>> f"{facts['lstm_year']}: {facts['gpt3_parameters']:,}"
    '1997: 175,000,000,000'
    """

    key: str
    value: float | str | datetime.date
    unit: str
    statement: str
    source: str  # a key of the bibliography
    date: str  # of the source: a year, a month (2026-05) or a day
    mark: str  # V, seen in the source itself; V2, in a text that quotes it; M, general knowledge
    review_by: datetime.date
    model: str | None = None  # whose price it is

    @property
    def reported(self) -> bool:
        """Whether the fact must be worded "reported as"."""
        return self.mark != "V"

    @property
    def number(self) -> float:
        """The value as a float; a `TypeError` where it is a text or a day."""
        if not isinstance(self.value, int | float):
            raise TypeError(f"The fact {self.key!r} is no number, but {self.value!r}.")
        return float(self.value)

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


class UnknownFactError(KeyError):
    """There is no fact of that key; the message names those that are spelled alike."""

    def __str__(self) -> str:  # a KeyError would print its message in quotation marks
        return str(self.args[0])


class FactSheet(Mapping[str, Fact]):
    """The facts by key, read when the first one is asked for.

    Args:
        path: path or `None`. A YAML file: for each key the fields value, unit, statement, source,
            date, mark and review_by, and model where it is a model's price. `None` is the package's
            own. Defaults to `None`.

    Example:

    >>> from companion import facts
    >>> facts["imdb_lstm_accuracy"].value, facts["imdb_lstm_accuracy"].reported
    (0.865, True)
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path(__file__).with_name("facts.yml")

    @cached_property
    def _facts(self) -> dict[str, Fact]:
        # The parser in C, where PyYAML was built with it, is ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        entries: dict[str, dict[str, Any]] = yaml.load(self._path.read_text("utf-8"), loader)
        return {
            key: Fact(key=key, **{**entry, "date": str(entry["date"])})
            for key, entry in entries.items()
        }

    def __getitem__(self, key: str) -> Fact:
        if key not in self._facts:
            near = ", ".join(difflib.get_close_matches(str(key), self._facts, n=3)) or "none"
            raise UnknownFactError(f"There is no fact {key!r}. Spelled alike: {near}.")
        return self._facts[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def __repr__(self) -> str:
        return f"<{len(self)} facts; list(facts) names them>"

    def overdue(self, today: datetime.date) -> list[Fact]:
        """Return the facts that should have been looked up again before `today`.

        Args:
            today: date.

        Returns:
            A list of facts, the longest overdue first.
        """
        late = [fact for fact in self.values() if fact.review_by < today]
        return sorted(late, key=lambda fact: fact.review_by)


facts = FactSheet()
