"""Checks a notebook's prose numbers and pictures in the same run, when nbval runs the notebook.

``pytest --nbval --nbval-current-env book`` collects nbval's own cells and two items more for each
notebook, "pictures" and "prose numbers". The longest notebooks run first, so that no worker waits
for one at the end. A notebook that needs a package which is not installed is skipped as a whole,
with a word on what to install. A summary tells each notebook's time, the share of outputs compared,
and the ten slowest files of the whole run. ``--nbval-lax`` excuses what another system rounds
otherwise, in outputs and in prose; what raises an error is never excused.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from functools import cached_property
from pathlib import Path
from queue import Empty
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the house's rules are no installed package

from tools import pictures, prose  # noqa: E402
from tools.comparison import Trained, differences, texts, trained_parts  # noqa: E402
from tools.notebooks import Notebook, compared  # noqa: E402
from tools.profiles import STORED_WITH  # noqa: E402

ANSWER_TIMEOUT_SECONDS = 60
SLOWEST = 10

for name, value in STORED_WITH.items():  # the kernels inherit it
    os.environ.setdefault(name, value)


class Cell(IPyNbCell):  # type: ignore[misc]
    """nbval's cell, whose numbers may move by one unit where the cell is ``trained``."""

    parent: CheckedNotebook

    def compare_outputs(self, test: Any, ref: Any, skip_compare: Any = None) -> bool:
        trained = self.cell.id in self.parent.trained.cells
        found = [
            each
            for old, new in zip(ref, test, strict=False)
            for each in _agree(old, new, trained=trained)
        ]
        same: bool = super().compare_outputs(test, ref, skip_compare)
        if not same:
            self.comparison_traceback += [f"stored {each}" for each in found]
        return same


def _agree(old: Any, new: Any, *, trained: bool) -> Iterator[Any]:
    """What differs; a text that only moves by what is forgiven becomes the stored one."""
    for kind, text in texts(new).items():
        stored = texts(old).get(kind, "")
        found = differences(stored, text, trained=trained)
        yield from found
        if not found and new.output_type == "stream":
            new.text = stored
        elif not found:
            new["data"][kind] = stored


class CheckedNotebook(IPyNbFile):  # type: ignore[misc]
    """nbval's notebook, and after its last cell its pictures and the numbers in its prose."""

    started = 0.0
    cells: tuple[Any, ...] = ()

    def setup(self) -> None:
        self.started = time.perf_counter()
        super().setup()

    @cached_property
    def trained(self) -> Trained:
        return trained_parts(cell.cell for cell in self.cells)

    def collect(self) -> Iterator[pytest.Item]:
        if excuse := Notebook(self.path, ROOT).excuse:
            pytest.skip(excuse)  # as a whole
        self.cells = tuple(
            Cell.from_parent(
                self, name=item.name, cell_num=item.cell_num, cell=item.cell, options=item.options
            )
            for item in super().collect()
        )
        yield from self.cells
        yield Pictures.from_parent(self, name="pictures")
        yield ProseNumbers.from_parent(self, name="prose numbers")


class Check(pytest.Item):
    """What is checked of a notebook once its cells have run."""

    parent: CheckedNotebook

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, CheckError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, 0, f"{self.path.name}::{self.name}"


class Pictures(Check):
    """Compares every picture that the run has shown with the stored one."""

    def runtest(self) -> None:
        lines = [
            f"cell {item.cell.id}: {line}"
            for item in self.parent.cells
            if item.test_outputs is not None
            for line in pictures.differences(
                item.cell.source,
                item.cell.outputs,
                item.test_outputs,
                compare=item.options["check"],
            )
        ]
        if lines:
            raise CheckError("\n".join([*lines, "If the new pictures are right: make numbers"]))


class ProseNumbers(Check):
    """Computes every bound number of the notebook and compares it with what the prose says."""

    def runtest(self) -> None:
        notebook = Notebook(self.path, ROOT)
        some, every = compared(notebook)
        seconds = time.perf_counter() - self.parent.started
        self.user_properties.append(("notebook", (notebook.name, seconds, some, every)))
        cells = [(cell.id, prose.scan(cell.source).bound) for cell in notebook.markdown]
        own = [(name, [b for b in bounds if not b.quoted]) for name, bounds in cells]
        bodies = {bound.body for _, bounds in own for bound in bounds}
        values, errors = self._ask(prose.user_expressions(sorted(bodies), notebook.run_seconds))
        lines = [
            f"cell {name}: {line}"
            for name, bounds in own
            for line in prose.differences(
                bounds,
                values,
                errors,
                compare=self.parent.compare_outputs,
                trained=self.parent.trained.binds,
            )
        ]
        if lines:
            raise CheckError("\n".join([*lines, "If the new numbers are right: make numbers"]))

    def _ask(self, expressions: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
        kernel = self.parent.kernel
        if kernel is None or not kernel.is_alive() or self.parent.timed_out:
            raise CheckError("the kernel is gone: a cell before crashed it or ran out of time")
        asked = kernel.kc.execute("", store_history=False, user_expressions=expressions)
        try:
            while True:
                reply = kernel.get_message("shell", timeout=ANSWER_TIMEOUT_SECONDS)
                if reply["parent_header"].get("msg_id") == asked:
                    return prose.read_reply(reply["content"])
        except Empty as error:
            raise CheckError(f"no answer in {ANSWER_TIMEOUT_SECONDS} seconds") from error


class CheckError(Exception):
    """What the prose says or a picture shows is not what the notebook computes."""


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[Any], list[Any]]:
    nodes = yield
    return [
        CheckedNotebook.from_parent(parent, path=file_path) if type(node) is IPyNbFile else node
        for node in nodes
    ]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Notebooks before all else, the longest first; `--no-loadscope-reorder` keeps xdist at it."""

    def rank(item: pytest.Item) -> float:
        notebook = item.path.suffix == ".ipynb"
        return -(Notebook(item.path, ROOT).run_seconds or 1) if notebook else 0

    items.sort(key=rank)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    seconds: defaultdict[str, float] = defaultdict(float)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if isinstance(report, pytest.TestReport):
                seconds[report.nodeid.partition("::")[0]] += report.duration
    terminalreporter.section("slowest files")
    for name, spent in sorted(seconds.items(), key=lambda item: -item[1])[:SLOWEST]:
        terminalreporter.line(f"{spent:6.1f} s  {name}")
    _summarise_notebooks(terminalreporter)


def _summarise_notebooks(terminalreporter: pytest.TerminalReporter) -> None:
    rows = [
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", None) == "call"
        for name, value in report.user_properties
        if name == "notebook"
    ]
    if rows:
        terminalreporter.section("notebooks")
        for name, seconds, some, every in sorted(map(tuple, rows)):
            terminalreporter.line(f"{name}: {seconds:.0f} s, {some} of {every} outputs compared")
        some, every = sum(row[2] for row in rows), sum(row[3] for row in rows)
        share = f"{some / every:.0%}" if every else "none"
        terminalreporter.line(f"all: {some} of {every} outputs compared ({share})")
