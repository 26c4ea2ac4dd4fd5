"""Measures what is too slow for the page on text classification: grids, splits, large models.

``python -m benchmarks.newsgroups`` chooses the strengths of word counts on a fifth of the training
threads, and keeps what they say of posts put aside and of the test posts, also without the traces
of senders. It embeds 500 training and 400 test posts with MiniLM, drawn at random, and asks
SmolLM2, which may answer nothing but the name of a group, about the first 40 of those test posts.
It trains the small network of the page from scratch, with and without positions; its rate, dropout
and passes are chosen on the same threads, and so is the strength of the SVMs that read the same
posts. The networks that are stored were trained with ``KERAS_BACKEND=jax``.
Last, it embeds all posts with MiniLM, so that both MiniLM and the word counts learn from all
labels. ``--keep FOLDER`` keeps vectors and trainings, so that a run that was stopped goes on.
What each says is kept in ``companion/data/measured/newsgroups.json``, one letter a post: a for the
first group. Stages that the file holds already are not done again; delete the file to start over.
It takes about an hour on two quiet cores, most of it for the networks and MiniLM's vectors.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import versions
from tools.cells import run_cells

COMMAND = "python -m benchmarks.newsgroups"
FILE = Path(__file__).parents[1] / "companion/data/measured/newsgroups.json"
SEED = 0
HELD_BACK_SHARE, TRAIN_SAMPLE, TEST_SAMPLE, ASKED = 0.18, 500, 400, 40
WORDS_ASKED = 60  # of each post, from its beginning, that SmolLM2 reads
CURVE = (125, 250, 500)
SVM_GRID = (0.1, 0.3, 1.0, 3.0)
BAYES_GRID = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
C, ALPHA = 1.0, 0.3  # the strengths that the grids choose
LOGISTIC_GRID = (3.0, 30.0, 300.0, 3000.0)
# On MiniLM's vectors: the outer values are tried if the best lies beside them.
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
WEIGHTS = (0.0625, 0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
PAGE = "05_applications/text_classification"
# Networks: the outermost rates and dropouts are tried if the best lies beside them.
RATES, DROPOUT, WIDTH = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2), 0.5, 64
DROPOUTS = (0.0, 0.2, 0.5, 0.8, 0.9)
BATCH_SIZE, MOST_PASSES, SEEDS = 128, 20, (0, 1, 2)
FEW_POSTS_GRID = (0.1, 1.0, 10.0, 100.0, 1000.0)  # for the support vector machine on few posts

PIECE = 500  # posts that are embedded before they are kept

Arrays = dict[str, Any]


def letters(labels: Any) -> str:
    """Returns one letter a label."""
    return "".join(chr(ord("a") + int(label)) for label in labels)


def thread(text: str) -> str:
    """Returns the first four words after any "re": posts that share them answer each other."""
    words = text.split()
    while words and words[0] == "re":
        words = words[1:]
    return " ".join(words[:4])


def sample() -> Arrays:
    """Returns the data and the rows of each part: held back, to fit, embedded, asked."""
    from sklearn.model_selection import GroupShuffleSplit

    from companion import data

    posts = data.load_newsgroups()
    rng = np.random.default_rng(SEED)
    threads = [thread(text) for text in posts.train.texts]
    chooser = GroupShuffleSplit(1, test_size=HELD_BACK_SHARE, random_state=SEED)
    fit, held_back = next(chooser.split(threads, groups=threads))
    return {
        "posts": posts,
        "fit": fit,
        "held_back": held_back,
        "train_sample": rng.permutation(len(posts.train))[:TRAIN_SAMPLE],
        "test_sample": rng.permutation(len(posts.test))[:TEST_SAMPLE],
    }


def tfidf(**options: Any) -> Any:
    """Returns the weighting of words that all word counts share."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(**{"min_df": 2, "sublinear_tf": True} | options)


def _support(c: float) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=c, random_state=SEED)


def _bayes(alpha: float) -> Any:
    from sklearn.naive_bayes import ComplementNB

    return ComplementNB(alpha=alpha)


def _logistic(c: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=c, max_iter=500)


VECTOR_MODELS: dict[str, tuple[Callable[[float], Any], tuple[float, ...]]] = {
    "logistic regression": (_logistic, STRENGTHS),
    "linear SVM": (_support, STRENGTHS),
}


