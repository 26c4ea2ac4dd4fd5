"""Pre-train a small GPT on texts without labels, then adapt it with few labels in several ways.

``python -m benchmarks.fine_tuning`` writes ``companion/data/measured/fine_tuning.json`` after each
run and goes on where it stopped; delete the file and the working folder to start over. It takes
about twenty minutes on two slow cores.

Every method reads the first words of a review, gets the same labelled reviews and is judged on the
same test reviews. Pre-training reads reviews; before one method it reads as much prose besides,
Shakespeare's plays, in twice as many steps. The learning rates are chosen on training reviews that
no run learns from, never on the test reviews. A run's answers are kept as bits, so that two methods
can be compared review by review.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import companion
from companion._common.backend import keras
from companion._common.files import write_atomically

FILE = Path(__file__).parents[1] / "companion/data/measured/fine_tuning.json"
FOLDER = Path(tempfile.gettempdir()) / "companion_fine_tuning"
COMMAND = "python -m benchmarks.fine_tuning"
SIZES: dict[str, Any] = {
    "vocabulary_size": 1000,
    "sequence_length": 64,
    "hidden_dim": 64,
    "num_layers": 2,
}
WORDS, RANK, BATCH_SIZE, STEPS_BEFORE = 30, 4, 16, 1200
STEPS = {20: 40, 100: 80, 500: 160, 2000: 250}  # by number of labels
SEEDS = range(5)
RATES = {
    "scratch": (1e-3, 3e-3, 1e-2),
    "full": (3e-4, 1e-3, 3e-3, 1e-2),
    "lora": (3e-3, 1e-2, 3e-2, 1e-1),
}
RATES["prose"] = RATES["full"]  # fully fine-tuned too, after reviews and prose
METHODS = ("tfidf", "minilm", "probe", "scratch", "full", "lora", "prose")
CHOSEN_WITH, CHOICE_SEED = 500, 99
FORGETTING_TEXTS = 200
PROSE_HELD_OUT = 50_000  # characters


@lru_cache
def data() -> dict[str, Any]:
    """Texts (whole and cut) and labels: to learn from, to choose by, and to be tested on."""
    reviews = companion.data.load_food_reviews()
    seen = set(reviews.test.texts)
    rows = []
    for i, text in enumerate(reviews.train.texts):
        if text not in seen:  # a text that repeats itself, or stands in the test set, is left out
            seen.add(text)
            rows.append(i)
    order = np.random.default_rng(0).permutation(rows)
    parts = {"learn": order[:3000], "choose": order[3000:]}
    found: dict[str, Any] = {
        name: ([reviews.train.texts[i] for i in part], reviews.train.labels[part])
        for name, part in parts.items()
    }
    found["test"] = (list(reviews.test.texts), reviews.test.labels)
    return {
        name: {"whole": texts, "cut": [" ".join(t.split()[:WORDS]) for t in texts], "y": labels}
        for name, (texts, labels) in found.items()
    }


def unlabelled() -> list[str]:
    """The reviews to pre-train on: all but the test's."""
    return data()["learn"]["whole"] + data()["choose"]["whole"]


@lru_cache
def prose() -> tuple[str, str]:
    """As many characters of plays as the reviews to pre-train on have, and others held out."""
    plays, size = companion.data.load_shakespeare(), sum(map(len, unlabelled()))
    return "\n".join(plays.train.values())[:size], "\n".join(plays.test.values())[:PROSE_HELD_OUT]


def pretrain(
    folder: Path, minutes: float | None, with_prose: bool = False
) -> companion.tasks.LanguageModel:
    """A language model of the reviews, or of them and prose; a saved one is read again."""
    if (folder / "model/config.json").is_file():
        return companion.tasks.LanguageModel.load(folder / "model")
    steps = STEPS_BEFORE * (2 if with_prose else 1)
    language = companion.tasks.LanguageModel(**SIZES, num_heads=4, seed=0)
    language.fit(
        unlabelled() + [prose()[0]] * with_prose,
        steps=steps,
        batch_size=BATCH_SIZE,
        checkpoint_dir=folder / "checkpoints",
        minutes=minutes,
        progress=False,
    )
    print("steps of pre-training:", language.steps, flush=True)
    if language.steps < steps:
        sys.exit("Pre-training is not finished: the same command goes on.")
    language.save(folder / "model")
    return language


