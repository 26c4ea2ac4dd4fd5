"""Run the notebooks and store what they give: ``python -m tools.refresh [--check] [paths]``.

Each notebook runs twice in fresh kernels of this interpreter, on this machine and on the same one
made old (:mod:`tools.profiles`). Where the two say different things nothing is stored: another
reader's processor would disagree too. Its outputs, the numbers in its prose, its exported pictures
and its running time are written only if every cell succeeded; a stored picture stays while a new
one looks the same. Then the numbers that other pages quote are brought up to date. ``--check`` runs
the same and only says what would change.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nbformat

from tests.project.book_rules import bound_by
from tools import margins, prose
from tools.notebooks import FOLDED_TAGS, ROOT, Notebook, chosen_notebooks, page_paths
from tools.pictures import same_pictures
from tools.running import Run, RunError, code_cells, disagreements, over_pages, run

VOLATILE_METADATA = ("execution", "ExecuteTime", "collapsed", "scrolled", "vscode")


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
        cell.metadata.get("jupyter", {}).pop("outputs_hidden", None)
        if FOLDED_TAGS & set(cell.metadata.get("tags", [])):
            cell.metadata["jupyter"] = {"source_hidden": True}  # in JupyterLab as on the site


async def portable_run(notebook: Notebook) -> Run:
    """A run whose results the old machine shares; ``RunError`` names what it does not share."""
    native = await run(notebook)
    old = await run(notebook, "old", run_seconds=native.seconds)
    cells = code_cells(native.nb)
    lines = [str(each) for each in disagreements(notebook, cells, native.values, old)]
    if lines:
        raise RunError(
            f"{notebook.name}: another processor says something else. Print the safe digits or a "
            "fact; tag the cell 'trained' if one unit of the last digit is all:\n  "
            + "\n  ".join(lines)
        )
    for place, what in margins.narrow(native.formatted, old.formatted):
        print(f"{notebook.name}:{place}: near a rounding boundary: {what}", flush=True)
    return native


def keep_pictures(notebook: Notebook, nb: Any) -> None:
    """Put the stored pictures back whose words and thumbnails the new ones share."""
    stored = {cell.id: cell.outputs for cell in notebook.code}
    for cell in code_cells(nb):
        for old, new in same_pictures(cell.source, stored.get(cell.id, []), cell.outputs):
            new["data"]["image/png"] = old["data"]["image/png"]


def assemble(notebook: Notebook, done: Run) -> Any:
    """The notebook as the run gives it."""
    for cell in done.nb.cells:
        if cell.cell_type == "markdown":
            cell.source = prose.rewrite(cell.source, done.values)
    done.nb.metadata.setdefault("companion", {})["run_seconds"] = done.seconds
    normalise(done.nb)
    keep_pictures(notebook, done.nb)
    return done.nb


def exports(nb: Any, root: Path) -> dict[Path, bytes]:
    """The pictures that cells export, by the file they go to."""
    found = {}
    for cell in nb.cells:
        target = cell.metadata.get("companion", {}).get("export")
        pictures = [output.get("data", {}).get("image/png") for output in cell.get("outputs", [])]
        for picture in filter(None, pictures if target else []):
            path = (root / target).resolve()
            if not path.is_relative_to(root.resolve()):
                raise RunError(f"cell {cell.id}: exports to {target}, outside the project")
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


def files_of(notebook: Notebook, nb: Any) -> Iterator[tuple[Path, bytes]]:
    """What a refresh writes: the pictures first, so that the notebook is never ahead of them."""
    yield from exports(nb, notebook.root).items()
    text = nbformat.writes(nb).rstrip("\n") + "\n"  # type: ignore[no-untyped-call]
    yield notebook.path, text.encode()


async def refresh_notebook(notebook: Notebook, *, check: bool = False) -> list[Path]:
    """Run one notebook and write it with its pictures; return the files that changed."""
    before = notebook.path.read_bytes()
    files = list(files_of(notebook, assemble(notebook, await portable_run(notebook))))
    if notebook.path.read_bytes() != before:
        raise RunError(f"{notebook.name}: was edited while it ran; run it again")
    return [path for path, content in files if write(path, content, check=check)]


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


async def refresh_all(
    chosen: Sequence[Notebook], workers: int, *, check: bool
) -> tuple[list[Path], int]:
    """The files that changed, and how many notebooks failed."""
    changed: list[Path] = []
    failed = 0

    async def work(notebook: Notebook) -> list[Path]:
        return await refresh_notebook(notebook, check=check)

    async for notebook, files in over_pages(chosen, work, workers):
        if isinstance(files, RunError):
            failed += 1
            print(f"{files}\n{notebook.name}: left as it was", file=sys.stderr)
        else:
            changed += files
            print(f"{notebook.name}: {'changed' if files else 'unchanged'}", flush=True)
    return changed, failed


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="refresh", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("paths", nargs="*", type=Path, help="notebooks (all of the book's)")
    parser.add_argument("--check", action="store_true", help="write nothing, say what would change")
    parser.add_argument("--workers", type=int, default=1, help="notebooks at a time (1)")
    options = parser.parse_args(arguments)
    chosen = chosen_notebooks(options.paths, root)
    running = refresh_all(chosen, options.workers, check=options.check)
    changed, failed = asyncio.run(running)
    changed += refresh_quotes(root, check=options.check)
    for path in dict.fromkeys(changed):
        verb = "would change" if options.check else "wrote"
        print(f"{verb} {path.relative_to(root.resolve()).as_posix()}")
    return 1 if failed or (options.check and changed) else 0


if __name__ == "__main__":
    sys.exit(main())
