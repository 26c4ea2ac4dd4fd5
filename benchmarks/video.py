"""Trains what tells directions on the page on video; ``python -m benchmarks.video``.

Twenty sets of 1,500 clips, made by the page's own cells, show the digits zero to five at speeds of
one and three pixels. The network of 3-D convolutions and the three linear views all learn from
them. Settings are chosen on clips of sixes and sevens, and a grid goes on until its best value does
not lie at the edge. Clips of eights and nines, with a new speed and with the known ones, are asked
about once. Then the network, the rule and the linear view of differences are timed in turns, in
processor seconds of all threads together. All is kept in ``companion/data/measured/video.json``.
Stages that the file holds already are not done again; delete the file to start over. It takes about
ten minutes on two quiet cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import bracketed, read_evidence, run_stages
from tools.cells import run_cells

COMMAND = "python -m benchmarks.video"
FILE = Path(__file__).parents[1] / "companion/data/measured/video.json"
LEARN, EACH = range(100, 120), 1500  # seeds of the sets to learn from, and clips in each
HELD, HELD_EACH = (2, 52, 62, 72), 600
ASKED = {"new speed": (5, [2]), "known speeds": (6, [1, 3])}  # seed and speeds, 1,000 clips each
MIXED = [2, 0, 4, 1, 3]  # another order of the five frames
RATES, FILTERS = (0.001, 0.003, 0.01), (4, 8, 16)
PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)
START, SEEDS, BATCH_SIZE = 8, range(3), 32  # filters at which the rates are tried
ROUNDS, FIRST, TIMED = 30, 3, 200  # how often each is timed, and before it, and clips at a time

Found = dict[str, Any]


@cache
def page() -> Found:
    """Returns what the page's cells define."""
    import keras
    from scipy import ndimage

    from companion import data, evaluation

    needed = ("scenes", "clips", "views-code", "rule", "network")
    names = {"data": data, "evaluation": evaluation, "ndimage": ndimage, "keras": keras}
    return run_cells("05_applications/video_analysis", *needed, np=np, **names)


def part(seeds: Sequence[int], classes: Sequence[int], speeds: Sequence[int], each: int) -> Any:
    """Returns clips (n, 5, 40, 40) in single precision, and their directions."""
    sets = [page()["clips"](seed, classes, speeds, each) for seed in seeds]
    film = np.concatenate([film.astype(np.float32) for film, _ in sets])
    return film, np.concatenate([directions for _, directions in sets])


@cache
def held() -> Any:
    """Returns the clips to choose settings by."""
    return part(HELD, [6, 7], [1, 3], HELD_EACH)


def asked() -> dict[str, Any]:
    """Returns the clips that nothing learned from and nothing was chosen by, as they are asked."""
    films = {name: part([s], [8, 9], speeds, 1000)[0] for name, (s, speeds) in ASKED.items()}
    new = films["new speed"]
    return films | {"backwards": new[:, ::-1], "mixed": new[:, MIXED]}


def letters(directions: Any) -> str:
    """Returns one letter a direction."""
    return "".join(chr(ord("a") + int(direction)) for direction in directions)


def fitted(view: Callable[[Any], Any]) -> Found:
    """Returns the grid of a linear view and what the best of it says."""
    from sklearn.linear_model import RidgeClassifier

    sets = [part([seed], range(6), [1, 3], EACH) for seed in LEARN]
    shown = np.concatenate([view(film) for film, _ in sets])
    directions = np.concatenate([directions for _, directions in sets])
    kept, models = view(held()[0]), {}

    def score(penalty: float) -> float:
        models[penalty] = RidgeClassifier(alpha=penalty).fit(shown, directions)
        return float(models[penalty].score(kept, held()[1]))

    best, grid = bracketed(PENALTIES, 10, score)
    print(best, grid, flush=True)
    said = {way: letters(models[best].predict(view(film))) for way, film in asked().items()}
    return {"grid": grid, "penalty": best, "said": said}


def linear() -> Found:
    """Returns what the three linear views find."""
    return {name: fitted(view) for name, view in page()["VIEWS"].items()}


def learn(filters: int, rate: float, seed: int) -> Any:
    """Returns the network after one pass over the clips to learn from."""
    import keras

    keras.utils.set_random_seed(seed)
    network, steps = page()["build_watcher"](filters), len(LEARN) * -(-EACH // BATCH_SIZE)
    network.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for number in LEARN:
        film, directions = part([number], range(6), [1, 3], EACH)
        network.fit(film[..., None], directions, batch_size=BATCH_SIZE, verbose=0)
    return network


def says(network: Any, film: Any) -> Any:
    """Returns the directions that the network names."""
    return network.predict(film[..., None], batch_size=TIMED, verbose=0).argmax(axis=1)


def network() -> Found:
    """Returns the network's grids and what it says with the best setting, by seed."""

    def score(filters: int, rate: float) -> float:
        right = float(np.mean(says(learn(filters, rate, 0), held()[0]) == held()[1]))
        print("network", filters, rate, right, flush=True)
        return right

    rate, rates = bracketed(RATES, 3, lambda rate: score(START, rate))
    best, sizes = bracketed(
        FILTERS, 2, lambda n: dict(rates)[rate] if n == START else score(int(n), rate)
    )
    found: Found = {"rates": rates, "filters": [(int(n), right) for n, right in sizes]}
    found["setting"] = {"filters": (filters := int(best)), "learning_rate": rate}
    found |= {"weights": 0, "cpu_seconds": [], "said": []}
    for seed in SEEDS:
        begin = time.process_time()
        model = learn(filters, rate, seed)
        found["cpu_seconds"].append(round(time.process_time() - begin, 1))
        found["weights"] = model.count_params()
        found["said"].append({way: letters(says(model, film)) for way, film in asked().items()})
    return found


def speed() -> Found:
    """Returns processor seconds for so many clips; the methods take turns, round by round."""
    from sklearn.linear_model import RidgeClassifier

    film = part([ASKED["new speed"][0]], [8, 9], [2], TIMED)[0]
    watcher = page()["build_watcher"](int(read_evidence(FILE)["network"]["setting"]["filters"]))
    difference = page()["VIEWS"]["difference"]
    line = RidgeClassifier().fit(difference(film), np.arange(TIMED) % 8)
    ways: dict[str, Callable[[], Any]] = {
        "rule": lambda: page()["best_shift"](film),
        "difference": lambda: line.predict(difference(film)),
        "network": lambda: says(watcher, film),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(FIRST + ROUNDS):
        for name, way in ways.items():
            begin = time.process_time()
            way()
            if number >= FIRST:  # the first rounds prepare the network
                seconds[name].append(float(f"{time.process_time() - begin:.3g}"))
    return {"clips": TIMED, "frames": film.shape[1], "side": film.shape[2], "seconds": seconds}


STAGES: dict[str, Callable[[], Found]] = {"linear": linear, "network": network, "speed": speed}


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results, or does one stage and prints it."""
    run_stages(COMMAND, __doc__, FILE, STAGES, {}, arguments)


if __name__ == "__main__":
    main()
