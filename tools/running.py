"""Runs a notebook in a fresh kernel of this interpreter, in a profile, and tells runs apart.

Beside outputs and the numbers in prose, a run keeps the values behind formatted numbers: the kernel
notes each number that an f-string of a cell formats, before it is rounded.
"""

from __future__ import annotations

import ast
import asyncio
import json
import math
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

from tools import pictures, profiles, prose
from tools.comparison import differences, output_differences, trained_parts
from tools.margins import Formatted
from tools.notebooks import NBVAL_TAGS, WIDGET_VIEW, Notebook

CELL_TIMEOUT_SECONDS = 600
# Within this factor the recorded time stays, so that a second run changes nothing.
TIME_FACTOR = 1.5

T = TypeVar("T")


class RunError(RuntimeError):
    """A notebook that does not run, or does not give what its page needs."""


@dataclass(frozen=True)
class Run:
    """What one run of a notebook gave: its cells, its numbers in prose, and what it formatted."""

    nb: Any
    seconds: float
    values: dict[str, str]
    formatted: list[Formatted]


class Disagreement(NamedTuple):
    """What two runs say differently, and where."""

    place: str
    what: str

    def __str__(self) -> str:
        return f"{self.place}: {self.what}"


class _Client(NotebookClient):
    """A client whose kernel is this interpreter, whatever kernels are installed."""

    def create_kernel_manager(self) -> Any:
        self.km = AsyncKernelManager(
            kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager()
        )
        return self.km


# Runs in the kernel before the first cell. Outputs stay what they are: values pass through.
_NOTE_NUMBERS = """
def _install():
    import ast, builtins, dataclasses, numbers

    def note(value, spec, cell):
        whole = dataclasses.is_dataclass(value) and not isinstance(value, type)
        for part in vars(value).values() if hasattr(value, "__dict__") and whole else [value]:
            if isinstance(part, numbers.Real) and not isinstance(part, numbers.Integral):
                note.seen.append((cell, spec, float(part)))
        return value

    class Note(ast.NodeTransformer):
        cell = -1

        def visit_Module(self, node):
            self.cell += 1
            return self.generic_visit(node)

        def visit_FormattedValue(self, node):
            self.generic_visit(node)
            parts = getattr(node.format_spec, "values", [])
            if node.conversion == -1 and parts and all(isinstance(p, ast.Constant) for p in parts):
                spec = ast.Constant("".join(part.value for part in parts))
                values = [node.value, spec, ast.Constant(self.cell)]
                call = ast.Call(ast.Name("__note_number__", ast.Load()), values, [])
                node.value = ast.fix_missing_locations(ast.copy_location(call, node.value))
            return node

    note.seen = []
    builtins.__note_number__ = note
    get_ipython().ast_transformers.append(Note())


_install()
del _install
"""
_NOTED = "__import__('json').dumps(__note_number__.seen)"
_UNROUNDED = "unrounded "


def recorded_seconds(measured: float, old: float | None) -> int:
    """The time to record: the old one unless the new one differs by more than the factor."""
    new = max(1, round(measured))
    return round(old) if old and old / TIME_FACTOR <= new <= old * TIME_FACTOR else new


def stored_values(notebook: Notebook) -> dict[str, str]:
    """What the notebook's prose says now, by the bodies that it binds itself."""
    bounds = [bound for cell in notebook.markdown for bound in prose.scan(cell.source).bound]
    return {bound.body: bound.text for bound in bounds if not bound.quoted}


async def run(
    notebook: Notebook, profile: str = "native", *, run_seconds: float | None = None
) -> Run:
    """Run every cell as it was read; ``RunError`` if a cell or an expression fails.

    Prose may name the running time: it is this run's unless ``run_seconds`` says it.
    """
    nb = nbformat.from_dict(notebook.nb)  # type: ignore[no-untyped-call]
    where = notebook.name if profile == "native" else f"{notebook.name} ({profile})"
    bodies = sorted(stored_values(notebook))
    try:
        seconds, content = await _execute(nb, notebook, profile, bodies, run_seconds)
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise RunError(f"{where}: {error}") from error
    answers = content.get("user_expressions", {})
    noted = json.loads(ast.literal_eval(answers.pop(_NOTED)["data"]["text/plain"]))
    unrounded = {body: answers.pop(_UNROUNDED + body) for body in bodies}
    values, errors = prose.read_reply(content)
    errors |= {
        body: f"gives {value!r}, which is not a number"
        for body, value in values.items()
        if not prose.is_number(value)
    }
    if errors:
        lines = [f"\n  <!--= {body} -->: {reason}" for body, reason in errors.items()]
        raise RunError(f"{where}: no number for{''.join(lines)}")
    for cell in code_cells(nb):
        cell.outputs = clean_outputs(cell.outputs)
    ids = [cell.id for cell in code_cells(nb) if cell.source.strip()]  # an empty cell is not run
    formatted = [Formatted(ids[cell], spec, value) for cell, spec, value in noted]
    formatted += [_formatted(body, answer) for body, answer in unrounded.items()]
    return Run(nb, seconds, values, formatted)


