"""Reading the book: its table of contents, its pages and the outputs stored in its notebooks."""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
# What strict nbval leaves out of its comparison.
NOT_COMPARED = {"image/png", "image/jpeg", WIDGET_VIEW}
# Each of them switches a comparison off or inverts it.
NBVAL_TAGS = {
    "nbval-ignore-output",
    "nbval-skip",
    "nbval-raises-exception",
    "raises-exception",
    "pytest-validate-ignore-output",
}
# The code of cells with one of these tags is folded, on the site and in JupyterLab.
FOLDED_TAGS = {"hide-input", "hide-cell", "check"}
# `make lab` does not install them, `make torch` does. A page that imports one names it in its
# metadata; where it is not installed, the page is left out and keeps its stored outputs.
BROUGHT_BY_TORCH = {"accelerate", "peft", "torch", "transformers"}
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:home|root|tmp|work|Users|private)/\w|\b[A-Z]:\\Users")


def toc_entries(root: Path) -> list[str]:
    """The files that ``_toc.yml`` names, in reading order, as they are written there."""

    def walk(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    yield str(node[key])
            for key in ("parts", "chapters", "sections"):
                yield from walk(node.get(key, []))
        elif isinstance(node, list):
            for item in node:
                yield from walk(item)

    return list(walk(yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))))


def toc_file(root: Path, entry: str) -> Path | None:
    """The page that a table-of-contents entry means, or None when there is none."""
    for name in (entry, f"{entry}.md", f"{entry}.ipynb"):
        if (root / name).suffix in {".md", ".ipynb"} and (root / name).is_file():
            return root / name
    return None


def page_paths(root: Path) -> list[Path]:
    """Every ``.md`` and ``.ipynb`` page under ``book``, in toc order, unlisted ones last."""
    found = [
        path
        for suffix in ("*.md", "*.ipynb")
        for path in sorted((root / "book").rglob(suffix))
        if not any(part.startswith(("_", ".")) for part in path.relative_to(root / "book").parts)
    ]
    order = {toc_file(root, entry): rank for rank, entry in enumerate(toc_entries(root))}
    return sorted(found, key=lambda path: (order.get(path, len(order)), str(path)))


class Node(dict[str, Any]):
    """A part of a notebook's JSON, its fields also as attributes.

    The rules read notebooks without ``nbformat``, whose import takes longer than all of them.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value


def _join(node: Node, *names: str) -> None:
    """Texts may be stored as lists of lines."""
    for name in names:
        if isinstance(node.get(name), list):
            node[name] = "".join(node[name])


def read_notebook(path: Path) -> Node:
    nb: Node = json.loads(path.read_text(encoding="utf-8"), object_hook=Node)
    for cell in nb.cells:
        _join(cell, "source")
        for output in cell.get("outputs", []):
            _join(output, "text")
            _join(
                output.get("data", Node()), *(m for m in output.get("data", ()) if "json" not in m)
            )
    return nb


@lru_cache(maxsize=128)
def _read(path: Path, changed: int) -> Node:
    """The parsed file; the time of its last change makes the cached copy stale."""
    return read_notebook(path)


@dataclass(frozen=True)
class Notebook:
    """One notebook of the book, with the questions that several rules ask of it."""

    path: Path
    root: Path = ROOT

    @cached_property
    def nb(self) -> Node:
        return _read(self.path, self.path.stat().st_mtime_ns)

    @property
    def name(self) -> str:
        return self.path.relative_to(self.root).as_posix()

    @property
    def key(self) -> str:
        """The name by which pages quote this notebook: ``04_practice/text_classifier``."""
        return self.path.relative_to(self.root / "book").with_suffix("").as_posix()

    @cached_property
    def code(self) -> list[Any]:
        return [cell for cell in self.nb.cells if cell.cell_type == "code"]

    @cached_property
    def markdown(self) -> list[Any]:
        return [cell for cell in self.nb.cells if cell.cell_type == "markdown"]

    @property
    def run_seconds(self) -> float | None:
        value = self.nb.metadata.get("companion", {}).get("run_seconds")
        return None if value is None else float(value)

    @property
    def needs(self) -> list[str]:
        """The packages beyond those that `make lab` installs: ``["torch", "transformers"]``."""
        return list(self.nb.metadata.get("companion", {}).get("needs", []))

    @property
    def excuse(self) -> str:
        """Why the page cannot run here; nothing where it can."""
        missing = [name for name in self.needs if find_spec(name) is None]
        names = " and ".join(missing)
        return f"needs {names}, not installed here: run `make torch`" if missing else ""

    def outputs(self) -> Iterator[tuple[Any, Any]]:
        """Every stored output with its cell."""
        for cell in self.code:
            for output in cell.outputs:
                yield cell, output

    def sections(self) -> Iterator[tuple[str, list[Any]]]:
        """Each ``##`` heading with the cells up to the next one; a cell with a heading opens it."""
        heading = ""
        cells: list[Any] = []
        for cell in self.nb.cells:
            found = cell.cell_type == "markdown" and re.search(r"^## +(.+)$", cell.source, re.M)
            if found:
                yield heading, cells
                heading, cells = found.group(1).strip(), []
            cells.append(cell)
        yield heading, cells


def notebooks(root: Path) -> list[Notebook]:
    return [Notebook(path, root) for path in page_paths(root) if path.suffix == ".ipynb"]


def chosen_notebooks(paths: Sequence[Path], root: Path) -> list[Notebook]:
    """The notebooks that somebody names, or all of the book's; those that can run here."""
    for path in paths:
        if path.suffix != ".ipynb" or not path.is_file():
            raise SystemExit(f"{path}: no such notebook; write PAGES=book/NN_chapter/topic.ipynb")
    chosen = [Notebook(path.resolve(), root) for path in paths] or notebooks(root)
    for notebook in chosen:
        if notebook.excuse:
            print(f"{notebook.name}: left as it was: {notebook.excuse}", file=sys.stderr)
    return [notebook for notebook in chosen if not notebook.excuse]


def parse(source: str) -> ast.Module:
    """The cell's syntax tree; a line magic or a shell line stands as ``pass``."""
    return ast.parse(re.sub(r"^(\s*)[%!].*$", r"\1pass", source, flags=re.M))


def calls(source: str) -> list[tuple[str, str | None]]:
    """Each call of a bare name or of ``teaching.name``, in order, and its first text."""
    found = []
    for node in ast.walk(parse(source)):
        if not isinstance(node, ast.Call):
            continue
        text = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
        name = ast.unparse(node.func).removeprefix("companion.").removeprefix("teaching.")
        if name.isidentifier():
            found.append((node.lineno, name, text if isinstance(text, str) else None))
    return [(name, text) for _, name, text in sorted(found, key=lambda item: item[0])]


def cited_keys(markdown: str) -> list[str]:
    found = re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", markdown)
    return [key.strip() for keys in found for key in keys.split(",")]


def is_compared(cell: Any, output: Any) -> bool:
    """Whether strict nbval compares this output with the one that a new run gives."""
    if NBVAL_TAGS & set(cell.metadata.get("tags", [])):
        return False
    if output.output_type == "stream":
        return bool(output.text.strip())
    return any(
        mime not in NOT_COMPARED and str(value).strip()
        for mime, value in output.get("data", {}).items()
    )


def compared(notebook: Notebook) -> tuple[int, int]:
    """How many of the notebook's stored outputs a strict run compares, and how many there are."""
    flags = [is_compared(cell, output) for cell, output in notebook.outputs()]
    return sum(flags), len(flags)
