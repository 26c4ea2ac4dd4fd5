"""Differential privacy: what one example can change, and what the noise promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq
from scipy.stats import norm

from companion.training import clip_gradients, noise_for_epsilon, private_gradient, spent_epsilon

NORMS = st.floats(0.01, 100)
SEEDS = st.integers(0, 1000)


def gradients(seed: int, number: int = 6) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.normal(0, 3, (number, 2, 3)),
        rng.normal(0, 3, (number, 4)),
        rng.normal(size=number),
    ]


def length(arrays: list[np.ndarray]) -> float:
    return math.sqrt(sum(float((array**2).sum()) for array in arrays))


@given(seed=SEEDS, max_norm=NORMS)
def test_no_example_is_longer_than_allowed_and_none_turns(seed: int, max_norm: float) -> None:
    before = gradients(seed)
    after = clip_gradients(before, max_norm)
    for i in range(6):
        old, new = ([array[i] for array in arrays] for arrays in (before, after))
        assert length(new) == pytest.approx(min(length(old), max_norm))
        factor = length(new) / length(old)
        assert all(np.allclose(n, factor * o) for n, o in zip(new, old, strict=True))


@given(seed=SEEDS, max_norm=NORMS, left_out=st.integers(0, 5))
def test_one_example_moves_the_sum_by_at_most_the_norm(
    seed: int, max_norm: float, left_out: int
) -> None:
    every = gradients(seed)
    fewer = [np.delete(array, left_out, axis=0) for array in every]
    sums = [
        private_gradient(g, max_norm=max_norm, noise_multiplier=0, batch_size=1, rng=rng)
        for g, rng in ((every, np.random.default_rng()), (fewer, np.random.default_rng()))
    ]
    assert length([a - b for a, b in zip(*sums, strict=True)]) <= max_norm * (1 + 1e-9)


@given(seed=SEEDS, max_norm=st.sampled_from([1e9, math.inf]))
def test_without_noise_and_with_a_huge_norm_it_is_the_plain_mean(
    seed: int, max_norm: float
) -> None:
    rng = np.random.default_rng(0)
    found = private_gradient(
        gradients(seed), max_norm=max_norm, noise_multiplier=0, batch_size=6, rng=rng
    )
    for mean, array in zip(found, gradients(seed), strict=True):
        assert np.allclose(mean, array.mean(axis=0), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("max_norm", "noise", "batch_size"), [(1, 2, 5), (0.1, 3, 1), (4, 0.5, 8)])
def test_the_noise_is_as_large_as_it_must_be(
    max_norm: float, noise: float, batch_size: float
) -> None:
    found = private_gradient(
        [np.zeros((0, 100_000))],  # no example was drawn, and the noise must still come
        max_norm=max_norm,
        noise_multiplier=noise,
        batch_size=batch_size,
        rng=np.random.default_rng(0),
    )[0]
    assert found.shape == (100_000,)
    assert found.std() == pytest.approx(noise * max_norm / batch_size, rel=0.02)
    assert abs(found.mean()) < 5 * found.std() / math.sqrt(100_000)


def gaussian_delta(epsilon: float, noise: float) -> float:
    """Balle & Wang, 2018: the exact delta of one sum with normal noise."""
    half = 1 / (2 * noise)
    return float(
        norm.cdf(half - epsilon * noise) - math.exp(epsilon) * norm.cdf(-half - epsilon * noise)
    )


@pytest.mark.parametrize(("noise", "steps"), [(1.0, 1), (2.0, 4), (5.0, 100)])
def test_epsilon_of_whole_batches_is_the_closed_form(noise: float, steps: int) -> None:
    exact = brentq(lambda e: gaussian_delta(e, noise / math.sqrt(steps)) - 1e-5, 0, 100)
    found = spent_epsilon(noise, sample_rate=1.0, num_steps=steps, delta=1e-5)
    assert exact - 1e-6 <= found <= exact * 1.01  # a bound from above, and a tight one


@pytest.mark.parametrize("rate", [0.02, 0.1, 0.5])
def test_epsilon_of_one_drawn_batch_is_the_formula_of_amplification(rate: float) -> None:
    def delta(epsilon: float) -> float:
        return rate * gaussian_delta(math.log1p(math.expm1(epsilon) / rate), 1.0)

    exact = brentq(lambda e: delta(e) - 1e-5, 1e-6, 50)
    found = spent_epsilon(1.0, sample_rate=rate, num_steps=1, delta=1e-5)
    assert exact - 1e-6 <= found <= exact * 1.01


def test_another_accountant_bounds_it_from_above() -> None:
    import dp_accounting
    from dp_accounting.rdp import RdpAccountant

    sampled = dp_accounting.PoissonSampledDpEvent(0.1, dp_accounting.GaussianDpEvent(1.5))
    accountant = RdpAccountant(orders=range(2, 64))
    accountant.compose(dp_accounting.SelfComposedDpEvent(sampled, 100))
    found = spent_epsilon(1.5, sample_rate=0.1, num_steps=100, delta=1e-5)
    assert 0.8 * accountant.get_epsilon(1e-5) < found < accountant.get_epsilon(1e-5)


def test_more_steps_larger_batches_and_less_noise_spend_more() -> None:
    plan = {"sample_rate": 0.1, "num_steps": 10, "delta": 1e-5}
    base = spent_epsilon(1.0, **plan)
    assert base < spent_epsilon(1.0, **plan | {"num_steps": 20})
    assert base < spent_epsilon(1.0, **plan | {"sample_rate": 0.2})
    assert base < spent_epsilon(0.9, **plan)
    assert spent_epsilon(0, **plan) == math.inf


@pytest.mark.parametrize("epsilon", [0.5, 20.0])
def test_the_noise_found_is_just_enough(epsilon: float) -> None:
    plan = {"sample_rate": 0.1, "num_steps": 10, "delta": 1e-5}
    noise = noise_for_epsilon(epsilon, **plan)
    assert spent_epsilon(noise, **plan) <= epsilon < spent_epsilon(0.99 * noise, **plan)


def test_gradients_that_cannot_be_bounded_are_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        clip_gradients([[[1.0, math.nan]]], 1.0)
    with pytest.raises(ValueError, match="the same examples"):
        clip_gradients([np.ones((2, 3)), np.ones((3, 3))], 1.0)
    for bad in (0, -1, math.nan, True, "one"):
        with pytest.raises(ValueError, match="max_norm"):
            clip_gradients([np.ones((2, 3))], bad)
    with pytest.raises(ValueError, match="finite max_norm"):
        private_gradient(
            [np.ones((2, 3))],
            max_norm=math.inf,
            noise_multiplier=1,
            batch_size=2,
            rng=np.random.default_rng(),
        )


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"noise_multiplier": -1}, "noise_multiplier"),
        ({"noise_multiplier": math.nan}, "noise_multiplier"),
        ({"sample_rate": 0}, "sample_rate"),
        ({"sample_rate": 1.5}, "sample_rate"),
        ({"num_steps": 0}, "num_steps"),
        ({"num_steps": 1.5}, "num_steps"),
        ({"delta": 0}, "delta"),
        ({"delta": 1}, "delta"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, float], word: str) -> None:
    plan = {"noise_multiplier": 1.0, "sample_rate": 0.1, "num_steps": 10, "delta": 1e-5} | change
    with pytest.raises(ValueError, match=word):
        spent_epsilon(**plan)


@pytest.mark.tensorflow
class TestExampleGradients:
    def test_their_mean_is_the_gradient_of_the_batch(self) -> None:
        import keras
        import tensorflow as tf

        from companion.models import build_gpt
        from companion.training import build_example_gradients

        keras.utils.set_random_seed(0)
        model = build_gpt(20, 6, hidden_dim=8, num_layers=1, num_heads=2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        rows = np.random.default_rng(0).integers(0, 20, (5, 7)).astype("int32")
        found = build_example_gradients(model, loss)(rows[:, :-1], rows[:, 1:])
        for one in (slice(0, 5), slice(2, 3)):
            with tf.GradientTape() as tape:
                value = loss(rows[one, 1:], model(rows[one, :-1]))
            weights = [variable.value for variable in model.trainable_variables]
            for gradient, each in zip(tape.gradient(value, weights), found, strict=True):
                expected = np.asarray(tf.convert_to_tensor(gradient))
                assert np.allclose(each[one].mean(axis=0), expected, atol=1e-6)
