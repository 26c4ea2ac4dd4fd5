"""Times the training of the course's small GPT beside PyTorch's, and beside the machine's peak.

``python -m benchmarks.gpt`` trains two sizes on random tokens with each engine, four times in
turns, each in a fresh process, on the same cores, and prints tokens a second, and the share that
this is of the fastest multiplication of large matrices measured in the same run. The clock starts
after the first call, which compiles; its seconds are kept apart. ``--threads 1`` uses one core and
writes no file. The results go to ``companion/data/measured/gpt_speed.json`` after each run; the
command goes on where it stopped, and takes about half an hour on two slow cores.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import cores, fresh, missing, parser, use_cores, versions
from companion.economics import flops_per_token

COMMAND = "python -m benchmarks.gpt"
FILE = Path(__file__).parents[1] / "companion/data/measured/gpt_speed.json"
VOCABULARY, SEQUENCE, BATCH, LAYERS, HEADS = 65, 128, 32, 4, 4
WIDTHS = {"0.8M": 128, "3.2M": 256}
STEPS = 10  # in one call
SECONDS = 5.0  # of the clock, for one variant and size
ROUNDS = 4
MATRIX = 2048
# XLA compiles what lies between the products of matrices; oneDNN, which knows bfloat16, does these.
BETWEEN = "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit --tf_xla_ops_to_cluster=FUSIBLE"
FASTEST = "keras, XLA between, bfloat16, erf"


def _keras(compiled: bool, precision: str, **other: Any) -> dict[str, Any]:
    return {"engine": "tensorflow", "compiled": compiled, "precision": precision, **other}


def _torch(compiled: bool, precision: str) -> dict[str, Any]:
    return {"engine": "torch", "compiled": compiled, "precision": precision}


VARIANTS: dict[str, dict[str, Any]] = {
    "keras": _keras(True, "float32"),
    "keras, not compiled": _keras(False, "float32"),
    "keras, bfloat16": _keras(True, "bfloat16"),
    "keras, not compiled, bfloat16": _keras(False, "bfloat16"),
    "keras, XLA between, bfloat16": _keras(False, "bfloat16", tf_xla_flags=BETWEEN),
    "torch": _torch(False, "float32"),
    "torch, bfloat16": _torch(False, "bfloat16"),
    # What is divided round by round stands together, as the machine's speed drifts.
    "torch, compiled": _torch(True, "float32"),
    FASTEST: _keras(False, "bfloat16", tf_xla_flags=BETWEEN, gelu="erf"),
    "torch, compiled, bfloat16": _torch(True, "bfloat16"),
}
Arrays = dict[str, Any]
Advance = Callable[[], Any]


def flops_of_training(parameters: int, width: int) -> float:
    """Returns the operations of one training step for a token.

    The table of positions is added, not multiplied, and does not count.
    """
    return flops_per_token(
        parameters - SEQUENCE * width,
        training=True,
        num_layers=LAYERS,
        attention_dim=width,
        sequence_length=SEQUENCE,
        causal=True,
    )


def with_keras(settings: Arrays, width: int) -> tuple[int, Advance]:
    """Returns the model's parameters, and a function that trains on."""
    os.environ["TF_XLA_FLAGS"] = settings.get("tf_xla_flags", "")
    import keras
    import tensorflow as tf

    from companion._common.backend import without_tuning
    from companion.models import build_gpt

    if settings["precision"] == "bfloat16":
        keras.mixed_precision.set_dtype_policy("mixed_bfloat16")
    gelu = gelu_by_erf if "gelu" in settings else "gelu"
    sizes = (VOCABULARY, SEQUENCE, width, LAYERS, HEADS)
    model = build_gpt(*sizes, positions="learned", activation=gelu)
    model.compile(
        keras.optimizers.AdamW(1e-3, weight_decay=0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=settings["compiled"],
        # TensorFlow 2.21 refuses several steps when XLA compiles parts of them ("nodes in a cycle")
        steps_per_execution=1 if "tf_xla_flags" in settings else STEPS,
    )
    data = tf.data.Dataset.from_tensor_slices(batch(STEPS * BATCH))
    rows = without_tuning(data.batch(BATCH, drop_remainder=True))
    return model.count_params(), lambda: model.fit(rows, shuffle=False, verbose=0)


def gelu_by_erf(x: Any) -> Any:
    """Returns Keras's gelu by PyTorch's formula; TensorFlow takes erfc, which XLA makes slower."""
    import keras

    return 0.5 * x * (1 + keras.ops.erf(x / 2**0.5))


def with_torch(settings: Arrays, width: int) -> tuple[int, Advance]:
    """Returns the model's parameters, and a function that trains on."""
    import torch

    from benchmarks.gpt_torch import GPT

    torch.set_num_threads(cores())
    model: Any = GPT(VOCABULARY, SEQUENCE, width, LAYERS, HEADS)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, weight_decay=0.1)
    x, y = (torch.tensor(array, dtype=torch.long) for array in batch(BATCH))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if settings["compiled"]:
        model = torch.compile(model)

    def advance() -> None:
        for _ in range(STEPS):
            optimizer.zero_grad(set_to_none=True)
            with torch.autocast("cpu", torch.bfloat16, settings["precision"] == "bfloat16"):
                logits = model(x)
            loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), y.flatten())
            loss.backward()
            optimizer.step()

    return parameters, advance


