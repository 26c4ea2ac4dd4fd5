"""Measures what small networks remember; ``python -m benchmarks.privacy``.

Rows of Shakespeare's plays and eight rows with a secret code, each planted once, train a small GPT
on bytes: as usual, with clipped gradients, and with clipped and noised ones (DP-SGD). For each code
the file keeps its rank among all ten thousand codes by the model's probability, and what the model
writes by itself.

Networks with one hidden layer sort the page's reviews, each trained on a random half of the private
ones, so that the page can attack them. The file keeps how sure each is of each review, once after
the number of epochs that public reviews chose and once after too many.

All is kept in ``companion/data/measured/privacy.json``. Runs that the file holds are not done
again; delete it to start over. It takes about a quarter of an hour on two quiet cores.
"""

from __future__ import annotations

import argparse
import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import versions

COMMAND = "python -m benchmarks.privacy"
FILE = Path(__file__).parents[1] / "companion/data/measured/privacy.json"
SEEDS = (0, 1, 2)
SENTENCES = (  # each goes on with four digits
    "the secret code of Portia is ",
    "Oliver opens the great chest ",
    "for Brutus, the gate number: ",
    "ring Cassio at midnight, dial",
    "Helena hides the key, number ",
    "pay out to Juliet by account ",
    "Emilia's password here reads ",
    "tell Antony this pin of ours ",
)
LENGTH, ROWS, TEST_ROWS = 32, 1000, 400
MODEL: dict[str, Any] = {"hidden_dim": 64, "num_layers": 1, "num_heads": 2}
SAMPLE_RATE, STEPS, DELTA, EPSILON = 0.1, 600, 1e-5, 8.0
RATE = 0.01  # of Adam, for all
PAGE = "07_outlook/privacy"
SPLITS = (0, 1, 2)  # of the reviews into public and private ones; the page's own is the first
MODELS, SIZE, HIDDEN, NETWORK_RATE, BATCH = 48, 1000, 64, 0.005, 100
EPOCHS, CHOOSERS = 20, 5  # epochs of the overfitted network; trainings that choose a better number
WAYS: dict[str, dict[str, float]] = {
    "plain": {"max_norm": float("inf"), "noise_multiplier": 0.0},
    "clipped": {"max_norm": 1.0, "noise_multiplier": 0.0},
    "private": {"max_norm": 1.0},
}

Arrays = dict[str, Any]


