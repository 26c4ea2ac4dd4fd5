"""The guard that lets a notebook install the course, and the copies that know its address."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from tests.project.sample import code, write_notebook
from tools.launch import GUARD, ROOT, TOKEN, stamp
from tools.notebooks import notebooks

ADDRESS = "https://example.org/somebody/course"


class Shell:
    """Stands in for the notebook's shell; as there, ``{name}`` in a magic's line is filled in."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, Any] = {"get_ipython": lambda: self}

    def run_line_magic(self, name: str, line: str) -> None:
        self.lines.append(f"%{name} {line.format(**self.names)}")

    def run_cell(self, source: str) -> None:
        exec(TransformerManager().transform_cell(source), self.names)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A course of one notebook."""
    page = tmp_path / "book" / "01_first" / "page.ipynb"
    page.parent.mkdir(parents=True)
    write_notebook(page, [code("start", GUARD + "\nimport companion")])
    return tmp_path


@pytest.fixture
def without_companion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)


@pytest.mark.parametrize("notebook", notebooks(ROOT), ids=lambda notebook: notebook.name)
def test_every_notebook_starts_with_the_guard(notebook: Any) -> None:
    assert notebook.code[0].source.startswith(GUARD)


def test_the_guard_does_nothing_where_the_course_is_installed() -> None:
    shell = Shell()
    shell.run_cell(GUARD)
    assert shell.lines == []


@pytest.mark.usefixtures("without_companion")
def test_the_guard_of_a_plain_clone_says_what_to_do() -> None:
    with pytest.raises(ModuleNotFoundError, match="make lab"):
        Shell().run_cell(GUARD)


@pytest.mark.usefixtures("without_companion")
def test_the_guard_of_a_stamped_copy_installs_from_its_address() -> None:
    shell = Shell()
    shell.run_cell(GUARD.replace(TOKEN, ADDRESS))
    install, fetch = shell.lines
    assert install.startswith("%pip install")
    assert install.endswith(f'@ git+{ADDRESS}"')
    assert fetch == "%run -m companion.cli fetch-data"


def test_a_stamped_copy_installs_the_revision_that_it_was_made_with(tree: Path) -> None:
    [copy] = stamp(ADDRESS, tree, tree / "out", "v0.1.0")
    assert f"{ADDRESS}@v0.1.0" in copy.read_text("utf-8")
    with pytest.raises(ValueError, match="a tag, a branch or a commit"):
        stamp(ADDRESS, tree, tree / "out", "v0.1.0; rm")


def test_a_stamped_copy_differs_from_its_notebook_in_the_address_alone(tree: Path) -> None:
    [copy] = stamp(ADDRESS, tree, tree / "out")
    source = (tree / copy.relative_to(tree / "out")).read_text("utf-8")
    assert TOKEN in source
    assert copy.read_text("utf-8") == source.replace(TOKEN, ADDRESS)


@pytest.mark.parametrize("address", ["", "owner/name", "http://a.org/b/c", 'https://a.org/b/"; rm'])
def test_an_address_that_is_none_is_refused(tree: Path, address: str) -> None:
    with pytest.raises(ValueError, match="must look like"):
        stamp(address, tree, tree / "out")
    assert not (tree / "out").exists()
