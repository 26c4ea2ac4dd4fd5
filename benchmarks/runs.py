"""What the benchmarks share: fresh processes, what times depend on, and files of evidence."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

MISSING = {
    "tensorflow": "TensorFlow is not installed; pip install tensorflow",
    "jax": "JAX is not installed; pip install jax",
    "torch": "PyTorch is not installed; pip install torch",
}


def missing(engine: str) -> str | None:
    """Returns what would install the engine, or None if it is there."""
    absent = engine in MISSING and importlib.util.find_spec(engine) is None
    return MISSING[engine] if absent else None


def cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_cores(number: int) -> None:
    """Keeps this process, and those that it starts, to so many cores."""
    if not hasattr(os, "sched_setaffinity"):
        sys.exit("Cores can be chosen on Linux only; leave --threads out.")
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:number])


def fresh(module: str, engine: str, *arguments: str) -> dict[str, Any]:
    """Runs a module in a fresh process and returns the JSON of the last line that it prints."""
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["KERAS_BACKEND"] = "jax" if engine == "jax" else "tensorflow"
    environment["OPENBLAS_NUM_THREADS"] = "1"  # two slow each other down on small tables
    # glibc keeps freed memory: giving megabytes back after each step costs NumPy a fifth.
    environment |= {"MALLOC_TOP_PAD_": str(2**28), "MALLOC_TRIM_THRESHOLD_": str(2**32)}
    environment["MALLOC_MMAP_THRESHOLD_"] = str(2**32)
    command = [sys.executable, "-m", module, *arguments]
    begin = time.perf_counter()
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures | {"process_seconds": round(time.perf_counter() - begin, 3)}


def parser(description: str | None, file: Path, variants: Iterable[str]) -> argparse.ArgumentParser:
    """Returns the parser with the options that every benchmark of variants takes."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("file", nargs="?", type=Path, default=file)
    options.add_argument("--threads", type=int, help="cores to use; given, no file is written")
    options.add_argument("--minutes", type=float, default=60, help="start no run after so many")
    options.add_argument("--one", choices=list(variants), help="train this one here and print it")
    return options


def read_evidence(file: Path) -> dict[str, Any]:
    """Returns what a file of evidence holds already; nothing, if there is no file."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return found


def add_evidence(
    file: Path, start: dict[str, Any], found: dict[str, Any], *, indent: int | None = None
) -> None:
    """Adds what was found to a file of evidence, which begins with `start` if it is new."""
    from companion._common.files import write_atomically

    evidence = start | read_evidence(file) | found
    separators = (",", ":") if indent is None else None
    content = json.dumps(evidence, ensure_ascii=False, indent=indent, separators=separators)
    write_atomically(file, (content + "\n").encode())


def run_stages(
    command: str,
    description: str | None,
    file: Path,
    stages: Mapping[str, Callable[[], Any]],
    more: dict[str, Any],
    arguments: list[str] | None,
    *,
    indent: int | None = None,
) -> None:
    """Does the stages that a file lacks, each in a fresh process, and keeps each as it is done.

    This is the command line of a benchmark; a fresh process does `--one` stage and prints it.
    """
    options = argparse.ArgumentParser(description=description)
    options.add_argument("file", nargs="?", type=Path, default=file)
    options.add_argument("--stage", choices=list(stages), help="do this one alone")
    options.add_argument("--one", choices=list(stages), help="do this one here and print it")
    chosen = options.parse_args(arguments)
    if chosen.one:
        print(json.dumps(stages[chosen.one]()))
        return
    for name in [chosen.stage] if chosen.stage else stages:
        if name in read_evidence(chosen.file):
            continue
        found = fresh(command.removeprefix("python -m "), "tensorflow", "--one", name)
        del found["process_seconds"]
        start = {"command": command, "date": time.strftime("%Y-%m-%d"), "versions": versions()}
        start |= more
        add_evidence(chosen.file, start, {name: found}, indent=indent)
        print(name, found, flush=True)


def bracketed(
    start: Sequence[float], factor: float, score: Callable[[float], float], longest: int = 12
) -> tuple[float, list[tuple[float, float]]]:
    """Returns the best value and all with scores; the grid goes on while it lies at an edge.

    Among equals the one that was tried first is the best.
    """
    scores = {value: score(value) for value in start}
    while True:
        best = max(scores, key=lambda value: scores[value])
        if min(scores) < best < max(scores) or len(scores) >= longest:
            return best, sorted(scores.items())
        value = best / factor if best == min(scores) else best * factor
        value = float(f"{value:.6g}")
        scores[value] = score(value)


def versions() -> dict[str, Any]:
    """Returns what the times depend on and a file can name."""
    packages = ["keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "scikit-learn"]
    found: dict[str, Any] = {"cores": cores(), "python": sys.version.split()[0]}
    found["oneDNN"] = "default"
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
