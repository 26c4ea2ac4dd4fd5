"""Measures what is too slow for the page on pictures; ``python -m benchmarks.image_recognition``.

Digits: it tries the settings of four methods on 800 of the 4,000 training pictures, learns from all
of them with the chosen ones, with and without moved copies, and keeps what each says of the 1,000
test pictures, clean and corrupted. Tiles of photographs: it learns from 1 to 50 labelled tiles a
class, from scratch and on top of the packaged network. All is kept in
``companion/data/measured/image_recognition.json``. Stages that the file holds already are not done
again; delete the file to start over. It takes well over half an hour on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import bracketed, versions

COMMAND = "python -m benchmarks.image_recognition"
FILE = Path(__file__).parents[1] / "companion/data/measured/image_recognition.json"
FIT = 3200  # training pictures to try settings on
COPIES = {"k-NN": (2, 5, 10, 20), "SVM": (2, 5)}  # moved copies of each picture; more take long
COPIES_K, COPIES_C, COPIES_GAMMA = (1, 3, 5, 7, 9), (1.0, 3.0, 10.0), (0.02, 0.03, 0.05)
K_GRID = (1, 3, 5, 7)
C_GRID, GAMMA_GRID = (1.0, 3.0, 10.0), (0.01, 0.02, 0.03, 0.05)
BOOST_GRID = (0.05, 0.1, 0.2, 0.4)
RATE_GRID, PASSES = (0.0005, 0.0015, 0.005, 0.015), (16, 40)
SEEDS, BATCH_SIZE = range(3), 32
TURN, ZOOM, SHIFT = 12, 0.1, 2  # degrees, share, pixels: the most that a copy is moved by
STRENGTHS = {"noise": (0.1, 0.2, 0.3, 0.4, 0.5), "blur": (0.5, 1.0, 1.5, 2.0, 2.5)}
STRENGTHS["rotation"] = (10, 20, 30, 45, 60)
PHOTOS = ["astronaut", "brick", "camera", "cat", "china", "coffee", "flower", "grass", "gravel"]
PHOTOS += ["motorcycle", "retina", "rocket", "tissue"]
TILE, SIDE = 48, 96  # pixels of a tile, and of the enlarged tile that the packaged network reads
POOL, HELD, TESTS = 60, 10, 18  # tiles of each photograph
LABELS, DRAWS = (1, 2, 5, 10, 20, 50), 3
HEAD_GRID = (0.00001, 0.0001, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0)
SCRATCH_LABELS, SCRATCH_GRID, SCRATCH_STEPS = (1, 5, 20, 50), (0.0003, 0.001, 0.003, 0.01), 600
TUNED_LABELS, TUNED_GRID, TUNED_STEPS = (5, 50), (0.00003, 0.0001, 0.001, 0.01), 100
CUT = "block_14"  # what lies above goes on learning

Arrays = dict[str, Any]


def move(x: Any, turn: Any, zoom: Any, down: Any, right: Any) -> Any:
    """Turns (degrees), shrinks and shifts (pixels) each picture of x (n, height, width)."""
    n, h, w = x.shape
    i, j = np.arange(h)[:, None] - (h - 1) / 2, np.arange(w) - (w - 1) / 2
    angle, zoom, down, right = (
        np.reshape(v, (n, 1, 1)) for v in (np.radians(turn), zoom, down, right)
    )
    rows = (np.cos(angle) * i - np.sin(angle) * j) * zoom + (h - 1) / 2 - down
    columns = (np.sin(angle) * i + np.cos(angle) * j) * zoom + (w - 1) / 2 - right
    rows, columns = np.clip(rows, -1, h) + 1, np.clip(columns, -1, w) + 1
    top, left = rows.astype(int), columns.astype(int)
    padded, k = np.pad(x, ((0, 0), (1, 2), (1, 2))), np.arange(n)[:, None, None]
    moved = np.zeros((n, h, w))
    for a, b in ((0, 0), (0, 1), (1, 0), (1, 1)):
        near = (1 - abs(rows - top - a)) * (1 - abs(columns - left - b))
        moved = moved + near * padded[k, top + a, left + b]
    return moved.astype(np.float32)


def augment(x: Any, rng: Any) -> Any:
    """Moves each picture at random."""
    n = len(x)
    turn, zoom = rng.uniform(-TURN, TURN, n), rng.uniform(1 - ZOOM, 1 + ZOOM, n)
    return move(x, turn, zoom, *rng.uniform(-SHIFT, SHIFT, (2, n)))


def corrupt(x: Any, kind: str, strength: float) -> Any:
    """Adds noise, blurs or turns the pictures; every model sees the same ones."""
    from scipy.ndimage import gaussian_filter

    n = len(x)
    if kind == "noise":
        noise = np.random.default_rng(0).normal(0, strength, x.shape)
        return np.clip(x + noise, 0, 1).astype(np.float32)
    if kind == "blur":
        return gaussian_filter(x, (0, strength, strength))
    return move(
        x, np.where(np.arange(n) % 2, strength, -strength), np.ones(n), 0 * np.ones(n), np.zeros(n)
    )


def digits() -> Arrays:
    """Returns pictures and labels to fit, to choose by, to learn from and to test."""
    from companion import data

    found = data.load_digits()
    x, y = found.train.x, found.train.y
    parts = {"fit": (x[:FIT], y[:FIT]), "held": (x[FIT:], y[FIT:]), "all": (x, y)}
    return parts | {"test": (found.test.x, found.test.y)}


def with_copies(part: tuple[Any, Any], number: int) -> tuple[Any, Any]:
    """Returns the pictures and so many moved copies of each."""
    (x, y), rng = part, np.random.default_rng(0)
    return np.concatenate([x] + [augment(x, rng) for _ in range(number)]), np.tile(y, number + 1)


def letters(labels: Any) -> str:
    """Returns one letter a label."""
    return "".join(chr(ord("a") + int(label)) for label in labels)


def flat(x: Any) -> Any:
    """Returns the pictures as rows of pixels."""
    return x.reshape(len(x), -1)


def plain_models() -> dict[str, list[tuple[Any, Arrays]]]:
    """Returns the unfitted models by method, each with its setting."""
    from sklearn.ensemble import HistGradientBoostingClassifier as Boosting
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    boost = {"max_iter": 100, "max_bins": 32, "random_state": 0, "early_stopping": False}
    return {
        "k-NN": [(KNeighborsClassifier(k, weights="distance"), {"k": k}) for k in K_GRID],
        "SVM": [
            (SVC(C=c, gamma=g, cache_size=1000), {"C": c, "gamma": g})
            for c in C_GRID
            for g in GAMMA_GRID
        ],
        "boosting": [
            (Boosting(learning_rate=r, **boost), {"learning_rate": r}) for r in BOOST_GRID
        ],
    }


def plain(method: str) -> Arrays:
    """Returns the grid of a method and what the best setting says of the test pictures."""
    part = digits()
    runs: list[Arrays] = []
    models = plain_models()[method]
    for model, setting in models:
        model.fit(flat(part["fit"][0]), part["fit"][1])
        score = float(model.score(flat(part["held"][0]), part["held"][1]))
        runs.append({"setting": setting, "accuracy": score})
        print(method, runs[-1], flush=True)
    best = models[int(np.argmax([run["accuracy"] for run in runs]))][0]
    found: Arrays = {"grid": runs, "said": {}, "corrupted": {}}
    x, y = part["all"]
    begin = time.process_time()
    best.fit(flat(x), y)
    said = best.predict(flat(part["test"][0]))
    found["cpu_seconds"] = {"clean": round(time.process_time() - begin, 1)}
    found["said"]["clean"] = letters(said)
    if method == "SVM":
        found["corrupted"] = answers(lambda x: best.predict(flat(x)), part["test"][0])
    print(method, np.mean(said == part["test"][1]), flush=True)
    return found


def with_setting(method: str, **setting: Any) -> Any:
    """Returns the unfitted model of a method that learns from moved copies."""
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import SVC

    if method == "SVM":
        return SVC(C=setting["C"], gamma=setting["gamma"], cache_size=1000)
    return KNeighborsClassifier(setting["k"], weights="distance")


def moved_copies(method: str) -> Arrays:
    """Returns the grid of a method that learns from moved copies, and what its best says.

    The neighbours try every k with every number of copies. The support vectors try the width of
    the kernel, then the strength, with the fewest copies, and then more copies.
    """
    part, runs = digits(), list[Arrays]()

    def score(number: int, **setting: Any) -> float:
        x, y = with_copies(part["fit"], number)
        model = with_setting(method, **setting).fit(flat(x), y)
        right = float(model.score(flat(part["held"][0]), part["held"][1]))
        runs.append({"setting": setting | {"copies": number}, "accuracy": right})
        print(method, runs[-1], flush=True)
        return right

    first, *more = COPIES[method]
    if method == "SVM":
        gamma, _ = bracketed(COPIES_GAMMA, 2, lambda g: score(first, C=COPIES_C[1], gamma=g))
        strong = {COPIES_C[1]: max(run["accuracy"] for run in runs)}
        c, _ = bracketed(
            COPIES_C, 3, lambda c: strong[c] if c in strong else score(first, C=c, gamma=gamma)
        )
        for number in more:
            score(number, C=c, gamma=gamma)
    else:
        for number in COPIES[method]:
            for k in COPIES_K:
                score(number, k=k)
    best = max(runs, key=lambda run: run["accuracy"])["setting"]
    begin = time.process_time()
    x, y = with_copies(part["all"], best["copies"])
    said = with_setting(method, **best).fit(flat(x), y).predict(flat(part["test"][0]))
    seconds = round(time.process_time() - begin, 1)
    return {"grid": runs, "setting": best, "said": letters(said), "cpu_seconds": seconds}


def answers(predict: Callable[[Any], Any], x: Any) -> Arrays:
    """Returns what a model says of the corrupted pictures."""
    return {
        kind: {str(s): letters(predict(corrupt(x, kind, s))) for s in strengths}
        for kind, strengths in STRENGTHS.items()
    }


def build_digit_network() -> Any:
    """Returns the small convolutional network."""
    from companion._common.backend import keras

    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(24, 5, strides=2, padding="same", activation="relu"),
            layers.Conv2D(64, 5, strides=2, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dropout(0.3),
            layers.Dense(128, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(10),
        ]
    )


def learn(x: Any, y: Any, moved: bool, rate: float, passes: int, seed: int = 0) -> Any:
    """Returns the trained network; if moved, it never meets the same picture twice."""
    from companion._common.backend import keras

    keras.utils.set_random_seed(seed)
    rng, network = np.random.default_rng(seed), build_digit_network()
    steps = passes * -(-len(x) // BATCH_SIZE)
    network.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    for _ in range(passes):
        order = rng.permutation(len(x))
        seen = augment(x[order], rng) if moved else x[order]
        network.fit(seen, y[order], batch_size=BATCH_SIZE, shuffle=False, verbose=0)
    return network


def logits(network: Any, x: Any) -> Any:
    """Returns the network's outputs before the softmax."""
    return network.predict(x, batch_size=500, verbose=0).astype(float)


