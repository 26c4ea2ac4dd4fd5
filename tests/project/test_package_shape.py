"""The package keeps its shape: rooms, budgets, exports, examples; so does the tree around it."""

from __future__ import annotations

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
    "companion/__init__.py": '"""The package."""\n',
    "companion/data/__init__.py": '"""Data."""\n',
    "companion/data/__init__.pyi": "from .numbers import load as load\n",
    "companion/data/numbers.py": '''"""Numbers."""
__all__ = ["load"]


def load(size: int) -> list[int]:
    """Load numbers.

    Example:
        >>> load(1)
        [0]
    """
    return list(range(size))
''',
    "companion/models/__init__.py": '"""Models."""\n',
    "companion/models/__init__.pyi": "from .model import Model as Model\n",
    "companion/models/model.py": '''"""Models."""
from companion.data.numbers import load
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
''',
}
MANY_LINES = "def f():\n" + "    x = 1\n" * 40
NUMBERS, MODEL, EXTRA = (
    "companion/data/numbers.py",
    "companion/models/model.py",
    "companion/data/extra.py",
)
FAULTS = [
    (shape.rooms_are_complete, NUMBERS, '__all__ = ["load"]', "", "defines no __all__"),
    (shape.rooms_are_complete, NUMBERS, '["load"]', '["load", "save"]', "'save'"),
    (
        shape.rooms_are_complete,
        "companion/data/__init__.pyi",
        "load as load",
        "save as save",
        "names 'save', which companion/data/numbers.py",
    ),
    (
        shape.rooms_are_complete,
        "companion/data/__init__.pyi",
        ".numbers",
        ".gone",
        "companion/data/gone.py does not",
    ),
    (shape.rooms_are_complete, "companion/attic/box.py", "", "__all__ = []", "no known room"),
    (shape.rooms_are_complete, "companion/tasks/one.py", "", "__all__ = []", "no typed __init__"),
    (shape.public_names_have_examples, NUMBERS, '"""Load', 'text = """Load', "no docstring"),
    (shape.public_names_have_examples, NUMBERS, ">>>", "So", "no example"),
    (shape.public_names_have_examples, MODEL, '"""A model', 'text = """A model', "Model has no"),
    (
        shape.documented_defaults_are_true,
        MODEL,
        "to `0.5`",
        "to `0.6`",
        "fit: rate defaults to 0.5, its docstring says 0.6",
    ),
    (
        shape.documented_defaults_are_true,
        MODEL,
        "seed: int = 0",
        "seed: int = 1",
        "seed defaults to 1, its docstring says 0",
    ),
    (
        shape.documented_defaults_are_true,
        MODEL,
        "rate: float = 0.5",
        "rate: float",
        "rate defaults to none",
    ),
    (shape.budgets_are_kept, EXTRA, "", MANY_LINES, "f has 41 lines"),
    (shape.budgets_are_kept, EXTRA, "", "x = 1\n" * 301, "301 code lines"),
    (shape.budgets_are_kept, EXTRA, "", "x = 1\n" * 1451, "companion/data: 1"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "import pickle", "pickle runs"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "from marshal import x", "marshal"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "f(allow_pickle=True)", "is unsafe"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "f(safe_mode=False)", "is unsafe"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "eval('1')", "eval(…) runs"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "__import__('pickle')", "runs what it reads"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "pandas.read_pickle(path)", "read_pickle runs"),
    (shape.nothing_unsafe_is_loaded, EXTRA, "", "torch.load(path)", "torch.load(…) runs"),
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
    path.parent.mkdir(parents=True, exist_ok=True)
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
    (build(tmp_path) / EXTRA).write_text(f"def f():\n{lines}")
    assert list(shape.budgets_are_kept(tmp_path)) == []


def loaded_by(statement: str) -> list[str]:
    """The heavy packages that an import loads in a fresh interpreter."""
    code = f"{statement}; import sys; print(*sorted({set(HEAVY)} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True)
    return done.stdout.decode().split()


def test_importing_the_package_loads_nothing_heavy() -> None:
    assert loaded_by("import companion") == []


def test_importing_the_package_changes_no_environment() -> None:
    assert (
        loaded_by("import os; b = dict(os.environ); import companion; assert b == os.environ") == []
    )


def test_asking_the_command_for_help_loads_no_tensorflow() -> None:
    names = loaded_by("from companion.cli import main")
    assert not {"tensorflow", "keras", "matplotlib", "ipywidgets"} & set(names)


@pytest.mark.tensorflow
def test_every_public_name_can_be_used() -> None:
    import companion

    for room in (name for name in companion.__all__ if name not in {"facts", "__version__"}):
        for name in (names := getattr(companion, room).__all__):
            assert getattr(getattr(companion, room), name) is not None, f"{room}.{name}"
        assert names


def test_the_rooms_and_the_facts_stand_at_the_top_and_nothing_else() -> None:
    import companion

    rooms = {name for name in shape.MAX_ROOM_LINES if name not in {"_common", "cli"}}
    assert set(companion.__all__) == rooms | {"facts", "__version__"}


def test_an_unknown_name_is_a_plain_attribute_error() -> None:
    import companion

    with pytest.raises(AttributeError, match="load_food"):
        companion.data.load_food  # noqa: B018


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
