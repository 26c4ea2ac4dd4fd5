"""The directive ``verified``: what the tests compare on each page, counted when the site is built.

``{verified} pages`` makes a table with a row for each notebook, ``{verified} versions`` a list of
the locked versions that the stored outputs were made with.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

IGNORED = "nbval-ignore-output"
NAMED = ("tensorflow", "keras", "numpy", "scikit-learn", "nbval", "jupyter-book")


def notebooks(root: Path) -> Iterator[str]:
    """The notebooks of the course without their suffix, in the order of the menu."""
    for name in re.findall(r"^\s*- file: (\S+)$", (root / "_toc.yml").read_text("utf-8"), re.M):
        if (root / f"{name}.ipynb").is_file():
            yield name


def last_changes(root: Path) -> dict[str, str]:
    """The day of the last commit of each page, as far as the history at hand goes back."""
    command = ["git", "-C", str(root), "log", "--format=%cs", "--name-only", "--", "book"]
    try:
        log = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return {}
    found: dict[str, str] = {}
    day = ""
    for line in log.split("\n"):
        if re.fullmatch(r"\d{4}-\d\d-\d\d", line):
            day = line
        elif line:
            found.setdefault(line, day)
    return found


def counts(notebook: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """Seconds of a run, cells that print, those compared, assertions, and numbers in the prose."""
    prints = compared = checks = numbers = 0
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            numbers += source.count("<!--=")
            continue
        tags = cell["metadata"].get("tags", [])
        prints += bool(cell["outputs"])
        compared += bool(cell["outputs"]) and IGNORED not in tags
        if "check" in tags:
            checks += sum(isinstance(part, ast.Assert) for part in ast.walk(ast.parse(source)))
    return notebook["metadata"]["companion"]["run_seconds"], prints, compared, checks, numbers


def pages_table(root: Path) -> Iterator[str]:
    """The table in Markdown."""
    days = last_changes(root)
    yield "| page | last change | run, s | cells that print | compared | checks | numbers |"
    yield "|---|---|--:|--:|--:|--:|--:|"
    found = {}
    for name in notebooks(root):
        found[name] = counts(json.loads((root / f"{name}.ipynb").read_text("utf-8")))
        day = days.get(f"{name}.ipynb", "–").replace("-", "\N{NON-BREAKING HYPHEN}")
        yield row(f"[](/{name}.ipynb)", day, found[name])
    yield row(
        f"**{len(found)} pages**", "", [sum(each) for each in zip(*found.values(), strict=True)]
    )


def row(page: str, day: str, numbers: Iterable[int]) -> str:
    return f"| {' | '.join([page, day, *(f'{number:,}' for number in numbers)])} |"


def versions_list(root: Path) -> Iterator[str]:
    """The versions in Markdown."""
    lock = (root / "requirements" / "all.txt").read_text("utf-8")
    for name in NAMED:
        found = re.findall(rf"^{re.escape(name)}==(\S+)", lock, re.M)  # some by Python's version
        yield f"- {name} {' or '.join(found)}"


class Verified(SphinxDirective):
    """Puts the table or the list where it stands."""

    required_arguments = 1
    makers: ClassVar[dict[str, Callable[[Path], Iterator[str]]]] = {
        "pages": pages_table,
        "versions": versions_list,
    }

    def run(self) -> list[nodes.Node]:
        root = Path(self.env.srcdir)
        self.env.note_reread()
        box = nodes.container()
        lines = list(self.makers[self.arguments[0]](root))
        self.state.nested_parse(StringList(lines, source=self.env.docname), 0, box)
        return list(box.children)


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("verified", Verified)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