def said_by(network: Any, x: Any) -> Any:
    """Returns the digits that the network reads."""
    return logits(network, x).argmax(axis=1)


def per_mille(z: Any) -> list[list[int]]:
    """Returns probabilities in thousandths."""
    p = np.exp(z - z.max(axis=1, keepdims=True))
    return np.rint(1000 * p / p.sum(axis=1, keepdims=True)).astype(int).tolist()


def network(way: str) -> Arrays:
    """Returns the network's grid, first by rate and then by passes, and what it says."""
    part = digits()
    tried: list[tuple[float, Arrays, Any]] = []
    x, y = part["fit"]

    def attempt(rate: float, passes: int) -> None:
        z = logits(learn(x, y, way == "copies", rate, passes), part["held"][0])
        accuracy = float(np.mean(z.argmax(axis=1) == part["held"][1]))
        tried.append((accuracy, {"learning_rate": rate, "passes": passes}, per_mille(z)))
        print("network", way, tried[-1][:2], flush=True)

    for rate in RATE_GRID:
        attempt(rate, PASSES[0])
    attempt(max(tried, key=lambda one: one[0])[1]["learning_rate"], PASSES[1])
    _, setting, held = max(tried, key=lambda one: one[0])
    grid = [{"setting": one[1], "accuracy": one[0]} for one in tried]
    return {"grid": grid, "setting": setting, "held": held} | by_seed(way, setting)


