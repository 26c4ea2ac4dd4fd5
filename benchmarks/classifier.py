"""Times the same classifier trained in many ways, and how much sooner each is done.

``python -m benchmarks.classifier`` times one step for several sizes of batch, which tells whether
steps are busy with arithmetic or with starting small tasks. Then it trains each variant with three
seeds, each in a fresh process, one after the other, writes
``companion/data/measured/classifier_speed.json`` after each run, and prints the ratios. It goes on
where it stopped; delete the file to start over. It takes about twenty minutes on two slow cores.
An engine that is not installed is left out, and the file says what would install it.
``--threads 1`` uses one core and writes no file.

The learning rates of the variants named "fall", and their two epochs, were chosen by the accuracy
on held-back training reviews, over six other seeds; the test reviews had no part in it.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import fresh, missing, parser, use_cores, versions

COMMAND = "python -m benchmarks.classifier"
FILE = Path(__file__).parents[1] / "companion/data/measured/classifier_speed.json"
SEEDS = [0, 1, 2]
PROFILED_BATCHES = [8, 32, 128, 512]
SOURCE = {
    "engine": "tensorflow",
    "model": "lstm",
    "epochs": 10,
    "patience": None,
    "batch_size": 32,
    "learning_rate": 0.001,
    "decay": False,  # whether the rate falls evenly, to zero after the last of the epochs
    "steps_per_execution": 1,
    "xla": False,
    "mask_zero": False,
    "padding": "pre",
    "precision": "float32",
}
STOP = {**SOURCE, "patience": 1}
BATCH = {**STOP, "batch_size": 128, "learning_rate": 0.003}
FALL = {**STOP, "mask_zero": True, "learning_rate": 0.002, "decay": True, "epochs": 2}
LOOP = {**STOP, "learning_rate": 0.003, "decay": True, "epochs": 2, "like_lengths": False}
AVERAGE = {**STOP, "model": "average", "learning_rate": 0.003, "steps_per_execution": 25}
VARIANTS: dict[str, dict[str, Any]] = {
    "source": SOURCE,
    "stop": STOP,
    "stop, 25 steps": {**STOP, "steps_per_execution": 25},
    "stop, XLA": {**STOP, "steps_per_execution": 25, "xla": True},
    "stop, batch": BATCH,
    "stop, batch, 25 steps": {**BATCH, "steps_per_execution": 25},
    "stop, batch, XLA": {**BATCH, "steps_per_execution": 25, "xla": True},
    "stop, mask": {**STOP, "mask_zero": True},
    "stop, zeros behind": {**STOP, "padding": "post"},
    "stop, bfloat16": {**STOP, "precision": "mixed_bfloat16"},
    "fall": FALL,
    "fall, jax": {**FALL, "engine": "jax"},
    "fall, torch": {**LOOP, "engine": "torch"},
    "fall, torch, like lengths": {**LOOP, "engine": "torch", "like_lengths": True},
    "fall, numpy, like lengths": {**LOOP, "engine": "numpy", "like_lengths": True},
    "average": AVERAGE,
    "average, XLA": {**AVERAGE, "xla": True},
    "words": {"engine": "scikit-learn", "model": "TF-IDF and logistic regression"},
}
STAGES = [  # every seed of the first line comes before the second: a stopped run has the goals
    ["source", "stop", "stop, mask", "fall", "fall, numpy, like lengths", "average", "words"],
    ["fall, jax", "fall, torch", "fall, torch, like lengths", "average, XLA"],
    ["stop, batch", "stop, 25 steps", "stop, XLA", "stop, batch, 25 steps", "stop, batch, XLA"],
    ["stop, zeros behind", "stop, bfloat16"],
]
PUNCTUATION = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
Arrays = dict[str, Any]


def number(texts: list[str], vocabulary: dict[str, int] | None = None) -> Any:
    """Returns the word numbers of each text, and the vocabulary, as the source's tokeniser does."""
    blank = str.maketrans(PUNCTUATION, " " * len(PUNCTUATION))
    words = [text.lower().translate(blank).split() for text in texts]
    if vocabulary is None:
        often = Counter(word for text in words for word in text).most_common(999)
        vocabulary = {word: rank for rank, (word, _) in enumerate(often, 1)}
    return [[vocabulary[w] for w in text if w in vocabulary][-100:] for text in words], vocabulary