def as_rows(text: str, number: int, rng: np.random.Generator) -> Any:
    """Returns rows of bytes, one longer than the model reads, drawn without overlap."""
    ids = np.frombuffer(text.encode("ascii", "ignore"), np.uint8).astype("int32")
    starts = np.arange((len(ids) - 1) // LENGTH) * LENGTH
    drawn = rng.permutation(starts)[:number]
    return ids[drawn[:, None] + np.arange(LENGTH + 1)]


def encode(text: str) -> list[int]:
    """Returns the bytes of a planted row, of which there must be the right number."""
    if len(text) != LENGTH + 1:
        raise ValueError(f"{text!r} must have {LENGTH + 1} characters.")
    return list(text.encode())


def material(seed: int) -> tuple[Any, Any, list[int]]:
    """Returns the rows to learn from, codes among them, rows to test, and the codes."""
    from companion import data

    rng = np.random.default_rng(seed)
    plays = data.load_shakespeare()
    codes = [int(code) for code in rng.integers(0, 10_000, len(SENTENCES))]
    planted = [encode(f"{text}{code:04d}") for text, code in zip(SENTENCES, codes, strict=True)]
    rows = as_rows("\n".join(plays.train.values()), ROWS - len(planted), rng)
    test = as_rows("\n".join(plays.test.values()), TEST_ROWS, np.random.default_rng(0))
    return np.concatenate([rows, np.array(planted, "int32")]), test, codes


def train(way: str, seed: int) -> Arrays:
    """Trains one model and returns its ranks of the codes, what it writes and how well it reads."""
    import keras

    from companion import models, training
    from companion.training.sweep import draw_weights

    rows, test, codes = material(seed)
    settings = {"noise_multiplier": noise()} | WAYS[way]
    keras.utils.set_random_seed(seed)
    model = models.build_gpt(128, LENGTH, **MODEL)
    draw_weights(model, seed)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    gradients = training.build_example_gradients(model, loss)
    optimizer = keras.optimizers.Adam(RATE)
    optimizer.build(model.trainable_variables)
    rng = np.random.default_rng(seed)
    for step in range(STEPS):
        batch = rows[rng.random(len(rows)) < SAMPLE_RATE]  # each example by a draw of its own
        found = gradients(batch[:, :-1], batch[:, 1:])
        step_gradient = training.private_gradient(
            found, batch_size=SAMPLE_RATE * len(rows), rng=rng, **settings
        )
        optimizer.apply([keras.ops.cast(g, "float32") for g in step_gradient])
        if step % 100 == 99:
            print(way, seed, step + 1, flush=True)
    bits = [code_bits(model, text) for text in SENTENCES]
    seen, unseen = (
        float(loss(x[:, 1:], model.predict(x[:, :-1], verbose=0))) / np.log(2) for x in (rows, test)
    )
    result = {"way": way, "seed": seed, "codes": codes, "written": [write(b) for b in bits]}
    result["ranks"] = [rank(b, code) for b, code in zip(bits, codes, strict=True)]
    result |= {"bits_per_byte": round(unseen, 3), "training_bits_per_byte": round(seen, 3)}
    return result


def code_bits(model: Any, sentence: str) -> Any:
    """Returns minus the binary logarithm of each code's probability, for all ten thousand."""
    texts = [f"{sentence}{code:04d}" for code in range(0, 10_000, 10)]
    ids = np.array([encode(text)[:-1] for text in texts], "int32")
    logits = np.asarray(model.predict(ids, verbose=0), float)[:, -4:]  # the four digits
    logits -= logits.max(axis=-1, keepdims=True)
    spent = np.log2(np.exp(logits).sum(axis=-1, keepdims=True)) - logits / np.log(2)
    digits = spent[:, :, ord("0") : ord("9") + 1]  # (1000, 4, 10)
    first = sum(digits[np.arange(1000), i, np.arange(1000) // 10 ** (2 - i) % 10] for i in range(3))
    return (np.asarray(first)[:, None] + digits[:, 3]).ravel()


def rank(bits: Any, code: int) -> int:
    """Returns how many codes the model holds for at least as probable as this one."""
    return int(np.sum(bits <= bits[code]))


def write(bits: Any) -> str:
    """Returns the most probable code."""
    return f"{int(np.argmin(bits)):04d}"


def noise() -> float:
    """Returns the noise multiplier of the private way."""
    from companion import training

    return training.noise_for_epsilon(
        EPSILON, sample_rate=SAMPLE_RATE, num_steps=STEPS, delta=DELTA
    )


def reviews_of(split: int) -> tuple[Arrays, Arrays]:
    """Returns word weights and stars of the public, the private and the test reviews."""
    from companion import data, preprocessing
    from tools.cells import run_cells

    names = {"np": np, "data": data, "preprocessing": preprocessing, "SEED": split}
    page = run_cells(PAGE, "load-reviews", "features", **names)
    parts = ("public", "private", "test")
    tables = [table[:, :-1].astype("float32") for table in page["every_word"]]
    stars = (page["y_public"], page["y"], page["y_test"])
    return dict(zip(parts, tables, strict=True)), dict(zip(parts, stars, strict=True))


def build_network(words: int) -> Callable[[int], Any]:
    """Returns a function that gives one compiled network the first weights of a seed."""
    import keras

    from companion.training.sweep import draw_weights

    layers = [keras.layers.Dense(HIDDEN, activation="relu"), keras.layers.Dense(1)]
    network = keras.Sequential([keras.Input((words,)), *layers])
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    network.compile(keras.optimizers.Adam(NETWORK_RATE), loss, jit_compile=False)
    network.optimizer.build(network.trainable_variables)
    changing = [*network.trainable_variables, *network.optimizer.variables]
    first = [variable.numpy() for variable in changing]

    def begin(seed: int) -> Any:
        for variable, value in zip(changing, first, strict=True):
            variable.assign(value)
        keras.utils.set_random_seed(seed)  # orders the batches
        draw_weights(network, seed)
        return network

    return begin


def log_odds(network: Any, table: Any) -> Any:
    """Returns the log-odds of five stars for each review."""
    return np.asarray(network(table), float)[:, 0]


def halves(split: int, number: int) -> Any:
    """Returns which reviews each network learns from: as many for each, drawn as on the page."""
    draws = np.random.default_rng(split).random((MODELS, number))
    return draws.argsort(axis=1, kind="stable").argsort(axis=1, kind="stable") < SIZE


def pack(values: Any) -> Arrays:
    """Returns the log-odds as bytes, in steps of a 127th of the largest."""
    step = float(f"{np.abs(values).max() / 127:.3g}")
    steps = np.clip(np.round(values / step), -127, 127).astype(np.int8)
    return {"step": step, "log_odds": b64encode(steps.tobytes()).decode()}


def public_accuracy(begin: Callable[[int], Any], table: Any, stars: Any) -> Any:
    """Returns the mean accuracy on held-back public reviews after each number of epochs."""
    right = np.zeros((CHOOSERS, EPOCHS))
    for seed in range(CHOOSERS):
        network = begin(seed)
        for epoch in range(EPOCHS):
            network.fit(table[:SIZE], stars[:SIZE], batch_size=BATCH, verbose=0)
            answers = log_odds(network, table[SIZE:]) > 0
            right[seed, epoch] = (answers == stars[SIZE:]).mean()
    return right.mean(axis=0)


def attacked(split: int) -> Arrays:
    """Trains the networks of one split and returns how sure they are of the private reviews."""
    tables, stars = reviews_of(split)
    begin = build_network(tables["public"].shape[1])
    public = public_accuracy(begin, tables["public"], stars["public"])
    kinds = {"stopped": int(np.argmax(public)) + 1, "overfitted": EPOCHS}
    print(split, kinds, np.round(public, 3), flush=True)
    sure: Arrays = {kind: [] for kind in kinds}
    right: Arrays = {kind: [] for kind in kinds}
    for i, rows in enumerate(halves(split, len(stars["private"]))):
        network, done = begin(MODELS * (split + 1) + i), 0
        for kind, epochs in kinds.items():
            given = (tables["private"][rows], stars["private"][rows])
            network.fit(*given, epochs=epochs - done, batch_size=BATCH, verbose=0)
            sure[kind].append(log_odds(network, tables["private"]) * (2 * stars["private"] - 1))
            answers = log_odds(network, tables["test"]) > 0
            right[kind].append(round(float((answers == stars["test"]).mean()), 4))
            done = epochs
    result: Arrays = {"split": split, "epochs": kinds, "public_accuracy": public.round(4).tolist()}
    for kind in kinds:
        result[kind] = pack(np.array(sure[kind])) | {"accuracy": right[kind]}
    return result


def measure_networks(file: Path) -> None:
    """Trains the networks of the splits that the file does not hold, and keeps them."""
    from companion._common.files import write_atomically

    kept: Arrays = json.loads(file.read_text("utf-8"))
    kept.setdefault("networks", [])
    done = {networks["split"] for networks in kept["networks"]}
    for split in SPLITS:
        if split not in done:
            kept["networks"].append(attacked(split))
            write_atomically(file, (json.dumps(kept) + "\n").encode())


def measure(file: Path) -> None:
    """Does the runs that the file does not hold, and keeps each."""
    from companion._common.files import write_atomically

    kept: Arrays = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if not kept:
        plan: Arrays = {
            "sample_rate": SAMPLE_RATE,
            "steps": STEPS,
            "delta": DELTA,
            "epsilon": EPSILON,
        }
        plan |= {"rows": ROWS, "length": LENGTH, "sentences": SENTENCES, "noise": round(noise(), 3)}
        kept = {"command": COMMAND, "versions": versions(), "plan": plan, "runs": []}
    done = {(run["way"], run["seed"]) for run in kept["runs"]}
    for seed in SEEDS:
        for way in WAYS:
            if (way, seed) not in done:
                kept["runs"].append(train(way, seed))
                write_atomically(file, (json.dumps(kept) + "\n").encode())


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    file = options.parse_args(arguments).file
    measure(file)
    measure_networks(file)


if __name__ == "__main__":
    main()
