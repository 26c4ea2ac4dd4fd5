"""A form for a formula stores the slopes of its examples, and refuses what is no formula."""

from __future__ import annotations

import json

import pytest

from companion.serving import WebForm, ask_formula

NEURON = "x = 2\n\nw = 0.5 \nJ = (w * x - 3) ** 2"


def form(**changes: object) -> WebForm:
    parts: dict[str, object] = {"name": "slopes", "title": "Try & see", "note": "Numbers <b>."}
    parts |= {"label": "A formula", "examples": [NEURON, "x = 3; x * x"]} | changes
    return ask_formula(**parts)  # type: ignore[arg-type]


def test_the_table_has_each_example_on_one_line_with_its_slopes() -> None:
    assert form().table == [
        ("x = 2; w = 0.5; J = (w * x - 3) ** 2", "x: -2.000, w: -8.000"),
        ("x = 3; x * x", "x: 6.000"),
    ]
    assert form().head == ("A formula", "Slopes")


def test_the_page_gets_the_examples_as_they_were_typed_and_texts_are_escaped() -> None:
    shown, kept = form()._repr_mimebundle_()
    data = json.loads(json.dumps(kept["text/html"]["network"]))
    assert data["kind"] == "formula"
    assert data["examples"] == [NEURON, "x = 3; x * x"]
    assert "Try &amp; see" in shown["text/html"]
    assert "<b>" not in shown["text/html"]
    assert form(examples=["x = 4; x"]).data["sha256"] != data["sha256"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"examples": []}, "no example"),
        ({"examples": ["x = 1; log(-x)"]}, "The result of log"),
        ({"name": "Not a name"}, "Not a name"),
        ({"label": " "}, "label"),
        ({"title": ""}, "title"),
    ],
)
def test_a_form_that_cannot_be_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        form(**changes)
