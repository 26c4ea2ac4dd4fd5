"""Pages are tried on made-up machines, and what disagrees there is written down."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path

import pytest

from tests.project.sample import NOTEBOOK, build_sample, code, edit, markdown, write_notebook
from tools import portable, profiles
from tools.notebooks import chosen_notebooks


def test_every_profile_but_the_native_one_changes_something() -> None:
    assert profiles.levers("native") == {}
    for name in set(profiles.PROFILES) - {"native"}:
        assert profiles.levers(name), name


def test_an_unknown_profile_is_refused_with_the_names_of_the_others() -> None:
    with pytest.raises(ValueError, match="no profile 'new'; there are: native, old"):
        profiles.levers("new")


def test_a_kernel_keeps_the_rest_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HERE", "kept")
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    assert profiles.environment("old")["HERE"] == "kept"
    assert os.environ["XLA_FLAGS"] == "--mine"
    if platform.machine() == "x86_64":
        assert profiles.environment("old")["XLA_FLAGS"].startswith("--mine --xla_cpu_max_isa=")


@pytest.mark.slow
def test_an_old_machine_lacks_what_this_one_has() -> None:
    shown = profiles.describe("old")
    assert "error" not in shown
    if platform.machine() == "x86_64":
        assert "NumPy uses []" in shown
        assert "Nehalem" in shown


@pytest.mark.slow
def test_what_disagrees_is_named_and_written_to_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    old = "import os\nshare = 0.6 if 'OPENBLAS_NUM_THREADS' in os.environ else 0.5\nprint(share)"
    page = write_notebook(
        tmp_path / "book/page.ipynb",
        [
            markdown("words", "It is 0.5<!--= share --> after 9<!--= run_seconds:.0f --> s."),
            code("share", old, "0.5\n"),
        ],
        run_seconds=9,
    )
    chosen = [str(page), "--profile", "native", "--profile", "old"]
    assert portable.main(chosen, tmp_path) == 1
    written = json.loads((tmp_path / portable.FAILURES).read_text(encoding="utf-8"))
    assert {each["profile"] for each in written} == {"old"}
    assert [each["place"] for each in written] == [
        "book/page.ipynb:share",
        "book/page.ipynb: <!--= share -->",
    ]
    told = capsys.readouterr().out
    assert told.startswith("processor: ")
    assert "native: book/page.ipynb: agrees" in told
    assert "'0.5', then '0.6'" in told


def test_a_page_whose_package_is_missing_is_named_and_not_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edit(build_sample(tmp_path), lambda nb: nb.metadata["companion"].update(needs=["no_such"]))
    assert chosen_notebooks([], tmp_path) == chosen_notebooks([tmp_path / NOTEBOOK], tmp_path) == []
    assert "left as it was: needs no_such, not installed here: run `make" in capsys.readouterr().err


def test_a_page_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"gone\.ipynb: no such notebook"):
        portable.main([str(tmp_path / "gone.ipynb")], tmp_path)
