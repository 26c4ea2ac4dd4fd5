from __future__ import annotations

import math
from functools import cache
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure

from companion.economics import ThresholdValue
from companion.teaching import (
    PALETTE,
    describe,
    figure,
    label_lines,
    large_number,
    plot_calibration,
    plot_learning_curve,
    plot_threshold_value,
    show,
)
from companion.teaching.words.numbers import number, round_significant, spread

mpl.use("Agg")
few = settings(max_examples=25, deadline=None)
# Three digits exactly: what is told of such a value is the value.
exact = st.integers(-999, 999).map(lambda n: n / 1000)


@cache
def shared_axes() -> Any:
    return Figure().subplots()  # making new ones for every example would take most of the time


def drawn(*series: Any, xlabel: str = "", ylabel: str = "") -> str:
    axes = shared_axes()
    axes.set(xlabel=xlabel, ylabel=ylabel)
    lines = [axes.plot(range(len(values)), values, label=label) for label, values in series]
    text = describe(axes.figure)
    for (line,) in lines:
        line.remove()
    return text


@pytest.fixture
def displayed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What reaches a notebook: one entry for each display, its metadata included."""
    shown: list[dict[str, Any]] = []

    def display(data: dict[str, Any], *, raw: bool, metadata: dict[str, Any]) -> None:
        assert raw
        shown.append({**data, "metadata": metadata})

    monkeypatch.setattr("companion._common.display._shell", object)
    monkeypatch.setattr("IPython.display.display", display)
    return shown


@few
@given(st.floats(1e-300, 1e300), st.booleans(), st.integers(1, 9))
def test_a_rounded_number_is_right_to_its_digits(x: float, negative: bool, digits: int) -> None:
    x = -x if negative else x
    assert math.isclose(float(number(x, digits)), x, rel_tol=0.5001 * 10 ** (1 - digits))


@few
@given(st.integers(-999_999, 999_999))
def test_a_whole_number_below_a_million_is_told_in_full(n: int) -> None:
    assert number(n, 1) == number(float(n), 1) == str(n)


@few
@given(st.floats(allow_nan=False, allow_infinity=False, width=32), st.integers(1, 9))
def test_rounding_twice_is_rounding_once(x: float, digits: int) -> None:
    once = round_significant(x, digits)
    assert round_significant(once, digits) == once
    assert math.copysign(1, once) == 1 or once < 0  # no minus zero


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.0, "0"), (float("nan"), "no value"), (-math.inf, "minus infinity"), (1.2e7, "1.2e7")],
)
def test_unusual_numbers_have_names(value: float, text: str) -> None:
    assert number(value, 3) == text


WORDS = {" trillion": "e12", " billion": "e9", " million": "e6", " × 10": "e", ",": ""}
LOWERED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")


@few
@given(st.floats(-1e30, 1e30, allow_nan=False), st.integers(1, 5))
def test_a_large_number_says_the_rounded_value(value: float, digits: int) -> None:
    text = large_number(value, digits)
    for word, sign in WORDS.items():
        text = text.replace(word, sign)
    said = float(text.translate(LOWERED))
    assert said == pytest.approx(float(f"{value:.{digits - 1}e}"), rel=1e-12, abs=1e-300)


@pytest.mark.parametrize(
    ("value", "text"),
    [(999_999, "1.0 million"), (-2.5e9, "-2.5 billion"), (0, "0.0"), (1.4e8, "140 million")],
)
def test_a_large_number_is_said_as_people_say_it(value: float, text: str) -> None:
    assert large_number(value) == text


@pytest.mark.parametrize(("value", "digits"), [(math.nan, 2), (math.inf, 2), (1.0, 0)])
def test_no_words_for_what_is_no_number(value: float, digits: int) -> None:
    with pytest.raises(ValueError, match="must be finite"):
        large_number(value, digits)


@few
@given(st.lists(exact, min_size=1, max_size=12), st.data())
def test_any_changed_value_changes_the_words(values: list[float], data: st.DataObject) -> None:
    changed = values.copy()
    index = data.draw(st.integers(0, len(values) - 1))
    changed[index] = data.draw(exact.filter(lambda v: v != values[index]))
    assert drawn(("a", values)) != drawn(("a", changed))


@few
@given(st.lists(exact, min_size=1, max_size=40), st.floats(-1, 1))
def test_another_machines_last_bits_do_not_change_the_words(
    values: list[float], noise: float
) -> None:
    noisy = [v * (1 + noise * 1e-7) + noise * 1e-12 * max(map(abs, values)) for v in values]
    assert drawn(("a", values)).split("Lowest")[0] == drawn(("a", noisy)).split("Lowest")[0]


@few
@given(st.permutations([("a", [1, 2]), ("b", [2, 3]), ("c", [3, 1])]))
def test_drawing_order_only_reorders_the_sentences(series: list[Any]) -> None:
    assert sorted(drawn(*series).splitlines()) == sorted(
        drawn(("a", [1, 2]), ("b", [2, 3]), ("c", [3, 1])).splitlines()
    )


def test_swapped_labels_change_the_words() -> None:
    assert drawn(("a", [1, 2]), ("b", [2, 3])) != drawn(("b", [1, 2]), ("a", [2, 3]))


def test_swapped_axis_titles_change_the_words() -> None:
    assert drawn(("a", [1, 2]), xlabel="u", ylabel="v") != drawn(
        ("a", [1, 2]), xlabel="v", ylabel="u"
    )


def test_a_long_series_is_sampled_and_bounded() -> None:
    text = drawn(("a", np.arange(101) / 1000))
    assert "101 points, among them 0 at 0; 0.014 at 14;" in text
    assert "Lowest 0, mean 0.05, highest 0.1." in text


def test_a_change_between_the_sampled_points_shows_in_the_mean() -> None:
    values = np.ones(100)
    changed = np.where(np.arange(100) == 50, 1.9, 1)
    assert drawn(("a", values)) != drawn(("a", changed))


def test_the_mean_of_numbers_that_cancel_is_told_no_finer_than_they_are() -> None:
    assert spread([1, -1, 0.00123], 3) == "Lowest -1, mean 0, highest 1."


def test_stable_leaves_out_everything_after_the_first_points() -> None:
    fig, axes = figure()
    (line,) = axes.plot([1, 2, 3, 4], [0.5, 0.6, 0.7, 0.8], label="run")
    best = axes.axvline(4)
    label_lines(axes)
    before = describe(fig, stable=2)
    line.set_ydata([0.5, 0.6, -9, 9])
    axes.texts[0].xy = (4, 9)
    best.set_xdata([3, 3])
    assert describe(fig, stable=2) == before
    line.set_ydata([0.5, 0.1, 0.7, 0.8])
    assert describe(fig, stable=2) != before


def draw(method: str, *args: Any, **options: Any) -> str:
    axes = Figure().subplots()
    getattr(axes, method)(*args, **options)
    return describe(axes.figure).split("without a title.")[-1].strip()


@pytest.mark.parametrize(
    ("method", "args", "options", "text"),
    [
        ("step", ([1, 2], [3, 4]), {}, "Steps, 2 points: 3 at 1; 4 at 2."),
        ("plot", ([1], [3], "o"), {}, "Points, 1 point: 3 at 1."),
        ("plot", ([1, 2], [3, np.nan]), {}, "Line, 2 points: 3 at 1; no value at 2."),
        ("plot", ([1, 2], [0.3, 1e-17]), {}, "Line, 2 points: 0.3 at 1; 0 at 2."),
        ("plot", ([], []), {}, "Line, no points."),
        ("axhline", (0.5,), {"label": "chance"}, 'Horizontal line "chance" at 0.5.'),
        ("axvline", (3,), {}, "Vertical line at 3."),
        ("axline", ((0, 1),), {"slope": 2}, "Straight line through 1 at 0, slope 2."),
        ("axhspan", (1, 2), {}, "Shade from 1 to 2 on the vertical axis."),
        ("axvspan", (1, 2), {}, "Shade from 1 to 2 on the horizontal axis."),
        ("bar", ([1, 2], [3, 4]), {"label": "n"}, 'Bars "n", 2 points: 3 for 1; 4 for 2.'),
        ("barh", ([1, 2], [3, 4]), {}, "Bars, 2 points: 3 for 1; 4 for 2."),
        ("bar", ([1], [3]), {"bottom": [2]}, "Bars, 1 point: 3 for 1 above 2."),
        ("hist", ([1, 1, 2],), {"bins": 2}, "Bars, 2 points: 2 from 1 to 1.5; 1 from 1.5 to 2."),
        ("stairs", ([3, 4], [0, 1, 2]), {}, "Steps, 2 points: 3 from 0 to 1; 4 from 1 to 2."),
        ("scatter", ([1, 2], [3, 4]), {}, "Points, 2 points: 3 at 1; 4 at 2."),
        ("hlines", ([1, 2], 0, [3, 4]), {}, "Line segments, 2 points: 0 to 3 at 1; 0 to 4 at 2."),
        ("vlines", ([1, 2], 0, [3, 4]), {}, "Line segments, 2 points: 0 to 3 at 1; 0 to 4 at 2."),
        ("fill_between", ([1, 2], [3, 4], 1), {}, "Band, 2 points: 1 to 3 at 1; 1 to 4 at 2."),
        ("fill_betweenx", ([1, 2], [3, 4], 1), {}, "Band, 2 points: 1 to 3 at 1; 1 to 4 at 2."),
        ("pie", ([1, 3],), {}, "Slice, 0.25 of the circle.\nSlice, 0.75 of the circle."),
        ("imshow", ([[1, 2], [3, 4]],), {}, "Image of 2 by 2 values, row 0: 1, 2; row 1: 3, 4."),
        ("pcolormesh", ([[1, 2]],), {}, "Image of 1 by 2 values, row 0: 1, 2."),
        ("text", (1, 0.5, "here"), {}, 'Text "here" at 1, 0.5.'),
        ("annotate", ("top", (1, 2)), {"xytext": (3, 4)}, 'Text "top" at 1, 2.'),
    ],
)
def test_every_kind_of_drawing_has_words(
    method: str, args: Any, options: dict[str, Any], text: str
) -> None:
    assert text in draw(method, *args, **options)


def test_error_bars_are_told_with_their_points() -> None:
    text = draw("errorbar", [1, 2], [0.7, 0.8], yerr=[[0.1, 0.2], [0.2, 0.1]], label="seeds")
    assert text.splitlines() == [
        'Line "seeds", 2 points: 0.7 at 1; 0.8 at 2.',
        "Error bars, 2 points: 0.6 to 0.9 at 1; 0.6 to 0.9 at 2.",
    ]


def test_sizes_and_colours_of_points_are_told() -> None:
    text = draw("scatter", [1, 2], [3, 4], s=[10, 20], c=[0.5, 0.6])
    assert "3 at 1 (size 10) (colour 0.5); 4 at 2 (size 20) (colour 0.6)." in text


@pytest.mark.parametrize("change", [np.transpose, np.flipud, np.fliplr])
def test_a_turned_image_has_other_words(change: Any) -> None:
    image = np.arange(100).reshape(10, 10) ** 2
    assert draw("imshow", image) != draw("imshow", change(image))


def test_names_of_categories_and_dates_are_told() -> None:
    assert "658 for great; 342 for other" in draw("bar", ["great", "other"], [658, 342])
    days = np.array(["2020-01-01", "2023-06-01"], dtype="datetime64[D]")
    assert "1 at 2020-01-01; 2 at 2023-06-01" in draw("plot", days, [1, 2])


def test_scale_limits_direction_and_units_of_an_axis_are_told() -> None:
    axes = Figure().subplots()
    axes.set(xscale="log", ylim=(1, 0), ylabel="Share", xlabel="Size")
    axes.yaxis.set_major_formatter("{x:.0%}")
    assert describe(axes.figure) == (
        "Horizontal axis: Size, log scale. "
        'Vertical axis: Share, shown from 0 to 1, reversed, 1 is written "100%".'
    )


def test_panels_titles_legends_and_colour_scales_are_told() -> None:
    fig = Figure()
    left, right = fig.subplots(ncols=2)
    left.set_title("Counts")
    left.plot([1, 2], label="a")
    left.legend()
    fig.colorbar(right.imshow([[1, 2]]), label="Weight")
    lines = describe(fig).splitlines()
    assert lines[0] == "Panel 1 of 2: Counts."
    assert "Legend: a." in lines
    assert lines[-1] == "Image of 1 by 2 values, colour scale Weight, row 0: 1, 2."


def test_what_is_hidden_is_not_told() -> None:
    axes = Figure().subplots()
    (line,) = axes.plot([1, 2])
    assert "Line" in describe(axes.figure)
    line.set_visible(False)
    assert "Line" not in describe(axes.figure)


@pytest.mark.parametrize("method", ["table", "hexbin", "quiver", "stem"])
def test_a_drawing_without_words_is_refused(method: str) -> None:
    args = {"table": ([["1"]],), "hexbin": ([1, 2], [1, 2]), "quiver": ([1], [1])}
    with pytest.raises(ValueError, match="words"):
        draw(method, *args.get(method, ([1, 2],)))


def test_describing_leaves_the_figure_as_it_was() -> None:
    axes = Figure().subplots()
    axes.errorbar([1], [2], yerr=1, label="seeds")
    assert describe(axes.figure) == describe(axes.figure)
    assert axes.lines[0].get_label() == "_nolegend_"


def test_show_displays_one_picture_with_its_words(displayed: list[dict[str, Any]]) -> None:
    fig, axes = figure(width=3, height=2)
    axes.plot([1, 2], [3, 4])
    show(fig, "It rises.")
    (output,) = displayed
    assert set(output) == {"image/png", "text/plain", "metadata"}
    assert output["text/plain"] == f"It rises.\n{describe(fig)}"
    assert output["image/png"].startswith("iVBORw0KGgo")  # a PNG in base 64
    assert output["metadata"] == {"image/png": {"width": 288}}


def test_show_closes_a_figure_of_pyplot(capsys: pytest.CaptureFixture[str]) -> None:
    fig, axes = plt.subplots()
    axes.plot([1, 2])
    show(fig, "It rises.", digits=2)
    assert not plt.fignum_exists(fig.number)
    assert capsys.readouterr().out.startswith("It rises.\n")


@pytest.mark.parametrize(
    ("alt", "options", "word"),
    [("", {}, "alt"), ("x", {"digits": 0}, "digits"), ("x", {"stable": -1}, "stable")],
)
def test_show_says_which_argument_is_wrong(alt: str, options: dict[str, int], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        show(Figure(), alt, **options)


def test_a_figure_of_the_house_has_its_colours_and_leaves_matplotlibs_settings_alone() -> None:
    before = dict(plt.rcParams)
    _, axes = figure(ncols=2)
    (line,) = axes[1].plot([1, 2])
    assert line.get_color() == PALETTE[0]
    assert dict(plt.rcParams) == before
    with pytest.raises(ValueError, match="width=0"):
        figure(width=0)


def test_labels_at_line_ends_do_not_overlap() -> None:
    fig, axes = figure()
    for i in range(4):
        axes.plot([0, 1], [0, 1 + i / 100], label=f"run {i}")
    axes.plot([0, 1], [0, 3])  # without a label, so without a text
    label_lines(axes)
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert [t.get_text() for t in axes.texts] == [f"run {i}" for i in range(4)]
    assert all(low.y1 <= high.y0 for low, high in pairwise(boxes))


@pytest.mark.parametrize("end", [0.05, 0.5])
def test_labels_moved_apart_stay_around_their_lines_and_above_the_axis(end: float) -> None:
    fig, axes = figure()
    axes.set_ylim(0, 1)
    for i in range(3):
        axes.plot([0, 1], [0, end], label=f"run {i}")
    label_lines(axes)
    fig.canvas.draw()
    boxes = [text.get_window_extent() for text in axes.texts]
    axis, line = axes.transData.transform([(1, 0), (1, end)])[:, 1]
    middle = (boxes[0].y0 + boxes[-1].y1) / 2
    assert math.isclose(middle, line, abs_tol=3) == (end == 0.5)
    assert boxes[0].y0 > axis - boxes[0].height


@pytest.mark.parametrize(
    ("label", "words"),
    [
        (r"$x_1\ x_2$", "x1 x2"),
        (r"Variance of $q \cdot k$", "Variance of q·k"),
        (r"divided by $\sqrt{d}$", "divided by √d"),
        (r"$\mathdefault{10^{-3}}$", "10^-3"),
        (r"$2\lambda$", "2 lambda"),
        (r"from \$5 to \$6", "from $5 to $6"),
        ("Value ($)", "Value ($)"),
    ],
)
def test_a_formula_is_told_without_its_tex(label: str, words: str) -> None:
    assert f"Horizontal axis: {words}." in drawn(xlabel=label)


def test_a_learning_curve_marks_the_best_epoch() -> None:
    metrics = {"loss": [0.9, 0.5, 0.3], "val_loss": [0.8, 0.6, 0.7]}
    history = SimpleNamespace(history=metrics, best_epoch=2)
    text = describe(plot_learning_curve(history, "loss"))
    assert 'Line "training", 3 points: 0.9 at 1; 0.5 at 2; 0.3 at 3.' in text
    assert 'Line "validation", 3 points: 0.8 at 1; 0.6 at 2; 0.7 at 3.' in text
    assert "Vertical line at 2." in text
    with pytest.raises(ValueError, match=r"Recorded: loss\."):
        plot_learning_curve(history)


def test_a_calibration_plot_shows_observed_against_predicted() -> None:
    bins = SimpleNamespace(predicted=[0.2, 0.8], observed=[0.1, 0.7], counts=[30, 10])
    text = describe(plot_calibration(bins))
    assert "Horizontal axis: Predicted probability" in text
    assert "Points, 2 points: 0.1 at 0.2 (size 387); 0.7 at 0.8 (size 137)." in text


def test_a_threshold_plot_marks_the_best_threshold() -> None:
    value = ThresholdValue(np.array([0, 0.5, 1]), np.array([-10.0, 20, 0]), 0.5, 20.0)
    text = describe(plot_threshold_value(value))
    assert "Line, 3 points: -10 at 0; 20 at 0.5; 0 at 1." in text
    assert "Points, 1 point: 20 at 0.5." in text
    assert 'Text "best threshold 0.50"' in text


@pytest.mark.parametrize(("highest", "kept"), [(8000, False), (400, True)])
def test_small_ticks_of_a_log_axis_have_numbers_only_where_there_is_room(
    highest: float, kept: bool
) -> None:
    fig, axes = figure(width=4)
    axes.plot([125, highest], [1, 2])
    axes.set(xscale="log")
    show(fig, "A line.")
    labels = [label.get_text() for label in axes.get_xticklabels(minor=True)]
    assert any(labels) == kept