def by_seed(way: str, setting: Arrays) -> Arrays:
    """Returns what the network says by seed, and more of it for the first one."""
    part = digits()
    x, y = part["all"]
    found: Arrays = {"said": [], "cpu_seconds": []}
    for seed in SEEDS:
        begin = time.process_time()
        model = learn(x, y, way == "copies", setting["learning_rate"], setting["passes"], seed)
        found["cpu_seconds"].append(round(time.process_time() - begin, 1))
        z = logits(model, part["test"][0])
        found["said"].append(letters(z.argmax(axis=1)))
        print("network", way, seed, np.mean(z.argmax(axis=1) == part["test"][1]), flush=True)
        if seed == 0:
            found["test"] = per_mille(z)
            found["corrupted"] = answers(partial(said_by, model), part["test"][0])
    return found


def tiles() -> Arrays:
    """Returns tiles to learn from (a photograph's left), to choose by (middle), to test (right)."""
    from companion import data

    rng = np.random.default_rng(0)
    found: Arrays = {"pool": [], "held": [], "test": []}
    for name in PHOTOS:
        grey = data.load_photo(name).grey
        grey = grey[::2, ::2] if len(grey) > 800 else grey
        height, width = grey.shape
        half, end = width // 2, width // 2 + max(TILE, 3 * width // 20)
        for part, first, last, n in (("pool", 0, half, POOL), ("held", half, end, HELD)):
            corners = zip(
                rng.integers(0, height - TILE + 1, n),
                rng.integers(first, last - TILE + 1, n),
                strict=True,
            )
            found[part] += [grey[i : i + TILE, j : j + TILE] for i, j in corners]
        grid = [
            grey[i : i + TILE, j : j + TILE]
            for i in range(0, height - TILE + 1, TILE)
            for j in range(end, width - TILE + 1, TILE)
        ]
        found["test"] += [grid[k] for k in rng.permutation(len(grid))[:TESTS]]
    return {part: standardised(np.array(x)) for part, x in found.items()}


