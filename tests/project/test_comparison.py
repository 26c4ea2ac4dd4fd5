"""Trained numbers may move by one unit of the last printed digit, and nothing else may move."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import ArrayLike

from companion.data.recordings import wav_bytes
from tests.project.sample import code, display, write_notebook
from tools.comparison import differences, output_differences, trained_parts
from tools.margins import Formatted, is_narrow, narrow
from tools.notebooks import Node, Notebook
from tools.running import longest_first, recorded_seconds

ONE_UNIT = [
    ("0.781", "0.782"),
    ("right in 78 % of them", "right in 79 % of them"),
    ("78%", "77%"),
    ("9.99", "10.00"),
    ("loss   9.99", "loss  10.00"),
    ("−0.1 to +0.8 %", "−0.2 to +0.9 %"),
    ("−0.0", "0.0"),
    ("1,234 dollars", "1,235 dollars"),
    ("1.23e-05", "1.24e-05"),
    ("0.78, 0.5", "0.781, 0.5"),
    ('{"y":[0.999,0.5]}', '{"y":[1,0.501]}'),
]
FAULTS = {
    "two units": ("0.781", "0.783"),
    "a digit before the last": ("0.781", "0.791"),
    "another sign": ("0.781", "-0.781"),
    "a swapped label": ("cat 0.78, dog 0.64", "dog 0.78, cat 0.64"),
    "swapped numbers": ("cat 0.78, dog 0.64", "cat 0.64, dog 0.78"),
    "another digit that was read": ("it reads 7", "it reads 8"),
    "one of few things more": ("3 of 12 failed", "4 of 12 failed"),
    "a share that is none": ("78 %", "78"),
    "another word": ("0.78 right", "0.78 wrong"),
    "a number more": ("0.78", "0.78 0.78"),
    "another product": ("GPT-2", "GPT-3"),
    "a name with digits": ("layer12", "layer13"),
    "another colour": ("#0072B2", "#0073B2"),
    "two units of a whole number": ("1,234", "1,236"),
    "another power of ten": ("1.23e-05", "1.23e-06"),
    "another column": ("a 0.78", "a  0.78"),
}


@pytest.mark.parametrize(("stored", "shown"), ONE_UNIT)
def test_a_trained_number_may_move_by_one_unit_and_no_other_may(stored: str, shown: str) -> None:
    assert differences(stored, shown, trained=True) == []
    assert differences(shown, stored, trained=True) == []
    assert differences(stored, shown)


def sound(samples: ArrayLike, *, sample_rate: int = 16_000) -> str:
    """A page's player of samples from -1 to 1."""
    wav = wav_bytes(np.asarray(samples, float), sample_rate=sample_rate)
    return f'<audio src="data:audio/wav;base64,{base64.b64encode(wav).decode()}"></audio> 5 words'


TONE = 0.5 * np.sin(np.arange(800) / 5)
OTHER_SOUNDS = {
    "a click": sound(TONE + 0.001 * (np.arange(800) == 400)),
    "a little louder": sound(1.01 * TONE),
    "one sample late": sound(np.roll(TONE, 1)),
    "upside down": sound(-TONE),
    "shorter": sound(TONE[:-1]),
    "faster": sound(TONE, sample_rate=22_050),
    "silence": sound(0 * TONE),
    "none": " 5 words",
    "another word beside it": sound(TONE).replace("words", "hours"),
}


def test_a_sound_may_differ_by_what_nobody_hears() -> None:
    steps = np.random.default_rng(0).integers(-2, 3, len(TONE))
    assert differences(sound(TONE), sound(TONE + steps / 32_768)) == []


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("other", OTHER_SOUNDS)
def test_another_sound_is_found(other: str, trained: bool) -> None:
    assert differences(sound(TONE), OTHER_SOUNDS[other], trained=trained)
    assert differences(OTHER_SOUNDS[other], sound(TONE), trained=trained)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found_in_a_trained_cell_too(fault: str) -> None:
    stored, shown = FAULTS[fault]
    assert differences(stored, shown, trained=True)
    assert differences(shown, stored, trained=True)
    assert differences(stored, shown)


@given(st.decimals(-1000, 1000, places=3), st.integers(-30, 30))
def test_only_the_neighbours_of_a_number_are_forgiven(number: Decimal, units: int) -> None:
    stored, shown = (f"at {number + Decimal(move).scaleb(-3):.3f}" for move in (0, units))
    forgiven = differences(stored, shown, trained=True) == []
    assert forgiven == (abs(units) <= 1 or stored == shown)


@pytest.mark.parametrize(
    ("stored", "shown", "safe"),
    [
        ("0.781", "0.784", "0.78"),
        ("0.781", "0.797", "0.8"),
        ("78.4%", "78.2%", "78%"),
        ("1,234", "1,231", "1230"),
        ("0.4", "-3.2", "none"),
    ],
)
def test_a_difference_names_both_values_and_the_digits_that_are_safe(
    stored: str, shown: str, safe: str
) -> None:
    (found,) = differences(f"it is {stored} here", f"it is {shown} here")
    assert found == (stored, shown, safe)
    assert str(found) == f"{stored!r}, then {shown!r}; safe digits: {safe}"