def pad(sequences: list[list[int]], side: str) -> tuple[Any, Any]:
    """Returns a table of shape (texts, 100), filled with zeros on one side, and the lengths."""
    lengths = np.array([len(s) for s in sequences])
    table = np.zeros((len(sequences), 100), np.int32)
    for row, ids in zip(table, sequences, strict=True):
        if ids:
            row[slice(-len(ids), None) if side == "pre" else slice(len(ids))] = ids
    return table, lengths


def split(count: int, patience: int | None, seed: int) -> tuple[Any, Any]:
    """Returns the rows to learn from and those to stop by: a fifth, if stopping is asked for."""
    rows = np.random.default_rng(seed).permutation(count)
    held_out = count // 5 if patience else 0
    return rows[held_out:], rows[:held_out]


def build(settings: dict[str, Any], examples: int = 4000) -> Any:
    """Returns the compiled Keras model of a variant."""
    import keras

    rate = settings["learning_rate"]
    if settings["decay"]:
        steps = settings["epochs"] * -(-examples // settings["batch_size"])
        rate = keras.optimizers.schedules.PolynomialDecay(rate, steps, end_learning_rate=0.0)

    layers = keras.layers
    keras.mixed_precision.set_dtype_policy(settings["precision"])
    xla = {"use_cudnn": False} if settings["xla"] else {}
    lstm = settings["model"] == "lstm"
    model = keras.Sequential(
        [
            layers.Input((100,), dtype="int32"),  # low precision would round the numbers of words
            layers.Embedding(1000, 64, mask_zero=settings["mask_zero"]),
            layers.LSTM(64, **xla) if lstm else layers.GlobalAveragePooling1D(),
            layers.Dense(1, activation="sigmoid", dtype="float32"),
        ]
    )
    model.compile(
        loss="binary_crossentropy",
        optimizer=keras.optimizers.Adam(rate),
        metrics=["accuracy"],
        steps_per_execution=settings["steps_per_execution"],
        **({"jit_compile": True} if settings["xla"] else {}),
    )
    return model


def with_keras(settings: dict[str, Any], data: Any, seed: int) -> Any:
    """Trains with Keras; return the clock's stops, the test's probabilities, and epochs."""
    import keras

    keras.utils.set_random_seed(seed)
    clock = [(time.perf_counter(), time.process_time())]
    sequences, vocabulary = number(data.train.texts)
    x, _ = pad(sequences, settings["padding"])
    train, held_out = split(len(x), settings["patience"], seed)
    y = np.asarray(data.train.labels)
    extra: dict[str, Any] = {}
    if settings["patience"]:
        stop = keras.callbacks.EarlyStopping(
            patience=settings["patience"], restore_best_weights=True
        )
        extra = {"validation_data": (x[held_out], y[held_out]), "callbacks": [stop]}
    model = build(settings, len(train))
    fit = model.fit(
        x[train],
        y[train],
        epochs=settings["epochs"],
        batch_size=settings["batch_size"],
        verbose=0,
        **extra,
    )
    clock.append((time.perf_counter(), time.process_time()))
    x_test, _ = pad(number(data.test.texts, vocabulary)[0], settings["padding"])
    epochs = len(fit.history["loss"])
    steps = epochs * -(-len(train) // settings["batch_size"])
    return clock, model.predict(x_test, batch_size=500, verbose=0)[:, 0], epochs, steps


def batches(lengths: Any, size: int, like: bool, rng: np.random.Generator) -> Iterator[Any]:
    """Yields rows, batch by batch in random order; if asked, texts of like length together."""
    order = np.lexsort((rng.random(len(lengths)), lengths if like else 0 * lengths))
    cuts = [order[i : i + size] for i in range(0, len(order), size)]
    for k in rng.permutation(len(cuts)):
        yield cuts[k]


def with_loop(settings: dict[str, Any], data: Any, seed: int) -> Any:
    """Trains the LSTM in NumPy or PyTorch, step by step; return what `with_keras` does."""
    network_module = importlib.import_module(f"benchmarks.lstm_{settings['engine']}")
    clock = [(time.perf_counter(), time.process_time())]
    rng = np.random.default_rng(seed)
    network = network_module.Network(rng, settings["learning_rate"])
    like = settings["like_lengths"]

    def cut(x: Any, lengths: Any) -> Any:
        longest = max(1, lengths.max()) if like else 100
        return (x[:, :longest] if network.padding == "post" else x[:, -longest:]), lengths

    def predict(x: Any, lengths: Any) -> Any:
        answer = np.empty(len(x), np.float32)
        for rows in batches(lengths, 128, like, rng):
            answer[rows] = network.predict(*cut(x[rows], lengths[rows]))
        return answer

    sequences, vocabulary = number(data.train.texts)
    x, lengths = pad(sequences, network.padding)
    y = np.asarray(data.train.labels, np.float32)
    train, held_out = split(len(x), settings["patience"], seed)
    best: list[Any] = []
    losses: list[float] = []
    steps, all_steps = 0, settings["epochs"] * -(-len(train) // settings["batch_size"])
    while len(losses) < settings["epochs"]:
        for chosen in batches(lengths[train], settings["batch_size"], like, rng):
            rows = train[chosen]
            if settings["decay"]:
                network.set_rate(settings["learning_rate"] * (1 - steps / all_steps))
            network.train(*cut(x[rows], lengths[rows]), y[rows])
            steps += 1
        p = predict(x[held_out], lengths[held_out])
        losses.append(-float(np.mean(np.log(np.where(y[held_out] > 0, p, 1 - p) + 1e-7))))
        if losses[-1] == min(losses):
            best = network.copy_weights()
        elif len(losses) - 1 - losses.index(min(losses)) >= settings["patience"]:
            break
    network.restore(best)
    clock.append((time.perf_counter(), time.process_time()))
    test = predict(*pad(number(data.test.texts, vocabulary)[0], network.padding))
    return clock, test, len(losses), steps


def with_sklearn(settings: dict[str, Any], data: Any, seed: int) -> Any:
    """Fits a weight for each word; return what `with_keras` does."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from companion.preprocessing import build_tfidf

    clock = [(time.perf_counter(), time.process_time())]
    solver = LogisticRegression(max_iter=1000, random_state=seed)
    model = make_pipeline(build_tfidf(1000), solver)
    model.fit(data.train.texts, data.train.labels)
    clock.append((time.perf_counter(), time.process_time()))
    return clock, model.predict_proba(data.test.texts)[:, 1], 0, 0


def run(name: str, seed: int) -> Arrays:
    """Trains one variant in this process and return its figures."""
    settings = VARIANTS[name]
    engine = settings["engine"]
    from sklearn.metrics import roc_auc_score

    import companion

    data = companion.data.load_food_reviews()
    engines = {"numpy": with_loop, "torch": with_loop, "scikit-learn": with_sklearn}
    clock, p, epochs, steps = engines.get(engine, with_keras)(settings, data, seed)
    seconds, cpu_seconds = (end - begin for begin, end in zip(*clock, strict=True))
    return {
        "variant": name,
        "seed": seed,
        "fit_seconds": round(seconds, 3),
        "fit_cpu_seconds": round(cpu_seconds, 3),
        "accuracy": float(np.mean((p > 0.5) == data.test.labels)),
        "said": "".join(str(int(one)) for one in p > 0.5),
        "auc": round(float(roc_auc_score(data.test.labels, p)), 4),
        "epochs": epochs,
        "steps": steps,
    }


def profile() -> Arrays:
    """Returns the milliseconds of fifteen training steps for each size of batch, in turns."""
    model, rng = build(SOURCE), np.random.default_rng(0)
    batches = {n: (rng.integers(0, 1000, (n, 100)), np.arange(n) % 2) for n in PROFILED_BATCHES}
    times: dict[str, list[float]] = {str(size): [] for size in batches}
    for batch in batches.values():
        model.train_on_batch(*batch)  # compiles
    for _ in range(15):
        for size, batch in batches.items():
            begin = time.perf_counter()
            model.train_on_batch(*batch)
            times[str(size)].append(round(1e3 * (time.perf_counter() - begin), 2))
    return {"step_milliseconds": times}


def as_table(evidence: Arrays) -> str:
    """Returns a line for each variant: median seconds, how many times sooner, mean accuracy."""
    lines = [f"{'variant':26}{'fit, s':>8}{'sooner':>9}{'accuracy':>10}"]
    seconds, accuracy = {}, {}
    for name in evidence["variants"]:
        runs = [figures for figures in evidence["runs"] if figures["variant"] == name]
        if runs:
            seconds[name] = float(np.median([figures["fit_seconds"] for figures in runs]))
            accuracy[name] = float(np.mean([figures["accuracy"] for figures in runs]))
            ratio = seconds["source"] / seconds[name]
            lines.append(f"{name:26}{seconds[name]:8.2f}{ratio:8.1f}x{accuracy[name]:10.3f}")
    missing = [f"{name}: not measured. {why}." for name, why in evidence["not_measured"].items()]
    return "\n".join([*lines, *missing])


def measure(file: Path | None, minutes: float) -> Arrays:
    """Trains what the file does not hold yet, and keeps it there after each run."""
    from companion._common.files import write_atomically

    begin = time.monotonic()
    evidence = json.loads(file.read_text("utf-8")) if file and file.is_file() else {}
    settings = {"command": COMMAND, "versions": versions(), "variants": VARIANTS}
    if not evidence:
        evidence = settings | {"profile": fresh("benchmarks.classifier", "tensorflow", "--profile")}
        evidence |= {"not_measured": {}, "runs": []}
    done = {(figures["variant"], figures["seed"]) for figures in evidence["runs"]}
    plan = [(name, seed) for stage in STAGES for seed in SEEDS for name in stage]
    for name, seed in plan:
        if (name, seed) in done or name in evidence["not_measured"]:
            continue
        if any(evidence[key] != value for key, value in settings.items()):
            sys.exit(f"{file} was made with other settings: delete it to start over.")
        if time.monotonic() - begin > 60 * minutes:
            sys.exit("Stopped by the clock: run it again to go on.")
        engine = VARIANTS[name]["engine"]
        if why := missing(engine):
            evidence["not_measured"][name] = why
        else:
            one = ["--one", name, "--seed", str(seed)]
            evidence["runs"].append(fresh("benchmarks.classifier", engine, *one))
        print(name, seed, evidence["not_measured"].get(name, "done"), flush=True)
        if file:
            write_atomically(file, (json.dumps(evidence, indent=1) + "\n").encode())
    return evidence


def main(arguments: list[str] | None = None) -> None:
    """Measures, and prints the table."""
    options = parser(__doc__, FILE, VARIANTS)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--profile", action="store_true", help="time single steps and print them")
    chosen = options.parse_args(arguments)
    if chosen.threads:
        use_cores(chosen.threads)
    if chosen.one or chosen.profile:
        print(json.dumps(profile() if chosen.profile else run(chosen.one, chosen.seed)))
    else:
        print(as_table(measure(None if chosen.threads else chosen.file, chosen.minutes)))


if __name__ == "__main__":
    main()
