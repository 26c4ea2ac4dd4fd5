"""Fine-tunes MiniLM, a real pre-trained network, with few labels, beside two cheaper ways.

``python -m benchmarks.fine_tuning_minilm`` writes ``companion/data/measured/
fine_tuning_minilm.json`` after each learning rate and each run, and goes on where it stopped;
delete the file to start over. It takes about forty minutes on two quiet cores. That is what the
page reads; ``--methods lora whole --labels 300`` adds LoRA and MiniLM trained whole with more
labels, which takes about half as long again.

The ways are logistic regression on word counts, the same on MiniLM's vectors while its weights stay
frozen, and MiniLM trained from there: all six layers, the upper three, or these three through a
change of low rank (LoRA) of each dense layer. Its tables of word pieces and places, and the
normalisation after them, never learn. Each way reads the first words of a review and gets the same
labelled reviews, which are those of ``benchmarks.fine_tuning``. For each number of labels
each way chooses its settings (strength of the penalty and kinds of words; learning rate and passes)
by the order in which it puts the same held-back reviews (AUC), after one draw of labels that no
later run uses. The test reviews are read with the chosen settings alone. With three hundred labels
the upper half kept the highest rate and the most passes that were tried, and the whole network
kept the most passes; the page says so.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

import companion
from benchmarks.fine_tuning import CHOICE_SEED, data, draw
from benchmarks.runs import add_evidence, read_evidence, versions
from companion._common.backend import keras
from companion.data import read_packaged
from tools.cells import run_cells

FILE = Path(__file__).parents[1] / "companion/data/measured/fine_tuning_minilm.json"
COMMAND = "python -m benchmarks.fine_tuning_minilm"
PAGE = "04_practice/fine_tuning"
PASSES, SEEDS = {100: 12, 300: 6}, range(3)  # passes tried at most, by number of labels
MORE_SIZES = (1000, 2000)  # for the ways that need only a second
HELD_BACK, TOKENS, BATCH_SIZE = 300, 48, 16
FIRST_LAYER = {"tuned": 3, "lora": 3, "whole": 0}  # of six: this one and those above learn
SCALE = 1000  # a score is kept as a whole number of thousandths
START_STRENGTH = 1.0  # of the linear model that a trained network starts from
LINEAR, TRAINED = ("tfidf", "frozen"), ("tuned", "lora", "whole")
PAGE_RUNS = {"tuned": (100, 300), "lora": (100,), "whole": (100,)}  # what the page reads
STRENGTHS = [float(c) for c in np.logspace(-2, 5, 8)]
NGRAMS = (1, 2)
RATES = {
    "tuned": (3e-5, 1e-4, 3e-4),
    "lora": (3e-4, 1e-3, 3e-3),
    "whole": (3e-5, 1e-4, 3e-4),
}
MORE_RATES = {("lora", 100): (1e-4, 1e-2)}  # tried as well
RANK = 8

Arrays = dict[str, Any]


@lru_cache
def texts(part: str) -> tuple[str, ...]:
    """Returns the first words of a part's reviews; `choose` is cut to those held back."""
    return tuple(data()[part]["cut"][: HELD_BACK if part == "choose" else None])


def labels(part: str) -> Any:
    """Returns 1 for each of the part's reviews with five stars."""
    return data()[part]["y"][: len(texts(part))]


@lru_cache
def word_counts(ngrams: int) -> Arrays:
    """Returns weighted counts of words, and with `ngrams` 2 of pairs, for each part."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, ngrams)).fit(texts("learn"))
    return {part: words.transform(texts(part)) for part in ("learn", "choose", "test")}


@lru_cache
def frozen_vectors() -> Arrays:
    """Returns MiniLM's vectors of each part, as they are."""
    return {
        part: companion.models.embed_texts(texts(part), max_tokens=TOKENS)
        for part in ("learn", "choose", "test")
    }


def features(choice: Arrays) -> Arrays:
    """Returns what a linear way sees with the settings of a choice."""
    return word_counts(choice["ngrams"]) if choice["method"] == "tfidf" else frozen_vectors()


def fit_linear(x: Any, y: Any, strength: float) -> Any:
    """Returns a logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=5000).fit(x, y)


def judged(scores: Any, part: str) -> dict[str, float]:
    """Returns loss, accuracy and area under the curve of scores that are above 0 for a 1."""
    from sklearn.metrics import roc_auc_score

    y = labels(part)
    loss = np.logaddexp(0, np.where(y == 1, -scores, scores)).mean()
    right = ((scores > 0) == (y == 1)).mean()
    found = {"loss": loss, "accuracy": right, "auc": roc_auc_score(y, scores)}
    return {name: round(float(value), 4) for name, value in found.items()}


@lru_cache
def page() -> Arrays:
    """Returns what the page defines: MiniLM as a Keras model, its weights and its tokens."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer

    cells = ("encoder-parts", "encoder", "encoder-weights", "encoder-ids", "fill-encoder")
    read = {"read_packaged": read_packaged, "load_file": load_file, "Tokenizer": Tokenizer}
    return run_cells(PAGE, *cells, keras=keras, np=np, **read)


