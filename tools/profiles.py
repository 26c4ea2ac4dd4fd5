"""The machines on which a page is tried: this one, and the same one made to compute otherwise.

A profile is a set of environment variables that libraries read when they start. The *old machine*
keeps NumPy, OpenBLAS, oneDNN, XLA and the C library from all instructions that a processor of 2010
did not have, so sums are added in another order and functions come from other code. Only what the
installed libraries and this processor accept is set.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np

ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}
PROFILES = ("native", "old", "one-thread", "onednn")
# What the stored outputs were made with, also where a page imports Keras before the package does.
STORED_WITH = {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
LIBRARIES = (
    "numpy",
    "scipy",
    "scikit-learn",
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "onnxruntime",
)
GLIBC_WITH_PLAIN_NAMES = (2, 33)  # before it, the features were called AVX2_Usable and so on

# What a fresh interpreter says about the libraries that obey a profile.
_ASK = """
import json, numpy
from threadpoolctl import threadpool_info
numpy.dot(numpy.ones((2, 2)), numpy.ones((2, 2)))
simd = numpy.show_config(mode="dicts").get("SIMD Extensions", {})
blas = [f"{i.get('architecture')}, {i['num_threads']} threads" for i in threadpool_info()]
print(json.dumps({"NumPy uses": simd.get("found", []), "BLAS": blas}))
"""


def levers(name: str) -> dict[str, str]:
    """The variables that a profile sets, on this machine."""
    if name not in PROFILES:
        raise ValueError(f"there is no profile {name!r}; there are: {', '.join(PROFILES)}")
    if name == "one-thread":
        return dict(ONE_THREAD)
    if name == "onednn":
        return {"TF_ENABLE_ONEDNN_OPTS": "1"}
    return dict(_old()) if name == "old" else {}


def _old() -> Iterator[tuple[str, str]]:
    yield "OPENBLAS_NUM_THREADS", "1"
    if platform.machine() not in {"x86_64", "AMD64"}:
        return
    found = np.show_config(mode="dicts").get("SIMD Extensions", {}).get("found", [])
    if found:
        yield "NPY_DISABLE_CPU_FEATURES", " ".join(found)
    yield "OPENBLAS_CORETYPE", "Nehalem"
    yield "ONEDNN_MAX_CPU_ISA", "SSE41"
    yield "OPENCV_CPU_DISABLE", "AVX,AVX2,FMA3,FP16"
    yield "XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_cpu_max_isa=SSE4_2".strip()
    library, release = platform.libc_ver()
    if library == "glibc":
        new = tuple(map(int, release.split(".")[:2])) >= GLIBC_WITH_PLAIN_NAMES
        off = [f"-{feature}{'' if new else '_Usable'}" for feature in ("AVX2", "FMA")]
        yield "GLIBC_TUNABLES", f"glibc.cpu.hwcaps={','.join(off)}"
    if find_spec("torch") is not None:
        yield "ATEN_CPU_CAPABILITY", "default"
        yield "MKL_CBWR", "COMPATIBLE"


def environment(name: str) -> dict[str, str]:
    """The whole environment of a kernel in this profile."""
    return STORED_WITH | os.environ | levers(name)


def describe_machine() -> str:
    """The processor, and how the numerical libraries were built."""
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    lines = [
        f"processor: {_processor()}",
        f"system: {platform.platform()}, Python {platform.python_version()}",
        f"libraries: {', '.join(_versions())}",
        f"BLAS: {blas['name']} {blas['version']}, {blas.get('openblas configuration', '')}",
    ]
    return "\n".join(lines)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    lines = info.read_text(encoding="utf-8").splitlines()
    found = dict(line.split(":", 1) for line in reversed(lines) if ":" in line)
    fields = {name.strip(): value.strip() for name, value in found.items()}
    wide = [flag for flag in fields.get("flags", "").split() if flag.startswith(("avx", "fma"))]
    return (
        f"{fields.get('model name', platform.machine())} ({os.cpu_count()} cores; {' '.join(wide)})"
    )


def _versions() -> Iterator[str]:
    for name in LIBRARIES:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            continue


def describe(name: str) -> str:
    """What a profile sets, and what the libraries make of it."""
    asked = subprocess.run(
        [sys.executable, "-c", _ASK],
        env=environment(name),
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(asked.stdout) if asked.returncode == 0 else {"error": asked.stderr[-300:]}
    chosen = " ".join(f"{key}={value!r}" for key, value in levers(name).items()) or "nothing"
    return f"{name} sets {chosen}: {', '.join(f'{key} {value}' for key, value in said.items())}"
