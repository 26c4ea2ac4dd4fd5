"""Whether two runs say the same: to the letter, or to one unit of the last digit that is printed.

A trained number differs in its last digits from processor to processor, so its printed text may
flip by one unit where it lies near a rounding boundary. Cells tagged ``trained`` may do so, and
with them the explorers and the numbers in prose that use what such cells compute. A sound may
differ by what nobody can hear, since its samples flip in the same way. Everything else is compared
to the letter. nbval's cells, the numbers in prose, explorers' states and the tools that run a page
all ask the functions of this module.
"""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import zip_longest
from typing import Any, NamedTuple

import numpy as np

from tools.notebooks import NOT_COMPARED, parse

TAG = "trained"
# A number with the spaces that pad it. Digits of a name, a version or a colour are text.
_NUMBER = re.compile(
    r"(?P<pad> *)(?P<number>(?:(?<![\w.)\]])[-+−])?(?<![\w.#])"
    r"\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][-+−]?\d+)?)(?P<share>[ \u00a0\u202f]?%)?"
)
_SOUND = re.compile(r"(?<=data:audio/wav;base64,)[\w+/=]+")
# Of the 32,768 from silence to the loudest, so 78 dB below that. Measured: another processor is at
# most 2 away, in two of the nine sounds of the book.
_UNHEARD_STEPS = 4
_WAV_HEADER = 44  # bytes


class Difference(NamedTuple):
    """A piece of text that two runs print otherwise; ``safe`` are the digits that they share."""

    stored: str
    shown: str
    safe: str = ""

    def __str__(self) -> str:
        hint = f"; safe digits: {self.safe}" if self.safe else ""
        return f"{self.stored!r}, then {self.shown!r}{hint}"


def differences(stored: str, shown: str, *, trained: bool = False) -> list[Difference]:
    """What two texts say differently; a ``trained`` number may move by a unit of its last digit."""
    if stored == shown:
        return []
    sounds = list(zip_longest(_SOUND.findall(stored), _SOUND.findall(shown), fillvalue=""))
    if heard := [found for pair in sounds if (found := _sounds(*pair))]:
        return heard
    stored, shown = _SOUND.sub("", stored), _SOUND.sub("", shown)
    old, new = list(_NUMBER.finditer(stored)), list(_NUMBER.finditer(shown))
    if _between(old, stored) != _between(new, shown):
        return [_lines(stored, shown)]
    pairs = [(a, b) for a, b in zip(old, new, strict=True) if a[0] != b[0]]
    return [_difference(a, b) for a, b in pairs if not (trained and _one_unit(a, b))]


def _sounds(stored: str, shown: str) -> Difference | None:
    """How two sounds in base64 differ, where that can be heard."""
    old, new = base64.b64decode(stored), base64.b64decode(shown)
    if len(old) != len(new) or old[:_WAV_HEADER] != new[:_WAV_HEADER]:
        return Difference(f"a sound of {len(old):,} bytes", f"another of {len(new):,}")
    samples = (np.frombuffer(sound[_WAV_HEADER:], "<i2").astype(int) for sound in (old, new))
    steps = np.abs(np.subtract(*samples)).max(initial=0)
    return (
        Difference("a sound", f"one up to {steps} steps away") if steps > _UNHEARD_STEPS else None
    )


def _between(numbers: list[re.Match[str]], text: str) -> list[str]:
    ends = [0, *(end for found in numbers for end in found.span()), len(text)]
    return [text[start:end] for start, end in zip(ends[::2], ends[1::2], strict=True)]


def _lines(stored: str, shown: str) -> Difference:
    """The first line that differs, or the place in it where lines are long."""
    pairs = zip_longest(stored.splitlines(), shown.splitlines(), fillvalue="")
    old, new = next(((a, b) for a, b in pairs if a != b), (stored, shown))
    place = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
    start = max(0, place - 40)
    return Difference(old[start : place + 60], new[start : place + 60])


def _value(found: re.Match[str]) -> Decimal:
    return Decimal(found["number"].replace(",", "").replace("−", "-"))


