"""Texts become token ids, and what is no text is refused."""

from __future__ import annotations

import numpy as np
import pytest

from companion._common.checking import check_texts
from companion.preprocessing import (
    build_vectorizer,
    count_tokens,
    restore_vectorizer,
    unknown_share,
)

TEXTS = ["Good tea, good price!", "bad coffee", "good coffee"]


@pytest.mark.parametrize("given", [TEXTS, tuple(TEXTS), np.array(TEXTS)])
def test_lists_tuples_and_arrays_of_texts_are_accepted(given):
    assert check_texts(given) == TEXTS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("one text", r"\[text\]"),
        (np.array("one text"), r"\[text\]"),
        ({"a": 1}, "not one dict"),
        ([], "texts is empty"),
        (["a", None], r"texts\[1\] is of type NoneType"),
        (["a", 3.5], r"texts\[1\] is of type float"),
        (["a", b"b"], r"texts\[1\] is of type bytes"),
        (["a", " \n"], r"texts\[1\] is empty"),
        (["a", "b\udcff"], r"texts\[1\] holds half a character at position 1"),
    ],
)
def test_what_is_no_text_is_refused_with_its_position(given, message):
    with pytest.raises(ValueError, match=message):
        check_texts(given)


@pytest.mark.tensorflow
def test_padding_comes_after_the_text_and_unknown_words_share_one_id():
    ids = np.asarray(build_vectorizer(TEXTS, sequence_length=5)(["good cocoa", "juice"]))
    assert ids.shape == (2, 5)
    assert ids.dtype == np.int64
    assert ids[0, 0] == 2  # the most frequent word
    assert ids[0, 1] == ids[1, 0] == 1
    assert not ids[0, 2:].any()


@pytest.mark.tensorflow
def test_ids_stay_below_the_vocabulary_size():
    many = [f"word{i}" for i in range(50)]
    vectorizer = build_vectorizer(many, vocabulary_size=10)
    assert np.asarray(vectorizer(many)).max() <= 9


@pytest.mark.tensorflow
def test_only_the_character_split_reads_a_language_without_spaces():
    train, new = ["质量很好", "不好"], ["很好"]
    assert unknown_share(build_vectorizer(train, split="word"), new) == 1
    assert unknown_share(build_vectorizer(train, split="character"), new) == 0


@pytest.mark.tensorflow
def test_tokens_are_counted_before_anything_is_cut_off():
    vectorizer = build_vectorizer(TEXTS, sequence_length=2)
    texts = ["good " * 70 + "cocoa", "!!!"] + ["tea"] * 70  # more than one batch
    tokens, unknown = count_tokens(vectorizer, texts)
    assert tokens.tolist() == [71, 0] + [1] * 70
    assert unknown.tolist() == [1, 0] + [0] * 70
    assert unknown_share(vectorizer, texts) == 1 / 141


@pytest.mark.tensorflow
@pytest.mark.parametrize("split", ["word", "character"])
def test_a_restored_vectorizer_gives_the_same_ids(split):
    settings = {"vocabulary_size": 9, "sequence_length": 6, "split": split}
    first = build_vectorizer(TEXTS, **settings)
    again = restore_vectorizer(first.get_vocabulary(include_special_tokens=False), **settings)
    texts = [*TEXTS, "quite new 🙂", "很好"]
    assert (np.asarray(first(texts)) == np.asarray(again(texts))).all()


@pytest.mark.tensorflow
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"split": "words"}, "'word' or 'character'"),
        ({"vocabulary_size": 2}, "vocabulary_size must be a whole number of at least 3"),
        ({"vocabulary_size": 9.0}, "vocabulary_size must be a whole number of at least 3"),
        ({"sequence_length": 0}, "sequence_length must be a whole number of at least 1"),
        ({"sequence_length": True}, "sequence_length must be a whole number of at least 1"),
    ],
)
def test_impossible_settings_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        build_vectorizer(TEXTS, **settings)


