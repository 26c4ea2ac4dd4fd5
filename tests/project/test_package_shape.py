"""The package keeps its shape: levels, budgets, exports, docstrings; so does the tree around it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.project import shape, tree
from tools.notebooks import ROOT

RULES = [*shape.SHAPE_RULES, *tree.TREE_RULES]
HEAVY = ["IPython", "ipywidgets", "keras", "matplotlib", "numpy", "pandas", "scipy", "sklearn"]
HEAVY += ["tensorflow", "yaml"]

CLEAN = {
    "README.md": "# Course\n\n```\nREADME.md\nbook/       pages\n  01_start/  the start\n"
    "companion/  the package\n```\n",
    "book/01_start/page.md": "# Page\n",
    "companion/__init__.py": '_MODULES = {"data": ["load"], "models": ["Model"]}\n',
    "companion/data.py": '''"""Data."""
__all__ = ["load"]


def load(size: int) -> list[int]:
    """Load numbers.

    Args:
        size: how many.

    Returns:
        The numbers.

    Raises:
        ValueError: if ``size`` is negative.

    Example:
        >>> load(1)
        [0]
    """
    if size < 0:
        raise ValueError("negative")
    return list(range(size))
''',
    "companion/models.py": '''"""Models."""
from companion.data import load
__all__ = ["Model"]


class Model:
    """A model of what :func:`load` gives."""

    def fit(self, x: list[int], rate: float = 0.5, *, seed: int = 0) -> None:
        """Fit it.

        Args:
            x: numbers.
            rate: float. Defaults to `0.5`.
            seed: int. Where the draws
                start. Defaults to 0.
        """
        from companion.data import reviews as data
''',
}
MANY_LINES = "def f():\n" + "    x = 1\n" * 40
FAULTS = [
    (shape.imports_go_down, "companion/data.py", '"""Data."""', "import companion.models", "lower"),
    (
        shape.imports_go_down,
        "companion/data.py",
        "    if size",
        "    from .models import M\n    if size",
        "lower",
    ),
    (
        shape.imports_go_down,
        "companion/models.py",
        "companion import data",
        "companion import load",
        "has it",
    ),
    (shape.imports_go_down, "companion/extra.py", "", "__all__ = []", "has no level"),
    (shape.facade_is_complete, "companion/data.py", '__all__ = ["load"]', "", "defines no __all__"),
    (shape.facade_is_complete, "companion/data.py", '["load"]', '["load", "save"]', "'save'"),
    (shape.facade_is_complete, "companion/__init__.py", '"load"', "", "data.load must be"),
    (shape.facade_is_complete, "companion/__init__.py", '{"data"', '{"gone": [], "data"', "gone"),
    (shape.names_are_documented, "companion/data.py", '"""Load', 'text = """Load', "no docstring"),
    (shape.names_are_documented, "companion/data.py", "        size: how many.", "", "['size']"),
    (shape.names_are_documented, "companion/data.py", "size: int", "size", "not annotated"),
    (shape.names_are_documented, "companion/data.py", " -> list[int]", "", "not annotated"),
    (shape.names_are_documented, "companion/data.py", "Returns:", "It gives", "no 'Returns:'"),
    (shape.names_are_documented, "companion/data.py", "Raises:", "Fails:", "no 'Raises:'"),
    (
        shape.names_are_documented,
        "companion/data.py",
        "Example:\n        >>>",
        "So",
        "no example",
    ),
    (
        shape.names_are_documented,
        "companion/models.py",
        '"""A model',
        'text = """A model',
        "Model has no",
    ),
    (
        shape.names_are_documented,
        "companion/models.py",
        '"""Fit',
        'text = """Fit',
        "Model.fit has no",
    ),
    (
        shape.documented_defaults_are_true,
        "companion/models.py",
        "to `0.5`",
        "to `0.6`",
        "fit: rate defaults to 0.5, its docstring says 0.6",
    ),
    (
        shape.documented_defaults_are_true,
        "companion/models.py",
        "seed: int = 0",
        "seed: int = 1",
        "seed defaults to 1, its docstring says 0",
    ),
    (
        shape.documented_defaults_are_true,
        "companion/models.py",
        "rate: float = 0.5",
        "rate: float",
        "rate defaults to none",
    ),
    (shape.budgets_are_kept, "companion/extra.py", "", MANY_LINES, "f has 41 lines"),
    (shape.budgets_are_kept, "companion/extra.py", "", "x = 1\n" * 301, "301 code lines"),
    (shape.budgets_are_kept, "companion/extra.py", "", "x = 1\n" * 5501, "companion: 5"),
    (shape.nothing_unsafe_is_loaded, "companion/extra.py", "", "import pickle", "pickle runs"),
    (shape.nothing_unsafe_is_loaded, "companion/extra.py", "", "from marshal import x", "marshal"),
    (shape.nothing_unsafe_is_loaded, "companion/extra.py", "", "f(allow_pickle=True)", "is unsafe"),
    (shape.nothing_unsafe_is_loaded, "companion/extra.py", "", "f(safe_mode=False)", "is unsafe"),
    (shape.nothing_unsafe_is_loaded, "companion/extra.py", "", "eval('1')", "runs text"),
    (tree.tree_is_the_disk, "README.md", "README.md\n", "", "lacks README.md"),
    (tree.tree_is_the_disk, "README.md", "companion/ ", "tests/  T\ncompanion/ ", "tests, which"),
    (tree.tree_is_the_disk, "README.md", "  01_start/  the start\n", "  01_old/  x\n", "01_start"),
    (tree.tree_is_the_disk, "README.md", "companion/", "package/", "no fenced tree"),
    (tree.nothing_unwanted_in_files, "book/01_start/page.md", "# P", "see py" + "pi.org", "names"),
    (
        tree.nothing_unwanted_in_files,
        "book/01_start/page.md",
        "# P",
        "/ho" + "me/ada",
        "one machine",
    ),
]


