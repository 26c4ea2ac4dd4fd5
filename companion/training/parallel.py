"""One training on several processes: each reads a part of every batch, all keep the same weights.

``python -m companion.training.parallel FOLDER --processes 2`` trains a small byte-level GPT on
Shakespeare with JAX. On one machine it starts its processes and starts them again if one dies. On
a cluster something else starts them, and each is told who it is: ``--coordinator HOST:PORT
--process-id NUMBER``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.checking import check_whole
from companion._common.files import write_atomically
from companion.data.prose import load_shakespeare
from companion.training.checkpoints import CheckpointError, CheckpointFolder
from companion.training.processes import WAIT_SECONDS, announce, connect, run_processes

__all__ = ["train_in_parallel"]

SEQUENCE_LENGTH, HEAD_DIM, LEARNING_RATE = 64, 16, 0.003
# What a checkpoint must have been made with; the number of processes is free.
SETTINGS = ("width", "layers", "batch_size", "seed")


def first_weights(width: int, layers: int, seed: int) -> dict[str, Any]:
    """Draws the weights of a GPT that reads and writes bytes."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> np.ndarray:
        return rng.normal(0, shape[0] ** -0.5, shape).astype("float32")

    blocks = [
        {
            "read": draw(width, 3 * width),
            "mix": draw(width, width) / np.sqrt(2 * layers).astype("float32"),
            "widen": draw(width, 4 * width),
            "narrow": draw(4 * width, width) / np.sqrt(2 * layers).astype("float32"),
        }
        for _ in range(layers)
    ]
    return {
        "bytes": 0.02 * rng.normal(size=(256, width)).astype("float32"),
        "places": 0.02 * rng.normal(size=(SEQUENCE_LENGTH, width)).astype("float32"),
        "blocks": blocks,
    }


def mean_loss(weights: dict[str, Any], rows: Any) -> Any:
    """The mean loss of predicting each next byte, in nats; rows: (number, SEQUENCE_LENGTH + 1)."""
    import jax
    import jax.numpy as jnp

    def norm(x: Any) -> Any:
        return x * jax.lax.rsqrt(jnp.mean(x * x, -1, keepdims=True) + 1e-6)

    x = weights["bytes"][rows[:, :-1]] + weights["places"]
    for block in weights["blocks"]:
        heads = (norm(x) @ block["read"]).reshape(*x.shape[:2], 3, -1, HEAD_DIM)
        q, k, v = heads[:, :, 0], heads[:, :, 1], heads[:, :, 2]
        mixed = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.reshape(x.shape) @ block["mix"]
        x = x + jax.nn.gelu(norm(x) @ block["widen"]) @ block["narrow"]
    guesses = jax.nn.log_softmax(norm(x) @ weights["bytes"].T / 0.02 / x.shape[-1])
    return -jnp.mean(jnp.take_along_axis(guesses, rows[:, 1:, None], -1))