def standardised(x: Any) -> Any:
    """Brings each tile to the same brightness and contrast: only the pattern can tell."""
    x = x - x.mean(axis=(1, 2), keepdims=True)
    return x / np.maximum(x.std(axis=(1, 2), keepdims=True), 0.02)


def labels_of(part: str) -> Any:
    """Returns the classes of the tiles."""
    return np.repeat(np.arange(len(PHOTOS)), {"pool": POOL, "held": HELD, "test": TESTS}[part])


def drawn(labels: int, draw: int) -> Any:
    """Returns which tiles of the pool are labelled."""
    rng = np.random.default_rng(draw)
    return np.concatenate([c * POOL + rng.permutation(POOL)[:labels] for c in range(len(PHOTOS))])


def enlarged(x: Any) -> Any:
    """Returns tiles (n, 48, 48) as pictures that the packaged network takes (n, 96, 96, 3)."""
    from companion._common.backend import keras

    x = np.clip(0.5 + 0.2 * x, 0, 1).astype(np.float32)
    large = keras.ops.image.resize(x[..., None], (SIDE, SIDE))
    return np.repeat(np.asarray(large), 3, axis=-1)


def texture_counts(x: Any) -> Any:
    """Returns how often each kind of local binary pattern occurs in each tile."""
    from skimage.feature import local_binary_pattern

    def count(tile: Any, radius: int) -> Any:
        codes = local_binary_pattern(np.rint(50 * tile).astype(int), 8, radius, "uniform")
        return np.bincount(codes.astype(int).ravel(), minlength=10) / codes.size

    return np.array([np.concatenate([count(tile, r) for r in (1, 2, 3)]) for tile in x])


def heads(read: Callable[[Any], Any]) -> list[Arrays]:
    """Returns what linear models on fixed features say of the test tiles."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x, runs = {part: read(tile) for part, tile in tiles().items()}, []
    for labels in LABELS:
        for draw in range(DRAWS):
            rows, tried = drawn(labels, draw), []
            for c in HEAD_GRID:
                model = make_pipeline(StandardScaler(), LogisticRegression(C=c, max_iter=500))
                model.fit(x["pool"][rows], labels_of("pool")[rows])
                tried.append((model.score(x["held"], labels_of("held")), c, model))
            score, c, model = max(tried, key=lambda one: one[0])
            said = letters(model.predict(x["test"]))
            runs.append({"labels": labels, "draw": draw, "C": c, "held": score, "said": said})
            print(labels, draw, c, score, right(said), flush=True)
    return runs


def right(said: str) -> float:
    """Returns the share of test tiles named rightly."""
    return float(np.mean([a == b for a, b in zip(said, letters(labels_of("test")), strict=True)]))


def features() -> list[Arrays]:
    """Returns what a linear head on the packaged network's features says."""
    from companion import models
    from companion._common.backend import keras

    whole = models.load_image_network(side=SIDE)
    body = keras.Model(whole.input, whole.get_layer("features").output)
    return heads(lambda x: body.predict(enlarged(x), batch_size=64, verbose=0))


def textures() -> list[Arrays]:
    """Returns what a linear model on counts of textures says."""
    return heads(texture_counts)


