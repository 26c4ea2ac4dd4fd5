"""Fine-tunes MiniLM, a real pre-trained network, with few labels, beside two cheaper ways.

``python -m benchmarks.fine_tuning_minilm`` writes ``companion/data/measured/
fine_tuning_minilm.json`` after each run and goes on where it stopped; delete the file to start
over. It takes about half an hour on two quiet cores.

The ways are logistic regression on word counts, the same on MiniLM's vectors while its weights stay
frozen, and MiniLM's upper half trained from there, in full or through a change of low rank (LoRA)
of each dense layer. Each reads the first words of a review and gets
the same labelled reviews, which are those of ``benchmarks.fine_tuning``. For each number of labels
each way chooses its settings (strength of the penalty and kinds of words; learning rate and passes)
by the order in which it puts the same held-back reviews (AUC), after one draw of labels that no
later run uses. The test reviews are read with the chosen settings alone.
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
SIZES, SEEDS = (100,), range(3)
MORE_SIZES = (300, 1000, 2000)  # for the ways that need only a second
HELD_BACK, TOKENS, BATCH_SIZE = 300, 48, 16
FIRST_LAYER = 3  # of six: this one and those above learn
SCALE = 1000  # a score is kept as a whole number of thousandths
START_STRENGTH = 1.0  # of the linear model that a trained network starts from
LINEAR, TRAINED = ("tfidf", "frozen"), ("tuned", "lora")
STRENGTHS = [float(c) for c in np.logspace(-2, 5, 8)]
NGRAMS = (1, 2)
RATES = {"tuned": (3e-5, 1e-4, 3e-4), "lora": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)}
PASSES, RANK = 12, 8  # passes: tried at most

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
def lower() -> Any:
    """Returns MiniLM's lower layers, which never change."""
    return page()["fill"](page()["build_lower"](FIRST_LAYER), page()["weights"])


@lru_cache
def kept_states(part: str) -> tuple[Any, Any]:
    """Returns room for the states of a part's reviews, and which of them were computed."""
    shape = token_ids()[part].shape
    return np.empty((*shape, 384), "float32"), np.zeros(len(token_ids()[part]), bool)


def batch(part: str, rows: Any) -> list[Any]:
    """Returns states, and which belong to a text, of these reviews, up to the longest's end."""
    ids, (states, known) = token_ids()[part], kept_states(part)
    new = rows[~known[rows]]
    if len(new):
        states[new], known[new] = np.asarray(lower().predict_on_batch(ids[new])), True
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
    """MiniLM's upper layers with a head, which can be put back to where fine-tuning starts."""

    def __init__(self, method: str) -> None:
        upper = page()["fill"](page()["build_upper"](FIRST_LAYER), page()["weights"])
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
                self.model.train_on_batch(batch("learn", some), y[some])
            yield number

    def scores(self, part: str) -> Any:
        """Returns a score for each review of a part; like lengths are read together."""
        order = np.argsort((token_ids()[part] != 0).sum(axis=1), kind="stable")
        found = np.empty(len(order))
        for some in np.array_split(order, max(1, len(order) // 100)):
            found[some] = np.asarray(self.model.predict_on_batch(batch(part, some)))[:, 0]
        return found


@lru_cache
def network(method: str) -> Network:
    """Returns the one network of a trained way."""
    return Network(method)


def choices(method: str, size: int) -> Iterator[Arrays]:
    """Returns how every setting of a method does on the held-back reviews, after one draw."""
    rows = draw(size, CHOICE_SEED)
    y = labels("learn")[rows]
    start = {"method": method, "labels": size}
    if method in LINEAR:
        for ngrams in NGRAMS if method == "tfidf" else (None,):
            for strength in STRENGTHS:
                choice = start | {"ngrams": ngrams, "strength": strength}
                x = features(choice)
                model = fit_linear(x["learn"][rows], y, strength)
                yield choice | judged(model.decision_function(x["choose"]), "choose")
        return
    head = linear_head(rows)
    for rate in RATES[method]:
        for number in network(method).passes(rows, head, rate, CHOICE_SEED):
            found = judged(network(method).scores("choose"), "choose")
            yield start | {"rate": rate, "passes": number} | found
            if number == PASSES:
                break


def linear_head(rows: Any) -> Any:
    """Returns a linear model on the frozen vectors of a draw, where the trained ways start."""
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
        passes = network(method).passes(rows, linear_head(rows), best["rate"], seed)
        next(itertools.islice(passes, best["passes"] - 1, None))
        scores = network(method).scores("test")
    found = {"seconds": round(time.perf_counter() - begin, 1)} | judged(scores, "test")
    kept = {"scores": [round(SCALE * float(score)) for score in scores]}
    return {"method": method, "labels": size, "seed": seed} | found | kept


def measure(file: Path, methods: list[str], sizes: list[int]) -> None:
    """Adds to the evidence what it lacks of these methods and numbers of labels."""
    start = {"command": COMMAND, "date": time.strftime("%Y-%m-%d"), "versions": versions()}
    start |= {"settings": settings(), "choices": [], "runs": []}
    add_evidence(file, start, {"labels": "".join(str(int(one)) for one in labels("test"))})
    for size, method in itertools.product(sizes, methods):
        if method in LINEAR or size in SIZES:
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
    """Returns the best settings; tries them all first, unless the file holds the trials."""
    tried = read_evidence(file)["choices"]
    place = {"method": method, "labels": size}
    if not any(place.items() <= choice.items() for choice in tried):
        for choice in choices(method, size):
            tried.append(choice)
            print(choice, flush=True)
        add_evidence(file, {}, {"choices": tried})
    mine = [choice for choice in tried if place.items() <= choice.items()]
    return max(mine, key=lambda choice: choice["auc"])


def settings() -> Arrays:
    """Returns what the numbers depend on."""
    found: Arrays = {"held_back": HELD_BACK, "tokens": TOKENS, "batch_size": BATCH_SIZE}
    found |= {"start_strength": START_STRENGTH, "scale": SCALE, "first_layer": FIRST_LAYER}
    return found | {"rank": RANK}


def main(arguments: list[str] | None = None) -> None:
    """Measures what the file does not hold yet."""
    every = [*SIZES, *MORE_SIZES]
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--methods", nargs="+", default=[*LINEAR, *TRAINED], help="these alone")
    options.add_argument("--labels", nargs="+", type=int, default=every, help="these numbers alone")
    given = options.parse_args(arguments)
    measure(given.file, given.methods, given.labels)


if __name__ == "__main__":
    main()