def batch_rows(
    text: np.ndarray, step: int, batch_size: int, seed: int, part: int, parts: int
) -> np.ndarray:
    """One part of a step's batch. The batch depends on the seed and the step alone."""
    rng = np.random.default_rng((seed, step))
    starts = rng.integers(0, len(text) - SEQUENCE_LENGTH, batch_size)
    own = starts[part * batch_size // parts : (part + 1) * batch_size // parts]
    rows: np.ndarray = text[own[:, None] + np.arange(SEQUENCE_LENGTH + 1)].astype("int32")
    return rows


def build_step(mesh: Any, optimizer: Any, unravel: Callable[[Any], Any]) -> Callable[..., Any]:
    """The step that all processes run together, on rows that are spread over them.

    The state is one long vector of weights and Adam's averages of it, so the gradient is one too.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from jax.sharding import PartitionSpec

    def step(state: Any, rows: Any) -> Any:
        flat, averages = state
        loss, gradient = jax.value_and_grad(lambda w: mean_loss(unravel(w), rows))(flat)
        mean = jax.lax.pmean(jnp.append(gradient, loss), "rows")  # all that is ever sent
        updates, averages = optimizer.update(mean[:-1], averages)
        return (optax.apply_updates(flat, updates), averages), mean[-1]

    everywhere, spread = PartitionSpec(), PartitionSpec("rows")
    shared = jax.shard_map(
        step, mesh=mesh, in_specs=(everywhere, spread), out_specs=everywhere, check_vma=False
    )
    compiled: Callable[..., Any] = jax.jit(shared)
    return compiled


def sent_bytes() -> int:
    """What this process has given its open TCP connections to send, by Linux; elsewhere 0.

    What the others have confirmed would lag behind a step that has ended.
    """
    total, opened = 0, Path("/proc/self/fd")
    for path in opened.iterdir() if opened.is_dir() else ():
        with contextlib.suppress(OSError, struct.error):  # closed meanwhile, or no TCP
            if str(path.readlink()).startswith("socket:"):
                with socket.socket(fileno=os.dup(int(path.name))) as connection:
                    counts = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                waiting = struct.unpack_from("I", counts, 144)[0]  # tcpi_notsent_bytes
                sent, again = struct.unpack_from("QQ", counts, 200)  # and tcpi_bytes_retrans
                total += sent - again + waiting
    return total


def work(options: argparse.Namespace) -> None:
    """One of the processes, from its first word to the others to its last step."""
    import jax
    import optax
    from jax.experimental import multihost_utils
    from jax.flatten_util import ravel_pytree

    if options.place:
        announce(options.place, options.process_id)
    part, parts = connect(options.coordinator, options.processes, options.process_id)
    mesh = jax.sharding.Mesh(np.array(jax.devices()), ("rows",))
    spread = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("rows"))
    optimizer = optax.adam(LEARNING_RATE)
    flat, unravel = ravel_pytree(first_weights(options.width, options.layers, options.seed))
    state, losses = jax.device_get((flat, optimizer.init(flat))), list[float]()
    text = np.frombuffer("\n".join(load_shakespeare().train.values()).encode(), np.uint8)
    run_step, folder = build_step(mesh, optimizer, unravel), CheckpointFolder(options.folder)
    with folder.lock() if part == 0 else contextlib.nullcontext():
        if part == 0:
            state, losses = restored(folder, state, options)
        if parts > 1:  # only the first reads the folder, so that the others need not see it
            done, state = multihost_utils.broadcast_one_to_all((len(losses), state))
            losses = losses or [0.0] * int(done)
        begin, seconds, sent = len(losses), [], []
        for step in range(begin, options.steps):
            if options.fail == [part, step]:
                os.kill(os.getpid(), signal.SIGKILL)
            before = time.perf_counter()
            own = batch_rows(text, step, options.batch_size, options.seed, part, parts)
            state, loss = run_step(state, jax.make_array_from_process_local_data(spread, own))
            losses.append(float(loss))
            seconds.append(time.perf_counter() - before)
            sent.append(sent_bytes())
            if part == 0 and (len(losses) % options.every == 0 or len(losses) == options.steps):
                keep(folder, state, losses, options)
    if part == 0:
        counted = {"first_step": begin, "step_seconds": seconds, "sent_bytes": sent}
        result = {"processes": parts, "parameters": flat.size, "losses": losses, **counted}
        write_atomically(options.folder / "result.json", json.dumps(result).encode())


def keep(
    folder: CheckpointFolder, state: Any, losses: list[float], options: argparse.Namespace
) -> None:
    """Writes the weights, Adam's averages and the losses so far as one checkpoint."""
    import jax

    arrays = {f"{i:04d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(state))}
    settings = {name: getattr(options, name) for name in SETTINGS}
    folder.save(len(losses), arrays, {"settings": settings, "losses": losses})


def restored(
    folder: CheckpointFolder, state: Any, options: argparse.Namespace
) -> tuple[Any, list[float]]:
    """The state and the losses of the newest checkpoint, or the fresh ones."""
    import jax

    found = folder.load()
    if found is None:
        return state, []
    arrays, meta = found
    wanted = {name: getattr(options, name) for name in SETTINGS}
    if meta.get("settings") != wanted:
        raise CheckpointError(
            f"{folder} was trained with {meta.get('settings')}, and {wanted} is asked for: use the "
            "same settings, of which only the number of processes is free, or another folder."
        )
    leaves = [arrays[name] for name in sorted(arrays)]
    return jax.tree.unflatten(jax.tree.structure(state), leaves), meta["losses"]


def train_in_parallel(
    folder: str | os.PathLike[str],
    processes: int = 1,
    steps: int = 100,
    batch_size: int = 32,
    width: int = 64,
    layers: int = 2,
    every: int = 20,
    seed: int = 0,
    restarts: int = 0,
    fail: tuple[int, int] | None = None,
    timeout_seconds: float = 600,
    wait_seconds: float = WAIT_SECONDS,
) -> dict[str, Any]:
    """Trains a small byte-level GPT on Shakespeare with one or more processes of this machine.

    Each process reads its rows of every batch, the gradients are averaged, and all take the same
    step. The first process writes checkpoints, from which any number of processes goes on. If a
    process dies, the others are stopped and all are started again from the newest checkpoint.

    Args:
        folder: Path. Where checkpoints are written, and read if there are some.
        processes: Integer, at least 1, that divides `batch_size`. Defaults to 1.
        steps: Integer, at least 1. Steps in all, those of the checkpoint included. Defaults to 100.
        batch_size: Integer. Sequences of 64 bytes in a step of all processes. Defaults to 32.
        width: Integer, a multiple of 16. Defaults to 64.
        layers: Integer, at least 1. Defaults to 2.
        every: Integer, at least 1. Steps between two checkpoints. Defaults to 20.
        seed: Integer, at least 0. Decides the first weights and every batch. Defaults to 0.
        restarts: Integer, at least 0. How often all may be started again. Defaults to 0.
        fail: Pair of a process and a step before which it is killed at the first attempt, to try
            what then happens. Defaults to `None`.
        timeout_seconds: Float above 0. After so long all processes are stopped. Defaults to 600.
        wait_seconds: Float. After so long all processes must have started. Defaults to two
            minutes.

    Returns:
        Dict of `processes`, `parameters`, `losses` of all steps in nats per byte, `attempts`,
        and of the last attempt `first_step`, `step_seconds` and `sent_bytes`: what the first
        process had sent to the others after each step, counted by Linux.

    Raises:
        ValueError: If a number is not as above.
        ChildProcessError: If a process fails more often than `restarts`.
        TimeoutError: If it takes longer than `timeout_seconds`, or a process does not come; it
            says which.

    Example:

    >>> train_in_parallel("runs/gpt", processes=3, batch_size=32)
    Traceback (most recent call last):
    ValueError: batch_size=32 must be a multiple of processes=3: each reads as many rows.

    Reference:
        Goyal et al., 2017, Accurate, Large Minibatch SGD: Training ImageNet in 1 Hour.
    """
    numbers = {"processes": processes, "steps": steps, "batch_size": batch_size, "width": width}
    numbers |= {"layers": layers, "every": every}
    for name, number in numbers.items():
        check_whole(number, name, least=1)
    check_whole(seed, "seed", least=0)
    check_whole(restarts, "restarts", least=0)
    if batch_size % processes:
        raise ValueError(
            f"batch_size={batch_size} must be a multiple of processes={processes}: each reads as "
            "many rows."
        )
    if width % HEAD_DIM:
        raise ValueError(f"width={width} must be a multiple of {HEAD_DIM}, the width of a head.")
    numbers |= {"seed": seed}
    numbers.pop("processes")
    options = [os.fspath(folder)]
    for name, number in numbers.items():
        options += [f"--{name.replace('_', '-')}", str(number)]
    limits = timeout_seconds, wait_seconds
    return attempts(options, Path(folder), processes, restarts, fail, *limits)


def attempts(
    options: list[str],
    folder: Path,
    processes: int,
    restarts: int,
    fail: tuple[int, int] | None,
    timeout_seconds: float,
    wait_seconds: float,
) -> dict[str, Any]:
    """Starts all processes as often as allowed, until all of them end well."""
    folder.mkdir(parents=True, exist_ok=True)
    log, result = folder / "processes.log", folder / "result.json"
    deadline = time.monotonic() + timeout_seconds

    def look() -> bool:
        if time.monotonic() > deadline:
            raise TimeoutError(f"It took over {timeout_seconds} s: see {log}.")
        return False

    for attempt in range(restarts + 1):
        result.unlink(missing_ok=True)
        failing = ["--fail", *map(str, fail)] if fail and attempt == 0 else []
        codes = run_processes(
            "companion.training.parallel",
            [*options, *failing],
            processes,
            log,
            wait_seconds=wait_seconds,
            at_each_look=look,
        )
        if codes == [0] * processes:
            counted: dict[str, Any] = json.loads(result.read_text("utf-8"))
            return counted | {"attempts": attempt + 1}
    last = log.read_text("utf-8", "replace").strip().splitlines()[-1:]
    raise ChildProcessError(f"A process failed {restarts + 1} times: {last}. See {log}.")


def main(arguments: list[str] | None = None) -> None:
    """Runs one process of a cluster, or starts all of them on this machine."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folder", type=Path, help="where checkpoints are written and read")
    defaults = {"processes": 1, "steps": 100, "batch-size": 32, "width": 64, "layers": 2}
    for name, number in (defaults | {"every": 20, "seed": 0, "restarts": 0}).items():
        parser.add_argument(f"--{name}", type=int, default=number, help=f"default {number}")
    parser.add_argument("--coordinator", help="HOST:PORT of the first process, on a cluster")
    parser.add_argument("--process-id", type=int, help="which process this is, from 0")
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)  # of the starter
    parser.add_argument("--fail", type=int, nargs=2, metavar=("PROCESS", "STEP"))
    options = parser.parse_args(arguments)
    if options.process_id is not None:
        work(options)
        return
    names = ("processes", "steps", "batch_size", "width", "layers", "every", "seed", "restarts")
    numbers = {name: getattr(options, name) for name in names}
    fail = tuple(options.fail) if options.fail else None
    result = train_in_parallel(options.folder, fail=fail, **numbers)
    print(f"{len(result['losses'])} steps, loss {result['losses'][-1]:.4f} nats per byte")


if __name__ == "__main__":
    main()