def train_steps(model: Any, x: Any, y: Any, rate: float, seed: int, steps: int) -> None:
    """Trains on batches drawn with replacement: as many steps for one label as for fifty."""
    from companion._common.backend import keras

    rng = np.random.default_rng(seed)
    rows = rng.integers(0, len(x), 32 * steps)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps)),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    model.fit(x[rows], y[rows], batch_size=32, shuffle=False, verbose=0)


def build_tile_network() -> Any:
    """Returns the network that learns from scratch; it flips and shifts what it learns from."""
    from companion._common.backend import keras

    layers = keras.layers
    stack = [keras.Input((TILE, TILE, 1)), layers.RandomFlip(seed=0)]
    stack += [layers.RandomTranslation(0.1, 0.1, seed=0)]
    for filters, kernel in ((16, 5), (32, 3), (64, 3)):
        stack += [layers.Conv2D(filters, kernel, strides=2, padding="same", use_bias=False)]
        stack += [layers.BatchNormalization(momentum=0.9), layers.ReLU()]
    return keras.Sequential([*stack, layers.GlobalAveragePooling2D(), layers.Dense(len(PHOTOS))])


def scratch() -> list[Arrays]:
    """Returns what a network from scratch says, its rate chosen for each number of labels."""
    part = {name: x[..., None] for name, x in tiles().items()}
    return trained(part, SCRATCH_LABELS, SCRATCH_GRID, SCRATCH_STEPS, build_tile_network)


def tuned() -> list[Arrays]:
    """Returns what the packaged network says whose last blocks go on learning."""
    from companion import models
    from companion._common.backend import keras

    whole = models.load_image_network(side=SIDE)
    below = keras.Model(whole.input, whole.get_layer(CUT).output)
    part = {n: below.predict(enlarged(x), batch_size=64, verbose=0) for n, x in tiles().items()}
    start = whole.get_weights()

    def build() -> Any:
        whole.set_weights(start)
        body = keras.Model(whole.get_layer(CUT).output, whole.get_layer("features").output)
        for layer in body.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.trainable = False
        head = keras.layers.Dense(len(PHOTOS), kernel_initializer="zeros")
        return keras.Sequential([keras.Input(part["pool"].shape[1:]), body, head])

    return trained(part, TUNED_LABELS, TUNED_GRID, TUNED_STEPS, build)


def trained(
    part: Arrays, sizes: Any, grid: Any, steps: int, build: Callable[[], Any]
) -> list[Arrays]:
    """Returns what networks say: the first draw chooses the rate for all draws of its size."""
    from companion._common.backend import keras

    runs = []
    for labels in sizes:
        chosen: tuple[float, float] | None = None
        for draw in range(DRAWS):
            rows, tried = drawn(labels, draw), []
            for rate in grid if chosen is None else [chosen[1]]:
                keras.utils.set_random_seed(draw)
                model = build()
                train_steps(model, part["pool"][rows], labels_of("pool")[rows], rate, draw, steps)
                said = {
                    n: model.predict(part[n], verbose=0).argmax(axis=1) for n in ("held", "test")
                }
                score = float(np.mean(said["held"] == labels_of("held")))
                tried.append((score, rate, letters(said["test"])))
            best = max(tried, key=lambda one: one[0])
            chosen = chosen or best[:2]
            run = {"labels": labels, "draw": draw, "learning_rate": best[1], "held": best[0]}
            runs.append(run | {"said": best[2], "tried": [one[:2] for one in tried]})
            print(labels, draw, best[:2], right(best[2]), flush=True)
    return runs


STAGES: dict[str, Callable[[], Any]] = {
    "k-NN": lambda: plain("k-NN"),
    "SVM": lambda: plain("SVM"),
    "boosting": lambda: plain("boosting"),
    "copies": lambda: {method: moved_copies(method) for method in COPIES},
    "network": lambda: {way: network(way) for way in ("clean", "copies")},
    "features": features,
    "textures": textures,
    "scratch": scratch,
    "tuned": tuned,
}


def measure(file: Path, stages: list[str]) -> None:
    """Does the stages that the file does not hold, and keeps each."""
    from companion._common.files import write_atomically

    for name in stages:
        kept: Arrays = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if name in kept:
            continue
        kept[name] = STAGES[name]()
        evidence: Arrays = {"command": COMMAND, "versions": versions()} | kept
        write_atomically(file, (json.dumps(evidence, ensure_ascii=False) + "\n").encode())


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--stage", choices=list(STAGES), action="append", help="do these alone")
    chosen = options.parse_args(arguments)
    measure(chosen.file, chosen.stage or list(STAGES))


if __name__ == "__main__":
    main()