def word_grids(part: Arrays) -> Arrays:
    """Returns the accuracy on the threads held back for every strength of the word counts."""
    texts, labels = part["posts"].train.texts, part["posts"].train.labels
    y_fit, y_held = labels[part["fit"]], labels[part["held_back"]]
    vectorizer = tfidf()
    x_fit = vectorizer.fit_transform([texts[i] for i in part["fit"]])
    x_held = vectorizer.transform([texts[i] for i in part["held_back"]])
    scores = []
    best: dict[str, tuple[float, Any]] = {}
    for kind, make, grid in (
        ("naive Bayes", _bayes, BAYES_GRID),
        ("linear SVM", _support, SVM_GRID),
    ):
        for setting in grid:
            score = _standard(make(setting).fit(x_fit, y_fit), x_held)
            accuracy = float(np.mean(score.argmax(1) == y_held))
            scores.append({"model": kind, "setting": setting, "accuracy": accuracy})
            best[kind] = max(best.get(kind, (0.0, None)), (accuracy, score), key=lambda s: s[0])
            print(scores[-1], flush=True)
    both = best["naive Bayes"][1] + best["linear SVM"][1]
    accuracy = float(np.mean(both.argmax(1) == y_held))
    scores.append({"model": "both", "setting": None, "accuracy": accuracy})
    print(scores[-1], flush=True)
    return {"scores": scores}


def _standard(model: Any, x: Any) -> Any:
    """Returns the scores of the classes, with mean 0 and spread 1 for each post."""
    bayes = hasattr(model, "predict_joint_log_proba")
    scores = model.predict_joint_log_proba(x) if bayes else model.decision_function(x)
    return (scores - scores.mean(1, keepdims=True)) / scores.std(1, keepdims=True)


def learn(texts: list[str], labels: Any) -> tuple[Any, Any, Any]:
    """Returns the weights of words, and both classifiers with the strengths that were chosen."""
    weigh = tfidf()
    x = weigh.fit_transform(texts)
    return weigh, _support(C).fit(x, labels), _bayes(ALPHA).fit(x, labels)


def score(model: tuple[Any, Any, Any], texts: list[str]) -> dict[str, Any]:
    """Returns the scores of each post for every group, by method."""
    weigh, support, bayes = model
    x = weigh.transform(texts)
    scores = {"linear SVM": _standard(support, x), "naive Bayes": _standard(bayes, x)}
    return scores | {"both": scores["linear SVM"] + scores["naive Bayes"]}


def splits(part: Arrays) -> Arrays:
    """Returns what is said of posts put aside at random, and of threads put aside whole."""
    from sklearn.model_selection import train_test_split

    texts, labels = part["posts"].train.texts, part["posts"].train.labels
    random = train_test_split(
        np.arange(len(texts)), test_size=HELD_BACK_SHARE, stratify=labels, random_state=SEED
    )
    found = {}
    ways = {"random": random, "threads": (part["fit"], part["held_back"])}
    for name, (fit, held_back) in ways.items():
        model = learn([texts[i] for i in fit], labels[fit])
        scores = score(model, [texts[i] for i in held_back])
        found[name] = {
            "rows": [int(i) for i in held_back],
            "said": {method: letters(s.argmax(1)) for method, s in scores.items()},
            "lead": leads(scores),
        }
        print(name, np.mean(scores["both"].argmax(1) == labels[held_back]), flush=True)
    return found


def final(part: Arrays) -> Arrays:
    """Returns what is said of the test posts after learning from all training posts."""
    train, test = part["posts"].train, part["posts"].test
    scores = score(learn(train.texts, train.labels), test.texts)
    return {"said": {m: letters(s.argmax(1)) for m, s in scores.items()}, "lead": leads(scores)}


def leads(scores: Arrays) -> list[float]:
    """Returns how far each post's best group is above the second best, to three digits."""
    top = np.sort(scores["both"], axis=1)[:, -2:]
    return [round(float(second_to_best), 3) for second_to_best in np.diff(top)[:, 0]]


CITED = re.compile(r"\bin article .{0,200}?\bwrites\b")
ADDRESS = re.compile(r"(?:\b\w+ ){1,3}(?:edu|com|gov|mil|org|net|uk|ca)\b")


