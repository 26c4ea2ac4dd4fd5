"""Reads properties off the inner states of a large model; ``python -m benchmarks.probes``.

The texts are the first twelve words of food reviews, and a made-up word stands in half of them.
SmolLM2 reads each text, and at its last token the state of every third block is kept. Linear
classifiers learn from them whether the review is a great one, whether the word is there, and, as a
control, shuffled labels. MiniLM's vectors and counts of words are given the same texts, and all
settings, the block among them, are chosen on texts put aside. The test is asked once. What was
found is kept in ``companion/data/measured/probes.json``. It takes about five minutes of two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import add_evidence, versions

COMMAND = "python -m benchmarks.probes"
FILE = Path(__file__).parents[1] / "companion/data/measured/probes.json"
WORD, WORDS, LONGEST, BATCH = "kx4", 12, 48, 32
FIT, CHOOSE, TEST = slice(0, 800), slice(800, 1100), slice(1100, 1600)
EVERY, STRENGTHS, SHUFFLED = 3, (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0), range(3)


def reviews() -> tuple[list[str], dict[str, Any]]:
    """Returns the texts and their labels, by property."""
    from companion import data

    train, rng = data.load_food_reviews().train, np.random.default_rng(0)
    texts, there = [], rng.random(TEST.stop) < 0.5
    for text, has_word in zip(train.texts, there, strict=False):
        words = text.split()[:WORDS]
        place = rng.integers(len(words) + 1)
        texts.append(" ".join([*words[:place], WORD, *words[place:]] if has_word else words))
    return texts, {"great": train.labels[: TEST.stop].astype(int), "word": there.astype(int)}


def states_of(texts: list[str]) -> dict[str, Any]:
    """Returns what each way knows of the texts, one row a text."""
    import keras
    from sklearn.feature_extraction.text import TfidfVectorizer

    from companion import models

    generator = models.load_language_model()
    ids = [generator.tokenizer.encode(text)[:LONGEST] for text in texts]
    table = np.zeros((len(ids), LONGEST), "int32")
    for i, row in enumerate(ids):
        table[i, : len(row)] = row  # the model looks back only, so what fills up is not seen
    inner = generator.model
    blocks = sum(layer.name.startswith("block_") for layer in inner.layers)
    names = ["token_embedding", *(f"block_{i - 1}" for i in range(EVERY, blocks + 1, EVERY))]
    taps = keras.Model(inner.input, [inner.get_layer(name).output for name in names])
    last = np.array([len(row) - 1 for row in ids])
    found: dict[str, list[Any]] = {f"block {i * EVERY}": [] for i in range(len(names))}
    for start in range(0, len(ids), BATCH):
        rows = slice(start, start + BATCH)
        for kept, states in zip(found.values(), taps.predict_on_batch(table[rows]), strict=True):
            kept.append(states[np.arange(len(states)), last[rows]])
        print(start, flush=True)
    counts = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True).fit(texts[FIT])
    known = {name: np.concatenate(rows) for name, rows in found.items()}
    return known | {"MiniLM": models.embed_texts(texts), "words": counts.transform(texts)}


def probe(x: Any, y: Any) -> tuple[float, Any]:
    """Returns the accuracy on the texts to choose by, and the probe with the best strength."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    fitted = []
    for strength in STRENGTHS:
        steps: list[Any] = [LogisticRegression(C=strength, max_iter=3000)]
        if isinstance(x, np.ndarray):  # counts of words have their weights already
            steps.insert(0, StandardScaler())
        model = make_pipeline(*steps).fit(x[FIT], y[FIT])
        fitted.append((float(model.score(x[CHOOSE], y[CHOOSE])), -strength, model))
    right, _, model = max(fitted, key=lambda one: one[:2])
    return right, model


def measure() -> dict[str, Any]:
    """Returns what the probes read, by property and way."""
    texts, properties = reviews()
    known = states_of(texts)
    found: dict[str, Any] = {
        "sizes": [len(range(*part.indices(TEST.stop))) for part in (FIT, CHOOSE, TEST)]
    }
    for name, y in properties.items():
        probes = {way: probe(x, y) for way, x in known.items()}
        block = max((way for way in known if "block" in way), key=lambda way: probes[way][0])
        right = {
            way: "".join(
                map(str, (probes[way][1].predict(known[way][TEST]) == y[TEST]).astype(int))
            )
            for way in (block, "MiniLM", "words")
        }
        chosen = {way: round(share, 4) for way, (share, _) in probes.items()}
        found[name] = {"chosen by": chosen, "block": block, "right": right}
        found[name]["most common"] = float(max(np.mean(y[TEST]), 1 - np.mean(y[TEST])))
        control = []
        for seed in SHUFFLED:
            mixed = np.random.default_rng(seed).permutation(y)
            _, model = probe(known[block], mixed)
            scores = [model.score(known[block][part], mixed[part]) for part in (FIT, TEST)]
            control.append([round(float(score), 4) for score in scores])
        found[name]["shuffled"] = control
        print(name, chosen, block, {k: v.count("1") for k, v in right.items()}, control, flush=True)
    return found


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    file = options.parse_args(arguments).file
    add_evidence(file, {"command": COMMAND, "versions": versions()}, measure())


if __name__ == "__main__":
    main()
