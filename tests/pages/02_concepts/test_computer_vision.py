"""What the page on computer vision claims: its formulas, its kernels, its explorer's answers."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.signal import correlate2d

from companion.data import load_photo
from tools.cells import run_cells

LAYERS = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 3)), min_size=1, max_size=4)
SIDES = st.tuples(st.integers(1, 12), st.integers(1, 12))


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ["convolve", "oriented", "explorer-function", "receptive-field", "parameters-count"]
    cat = load_photo("cat").grey.astype(float)
    import companion

    return run_cells(
        "02_concepts/computer_vision", *cells, np=np, cat=cat, keras=None, companion=companion
    )


@given(image=SIDES, kernel=SIDES, seed=st.integers(0, 1000))
def test_convolution_on_the_page_is_scipys_whatever_the_sizes(
    page: dict[str, Any], image: tuple[int, int], kernel: tuple[int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    small = tuple(min(k, i) for k, i in zip(kernel, image, strict=True))
    x, k = rng.normal(size=image), rng.normal(size=small)
    assert np.allclose(page["convolve"](x, k), correlate2d(x, k, mode="valid"))


@given(layers=LAYERS)
def test_the_formula_of_the_receptive_field_counts_the_pixels_that_matter(
    page: dict[str, Any], layers: list[tuple[int, int]]
) -> None:
    first, last = 0, 0  # what one output of the last layer reads, followed back to the picture
    for kernel, stride in reversed(layers):
        first, last = first * stride, last * stride + kernel - 1
    assert page["receptive_field"](layers) == last - first + 1


@given(height=st.integers(5, 900), width=st.integers(5, 900))
def test_a_convolution_costs_the_same_on_every_picture_and_less_than_a_dense_layer(
    page: dict[str, Any], height: int, width: int
) -> None:
    shared, dense = page["parameters"](height, width)
    assert shared == 8 * 26
    assert dense >= shared


@pytest.mark.parametrize("size", [3, 7, 13, 25])
@pytest.mark.parametrize("angle", [0, 30, 45, 90, 135, -90])
def test_edges_and_lines_are_blind_to_even_light_and_streaks_keep_it(
    page: dict[str, Any], size: int, angle: float
) -> None:
    kernel = page["oriented_kernel"]
    assert abs(kernel("edge", size, angle).sum()) < 1e-9
    assert abs(kernel("line", size, angle).sum()) < 1e-9
    assert kernel("streak", size, angle).sum() == pytest.approx(1)


@given(angle=st.floats(-180, 180))
def test_an_edge_turned_by_half_a_turn_sees_the_opposite(
    page: dict[str, Any], angle: float
) -> None:
    kernel = page["oriented_kernel"]
    assert np.allclose(kernel("edge", 7, angle), -kernel("edge", 7, angle + 180))
    assert np.allclose(kernel("line", 7, angle), kernel("line", 7, angle + 180))


@pytest.mark.parametrize(
    ("kind", "size", "angle", "message"),
    [
        ("edges", 7, 0, "kind must be"),
        (None, 7, 0, "kind must be"),
        *(("edge", size, 0, "size must be") for size in (-3, 0, 4, 7.5, 27, 1e9, float("nan"))),
        *(("edge", 7, angle, "angle must be") for angle in (1e9, float("nan"), float("inf"), "up")),
    ],
)
def test_the_explorer_says_what_is_wrong_with_an_input(
    page: dict[str, Any], kind: Any, size: Any, angle: Any, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        page["filtered"](kind, size, angle)


def test_the_explorers_picture_runs_from_black_to_white(page: dict[str, Any]) -> None:
    [row] = page["filtered"]("edge", 7, 0)["rows"]
    kind, content = row["picture"].split(",")
    greys = np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))
    assert kind == "data:image/png;base64"
    assert (greys.shape, greys.min(), greys.max()) == ((40, 40), 0, 255)


def test_no_test_patch_shares_a_pixel_with_any_other_patch() -> None:
    import companion

    page = run_cells("02_concepts/computer_vision", "textures", np=np, companion=companion)
    side, covered = page["side"], np.zeros((512, 512), dtype=int)
    for row, column in page["tiles"]:
        covered[row : row + side, column : column + side] += 1
    assert covered.max() == 1
    learned = np.zeros((512, 512), dtype=bool)
    for row, column in page["above"].reshape(-1, 2):
        learned[row : row + side, column : column + side] = True
    assert not (learned & (covered > 0)).any()
