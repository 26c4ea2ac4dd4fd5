"""What the tree must be: small at its root, as the README draws it, with nothing unwanted."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.notebooks import MACHINE_PATH

MAX_ROOT_FOLDERS = 8
GENERATED = {"__pycache__", "_build", "build", "dist"}
# Put together here so that this file does not hold what it forbids.
FORBIDDEN_HOSTS = ["py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com"]


def tracked_files(root: Path) -> list[Path]:
    """The project's files: what git tracks or would track; without git, all not generated."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        check=False,
    )
    if (root / ".git").exists() and listed.returncode == 0:
        names = [name for name in listed.stdout.decode().split("\0") if name]
        return sorted(root / name for name in names if (root / name).is_file())
    return sorted(
        path
        for path in root.rglob("*")
        if path.is_file()
        and not any(
            part in GENERATED or part.startswith(".venv") or part.endswith(".egg-info")
            for part in path.relative_to(root).parts
        )
    )


def readme_tree(text: str) -> dict[str, set[str]]:
    """The README's tree: for each folder ('' is the root) the names listed in it."""
    blocks = re.findall(r"^```[^\n]*\n(.*?)^```", text, re.M | re.S)
    block = next((block for block in blocks if re.search(r"^\W*companion/", block, re.M)), "")
    tree: dict[str, set[str]] = {}
    open_folders: list[tuple[int, str]] = []
    for line in block.splitlines():
        row = re.match(
            r"(?P<indent>[\s│├└─|`-]*)(?P<names>\S+(?: \S+)*?)(?:\s{2,}|\s+#|\s*$)", line
        )
        if not row:
            continue
        indent = len(row["indent"])
        while open_folders and open_folders[-1][0] >= indent:
            open_folders.pop()
        parent = "".join(name for _, name in open_folders)
        for name in row["names"].rstrip(",").split(" "):
            tree.setdefault(parent, set()).add(name.rstrip("/,"))
            if name.endswith("/"):
                last = name
        if row["names"].endswith("/"):
            open_folders.append((indent, last))
    return tree


def tree_is_the_disk(root: Path) -> Iterator[str]:
    listed = readme_tree((root / "README.md").read_text(encoding="utf-8"))
    if not listed:
        yield "README.md: no fenced tree that lists 'companion/'"
        return
    files = [path.relative_to(root) for path in tracked_files(root)]
    for folder, names in listed.items():
        depth = len(Path(folder).parts)
        inside = {p.parts[depth] for p in files if p.parts[:depth] == Path(folder).parts}
        visible = {name for name in inside if not name.startswith((".", "__"))}
        for name in sorted(names - inside):
            yield f"README.md: the tree lists {folder}{name}, which does not exist; drop it"
        for name in sorted(visible - names):
            yield f"README.md: the tree lacks {folder}{name}; list it"


def root_is_small(root: Path) -> Iterator[str]:
    files = [path.relative_to(root) for path in tracked_files(root)]
    folders = sorted({path.parts[0] for path in files if len(path.parts) > 1})
    visible = [name for name in folders if not name.startswith(".")]
    if len(visible) > MAX_ROOT_FOLDERS:
        yield f"{len(visible)} visible folders at the root, {MAX_ROOT_FOLDERS} at most: {visible}"


def nothing_unwanted_in_files(root: Path) -> Iterator[str]:
    for path in tracked_files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        name = path.relative_to(root).as_posix()
        for host in FORBIDDEN_HOSTS:
            if host in text:
                yield f"{name}: names {host}; write 'the package index'"
        found = MACHINE_PATH.search(text)
        if found:
            yield f"{name}: {found[0]!r} is a path of one machine; use a relative one"


TREE_RULES = [tree_is_the_disk, root_is_small, nothing_unwanted_in_files]
