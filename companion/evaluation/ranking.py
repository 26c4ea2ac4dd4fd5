"""How good a ranked list is, user by user, with every item in the running."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.checking import check_whole

__all__ = ["first_hits", "ndcg_at_k", "recall_at_k", "top_items"]


def top_items(
    scores: ArrayLike, *, k: int = 10, seen: ArrayLike | None = None
) -> NDArray[np.int64]:
    """Returns the k items with the highest scores for each user, the best first.

    All items compete (*full* ranking), except those that the user has seen. Of equal scores the
    item with the smaller number comes first, so that every machine gives the same list.

    Args:
        scores: array of finite float, shape (users, items).
        k: int, at least 1. Length of a list. Defaults to `10`.
        seen: array of bool, shape (users, items), or `None`. What may not be listed. Defaults to
            `None`: everything may.

    Returns:
        An int64 array of shape (users, k): positions of items.

    Raises:
        ValueError: Scores that are no finite numbers or no table, another shape of `seen`, or a
            user with fewer than k items left.

    Example:

    >>> top_items([[0.1, 0.9, 0.5, 0.7]], k=2, seen=[[False, True, False, False]]).tolist()
    [[3, 2]]
    """
    table = _checked_scores(scores)
    k = check_whole(k, "k", least=1)
    is_seen = np.zeros(table.shape, bool) if seen is None else _flags(seen, "seen", table.shape)
    left = table.shape[1] - is_seen.sum(axis=1)
    if left.min() < k:
        raise ValueError(
            f"A list of k={k} needs as many items that the user has not seen, but user "
            f"{int(left.argmin())} has {int(left.min())}. Take a smaller k."
        )
    cost = np.where(is_seen, np.inf, -table)
    bounds = np.partition(cost, k - 1, axis=1)[:, k - 1]
    lists = np.empty((len(cost), k), np.int64)
    for user, (row, bound) in enumerate(zip(cost, bounds, strict=True)):
        near = np.flatnonzero(row <= bound)  # the k best and their equals: few to sort
        lists[user] = near[np.argsort(row[near], kind="stable")[:k]]
    return lists


def recall_at_k(
    scores: ArrayLike, relevant: ArrayLike, *, k: int = 10, seen: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Returns which share of each user's relevant items stands among the first k.

    All items compete, except those that the user has seen. With one relevant item a user this is
    the *hit rate*. A user with more than k relevant items cannot reach 1.

    Args:
        scores: array of finite float, shape (users, items).
        relevant: array of bool, shape (users, items). At least one for each user, none of it seen.
        k: int, at least 1. Length of a list. Defaults to `10`.
        seen: array of bool, shape (users, items), or `None`. Defaults to `None`: nothing was seen.

    Returns:
        A float64 array of shape (users,), from 0 to 1. Give it to `bootstrap_interval` with
        `numpy.mean` for an interval over users.

    Raises:
        ValueError: As `top_items`; or a user without relevant items, or with one that is seen.

    Example:

    >>> relevant = [[False, True, True, False], [True, False, False, False]]
    >>> recall_at_k([[0.1, 0.9, 0.5, 0.7], [0.8, 0.2, 0.1, 0.0]], relevant, k=2).tolist()
    [0.5, 1.0]

    Reference:
        Krichene & Rendle, 2020, On Sampled Metrics for Item Recommendation: why all items compete.
    """
    hits, number = _hits(scores, relevant, k, seen)
    share: NDArray[np.float64] = hits.sum(axis=1) / number
    return share


