"""The translator hides what it must, and beam search finds what exhaustive search finds."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.tensorflow

START, END, SIZE, LONGEST = 0, 1, 4, 4


def build(**sizes):
    from companion._common.backend import keras
    from companion.models import build_translator

    keras.utils.set_random_seed(0)
    return build_translator(**({"vocabulary_size": 13, "hidden_dim": 8, "num_heads": 2} | sizes))


@pytest.fixture(scope="module")
def model():
    return build(num_layers=2)


def logits(model, source, target):
    ids = {"source_ids": np.array([source]), "target_ids": np.array([target])}
    return np.asarray(model(ids))[0]


def test_padding_of_the_source_changes_nothing(model):
    short, long = (logits(model, [4, 9] + [0] * n, [2, 3, 4]) for n in (0, 5))
    np.testing.assert_allclose(short, long, atol=1e-5)


def test_a_position_does_not_see_the_targets_after_it(model):
    first, second = (logits(model, [4, 9], [2, 3, last]) for last in (5, 6))
    np.testing.assert_allclose(first[:2], second[:2], atol=1e-6)
    assert np.abs(first[2] - second[2]).max() > 1e-4


def test_every_word_of_the_source_and_its_place_matter(model):
    usual = logits(model, [4, 9, 5], [2, 3])
    for other in ([4, 9, 6], [7, 9, 5], [5, 9, 4]):
        assert np.abs(usual - logits(model, other, [2, 3])).max() > 1e-4


def test_the_parameters_are_those_of_its_parts():
    width, inner, layers = 8, 32, 3
    attention = 4 * (width * width + width) + width
    feed_forward = 2 * width * inner + inner + 2 * width
    blocks = layers * (3 * attention + 2 * feed_forward)
    expected = 13 * width + 2 * 64 * width + blocks + 2 * width
    assert build(num_layers=layers).count_params() == expected


@pytest.mark.parametrize(
    "wrong",
    [{"vocabulary_size": 0}, {"num_layers": 0}, {"num_heads": 3}, {"dropout": 1.0}],
)
def test_sizes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="must"):
        build(**wrong)


def test_attention_over_the_source_sums_to_one_and_leaves_padding_out(model):
    from companion.models import cross_attention

    weights = cross_attention(model, [[4, 9, 5, 0, 0]], [[2, 3]])
    assert weights.shape == (1, 2, 2, 5)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)
    assert weights[..., 3:].max() < 1e-6


def chances(seed):
    """Log probabilities of the next token that depend on the whole beginning."""
    table = np.random.default_rng(seed).dirichlet([0.4] * SIZE, 4096)

    def following(beginnings, tasks):
        codes = (beginnings * SIZE ** np.arange(beginnings.shape[1])).sum(1) * 3 + 1
        return np.log(table[(codes + 7 * tasks) % 4096] + 1e-12)

    return following


def value(following, task, sequence, penalty):
    beginnings, total = [START], 0.0
    for token in sequence:
        total += following(np.array([beginnings]), np.array([task]))[0, token]
        beginnings.append(token)
    return total / len(sequence) ** penalty


def sequences():
    """All sequences that end, or that are cut at the longest length."""
    others = [token for token in range(SIZE) if token != END]
    for length in range(LONGEST):
        yield from ((*words, END) for words in product(others, repeat=length))
    yield from product(others, repeat=LONGEST)


def search(following, tasks, **options):
    from companion.models import beam_search

    ends = {"start_id": START, "end_id": END, "max_tokens": LONGEST}
    return beam_search(following, tasks, **ends, **options)


@given(seed=st.integers(0, 10**6), penalty=st.sampled_from([0.0, 0.7, 1.0]))
@settings(max_examples=25, deadline=None)
def test_a_beam_that_keeps_everything_finds_the_best_of_all_sequences(seed, penalty):
    following = chances(seed)
    found = search(following, 2, beam_width=SIZE**LONGEST, length_penalty=penalty)
    for task, sequence in enumerate(found):
        best = max(value(following, task, s, penalty) for s in sequences())
        whole = tuple(sequence) + ((END,) if len(sequence) < LONGEST else ())
        assert value(following, task, whole, penalty) == pytest.approx(best)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_a_beam_of_one_takes_the_likeliest_token_each_time(seed):
    following, expected = chances(seed), []
    while len(expected) < LONGEST:
        token = int(np.argmax(following(np.array([[START, *expected]]), np.array([0]))))
        if token == END:
            break
        expected.append(token)
    assert search(following, 1, beam_width=1) == [expected]


@given(seed=st.integers(0, 10**6))
@settings(max_examples=25, deadline=None)
def test_tasks_side_by_side_do_not_mix(seed):
    following = chances(seed)
    together = search(following, 3, beam_width=2)
    for task in range(3):
        alone = search(lambda b, t, task=task: following(b, t + task), 1, beam_width=2)
        assert alone == [together[task]]


@pytest.mark.parametrize("width", [1, 3])
def test_a_translation_does_not_depend_on_padding_or_on_its_neighbours(model, width):
    from companion.models import translate_ids

    options = {"start_id": 12, "end_id": 12, "max_tokens": 6, "beam_width": width}
    together = translate_ids(model, [[4, 9, 5, 0], [7, 0, 0, 0]], **options)
    alone = [translate_ids(model, [row], **options)[0] for row in ([4, 9, 5], [7])]
    assert together == alone


@pytest.mark.parametrize(
    "wrong", [{"beam_width": 0}, {"length_penalty": -1.0}, {"length_penalty": float("nan")}]
)
def test_a_search_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match="must be"):
        search(chances(0), 1, **wrong)
