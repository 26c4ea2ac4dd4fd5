"""When the environment counts as installed: requirements/install.py."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The installer at work in an empty folder; what it would run is noted in ``commands``."""
    spec = importlib.util.spec_from_file_location("install", ROOT / "requirements" / "install.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("tool", "site", "all"):
        (tmp_path / "requirements").mkdir(exist_ok=True)
        (tmp_path / "requirements" / f"{name}.txt").write_text(f"{name}==1", "utf-8")
    (tmp_path / "pyproject.toml").write_text("[project]", "utf-8")
    (tmp_path / ".venv").mkdir()
    commands: list[tuple[object, ...]] = []
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(module, "STAMP", tmp_path / ".venv" / "installed.json")
    monkeypatch.setattr(module, "UNFINISHED", tmp_path / ".venv" / "unfinished")
    monkeypatch.setattr(module, "run", lambda *command: commands.append(command))
    monkeypatch.setattr(module, "works", lambda *command: True)
    module.__dict__["commands"] = commands
    return module


def installed_by(install: ModuleType, name: str) -> int:
    """How many commands a call runs."""
    before = len(install.commands)
    install.main([name])
    return len(install.commands) - before


def test_a_second_call_installs_nothing(install: ModuleType) -> None:
    assert installed_by(install, "site") > 0
    assert installed_by(install, "site") == 0


def test_the_whole_environment_serves_the_site_as_well(install: ModuleType) -> None:
    install.main(["all"])
    assert installed_by(install, "site") == 0


def test_the_site_alone_does_not_serve_the_tests(install: ModuleType) -> None:
    install.main(["site"])
    assert installed_by(install, "all") > 0


@pytest.mark.parametrize(
    "file", ["requirements/all.txt", "requirements/tool.txt", "pyproject.toml"]
)
def test_a_changed_file_installs_again(install: ModuleType, file: str) -> None:
    install.main(["all"])
    (install.ROOT / file).write_text("changed", "utf-8")
    assert installed_by(install, "all") > 0


def test_another_line_ending_installs_nothing(install: ModuleType) -> None:
    (install.ROOT / "pyproject.toml").write_bytes(b"[project]\nname = 'a'\n")
    install.main(["all"])
    (install.ROOT / "pyproject.toml").write_bytes(b"[project]\r\nname = 'a'\r\n")
    assert installed_by(install, "all") == 0


def test_an_interrupted_call_leaves_no_stamp_and_is_started_over(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.main(["site"])

    def interrupted(*command: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(install, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            install.main(["all"])
    assert install.read_stamp() == {}
    made: list[Path] = []
    monkeypatch.setattr(install.venv.EnvBuilder, "create", lambda builder, path: made.append(path))
    assert installed_by(install, "all") > 0
    assert made == [install.VENV]


def test_a_moved_folder_is_installed_again(install: ModuleType, tmp_path: Path) -> None:
    install.main(["all"])
    content = json.loads(install.STAMP.read_text("utf-8"))
    install.STAMP.write_text(json.dumps(content | {"root": str(tmp_path / "before")}), "utf-8")
    assert not install.is_installed("all")


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"all": 1}'])
def test_a_damaged_stamp_counts_as_none(install: ModuleType, content: str) -> None:
    install.STAMP.write_text(content, "utf-8")
    assert not install.is_installed("all")


def test_another_python_that_was_asked_for_makes_the_environment_anew(
    install: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    install.main(["all"])
    monkeypatch.setattr(install, "works", lambda *command: install.SAME not in command)
    made: list[Path] = []
    monkeypatch.setattr(install.venv.EnvBuilder, "create", lambda builder, path: made.append(path))
    assert installed_by(install, "all") == 0
    install.main(["all", "--this-python"])
    assert made == [install.VENV]


@pytest.mark.skipif(sys.platform == "win32", reason="flock is tried as a second process would")
def test_a_second_make_waits_until_the_first_has_installed(install: ModuleType) -> None:
    import fcntl

    with (
        install.alone(),
        (install.ROOT / ".venv.lock").open("a+b") as second,
        pytest.raises(BlockingIOError),
    ):
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with (install.ROOT / ".venv.lock").open("a+b") as second:
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_pytorch_is_in_no_lock_that_is_installed_unasked() -> None:
    found = {package for name in ("all", "run", "site", "tool") for package in versions(name)}
    assert not {name for name in found if name == "torch" or name.startswith("nvidia")}


def versions(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock; there may be one for each range of Pythons."""
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    found: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.M):
        found.setdefault(package, set()).add(version)
    return found


@pytest.mark.parametrize("name", ["run", "site", "tool", "torch"])
def test_a_smaller_lock_agrees_with_the_whole_one(name: str) -> None:
    whole = versions("all")
    shared = {package: found for package, found in versions(name).items() if package in whole}
    assert shared
    assert {package: found for package, found in shared.items() if found != whole[package]} == {}


def test_what_builds_the_site_imports_only_what_its_lock_installs() -> None:
    """The tests run in the whole environment, where no import is missing."""
    locked = {re.sub(r"[-_.]+", "-", package).lower() for package in versions("site")}
    homes = importlib.metadata.packages_distributions()
    ours = {path.stem for path in [*ROOT.iterdir(), *(ROOT / "book" / "_ext").iterdir()]}
    asked = (
        {
            name.split(".")[0]
            for path in (ROOT / "book" / "_ext").glob("*.py")
            for node in ast.parse(path.read_text("utf-8")).body
            if isinstance(node, ast.Import | ast.ImportFrom)
            for name in (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [a.name for a in node.names]
            )
        }
        - set(sys.stdlib_module_names)
        - ours
    )
    assert {"sphinx", "docutils", "PIL"} <= asked
    missing = {
        name
        for name in asked
        if not locked & {re.sub(r"[-_.]+", "-", one).lower() for one in homes.get(name, [])}
    }
    assert missing == set()


@pytest.mark.parametrize("name", ["all", "run", "site", "tool", "torch"])
def test_every_locked_package_has_a_hash(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text("utf-8")
    entries = [entry for entry in text.replace("\\\n", " ").splitlines() if entry[:1].isalnum()]
    assert entries
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []


def test_binder_installs_the_lock_with_the_tool_that_reads_all_of_it() -> None:
    """pip would ask for what the lock leaves out by pyproject.toml's overrides."""
    binder = ROOT / "binder"
    assert (binder / "requirements.txt").read_text("utf-8").split() == [
        "-r",
        "../requirements/tool.txt",
    ]
    steps = (binder / "postBuild").read_text("utf-8")
    assert "python -m uv pip install" in steps
    assert steps.index("-r requirements/run.txt") < steps.index("--editable .")
