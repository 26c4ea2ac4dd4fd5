"""Texts of many classes, ratings, purchases and translations say what they hold, and hold it."""

from __future__ import annotations

import numpy as np
import pytest

from companion.data import (
    PairDataset,
    RatingDataset,
    find_duplicates,
    load_cdnow,
    load_movielens,
    load_newsgroups,
    load_translation_pairs,
)


@pytest.fixture(scope="module")
def films() -> RatingDataset:
    return load_movielens()


@pytest.fixture(scope="module")
def pairs() -> PairDataset:
    return load_translation_pairs()


@pytest.mark.slow
def test_newsgroups_keep_their_labels() -> None:
    posts = load_newsgroups()
    assert (len(posts.train), len(posts.test)) == (11293, 7528)
    assert posts.label_names == tuple(sorted(posts.label_names))
    assert np.bincount(posts.train.labels).min() == 377
    assert len(np.bincount(posts.test.labels)) == len(posts.label_names) == 20
    for split in (posts.train, posts.test):
        assert all(split.texts)
        for group, word in (("rec.sport.hockey", "hockey"), ("sci.space", "orbit")):
            of_group = split.labels == posts.label_names.index(group)
            says = np.array([word in text.split() for text in split.texts])
            assert says[of_group].mean() > 10 * says[~of_group].mean()


def test_ratings_are_in_the_order_of_time_and_within_the_scale(films: RatingDataset) -> None:
    assert len(films) == len(films.users) == len(films.items) == len(films.timestamps) == 100_004
    assert (np.diff(films.timestamps) >= 0).all()
    assert set(films.ratings.tolist()) == set((np.arange(1, 11) / 2).tolist())
    assert np.bincount(films.users).min() == 20


def test_no_one_rates_a_film_twice_and_every_film_is_rated(films: RatingDataset) -> None:
    pairs = films.users * len(films.titles) + films.items
    assert len(np.unique(pairs)) == len(films)
    assert (np.bincount(films.items, minlength=len(films.titles)) > 0).all()
    assert len(films.genres) == len(films.titles) == 9066


def test_a_rating_keeps_its_film(films: RatingDataset) -> None:
    forrest = films.titles.index("Forrest Gump")
    assert films.genres[forrest] == ("Comedy", "Drama", "Romance", "War")
    assert np.bincount(films.items).argmax() == forrest  # the most rated film of this release
    assert films.ratings[films.items == forrest].mean() == pytest.approx(4.05, abs=0.01)


def test_purchases_are_each_customer_s_by_day() -> None:
    shop = load_cdnow()
    assert len(shop) == len(shop.days) == len(shop.numbers) == len(shop.amounts_usd) == 69_659
    same = np.diff(shop.customers) == 0
    assert (np.diff(shop.customers) >= 0).all()
    assert (np.diff(shop.days).astype(int)[same] >= 0).all()
    first = np.r_[True, ~same]
    assert first.sum() == shop.customers[-1] + 1 == 23_570
    assert shop.days[first].max() <= np.datetime64("1997-03-31")  # as the card says
    assert shop.numbers.min() == 1
    assert shop.amounts_usd[:3].tolist() == [11.77, 12.0, 77.0]


def test_no_sentence_stands_on_both_sides_of_the_split(pairs: PairDataset) -> None:
    train, test = pairs.train, pairs.test
    assert not set(train.sources) & set(test.sources)
    assert not set(train.targets) & set(test.targets)
    assert len(set(train.sources + test.sources)) == len(train) + len(test) == 4267


def test_no_pair_has_a_mark_where_a_translation_was_to_stand(pairs: PairDataset) -> None:
    targets = pairs.train.targets + pairs.test.targets
    assert not [said for said in targets if "placeholder" in said.lower() or said == "PH"]


def test_the_sides_share_no_sentence_but_for_case_and_punctuation(pairs: PairDataset) -> None:
    assert not find_duplicates(pairs.train.targets, pairs.test.targets)
    assert not find_duplicates(pairs.train.sources, pairs.test.sources)


def test_the_dictionary_gives_meanings_of_the_words_of_both_sides(pairs: PairDataset) -> None:
    assert pairs.dictionary["图书馆"] == "library"
    assert all(pairs.dictionary.values())
    known = [any(word in text for word in pairs.dictionary) for text in pairs.test.sources]
    assert all(known)


def test_a_sentence_keeps_its_translation_level_and_topic(pairs: PairDataset) -> None:
    for split in (pairs.train, pairs.test):
        if "老师，您好！" in split.sources:
            i = split.sources.index("老师，您好！")
            row = split.targets[i], split.levels[i], split.topics[i]
            assert row == ("Hello, teacher!", 1, "greetings")
            break
    else:
        pytest.fail("the first sentence of the file is on neither side")


def test_a_seed_chooses_the_test_sentences(pairs: PairDataset) -> None:
    again, other = load_translation_pairs(), load_translation_pairs(seed=1)
    assert again.test.sources == pairs.test.sources
    assert set(other.test.sources) != set(pairs.test.sources)
    assert 500 <= len(other.test) < 510


@pytest.mark.parametrize("number", [0, -1, 2.0, True, None, 2001, 10**9])
def test_a_number_of_test_sentences_that_cannot_be_is_refused(number: object) -> None:
    with pytest.raises(
        ValueError, match=r"num_test must be (a whole number of at least 1|at most 2,000)"
    ):
        load_translation_pairs(num_test=number)  # type: ignore[arg-type]