def to_rows(tokenizer: companion.preprocessing.BytePairTokenizer, texts: list[str]) -> np.ndarray:
    """Token ids of texts, (texts, length), filled up at the end with the mark of a text's end."""
    length = SIZES["sequence_length"]
    ids = np.full((len(texts), length), tokenizer.end_id, "int32")
    for row, text in zip(ids, texts, strict=True):
        found = tokenizer.encode(text)[: length - 1]
        row[1 : 1 + len(found)] = found
    return ids


def trained_model(language: companion.tasks.LanguageModel) -> Any:
    """The network of a language model that was trained."""
    assert language.model is not None
    return language.model


class Learner:
    """A classifier on a GPT, in one of three ways: from scratch, fully fine-tuned, or by LoRA."""

    def __init__(self, language: companion.tasks.LanguageModel, method: str) -> None:
        self.method, self.tokenizer = method, language.tokenizer
        self.gpt = companion.models.build_gpt(
            language.tokenizer.vocabulary_size,
            **{k: v for k, v in SIZES.items() if k != "vocabulary_size"},
            num_heads=4,
        )
        first = [np.asarray(weight) for weight in self.gpt.weights]
        self.spread = [weight.std() if np.ptp(weight) > 0 else 0.0 for weight in first]
        self.start = first if method == "scratch" else trained_model(language).get_weights()
        self.gpt.set_weights(self.start)
        self.base = list(self.gpt.weights)
        self.adapted = enable_lora(self.gpt) if method == "lora" else []
        ids, states = self.gpt.input, self.gpt.get_layer("final_norm").output
        is_text = keras.ops.cast(keras.ops.not_equal(ids, self.tokenizer.end_id), "float32")
        total = keras.ops.sum(states * is_text[..., None], axis=1)
        mean = total / keras.ops.maximum(keras.ops.sum(is_text, axis=1, keepdims=True), 1.0)
        self.features = keras.Model(ids, mean)
        self.head = keras.layers.Dense(1, kernel_initializer="zeros", name="head")
        self.model = keras.Model(ids, self.head(mean))
        self.model.compile(
            keras.optimizers.Adam(1e-3, clipnorm=1.0),
            keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=keras.backend.backend() != "torch",
        )
        self.model.optimizer.build(self.model.trainable_variables)

    def reset(self, seed: int) -> None:
        """Puts every weight back to where this method starts; random ones are drawn anew."""
        rng = np.random.default_rng(seed)
        for weight, value, spread in zip(self.base, self.start, self.spread, strict=True):
            random = self.method == "scratch" and spread
            weight.assign(rng.normal(0, spread, value.shape) if random else value)
        for layer in self.adapted:
            a, b = layer.lora_kernel_a, layer.lora_kernel_b
            limit = math.sqrt(6 / a.shape[0])
            a.assign(rng.uniform(-limit, limit, a.shape))
            b.assign(np.zeros(b.shape))
        for weight in [*self.head.weights, *self.model.optimizer.variables]:
            weight.assign(np.zeros(weight.shape, weight.dtype))

    def learn(self, x: np.ndarray, y: np.ndarray, steps: int, rate: float, seed: int) -> None:
        """Trains from the start, with a learning rate that falls to zero along a line."""
        self.reset(seed)
        rng = np.random.default_rng(seed)
        rounds = math.ceil(steps * BATCH_SIZE / len(x))
        order = np.concatenate([rng.permutation(len(x)) for _ in range(rounds)])
        for step in range(steps):
            rows = order[step * BATCH_SIZE :][:BATCH_SIZE]
            self.model.optimizer.learning_rate = rate * (1 - step / steps)
            self.model.train_on_batch(x[rows], y[rows, None].astype("float32"))

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Above 0 where the label 1 is the likelier one."""
        return self.model.predict(x, batch_size=250, verbose=0)[:, 0]

    def trained_parameters(self) -> int:
        """Counts the numbers that change."""
        return sum(math.prod(weight.shape) for weight in self.model.trainable_variables)


def enable_lora(gpt: keras.Model, rank: int = RANK) -> list[Any]:
    """Freezes a GPT and gives each dense layer of its blocks two thin matrices that learn."""
    dense = []
    for layer in gpt.layers:
        if layer.name.startswith("block_"):
            layer.attention_norm.trainable = layer.feedforward_norm.trainable = False
            dense += [layer.query_key_value, layer.attention_output]
            dense += [layer.feedforward_up, layer.feedforward_down]
        else:
            layer.trainable = False
    for layer in dense:
        layer.enable_lora(rank)
    return dense


def fixed_features(name: str, learner: Learner, folder: Path, latest: float) -> dict[str, Any]:
    """What a method that learns only a linear model sees of each text."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = {part: data()[part]["cut"] for part in ("learn", "test")}
    if name == "tfidf":
        words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2)).fit(texts["learn"])
        return {part: words.transform(texts[part]) for part in texts}
    if name == "probe":
        rows = {part: to_rows(learner.tokenizer, texts[part]) for part in texts}
        return {p: learner.features.predict(rows[p], batch_size=250, verbose=0) for p in rows}
    return {part: minilm(part, texts[part], folder, latest) for part in texts}


