"""A GPT for a page goes on as the trained one does, and what cannot be computed is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from companion._common.checking import UsageError
from companion.preprocessing import BytePairTokenizer
from companion.serving import WebWriter, export_web_gpt

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

SIZES = {"sequence_length": 16, "hidden_dim": 16, "num_layers": 2, "num_heads": 4}


@pytest.fixture(scope="module")
def pieces() -> BytePairTokenizer:
    return BytePairTokenizer(270).fit(["to be or not to be, that is the question " * 3])


def built(pieces: BytePairTokenizer, **changes: Any) -> Any:
    import keras

    from companion.models import build_gpt

    keras.utils.set_random_seed(0)
    return build_gpt(pieces.vocabulary_size, **SIZES | changes)


@pytest.fixture(scope="module")
def web(pieces: BytePairTokenizer) -> WebWriter:
    return export_web_gpt(built(pieces), pieces)


def test_a_byte_for_a_weight_hardly_changes_what_comes_next(pieces: BytePairTokenizer) -> None:
    model = built(pieces)
    before = [weights.copy() for weights in model.get_weights()]
    web = export_web_gpt(model, pieces)
    ids = pieces.encode("not to be, that")
    row = np.array([[*ids, *[0] * (16 - len(ids))]])
    logits = np.asarray(model(row), "float64")[0, len(ids) - 1]
    expected = np.exp(logits) / np.exp(logits).sum()
    assert np.abs(web.predict([ids])[0] - expected).max() < 0.01 * expected.max()
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_rows_of_different_lengths_are_read_each_to_its_end(
    web: WebWriter, pieces: BytePairTokenizer
) -> None:
    rows = [pieces.encode(text) for text in ("to be", "or", "that is the question")]
    together = web.predict(rows)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_allclose(web.predict([row])[0], found, rtol=1e-5)
    np.testing.assert_allclose(together.sum(axis=1), 1)


def test_a_form_holds_the_weights_and_shows_each_start_with_what_follows(web: WebWriter) -> None:
    starts = ["to be\n", "or <b>"]
    form = web.ask_text("play", "Write on", "It knows little.", label="A start", examples=starts)
    shown, kept = form._repr_mimebundle_()
    data = json.loads(json.dumps(kept["text/html"]["network"]))
    assert data["examples"] == starts
    assert data["layers"][0]["arrays"] == data["layers"][-2]["arrays"]  # one table, twice
    assert data["bytes"] < 2 * sum(w.size for w in web.model.get_weights())
    assert "or &lt;b&gt;" in shown["text/html"]
    likeliest = web.predict([web.tokenizer.encode(starts[0])]).max()
    assert f"{likeliest:.2f}: to be" in shown["text/plain"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"positions": "learned"}, "rotary positions"),
        ({"gated": True}, "gated=True; it must be False"),
        ({"activation": "relu"}, "activation='relu'; it must be 'gelu'"),
        ({"sequence_length": None}, "must have a sequence length"),
        ({"hidden_dim": 512, "num_layers": 1}, "a page holds 1 to 2,000,000"),
    ],
)
def test_what_the_script_cannot_compute_is_refused(
    pieces: BytePairTokenizer, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_web_gpt(built(pieces, **changes), pieces)


def test_a_tokenizer_with_other_ids_and_another_kind_of_model_are_refused(
    pieces: BytePairTokenizer,
) -> None:
    import keras

    with pytest.raises(UsageError, match="the tokenizer's 257 ids"):
        export_web_gpt(built(pieces), BytePairTokenizer(257))
    with pytest.raises(UsageError, match="not a model of the layers Dense"):
        export_web_gpt(keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]), pieces)


def test_a_start_and_an_example_must_be_there(web: WebWriter) -> None:
    with pytest.raises(ValueError, match="at least one"):
        web.ask_text("play", "Write on", "It knows little.", label="A start", examples=[])
    with pytest.raises(ValueError, match="example"):
        web.ask_text("play", "Write on", "It knows little.", label="A start", examples=["  "])
