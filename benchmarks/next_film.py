"""Measures what is too slow for the page on user behaviour: Transformers that guess the next film.

``python -m benchmarks.next_film`` runs the page's own cells. It trains Transformers of four sizes
on what was rated before 2006 and asks, after several numbers of epochs, on which place each next
film of the new people of 2006 to 2009 stands. The size and the number of epochs with the highest
gain learn again, from everything before 2010 and from three seeds, and the places for the new
people from 2010 on are kept in ``companion/data/measured/next_film.json``, one text a person. What
the file holds already is not done again; delete it to start over. It takes about twenty minutes on
two quiet cores.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import versions

COMMAND = "python -m benchmarks.next_film"
FILE = Path(__file__).parents[1] / "companion/data/measured/next_film.json"
PAGE = "05_applications/user_behaviour"
CELLS = ("sequences", "split", "places", "popularity", "windows", "transformer")
WIDTHS, LAYERS, EPOCHS, SEEDS = (32, 64), (1, 2), (8, 12, 16, 24), (0, 1, 2)

Found = dict[str, Any]


def page() -> Found:
    """Returns what the page's cells define."""
    from datetime import UTC, datetime
    from itertools import pairwise

    from scipy import special

    from companion._common.backend import keras
    from tools.cells import run_cells

    names = {"np": np, "keras": keras, "special": special, "pairwise": pairwise}
    return run_cells(PAGE, *CELLS, **names, UTC=UTC, datetime=datetime)


def grid(cells: Found, width: int, layers: int) -> list[Found]:
    """Returns the gain for the new people of the validation years by number of epochs."""
    journeys, runs = cells["begun"](cells["choose"]), []
    for epochs, score in cells["train"](2006, width, layers, EPOCHS):
        found = cells["places"](score, journeys)
        figures = {"gain": cells["gain"](found), "hit_rate": cells["hit_rate"](found)}
        means = {name: round(float(values.mean()), 5) for name, values in figures.items()}
        runs.append({"width": width, "layers": layers, "epochs": epochs} | means)
        print(runs[-1], flush=True)
    return runs


def final(cells: Found, best: Found, seed: int) -> list[str]:
    """Returns the place of each next film of each new person of the test years."""
    epochs = (best["epochs"],)
    _, score = next(cells["train"](2010, best["width"], best["layers"], epochs, seed))
    found = cells["places"](score, cells["begun"](cells["test"]))
    print("seed", seed, cells["gain"](found).mean(), flush=True)
    return [" ".join(map(str, person)) for person in found]


def kept(file: Path) -> Found:
    """Returns what the file holds."""
    if file.is_file():
        found: Found = json.loads(file.read_text("utf-8"))
        return found
    return {"command": COMMAND, "versions": versions(), "grid": [], "places": {}}


def keep(file: Path, found: Found) -> None:
    """Writes the file anew."""
    from companion._common.files import write_atomically

    write_atomically(file, (json.dumps(found, indent=1) + "\n").encode())


def measure(file: Path) -> None:
    """Does what the file does not hold, and keeps each part."""
    cells, found = page(), kept(file)
    done = {(run["width"], run["layers"]) for run in found["grid"]}
    for size in [(width, layers) for layers in LAYERS for width in WIDTHS]:
        if size not in done:
            found["grid"] += grid(cells, *size)
            keep(file, found)
    best = max(found["grid"], key=lambda run: run["gain"])
    for seed in SEEDS:
        if str(seed) not in found["places"]:
            found["places"][str(seed)] = final(cells, best, seed)
            keep(file, found)


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    measure(options.parse_args(arguments).file)


if __name__ == "__main__":
    main()
