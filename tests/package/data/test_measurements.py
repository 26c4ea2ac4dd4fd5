"""Stored results of long runs: they say how they were made, and the command still makes them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import companion
from companion.data import load_measurements

NAMES = sorted(path.stem for path in (Path(companion.__file__).parent / "data/measured").iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_each_says_what_makes_it_anew(name: str) -> None:
    assert load_measurements(name)["command"].startswith(("python -m benchmarks.", "companion "))


def test_an_unknown_name_gets_a_close_one() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'scaling_sweep'\? Allowed: "):
        load_measurements("scaling_swep")
    with pytest.raises(ValueError, match=r"'quite another'; Allowed: .*'scaling_sweep'"):
        load_measurements("quite another")


def test_the_sweep_is_a_full_grid_of_runs() -> None:
    runs = load_measurements("scaling_sweep")["runs"]
    sizes = {(run["layers"], run["width"]) for run in runs}
    amounts = {run["training_bytes"] for run in runs}
    assert len(sizes) >= 7
    assert len(runs) == len(sizes) * len(amounts)


@pytest.mark.tensorflow
class TestSweep:
    def test_rows_overlap_by_the_byte_that_is_predicted_next(self) -> None:
        from companion.training.sweep import SEQUENCE_LENGTH, sequences

        text = "".join(chr(33 + i % 90) for i in range(5 * SEQUENCE_LENGTH + 1))
        rows = sequences(text)
        assert rows.shape == (5, SEQUENCE_LENGTH + 1)
        assert np.array_equal(rows[1:, 0], rows[:-1, -1])
        assert bytes([*rows[:, :-1].ravel(), rows[-1, -1]]).decode() == text

    def test_the_learning_rate_rises_and_ends_at_zero(self) -> None:
        from companion.training import build_gpt_optimizer

        optimizer = build_gpt_optimizer(200, 0.01, final_share=0)
        rates = []
        for step in range(201):
            optimizer.iterations.assign(step)
            rates.append(float(optimizer.learning_rate))
        assert np.argmax(rates) == 10
        assert rates[10] == pytest.approx(0.01)
        assert rates[200] == pytest.approx(0, abs=1e-9)
        assert np.all(np.diff(rates[:11]) > 0)
        assert np.all(np.diff(rates[10:]) < 0)

    def test_the_first_weights_do_not_hang_on_a_backends_random_numbers(self) -> None:
        from companion.training.sweep import draw_weights

        models = [companion.models.build_gpt(256, 8, 16, 1, num_heads=1) for _ in range(2)]
        before = [np.asarray(weight) for weight in models[0].trainable_variables]
        for model in models:
            draw_weights(model, seed=3)
        for one, other, old in zip(
            *(model.trainable_variables for model in models), before, strict=True
        ):
            assert np.allclose(one, other, rtol=0.3)  # only their spread is Keras's own
            assert (np.ptp(one) > 0) == (np.ptp(old) > 0)

    def test_it_goes_on_where_it_stopped_and_refuses_other_settings(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from benchmarks import scaling_sweep
        from companion.training import sweep

        def train(layers: int, width: int, training_bytes: int) -> dict[str, int]:
            asked.append(training_bytes)
            if len(asked) == 2:
                raise KeyboardInterrupt
            return {"layers": layers, "width": width, "training_bytes": training_bytes}

        asked: list[int] = []
        monkeypatch.setattr(sweep, "train_on_bytes", train)
        monkeypatch.setattr(scaling_sweep, "SIZES", [(1, 16)])
        file = tmp_path / "sweep.json"
        with pytest.raises(KeyboardInterrupt):
            scaling_sweep.main([str(file)])
        scaling_sweep.main([str(file)])
        assert asked == [500_000, 1_000_000, 1_000_000, 2_000_000]
        assert len(json.loads(file.read_text())["runs"]) == 3
        monkeypatch.setattr(sweep, "BATCH_SIZE", 4)
        with pytest.raises(SystemExit, match="other settings"):
            scaling_sweep.main([str(file)])

    @pytest.mark.parametrize(
        ("arguments", "word"),
        [((0, 16, 8192), "layers=0"), ((1, 20, 8192), "width=20"), ((1, 16, 10**9), "must lie")],
    )
    def test_a_size_out_of_range_says_what_is_allowed(
        self, arguments: tuple[int, int, int], word: str
    ) -> None:
        with pytest.raises(ValueError, match=word):
            companion.training.train_on_bytes(*arguments)
