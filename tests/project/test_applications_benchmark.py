"""What the applications take: each page has its row, and the rows follow from what was timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import applications, runs
from companion.data import load_measurements
from tools.notebooks import ROOT

CHAPTER = ROOT / "book/05_applications"


@pytest.fixture(scope="module")
def evidence() -> dict[str, Any]:
    return load_measurements("applications")


def test_every_page_of_the_chapter_is_measured(evidence: dict[str, Any]) -> None:
    pages = {path.stem for path in CHAPTER.glob("*.ipynb")}
    assert set(applications.STAGES) == pages
    assert set(evidence) - {"command", "date", "versions", "unit"} == pages


@pytest.mark.parametrize("page", applications.STAGES)
def test_the_chapters_opening_has_a_row_of_each_page(page: str) -> None:
    lines = (CHAPTER / "index.md").read_text("utf-8").splitlines()
    (row,) = (line for line in lines if f"measured/applications: {page}[" in line)
    assert row.endswith(f" <{page}>` |")


@pytest.mark.parametrize("page", applications.STAGES)
def test_a_median_lies_in_its_range(page: str, evidence: dict[str, Any]) -> None:
    found = evidence[page]
    assert found["predictions"] >= 20
    for seconds in filter(None, (found["learning"], found["thousand"])):
        assert 0 < seconds["least"] <= seconds["median"] <= seconds["most"]
        assert seconds["runs"] >= 1


def test_what_other_evidence_holds_is_taken_over(evidence: dict[str, Any]) -> None:
    assert evidence["text_to_speech"] == applications.text_to_speech()
    moved = load_measurements("image_recognition")["network"]["copies"]["cpu_seconds"]
    assert evidence["image_recognition"]["learning"] == applications.figures(moved)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=9))
def test_figures_are_within_a_twentieth_of_what_was_timed(seconds: list[float]) -> None:
    found = applications.figures(seconds)
    assert found["runs"] == len(seconds)
    assert found["median"] == pytest.approx(float(np.median(seconds)), rel=0.051)
    assert found["least"] <= found["median"] <= found["most"]


def test_a_call_is_timed_as_often_as_asked_and_its_last_answer_kept() -> None:
    answers = iter("abc")
    seconds, given_last = applications.timed(lambda: next(answers), 3)
    assert len(seconds) == 3
    assert min(seconds) >= 0
    assert given_last == "c"


def test_a_thousand_predictions_take_as_long_as_those_that_were_timed_would() -> None:
    found = applications.row("a clip", 4, [2.0, 4.0, 3.0], None)
    assert found["learning"] is None
    assert found["thousand"] == {"median": 750, "least": 500, "most": 1000, "runs": 3}


def test_a_page_without_learning_has_only_its_predictions(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    page = {"fresh": np.zeros((4, 5, 8, 8)), "best_shift": lambda clips: asked.append(len(clips))}
    monkeypatch.setattr(applications, "cells", lambda *_, **__: page)
    found = applications.video_analysis()
    assert asked == [4] * applications.MORE_ROUNDS
    assert (found["predictions"], found["frames"], found["learning"]) == (4, 5, None)


def test_only_the_pages_that_are_missing_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fresh(*words: str) -> dict[str, Any]:
        asked.append(words[-1])
        return {"one": "a post", "process_seconds": 1.0}

    monkeypatch.setattr(runs, "fresh", fresh)
    file = tmp_path / "file.json"
    applications.main([str(file), "--stage", "sentiment"])
    assert asked == ["sentiment"]
    applications.main([str(file)])
    assert sorted(asked) == sorted(applications.STAGES)
    kept = json.loads(file.read_text("utf-8"))
    assert kept["sentiment"] == {"one": "a post"}
    assert kept["command"] == applications.COMMAND
