"""What the page on scaling out computes by itself: a ring's bytes, and the plan of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from companion import data, economics, facts
from tools.cells import run_cells

CASES = [("H100", 512, 512), ("B200", 4096, 2048)]


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    start = {"np": np, "facts": facts, "devices": economics.load_devices()}
    cells = ("ring", "seventy", "plan", "plan-time", "explore-function")
    return run_cells("06_tools/scaling_out", *cells, **start)


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_a_ring_that_is_played_through_sends_what_the_formula_says(
    page: dict[str, Any], workers: int
) -> None:
    vectors = np.random.default_rng(0).normal(size=(workers, 4 * workers))
    pieces = [list(np.split(vector, workers)) for vector in vectors]
    sent = 0
    for turn in range(2 * (workers - 1)):  # the first half adds, the second hands on
        moving = [(w, (w - turn) % workers) for w in range(workers)]
        copies = [pieces[w][piece].copy() for w, piece in moving]
        for (w, piece), copy in zip(moving, copies, strict=True):
            after = pieces[(w + 1) % workers]
            after[piece] = after[piece] + copy if turn < workers - 1 else copy
            sent += copy.nbytes
    for own in pieces:
        np.testing.assert_allclose(np.concatenate(own), vectors.sum(axis=0))
    assert sent / workers == pytest.approx(page["ring_bytes"](vectors[0].nbytes, workers))


def test_splitting_the_state_divides_it_by_the_gpus_and_leaves_the_activations(
    page: dict[str, Any],
) -> None:
    whole, split = (page["memory"](1, 1, kept, gpus=64) for kept in (False, True))
    assert split["state"] == pytest.approx(whole["state"] / 64)
    assert split["activations"] == whole["activations"]
    assert whole["state"] == economics.training_bytes(70e9)


@pytest.mark.parametrize(("gpu", "gpus", "sequences"), CASES)
def test_a_pipeline_waits_for_the_known_share_of_its_turns(
    page: dict[str, Any], gpu: str, gpus: int, sequences: int
) -> None:
    parts = page["step_seconds"](gpu, gpus, sequences, 8, 8, False)
    busy = parts["computing"] + parts["adding"]
    pieces = sequences * 64 / gpus
    assert parts["waiting"] / (busy + parts["waiting"]) == pytest.approx(7 / (pieces + 7))
    assert page["step_seconds"](gpu, gpus, sequences, 8, 1, False)["waiting"] == 0


@pytest.mark.parametrize(("gpu", "gpus", "sequences"), CASES)
def test_gpus_share_the_computing_and_send_the_gradients_all_the_same(
    page: dict[str, Any], gpu: str, gpus: int, sequences: int
) -> None:
    few = page["step_seconds"](gpu, gpus, sequences, 1, 1, True)
    many = page["step_seconds"](gpu, 2 * gpus, sequences, 1, 1, True)
    assert many["computing"] == pytest.approx(few["computing"] / 2)
    assert many["averaging"] == pytest.approx(few["averaging"], rel=0.01)
    copies = page["step_seconds"](gpu, gpus, sequences, 1, 1, False)
    assert few["averaging"] == pytest.approx(1.5 * copies["averaging"])


def test_a_plan_without_a_sequence_for_each_copy_is_no_plan(page: dict[str, Any]) -> None:
    state = page["explore"]("H100", 4096, 128, "split state")
    assert {row["s"] for row in state["rows"]} == {0.0}
    assert "fewer sequences" in state["readouts"]["Plan"]
    enough = page["explore"]("H100", 4096, 128, "tensor 8, pipeline 8")
    assert min(row["s"] for row in enough["rows"]) > 0


def test_the_stored_measurement_has_every_case_in_every_round() -> None:
    speed = data.load_measurements("scaling_out")["speed"]
    cases = [
        sorted((row["processes"], row["batch_size"]) for row in turn) for turn in speed["rounds"]
    ]
    assert len(cases) > 2
    assert all(case == cases[0] for case in cases)
    assert all(min(row["step_seconds"]) > 0 for turn in speed["rounds"] for row in turn)
    alone = [row["sent_bytes"] for turn in speed["rounds"] for row in turn if row["processes"] == 1]
    assert set(alone) == {0}


def test_a_busy_core_changed_no_loss_and_every_case_took_its_turn() -> None:
    unequal = data.load_measurements("scaling_out")["unequal"]
    cases = [
        sorted((row["processes"], row["shared"]) for row in turn) for turn in unequal["rounds"]
    ]
    assert len(cases) > 2
    assert all(case == [(1, False), (1, True), (2, False), (2, True)] for case in cases)
    assert all(row["losses_same"] for turn in unequal["rounds"] for row in turn)
    assert 0 < unequal["losses_differ"] < 1e-4


def test_the_stored_kills_end_as_the_training_that_nobody_disturbed() -> None:
    kills = data.load_measurements("scaling_out")["kills"]
    for row in kills["rows"]:
        assert row["losses_same"], row
        assert row["numbers_differ"] == 0, row
        assert row["first_step"] % kills["settings"]["every"] == 0
