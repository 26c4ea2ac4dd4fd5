"""Train small byte-level GPTs of many sizes on much and little text, for the page on scaling laws.

``python -m benchmarks.scaling_sweep`` writes ``companion/data/measured/scaling_sweep.json`` after
each run and goes on where it stopped; delete the file to start over. It takes about half an hour
on two cores.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from companion._common.backend import keras
from companion._common.files import write_atomically
from companion.training import sweep

COMMAND = "python -m benchmarks.scaling_sweep"
FILE = Path(__file__).parents[1] / "companion/data/measured/scaling_sweep.json"
SIZES = [(1, 32), (2, 32), (2, 48), (2, 64), (3, 64), (3, 80), (4, 96)]  # layers, width
TRAINING_BYTES = [500_000, 1_000_000, 2_000_000]


def main(arguments: list[str] | None = None) -> None:
    """Trains what the file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    file = parser.parse_args(arguments).file
    settings = {
        "sequence_length": sweep.SEQUENCE_LENGTH,
        "batch_size": sweep.BATCH_SIZE,
        "evaluated_bytes": sweep.EVALUATED_SEQUENCES * sweep.SEQUENCE_LENGTH,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }
    evidence = json.loads(file.read_text("utf-8")) if file.is_file() else {"runs": []}
    if evidence["runs"] and evidence["settings"] != settings:
        sys.exit(f"{file.name} was made with other settings: delete it to start over.")
    names = ("layers", "width", "training_bytes")
    done = {tuple(run[name] for name in names) for run in evidence["runs"]}
    for layers, width in SIZES:
        for training_bytes in TRAINING_BYTES:
            if (layers, width, training_bytes) in done:
                continue
            run = sweep.train_on_bytes(layers, width, training_bytes)
            runs = [*evidence["runs"], run]
            evidence = {"command": COMMAND, "settings": settings, "runs": runs}
            write_atomically(file, (json.dumps(evidence, indent=1) + "\n").encode())
            print(run, flush=True)


if __name__ == "__main__":
    main()