def ndcg_at_k(
    scores: ArrayLike, relevant: ArrayLike, *, k: int = 10, seen: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Returns the normalised discounted cumulative gain of each user's first k items.

    A hit at place 1, 2, 3 … counts 1 / log2(place + 1); the sum is divided by that of the best list
    there could be. All items compete, except those that the user has seen.

    Args:
        scores: array of finite float, shape (users, items).
        relevant: array of bool, shape (users, items). At least one for each user, none of it seen.
        k: int, at least 1. Length of a list. Defaults to `10`.
        seen: array of bool, shape (users, items), or `None`. Defaults to `None`: nothing was seen.

    Returns:
        A float64 array of shape (users,), from 0 to 1. Give it to `bootstrap_interval` with
        `numpy.mean` for an interval over users.

    Raises:
        ValueError: As `top_items`; or a user without relevant items, or with one that is seen.

    Example:

    >>> relevant = [[False, True, True, False]]
    >>> ndcg_at_k([[0.1, 0.9, 0.5, 0.7]], relevant, k=3).round(2).tolist()
    [0.92]

    Reference:
        Järvelin & Kekäläinen, 2002, Cumulated gain-based evaluation of IR techniques.
    """
    hits, number = _hits(scores, relevant, k, seen)
    discount = 1 / np.log2(np.arange(2, hits.shape[1] + 2))
    best = np.cumsum(discount)[np.minimum(number, len(discount)) - 1]
    gain: NDArray[np.float64] = hits @ discount / best
    return gain


def first_hits(scores: ArrayLike, relevant: ArrayLike) -> NDArray[np.int64]:
    """Returns on which place of each list the first relevant item stands.

    From these places follow the measures of a search that needs one right answer: the share of
    places up to k is its recall at k, and the mean of one over the place is its mean reciprocal
    rank (MRR). Of equal scores the item with the smaller number comes first.

    Args:
        scores: array of finite float, shape (users, items).
        relevant: array of bool, shape (users, items). At least one for each user.

    Returns:
        An int64 array of shape (users,), 1 for the first place.

    Raises:
        ValueError: As `recall_at_k`.

    Example:

    >>> first_hits([[0.1, 0.9, 0.5], [0.8, 0.2, 0.1]], [[1, 0, 1], [1, 0, 0]]).tolist()
    [2, 1]

    Reference:
        Voorhees, 1999, The TREC-8 Question Answering Track Report.
    """
    items = np.shape(scores)[1] if np.ndim(scores) == 2 else 1
    hits, _ = _hits(scores, relevant, max(1, items), None)
    places: NDArray[np.int64] = hits.argmax(axis=1) + 1
    return places


def _hits(
    scores: ArrayLike, relevant: ArrayLike, k: int, seen: ArrayLike | None
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Which places of each list are hits, shape (users, k), and how many hits there could be."""
    table = _checked_scores(scores)
    wanted = _flags(relevant, "relevant", table.shape)
    number = wanted.sum(axis=1)
    if number.min() == 0:
        raise ValueError(
            f"{int(np.sum(number == 0))} users have nothing relevant, the first is user "
            f"{int(number.argmin())}. Leave them out: no list can be right or wrong for them."
        )
    if seen is not None:
        both = (wanted & _flags(seen, "seen", table.shape)).any(axis=1)
        if both.any():
            raise ValueError(
                f"For {int(both.sum())} users, the first is user {int(both.argmax())}, an item is "
                "both relevant and seen; it could not be found. Take it out of one of the two."
            )
    lists = top_items(table, k=k, seen=seen)
    return np.take_along_axis(wanted, lists, axis=1), number


def _checked_scores(scores: ArrayLike) -> NDArray[np.float64]:
    try:
        table = np.asarray(scores, np.float64)
    except (TypeError, ValueError):  # texts, or rows of different lengths
        table = np.empty(0)
    if table.ndim != 2 or table.size == 0 or not np.isfinite(table).all():
        raise ValueError(
            "scores must be a table of finite numbers, one row a user and one column an item, but "
            f"has shape {np.shape(table)} or holds something else."
        )
    return table


def _flags(values: ArrayLike, name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    try:
        given = np.asarray(values)
    except ValueError:  # rows of different lengths
        given = np.empty(0)
    if given.shape != shape or not (given.dtype == bool or np.isin(given, (0, 1)).all()):
        raise ValueError(
            f"{name} must be a table of True and False of shape {shape}, like scores, but has "
            f"shape {given.shape} and type {given.dtype}."
        )
    return given.astype(bool)
