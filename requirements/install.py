"""Make the locked environment in .venv, once: ``python requirements/install.py site|all|latest``.

``site`` builds the pages, ``all`` adds what the notebooks and tests need, ``latest`` takes the
newest versions that pyproject.toml allows instead of the lock. A stamp in .venv names what it
holds, so a second call returns at once and needs no network. ``--this-python`` makes .venv anew
where it holds another Python than the one that runs this.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "installed.json"
UNFINISHED = VENV / "unfinished"
SUPPORTED = "import sys, pip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))"
SAME = f"import sys; sys.exit(sys.version_info[:2] != {tuple(sys.version_info[:2])})"
SATISFIES = {"site": ["site"], "all": ["site", "all"], "latest": ["latest"]}


def key(name: str) -> str:
    """Hash the files that decide what environment `name` holds."""
    lock = [] if name == "latest" else [ROOT / "requirements" / f"{name}.txt"]
    digest = hashlib.sha256()
    for path in [ROOT / "requirements" / "tool.txt", ROOT / "pyproject.toml", *lock]:
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def read_stamp() -> dict[str, str]:
    """Return what the stamp says, or nothing where there is none that can be read."""
    try:
        content = json.loads(STAMP.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def is_installed(name: str) -> bool:
    """Return whether the stamp says that `name` is complete, current and in its place."""
    content = read_stamp()
    return content.get(name) == key(name) and content.get("root") == str(ROOT)


def run(*command: object) -> None:
    """Run one command; its own message explains a failure, so no traceback follows."""
    # A reader's own settings for pip and uv (mirrors, certificates) stay in force.
    environment = {
        "UV_SYSTEM_CERTS": "1",  # as pip does: a company's own certificate counts
        **os.environ,
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "UV_PYTHON_DOWNLOADS": "never",
    }
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() fails where there is none
    if not os.access(home, os.W_OK):
        environment["UV_CACHE_DIR"] = str(VENV / "cache")
    status = subprocess.call([str(part) for part in command], cwd=ROOT, env=environment)
    if status:
        sys.exit(
            f"Not installed: a step failed with exit status {status} (see above). Installing needs "
            "the network; run the same command again and it starts over by itself."
        )


def works(*command: object) -> bool:
    """Return whether a command can be started and succeeds."""
    try:
        subprocess.run([str(part) for part in command], capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other ``make`` installs into this folder."""
    with (ROOT / ".venv.lock").open("a+b") as file:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined,unused-ignore]
        else:
            import fcntl

            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_environment(this_python: bool) -> None:
    """Create .venv, unless a usable one is there: finished, not moved, with a Python that runs."""
    moved = read_stamp().get("root", str(ROOT)) != str(ROOT)
    usable = works(PYTHON, "-c", SUPPORTED) and (not this_python or works(PYTHON, "-c", SAME))
    if UNFINISHED.exists() or moved or not usable:
        print(f"Making .venv with Python {sys.version.split()[0]} …", flush=True)
        venv.EnvBuilder(with_pip=True, clear=True, symlinks=os.name != "nt").create(VENV)


def install(name: str, this_python: bool) -> None:
    """Install environment `name` into .venv; the stamp is written last."""
    make_environment(this_python)
    STAMP.unlink(missing_ok=True)
    UNFINISHED.touch()
    pip = [PYTHON, "-m", "pip", "install", "--quiet"]
    run(*pip, "--require-hashes", "-r", "requirements/tool.txt")
    uv = [PYTHON, "-m", "uv", "pip"]
    # Compiled once here: where no bytecode may be written, TensorFlow takes long to import.
    options = ["--compile-bytecode", "--python", PYTHON]
    if name == "latest":
        extras = "applications,book,data,export,lab,pretrained,serve,test,train"
        group = ["--group", "packaged"]
        run(*uv, "install", *options, "--upgrade", *group, "--editable", f".[{extras}]")
    else:
        # Exactly the lock: what an older one brought goes. setuptools comes from the lock as well,
        # so nothing unpinned takes part in any build.
        locks = ["requirements/tool.txt", f"requirements/{name}.txt"]
        run(*uv, "sync", *options, "--no-build-isolation", "--require-hashes", *locks)
        run(*uv, "install", *options, "--no-build-isolation", "--no-deps", "--editable", ".")
    UNFINISHED.unlink()
    content = {"root": str(ROOT)} | {part: key(part) for part in SATISFIES[name]}
    temporary = STAMP.with_suffix(".tmp")
    temporary.write_text(json.dumps(content), "utf-8")
    os.replace(temporary, STAMP)


def main(arguments: list[str]) -> None:
    """Install the environment that the command line names, if it is not there yet."""
    this_python = "--this-python" in arguments
    names = [argument for argument in arguments if argument != "--this-python"]
    if len(names) != 1 or names[0] not in SATISFIES:
        sys.exit(__doc__)
    with alone():
        fits = works(PYTHON, "-c", SAME if this_python else "")
        if UNFINISHED.exists() or not is_installed(names[0]) or not fits:
            install(names[0], this_python)


if __name__ == "__main__":
    main(sys.argv[1:])
