"""Packages that are not there, damaged or of another version, as an installation may have them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Make a package look as if it was not installed."""
    return lambda package: monkeypatch.setitem(sys.modules, package, None)


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a file into a package that stands before the real one; return the file's path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(package: str, file: str, content: bytes | None, version: str | None = None) -> Path:
        monkeypatch.delitem(sys.modules, package, raising=False)  # some are there from the start
        path = tmp_path / package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / package / "__init__.py").touch()
        if content is not None:
            path.write_bytes(content)
        if version:
            name, number = version.split("==")
            record = tmp_path / f"{name.replace('-', '_')}-{number}.dist-info" / "METADATA"
            record.parent.mkdir()
            record.write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
        importlib.invalidate_caches()
        return path

    return put
