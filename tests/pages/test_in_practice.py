"""The lines that a box *In practice* prints run by themselves, as a reader would paste them."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tools.notebooks import ROOT, notebooks

FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
LINES = {
    notebook.name: "".join(FENCE.findall(cell.source))
    for notebook in notebooks(ROOT)
    for cell in notebook.nb.cells
    if cell.id == "in-practice" and FENCE.search(cell.source)
}
RARE = re.compile(r"^from (tokenizers|transformers)\b", re.MULTILINE)  # `make torch` brings them


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", [name for name in LINES if not RARE.search(LINES[name])])
def test_the_lines_of_the_box_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(LINES[name], name, "exec"), {})


@pytest.mark.parametrize("name", [name for name in LINES if RARE.search(LINES[name])])
def test_the_lines_on_a_rare_package_run_in_a_process_of_their_own(
    name: str, tmp_path: Path
) -> None:
    for package in {"torch", *RARE.findall(LINES[name])}:
        if find_spec(package) is None:
            pytest.skip(f"{package} is not installed: `make torch`")
    subprocess.run([sys.executable, "-c", LINES[name]], cwd=tmp_path, check=True)
