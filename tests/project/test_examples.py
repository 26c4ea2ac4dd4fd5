"""An example of the reference works where it is pasted: with its room's names and nothing else."""

from __future__ import annotations

import ast
import builtins
import doctest
import importlib
import re
from collections.abc import Iterator

import pytest

from tools.notebooks import ROOT

ROOMS = sorted(stub.parent.name for stub in (ROOT / "companion").glob("*/__init__.pyi"))
EXPORT = re.compile(r"^from \.([\w.]+) import (\w+) as (\w+)$", re.M)


def examples(room: str) -> Iterator[tuple[str, str]]:
    """Each public name of a room, or method of one, with the code of its examples."""
    folder = ROOT / "companion" / room
    for module, name, _ in EXPORT.findall((folder / "__init__.pyi").read_text("utf-8")):
        file = folder / f"{module.replace('.', '/')}.py"
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
                methods = [part for part in ast.walk(node) if isinstance(part, ast.FunctionDef)]
                for part in {node, *methods}:
                    text = ast.get_docstring(part) or ""
                    code = "".join(e.source for e in doctest.DocTestParser().get_examples(text))
                    yield (name if part is node else f"{name}.{part.name}"), code


def unknown_names(code: str, known: set[str]) -> set[str]:
    """The names that the code reads, but that nobody has given it."""
    read, given = set(), known | set(dir(builtins))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else given).add(node.id)
        elif isinstance(node, ast.alias):
            given.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            given.add(node.name)
        elif isinstance(node, ast.arg):
            given.add(node.arg)
    return read - given


@pytest.mark.parametrize("room", ROOMS)
def test_an_example_imports_what_it_uses(room: str) -> None:
    public = {"companion", *importlib.import_module(f"companion.{room}").__all__}
    missing = {
        name: unknown for name, code in examples(room) if (unknown := unknown_names(code, public))
    }
    assert missing == {}


def test_an_example_that_counts_on_its_modules_imports_is_found() -> None:
    assert unknown_names("np.zeros(n)\n", {"n"}) == {"np"}
    assert unknown_names("import numpy as np\nf = lambda x: np.sum(x)\nf([1])\n", set()) == set()


def test_the_rooms_of_the_package_are_looked_at() -> None:
    assert {"data", "models", "teaching"} <= set(ROOMS)
    assert any("load_digits" in code for _, code in examples("data"))
