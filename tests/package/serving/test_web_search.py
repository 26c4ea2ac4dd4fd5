"""A search for a page holds what the retriever has read, and what no page can rank is refused."""

from __future__ import annotations

import json

import pytest

from companion._common.checking import UsageError
from companion.data import Passage
from companion.serving import WebForm, WebSearch, export_web_search
from companion.tasks import Retriever

PASSAGES = [
    Passage("Tea is <b>dry</b>.", "shop", "The shop", "Storage", "tea-storage"),
    Passage("Keep it from spices.", "shop", "The shop", "Storage", "tea-storage"),
    Passage("What it says in the tin: 2 × tea.", "shop", "The shop", "3. Où `is` it, then?"),
    Passage("Green tea wants less heat.", "glossary", "Glossary", "mean time (MTBF)"),
]


@pytest.fixture(scope="module")
def web() -> WebSearch:
    return export_web_search(Retriever("words").fit(PASSAGES))


def form(web: WebSearch, **changes: object) -> WebForm:
    parts: dict[str, object] = {"name": "shop", "title": "Ask & see", "note": "It knows tea."}
    parts |= {"label": "A question", "examples": ["Is tea <b> dry?", "zxcv"]} | changes
    return web.ask_question(**parts)  # type: ignore[arg-type]


def test_each_passage_travels_once_with_the_section_that_it_stands_in(web: WebSearch) -> None:
    data = json.loads(json.dumps(web.as_json()))
    assert [text for _, text in data["passages"]] == [one.text for one in PASSAGES]
    sections = [data["sections"][number] for number, _ in data["passages"]]
    assert [one[:3] for one in sections] == [[p.page, p.title, p.heading] for p in PASSAGES]
    assert len(data["sections"]) == 3
    assert data["headings"] is True


def test_a_heading_without_a_label_has_the_anchor_that_the_site_gives_it(web: WebSearch) -> None:
    anchors = [anchor for *_, anchor in web.as_json()["sections"]]
    assert anchors == ["tea-storage", "ou-is-it-then", "term-mean-time-MTBF"]


def test_other_passages_have_another_sum(web: WebSearch) -> None:
    other = export_web_search(Retriever("words").fit(PASSAGES[:3]))
    assert other.as_json()["sha256"] != web.as_json()["sha256"]
    assert other.as_json()["bytes"] < web.as_json()["bytes"]


def test_a_form_names_the_best_passage_and_escapes_every_text(web: WebSearch) -> None:
    made = form(web)
    assert made.table == [("Is tea <b> dry?", "The shop › Storage"), ("zxcv", "nothing")]
    shown, kept = made._repr_mimebundle_()
    assert "<b>" not in shown["text/html"]
    assert "spices" not in shown["text/html"]
    assert kept["text/html"]["network"]["kind"] == "search"


def test_what_a_page_cannot_rank_is_refused() -> None:
    with pytest.raises(UsageError, match="method='both'"):
        export_web_search(Retriever())
    with pytest.raises(UsageError, match=r"Call fit\(passages\) first"):
        export_web_search(Retriever("words"))
    with pytest.raises(UsageError, match="a page holds 1 to 2,000,000"):
        export_web_search(Retriever("words").fit([Passage("tea " * 500_001, "shop")]))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"name": "No Name"}, "No Name"),
        ({"title": " "}, "title"),
        ({"note": ""}, "note"),
        ({"label": ""}, "label"),
        ({"examples": []}, "no example"),
        ({"examples": [" "]}, "empty"),
    ],
)
def test_a_form_without_its_parts_is_refused(
    web: WebSearch, change: dict[str, object], problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        form(web, **change)