def batch(rows: int) -> tuple[Any, Any]:
    """Returns random tokens and the tokens that follow them, each of shape (rows, SEQUENCE)."""
    ids = np.random.default_rng(0).integers(0, VOCABULARY, (rows, SEQUENCE + 1)).astype("int32")
    return ids[:, :-1], ids[:, 1:]


def train(name: str, size: str) -> Arrays:
    """Trains one variant in this process and returns its tokens a second."""
    settings, width = VARIANTS[name], WIDTHS[size]
    build = with_torch if settings["engine"] == "torch" else with_keras
    parameters, advance = build(settings, width)
    begin = time.perf_counter()
    advance()
    gc.freeze()  # what exists now need not be looked through again
    first, calls, begin = time.perf_counter() - begin, 0, time.perf_counter()
    while time.perf_counter() - begin < SECONDS:
        advance()
        calls += 1
    rate = calls * STEPS * BATCH * SEQUENCE / (time.perf_counter() - begin)
    return {
        "variant": name,
        "size": size,
        "parameters": parameters,
        "first_seconds": round(first, 2),
        "tokens_per_second": round(rate, 1),
        "gflops": round(rate * flops_of_training(parameters, width) / 1e9, 2),
    }


def multiply(engine: str) -> Arrays:
    """Returns the fastest of many products of two large matrices, in 10^9 operations a second."""
    best = {}
    for precision in ("float32", "bfloat16"):
        if engine == "torch":
            import torch

            torch.set_num_threads(cores())
            table: Any = torch.ones(MATRIX, MATRIX, dtype=getattr(torch, precision))
        else:
            import tensorflow as tf

            table = tf.ones((MATRIX, MATRIX), precision)
        seconds: list[float] = []
        while sum(seconds) < SECONDS / 2:
            begin = time.perf_counter()
            float((table @ table)[0, 0])  # waits for the product
            seconds.append(time.perf_counter() - begin)
        best[precision] = round(2e-9 * MATRIX**3 / min(seconds), 1)
    return {"engine": engine, "peak_gflops": best}


def runs_of(evidence: Arrays, name: str, size: str) -> list[Arrays]:
    """Returns the stored runs of a variant and size, in the order of the rounds."""
    return [r for r in evidence["runs"] if (r["variant"], r["size"]) == (name, size)]


