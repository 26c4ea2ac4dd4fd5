"""A sound on a page carries its own data and the words that say what is heard."""

from __future__ import annotations

import numpy as np
import pytest

from companion import teaching


def test_without_a_notebook_its_words_are_printed(capsys) -> None:
    teaching.play(np.zeros(800), "A twentieth of a second of <silence>.")
    assert capsys.readouterr().out == (
        "Sound of 0.1 seconds: A twentieth of a second of <silence>.\n"
    )


@pytest.mark.parametrize(
    ("samples", "alt", "message"),
    [
        (np.zeros(0), "Nothing.", "shape"),
        (np.zeros(50_001), "Too long for a page.", "shorter piece"),
        (np.zeros((2, 10)), "Two channels.", "shape"),
        ([np.nan], "No number.", "finite"),
        (np.zeros(10), " ", "alt"),
    ],
)
def test_what_cannot_be_played_is_refused(samples, alt: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        teaching.play(samples, alt)
