"""Notebooks that install the course by themselves, for the branch that Colab and Binder open.

The repository does not know its own address. ``python -m tools.launch ADDRESS [REVISION]`` writes
copies of the notebooks to ``_build/launch`` with the address and the revision in their guard, so
that a page installs the package that it was made with; the sources stay as they are.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "COURSE_REPOSITORY"
# The first code cell of every notebook starts with these lines.
GUARD = f"""\
import importlib.util

if importlib.util.find_spec("companion") is None:  # as on Colab; never where the course is set up
    if "://" not in (course := "{TOKEN}"):
        raise ModuleNotFoundError("companion is not installed: run `make lab`, see README.md")
    %pip install --quiet "large-models-companion[pages] @ git+{{course}}"
    %run -m companion.cli fetch-data
"""


def stamp(address: str, root: Path, folder: Path, revision: str = "") -> list[Path]:
    """Write every notebook with ``address`` for the token into ``folder``; return the copies."""
    if not re.fullmatch(r"https://[\w.-]+(/[\w.-]+){2,}", address):
        raise ValueError(f"address={address!r} must look like https://host/owner/name.")
    if not re.fullmatch(r"[\w./-]*", revision):
        raise ValueError(f"revision={revision!r} must be a tag, a branch or a commit.")
    course = f"{address}@{revision}" if revision else address
    copies = []
    for path in sorted((root / "book").rglob("*.ipynb")):
        if ".ipynb_checkpoints" not in path.parts:
            copy = folder / path.relative_to(root)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_bytes().decode("utf-8")
            copy.write_bytes(text.replace(TOKEN, course).encode("utf-8"))
            copies.append(copy)
    return copies


if __name__ == "__main__":
    try:
        written = stamp(sys.argv[1], ROOT, ROOT / "_build" / "launch", *sys.argv[2:3])
    except (IndexError, ValueError) as error:
        sys.exit(f"usage: python -m tools.launch ADDRESS [REVISION] ({error})")
    print(f"{len(written)} notebooks written to _build/launch")
