"""Every page keeps the rules of the house, and each rule finds the fault that it is there for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.project import book_rules, output_rules, page_rules
from tests.project.registry import RULES
from tests.project.sample import NOTEBOOK, PICTURE, TITLE, build_sample, cell, code, display, edit
from tools import faults
from tools.notebooks import ROOT, Node, Notebook, compared

HOUSE_RULES = [rule for rule in RULES if rule not in book_rules.PROSE_RULES]


@pytest.mark.parametrize("rule", HOUSE_RULES, ids=lambda rule: rule.__name__)
def test_the_book_keeps_the_rule(rule: Any) -> None:
    assert not list(rule(ROOT)), "\n".join(rule(ROOT))


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_clean_book_passes(rule: Any, tmp_path: Path) -> None:
    assert list(rule(build_sample(tmp_path))) == []


def source(name: str, old: str, new: str) -> Callable[[Any], None]:
    """A fault: another text in one cell of the sample."""

    def change(nb: Any) -> None:
        assert old in cell(nb, name).source
        cell(nb, name).source = cell(nb, name).source.replace(old, new)

    return change


def output(to: str, added: Node) -> Callable[[Any], None]:
    """A fault: one more stored output."""
    return lambda nb: cell(nb, to).outputs.append(added)


def stream(text: str, name: str = "stdout") -> Node:
    return Node(output_type="stream", name=name, text=text)


def setting(to: str, **values: Any) -> Callable[[Any], None]:
    """A fault: another field of a cell."""
    return lambda nb: cell(nb, to).update(values)


def drop(name: str) -> Callable[[Any], None]:
    """A fault: a cell that is missing."""
    return lambda nb: nb.cells.remove(cell(nb, name))


def also(id: str, text: str) -> Callable[[Any], None]:
    """A fault: one cell too many, at the end of the first section."""
    return lambda nb: nb.cells.insert(8, code(id, text))


def seconds(value: float | None) -> Callable[[Any], None]:
    return lambda nb: nb.metadata["companion"].update(run_seconds=value)


def needs(*names: str) -> Callable[[Any], None]:
    return lambda nb: nb.metadata["companion"].update(needs=list(names))


page, out, book = page_rules, output_rules, book_rules
FAULTS = [
    (page.header_is_complete, source("title", "# Does", "Does"), "'# title'"),
    (page.header_is_complete, source("count", "## How", "# How"), "one '# title'"),
    (page.header_is_complete, source("title", "before-you-start", "note"), "no header"),
    (page.header_is_complete, source("title", "It says", "One.\n\nIt says"), "one sentence"),
    (page.header_is_complete, source("title", "**You need**", "You need"), "**You need**"),
    (page.header_is_complete, source("title", "; compare two shares", ""), "1 objectives"),
    (page.header_is_complete, source("title", "count reviews", "understand them"), "tested"),
    (page.time_is_measured, source("title", "run 4 s", "run 13 s"), "says run 13 s"),
    (page.time_is_measured, source("title", "read 1 min", "read 30 min"), "says read 30"),
    (page.time_is_measured, source("title", "**Time** read", "Reading:"), "**Time**"),
    (page.time_is_measured, seconds(None), "no run is recorded"),
    (page.time_is_measured, source("title", "run 4 s", "run 61 s"), "the most is 60 s"),
    (page.cells_are_short, also("long", "x = 1\n" * 26), "26 lines"),
    (page.first_code_cell_prepares, source("imports", "seed=0", ""), "a seed"),
    (page.first_code_cell_prepares, source("imports", "find_spec(", "("), "install guard"),
    (page.first_code_cell_prepares, setting("imports", source="seed = 0"), "the imports"),
    (page.no_helpers_of_other_pages, also("borrow", "from page import f"), "'page'"),
    (page.no_helpers_of_other_pages, also("run", "%run page.ipynb"), "another file"),
    (page.rare_packages_are_named, also("rare", "from torch import nn"), "companion.needs says []"),
    (page.rare_packages_are_named, needs("torch"), "imports [] beyond"),
    (page.rare_packages_are_named, also("rare", "import torch"), "header does not name"),
    (page.rare_packages_are_named, also("rare", "import peft"), "code cell does not name"),
    (page.sections_end_with_checks, drop("count-check"), "0 asserts"),
    (page.sections_end_with_checks, also("six", "assert True\n" * 6), "6 asserts"),
    (page.asserts_check_a_result, also("true", "assert True"), "'assert True' holds"),
    (page.asserts_check_a_result, also("or", "assert len(reviews) or 1"), "or 1' holds"),
    (page.asserts_check_a_result, also("same", "assert reviews == reviews"), "holds in any"),
    (page.asserts_check_a_result, also("none", "assert len('a') == 1"), "holds in any"),
    (page.cells_fold_alike, setting("count-check", metadata={}), "tag it 'check'"),
    (page.cells_fold_alike, source("count-check", "assert", "four ="), "asserts nothing"),
    (
        page.cells_fold_alike,
        setting("exercise-two", metadata={"tags": ["hide-input"]}),
        "in JupyterLab only",
    ),
    (
        page.cells_fold_alike,
        setting("reviews", metadata={"jupyter": {"source_hidden": True}}),
        "on",
    ),
    (page.lesson_parts_are_there, drop("exercise-two"), "exercise, 2 times"),
    (page.lesson_parts_are_there, drop("quiz-count"), "quiz, 0 times"),
    (page.lesson_parts_are_there, drop("guess"), "prediction, 0 times"),
    (page.questions_are_whole, drop("answer"), "prediction 'guess' has no outcome after"),
    (page.questions_are_whole, drop("guess"), "outcome 'guess' has no prediction"),
    (page.questions_are_whole, source("answer", "} guess", "} guest"), "'guest' has no predic"),
    (page.questions_are_whole, source("quiz-count", "[x]", "[ ]"), "has 0 right options"),
    (page.questions_are_whole, source("quiz-count", "[ ]", "[x]"), "has 2 right options"),
    (page.exercises_hide_their_code, setting("exercise-two", metadata={}), "'hide-cell'"),
    (
        page.exercises_have_names_of_their_own,
        source("exercise-one", 'Exercise("one"', 'Exercise("how-many"'),
        "'how-many' is taken",
    ),
    (
        page.exercises_have_names_of_their_own,
        source("exercise-one", 'Exercise("one"', "Exercise(name"),
        "as a text",
    ),
    (page.page_ends_with_takeaway_and_references, source("take-away", "- Cite.", ""), "found 2"),
    (page.page_ends_with_takeaway_and_references, drop("references"), "## References"),
    (page.page_ends_with_takeaway_and_references, drop("known"), "cites nothing"),
    (out.every_cell_was_run_in_order, setting("reviews", execution_count=7), "is 7, not 2"),
    (out.every_cell_was_run_in_order, setting("reviews", execution_count=None), "is None"),
    (
        out.ignoring_has_a_reason,
        setting("reviews", metadata={"tags": ["nbval-ignore-output"]}),
        "say why",
    ),
    (
        out.ignoring_has_a_reason,
        setting("reviews", metadata={"companion": {"reason": "slow"}}),
        "no nbval tag",
    ),
    (
        out.ignoring_has_a_reason,
        setting("reviews", metadata={"tags": ["nbval-skip"], "companion": {"reason": "slow"}}),
        "use the tag",
    ),
    (out.ignoring_has_a_reason, source("reviews", "print", "# NBVAL_SKIP\nprint"), "comments"),
    (
        out.ignoring_has_a_reason,
        setting(
            "reviews",
            metadata={"tags": ["nbval-ignore-output"], "companion": {"reason": "slow"}},
        ),
        "print what every machine",
    ),
    (out.figures_are_stored, setting("draw", outputs=[]), "stores 0 pictures"),
    (out.figures_are_stored, lambda nb: cell(nb, "draw").outputs[0].data.pop("image/png"), "0 pi"),
    (
        out.outputs_are_compared,
        setting("reviews", metadata={"tags": ["nbval-ignore-output"]}),
        "4 of 5 outputs",
    ),
    (
        out.outputs_are_compared,
        output("reviews", display(png=PICTURE)),
        "5 of 6 outputs",
    ),
    (
        out.pictures_have_words,
        output("draw", display(png=PICTURE)),
        "without words",
    ),
    (
        out.pictures_have_words,
        output("draw", display(png=PICTURE, text="<Figure size 640x480 with 1 Axes>")),
        "without words",
    ),
    (
        out.no_errors_are_stored,
        output("reviews", Node(output_type="error", ename="NameError", evalue="x")),
        "the error NameError",
    ),
    (
        out.no_errors_are_stored,
        output("reviews", stream("warning\n", "stderr")),
        "writes to stderr",
    ),
    (
        out.outputs_are_machine_proof,
        output("reviews", stream("<object at 0x7f00aa>")),
        "no other run",
    ),
    (
        out.outputs_are_machine_proof,
        output("reviews", stream("in /ho" + "me/ada/x.py")),
        "no other run",
    ),
    (
        out.exports_are_the_stored_pictures,
        setting("draw", metadata={"companion": {"export": "book/_static/a.png"}}),
        "is not its picture",
    ),
    (
        out.exports_are_the_stored_pictures,
        setting("reviews", metadata={"companion": {"export": "book/_static/a.png"}}),
        "exports 0 pictures",
    ),
    (out.sorts_are_stable, also("order", "np.argsort(reviews)"), "argsort(…) leaves"),
    (out.sorts_are_stable, also("order", "x.argsort(kind='quicksort')"), "x.argsort(…)"),
    (out.sorts_are_stable, also("order", "np.argpartition(x, 3)"), "np.argpartition(…)"),
    (out.sorts_are_stable, also("order", "np.sort(x)[::-1]"), "np.sort(…) leaves"),
    (out.sorts_are_stable, also("order", "table.sort_values('a')"), "table.sort_values(…)"),
    (
        out.no_vocabulary_is_cut_among_equals,
        also("words", "TfidfVectorizer(max_features=1000)"),
        "max_features cuts",
    ),
    (
        out.no_vocabulary_is_cut_among_equals,
        also("words", "text.CountVectorizer(max_features=size)"),
        "max_features cuts",
    ),
    (book.cell_names_are_stable, setting("reviews", id="1f0c9a2b"), "readable id"),
    (book.cell_names_are_stable, setting("reviews", id="cell-3"), "readable id"),
    (book.cell_names_are_stable, lambda nb: nb.update(nbformat_minor=4), "save it as 4.5"),
    (book.tags_are_known, setting("reviews", metadata={"tags": ["hide_input"]}), "hide_input"),
    (book.tags_are_known, setting("reviews", metadata={"tags": ["remove-cell"]}), "remove-cell"),
    (
        book.tags_are_known,
        setting("reviews", metadata={"mystnb": {"remove_code_outputs": True}}),
        "remove_code_outputs",
    ),
    (book.tags_are_known, setting("reviews", metadata={"render": {}}), "unknown metadata"),
    (book.citations_exist, source("known", "maas2011", "maas2012"), "maas2012"),
    (
        book.facts_are_known_and_cited,
        source("fact", "imdb", "imbd"),
        "not in companion/economics/facts.yml",
    ),
    (book.facts_are_known_and_cited, source("known", "{cite}", "{ref}"), "must say {cite}"),
    (book.nothing_is_left_to_do, source("known", "Others", "TO" + "DO"), "is left in"),
    (book.no_machine_paths, source("reviews", '"a"', '"/ho' + 'me/ada/a"'), "path of one machine"),
    (book.numbers_are_bound, source("count", "There", "Of 12 there"), "'12' is not bound"),
    (book.numbers_are_bound, source("count", "There are 4", "There are"), "no number directly"),
    (book.quotes_equal_their_notebooks, source("count", "4", "5"), "says '4'"),
    (book.quotes_equal_their_notebooks, source("count", "(reviews)", "( reviews)"), "binds no"),
]


@pytest.mark.parametrize(
    ("rule", "fault", "message"), FAULTS, ids=[f"{rule.__name__}-{m}" for rule, _, m in FAULTS]
)
def test_a_fault_is_found(rule: Any, fault: Any, message: str, tmp_path: Path) -> None:
    edit(build_sample(tmp_path), fault)
    found = list(rule(tmp_path))
    assert any(message in line for line in found), found


def test_every_rule_has_a_fault_that_it_finds() -> None:
    proved = {rule for rule, _, _ in FAULTS}
    proved |= {book.every_page_is_in_the_toc, book.every_line_of_the_source_has_its_page}
    proved |= {book.facts_are_as_old_as_their_sources}
    assert set(RULES) == proved


def test_a_violation_tells_the_file_and_the_cell(tmp_path: Path) -> None:
    edit(build_sample(tmp_path), setting("reviews", execution_count=7))
    assert next(out.every_cell_was_run_in_order(tmp_path)).startswith(f"{NOTEBOOK}:reviews: ")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("book/stray.md", "# Stray\n", "book/stray.md: not in _toc.yml"),
        ("_toc.yml", "root: book/index\nchapters: [{file: book/gone}]", "book/gone has no page"),
        ("_toc.yml", "root: book/index\nchapters: [{file: book/index}]", "listed 2 times"),
        (
            "_toc.yml",
            "root: book/index\nchapters: [{file: book/a/summary}, {file: book/a/page}]",
            "a summary closes its chapter",
        ),
    ],
)
def test_a_page_outside_the_toc_is_found(
    file: str, text: str, message: str, tmp_path: Path
) -> None:
    (build_sample(tmp_path) / file).write_text(text, encoding="utf-8")
    assert any(message in line for line in book.every_page_is_in_the_toc(tmp_path))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("S1–S46", "S2–S46", "S1 stands in 0 rows"),
        ("S1–S46", "S1–S47", "S47 stands in 2 rows"),
        ("| S47 |", "| S47–S48 |", "S48 stands in 1 rows"),
        ("04_practice/page>", "04_practice/gone>", "no page of the book"),
        ("in preparation", "soon", "links no page"),
    ],
)
def test_a_line_of_the_source_without_its_page_is_found(
    old: str, new: str, message: str, tmp_path: Path
) -> None:
    index = build_sample(tmp_path) / "book/index.md"
    index.write_text(index.read_text("utf-8").replace(old, new), encoding="utf-8")
    found = list(book.every_line_of_the_source_has_its_page(tmp_path))
    assert any(message in line for line in found), found


@pytest.mark.parametrize(
    ("date", "entry", "fits"),
    [
        ("2011-06", "year = {2011}", True),
        ("2010-06", "year = {2011}", False),
        ("2012", "year = {2011}", False),
        ("2010", "year = {2011}, eprint = {1012.34567}", True),
        ("2009", "year = {2011}, eprint = {1012.34567}", False),
    ],
)
def test_a_fact_is_as_old_as_its_source_or_the_preprint(
    date: str, entry: str, fits: bool, tmp_path: Path
) -> None:
    build_sample(tmp_path)
    fact = f"imdb:\n  value: 0.87\n  source: maas2011\n  date: {date}\n"
    (tmp_path / "companion/economics/facts.yml").write_text(fact)
    (tmp_path / "book/references.bib").write_text(f"@article{{maas2011,\n  {entry}\n}}\n")
    assert (list(book.facts_are_as_old_as_their_sources(tmp_path)) == []) is fits


def test_an_export_equal_to_the_stored_picture_passes(tmp_path: Path) -> None:
    target = {"companion": {"export": "book/_static/a.png"}}
    edit(build_sample(tmp_path), setting("draw", metadata=target))
    (tmp_path / "book/_static").mkdir()
    (tmp_path / "book/_static/a.png").write_bytes(b"\x89PNG, as far as a rule looks")
    assert list(out.exports_are_the_stored_pictures(tmp_path)) == []


def test_a_header_may_bind_its_running_time(tmp_path: Path) -> None:
    marked = TITLE.replace("run 4 s", "run 5<!--= run_seconds:.0f --> s")
    edit(build_sample(tmp_path), setting("title", source=marked))
    assert list(page.time_is_measured(tmp_path)) == []
    assert list(book.numbers_are_bound(tmp_path)) == []


def test_an_md_page_cannot_compute(tmp_path: Path) -> None:
    (build_sample(tmp_path) / "book/index.md").write_text("Of 4<!--= len(reviews) --> reviews")
    assert any("no kernel" in line for line in book.quotes_equal_their_notebooks(tmp_path))


def test_a_quote_that_differs_is_found(tmp_path: Path) -> None:
    index = build_sample(tmp_path) / "book/index.md"
    index.write_text(index.read_text().replace("4<", "9<"))
    found = list(book.quotes_equal_their_notebooks(tmp_path))
    assert found
    assert "says '9', 04_practice/page says '4'" in found[0]


STORED_RUN = {"seconds": {"own": 12.3, "theirs": 4}}


@pytest.mark.parametrize(
    ("number", "body", "found"),
    [
        ("12", "seconds['own']:.0f", ""),
        ("3.1", "seconds['own'] / seconds['theirs']:.1f", ""),
        ("13", "seconds['own']:.0f", "says '13', measured/speed says '12'"),
        ("12", "seconds['nobody']:.0f", "measured/speed binds no number to"),
        ("12", "minutes:.0f", "measured/speed binds no number to"),
    ],
)
def test_a_page_computes_with_a_stored_run(
    number: str, body: str, found: str, tmp_path: Path
) -> None:
    index = build_sample(tmp_path) / "book/index.md"
    run = tmp_path / "companion/data/measured/speed.json"
    run.parent.mkdir(parents=True, exist_ok=True)
    run.write_text(json.dumps(STORED_RUN))
    index.write_text(f"{index.read_text()}\nIt takes {number}<!--= measured/speed: {body} --> s.\n")
    lines = list(book.quotes_equal_their_notebooks(tmp_path))
    assert [found in line for line in lines] == ([True] if found else [])


def test_a_stored_run_that_is_missing_binds_nothing(tmp_path: Path) -> None:
    index = build_sample(tmp_path) / "book/index.md"
    index.write_text(f"{index.read_text()}\nIt takes 12<!--= measured/speed: seconds --> s.\n")
    (line,) = book.quotes_equal_their_notebooks(tmp_path)
    assert "measured/speed binds no number to 'seconds'" in line


def test_pictures_count_as_compared_through_their_words(tmp_path: Path) -> None:
    assert compared(Notebook(build_sample(tmp_path) / NOTEBOOK, tmp_path)) == (5, 5)


@pytest.mark.parametrize("fault", faults.FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_still_finds_its_place(fault: faults.Fault, tmp_path: Path) -> None:
    (tmp_path / fault.file).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / fault.file).write_bytes((ROOT / fault.file).read_bytes())
    assert faults.plant(fault, tmp_path)
    assert (tmp_path / fault.file).read_bytes() != (ROOT / fault.file).read_bytes()


def test_a_fault_without_its_place_is_not_planted(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    assert not faults.plant(faults.Fault("gone", "a.py", "y = 1", "", ()), tmp_path)
    assert not faults.plant(faults.Fault("no change", "a.py", "x", "x", ()), tmp_path)