def leave_after(latest: float) -> None:
    """Stops where the command was asked to; the same command goes on from there."""
    if time.monotonic() > latest:
        sys.exit("Out of time: the same command goes on.")


def minilm(part: str, texts: list[str], folder: Path, latest: float) -> np.ndarray:
    """Vectors of the packaged network, five hundred texts at a time, kept in the working folder."""
    found = []
    for start in range(0, len(texts), 500):
        file = folder / f"minilm_{part}_{start}.npy"
        if not file.is_file():
            np.save(file, companion.models.embed_texts(texts[start : start + 500], max_tokens=48))
            print(file.name, flush=True)
            leave_after(latest)
        found.append(np.load(file))
    return np.concatenate(found)


def linear(x: Any, rows: np.ndarray, test: Any) -> np.ndarray:
    """Logistic regression whose penalty is chosen by cross-validation inside its own labels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    penalties = {"C": np.logspace(-2, 3, 6)}
    search = GridSearchCV(LogisticRegression(max_iter=2000), penalties, cv=4)
    return search.fit(x[rows], data()["learn"]["y"][rows]).decision_function(test)


def draw(num_labels: int, seed: int) -> np.ndarray:
    """The labelled reviews of a run, the same for every method."""
    return np.random.default_rng(seed).permutation(len(data()["learn"]["y"]))[:num_labels]


def choose_rates(learners: dict[str, Learner], rows_of: dict[str, Any], known: Any) -> Any:
    """Accuracy of each method's learning rates on the reviews kept for this choice."""
    y, rows = data()["learn"]["y"], draw(CHOSEN_WITH, CHOICE_SEED)
    for method, rates in RATES.items():
        for rate in rates:
            if any(c["method"] == method and c["rate"] == rate for c in known):
                continue
            x = rows_of[method]
            learners[method].learn(x["learn"][rows], y[rows], STEPS[CHOSEN_WITH], rate, CHOICE_SEED)
            right = (learners[method].scores(x["choose"]) > 0) == (data()["choose"]["y"] == 1)
            yield {"method": method, "rate": rate, "accuracy": round(float(right.mean()), 4)}


def settings() -> dict[str, Any]:
    """What the numbers depend on."""
    return {
        **SIZES,
        "words": WORDS,
        "rank": RANK,
        "batch_size": BATCH_SIZE,
        "pretraining_steps": STEPS_BEFORE,
        "steps": {str(labels): steps for labels, steps in STEPS.items()},
        "forgetting_texts": FORGETTING_TEXTS,
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
    }


