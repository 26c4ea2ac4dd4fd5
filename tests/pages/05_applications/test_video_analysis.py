"""What the page on video claims: its cuts, its motion, its clips with a known truth."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import data
from tools.cells import run_cells

pytest.importorskip("av")

PAGE = "05_applications/video_analysis"


@pytest.fixture(scope="module")
def start() -> dict[str, Any]:
    frames = data.load_clip("bikes", width=64).frames
    return {"np": np, "frames": frames, "clip": None, "grey": frames.mean(axis=-1)}


@pytest.fixture(scope="module")
def moving() -> dict[str, Any]:
    digits = data.load_digits(4000, 1000)
    images = np.concatenate([digits.train.x, digits.test.x])
    labels = np.concatenate([digits.train.y, digits.test.y])
    small = images.reshape(-1, 14, 2, 14, 2).mean(axis=(2, 4))
    return run_cells(PAGE, "clips", "views-code", np=np, labels=labels, small=small)


@pytest.mark.parametrize("shift", [(0, 0), (2, -3), (-4, 4), (1, 0)])
def test_a_picture_that_was_moved_as_a_whole_moves_alike_in_every_inner_block(
    shift: tuple[int, int], start: dict[str, Any]
) -> None:
    rng = np.random.default_rng(0)
    before = rng.random((40, 56))
    page = run_cells(PAGE, "block-matching", **start)
    found = page["block_motion"](before, np.roll(before, shift, (0, 1)))
    assert (found == shift).all()


def test_a_threshold_midway_parts_the_changes_it_was_made_from(start: dict[str, Any]) -> None:
    page = run_cells(PAGE, "changes", "threshold", **start)
    values = np.array([0.1, 0.9, 0.2, 0.7])
    threshold, gap = page["midway"](values, [2, 4])
    assert np.isclose(threshold, 0.45)
    assert np.isclose(gap, 0.5)


def test_the_shift_that_fits_best_is_the_way_the_digit_moves(moving: dict[str, Any]) -> None:
    film, directions = moving["clips"](0, range(10), [1, 2, 3], 100, noise=0.0)
    places = np.argmax(moving["correlations"](film), axis=1)
    shifts = np.stack([places // 7 - 3, places % 7 - 3], axis=1)
    assert (np.sign(shifts) == moving["STEPS"][directions]).mean() > 0.95


def test_the_middle_frame_is_placed_alike_whatever_the_direction(moving: dict[str, Any]) -> None:
    film, directions = moving["clips"](0, range(10), [1, 3], 300, noise=0.0)
    rows = np.arange(40)[:, None]
    heights = (film[:, 2] * rows).sum(axis=(1, 2)) / film[:, 2].sum(axis=(1, 2))
    by_direction = [heights[directions == d].mean() for d in range(8)]
    assert np.ptp(by_direction) < 6  # of 14 rows that it may be moved