def without_sender(text: str) -> str:
    """Returns the text without citation line, addresses and a longer post's last twenty words."""
    words = ADDRESS.sub(" ", CITED.sub(" ", text)).split()
    return " ".join(words[:-20] if len(words) >= 60 else words)


def thinned(text: str, rng: np.random.Generator) -> str:
    """Returns the text without as many words, taken away at random places."""
    words, keep = text.split(), len(without_sender(text).split())
    kept = np.sort(rng.choice(len(words), keep, replace=False))
    return " ".join(words[i] for i in kept)


def leak(part: Arrays) -> Arrays:
    """Returns what is said of the test once the traces of senders, or random words, are gone."""
    train, test = part["posts"].train, part["posts"].test
    rng = np.random.default_rng(SEED)
    changes: dict[str, Callable[[str], str]] = {
        "sender removed": without_sender,
        "control": lambda text: thinned(text, rng),
    }
    found = {}
    for name, change in changes.items():
        model = learn([change(text) for text in train.texts], train.labels)
        said = score(model, [change(text) for text in test.texts])["both"].argmax(1)
        found[name] = letters(said)
        print(name, np.mean(said == test.labels), flush=True)
    return found


def count_few(texts: list[str], y: Any, asked: list[str], folds: Any) -> tuple[Any, Arrays]:
    """Returns what both word counts, tuned on few posts, say together, and their settings."""
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import Pipeline

    total: Any = 0.0
    settings: Arrays = {}
    for model, name, strengths in (
        (_support(1.0), "C", FEW_POSTS_GRID),
        (_bayes(1.0), "alpha", BAYES_GRID),
    ):
        steps = Pipeline([("words", tfidf()), ("model", model)])
        grid = {f"model__{name}": strengths, "words__min_df": (1, 2)}
        search = GridSearchCV(steps, grid, cv=folds).fit(texts, y)
        x = search.best_estimator_["words"].transform(asked)
        total = total + _standard(search.best_estimator_["model"], x)
        settings |= {name: search.best_params_[f"model__{name}"]}
        settings |= {f"min_df of {name}": search.best_params_["words__min_df"]}
    return total.argmax(1), settings


def learning_curve(part: Arrays) -> Arrays:
    """Returns what MiniLM and word counts say of the test sample, by number of training posts."""
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    from companion import models

    posts, rows, tests = part["posts"], part["train_sample"], part["test_sample"]
    train_texts = [posts.train.texts[i] for i in rows]
    test_texts = [posts.test.texts[i] for i in tests]
    begin = time.process_time()
    vectors = models.embed_texts(test_texts)
    seconds = (time.process_time() - begin) / TEST_SAMPLE
    print("test sample embedded", seconds, flush=True)
    learned = models.embed_texts(train_texts)
    folds = StratifiedKFold(3, shuffle=True, random_state=SEED)
    runs = []
    for size in CURVE:
        y = posts.train.labels[rows[:size]]
        search = GridSearchCV(_logistic(1.0), {"C": LOGISTIC_GRID}, cv=folds)
        search.fit(learned[:size], y)
        words, settings = count_few(train_texts[:size], y, test_texts, folds)
        for name, said, chosen in (
            ("MiniLM", search.predict(vectors), search.best_params_),
            ("word counts", words, settings),
        ):
            runs.append({"model": name, "size": size, "chosen": chosen, "said": letters(said)})
            print(name, size, chosen, np.mean(said == posts.test.labels[tests]), flush=True)
    named = models.embed_texts([readable(name) for name in posts.label_names])
    by_name = letters(np.argmax(vectors @ named.T, axis=1))
    return {"runs": runs, "by_name": by_name, "cpu_seconds_per_post": seconds}


def embed_all(part: Arrays) -> tuple[Any, Any]:
    """Returns MiniLM's vectors of all training and all test posts: (posts, 384) each.

    Each piece is kept in a file as soon as it is done, so that a run that was stopped goes on.
    """
    from companion import models

    keep, found = part["keep"], []
    for name in ("train", "test"):
        texts, pieces = getattr(part["posts"], name).texts, []
        for start in range(0, len(texts), PIECE):
            file = keep / f"{name}_{start:05d}.npy"
            if not file.is_file():
                vectors = models.embed_texts(texts[start : start + PIECE])
                np.save(file.with_suffix(".part.npy"), vectors)
                file.with_suffix(".part.npy").rename(file)
                print(file.name, flush=True)
            pieces.append(np.load(file))
        found.append(np.concatenate(pieces))
    return found[0], found[1]