async def _execute(
    nb: Any, notebook: Notebook, profile: str, bodies: Sequence[str], run_seconds: float | None
) -> tuple[float, dict[str, Any]]:
    client = _Client(
        nb,
        timeout=CELL_TIMEOUT_SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(notebook.path.parent)}},
    )
    client.reset_execution_trackers()
    async with client.async_setup_kernel(
        env=profiles.environment(profile), stderr=subprocess.DEVNULL
    ):
        assert client.kc is not None
        noting = client.kc.execute(_NOTE_NUMBERS, silent=True, store_history=False)
        await client.async_wait_for_reply(noting)
        started = time.perf_counter()
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code":
                await client.async_execute_cell(cell, index)
        measured = recorded_seconds(time.perf_counter() - started, notebook.run_seconds)
        seconds = measured if run_seconds is None else run_seconds
        expressions = prose.user_expressions(bodies, seconds) | {_NOTED: _NOTED}
        expressions |= {_UNROUNDED + body: prose.unrounded(body, seconds) for body in bodies}
        asked = client.kc.execute("", store_history=False, user_expressions=expressions)
        reply = await client.async_wait_for_reply(asked)
    return measured, (reply or {}).get("content", {})


def _formatted(body: str, answer: Mapping[str, Any]) -> Formatted:
    """The value behind a number in prose; not a number where it is none, as with an interval."""
    value = ast.literal_eval(answer["data"]["text/plain"]) if answer["status"] == "ok" else "nan"
    return Formatted(f"<!--= {body} -->", prose.spec_of(body), float(value))


def code_cells(nb: Any) -> list[Any]:
    return [cell for cell in nb.cells if cell.cell_type == "code"]


def clean_outputs(outputs: list[Any]) -> list[Any]:
    """Without what lives only in a running kernel, neighbouring pieces of one stream joined."""
    kept: list[Any] = []
    for output in outputs:
        if "data" in output and WIDGET_VIEW in output["data"]:
            del output["data"][WIDGET_VIEW]
            if not output["data"]:
                continue
        if kept and output.output_type == "stream" and kept[-1].get("name") == output.name:
            kept[-1]["text"] += output.text
        else:
            kept.append(output)
    return kept


def disagreements(
    notebook: Notebook, old_cells: Sequence[Any], old_values: Mapping[str, str], new: Run
) -> Iterator[Disagreement]:
    """Where a run says something else than another run, or than what is stored."""
    trained = trained_parts(old_cells)
    for old, shown in zip(old_cells, code_cells(new.nb), strict=True):
        if NBVAL_TAGS & set(old.metadata.get("tags", [])):
            continue
        place, lenient = f"{notebook.name}:{old.id}", old.id in trained.cells
        for difference in output_differences(old.outputs, shown.outputs, trained=lenient):
            yield Disagreement(place, str(difference))
        for line in pictures.differences(old.source, old.outputs, shown.outputs):
            yield Disagreement(place, line)
    for body, text in old_values.items():
        pair = prose.normalise(text), prose.normalise(new.values[body])
        for difference in differences(*pair, trained=trained.binds(body)):
            yield Disagreement(f"{notebook.name}: <!--= {body} -->", str(difference))


def longest_first(notebooks: Sequence[Notebook]) -> list[Notebook]:
    """So that no worker starts the longest page when the others are done."""
    return sorted(notebooks, key=lambda notebook: -(notebook.run_seconds or math.inf))


async def over_pages(
    notebooks: Sequence[Notebook], work: Callable[[Notebook], Awaitable[T]], workers: int
) -> AsyncIterator[tuple[Notebook, T | RunError]]:
    """What the work gives for each page, as it is done, so many pages at a time."""
    free = asyncio.Semaphore(workers)

    async def one(notebook: Notebook) -> tuple[Notebook, T | RunError]:
        async with free:
            try:
                return notebook, await work(notebook)
            except RunError as error:
                return notebook, error

    for done in asyncio.as_completed([one(notebook) for notebook in longest_first(notebooks)]):
        yield await done