@lru_cache
def token_ids() -> Arrays:
    """Returns the ids of each part's reviews, filled up with zeros: (reviews, tokens)."""
    to_ids = page()["to_ids"]
    return {part: to_ids(list(texts(part)), TOKENS) for part in ("learn", "choose", "test")}


@lru_cache
def lower(first: int) -> Any:
    """Returns what lies below MiniLM's layer `first` and never changes; for 0, the tables."""
    return page()["fill"](page()["build_lower"](first), page()["weights"])


@lru_cache
def kept_states(part: str, first: int) -> tuple[Any, Any]:
    """Returns room for the states of a part's reviews, and which of them were computed."""
    shape = token_ids()[part].shape
    return np.empty((*shape, 384), "float32"), np.zeros(len(token_ids()[part]), bool)


def batch(part: str, rows: Any, first: int) -> list[Any]:
    """Returns states below layer `first`, and which belong to a text, up to the longest's end."""
    ids, (states, known) = token_ids()[part], kept_states(part, first)
    new = rows[~known[rows]]
    if len(new):
        states[new], known[new] = np.asarray(lower(first).predict_on_batch(ids[new])), True
    longest = int((ids[rows] != 0).sum(axis=1).max())
    return [states[rows, :longest], ids[rows, :longest] != 0]


def enable_lora(encoder: Any, rank: int) -> None:
    """Freezes an encoder, and lets each of its dense layers learn a change of low rank."""
    for layer in encoder.layers:
        if isinstance(layer, keras.layers.Dense):
            layer.enable_lora(rank)
            layer.bias.trainable = False
        else:
            layer.trainable = False