def as_table(evidence: Arrays) -> str:
    """Returns a line for each variant and size: the median of its runs, and its share of peak."""
    peak = {
        precision: max(run["peak_gflops"][precision] for run in evidence["peaks"])
        for precision in ("float32", "bfloat16")
    }
    lines = [f"fastest product of matrices, GFLOP/s: {peak}"]
    lines.append(f"{'variant':35}{'size':>6}{'tokens/s':>11}{'of peak':>9}{'of keras':>10}")
    for size in WIDTHS:
        rates: dict[str, float] = {}
        for name, settings in evidence["variants"].items():
            runs = runs_of(evidence, name, size)
            if runs:
                rates[name] = float(np.median([run["tokens_per_second"] for run in runs]))
                gflops = float(np.median([run["gflops"] for run in runs]))
                share = gflops / peak[settings["precision"]]
                ratio = rates[name] / rates["keras"]
                lines.append(f"{name:35}{size:>6}{rates[name]:11,.0f}{share:9.0%}{ratio:10.2f}")
    lines += round_by_round(evidence)
    measured = {run["variant"] for run in evidence["runs"]}
    for name, why in evidence["not_measured"].items():
        if name not in measured:
            lines.append(f"{name}: not measured. {why}.")
    return "\n".join(lines)


def round_by_round(evidence: Arrays) -> Iterator[str]:
    """Yields how the fastest way of Keras compares, within each round: a machine's speed drifts."""
    for other, size in itertools.product(("torch, compiled", "torch, compiled, bfloat16"), WIDTHS):
        pairs = zip(runs_of(evidence, FASTEST, size), runs_of(evidence, other, size), strict=False)
        rates = [[run["tokens_per_second"] for run in pair] for pair in pairs]
        if ratios := [f"{ours / theirs:.2f}" for ours, theirs in rates]:
            yield f"{FASTEST}, {size}: {', '.join(ratios)} times {other}"


def to_do(evidence: Arrays) -> Iterator[tuple[str, str, list[str]]]:
    """Yields what the evidence does not hold yet: its place, the engine, and the arguments."""
    for turn in range(ROUNDS):
        for engine in ("tensorflow", "torch"):
            peaks = [run for run in evidence["peaks"] if run["engine"] == engine]
            if len(peaks) <= turn and not missing(engine):
                yield "peaks", engine, ["--peak", engine]
        for size, (name, settings) in itertools.product(WIDTHS, VARIANTS.items()):
            runs = runs_of(evidence, name, size)
            if len(runs) <= turn and name not in evidence["not_measured"]:
                yield "runs", settings["engine"], ["--one", name, "--size", size]


def measure(file: Path | None, minutes: float) -> Arrays:
    """Measures what the file does not hold yet, and keeps it there after each run."""
    from companion._common.files import write_atomically

    evidence: Arrays = json.loads(file.read_text("utf-8")) if file and file.is_file() else {}
    settings: Arrays = {"command": COMMAND, "versions": versions(), "variants": VARIANTS}
    evidence = evidence or settings | {"not_measured": {}, "peaks": [], "runs": []}
    for name, variant in VARIANTS.items():
        if why := missing(variant["engine"]):
            evidence["not_measured"].setdefault(name, why)
    begin = time.monotonic()
    for where, engine, arguments in to_do(evidence):
        if any(evidence[key] != value for key, value in settings.items()):
            sys.exit(f"{file} was made with other settings: delete it to start over.")
        if time.monotonic() - begin > 60 * minutes:
            sys.exit("Stopped by the clock: run it again to go on.")
        figures = fresh("benchmarks.gpt", engine, *arguments)
        evidence[where].append(figures)
        print(figures, flush=True)
        if file:
            write_atomically(file, (json.dumps(evidence, indent=1) + "\n").encode())
    return evidence


def main(arguments: list[str] | None = None) -> None:
    """Measures, and prints the table."""
    options = parser(__doc__, FILE, VARIANTS)
    options.add_argument("--size", choices=list(WIDTHS), default=next(iter(WIDTHS)))
    options.add_argument("--peak", choices=["tensorflow", "torch"], help="multiply matrices here")
    chosen = options.parse_args(arguments)
    if chosen.threads:
        use_cores(chosen.threads)
    if chosen.one:
        print(json.dumps(train(chosen.one, chosen.size)))
    elif chosen.peak:
        print(json.dumps(multiply(chosen.peak)))
    else:
        print(as_table(measure(None if chosen.threads else chosen.file, chosen.minutes)))


if __name__ == "__main__":
    main()
