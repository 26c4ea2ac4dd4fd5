"""One training on one process and on two, for the page on scaling out.

``python -m benchmarks.scaling_out`` writes ``companion/data/measured/scaling_out.json``. It needs
Linux, two cores and about fifteen minutes. Every process has one core. Runs that are compared take
turns, and each part of the file says how loaded the machine was before it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.files import write_atomically
from companion.data import load_food_reviews
from companion.tasks import TextClassifier
from companion.training.checkpoints import CheckpointFolder
from companion.training.parallel import train_in_parallel

COMMAND = "python -m benchmarks.scaling_out"
FILE = Path(__file__).parents[1] / "companion/data/measured/scaling_out.json"
SPEED: dict[str, Any] = {"width": 128, "layers": 2, "steps": 24, "every": 24}
SMALL: dict[str, Any] = {"width": 32, "layers": 1, "batch_size": 8, "steps": 40, "every": 10}
ROUNDS, KILLS, MOMENTS, SEEDS = 5, 10, 5, 3
CASES = [(1, 4), (2, 4), (1, 32), (2, 32), (2, 64)]  # processes, batch
CLASSIFIER_SEEDS = 3
UNEQUAL = [(1, False), (1, True), (2, False), (2, True)]  # processes, is the last core shared?
WARM_STEPS = 4  # not counted: the first waits for the compiler


def train(folder: str, processes: int, **settings: Any) -> dict[str, Any]:
    """One training, each process with a core of its own."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[:processes])  # which the processes inherit
    try:
        return train_in_parallel(folder, processes=processes, timeout_seconds=180, **settings)
    finally:
        os.sched_setaffinity(0, allowed)


def outcome(processes: int, **settings: Any) -> tuple[dict[str, Any], np.ndarray]:
    """One training in a folder of its own: what it tells, and all that its checkpoint holds."""
    with tempfile.TemporaryDirectory() as folder:
        result = train(folder, processes, **settings)
        return result, numbers(folder)


def numbers(folder: str) -> np.ndarray:
    """The weights and averages of a folder's newest checkpoint, in one row."""
    found = CheckpointFolder(folder).load()
    assert found is not None
    return np.concatenate([array.ravel() for array in found[0].values()])


def speed() -> dict[str, Any]:
    """Sequences a second and bytes a step, in rounds with an order of their own."""
    drawing = random.Random(0)
    rounds = []
    for _ in range(ROUNDS):
        row = []
        for processes, batch_size in drawing.sample(CASES, len(CASES)):
            result, _ = outcome(processes, batch_size=batch_size, **SPEED)
            seconds = [round(t, 5) for t in result["step_seconds"][WARM_STEPS:]]
            sent = float(np.median(np.diff(result["sent_bytes"][WARM_STEPS:])))
            case = {"processes": processes, "batch_size": batch_size, "sent_bytes": sent}
            row.append(case | {"step_seconds": seconds, "load": round(os.getloadavg()[0], 1)})
            print(case, min(seconds), np.median(seconds), flush=True)
        rounds.append(row)
    return {"settings": SPEED, "parameters": result["parameters"], "rounds": rounds}


def apart() -> dict[str, Any]:
    """The fastest step of one training alone, and of two at once that never talk to each other.

    What two lose here, they lose to what their cores share, and not to the traffic between them.
    """
    rounds = []
    for _ in range(ROUNDS):
        alone, _ = outcome(1, batch_size=32, **SPEED)
        with ThreadPoolExecutor(2) as threads:
            waiting = [threads.submit(on_core, core) for core in (0, 1)]
            both = [thread.result() for thread in waiting]
        rounds.append({"alone": min(alone["step_seconds"]), "both": both})
        print(rounds[-1], flush=True)
    return {"batch_size": 32, "rounds": rounds}


def on_core(number: int) -> float:
    """The fastest step of a training on one core; a thread hands its own core to what it starts."""
    core = sorted(os.sched_getaffinity(0))[number]
    os.sched_setaffinity(0, [core])
    with tempfile.TemporaryDirectory() as folder:
        settings = {"batch_size": 32, "timeout_seconds": 180} | SPEED
        return min(train_in_parallel(folder, **settings)["step_seconds"])


def unequal() -> dict[str, Any]:
    """The steps of one and of two, each on a core of its own, alone and beside a busy program.

    The program does nothing but count, on the core of the last process, which then has about half
    of a core, like a slower machine.
    """
    drawing = random.Random(0)
    rounds, losses = [], dict[int, list[float]]()
    for _ in range(ROUNDS):
        row = []
        for processes, shared in drawing.sample(UNEQUAL, len(UNEQUAL)):
            with on_cores_of_their_own(processes, shared):
                result, _ = outcome(processes, batch_size=32, **SPEED)
            same = result["losses"] == losses.setdefault(processes, result["losses"])
            seconds = [round(t, 5) for t in result["step_seconds"][WARM_STEPS:]]
            case = {"processes": processes, "shared": shared, "losses_same": same}
            row.append(case | {"step_seconds": seconds, "load": round(os.getloadavg()[0], 1)})
            print(case, np.median(seconds), flush=True)
        rounds.append(row)
    apart = float(np.abs(np.subtract(losses[1], losses[2])).max())
    return {"batch_size": 32, "losses_differ": apart, "rounds": rounds}


