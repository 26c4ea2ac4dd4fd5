"""Facts from outside: every number that a page quotes and does not compute, with its source.

They stand in `facts.yml`. A fact that was only seen quoted by somebody else (mark V2), or is known
but was not looked up again (mark M), is to be worded "reported as"; `Fact.reported` says so.
"""

from __future__ import annotations

import datetime
import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Fact", "facts"]


_FIELDS = ("value", "unit", "statement", "source", "date", "mark", "review_by")

_MARKS = {
    "V": "seen in the source itself",
    "V2": "seen in a text that quotes the source",
    "M": "general knowledge of the source, not looked up again",
}


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
    mark: str
    review_by: datetime.date

    @property
    def reported(self) -> bool:
        """Whether the fact must be worded "reported as"."""
        return self.mark != "V"

    def __format__(self, spec: str) -> str:
        return format(self.value, spec)


class UnknownFactError(KeyError):
    """There is no fact of that key; the message names those that are spelled alike."""

    def __str__(self) -> str:  # a KeyError would print its message in quotation marks
        return str(self.args[0])


class FactSheet(Mapping[str, Fact]):
    """The facts by key, read and checked when the first one is asked for.

    Args:
        path: path or `None`. A YAML file: for each key the fields value, unit, statement, source,
            date, mark and review_by. `None` is the package's own. Defaults to
            `None`.

    Raises:
        ValueError: On first use, if the file breaks a rule; the message names the fact and the
            rule.

    Example:

    >>> from companion import facts
    >>> facts["imdb_lstm_accuracy"].value, facts["imdb_lstm_accuracy"].reported
    (0.865, True)
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or Path(__file__).with_name("facts.yml")

    @cached_property
    def _facts(self) -> dict[str, Fact]:
        entries = yaml.load(self._path.read_text("utf-8"), _Loader)
        return {key: _check(key, entry) for key, entry in entries.items()}

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


# The parser in C, where PyYAML was built with it, is ten times as fast.
_SafeLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_SafeLoader):  # type: ignore[misc]
    """Refuse a key that stands twice, where YAML would quietly keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value)
        if twice := [key for key, number in keys.items() if number > 1]:
            raise ValueError(f"facts.yml: {twice} stands there twice. Rename or remove one.")
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def _check(key: str, entry: Any) -> Fact:
    problems = list(_problems(key, entry))
    if problems:
        raise ValueError(f"facts.yml, {key!r}: {' '.join(problems)}")
    return Fact(key=key, **{**entry, "date": str(entry["date"])})


def _problems(key: str, entry: Any) -> Iterator[str]:
    if not re.fullmatch("[a-z][a-z0-9_]*", str(key)):
        yield "a key consists of small letters, digits and underscores."
    if not isinstance(entry, dict) or set(entry) != set(_FIELDS):
        given = sorted(entry) if isinstance(entry, dict) else entry
        yield f"the fields must be {', '.join(_FIELDS)}, but are {given}."
        return
    value = entry["value"]
    if isinstance(value, bool) or not isinstance(value, int | float | str | datetime.date):
        yield f"value must be a number, a text or a date, but is {value!r}."
    if isinstance(value, str) and re.fullmatch(r"[-+]?[\d_.]+(e\d+)?", value):
        yield f"value {value!r} is read as text: write a number as 12.5 or 3.14e+23, without "
        "quotes."
    for field in ("unit", "statement", "source"):
        if not isinstance(entry[field], str) or not entry[field].strip():
            yield f"{field} must be a text, but is {entry[field]!r}."
    if not re.fullmatch(r"\d{4}(-\d\d(-\d\d)?)?", str(entry["date"])):
        yield f"date must be a year, a month or a day such as 2026-05-31, but is {entry['date']!r}."
    if entry["mark"] not in _MARKS:
        yield f"mark {entry['mark']!r} is unknown; choose one of {_MARKS}."
    if not isinstance(entry["review_by"], datetime.date):
        yield f"review_by must be a day such as 2028-11-23, but is {entry['review_by']!r}."


facts = FactSheet()
