"""A picture is told from its mirror image, a moved and another one, not from a fresh drawing."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageChops, ImageOps

from tests.project.sample import display
from tools.notebooks import ROOT, Notebook, notebooks
from tools.pictures import differences, pictures

BOOK = [notebook for notebook in notebooks(ROOT) if notebook.code]


def opened(png: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(png))).convert("L")


def stored(image: Image.Image) -> str:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=0)
    return base64.b64encode(file.getvalue()).decode()


def found(source: str, old: str, new: str, **options: Any) -> list[str]:
    return differences(source, [display(png=old)], [display(png=new)], **options)


def moved(image: Image.Image, pixels: int) -> Image.Image:
    return ImageChops.offset(image, pixels, 0)


@pytest.mark.slow
@pytest.mark.parametrize("notebook", BOOK, ids=lambda notebook: notebook.key)
def test_every_picture_of_the_book_is_told_from_its_mirror_images_only(notebook: Notebook) -> None:
    for cell in notebook.code:
        for png in pictures(cell.outputs):
            image = opened(png)
            assert found(cell.source, png, png) == []
            if "stable=0" in cell.source:
                continue  # trained weights: only quite another picture is found
            assert found(cell.source, png, stored(ImageOps.mirror(image))), cell.id
            assert found(cell.source, png, stored(ImageOps.flip(image))), cell.id


def picture(id: str, page: str) -> tuple[str, str]:
    """A cell's code and its stored picture."""
    (cell,) = [c for c in Notebook(ROOT / "book" / f"{page}.ipynb").code if c.id == id]
    return cell.source, pictures(cell.outputs)[0]


@pytest.mark.parametrize("stable", ["", ", stable=3"])
def test_a_swapped_a_moved_and_a_missing_picture_are_found(stable: str) -> None:
    _, png = picture("growth-figure", "01_background/history")
    _, other = picture("bowl-figure", "03_algorithms/gradient_descent")
    source, image = f"show(fig{stable})", opened(png)
    assert found(source, png, stored(opened(other).resize(image.size)))
    assert found(source, png, stored(moved(image, image.width // 20)))
    assert "pixels" in found(source, png, other)[0]
    assert "stores 1 pictures, a run shows 0" in differences(source, [display(png=png)], [])[0]
    assert "stores 0 pictures" in differences(source, [], [display(png=png)])[0]


def test_quite_another_picture_is_found_where_no_point_is_told() -> None:
    _, png = picture("growth-figure", "01_background/history")
    _, other = picture("forward-figure", "03_algorithms/forward_and_loss")
    resized = stored(opened(other).resize(opened(png).size))
    assert found("show(fig, stable=0)", png, resized)


def test_finer_lines_and_slightly_lighter_letters_are_no_other_picture() -> None:
    source, png = picture("growth-figure", "01_background/history")
    image = opened(png)
    assert found(source, png, stored(moved(image, 1))) == []
    assert found(source, png, stored(image.point(lambda shade: min(shade + 12, 255)))) == []


def test_where_outputs_are_ignored_only_the_size_of_the_picture_counts() -> None:
    source, png = picture("growth-figure", "01_background/history")
    mirrored = stored(ImageOps.mirror(opened(png)))
    assert found(source, png, mirrored, compare=False) == []
    assert found(source, png, stored(opened(png).resize((50, 50))), compare=False)


def test_digits_in_another_order_are_another_picture() -> None:
    """Their words are the same: an image of numbers, with one lowest, mean and highest value."""
    source, png = picture("digits-figure", "03_algorithms/six_steps")
    image = opened(png)
    ink = np.asarray(image) < 128
    columns = np.flatnonzero(ink.any(axis=0))
    parts = np.array_split(np.arange(columns[0], columns[-1] + 1), 10)
    backwards = image.copy()
    for place, part in enumerate(reversed(parts)):
        strip = image.crop((part[0], 0, part[-1] + 1, image.height))
        backwards.paste(strip, (int(parts[place][0]), 0))
    assert found(source, png, stored(backwards))


def test_what_is_no_picture_is_compared_as_it_is_stored() -> None:
    no_picture = base64.b64encode(json.dumps(str(Path("a"))).encode()).decode()
    assert found("", no_picture, no_picture) == []
    assert found("", no_picture, base64.b64encode(b"other").decode())
