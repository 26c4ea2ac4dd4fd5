"""All data sets by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from companion._common.checking import close_to
from companion.data.cards import Card, TextDataset, read_card
from companion.data.newsgroups import load_newsgroups
from companion.data.pairs import PAIRS_CARD, load_translation_pairs
from companion.data.pictures import DIGITS_CARD, load_digits
from companion.data.prose import SHAKESPEARE_CARD, load_shakespeare
from companion.data.purchases import load_cdnow
from companion.data.ratings import load_movielens
from companion.data.reviews import (
    CHINESE_CARD,
    load_chinese_reviews,
    load_film_reviews,
    load_food_reviews,
)

__all__ = ["list_datasets", "load_dataset", "text_loaders"]


_DATASETS: dict[str, tuple[Callable[..., Any], Card]] = {
    "food_reviews": (load_food_reviews, read_card("food_reviews")),
    "chinese_reviews": (load_chinese_reviews, CHINESE_CARD),
    "film_reviews": (load_film_reviews, read_card("film_reviews")),
    "newsgroups": (load_newsgroups, read_card("newsgroups")),
    "digits": (load_digits, DIGITS_CARD),
    "shakespeare": (load_shakespeare, SHAKESPEARE_CARD),
    "translation_pairs": (load_translation_pairs, PAIRS_CARD),
    "movielens": (load_movielens, read_card("movielens")),
    "cdnow": (load_cdnow, read_card("cdnow")),
}


def list_datasets() -> dict[str, Card]:
    """Name every data set, with the card that it has when it is loaded as it comes.

    Nothing is loaded for it, and no package needs to be installed.

    Returns:
        A dict of names and cards.

    Example:

    >>> list_datasets()["food_reviews"].examples
    '4,000 for training, 1,000 for testing.'
    """
    return {name: card for name, (_, card) in _DATASETS.items()}


def load_dataset(name: str, **options: Any) -> Any:
    """Load a data set by its name.

    Args:
        name: str. One of the names in `list_datasets()`.
        **options: What `load_<name>` takes.

    Returns:
        What `load_<name>` returns.

    Raises:
        ValueError: There is no data set of that name.

    Example:

    >>> load_dataset("food_reviews").label_names
    ('other', 'great')
    """
    if name not in _DATASETS:
        raise ValueError(f"There is no data set {name!r}; {close_to(name, _DATASETS)}")
    return _DATASETS[name][0](**options)


def text_loaders() -> dict[str, Callable[..., TextDataset]]:
    """Name the data sets that a classifier of texts can learn from, with their loaders.

    Returns:
        A dict of names and loaders.

    Example:

    >>> list(text_loaders())
    ['food_reviews', 'chinese_reviews', 'film_reviews', 'newsgroups']
    """
    names = ("food_reviews", "chinese_reviews", "film_reviews", "newsgroups")
    return {name: _DATASETS[name][0] for name in names}
