"""Functions that a page defines, for tests that try them beyond the page."""

from __future__ import annotations

from typing import Any

import companion
from tools.notebooks import ROOT, Notebook


def run_cells(page: str, *ids: str, **start: Any) -> dict[str, Any]:
    """Run the code cells of these ids, in the page's order, and return what they define.

    The cells find the package's rooms and the names of ``start``, so that a test need not run the
    setup cell and its Keras.
    A line that starts with ``%`` is the kernel's own and left out.
    """
    notebook = Notebook(ROOT / "book" / f"{page}.ipynb", ROOT)
    missing = set(ids) - {cell.id for cell in notebook.code}
    if missing:
        raise LookupError(f"{page} has no code cells {sorted(missing)}")
    names: dict[str, Any] = {room: getattr(companion, room) for room in dir(companion)} | start
    for cell in notebook.code:
        if cell.id in ids:
            lines = [line for line in cell.source.splitlines() if not line.lstrip().startswith("%")]
            exec("\n".join(lines), names)
    return names