@pytest.mark.tensorflow
def test_numpy_s_whole_numbers_are_sizes_and_the_length_is_kept():
    vectorizer = build_vectorizer(TEXTS, vocabulary_size=np.int64(4), sequence_length=np.int32(3))
    assert np.asarray(vectorizer(["good tea and more"])).shape == (1, 3)
    assert len(vectorizer.get_vocabulary()) == 4


@pytest.mark.tensorflow
def test_a_vocabulary_of_other_things_than_texts_is_refused():
    with pytest.raises(ValueError, match="vocabulary must hold strings only"):
        restore_vectorizer(["good", 3])


@pytest.mark.tensorflow
def test_texts_of_which_no_token_is_left_are_refused():
    for split in ("word", "character"):
        with pytest.raises(ValueError, match="no token is left"):
            build_vectorizer([":)", ":-("], split=split)


@pytest.mark.tensorflow
def test_a_giant_text_is_counted_without_making_its_neighbours_as_large():
    vectorizer = build_vectorizer(["good tea"])
    giant, widths = "good cocoa " * 100_000, []
    kind = type(vectorizer)

    class Watched(kind):
        def call(self, inputs):
            found = super().call(inputs)
            widths.append(int(np.prod(found.shape)))
            return found

    watched = Watched.from_config(vectorizer.get_config() | {"vocabulary": ["good", "tea"]})
    tokens, unknown = count_tokens(watched, ["tea"] * 63 + [giant] + ["tea"] * 3)
    assert tokens.tolist() == [1] * 63 + [200_000] + [1] * 3
    assert unknown.tolist() == [0] * 63 + [100_000] + [0] * 3
    assert max(widths) == 200_000


@pytest.mark.tensorflow
def test_a_thousand_ids_and_a_hundred_tokens_are_usual():
    words = [f"word{i}" for i in range(999)]
    built = build_vectorizer(words)
    assert len(built.get_vocabulary()) == 1000
    assert np.asarray(built(["word1 " * 200])).shape == (1, 100)
    restored = restore_vectorizer(words[:998])
    assert np.asarray(restored([f"{words[997]} " * 200])).tolist() == [[999] * 100]
    with pytest.raises(ValueError, match="larger than the maximum vocab"):
        restore_vectorizer(words)


@pytest.mark.tensorflow
def test_a_restored_vectorizer_splits_at_spaces_unless_told():
    ids = np.asarray(restore_vectorizer(["good", "tea"])(["Tea, good!"]))
    assert ids[0, :3].tolist() == [3, 2, 0]


@pytest.mark.tensorflow
def test_no_token_at_all_is_no_unknown_one_and_one_token_is_all_or_none():
    vectorizer = build_vectorizer(TEXTS)
    assert unknown_share(vectorizer, ["!!!"]) == 0
    assert unknown_share(vectorizer, ["cocoa"]) == 1
    assert unknown_share(vectorizer, ["tea"]) == 0


@pytest.mark.tensorflow
def test_texts_are_read_sixty_four_at_once_unless_one_is_long():
    read = []
    vectorizer = build_vectorizer(["good tea"])
    kind = type(vectorizer)

    class Watched(kind):
        def call(self, inputs):
            read.append(len(inputs))
            return super().call(inputs)

    watched = Watched.from_config(vectorizer.get_config() | {"vocabulary": ["good", "tea"]})
    for lengths, batches in (
        ([3] * 130, [64, 64, 2]),
        ([2**16] * 9, [4, 4, 1]),  # 2**18 characters, padding included
        ([3, 3, 2**17, 3, 2**18, 3, 2**18 + 1, 3], [2, 2, 1, 1, 1, 1]),
    ):
        read.clear()
        tokens, _ = count_tokens(watched, [("tea " * length)[:length] for length in lengths])
        assert tokens.tolist() == [-(-length // 4) for length in lengths]
        assert read == batches
