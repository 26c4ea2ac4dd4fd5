"""The lines that a box *In practice* prints run by themselves, as a reader would paste them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tools.notebooks import ROOT, notebooks

FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)
OPTIONAL = {"tokenizers", "torch", "transformers"}  # what only `make torch` brings
LINES = {
    notebook.name: "".join(FENCE.findall(cell.source))
    for notebook in notebooks(ROOT)
    for cell in notebook.nb.cells
    if cell.id == "in-practice" and FENCE.search(cell.source)
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("name", LINES)
def test_the_lines_of_the_box_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        exec(compile(LINES[name], name, "exec"), {})
    except ModuleNotFoundError as error:
        if error.name not in OPTIONAL:
            raise
        pytest.skip(f"{error.name} is not installed: `make torch`")
