"""A language model's learning rate rises along a line and falls along half a cosine."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.tensorflow

STEPS = st.integers(20, 5000)
PEAKS = st.floats(1e-5, 1.0)
SHARES = st.floats(0, 1)


def rates(num_steps, peak, final_share, steps):
    from companion.training import build_gpt_optimizer

    schedule = build_gpt_optimizer(num_steps, peak, final_share).get_config()["learning_rate"]
    from companion._common.backend import keras

    found = keras.optimizers.schedules.deserialize(schedule)
    return [float(found(step)) for step in steps]


@settings(max_examples=8)
@given(num_steps=STEPS, peak=PEAKS, final_share=SHARES, part=st.floats(0, 1))
def test_the_first_twentieth_rises_along_a_line_from_zero(num_steps, peak, final_share, part):
    rising = num_steps // 20
    step = int(part * rising)
    first, found, top = rates(num_steps, peak, final_share, [0, step, rising])
    assert first == 0
    assert found == pytest.approx(peak * step / rising, rel=1e-4, abs=1e-9)
    assert top == pytest.approx(peak, rel=1e-4)


@settings(max_examples=8)
@given(num_steps=STEPS, peak=PEAKS, final_share=SHARES, part=st.floats(0, 1))
def test_the_rest_falls_along_half_a_cosine_to_the_share_that_is_left(
    num_steps, peak, final_share, part
):
    rising = num_steps // 20
    step = rising + int(part * (num_steps - rising))
    cosine = (1 + math.cos(math.pi * (step - rising) / (num_steps - rising))) / 2
    found, last, later = rates(num_steps, peak, final_share, [step, num_steps, 2 * num_steps])
    expected = peak * (final_share + (1 - final_share) * cosine)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-6 * peak)
    assert last == later == pytest.approx(peak * final_share, rel=1e-3, abs=1e-6 * peak)


@settings(max_examples=8)
@given(num_steps=st.integers(1, 5000), peak=PEAKS, final_share=SHARES)
def test_no_rate_is_negative_or_above_the_peak(num_steps, peak, final_share):
    steps = [0, 1, num_steps // 2, num_steps - 1, num_steps, 10 * num_steps]
    found = rates(num_steps, peak, final_share, steps)
    assert all(0 <= rate <= peak * (1 + 1e-6) for rate in found)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 0.1, 0.1), "num_steps"),
        ((1.5, 0.1, 0.1), "num_steps"),
        ((100, 0.0, 0.1), "peak"),
        ((100, -0.1, 0.1), "peak"),
        ((100, float("nan"), 0.1), "peak"),
        ((100, float("inf"), 0.1), "peak"),
        ((100, 0.1, -0.1), "final_share"),
        ((100, 0.1, 1.1), "final_share"),
        ((100, 0.1, float("nan")), "final_share"),
    ],
)
def test_a_schedule_that_makes_no_sense_is_refused(arguments, message):
    from companion.training import build_gpt_optimizer

    with pytest.raises(ValueError, match=message):
        build_gpt_optimizer(*arguments)