def build(root: Path) -> Path:
    for name, text in CLEAN.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_project_keeps_the_rule(rule: Any) -> None:
    assert not list(rule(ROOT)), "\n".join(rule(ROOT))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_project_passes(rule: Any, tmp_path: Path) -> None:
    assert list(rule(build(tmp_path))) == []


@pytest.mark.parametrize(
    ("rule", "file", "old", "new", "message"),
    FAULTS,
    ids=[f"{fault[0].__name__}-{fault[-1]}" for fault in FAULTS],
)
def test_a_fault_is_found(
    rule: Any, file: str, old: str, new: str, message: str, tmp_path: Path
) -> None:
    path = build(tmp_path) / file
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    found = list(rule(tmp_path))
    assert any(message in line for line in found), found


def test_a_crowded_root_is_found(tmp_path: Path) -> None:
    for number in range(9):
        (tmp_path / f"folder-{number}").mkdir()
        (tmp_path / f"folder-{number}" / "file").touch()
    assert "9 visible folders" in next(tree.root_is_small(tmp_path))


def test_every_rule_has_a_fault_that_it_finds() -> None:
    assert set(RULES) == {fault[0] for fault in FAULTS} | {tree.root_is_small}


def test_a_function_of_forty_code_lines_is_allowed(tmp_path: Path) -> None:
    lines = '    """Doc.\n\n    More.\n    """\n' + "    x = 1\n\n    # why\n" * 39
    (build(tmp_path) / "companion/extra.py").write_text(f"def f():\n{lines}")
    assert list(shape.budgets_are_kept(tmp_path)) == []


def loaded_by(statement: str) -> tuple[float, list[str]]:
    """Seconds that an import takes in a fresh interpreter, and the heavy packages it loads."""
    code = (
        f"import sys, time, json; start = time.perf_counter(); {statement}; "
        f"print(json.dumps([time.perf_counter() - start, sorted(set({HEAVY}) & set(sys.modules))]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    seconds, names = json.loads(done.stdout)
    return seconds, names


def test_importing_the_package_loads_nothing_heavy_and_is_quick() -> None:
    seconds, names = loaded_by("import companion")
    assert names == []
    assert seconds < 0.1


def test_asking_the_command_for_help_loads_no_tensorflow() -> None:
    _, names = loaded_by("import companion.cli")
    assert not {"tensorflow", "keras", "matplotlib", "ipywidgets"} & set(names)


@pytest.mark.tensorflow
def test_every_name_of_the_facade_can_be_used() -> None:
    import companion

    for name in companion.__all__:
        assert getattr(companion, name) is not None, name
    assert set(companion.__all__) <= set(dir(companion))


def test_an_unknown_name_is_a_plain_attribute_error() -> None:
    import companion

    with pytest.raises(AttributeError, match="no attribute 'load_food'"):
        companion.load_food  # noqa: B018


@pytest.mark.slow
@pytest.mark.parametrize(
    ("head", "mark", "selected", "code", "message"),
    [
        ("", "", "", 1, "mark the test with"),
        ("", "@pytest.mark.tensorflow", "", 0, "1 passed"),
        ("import tensorflow", "", "not tensorflow", 4, "has imported TensorFlow"),
    ],
)
def test_a_hidden_import_of_tensorflow_fails(
    head: str, mark: str, selected: str, code: int, message: str, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "tests/conftest.py", tmp_path)
    (tmp_path / "tensorflow.py").touch()  # an empty stand-in, found first
    test = f"import pytest\n{head}\n\n\n{mark}\ndef test_it():\n    import tensorflow\n"
    (tmp_path / "test_it.py").write_text(test)
    command = [sys.executable, "-m", "pytest", "-p", "no:nbval", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-m", selected], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout
    assert message in done.stdout + done.stderr
