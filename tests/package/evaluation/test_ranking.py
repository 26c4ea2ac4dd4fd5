from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score, top_k_accuracy_score

from companion.evaluation import (
    bootstrap_interval,
    first_hits,
    ndcg_at_k,
    recall_at_k,
    support,
    top_items,
)


def case(seed: int, users: int = 12, items: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores without ties, what is relevant (one at least), and what is seen (none of that)."""
    rng = np.random.default_rng(seed)
    scores = rng.permuted(np.tile(np.arange(items) / items, (users, 1)), axis=1)
    relevant = rng.random((users, items)) < 0.15
    relevant[np.arange(users), rng.integers(0, items, users)] = True
    return scores, relevant, (rng.random((users, items)) < 0.3) & ~relevant


@given(seed=st.integers(0, 10_000), k=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_the_gain_is_that_of_scikit_learn_once_seen_items_stand_last(seed: int, k: int) -> None:
    scores, relevant, seen = case(seed)
    masked = np.where(seen, scores - 10, scores)
    by_user = [ndcg_score([r], [s], k=k) for r, s in zip(relevant, masked, strict=True)]
    assert ndcg_at_k(scores, relevant, k=k, seen=seen) == pytest.approx(by_user)


@given(seed=st.integers(0, 10_000), k=st.integers(1, 12))
@settings(max_examples=40, deadline=None)
def test_recall_counts_the_relevant_items_among_the_first(seed: int, k: int) -> None:
    scores, relevant, seen = case(seed)
    by_hand = []
    for score, wanted, known in zip(scores, relevant, seen, strict=True):
        ranked = sorted((i for i in range(len(score)) if not known[i]), key=lambda i: -score[i])
        by_hand.append(sum(wanted[i] for i in ranked[:k]) / sum(wanted))
    assert recall_at_k(scores, relevant, k=k, seen=seen).tolist() == pytest.approx(by_hand)


def test_with_one_relevant_item_recall_is_the_hit_rate_of_scikit_learn() -> None:
    scores, _, _ = case(3)
    wanted = np.arange(12) % 30
    relevant = np.eye(30, dtype=bool)[wanted]
    hit_rate = top_k_accuracy_score(wanted, scores, k=5, labels=np.arange(30))
    assert recall_at_k(scores, relevant, k=5).mean() == pytest.approx(hit_rate)


def test_a_hit_on_the_third_place_counts_half_of_a_hit_on_the_first() -> None:
    relevant = [[True, False, False]]
    first = ndcg_at_k([[3, 2, 1]], relevant, k=3)
    third = ndcg_at_k([[1, 2, 3]], relevant, k=3)
    assert first.tolist() == [1.0]
    assert third.tolist() == pytest.approx([1 / math.log2(4)])


def test_the_best_list_has_a_gain_of_one_even_where_recall_cannot_reach_it() -> None:
    _, relevant, _ = case(5)
    assert ndcg_at_k(relevant.astype(float), relevant, k=1).tolist() == [1.0] * 12
    many = relevant.sum(axis=1)
    assert recall_at_k(relevant, relevant, k=1).tolist() == pytest.approx((1 / many).tolist())


def test_a_seen_item_is_never_listed_and_its_score_changes_nothing() -> None:
    scores, relevant, seen = case(7)
    lists = top_items(scores, k=8, seen=seen)
    assert not np.take_along_axis(seen, lists, axis=1).any()
    raised = np.where(seen, scores + 100, scores)
    assert np.array_equal(lists, top_items(raised, k=8, seen=seen))
    assert np.array_equal(
        ndcg_at_k(scores, relevant, seen=seen), ndcg_at_k(raised, relevant, seen=seen)
    )


def test_equal_scores_are_listed_in_the_order_of_the_items() -> None:
    assert top_items(np.zeros((2, 50)), k=4).tolist() == [[0, 1, 2, 3]] * 2


def test_lists_do_not_depend_on_the_scale_of_the_scores() -> None:
    scores, _, seen = case(9)
    assert np.array_equal(
        top_items(scores, k=5, seen=seen), top_items(7 * scores - 3, k=5, seen=seen)
    )


def test_the_values_of_users_go_into_an_interval() -> None:
    scores, relevant, seen = case(11, users=120)
    by_user = recall_at_k(scores, relevant, seen=seen)
    interval = bootstrap_interval(np.mean, by_user)
    assert interval.low < by_user.mean() < interval.high


def _good(**changes: Any) -> dict[str, Any]:
    return {"scores": [[1.0, 2.0, 3.0]], "relevant": [[0, 1, 0]], "k": 1, **changes}


@pytest.mark.parametrize("metric", [recall_at_k, ndcg_at_k])
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scores": [[1.0, math.nan, 3.0]]}, "finite"),
        ({"scores": [[1.0, math.inf, 3.0]]}, "finite"),
        ({"scores": [1.0, 2.0, 3.0]}, "one row a user"),
        ({"scores": [[1.0], [1.0, 2.0]]}, "finite"),
        ({"scores": [["a", "b", "c"]]}, "finite"),
        ({"scores": np.empty((0, 3))}, "one row a user"),
        ({"relevant": [[0, 2, 0]]}, "relevant must be a table of True and False"),
        ({"relevant": [[0, 1]]}, "relevant must be a table of True and False"),
        ({"relevant": [[0, 0, 0]]}, "1 users have nothing relevant, the first is user 0"),
        ({"seen": [[0, 1, 0]]}, "both relevant and seen"),
        ({"seen": [[1, 0, 0]], "k": 3}, "user 0 has 2"),
        ({"seen": [1, 0, 0]}, "^seen must be"),
        ({"k": 4}, "smaller k"),
        ({"k": 0}, "^k must"),
        ({"k": 1.5}, "^k must"),
    ],
)
def test_what_cannot_be_ranked_is_refused(metric: Any, changes: Any, message: str) -> None:
    metric(**_good())
    with pytest.raises(ValueError, match=message):
        metric(**_good(**changes))


def test_the_users_that_cannot_be_ranked_are_counted_and_the_first_is_named() -> None:
    scores, relevant = np.arange(12.0).reshape(4, 3), np.zeros((4, 3), bool)
    relevant[0, 1] = relevant[2, 1] = True
    with pytest.raises(ValueError, match=r"^2 users have nothing relevant, the first is user 1"):
        recall_at_k(scores, relevant, k=1)
    relevant[:, 1] = True
    seen = np.zeros((4, 3), bool)
    seen[2:, 1] = True
    with pytest.raises(ValueError, match=r"^For 2 users, the first is user 2, an item is"):
        recall_at_k(scores, relevant, k=1, seen=seen)


def test_a_list_has_ten_items_unless_another_number_is_asked_for() -> None:
    scores, relevant, seen = case(5, items=40)
    assert (top_items(scores, seen=seen) == top_items(scores, k=10, seen=seen)).all()
    for metric in (recall_at_k, ndcg_at_k):
        assert (metric(scores, relevant) == metric(scores, relevant, k=10)).all()


@given(seed=st.integers(0, 10_000), k=st.integers(1, 300))
@settings(max_examples=25, deadline=None)
def test_a_list_is_the_head_of_the_whole_order(seed: int, k: int) -> None:
    scores = np.random.default_rng(seed).integers(0, 90, (3, 300))  # with many ties
    assert (top_items(scores, k=k) == np.argsort(-scores, axis=1, kind="stable")[:, :k]).all()


def test_first_hits_are_the_places_found_by_walking_down_each_list():
    rng = np.random.default_rng(3)
    scores, relevant = rng.integers(0, 9, (40, 12)), rng.random((40, 12)) < 0.2
    relevant[~relevant.any(axis=1), 5] = True
    walked = []
    for row, wanted in zip(scores, relevant, strict=True):
        order = sorted(range(12), key=lambda i: (-row[i], i))
        walked.append(next(place for place, i in enumerate(order, 1) if wanted[i]))
    assert first_hits(scores, relevant).tolist() == walked


@pytest.mark.parametrize(
    ("answer", "share"),
    [("Tea costs 3.50 dollars", 1.0), ("Tea costs 3.5 dollars", 0.0), ("", 0.0), ("a of", 0.0)],
)
def test_an_answer_with_another_number_is_not_supported(answer, share):
    assert support(answer, "Our tea: it costs 3.50 dollars.") == share


def test_support_is_the_share_of_the_long_words_that_the_text_holds():
    assert support("green parcels leave early", "Parcels LEAVE at noon.") == 0.5