def test_a_text_that_differs_is_told_by_its_line() -> None:
    (found,) = differences("one\ntwo cats\nthree", "one\ntwo dogs\nthree")
    assert found[:2] == ("two cats", "two dogs")


def test_words_of_pictures_are_compared_and_pixels_are_not() -> None:
    old, new = [display(png="a", text="0.5 at 1")], [display(png="b", text="0.5 at 1")]
    assert list(output_differences(old, new, trained=False)) == []
    assert list(output_differences(old, [display(png="a", text="0.6 at 1")], trained=False))
    assert list(output_differences(old, [display(png="a", text="0.7 at 1")], trained=True))


def test_a_missing_and_a_further_output_are_found() -> None:
    one = code("a", "", "0.5\n").outputs
    assert list(output_differences(one, [], trained=True))
    assert list(output_differences([], one, trained=True))
    assert list(output_differences(one, [*one, display(text="0.5")], trained=True))


def tagged(id: str, source: str) -> Node:
    return code(id, source, tags=["trained"])


def parts(*cells: Node) -> Any:
    return trained_parts(cells)


def test_numbers_in_prose_are_as_lenient_as_the_cell_that_computes_them() -> None:
    found = parts(
        code("count", "reviews = 4\nshare = 0.5"),
        tagged("fit", "import numpy as np\nshare, loss = fit()\nhistory = [x for x in y]"),
    )
    assert found.cells == {"fit"}
    assert all(map(found.binds, ["share:.0%", "max(loss, 1):.2f", "history[-1]"]))
    assert not any(map(found.binds, ["reviews", "np.pi:.2f", "x"]))


def test_the_last_cell_that_binds_a_name_decides() -> None:
    assert not parts(tagged("fit", "share = fit()"), code("fixed", "share = 0.5")).binds("share")


def test_an_explorer_of_trained_values_is_lenient_and_another_one_is_not() -> None:
    shown = "explorer = Explorer('a', 'b', {function}, [])\nexplorer.show()"
    found = parts(
        tagged("fit", "model = fit()"),
        code("function", "def answer(x):\n    return model(x)\n\ndef exact(x):\n    return x"),
        code("plain", "print(model)"),
        code("one", shown.format(function="answer")),
        code("other", shown.format(function="exact")),
    )
    assert found.cells == {"fit", "one"}


def test_where_an_explorer_is_only_shown_its_definition_decides() -> None:
    shown = code("show", "explorer.show()")
    shown.outputs = [Node(output_type="display_data", data={"text/html": '<p class="explorer">'})]
    found = parts(tagged("define", "explorer = Explorer('a', 'b', fit(), [])"), shown)
    assert found.cells == {"define", "show"}


@pytest.mark.parametrize(
    ("one", "other", "spec", "expected"),
    [
        (0.7849, 0.7848, ".2f", True),  # the boundary is nearer than three spreads
        (0.7841, 0.7840, ".2f", False),
        (0.785, 0.785, ".2f", False),  # no spread: every machine computes this
        (0.7849, 0.7848, ".0%", True),
        (0.7849, 0.7848, ".1%", False),
        (1234.49, 1234.48, ",.0f", True),
        (1234.40, 1234.39, ",.0f", False),
        (1.2349e-5, 1.2348e-5, ".2e", True),
        (float("nan"), 0.5, ".2f", False),
    ],
)
def test_a_number_near_a_rounding_boundary_is_told(
    one: float, other: float, spec: str, expected: bool
) -> None:
    assert is_narrow(one, other, spec) is expected
    assert is_narrow(other, one, spec) is expected


def test_a_narrow_number_is_named_once_with_its_place_and_values() -> None:
    first = [Formatted("fit", ".2f", 0.7849)] * 3 + [Formatted("fit", ".2f", 0.5)]
    second = [Formatted("fit", ".2f", 0.7848)] * 3 + [Formatted("fit", ".2f", 0.5)]
    ((place, what),) = narrow(first, second)
    assert place == "fit"
    assert "0.7849 and 0.7848 print as 0.78 and 0.78" in what


@pytest.mark.parametrize(
    ("old", "measured", "recorded"),
    [(None, 7.6, 8), (10, 14.0, 10), (10, 7.0, 10), (10, 16.0, 16), (10, 6.0, 6), (None, 0.1, 1)],
)
def test_the_recorded_time_moves_only_when_it_moved_much(
    old: float | None, measured: float, recorded: float
) -> None:
    assert recorded_seconds(measured, old) == recorded


def test_the_longest_pages_and_those_never_run_come_first(tmp_path: Path) -> None:
    times = {"short": 5.0, "new": None, "long": 60.0}
    pages = [
        Notebook(write_notebook(tmp_path / f"{name}.ipynb", [], seconds), tmp_path)
        for name, seconds in times.items()
    ]
    assert [page.path.stem for page in longest_first(pages)] == ["new", "long", "short"]
