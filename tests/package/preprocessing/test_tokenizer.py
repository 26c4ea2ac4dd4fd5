"""Byte-pair encoding loses nothing, learns what repeats, and refuses what is no text or no id."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.preprocessing import BytePairTokenizer

TEXTS = [
    "the tea is better than the other tea, and the other tea was bitter",
    "这个茶很好，那个茶不好，这个不好，那个很好",
    "aaaa aaa aa 🙂🙂 don't don't 2026 2026\n\n\tthe end",
]
FITTED = BytePairTokenizer(vocabulary_size=300).fit(TEXTS)
ANY_TEXT = st.text(st.characters(), max_size=60)  # lone surrogates included


@given(ANY_TEXT)
def test_every_text_comes_back_exactly(text):
    assert FITTED.decode(FITTED.encode(text)) == text
    unfitted = BytePairTokenizer()
    assert unfitted.decode(unfitted.encode(text)) == text


@given(ANY_TEXT)
def test_pieces_are_never_more_than_bytes_and_never_the_end_of_text(text):
    ids = FITTED.encode(text + "<|endoftext|>")
    assert len(ids) <= len((text + "<|endoftext|>").encode("utf-8", "surrogatepass"))
    assert FITTED.end_id not in ids


def test_the_end_of_text_is_the_last_id_and_can_be_read():
    assert FITTED.end_id == FITTED.vocabulary_size - 1
    assert FITTED.decode([*FITTED.encode("the end"), FITTED.end_id]) == "the end<|endoftext|>"


def learn_slowly(words: list[list[int]], number: int) -> list[tuple[int, int]]:
    """The definition: count all pairs anew before each merge."""
    merges: list[tuple[int, int]] = []
    while len(merges) < number:
        counts = Counter(pair for word in words for pair in pairwise(word))
        best = min(counts, key=lambda pair: (-counts[pair], pair), default=None)
        if best is None or counts[best] < 2:
            break
        for word in words:
            start = 0
            while start < len(word) - 1:
                if (word[start], word[start + 1]) == best:
                    word[start : start + 2] = [256 + len(merges)]
                start += 1
        merges.append(best)
    return merges


@given(st.lists(st.text("aab茶", min_size=1, max_size=12), max_size=12))
def test_the_merges_are_those_of_the_definition(words):
    slow = learn_slowly([list(word.encode()) for word in words], 30)
    assert BytePairTokenizer(287).fit(words).merges == slow


def test_merges_are_made_in_the_order_in_which_they_were_learnt():
    fitted = BytePairTokenizer(vocabulary_size=258).fit(["abab abab ab"])
    assert fitted.vocabulary[256] == b"ab"
    assert [fitted.vocabulary[i] for i in fitted.encode("aabb")] == [b"a", b"ab", b"b"]


@given(ANY_TEXT | st.text("aetho 茶", max_size=40))
def test_a_word_is_merged_as_the_definition_says(text):
    ids = []
    for word in re.findall(r" ?\w{1,24}| ?[^\w\s]{1,24}|\s{1,24}", text):
        symbols = list(word.encode("utf-8", "surrogatepass"))
        for new, pair in enumerate(FITTED.merges, start=256):  # in the order of learning
            start = 0
            while start < len(symbols) - 1:
                if (symbols[start], symbols[start + 1]) == pair:
                    symbols[start : start + 2] = [new]
                start += 1
        ids += symbols
    assert FITTED.encode(text) == ids


def test_a_smaller_vocabulary_is_the_beginning_of_a_larger_one():
    small = BytePairTokenizer(vocabulary_size=270).fit(TEXTS)
    assert small.merges == FITTED.merges[:13]


def test_training_does_not_depend_on_the_order_of_the_texts():
    assert BytePairTokenizer(vocabulary_size=300).fit(TEXTS[::-1]).merges == FITTED.merges


def test_it_stops_when_nothing_repeats():
    fitted = BytePairTokenizer(vocabulary_size=5000).fit(["tea tea"])
    assert fitted.vocabulary_size < 262
    assert BytePairTokenizer().fit([]).merges == []


def test_a_saved_tokenizer_gives_the_same_ids(tmp_path):
    FITTED.save(tmp_path / "tokens.json")
    loaded = BytePairTokenizer.load(tmp_path / "tokens.json")
    assert loaded.vocabulary == FITTED.vocabulary
    assert [loaded.encode(text) for text in TEXTS] == [FITTED.encode(text) for text in TEXTS]


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"merges": [1]}', '{"merges": [["a", 1]]}', '{"merges": [[1]]}']
)
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "tokens.json").write_text(content)
    with pytest.raises(ValueError, match="no file that"):
        BytePairTokenizer.load(tmp_path / "tokens.json")


@pytest.mark.parametrize("pair", [[256, 1], [-1, 1]])
def test_a_merge_of_what_is_not_yet_known_is_refused(tmp_path, pair):
    (tmp_path / "tokens.json").write_text(f'{{"merges": [{pair}]}}')
    with pytest.raises(ValueError, match="damaged: a merge is made of an id that comes later"):
        BytePairTokenizer.load(tmp_path / "tokens.json")


def test_bytes_that_are_no_text_become_a_replacement_character():
    assert FITTED.decode([0xFF, 0x41]) == "\ufffdA"


@pytest.mark.parametrize("size", [0, 256, -1, 1e9, float("nan"), "2000", None])
def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused(size):
    with pytest.raises(ValueError, match="at least 257"):
        BytePairTokenizer(size)


def test_what_is_no_text_and_no_id_is_refused():
    with pytest.raises(ValueError, match=r"\[text\]"):
        FITTED.fit("one text")
    with pytest.raises(ValueError, match=r"list of strings, but texts\[1\] is of type NoneType"):
        BytePairTokenizer().fit(["a", None])
    with pytest.raises(ValueError, match=r"texts\[0\] is of type int"):
        BytePairTokenizer().fit([3])
    with pytest.raises(ValueError, match="not list"):
        FITTED.encode(["a"])
    for wrong in (-1, FITTED.vocabulary_size, 10**9):
        with pytest.raises(ValueError, match="ids are 0 to"):
            FITTED.decode([65, wrong])


def test_texts_can_come_one_by_one():
    assert BytePairTokenizer(vocabulary_size=300).fit(iter(TEXTS)).merges == FITTED.merges
    assert FITTED.merges


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, copy.copy, lambda tokenizer: pickle.loads(pickle.dumps(tokenizer))],
    ids=["deepcopy", "copy", "pickle"],
)
def test_a_copy_is_a_tokenizer_of_its_own(copied):
    first = BytePairTokenizer(vocabulary_size=262).fit(["low lower lowest"])
    before = first.encode("lower banana")
    other = copied(first)
    assert other.encode("lower banana") == before
    first.fit(["banana banana bananas"])
    assert first.encode("lower banana") != before
    assert other.encode("lower banana") == before
    other.fit(["banana " * 9])
    assert other.vocabulary_size <= 262  # it wants as many ids as the original


@pytest.mark.parametrize("size", [np.int64(300), np.int32(300)])
def test_whole_numbers_of_numpy_are_sizes(size):
    assert BytePairTokenizer(size).fit(TEXTS).merges == FITTED.merges


@pytest.mark.parametrize("size", [True, 300.0, "300", None])
def test_what_is_no_whole_number_is_no_size(size):
    with pytest.raises(ValueError, match="vocabulary_size must be a whole number of at least 257"):
        BytePairTokenizer(size)


def test_as_many_ids_are_learnt_as_were_wanted():
    assert FITTED.vocabulary_size == 300
    assert len(FITTED.merges) == 300 - 256 - 1
    assert BytePairTokenizer(257).fit(TEXTS).merges == []
    assert FITTED.end_id == 299


def test_each_merge_is_the_two_pieces_that_it_joins():
    for new, (left, right) in enumerate(FITTED.merges, start=256):
        assert FITTED.vocabulary[new] == FITTED.vocabulary[left] + FITTED.vocabulary[right]
    assert [FITTED.vocabulary[i] for i in range(256)] == [bytes([i]) for i in range(256)]
    assert len(set(FITTED.vocabulary)) == len(FITTED.vocabulary)


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        BytePairTokenizer.load(tmp_path / "none.json")


def test_ids_of_any_kind_of_whole_number_are_read():
    ids = np.array(FITTED.encode("the tea"))
    assert FITTED.decode(ids) == FITTED.decode(iter(ids.tolist())) == "the tea"
    assert FITTED.decode([]) == ""
    assert FITTED.encode("") == []


def test_every_byte_can_be_merged_and_no_piece_is_longer_than_a_word_can_be():
    assert BytePairTokenizer.from_merges([(0, 0)]).vocabulary[256] == b"\0\0"
    doubled = [(97, 97), *((256 + i, 256 + i) for i in range(5))]  # 2, 4 … 64 bytes
    longest = BytePairTokenizer.from_merges([*doubled, (261, 260), (262, 97)])
    assert max(map(len, longest.vocabulary[:-1])) == 97  # a space and 24 characters of four bytes
    with pytest.raises(ValueError, match="98 bytes, more than 97"):
        BytePairTokenizer.from_merges([*doubled, (261, 260), (262, 256)])


def test_two_thousand_ids_are_usual():
    letters = np.random.default_rng(0).choice(list("abcdefghijklmnop"), (600, 8))
    words = ["".join(row) for row in letters]
    assert BytePairTokenizer().fit(words * 2).vocabulary_size == 2_000


def test_a_stored_file_is_the_merges_as_json(tmp_path):
    FITTED.save(tmp_path / "tokens.json")
    stored = json.loads((tmp_path / "tokens.json").read_text(encoding="utf-8"))
    assert stored == {"merges": [list(pair) for pair in FITTED.merges]}


def test_a_tokenizer_of_given_merges_wants_no_more_ids_than_they_make():
    given = BytePairTokenizer.from_merges(np.array([[97, 98], [256, 256]]))
    assert given.merges == [(97, 98), (256, 256)]
    assert {type(i) for pair in given.merges for i in pair} == {int}
    assert given.vocabulary_size == 259
    assert given.fit(["the tea is the tea"] * 9).vocabulary_size == 259


@pytest.mark.parametrize(
    ("word", "ids"),
    [
        ("abcxab", [257, 120, 256]),
        ("abxabcxab", [256, 120, 257, 120, 256]),
        ("ababc", [256, 257]),
        ("cabcx", [99, 257, 120]),
    ],
)
def test_what_a_merge_makes_possible_is_found_at_each_of_its_places(word, ids):
    assert BytePairTokenizer.from_merges([(97, 98), (256, 99)]).encode(word) == ids


@pytest.mark.parametrize("text", ["\0", "a", "a\udcff", "\ud800"])
def test_a_single_byte_and_half_a_character_come_back_too(text):
    assert FITTED.decode(FITTED.encode(text)) == text