def read_number(text: str) -> Decimal | None:
    """The first number that a text prints."""
    found = _NUMBER.search(text)
    return _value(found) if found else None


def exponent(number: Decimal) -> int:
    """The power of ten of the last printed digit."""
    power = number.as_tuple().exponent
    assert isinstance(power, int)  # no infinity is printed in digits
    return power


def _one_unit(old: re.Match[str], new: re.Match[str]) -> bool:
    same_column = old["pad"] == new["pad"] or len(old[0]) == len(new[0])
    if not same_column or old["share"] != new["share"]:
        return False
    a, b = _value(old), _value(new)
    finest = min(exponent(a), exponent(b))
    # A single digit names a class or counts a few things: no rounding moves it.
    names = finest == 0 and not old["share"] and min(abs(a), abs(b)) < 10
    return not names and abs(a - b) <= Decimal((0, (1,), finest))


def _difference(old: re.Match[str], new: re.Match[str]) -> Difference:
    share = old["share"] or ""
    return Difference(old[0].strip(), new[0].strip(), safe_digits(_value(old), _value(new)) + share)


def safe_digits(a: Decimal, b: Decimal) -> str:
    """The finest rounding on which two values agree: 0.78 of 0.781 and 0.779."""
    finest, coarsest = min(exponent(a), exponent(b)), max(a.adjusted(), b.adjusted())
    for power in range(finest, coarsest + 1):
        unit = Decimal((0, (1,), power))
        if (rounded := a.quantize(unit)) == b.quantize(unit):
            return f"{rounded:f}"
    return "none"


def texts(output: Mapping[str, Any]) -> dict[str, str]:
    """The texts of an output that are compared, by stream or mime type."""
    if output["output_type"] == "stream":
        return {output["name"]: output["text"]}
    data = output.get("data", {})
    return {mime: str(value) for mime, value in data.items() if mime not in NOT_COMPARED}


def output_differences(
    stored: Iterable[Any], shown: Iterable[Any], *, trained: bool
) -> Iterator[Difference]:
    """What two runs of one cell show differently, pictures apart."""
    pairs = zip_longest(map(texts, stored), map(texts, shown))
    for old, new in ((old or {}, new or {}) for old, new in pairs):
        if old.keys() != new.keys():
            yield Difference(f"an output of {sorted(old)}", f"one of {sorted(new)}")
        else:
            for kind in old:
                yield from differences(old[kind], new[kind], trained=trained)


class Trained(NamedTuple):
    """What of a notebook may move by one unit: cells by id, and names by their last value."""

    cells: frozenset[str]
    names: frozenset[str]

    def binds(self, body: str) -> bool:
        """Whether a number in prose, bound to this body, uses what a trained cell computes."""
        used = ast.walk(ast.parse(f'f"""{{{body}}}"""', mode="eval"))
        return any(isinstance(node, ast.Name) and node.id in self.names for node in used)


def trained_parts(code: Iterable[Any]) -> Trained:
    """Follow the cells in order: tagged ones, and the explorers that use what these compute."""
    cells: set[str] = set()
    names: set[str] = set()
    for cell in code:
        tree = parse(cell.source)
        bound = list(_bindings(tree))
        before = names - {name for name, _ in bound}
        own = TAG in cell.metadata.get("tags", []) or (_explores(cell) and _uses(tree, before))
        if own:
            cells.add(cell.id)
        for name, node in bound:
            function = isinstance(node, ast.FunctionDef) and _uses(node, names)
            (names.add if own or function else names.discard)(name)
    return Trained(frozenset(cells), frozenset(names))


def _explores(cell: Any) -> bool:
    shown = [str(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])]
    return "Explorer(" in cell.source or any('class="explorer"' in html for html in shown)


def _uses(tree: ast.AST, names: set[str]) -> bool:
    return any(isinstance(node, ast.Name) and node.id in names for node in ast.walk(tree))


_OWN_NAMES = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _bindings(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """The names that a cell binds at its top level; those inside functions are their own."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id, node
        elif not isinstance(node, _OWN_NAMES):
            yield from _bindings(node)