def all_labels(part: Arrays) -> Arrays:
    """Returns what MiniLM says that learned from all labelled posts, alone and with word counts.

    The classifier on the vectors, its strength, and the weight of MiniLM's scores beside those of
    the two word counts are chosen on the threads held back. All scores of a method have mean 0 and
    spread 1 for each post. Both then learn from all training posts and answer the test once.
    """
    train, test = part["posts"].train, part["posts"].test
    fit, held_back = part["fit"], part["held_back"]
    vectors, test_vectors = embed_all(part)
    y_held = train.labels[held_back]
    grid: list[Arrays] = []
    scores: dict[tuple[str, float], Any] = {}

    def reach(kind: str, strength: float) -> float:
        model = VECTOR_MODELS[kind][0](strength).fit(vectors[fit], train.labels[fit])
        scores[kind, strength] = _standard(model, vectors[held_back])
        share = float(np.mean(scores[kind, strength].argmax(1) == y_held))
        grid.append({"model": kind, "setting": strength, "accuracy": share})
        print(grid[-1], flush=True)
        return share

    for kind, (_, strengths) in VECTOR_MODELS.items():
        climb(strengths, strengths[3:-2], partial(reach, kind))
    best = max(grid, key=lambda tried: tried["accuracy"])
    held_texts = [train.texts[i] for i in held_back]
    counted = score(learn([train.texts[i] for i in fit], train.labels[fit]), held_texts)["both"]
    read = scores[best["model"], best["setting"]]
    weights: list[Arrays] = []

    def together(weight: float) -> float:
        share = float(np.mean((counted + weight * read).argmax(1) == y_held))
        weights.append({"weight": weight, "accuracy": share})
        print(weights[-1], flush=True)
        return share

    weight = climb(WEIGHTS, WEIGHTS[2:-2], together)
    held = {"word counts": counted, "MiniLM": read, "sum": counted + weight * read}
    model = VECTOR_MODELS[best["model"]][0](best["setting"]).fit(vectors, train.labels)
    counts = learn(train.texts, train.labels)
    begin = time.process_time()
    counted = score(counts, test.texts)["both"]
    seconds = (time.process_time() - begin) / len(test.texts)
    read = _standard(model, test_vectors)
    answers = {"MiniLM": read, "sum": counted + weight * read}
    return {
        "grid": grid,
        "chosen": {"model": best["model"], "setting": best["setting"], "weight": weight},
        "weights": weights,
        "held_back": {name: letters(s.argmax(1)) for name, s in held.items()},
        "held_back_lead": leads({"both": held["sum"]}),
        "said": {name: letters(s.argmax(1)) for name, s in answers.items()},
        "lead": leads({"both": answers["sum"]}),
        "word_counts_cpu_seconds_per_post": seconds,
    }


PLAIN = {
    "alt.atheism": "atheism",
    "comp.graphics": "computer graphics",
    "comp.os.ms-windows.misc": "Microsoft Windows",
    "comp.sys.ibm.pc.hardware": "PC hardware",
    "comp.sys.mac.hardware": "Mac hardware",
    "comp.windows.x": "X Window System",
    "misc.forsale": "things for sale",
    "rec.autos": "cars",
    "rec.motorcycles": "motorcycles",
    "rec.sport.baseball": "baseball",
    "rec.sport.hockey": "hockey",
    "sci.crypt": "encryption",
    "sci.electronics": "electronics",
    "sci.med": "medicine",
    "sci.space": "space",
    "soc.religion.christian": "Christianity",
    "talk.politics.guns": "guns",
    "talk.politics.mideast": "Middle East",
    "talk.politics.misc": "politics",
    "talk.religion.misc": "religion",
}


def readable(name: str) -> str:
    """Returns a group's name in plain words, as a person would write it into an instruction."""
    return PLAIN[name]


def instruction(names: list[str], text: str) -> list[dict[str, str]]:
    """Returns the conversation in which SmolLM2 is asked for a post's topic."""
    start = " ".join(text.split()[:WORDS_ASKED])
    return [
        {"role": "system", "content": "You sort messages by topic. Topics: " + ", ".join(names)},
        {"role": "user", "content": f"Message: {start}\n\nWhich of the topics is it about?"},
    ]


