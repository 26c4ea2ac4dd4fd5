"""A small book that keeps every rule, for tests that break one rule each."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tools.notebooks import FOLDED_TAGS, Node, read_notebook

NOTEBOOK = "book/04_practice/page.ipynb"
PICTURE = base64.b64encode(b"\x89PNG, as far as a rule looks").decode()

TITLE = """# Does a page keep its promises?

It says what it will do, and then it does it.

:::{admonition} Before you start
:class: before-you-start
**You will** count reviews; compare two shares · **Time** read 1 min, run 4 s on two cores ·
**You need** nothing.
:::
"""
IMPORTS = """from importlib.util import find_spec

if find_spec("companion") is None:
    %pip install -q large-models-companion
import numpy as np

from companion import facts
from companion.teaching import Exercise

rng = np.random.default_rng(seed=0)"""
GUESS = """:::{prediction} guess
More than three?

- yes
- no
:::"""
ANSWER = """:::{outcome} guess
yes

Four are more.
:::"""
QUIZ = """:::{quiz} how-many
How many?

- [x]<!--= len(reviews) == 4 --> four

  They were counted.
- [ ] none

  That would be too few.
:::"""
HIDDEN = ["hide-input"]


def markdown(id: str, source: str) -> Node:
    return Node(cell_type="markdown", id=id, metadata=Node(), source=source)


def code(id: str, source: str, text: str = "", **metadata: Any) -> Node:
    outputs = [Node(output_type="stream", name="stdout", text=text)] if text else []
    if FOLDED_TAGS & set(metadata.get("tags", [])):
        metadata["jupyter"] = {"source_hidden": True}
    return Node(
        cell_type="code",
        execution_count=None,
        id=id,
        metadata=Node(metadata),
        outputs=outputs,
        source=source,
    )


def display(**data: str) -> Node:
    """A display output; ``png`` and ``text`` stand for their mime types."""
    mimes = {"png": "image/png", "text": "text/plain"}
    bundle = Node({mimes[name]: value for name, value in data.items()})
    return Node(output_type="display_data", data=bundle, metadata=Node())


def _picture(id: str, source: str) -> Node:
    cell = code(id, source)
    cell.outputs = [display(png=PICTURE, text="One line from zero to one, two points.")]
    return cell


def sample_cells() -> list[Node]:
    return [
        markdown("title", TITLE),
        code("imports", IMPORTS),
        markdown("count", "## How many reviews?\n\nThere are 4<!--= len(reviews) --> of them."),
        markdown("guess", GUESS),
        code("reviews", 'reviews = ["a", "b", "c", "d"]\nprint(len(reviews))', "4\n"),
        _picture("draw", "show(draw(reviews), alt='Reviews')"),
        markdown("answer", ANSWER),
        code("count-check", "assert len(reviews) == 4", tags=["check"]),
        markdown("known", "## What is known\n\nOthers: 87 %<!--= known:.0% --> {cite}`maas2011`."),
        code("fact", 'known = facts["imdb"].value\nassert known > 0.8'),
        markdown("exercises", "## Exercises"),
        *[
            code(f"exercise-{n}", f'{n} = Exercise("{n}", accepts=ok)', "Yours\n", tags=HIDDEN)
            for n in ("one", "two", "three")
        ],
        markdown("quiz", "## Quiz"),
        markdown("quiz-count", QUIZ),
        markdown("take-away", "## Take-away\n\n- Count.\n- Compare.\n- Cite."),
        markdown(
            "references", "## References\n\n```{bibliography}\n:filter: docname in docnames\n```"
        ),
    ]


def write_notebook(path: Path, cells: list[Node], run_seconds: float | None = None) -> Path:
    """Store the cells as one run in order would."""
    for count, cell in enumerate([cell for cell in cells if cell.cell_type == "code"], 1):
        cell.execution_count = count
    recorded = {} if run_seconds is None else {"companion": {"run_seconds": run_seconds}}
    nb = {"cells": cells, "metadata": recorded, "nbformat": 4, "nbformat_minor": 5}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(nb), encoding="utf-8")
    return path


def build_sample(root: Path) -> Path:
    """Write the whole small book under ``root``."""
    for name, text in {
        "_toc.yml": "format: jb-book\nroot: book/index\nchapters:\n- file: book/04_practice/page\n",
        "book/index.md": "# Course\n\nIt has 4<!--= 04_practice/page: len(reviews) --> reviews.\n"
        "\n| S1–S46 | all | {doc}`a page <04_practice/page>` |\n| S47 | one | in preparation |\n",
        "book/references.bib": "@article{maas2011,\n  title = {Words}, year = {2011}\n}\n",
        "companion/economics/facts.yml": "imdb:\n  value: 0.87\n  source: maas2011\n  date: 2011\n",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    write_notebook(root / NOTEBOOK, sample_cells(), run_seconds=5)
    return root


def edit(root: Path, change: Callable[[Node], None]) -> None:
    """Change the sample's notebook."""
    nb = read_notebook(root / NOTEBOOK)
    change(nb)
    (root / NOTEBOOK).write_text(json.dumps(nb), encoding="utf-8")


def cell(nb: Node, name: str) -> Node:
    found: Node = next(cell for cell in nb.cells if cell.id == name)
    return found