class Network:
    """MiniLM's layers that learn, and a head; they can be put back to where fine-tuning starts."""

    def __init__(self, method: str) -> None:
        self.first = FIRST_LAYER[method]
        upper = page()["fill"](page()["build_upper"](self.first), page()["weights"])
        if method == "lora":
            enable_lora(upper, RANK)
        head = keras.layers.Dense(1, name="head")
        self.model = keras.Model(upper.input, head(upper.output))
        self.model.compile(
            keras.optimizers.Adam(1e-4, clipnorm=1.0),
            keras.losses.BinaryCrossentropy(from_logits=True),
            jit_compile=False,
        )
        self.model.optimizer.build(self.model.trainable_variables)
        self.start = self.model.get_weights()

    def reset(self, head: Any, rng: np.random.Generator) -> None:
        """Puts all weights back, and those of a linear model on the frozen vectors on top.

        An adapter's first matrix is drawn anew, as Keras draws it.
        """
        self.model.set_weights(self.start)
        for layer in self.model.layers:
            if getattr(layer, "lora_enabled", False):
                shape = layer.lora_kernel_a.shape
                limit = np.sqrt(6 / shape[0])
                layer.lora_kernel_a.assign(rng.uniform(-limit, limit, shape))
        self.model.get_layer("head").set_weights([head.coef_.T, head.intercept_])
        for variable in self.model.optimizer.variables:  # the counter of steps too
            variable.assign(np.zeros(variable.shape, variable.dtype))

    def passes(self, rows: Any, head: Any, rate: float, seed: int) -> Iterator[int]:
        """Trains on the rows of `learn`, pass by pass, with one learning rate."""
        rng = np.random.default_rng(seed)
        self.reset(head, np.random.default_rng(seed))
        self.model.optimizer.learning_rate = rate
        y = labels("learn").astype("float32")[:, None]
        for number in itertools.count(1):
            order = rng.permutation(rows)
            for start in range(0, len(order), BATCH_SIZE):
                some = order[start : start + BATCH_SIZE]
                self.model.train_on_batch(batch("learn", some, self.first), y[some])
            yield number

    def scores(self, part: str) -> Any:
        """Returns a score for each review of a part; like lengths are read together."""
        order = np.argsort((token_ids()[part] != 0).sum(axis=1), kind="stable")
        found = np.empty(len(order))
        for some in np.array_split(order, max(1, len(order) // 100)):
            read = batch(part, some, self.first)
            found[some] = np.asarray(self.model.predict_on_batch(read))[:, 0]
        return found


@lru_cache
def network(method: str) -> Network:
    """Returns the one network of a trained way."""
    return Network(method)


def settings_to_try(method: str, size: int) -> list[Arrays]:
    """Returns the settings of a method with so many labels, passes left out."""
    start = {"method": method, "labels": size}
    if method in TRAINED:
        rates = sorted({*RATES[method], *MORE_RATES.get((method, size), ())})
        return [start | {"rate": rate} for rate in rates]
    ngrams = NGRAMS if method == "tfidf" else (None,)
    pairs = itertools.product(ngrams, STRENGTHS)
    return [start | {"ngrams": n, "strength": strength} for n, strength in pairs]


def trials(setting: Arrays) -> Iterator[Arrays]:
    """Returns how a setting does on the held-back reviews, after one draw; pass by pass."""
    method, size = setting["method"], setting["labels"]
    rows = draw(size, CHOICE_SEED)
    if method in LINEAR:
        x = features(setting)
        model = fit_linear(x["learn"][rows], labels("learn")[rows], setting["strength"])
        yield setting | judged(model.decision_function(x["choose"]), "choose")
        return
    head, learner = linear_head(size, CHOICE_SEED), network(method)
    for number in learner.passes(rows, head, setting["rate"], CHOICE_SEED):
        yield setting | {"passes": number} | judged(learner.scores("choose"), "choose")
        if number == PASSES[size]:
            break


@lru_cache
def linear_head(size: int, seed: int) -> Any:
    """Returns a linear model on the frozen vectors of a draw, where the trained ways start."""
    rows = draw(size, seed)
    vectors = companion.models.embed_texts([texts("learn")[i] for i in rows], max_tokens=TOKENS)
    return fit_linear(vectors, labels("learn")[rows], START_STRENGTH)


def run(best: Arrays, seed: int) -> Arrays:
    """Returns what a method with its chosen settings says of the test reviews."""
    method, size = best["method"], best["labels"]
    rows, begin = draw(size, seed), time.perf_counter()
    if method in LINEAR:
        x = features(best)
        model = fit_linear(x["learn"][rows], labels("learn")[rows], best["strength"])
        scores = model.decision_function(x["test"])
    else:
        passes = network(method).passes(rows, linear_head(size, seed), best["rate"], seed)
        next(itertools.islice(passes, best["passes"] - 1, None))
        scores = network(method).scores("test")
    found = {"seconds": round(time.perf_counter() - begin, 1)} | judged(scores, "test")
    kept = {"scores": [round(SCALE * float(score)) for score in scores]}
    return {"method": method, "labels": size, "seed": seed} | found | kept


def planned(methods: list[str], sizes: list[int] | None) -> list[tuple[int, str]]:
    """Returns which methods meet which numbers of labels; without these, what the page reads."""
    pairs = itertools.product([*PASSES, *MORE_SIZES] if sizes is None else sizes, methods)
    read = PAGE_RUNS if sizes is None else dict.fromkeys(TRAINED, tuple(PASSES))
    return [(size, way) for size, way in pairs if way in LINEAR or size in read[way]]


def measure(file: Path, pairs: list[tuple[int, str]]) -> None:
    """Adds to the evidence what it lacks of these numbers of labels, each with a method."""
    start = {"command": COMMAND, "date": time.strftime("%Y-%m-%d"), "versions": versions()}
    start |= {"settings": settings(), "choices": [], "runs": []}
    add_evidence(file, start, {"labels": "".join(str(int(one)) for one in labels("test"))})
    for size, method in pairs:
        best = chosen(file, method, size)
        for seed in SEEDS:
            _run_once(file, best, seed)


def _run_once(file: Path, best: Arrays, seed: int) -> None:
    """Adds one run, unless the file holds it."""
    runs = read_evidence(file)["runs"]
    place = {"method": best["method"], "labels": best["labels"], "seed": seed}
    if not any(place.items() <= known.items() for known in runs):
        found = run(best, seed)
        print({name: value for name, value in found.items() if name != "scores"}, flush=True)
        add_evidence(file, {}, {"runs": [*runs, found]})


def chosen(file: Path, method: str, size: int) -> Arrays:
    """Returns the best settings; tries first those that the file does not hold."""
    tried = read_evidence(file)["choices"]
    for setting in settings_to_try(method, size):
        if not any(setting.items() <= choice.items() for choice in tried):
            for found in trials(setting):
                tried.append(found)
                print(found, flush=True)
            add_evidence(file, {}, {"choices": tried})
    place = {"method": method, "labels": size}
    mine = [choice for choice in tried if place.items() <= choice.items()]
    return max(mine, key=lambda choice: choice["auc"])


def settings() -> Arrays:
    """Returns what the numbers depend on."""
    found: Arrays = {"held_back": HELD_BACK, "tokens": TOKENS, "batch_size": BATCH_SIZE}
    found |= {"start_strength": START_STRENGTH, "scale": SCALE, "first_layer": FIRST_LAYER}
    return found | {"rank": RANK, "passes": {str(size): most for size, most in PASSES.items()}}


def main(arguments: list[str] | None = None) -> None:
    """Measures what the file does not hold yet."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--methods", nargs="+", default=[*LINEAR, *TRAINED], help="these alone")
    options.add_argument("--labels", nargs="+", type=int, help="these numbers alone")
    given = options.parse_args(arguments)
    measure(given.file, planned(given.methods, given.labels))


if __name__ == "__main__":
    main()