def ask_a_language_model(part: Arrays) -> Arrays:
    """Returns what SmolLM2 says, held to the names of the groups, and how much it reads."""
    from companion import models

    generator = models.load_language_model(weights="float32")
    names = [readable(name) for name in part["posts"].label_names]
    allowed = "|".join(re.escape(name) for name in names)
    said, tokens_in, tokens_out = [], 0, 0
    begin = time.process_time()
    for i in part["test_sample"][:ASKED]:
        prompt = instruction(names, part["posts"].test.texts[i])
        answer = generator.generate(prompt, regex=allowed, max_tokens=20)
        said.append(names.index(answer.text))
        tokens_in += answer.prompt_tokens
        tokens_out += len(answer.tokens)
        print(answer.text, flush=True)
    seconds = (time.process_time() - begin) / ASKED
    return {
        "said": letters(said),
        "tokens_in": tokens_in / ASKED,
        "tokens_out": tokens_out / ASKED,
        "cpu_seconds_per_post": seconds,
    }


def read_for_networks(part: Arrays) -> Arrays:
    """Returns the posts as rows of word numbers, numbered once, and what makes a network."""
    page = run_cells(PAGE, "numbering", "network", np=np)
    train, test = part["posts"].train, part["posts"].test
    number = page["numbering"]([train.texts[i] for i in part["fit"]])
    fit, held_back = (
        (number([train.texts[i] for i in part[rows]]), train.labels[part[rows]].astype(int))
        for rows in ("fit", "held_back")
    )
    test_rows, make = number(test.texts), page["small_transformer"]
    return {"fit": fit, "held_back": held_back, "test": test_rows, "make": make}


def train_a_network(rows: Arrays, setting: Arrays) -> Arrays:
    """Returns a network's accuracy on held posts by pass, and what its best pass says of the test.

    It learns from the threads to fit, and stops once two passes in a row bring nothing on the
    threads held back.
    """
    import keras

    keras.utils.set_random_seed(setting["seed"])
    model = rows["make"](setting["width"], setting["dropout"], setting["positions"])
    adam = keras.optimizers.Adam(setting["rate"])
    model.compile(adam, "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = keras.callbacks.EarlyStopping(
        "val_accuracy", patience=2, mode="max", restore_best_weights=True
    )
    begin = time.process_time()
    history = model.fit(
        *rows["fit"],
        BATCH_SIZE,
        MOST_PASSES,
        validation_data=rows["held_back"],
        validation_batch_size=256,
        callbacks=[stop],
        verbose=0,
    )
    seconds = round(time.process_time() - begin)
    shares = [round(float(share), 4) for share in history.history["val_accuracy"]]
    said = model.predict(rows["test"], batch_size=256, verbose=0).argmax(1)
    print(setting, max(shares), len(shares), seconds, flush=True)
    found = {"held_back": shares, "cpu_seconds_of_training": seconds, "said": letters(said)}
    return setting | {"weights": int(model.count_params())} | found


def climb(
    values: Sequence[float], start: Sequence[float], score: Callable[[float], float]
) -> float:
    """Returns the best value, after trying the next beyond the best while that lies at an edge.

    ``start`` is a run of neighbours in ``values``. Among equals the one tried first is the best.
    """
    scores = {value: score(value) for value in start}
    while True:
        best = max(scores, key=lambda value: scores[value])
        place = values.index(best)
        beside = [v for v in values[max(0, place - 1) : place + 2] if v not in scores]
        if not beside:
            return best
        scores |= {value: score(value) for value in beside}


def choose_network(train: Callable[[Arrays], Arrays]) -> tuple[list[Arrays], list[Arrays]]:
    """Returns all the networks that were trained, and the chosen one with every seed.

    Without positions and with them, the rate is chosen with the first seed and then the dropout at
    that rate. Both winners are trained with the other seeds, and the mean over the seeds decides.
    """
    trained: list[Arrays] = []

    def run(setting: Arrays) -> float:
        """Returns the best share of the threads held back; trains each setting once."""
        known = [one for one in trained if setting.items() <= one.items()]
        if not known:
            known = [train(setting)]
            trained.extend(known)
        return float(max(known[0]["held_back"]))

    def mean(setting: Arrays) -> float:
        return float(np.mean([run(setting | {"seed": seed}) for seed in SEEDS]))

    def settle(setting: Arrays, name: str, values: Sequence[float]) -> Arrays:
        best = climb(values, values[1:-1], lambda value: run(setting | {name: value}))
        return setting | {name: best}

    winners = []
    for positions in (False, True):
        start = {"positions": positions, "width": WIDTH, "dropout": DROPOUT, "seed": SEEDS[0]}
        winners.append(settle(settle(start, "rate", RATES), "dropout", DROPOUTS))
    chosen = max(winners, key=mean)
    seeds = [chosen | {"seed": seed} for seed in SEEDS]
    return trained, [one for s in seeds for one in trained if s.items() <= one.items()]


