"""The processes of one training on this machine: started, watched, and none of them left behind."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from companion._common.checking import UsageError, check_whole
from companion._common.extras import install_hint

__all__ = ["WAIT_SECONDS", "announce", "check_processes", "connect", "run_processes"]

WAIT_SECONDS = 120  # until all processes must have started, unless something else is asked for

_HEARTBEAT_SECONDS = 10  # how long the others wait for one that says nothing

_JOIN_SECONDS = 600  # how long one that has started waits for the others, if nobody stops it


def check_processes(processes: int | None, batch_size: int) -> None:
    """Refuses a number of processes that this machine or the batch does not allow.

    Args:
        processes: Integer. What is asked for; `None` asks for none.
        batch_size: Integer. Examples in one step of all processes.

    Raises:
        ValueError: If it is below 1 or above the number of cores, or does not divide `batch_size`.
        ModuleNotFoundError: If some are asked for and JAX is not installed.

    Example:

    >>> check_processes(3, batch_size=32)
    Traceback (most recent call last):
    companion._common.checking.UsageError: batch_size=32 must be a multiple of processes=3: each ...
    """
    if processes is None:
        return
    check_whole(processes, "processes", least=1)
    if batch_size % processes:
        raise UsageError(
            f"batch_size={batch_size} must be a multiple of processes={processes}: each reads as "
            "many rows."
        )
    if processes > (cores := _cores()):
        raise UsageError(
            f"processes={processes} is more than the {cores} processor cores that this program may "
            "use: each process needs one of its own. Ask for fewer."
        )
    if find_spec("jax") is None:
        raise ModuleNotFoundError(
            f"processes={processes} needs JAX, which is not installed. Run: "
            f"{install_hint('applications')}; or leave it out, to train in this program.",
            name="jax",
        )


def _cores() -> int:
    """Returns how many processor cores this program may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def connect(coordinator: str | None, processes: int, number: int | None) -> tuple[int, int]:
    """Joins the other processes, if there are some.

    Args:
        coordinator: `HOST:PORT` of the first process, or `None` for a process that is alone.
        processes: Integer. How many there are.
        number: Integer. Which this is, from 0.

    Returns:
        Which process this is, and of how many.
    """
    import jax

    if coordinator:
        jax.distributed.initialize(
            coordinator,
            processes,
            number,
            initialization_timeout=_JOIN_SECONDS,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )
    return jax.process_index(), jax.process_count()


def announce(place: Path, number: int) -> None:
    """Tells whoever has started this process that it is there, and ends it with its starter.

    Args:
        place: Path of the folder that `run_processes` has named.
        number: Integer. Which process this is.
    """

    def end() -> None:
        sys.stdin.read()  # ends when the starter has ended, however that was
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()
    (place / str(number)).touch()


def run_processes(
    module: str,
    options: list[str],
    processes: int,
    log: Path,
    *,
    wait_seconds: float = WAIT_SECONDS,
    at_each_look: Callable[[], bool] = lambda: False,
) -> list[int | None]:
    """Starts a module as several processes, one core each, and waits for their end.

    When one fails, the others, which wait for it, are stopped.

    Args:
        module: String. The module's name; its command takes `--place`, `--process-id` and, of
            several processes, `--coordinator` and `--processes`.
        options: List of strings. What else all of them are given.
        processes: Integer. How many.
        log: Path of the file to which all append what they print.
        wait_seconds: Float. Until then all must have called `announce`. Defaults to two minutes.
        at_each_look: Function that is called again and again, and says whether to stop all.

    Returns:
        The exit code of each; `None` for one that was stopped.

    Raises:
        TimeoutError: If one has not come after `wait_seconds`; it says which.
    """
    begin, missing = time.monotonic(), set(range(processes))
    port = _free_port() if processes > 1 else None
    with _started(module, options, processes, port, log) as (place, running):
        while None in (codes := [process.poll() for process in running]):
            missing -= {number for number in missing if (place / str(number)).exists()}
            if any(codes) or at_each_look():
                break
            if missing and time.monotonic() - begin > wait_seconds:
                which = " and ".join(f"{number + 1}" for number in sorted(missing))
                raise TimeoutError(
                    f"Process {which} of {processes} did not come within wait_seconds="
                    f"{wait_seconds:g}, so all were stopped; what was kept before is still there. "
                    "Close other programs, wait longer, or ask for fewer processes."
                )
            time.sleep(0.02)
    if port and any(codes) and _is_taken(port):  # JAX may die of it without a word
        with log.open("a") as lines:
            lines.write(
                f"\nOSError: another program has taken port {port}, where they were to meet"
            )
    return codes


@contextlib.contextmanager
def _started(
    module: str, options: list[str], processes: int, port: int | None, log: Path
) -> Iterator[tuple[Path, list[subprocess.Popen[bytes]]]]:
    environment = os.environ | {
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false",
        "OMP_NUM_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as place, log.open("ab") as lines:
        command = [sys.executable, "-m", module, *options, "--place", place]
        if port:
            command += ["--coordinator", f"127.0.0.1:{port}", "--processes", str(processes)]
        running: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(processes):
                process = subprocess.Popen(
                    [*command, "--process-id", str(number)],
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=lines,
                    stderr=lines,
                )
                running.append(process)
            yield Path(place), running
        finally:
            for process in running:
                process.kill()
                process.communicate()  # waits, and closes the pipe


def _free_port() -> int:
    """A port of this machine that nobody listens to at this moment."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _is_taken(port: int) -> bool:
    """Whether a program listens to a port of this machine."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
