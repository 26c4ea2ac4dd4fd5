"""A Keras model on several processes: each reads a part of every batch, all take the same step.

The one that asks writes down the model, the examples and where the training stands. Each process
builds that model again on JAX, and the first one writes checkpoints like those of one process.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.backend import keras
from companion._common.checking import UsageError
from companion._common.progress import Bar
from companion.training.batches import Batches
from companion.training.checkpoints import CheckpointFolder, pack, unpack
from companion.training.inputs import Examples
from companion.training.loop import Loop
from companion.training.processes import announce, check_processes, connect, run_processes

__all__ = ["check_parts", "fit_in_processes"]

_JOB, _START, _LOG = "job.json", "start.npz", "log.txt"

_LEARNT, _HELD_OUT = "learnt", "held-out"  # how the files of examples begin


def check_parts(
    batches: Batches, processes: int, held_out: Examples | None, callbacks: Any
) -> None:
    """Refuses what several processes cannot do.

    Args:
        batches: `Batches` of the whole.
        processes: Integer. Number of processes.
        held_out: Held-out `Examples`, or `None`.
        callbacks: Sequence of callbacks of the caller.

    Raises:
        ValueError: If there are callbacks, several inputs or outputs, or batches that cannot be
            cut into equal parts.
    """
    check_processes(processes, batches.batch_size)
    if callbacks:
        raise UsageError(f"callbacks cannot be had with processes={processes}: leave them out.")
    given = batches.data.parts() + (held_out.parts() if held_out else ())
    if not all(isinstance(part, np.ndarray) for part in given):
        raise UsageError(f"processes={processes} can only train a model of one input and output.")
    if rest := batches.size % batches.batch_size % processes:
        raise UsageError(
            f"The last batch has {batches.size % batches.batch_size} examples, {rest} too many for "
            f"equal parts of processes={processes}: give {batches.size - rest} examples an epoch."
        )


def fit_in_processes(
    loop: Loop,
    done: int,
    epochs: int,
    held_out: Examples | None,
    processes: int,
    wait_seconds: float,
    *,
    shown: bool,
) -> None:
    """Trains a loop's model on several processes of this machine, and fills it with the result.

    Args:
        loop: `Loop` whose state is that of `done` epochs.
        done: Integer. Epochs finished before.
        epochs: Integer. Epochs in all.
        held_out: Held-out `Examples`, or `None`. Each process measures all of them: they may be
            any number, and the mean over equal copies is the mean.
        processes: Integer, as `check_parts` allows.
        wait_seconds: Float. Until then all must have started.
        shown: Boolean. Whether to show a bar.

    Raises:
        ChildProcessError: If a process fails; checkpoints stay as they are.
        TimeoutError: If a process does not start in time.
    """
    begin, newest = time.monotonic(), done
    bar = Bar(epochs, shown)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        loop.folder = folder = loop.folder or CheckpointFolder(place / "checkpoints")
        loop.on_train_begin()  # early stopping begins, or goes on
        (place / _START).write_bytes(pack(*loop.state(done)))
        _write_job(place, loop, folder, epochs, held_out)

        def look() -> bool:
            nonlocal newest
            newest = max([newest, *(int(path.stem.partition("-")[2]) for path in folder.paths())])
            bar.update(newest, f"epoch {min(newest + 1, epochs)}/{epochs}, {processes} processes")
            return newest > done and time.monotonic() - begin >= loop.seconds

        try:
            codes = run_processes(
                "companion.training.parallel_fit",
                [str(place)],
                processes,
                place / _LOG,
                wait_seconds=wait_seconds,
                at_each_look=look,
            )
        finally:
            bar.close()
        if any(codes):
            raise ChildProcessError(_failure(codes, place / _LOG))
        loop.resume(epochs)


def _write_job(
    place: Path, loop: Loop, folder: CheckpointFolder, epochs: int, held_out: Examples | None
) -> None:
    job = {
        "model": loop.model.to_json(),
        "folder": str(folder.folder.resolve()),
        "keep": folder.keep,
        "run": loop.run,
        "epochs": epochs,
    }
    (place / _JOB).write_text(json.dumps(job), "utf-8")
    for kind, examples in ((_LEARNT, loop.batches.data), (_HELD_OUT, held_out)):
        for number, array in enumerate(examples.parts() if examples else ()):
            np.save(place / f"{kind}{number}.npy", array, allow_pickle=False)


def _arrays(place: Path, kind: str) -> list[np.ndarray]:
    paths = sorted(place.glob(f"{kind}[0-9].npy"))
    return [np.load(path, mmap_mode="r", allow_pickle=False) for path in paths]


def _failure(codes: list[int | None], log: Path) -> str:
    text = log.read_text("utf-8", "replace").strip()
    errors = re.findall(r"^[\w.]+(?:Error|Exception|Interrupt): .*", text, re.M)
    said = (errors or text.splitlines() or ["nothing"])[-1][:300]
    which, code = next((n, code) for n, code in enumerate(codes, 1) if code)
    how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
    return (
        f"Process {which} of {len(codes)} {how}, and all were stopped. The last that was said: "
        f"{said}. Checkpoints stay, and the same call goes on from the newest."
    )


def work(options: argparse.Namespace) -> None:
    """One of the processes, from its first word to the others to its last step."""
    announce(options.place, options.process_id)
    part, parts = connect(options.coordinator, options.processes, options.process_id)
    job = json.loads((options.job / _JOB).read_text("utf-8"))
    run = job["run"]
    for module in set(re.findall(r'"module": "([^"]+)"', job["model"])) - {"builtins"}:
        import_module(module)  # registers its layers
    model = keras.models.model_from_json(job["model"])
    model.optimizer.build(model.trainable_variables)
    data, held_out = Examples(*_arrays(options.job, _LEARNT)), _arrays(options.job, _HELD_OUT)
    size = run["examples_per_epoch"]
    batches = Batches(data, run["batch_size"], run["seed"], size, part, parts)
    folder = CheckpointFolder(job["folder"], job["keep"]) if part == 0 else None
    loop = Loop(batches, folder, run, math.inf)
    loop.set_model(model)
    done = loop.restore(*unpack((options.job / _START).read_bytes()), job["epochs"])
    _share(model)
    model.fit(
        batches.for_fit(),
        shuffle=False,
        initial_epoch=done,
        epochs=job["epochs"],
        validation_data=tuple(map(np.asarray, held_out)) or None,
        validation_batch_size=run["batch_size"],
        verbose=0,
        callbacks=[loop],
    )


def _share(model: Any) -> None:
    """Makes one array of each variable that all processes hold, and cuts batches from now on."""
    import jax

    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("all",))
    everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    groups = model.variables, model.optimizer.variables, model.metrics_variables
    for variable in (variable for group in groups for variable in group):
        # Made here and not by Keras, which would let JAX compare each with those of all others.
        value = jax.make_array_from_process_local_data(everywhere, np.asarray(variable))
        variable.assign(value)
    keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))


def main() -> None:
    """Runs one of the processes that `fit_in_processes` has started."""
    parser = argparse.ArgumentParser(description=work.__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("--place", type=Path)
    parser.add_argument("--coordinator")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--process-id", type=int)
    work(parser.parse_args())


if __name__ == "__main__":
    main()
