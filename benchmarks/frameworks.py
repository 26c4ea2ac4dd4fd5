"""Times the classifier's first steps in six ways: one Keras source, and each framework's own.

``python -m benchmarks.frameworks`` runs the very cells of the page on frameworks, each way in a
fresh process, one after the other and then all again, with its peak of memory, and writes
``companion/data/measured/frameworks.json``. It takes about five minutes on two busy cores.
A framework that is not installed is left out, and the file says what would install it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.runs import missing, versions
from tools.cells import run_cells

COMMAND = "python -m benchmarks.frameworks"
ROOT = Path(__file__).parents[1]
FILE = ROOT / "companion/data/measured/frameworks.json"
PAGE = "06_tools/frameworks"
ROUNDS = 3
WAYS = {
    f"{kind} {engine}": (kind, engine)
    for kind in ("keras", "own")
    for engine in ("tensorflow", "torch", "jax")
}


def write_batches(file: Path) -> None:
    """Writes the page's batches and first weights."""
    import keras
    import numpy as np

    from companion import data

    page = run_cells(PAGE, "batches", keras=keras, np=np)
    ids, labels, weights = page["make_batches"](data.load_food_reviews())
    start = {f"w{i}": value for i, value in enumerate(weights)}
    np.savez(file, ids=ids, labels=labels, **start)


def rules(engine: str) -> dict[str, Any]:
    """Returns the optimisers of a framework, with the settings of Keras's."""
    if engine == "torch":
        import torch

        return {
            "sgd": lambda p: torch.optim.SGD(p, 0.1),
            "adam": lambda p: torch.optim.Adam(p, 0.003, eps=1e-7),
        }
    if engine == "jax":
        import optax

        return {"sgd": optax.sgd(0.1), "adam": optax.adam(0.003, eps=1e-7)}
    import keras
    import tensorflow as tf

    class Dense(keras.optimizers.Adam):
        def apply(self, grads: Any, trainable_variables: Any = None) -> None:
            super().apply([tf.convert_to_tensor(g) for g in grads], trainable_variables)

    adam = keras.optimizers.Adam(0.003)
    return {"sgd": keras.optimizers.SGD(0.1), "adam": adam, "adam, dense": Dense(0.003)}


def own(engine: str, file: Path) -> dict[str, Any]:
    """Takes the steps in a framework's own idiom, in this process."""
    import numpy as np

    names: dict[str, Any] = {"np": np}
    begin = time.perf_counter()
    if engine == "tensorflow":
        import keras

        names["keras"] = keras
    found: dict[str, Any] = {}
    optimisers = rules(engine)
    found["import"] = time.perf_counter() - begin
    needed = ("jax-lstm", "jax") if engine == "jax" else (engine,)
    build = run_cells(PAGE, *needed, **names)[f"in_{engine}"]
    stored = np.load(file)
    weights = [stored[f"w{i}"] for i in range(6)]
    for rule, optimiser in optimisers.items():
        step, _, _ = build(weights, optimiser)
        losses, seconds = [], []
        for ids, labels in zip(stored["ids"], stored["labels"], strict=True):
            begin = time.perf_counter()
            losses.append(float(step(ids, labels)))
            seconds.append(time.perf_counter() - begin)
        found[rule] = {"losses": losses, "seconds": seconds}
    return found


def run(way: str, file: Path) -> dict[str, Any]:
    """Takes the steps of one way in a fresh process."""
    kind, engine = WAYS[way]
    environment = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
    environment["KERAS_BACKEND"] = engine if kind == "keras" else "tensorflow"
    own_way = ["-m", "benchmarks.frameworks", engine, str(file)]
    source = run_cells(PAGE, "keras-source")["KERAS"]
    command = [sys.executable, *(["-c", source, str(file)] if kind == "keras" else own_way)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    peak = used.ru_maxrss / (1 if sys.platform == "darwin" else 1 / 1024)
    return {"way": way, "peak_bytes": int(peak), **json.loads(printed.splitlines()[-1])}


def measure() -> None:
    """Runs every way, in turns, and writes the file after each run."""
    from companion._common.files import write_atomically

    evidence: dict[str, Any] = {"command": COMMAND, "versions": versions(), "rounds": ROUNDS}
    absent = {way: missing(engine) for way, (_, engine) in WAYS.items()}
    evidence["not_measured"] = {way: why for way, why in absent.items() if why}
    evidence["runs"] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "batches.npz")
        # In a process of its own: a child's peak is at least what its parent holds when it starts.
        subprocess.run([sys.executable, "-m", "benchmarks.frameworks", str(file)], check=True)
        for _ in range(ROUNDS):
            for way in [way for way in WAYS if not absent[way]]:
                evidence["runs"].append(run(way, file))
                write_atomically(FILE, (json.dumps(evidence, indent=1) + "\n").encode())
                print(way, "done", flush=True)


def main() -> None:
    """Measures and writes the file; its children write batches or take one framework's steps."""
    if len(sys.argv) == 3:
        print(json.dumps(own(sys.argv[1], Path(sys.argv[2]))))
    elif len(sys.argv) == 2:
        write_batches(Path(sys.argv[1]))
    else:
        measure()


if __name__ == "__main__":
    main()
