"""A question to the course's pages is answered with a place, or refused."""

from __future__ import annotations

import pytest

from companion import data, models
from tests.package.tasks.test_assistant import Writer

CHOSEN = {"how": "paragraphs", "size": 60, "headings": True, "method": "both"}


@pytest.fixture
def ask(run, tmp_path, monkeypatch):
    """Runs the command on two small pages with a model that says one sentence."""
    book = tmp_path / "book"
    book.joinpath("01_tea").mkdir(parents=True)
    page = "# Tea\n\n(hot)=\n## How hot?\n\nGreen tea wants water of 80 degrees. It waits."
    book.joinpath("01_tea", "index.md").write_text(page, "utf-8")
    chosen = {"chosen": {**CHOSEN, "threshold": 0.3, "num_passages": 1}}
    monkeypatch.setattr("companion.data.measurements.load_measurements", lambda name: chosen)
    monkeypatch.setenv("COMPANION_CACHE", str(tmp_path / "cache"))

    def ask(question, says="Green tea wants 80 degrees.", folder=book):
        monkeypatch.setattr(models, "load_language_model", lambda **_: Writer(says), raising=False)
        return run("ask", question, "--book", folder)

    return ask


def test_an_answer_names_the_section_that_it_is_from(ask):
    code, out, _ = ask("How hot should the water for green tea be?")
    assert code == 0
    assert out.splitlines()[0] == "Green tea wants 80 degrees."
    assert out.splitlines()[1].endswith("model from: Tea: How hot? (01_tea/index#hot)")


def test_an_invented_number_is_replaced_by_a_quotation(ask):
    out = ask("How hot should the water for green tea be?", says="Use 95 degrees.")[1]
    assert out.startswith("Green tea wants water of 80 degrees.\nQuoted from: Tea")


def test_what_no_page_is_about_is_refused(ask):
    assert ask("Who won the football match?")[:2] == (0, "This is not in the course.\n")


def test_the_second_question_finds_the_vectors_kept(ask, tmp_path):
    ask("How hot?")
    kept = [(file, file.stat().st_mtime_ns) for file in (tmp_path / "cache/vectors").iterdir()]
    ask("How long?")
    assert [(f, f.stat().st_mtime_ns) for f in (tmp_path / "cache/vectors").iterdir()] == kept


def test_without_pages_one_sentence_says_to_clone_the_repository(ask, tmp_path):
    code, out, err = ask("How hot?", folder=tmp_path / "nowhere")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "Clone the course's repository" in err


def test_an_empty_question_is_refused(ask):
    code, _, err = ask(" ")
    assert code == 2
    assert "question is empty" in err


def test_the_course_knows_which_settings_were_chosen():
    chosen = data.load_measurements("assistant")["chosen"]
    assert CHOSEN.keys() < chosen.keys()
    assert 0 < chosen["threshold"] < 1
