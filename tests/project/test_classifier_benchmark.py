"""The benchmark of the classifier: a fair LSTM in NumPy, ratios from raw seconds, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from benchmarks import classifier, lstm_numpy
from companion.data import load_measurements


@pytest.fixture(scope="module")
def evidence() -> dict:
    return load_measurements("classifier_speed")


def test_the_stored_runs_are_every_variant_with_every_seed(evidence: dict) -> None:
    assert evidence["variants"] == classifier.VARIANTS
    measured = set(classifier.VARIANTS) - set(evidence["not_measured"])
    runs = sorted((run["variant"], run["seed"]) for run in evidence["runs"])
    assert runs == sorted((name, seed) for name in measured for seed in classifier.SEEDS)


def test_every_variant_has_a_stage() -> None:
    staged = [name for stage in classifier.STAGES for name in stage]
    assert sorted(staged) == sorted(classifier.VARIANTS)


def test_the_printed_ratios_are_those_of_the_raw_seconds(evidence: dict) -> None:
    def seconds(name: str) -> float:
        return median(run["fit_seconds"] for run in evidence["runs"] if run["variant"] == name)

    for line in classifier.as_table(evidence).splitlines()[1:]:
        name = line[:26].strip()
        if name in classifier.VARIANTS:
            ratio = float(line[34:42])
            assert ratio == pytest.approx(seconds("source") / seconds(name), abs=0.051)
        else:
            assert name.split(":")[0] in evidence["not_measured"]


def test_a_stopped_benchmark_goes_on_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fresh(module: str, engine: str, *arguments: str) -> dict:
        if arguments == ("--profile",):
            return {"step_milliseconds": {}}
        _, name, _, seed = arguments
        asked.append((name, int(seed)))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return {"variant": name, "seed": int(seed), "fit_seconds": 1.0, "accuracy": 0.7}

    asked: list[tuple[str, int]] = []
    monkeypatch.setattr(classifier, "fresh", fresh)
    monkeypatch.setattr(
        classifier, "missing", lambda engine: "no PyTorch" if engine == "torch" else None
    )
    monkeypatch.setattr(classifier, "STAGES", [["source", "fall, torch", "words"]])
    file = tmp_path / "speed.json"
    with pytest.raises(KeyboardInterrupt):
        classifier.main([str(file)])
    classifier.main([str(file)])
    assert asked.count(("source", 0)) == 1
    assert "fall, torch" not in [name for name, _ in asked]
    stored = json.loads(file.read_text())
    assert stored["not_measured"] == {"fall, torch": "no PyTorch"}
    assert len(stored["runs"]) == 6
    monkeypatch.setattr(classifier, "SEEDS", [0, 1, 2, 3])
    monkeypatch.setattr(classifier, "VARIANTS", {})
    with pytest.raises(SystemExit, match="other settings"):
        classifier.main([str(file)])


@pytest.mark.tensorflow
class TestTheLstmInNumpy:
    @pytest.fixture
    def twins(self) -> tuple:
        """Keras's model that masks, and the same weights for NumPy."""
        import keras

        layers = keras.layers
        model = keras.Sequential(
            [
                layers.Input((12,), dtype="int32"),
                layers.Embedding(1000, 64, mask_zero=True),
                layers.LSTM(64),
                layers.Dense(1, activation="sigmoid"),
            ]
        )
        parameters = lstm_numpy.start(np.random.default_rng(3))
        *others, output, offset = parameters
        model.set_weights([*others, output[:, None], offset])
        rng = np.random.default_rng(4)
        lengths = rng.integers(1, 13, 9)
        ids = rng.integers(1, 1000, (9, 12)) * (np.arange(12) < lengths[:, None])
        return model, parameters, ids, lengths

    def test_predicts_what_kerass_does(self, twins: tuple) -> None:
        model, parameters, ids, lengths = twins
        expected = np.asarray(model(ids))[:, 0]
        predicted = lstm_numpy.forward(parameters, ids, lengths)[0]
        np.testing.assert_allclose(predicted, expected, atol=1e-5)

    def test_has_the_gradients_that_kerass_has(self, twins: tuple) -> None:
        import keras

        model, parameters, ids, lengths = twins
        labels = (np.arange(9) % 2).astype("float32")
        before = model.get_weights()
        model.compile(keras.optimizers.SGD(1.0), "binary_crossentropy")
        model.train_on_batch(ids, labels)
        theirs = [old - new for old, new in zip(before, model.get_weights(), strict=True)]
        mine = lstm_numpy.gradients(parameters, ids, lengths, labels)
        for one, other in zip(mine, theirs, strict=True):
            np.testing.assert_allclose(one.ravel(), other.ravel(), atol=1e-6)

    def test_takes_the_steps_that_kerass_adam_takes(self) -> None:
        import keras

        rng = np.random.default_rng(5)
        mine = [rng.normal(size=7).astype("float32")]
        theirs = keras.Variable(mine[0])
        adam, other = lstm_numpy.Adam(mine, 0.01), keras.optimizers.Adam(0.01)
        for _ in range(3):
            slope = rng.normal(size=7).astype("float32")
            adam.step([slope])
            other.apply([keras.ops.array(slope)], [theirs])
        np.testing.assert_allclose(mine[0], np.asarray(theirs), atol=1e-6)
