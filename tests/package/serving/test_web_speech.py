"""A recogniser for a page hears as the trained one does, and what cannot be computed is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from companion._common.checking import UsageError
from companion.serving import WebForm, WebRecognizer, export_web_speech

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

WORDS = ["no", "yes", "agent"]


def built(num_words: int = 3, **sizes: Any) -> Any:
    import keras

    from companion.models import build_speech_recognizer

    keras.utils.set_random_seed(0)
    return build_speech_recognizer(num_words, **{"frames": 80, "hidden_dim": 16} | sizes)


@pytest.fixture(scope="module")
def web() -> WebRecognizer:
    return export_web_speech(built(), WORDS)


def noise(samples: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 0.1, samples)


def form(web: WebRecognizer, **changes: Any) -> WebForm:
    parts: dict[str, Any] = {"name": "voice", "title": "Try <b>", "note": "It knows little."}
    examples = {"a hiss & more": noise(8_000), "silence": np.zeros(8_000)}
    parts |= {"label": "A recording", "examples": examples} | changes
    return web.ask_sound(**parts)


def test_a_byte_for_a_weight_hardly_changes_what_is_heard(web: WebRecognizer) -> None:
    model = built()
    before = [weights.copy() for weights in model.get_weights()]
    found = export_web_speech(model, WORDS).predict([noise(8_000)])
    scores = np.asarray(model(web.spectrograms([noise(8_000)])), np.float64)
    expected = np.exp(scores) / np.exp(scores).sum(axis=-1, keepdims=True)
    assert np.abs(found - expected).max() < 0.02
    np.testing.assert_allclose(found.sum(axis=-1), 1)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_spectrogram_is_that_of_the_task_and_what_is_too_long_is_cut(web: WebRecognizer) -> None:
    from companion.tasks import SpeechRecognizer

    task = SpeechRecognizer("ctc", seconds=0.8)
    sounds = [noise(9_000), 3 * noise(5_001, 1)]
    np.testing.assert_allclose(
        web.spectrograms(sounds),
        task._spectrograms([s.astype("float32") for s in sounds]),
        atol=1e-5,
    )
    assert web.longest == 12_800
    long, cut = web.spectrograms([noise(90_000), noise(90_000)[:12_800]])
    np.testing.assert_array_equal(long, cut)


def test_repeats_are_joined_and_blanks_left_out(
    web: WebRecognizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps = np.eye(4)[[[0, 2, 2, 0, 2, 1, 3, 3], [1, 1, 1, 0, 0, 0, 0, 1], [0] * 8]]
    monkeypatch.setattr(WebRecognizer, "predict", lambda self, sounds: steps)
    assert web.hear([noise(1_000)] * 3) == ["yes yes no agent", "no no", ""]


def test_a_form_holds_weights_and_sounds_and_shows_what_is_written(web: WebRecognizer) -> None:
    shown, kept = form(web)._repr_mimebundle_()
    data = json.loads(json.dumps(kept["text/html"]["network"]))
    assert (data["kind"], data["frames"], data["bands"]) == ("speech", 80, 40)
    assert data["words"] == WORDS
    assert data["bytes"] < 2 * sum(weights.size for weights in web.model.get_weights())
    kinds = [layer["kind"] for layer in data["layers"]]
    assert kinds == ["Conv1D", "Conv1D", *["ResidualConv1D"] * 3, "StepShares"]
    assert [layer.get("dilation") for layer in data["layers"]] == [1, 1, 1, 2, 4, None]
    sounds = [np.frombuffer(base64.b64decode(one), "<i2") / 32_768 for one in data["sounds"]]
    np.testing.assert_allclose(sounds[0], noise(8_000), atol=1e-4)
    assert "a hiss &amp; more" in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    written = [said or "nothing" for said in web.hear(sounds)]
    assert [answer for _, answer in form(web).table] == written


def test_a_model_of_another_kind_or_with_other_words_is_refused() -> None:
    import keras

    with pytest.raises(UsageError, match="not a model of the layers Dense"):
        export_web_speech(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), WORDS)
    with pytest.raises(UsageError, match="not a model of the layers none"):
        export_web_speech(None, WORDS)
    with pytest.raises(UsageError, match="4 scores; with 2 words and the blank it must have 3"):
        export_web_speech(built(), WORDS[:2])
    with pytest.raises(UsageError, match="a page holds 1 to 2,000,000"):
        export_web_speech(built(hidden_dim=384), WORDS)
    other = built().get_config()
    for layer in other["layers"]:
        if layer["class_name"] == "Conv1D":
            layer["config"]["activation"] = "relu"
    with pytest.raises(UsageError, match="activation='relu'; it must be 'gelu'"):
        export_web_speech(keras.Model.from_config(other), WORDS)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"examples": {}}, "no example"),
        ({"examples": {"long": noise(12_801)}}, "12,801 samples, and 12,800 are heard"),
        ({"examples": {"none": []}}, r"not of shape \(0,\)"),
        ({"examples": {"stereo": noise(8_000).reshape(-1, 2)}}, "average the channels"),
        (
            {"examples": dict(enumerate([noise(12_800)] * 9))},
            "115,200 samples; a page holds 112,500",
        ),
        ({"examples": {"not finite": np.full(900, np.nan)}}, "finite numbers"),
        ({"name": "Not a name"}, "Not a name"),
        ({"label": " "}, "label"),
    ],
)
def test_a_form_that_cannot_be_is_refused(
    web: WebRecognizer, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        form(web, **changes)
