"""The page of questions: its answers can be linked, are short, and its bills add up."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import economics, facts
from tools.cells import run_cells
from tools.notebooks import ROOT, Notebook

PAGE = Notebook(ROOT / "book" / "08_faq" / "faq.ipynb", ROOT)
ANSWER = re.compile(r"^\((?P<label>faq-[a-z-]+)\)=\n## (?P<question>[^\n]+)\n\n(?P<text>[^\n]+)")
ANSWERS = {
    found["label"]: found
    for cell in PAGE.nb.cells
    if cell.cell_type == "markdown" and (found := ANSWER.match(cell.source))
}
AMOUNTS = st.integers(min_value=0, max_value=10_000_000)


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    cells = ["bills", "api-bill", "break-even", "payback-code", "open-weights", "chain"]
    return run_cells("08_faq/faq", *cells, economics=economics, facts=facts, np=np, math=math)


def test_the_opening_links_every_question_once_and_nothing_else() -> None:
    plan = next(cell.source for cell in PAGE.nb.cells if cell.id == "plan")
    linked = re.findall(r"\{ref\}`[^`]*<(faq-[a-z-]+)>`", plan)
    assert len(linked) >= 24
    assert sorted(linked) == sorted(ANSWERS)


@pytest.mark.parametrize("label", ANSWERS)
def test_an_answer_has_three_sentences_and_a_number(label: str) -> None:
    assert ANSWERS[label]["question"].endswith("?")
    text = re.sub(r"<!--.*?-->", "#", ANSWERS[label]["text"])
    assert "#" in text
    assert len(re.split(r"(?<=[.?!]) +(?=[A-Z])", text)) == 3


def test_every_answer_names_a_page_or_an_answer_to_go_on_with() -> None:
    places = {label: found.string for label, found in ANSWERS.items()}
    texts = [cell.source for cell in PAGE.nb.cells if cell.cell_type == "markdown"]
    assert sum("**See also:** {" in text for text in texts) == len(places)


@given(requests=AMOUNTS, tokens_in=AMOUNTS, tokens_out=AMOUNTS)
def test_a_bill_is_the_sum_of_prompts_and_answers(
    page: dict[str, Any], requests: int, tokens_in: int, tokens_out: int
) -> None:
    for model, price in page["prices"].items():
        rows = page["api_bill"](model, requests, tokens_in, tokens_out)["rows"]
        by_hand = requests * (tokens_in * price.input_usd + tokens_out * price.output_usd) / 1e6
        assert sum(row["usd"] for row in rows) == pytest.approx(by_hand)


def test_at_the_break_even_volume_both_ways_cost_the_same(page: dict[str, Any]) -> None:
    for model, requests in page["volume"].items():
        api_usd = economics.token_cost_usd(model, requests=requests, tokens_in=1000, tokens_out=200)
        assert api_usd == pytest.approx(page["fixed_usd"])


@given(share=st.floats(0, 1), steps=st.integers(1, 50))
def test_a_further_step_never_makes_a_run_more_reliable(
    page: dict[str, Any], share: float, steps: int
) -> None:
    all_correct = page["all_correct"]
    assert 0 <= all_correct(share, steps + 1) <= all_correct(share, steps) <= share
