"""The benchmark of the small GPT: the same model twice, honest shares, nothing lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpt
from companion.data import load_measurements


@pytest.fixture(scope="module")
def evidence() -> dict:
    return load_measurements("gpt_speed")


def test_the_stored_runs_are_every_variant_and_size_in_every_round(evidence: dict) -> None:
    assert evidence["variants"] == gpt.VARIANTS
    measured = set(gpt.VARIANTS) - set(evidence["not_measured"])
    runs = sorted((run["variant"], run["size"]) for run in evidence["runs"])
    assert runs == sorted((v, s) for v in measured for s in gpt.WIDTHS for _ in range(gpt.ROUNDS))


def test_every_engine_trained_a_model_of_the_same_size(evidence: dict) -> None:
    for size in gpt.WIDTHS:
        counts = {run["parameters"] for run in evidence["runs"] if run["size"] == size}
        assert len(counts) == 1
        assert counts.pop() == pytest.approx(1e6 * float(size[:-1]), rel=0.05)


def test_shares_are_those_of_the_fastest_measured_product(evidence: dict) -> None:
    peak = max(run["peak_gflops"]["float32"] for run in evidence["peaks"])
    lines = gpt.as_table(evidence).splitlines()
    [line] = [one for one in lines if one.startswith("keras  ") and " 3.2M " in one]
    runs = [r for r in evidence["runs"] if (r["variant"], r["size"]) == ("keras", "3.2M")]
    rate = np.median([run["tokens_per_second"] for run in runs])
    flops = gpt.flops_of_training(runs[0]["parameters"], gpt.WIDTHS["3.2M"])
    assert line.split()[-2] == f"{rate * flops / 1e9 / peak:.0%}"
    assert all(run["gflops"] < peak for run in runs)


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [("torch, compiled", 10.0), (gpt.FASTEST, 16.0), ("torch, compiled", 5.0)]
    rounds += [(gpt.FASTEST, 7.0), (gpt.FASTEST, 99.0)]  # the last round is not whole
    runs = [{"variant": name, "size": "3.2M", "tokens_per_second": v} for name, v in rounds]
    lines = list(gpt.round_by_round({"runs": runs}))
    assert lines == [f"{gpt.FASTEST}, 3.2M: 1.60, 1.40 times torch, compiled"]


def test_operations_are_those_of_every_product_counted_one_by_one() -> None:
    width, places, vocabulary = 128, gpt.SEQUENCE, gpt.VOCABULARY
    for_one = 0
    for _ in range(gpt.LAYERS):
        for rows, columns in ((width, 3 * width), (width, width), (width, 4 * width)):
            for_one += 2 * rows * columns
        for_one += 2 * 4 * width * width
    for_one += 2 * width * vocabulary
    pairs = places * (places + 1) / 2  # each place and itself or one before
    attention = gpt.LAYERS * 2 * (2 * width * pairs) / places
    norms = width * (2 * gpt.LAYERS + 1)
    parameters = (for_one // 2) + norms + places * width
    expected = 3 * (for_one + attention)
    assert gpt.flops_of_training(parameters, width) == pytest.approx(expected, rel=0.02)


def test_a_stopped_benchmark_goes_on_and_other_settings_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fresh(module: str, engine: str, *arguments: str) -> dict:
        asked.append(arguments)
        if len(asked) == 4:
            raise KeyboardInterrupt
        if arguments[0] == "--peak":
            return {"engine": engine, "peak_gflops": {"float32": 100.0, "bfloat16": 200.0}}
        _, name, _, size = arguments
        return {"variant": name, "size": size, "tokens_per_second": 50.0, "gflops": 25.0}

    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(gpt, "fresh", fresh)
    monkeypatch.setattr(gpt, "missing", lambda engine: "no torch" if engine == "torch" else None)
    file = tmp_path / "speed.json"
    with pytest.raises(KeyboardInterrupt):
        gpt.main([str(file)])
    gpt.main([str(file)])
    runs = json.loads(file.read_text())["runs"]
    tried = sum(settings["engine"] != "torch" for settings in gpt.VARIANTS.values())
    assert len(runs) == gpt.ROUNDS * len(gpt.WIDTHS) * tried
    said = capsys.readouterr().out
    assert "torch, compiled: not measured. no torch." in said
    assert "25%" in said
    monkeypatch.setattr(gpt, "ROUNDS", 99)
    monkeypatch.setattr(gpt, "COMMAND", "another")
    with pytest.raises(SystemExit, match="other settings"):
        gpt.main([str(file)])


@pytest.mark.tensorflow
@pytest.mark.parametrize(("precision", "rounding"), [("float32", 1e-6), ("bfloat16", 2**-7)])
def test_gelu_by_erf_and_its_slope_are_those_of_gelu(precision: str, rounding: float) -> None:
    import tensorflow as tf

    from companion._common.backend import keras

    x = tf.cast(tf.linspace(-6.0, 6.0, 1001), precision)

    @tf.function(jit_compile=True)
    def both(function):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = function(x)
        return tf.cast(y, tf.float64), tf.cast(tape.gradient(y, x), tf.float64)

    exact = tf.cast(x, tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(exact)
        expected = keras.activations.gelu(exact)
    slope = tape.gradient(expected, exact)
    for found, true in zip(both(gpt.gelu_by_erf), (expected, slope), strict=True):
        np.testing.assert_allclose(found, true, rtol=rounding, atol=rounding)


@pytest.mark.tensorflow
def test_both_models_give_the_same_logits() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.gpt_torch import GPT
    from companion.models import build_gpt

    theirs = GPT(65, 16, 32, 2, 4)
    ours = build_gpt(65, 16, 32, 2, 4, positions="learned")
    weights, kept = ours.get_weights(), ("embedding.weight", "positions.weight")
    with torch.no_grad():
        for (name, parameter), value in zip(theirs.named_parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(value if name in kept else value.T))
    ids = np.random.default_rng(0).integers(0, 65, (2, 16))
    with torch.no_grad():
        expected = theirs(torch.tensor(ids)).numpy()
    np.testing.assert_allclose(np.asarray(ours(ids)), expected, atol=1e-5)