@contextlib.contextmanager
def on_cores_of_their_own(processes: int, shared: bool) -> Iterator[None]:
    """Holds the processes that start now to a core each, and lets a busy program on the last."""
    cores, started = sorted(os.sched_getaffinity(0))[:2], threading.Event()
    others = 1 if shared else 0

    def hold() -> None:
        while len(found := children()[others:]) < processes:
            if started.wait(0.002):
                return
        for number, process in enumerate(found):
            os.sched_setaffinity(process, {cores[number - processes]})  # its threads inherit it

    holder = threading.Thread(target=hold)
    with contextlib.ExitStack() as stack:
        if shared:
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            stack.callback(busy.wait)
            stack.callback(busy.kill)
            os.sched_setaffinity(busy.pid, {cores[-1]})
        holder.start()
        stack.callback(holder.join)
        stack.callback(started.set)
        yield


def sameness() -> dict[str, Any]:
    """How far two processes, or one after two after one, end from a single process."""
    seeds = []
    for seed in range(SEEDS):
        one, one_end = outcome(1, seed=seed, **SMALL)
        two, two_end = outcome(2, seed=seed, **SMALL)
        losses = np.abs(np.subtract(one["losses"], two["losses"])).max()
        weights = np.abs(one_end - two_end).max()
        seeds.append({"seed": seed, "loss": one["losses"][-1], "losses_differ": float(losses)})
        seeds[-1]["numbers_differ"] = float(weights)
        if seed == 0:
            kept = one_end
    with tempfile.TemporaryDirectory() as folder:
        for processes, steps in ((1, 14), (2, 28), (1, 40)):
            result = train(folder, processes, **(SMALL | {"steps": steps}))
        changed = float(np.abs(numbers(folder) - kept).max())
    return {"seeds": seeds, "one_two_one_differ": changed, "continued_at": result["first_step"]}


def classifier() -> dict[str, Any]:
    """The course's text classifier on one process and on two, and without the option."""
    reviews = load_food_reviews()
    names = [np.array(split.labels) for split in (reviews.train, reviews.test)]
    rows = []
    for seed in range(CLASSIFIER_SEEDS):
        found = {}
        for processes in (1, 2, None):
            learner = TextClassifier("bag", seed=seed)
            options: dict[str, Any] = {"processes": processes, "progress": False}
            history = learner.fit(reviews.train.texts, names[0], **options)
            assert learner.model is not None
            shares = learner.predict_proba(reviews.test.texts)[:, 1]
            weights = np.concatenate([w.ravel() for w in learner.model.get_weights()])
            found[processes] = history, weights, shares
        (one, *alone), (two, *both), (own, *program) = found.values()
        row: dict[str, Any] = {"seed": seed}
        row["epochs"] = [history.epochs for history in (one, two, own)]
        row["right"] = int(((alone[1] >= 0.5) == names[1]).sum())
        row["program_right"] = int(((program[1] >= 0.5) == names[1]).sum())
        for kind, other in (("two", both), ("program", program)):
            for what, a, b in zip(("weights", "probabilities"), alone, other, strict=True):
                row[f"{kind}_{what}_differ"] = float(np.abs(a - b).max())
        rows.append(row)
        print(row, flush=True)
    return {"tested": len(names[1]), "rows": rows}


def killed_at_a_moment(after_seconds: float, which: int) -> None:
    """Kills one of the processes that the main thread has started, if it has any."""
    time.sleep(after_seconds)
    found = children()
    if len(found) > which:
        os.kill(found[which], signal.SIGKILL)


def children() -> list[int]:
    """The processes that the main thread has started, the oldest first."""
    names = Path(f"/proc/self/task/{os.getpid()}/children").read_text("utf-8").split()
    return [int(name) for name in names]


def kills() -> dict[str, Any]:
    """Two processes, one of which is killed: before a drawn step, or after a drawn time."""
    drawing = random.Random(0)
    begin = time.perf_counter()
    whole, end = outcome(2, **SMALL)
    whole_seconds = time.perf_counter() - begin
    rows = []
    for i in range(KILLS + MOMENTS):
        which, step = drawing.randrange(2), drawing.randrange(1, SMALL["steps"])
        row: dict[str, Any] = {"process": which}
        begin = time.perf_counter()
        if i < KILLS:
            result, found = outcome(2, fail=(which, step), restarts=1, **SMALL)
            row |= {"before_step": step, "steps_lost": step - result["first_step"]}
        else:
            after = drawing.uniform(0.1, 0.95) * whole_seconds
            killer = threading.Thread(target=killed_at_a_moment, args=(after, which))
            killer.start()
            result, found = outcome(2, restarts=1, **SMALL)
            killer.join()
            row |= {"after_seconds": round(after, 2)}
        row |= {"attempts": result["attempts"], "first_step": result["first_step"]}
        row |= {"losses_same": result["losses"] == whole["losses"]}
        row |= {"numbers_differ": float(np.abs(found - end).max())}
        row |= {"seconds": round(time.perf_counter() - begin, 2)}
        rows.append(row)
        print(row, flush=True)
    return {"settings": SMALL, "whole_seconds": round(whole_seconds, 2), "rows": rows}


def main(arguments: list[str] | None = None) -> None:
    """Measures the parts that are named, or all, and keeps the others and all rounds of speed."""
    import jax

    parts = {"speed": speed, "apart": apart, "unequal": unequal}
    parts |= {"sameness": sameness, "kills": kills, "classifier": classifier}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(parts)}; all of them by default")
    parser.add_argument("--file", type=Path, default=FILE)
    options = parser.parse_args(arguments)
    evidence = json.loads(options.file.read_text("utf-8")) if options.file.is_file() else {}
    evidence |= {"command": COMMAND, "jax": jax.__version__}
    for name in options.parts or parts:
        load = os.getloadavg()[0]
        found = parts[name]() | {"load_before": round(load, 1)}
        earlier = evidence.get("speed", {}).get("rounds", []) if name == "speed" else []
        evidence[name] = found | ({"rounds": earlier + found["rounds"]} if earlier else {})
        write_atomically(options.file, (json.dumps(evidence, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