def measure(
    evidence: dict[str, Any], keep: Any, folder: Path, minutes: float | None, latest: float
) -> None:
    """Adds to the evidence what it lacks, and keeps it after each step."""
    from sklearn.metrics import roc_auc_score

    language, of_both = pretrain(folder, minutes), pretrain(folder / "prose", minutes, True)
    held_out, play = data()["test"]["whole"][:FORGETTING_TEXTS], [prose()[1]]
    learners = {m: Learner(of_both if m == "prose" else language, m) for m in RATES}
    rows_of = {
        m: {p: to_rows(learner.tokenizer, data()[p]["cut"]) for p in ("learn", "choose", "test")}
        for m, learner in learners.items()
    }
    if "bits_before" not in evidence:
        evidence["bits_before"] = round(language.bits_per_byte(held_out), 5)
        evidence["parameters"] = trained_model(language).count_params()
        evidence["trained"] = {m: learners[m].trained_parameters() for m in RATES}
        evidence["labels"] = "".join(str(int(label)) for label in data()["test"]["y"])
        keep()
    if "prose" not in evidence:
        evidence["prose"] = {
            "characters": len(prose()[0]),
            "pretraining_steps": of_both.steps,
            "bits_before": round(of_both.bits_per_byte(held_out), 5),
            "play_bits_before": round(of_both.bits_per_byte(play), 5),
            "play_bits_of_reviews_alone": round(language.bits_per_byte(play), 5),
        }
        keep()
    for choice in choose_rates(learners, rows_of, list(evidence["choices"])):
        evidence["choices"].append(choice)
        print(choice, flush=True)
        keep()
    best = {
        m: max((c for c in evidence["choices"] if c["method"] == m), key=lambda c: c["accuracy"])
        for m in RATES
    }
    names = ("method", "labels", "seed")
    done = {tuple(run[name] for name in names) for run in evidence["runs"]}
    y, truth = data()["learn"]["y"], data()["test"]["y"] == 1
    fixed: dict[str, Any] = {}
    for seed, num_labels, method in itertools.product(SEEDS, STEPS, METHODS):
        if (method, num_labels, seed) in done:
            continue
        if method not in RATES and method not in fixed:
            learners["full"].reset(0)
            fixed[method] = fixed_features(method, learners["full"], folder, latest)
        rows = draw(num_labels, seed)
        run = {"method": method, "labels": num_labels, "seed": seed}
        if method in fixed:
            scores = linear(fixed[method]["learn"], rows, fixed[method]["test"])
        else:
            learner, rate = learners[method], best[method]["rate"]
            x = rows_of[method]
            learner.learn(x["learn"][rows], y[rows], STEPS[num_labels], rate, seed)
            scores = learner.scores(x["test"])
            if method != "scratch":
                bits = companion.evaluation.bits_per_byte(learner.gpt, learner.tokenizer, held_out)
                run["bits_after"] = round(bits, 5)
            if method == "prose":
                bits = companion.evaluation.bits_per_byte(learner.gpt, learner.tokenizer, play)
                run["play_bits_after"] = round(bits, 5)
        said = scores > 0
        run["auc"] = round(float(roc_auc_score(truth, scores)), 4)
        run["accuracy"] = round(float((said == truth).mean()), 4)
        print(run, flush=True)
        evidence["runs"].append({**run, "said": "".join(str(int(one)) for one in said)})
        keep()


def main(arguments: list[str] | None = None) -> None:
    """Measures what the file does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--folder", type=Path, default=FOLDER, help="working folder")
    parser.add_argument("--minutes", type=float, help="stop after about so many")
    options = parser.parse_args(arguments)
    latest = time.monotonic() + 60 * options.minutes if options.minutes else math.inf
    options.folder.mkdir(parents=True, exist_ok=True)
    evidence: dict[str, Any] = {
        "command": COMMAND,
        "settings": settings(),
        "choices": [],
        "runs": [],
    }
    if options.file.is_file():
        evidence = json.loads(options.file.read_text("utf-8"))
        if evidence["settings"] != settings():
            sys.exit(f"{options.file.name} was made with other settings: delete it to start over.")

    def keep() -> None:
        write_atomically(options.file, (json.dumps(evidence, indent=1) + "\n").encode())
        leave_after(latest)

    measure(evidence, keep, options.folder, options.minutes, latest)


if __name__ == "__main__":
    main()
