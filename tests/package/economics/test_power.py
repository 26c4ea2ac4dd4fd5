"""The meter of energy counts whole packages, once, and says nothing where it cannot be read."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from companion.economics import measure_joules

MOST = 1_000_000  # microjoules, after which a counter starts again

pytestmark = pytest.mark.skipif(
    sys.platform == "win32", reason="the meter is Linux's, and Windows allows no colon in a name"
)


def zone(folder: Path, number: str, name: str, energy: object) -> Path:
    made = folder / f"intel-rapl:{number}"
    made.mkdir()
    (made / "name").write_text(f"{name}\n")
    (made / "energy_uj").write_text(f"{energy}\n")
    (made / "max_energy_range_uj").write_text(f"{MOST}\n")
    return made / "energy_uj"


@pytest.mark.parametrize(
    ("before", "after", "joules"),
    [(200_000, 700_000, 0.5), (700_000, 200_000, 0.5), (5, 5, 0.0), (MOST, 0, 0.0)],
    ids=["plain", "started again", "nothing", "at the turn"],
)
def test_the_energy_is_what_the_counter_rose_by(
    before: int, after: int, joules: float, tmp_path: Path
) -> None:
    counter = zone(tmp_path, "0", "package-0", before)
    found = measure_joules(lambda: counter.write_text(f"{after}\n"), tmp_path)
    assert found == pytest.approx(joules)


def test_packages_are_added_and_their_parts_and_the_board_are_not(tmp_path: Path) -> None:
    names = {"0": "package-0", "1": "package-1", "0:0": "core", "2": "psys"}
    counters = [zone(tmp_path, number, name, 0) for number, name in names.items()]
    zone(tmp_path, "0:1", "dram", "no number")
    (tmp_path / "intel-rapl").mkdir()  # the driver itself, without a counter

    def work() -> None:
        for counter in counters:
            counter.write_text("250000\n")

    assert measure_joules(work, tmp_path) == pytest.approx(0.5)


def spoil(counter: Path, how: str) -> None:
    if how == "no counter":
        counter.unlink()
    elif how == "no number":
        counter.write_text("unknown\n")
    elif how == "no range":
        counter.write_text("1\n")
        counter.with_name("max_energy_range_uj").unlink()
    elif how == "fell below its range":
        counter.write_text("1\n")
        counter.with_name("max_energy_range_uj").write_text("2\n")
    else:  # a folder cannot be read as a file, not even by the administrator
        counter.unlink()
        counter.mkdir()


WAYS = ["no counter", "no number", "no range", "fell below its range", "unreadable"]


@pytest.mark.parametrize("how", WAYS)
def test_one_package_that_cannot_be_read_spoils_the_sum(how: str, tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 10)
    counter = zone(tmp_path, "1", "package-1", 10)
    assert measure_joules(lambda: spoil(counter, how), tmp_path) is None


@pytest.mark.parametrize("how", ["no counter", "no number", "unreadable"])
def test_a_counter_that_was_unreadable_before_the_work_gives_nothing(
    how: str, tmp_path: Path
) -> None:
    counter = zone(tmp_path, "0", "package-0", 10)
    spoil(counter, how)
    assert measure_joules(lambda: None, tmp_path) is None


def test_work_is_done_once_even_where_there_is_no_meter(tmp_path: Path) -> None:
    done: list[int] = []
    assert measure_joules(lambda: done.append(1), tmp_path) is None
    assert measure_joules(lambda: done.append(2), tmp_path / "missing") is None
    assert done == [1, 2]


def test_an_error_of_the_work_is_shown(tmp_path: Path) -> None:
    zone(tmp_path, "0", "package-0", 10)
    with pytest.raises(ZeroDivisionError):
        measure_joules(lambda: 1 / 0, tmp_path)
