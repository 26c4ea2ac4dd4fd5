"""Run the notebooks and store what they give: ``python -m tools.refresh [--check] [paths]``.

Each notebook runs in a fresh kernel of this interpreter. Its outputs, the numbers in its prose,
its exported pictures and its running time are written only if every cell succeeded. Then the
numbers that other pages quote are brought up to date. ``--check`` runs the same and only says what
would change.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbval.kernel import CURRENT_ENV_KERNEL_NAME, NbvalKernelspecManager

from tests.project.book_rules import bound_by
from tools import prose
from tools.notebooks import ROOT, WIDGET_VIEW, Notebook, notebooks, page_paths

CELL_TIMEOUT_SECONDS = 600
# Within this factor the recorded time stays, so that a second run changes nothing.
TIME_FACTOR = 1.5
VOLATILE_METADATA = ("execution", "ExecuteTime", "collapsed", "scrolled", "jupyter", "vscode")


class RefreshError(RuntimeError):
    """A notebook that cannot be refreshed; its file is as it was."""


class _Client(NotebookClient):
    """A client whose kernel is this interpreter, whatever kernels are installed."""

    def create_kernel_manager(self) -> Any:
        self.km = AsyncKernelManager(
            kernel_name=CURRENT_ENV_KERNEL_NAME, kernel_spec_manager=NbvalKernelspecManager()
        )
        return self.km


async def _run(nb: Any, folder: Path, bodies: list[str]) -> tuple[float, dict[str, Any]]:
    """Run every cell; return the seconds and the kernel's answer to the bound expressions."""
    client = _Client(
        nb,
        timeout=CELL_TIMEOUT_SECONDS,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    client.reset_execution_trackers()
    async with client.async_setup_kernel():
        started = time.perf_counter()
        for index, cell in enumerate(nb.cells):
            if cell.cell_type == "code":
                await client.async_execute_cell(cell, index)
        seconds = _quiet(time.perf_counter() - started, nb.metadata.get("companion", {}))
        expressions = prose.user_expressions(bodies, seconds)
        assert client.kc is not None
        asked = client.kc.execute("", store_history=False, user_expressions=expressions)
        reply = await client.async_wait_for_reply(asked)
    return seconds, (reply or {}).get("content", {})


def _quiet(seconds: float, recorded: Mapping[str, Any]) -> float:
    """The time to record: the old one unless the new one differs by more than the factor."""
    old, new = recorded.get("run_seconds"), max(1, round(seconds))
    return old if old and old / TIME_FACTOR <= new <= old * TIME_FACTOR else new


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


def normalise(nb: Any) -> None:
    """Drop what differs from run to run and from machine to machine."""
    nb.nbformat_minor = 5
    nb.metadata.pop("widgets", None)
    nb.metadata["kernelspec"] = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    nb.metadata["language_info"] = {"name": "python"}
    for cell in nb.cells:
        for name in VOLATILE_METADATA:
            cell.metadata.pop(name, None)
        if cell.cell_type == "code":
            cell.outputs = clean_outputs(cell.outputs)


def refreshed(notebook: Notebook) -> Any:
    """The notebook as a new run gives it; ``RefreshError`` if a cell or an expression fails."""
    nb = nbformat.read(notebook.path, as_version=4)  # type: ignore[no-untyped-call]
    cells = [cell for cell in nb.cells if cell.cell_type == "markdown"]
    bounds = [bound for cell in cells for bound in prose.scan(cell.source).bound]
    bodies = sorted({bound.body for bound in bounds if not bound.quoted})
    try:
        seconds, content = asyncio.run(_run(nb, notebook.path.parent, bodies))
    except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
        raise RefreshError(f"{notebook.name}: {error}") from error
    values, errors = prose.read_reply(content)
    errors |= {
        body: f"gives {value!r}, which is not a number"
        for body, value in values.items()
        if not prose.is_number(value)
    }
    if errors:
        lines = [f"\n  <!--= {body} -->: {reason}" for body, reason in errors.items()]
        raise RefreshError(f"{notebook.name}: no number for{''.join(lines)}")
    for cell in cells:
        cell.source = prose.rewrite(cell.source, values)
    nb.metadata.setdefault("companion", {})["run_seconds"] = seconds
    normalise(nb)
    return nb


def exports(nb: Any, root: Path) -> dict[Path, bytes]:
    """The pictures that cells export, by the file they go to."""
    found = {}
    for cell in nb.cells:
        target = cell.metadata.get("companion", {}).get("export")
        pictures = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
        for picture in filter(None, pictures if target else []):
            path = (root / target).resolve()
            if not path.is_relative_to(root.resolve()):
                raise RefreshError(f"cell {cell.id}: exports to {target}, outside the project")
            found[path] = base64.b64decode(picture)
    return found


def write(path: Path, content: bytes, *, check: bool) -> bool:
    """Replace the file in one step if its content differs; say whether it does."""
    if path.is_file() and path.read_bytes() == content:
        return False
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).chmod(0o644)
            os.replace(name, path)
        except BaseException:
            Path(name).unlink()
            raise
    return True


def refresh_notebook(notebook: Notebook, *, check: bool = False) -> list[Path]:
    """Run one notebook and write it with its pictures; return the files that changed."""
    nb = refreshed(notebook)
    pictures = exports(nb, notebook.root)
    text = nbformat.writes(nb).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]
    files = {notebook.path: text.encode(), **pictures}
    return [path for path, content in files.items() if write(path, content, check=check)]


def refresh_quotes(root: Path, *, check: bool = False) -> list[Path]:
    """Bring the numbers up to date that pages quote from notebooks."""
    quotes = {
        f"{notebook}: {body}": text
        for notebook, bound in bound_by(root).items()
        for body, text in bound.items()
    }
    changed = []
    for path in page_paths(root):
        if path.suffix == ".md":
            text = prose.rewrite(path.read_text(encoding="utf-8"), quotes)
            changed += [path] if write(path, text.encode(), check=check) else []
        else:
            nb = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
            old = nbformat.writes(nb)  # type: ignore[no-untyped-call]
            for cell in nb.cells:
                if cell.cell_type == "markdown":
                    cell.source = prose.rewrite(cell.source, quotes)
            new = nbformat.writes(nb)  # type: ignore[no-untyped-call]
            if new != old:
                write(path, f"{new.rstrip()}\n".encode(), check=check)
                changed.append(path)
    return changed


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="refresh", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (all of the book's)")
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    options = parser.parse_args(arguments)
    paths = [path.resolve() for path in options.paths]
    chosen = [Notebook(path, root) for path in paths] if paths else notebooks(root)
    changed: list[Path] = []
    failed = 0
    for notebook in chosen:
        try:
            files = refresh_notebook(notebook, check=options.check)
        except RefreshError as error:
            failed += 1
            print(f"{error}\n{notebook.name}: left as it was", file=sys.stderr)
        else:
            changed += files
            print(f"{notebook.name}: {'changed' if files else 'unchanged'}", flush=True)
    changed += refresh_quotes(root, check=options.check)
    for path in dict.fromkeys(changed):
        verb = "would change" if options.check else "wrote"
        print(f"{verb} {path.relative_to(root.resolve()).as_posix()}")
    return 1 if failed or (options.check and changed) else 0


if __name__ == "__main__":
    sys.exit(main())