def network(part: Arrays) -> Arrays:
    """Returns what small networks with attention, and word counts on the same posts, say.

    Everything about them is chosen on the threads held back; only the chosen one answers the test.
    """
    import keras

    from companion._common.files import write_atomically

    rows = read_for_networks(part)

    def train(setting: Arrays) -> Arrays:
        name = "_".join(str(value) for value in setting.values())
        file = part["keep"] / f"network_{name}.json"
        if not file.is_file():
            write_atomically(file, json.dumps(train_a_network(rows, setting)).encode())
        kept: Arrays = json.loads(file.read_text("utf-8"))
        return kept

    trained, runs = choose_network(train)
    return {
        "engine": keras.backend.backend(),
        "grid": [{k: v for k, v in run.items() if k != "said"} for run in trained],
        "runs": runs,
        "words": words_alone(part),
    }


def words_alone(part: Arrays) -> Arrays:
    """Returns what linear SVMs say that learn from the networks' posts: all words, or their part.

    The strength is chosen on the threads held back, for each anew.
    """
    posts = part["posts"]
    page = run_cells(PAGE, "numbering", np=np)

    def begins(text: str) -> str:
        return " ".join(text.split()[: page["WORDS_READ"]])

    found = {}
    readings: dict[str, Callable[[str], str]] = {"whole posts": str, "beginnings": begins}
    for name, shorten in readings.items():
        read = [shorten(text) for text in posts.train.texts]
        vectorizer = tfidf()
        x = vectorizer.fit_transform([read[i] for i in part["fit"]])
        x_held = vectorizer.transform([read[i] for i in part["held_back"]])
        x_test = vectorizer.transform([shorten(text) for text in posts.test.texts])
        y, y_held = (posts.train.labels[part[rows]] for rows in ("fit", "held_back"))
        models = {c: _support(c).fit(x, y) for c in SVM_GRID}
        held = {c: float(np.mean(model.predict(x_held) == y_held)) for c, model in models.items()}
        best = max(held, key=lambda c: held[c])
        said = letters(models[best].predict(x_test))
        found[name] = {"held_back": held, "chosen": best, "said": said}
        print(name, held, flush=True)
    return found


STAGES: dict[str, Callable[[Arrays], Arrays]] = {
    "language_model": ask_a_language_model,
    "curve": learning_curve,
    "words": word_grids,
    "splits": splits,
    "final": final,
    "leak": leak,
    "network": network,
    "all_labels": all_labels,
}


def measure(file: Path, stages: list[str], keep: Path) -> None:
    """Does the stages that the file lacks and keeps each; ``keep`` is for parts of a stage."""
    from companion._common.files import write_atomically

    keep.mkdir(parents=True, exist_ok=True)
    part = sample() | {"keep": keep}
    for name in stages:
        evidence = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        if name in evidence:
            continue
        result = STAGES[name](part)
        evidence = json.loads(file.read_text("utf-8")) if file.is_file() else {}
        evidence = {"command": COMMAND, "versions": versions()} | evidence | {name: result}
        evidence["test_sample"] = [int(i) for i in part["test_sample"]]
        write_atomically(file, (json.dumps(evidence, indent=1) + "\n").encode())
        print(name, "done", flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--stage", choices=list(STAGES), help="do this one alone")
    options.add_argument("--keep", type=Path, help="folder from which a stopped run goes on")
    chosen = options.parse_args(arguments)
    stages = [chosen.stage] if chosen.stage else list(STAGES)
    with tempfile.TemporaryDirectory() as folder:
        measure(chosen.file, stages, chosen.keep or Path(folder))


if __name__ == "__main__":
    main()
