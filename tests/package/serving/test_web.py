"""A network for a page answers as the trained one does, and what cannot be computed is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from companion._common.checking import UsageError
from companion.serving import WebForm, WebModel, export_web

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]

ROWS = np.random.default_rng(0).integers(0, 20, (50, 6))
PICTURES = np.random.default_rng(0).random((9, 8, 8, 1), np.float32)


@pytest.fixture(scope="module")
def words() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [keras.Input((6,)), layers.Embedding(20, 5), layers.LSTM(4)]
    return keras.Sequential([*parts, layers.Dense(1, activation="sigmoid")])


@pytest.fixture(scope="module")
def pictures() -> Any:
    import keras

    keras.utils.set_random_seed(0)
    layers = keras.layers
    parts = [keras.Input((8, 8, 1)), layers.Conv2D(3, 5, 2, padding="same", activation="relu")]
    parts += [layers.Flatten(), layers.Dropout(0.3), layers.Dense(10), layers.Softmax()]
    return keras.Sequential(parts)


@pytest.fixture(scope="module")
def review(words: Any) -> WebForm:
    examples = {"a <b> & c": ROWS[0], "two": ROWS[1]}
    return export_web(words).ask_words(
        "review",
        "Ask & see",
        "It knows <little>.",
        label="A review",
        words=["a", "b"],
        classes=("no", "yes"),
        examples=examples,
    )


def test_a_byte_for_a_weight_hardly_changes_an_answer(words: Any, pictures: Any) -> None:
    for model, inputs in ((words, ROWS), (pictures, PICTURES)):
        before = [weights.copy() for weights in model.get_weights()]
        web = export_web(model)
        assert np.abs(web.predict(inputs) - model.predict(inputs, verbose=0)).max() < 0.01
        for old, new, rounded in zip(
            before, model.get_weights(), web.model.get_weights(), strict=True
        ):
            assert np.array_equal(old, new)
            assert np.abs(old - rounded).max() <= np.abs(old).max() / 254 + 1e-7


def test_an_export_takes_about_a_byte_for_a_weight(pictures: Any) -> None:
    web = export_web(pictures)
    assert isinstance(web, WebModel)
    kinds = [layer["kind"] for layer in web.as_json()["layers"]]
    assert kinds == ["Conv2D", "Flatten", "Dense", "Softmax"]
    columns = 3 + 10  # each with a scale and a bias of four bytes
    assert web.as_json()["bytes"] == 25 * 3 + 48 * 10 + 8 * columns


def test_a_column_of_zeros_stays_zero(words: Any) -> None:
    model = type(words).from_config(words.get_config())
    table, *others = words.get_weights()
    model.set_weights([0 * table, *others])
    assert not export_web(model).model.get_weights()[0].any()


@pytest.mark.parametrize(
    ("parts", "problem"),
    [
        (
            lambda layers: [layers.Embedding(9, 2, mask_zero=True)],
            "mask_zero=True; it must be False",
        ),
        (lambda layers: [layers.Embedding(9, 2), layers.GRU(2)], "no layer 'GRU'; it knows Conv2D"),
        (
            lambda layers: [layers.Dense(2, activation="tanh")],
            "activation 'tanh'; it must be one of",
        ),
        (lambda layers: [layers.Dense(2, use_bias=False)], "use_bias=False; it must be True"),
        (lambda layers: [layers.Softmax()], "take 0 bytes; a page holds 1 to 2,000,000"),
        (lambda layers: [layers.Embedding(1_000_000, 2)], "a page holds 1 to 2,000,000"),
    ],
)
def test_what_the_script_cannot_compute_is_refused(parts: Any, problem: str) -> None:
    import keras

    model = keras.Sequential([keras.Input((6,)), *parts(keras.layers)])
    with pytest.raises(UsageError, match=problem):
        export_web(model)


def test_what_is_no_network_is_refused() -> None:
    with pytest.raises(UsageError, match="Build and train it first"):
        export_web("a path")


def test_the_weights_travel_beside_the_form_and_not_in_it(review: WebForm) -> None:
    data, metadata = review._repr_mimebundle_()
    network = metadata["text/html"]["network"]
    assert network["weights"] not in json.dumps(data)
    assert json.loads(json.dumps(network))["examples"] == ["a <b> & c", "two"]
    assert "Ask & see" in data["text/plain"]


def test_a_form_shows_its_examples_answers_and_escapes_every_text(
    review: WebForm, words: Any
) -> None:
    page = review.to_html()
    assert "<b>" not in page
    assert "It knows &lt;little&gt;." in page
    for answer in export_web(words).predict(ROWS[:2]).ravel():
        assert f"<td>{answer:.3f}</td>" in page


def test_a_form_of_pictures_has_their_pixels(pictures: Any) -> None:
    web = export_web(pictures)
    form = web.ask_picture(
        "digit", "Draw", "Digits only.", label="A digit", examples={"one": PICTURES[0, ..., 0]}
    )
    assert form.data["shape"] == [8, 8]
    assert form.table[0][1].startswith(str(web.predict(PICTURES[:1]).argmax()))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "No Name"}, "No Name"),
        ({"title": " "}, "title"),
        ({"note": ""}, "note"),
        ({"label": ""}, "label"),
        ({"examples": {}}, "no example"),
        ({"examples": {"a": np.zeros(8)}}, "pictures of shape"),
        ({"examples": {"a": np.zeros((200, 200))}}, "fewer or smaller"),
    ],
)
def test_a_form_without_its_parts_is_refused(
    pictures: Any, change: dict[str, Any], problem: str
) -> None:
    parts: dict[str, Any] = {"name": "a", "title": "b", "note": "c", "label": "d"}
    parts |= {"examples": {"one": PICTURES[0, ..., 0]}} | change
    with pytest.raises(ValueError, match=problem):
        export_web(pictures).ask_picture(**parts)
