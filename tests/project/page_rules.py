"""How a page is built: its header, its code, what a learner meets on it."""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from tests.project.registry import notebook_rule, place
from tools import prose, questions
from tools.notebooks import (
    BROUGHT_BY_TORCH,
    FOLDED_TAGS,
    Notebook,
    calls,
    cited_keys,
    parse,
)

MAX_CODE_LINES = 25
MAX_RUN_SECONDS = 60
WORDS_PER_MINUTE = 180
CODE_LINES_PER_MINUTE = 20
UNTESTABLE = {"understand", "know", "learn", "appreciate", "see", "discover", "explore", "grasp"}


@notebook_rule
def header_is_complete(notebook: Notebook) -> Iterator[str]:
    first = notebook.nb.cells[0]
    where, text = place(notebook, first), re.sub(r"<!--.*?-->", "", first.source, flags=re.S)
    if not re.match(r"# \S", text):
        yield f"{where}: the first cell must open with '# title'"
    titles = [cell for cell in notebook.markdown if re.search(r"^# \S", cell.source, re.M)]
    if len(titles) > 1:
        yield f"{place(notebook, titles[1])}: a page has one '# title'; use '## '"
    box = re.search(
        r"^(:{3,})\{admonition\} Before you start\n:class: before-you-start\n(.*?)^\1\s*$",
        text,
        re.M | re.S,
    )
    if not box:
        yield (
            f"{where}: no header; add ':::{{admonition}} Before you start' with "
            "':class: before-you-start'"
        )
        return
    lead = re.sub(r"^# .*\n", "", text[: box.start()]).strip()
    if not lead or "\n\n" in lead:
        yield f"{where}: between the title and the header stands one sentence, no more and no less"
    for name in ("You will", "Time", "You need"):
        if f"**{name}**" not in box[2]:
            yield f"{where}: the header lacks '**{name}**'"
    yield from _objectives(where, box[2])


def _objectives(where: str, box: str) -> Iterator[str]:
    found = re.search(r"\*\*You will\*\*:?(.*?)(?=\*\*Time\*\*|\Z)", box, re.S)
    text = found[1].strip(" ·\n") if found else ""
    bullets = re.findall(r"^[ \t]*[-*] +(.+)$", text, re.M)
    objectives = bullets or [part.strip() for part in text.split(";")]
    if not 2 <= len(objectives) <= 4:
        yield (
            f"{where}: the header names {len(objectives)} objectives; name two to four, "
            "parted by semicolons or as bullets"
        )
    for objective in objectives:
        verb = re.sub(r"^and ", "", objective).split(" ")[0].strip("*_.,").lower()
        if verb in UNTESTABLE:
            yield f"{where}: the objective {objective!r} cannot be tested; start with what one does"


def reading_minutes(notebook: Notebook) -> float:
    """An estimate: prose at a slow reader's pace plus the code."""
    words = sum(len(cell.source.split()) for cell in notebook.markdown)
    lines = sum(len(cell.source.splitlines()) for cell in notebook.code)
    return words / WORDS_PER_MINUTE + lines / CODE_LINES_PER_MINUTE


@notebook_rule
def time_is_measured(notebook: Notebook) -> Iterator[str]:
    where = place(notebook, notebook.nb.cells[0])
    stated, seconds = prose.HEADER_TIME.search(notebook.nb.cells[0].source), notebook.run_seconds
    if not stated:
        yield f"{where}: the header lacks '**Time** read N min, run N s on two cores'"
    elif seconds is None:
        yield f"{where}: no run is recorded; run `make numbers`"
    else:
        for what, unit, said, true in (
            ("run", "s", int(stated["run"]), seconds),
            ("read", "min", int(stated["read"]), max(1.0, reading_minutes(notebook))),
        ):
            if not true / 2 <= said <= true * 2:
                yield f"{where}: the header says {what} {said} {unit}, measured {true:.0f} {unit}"
        if int(stated["run"]) > MAX_RUN_SECONDS:
            yield f"{where}: the header says run {stated['run']} s; the most is {MAX_RUN_SECONDS} s"


@notebook_rule
def cells_are_short(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        lines = len(cell.source.splitlines())
        if lines > MAX_CODE_LINES:
            yield f"{place(notebook, cell)}: {lines} lines; split the cell at {MAX_CODE_LINES}"


@notebook_rule
def first_code_cell_prepares(notebook: Notebook) -> Iterator[str]:
    if not notebook.code:
        yield f"{notebook.name}: no code; a page without code is a .md page"
        return
    first = notebook.code[0]
    for needle, what in (
        (r"^\s*(?:import|from) ", "the imports"),
        (r"find_spec\([\"']companion[\"']\)", 'the install guard: find_spec("companion")'),
        (r"seed", "a seed, such as keras.utils.set_random_seed(0)"),
    ):
        if not re.search(needle, first.source, re.M):
            yield f"{place(notebook, first)}: the first code cell lacks {what}"


def _imported(cell: Any) -> set[str]:
    """The packages that a cell imports anywhere."""
    found: set[str] = set()
    for node in ast.walk(parse(cell.source)):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or ".").split(".")[0])
    return found


@notebook_rule
def rare_packages_are_named(notebook: Notebook) -> Iterator[str]:
    used = set().union(*map(_imported, notebook.code)) & BROUGHT_BY_TORCH
    if used != set(notebook.needs):
        yield (
            f"{notebook.name}: imports {sorted(used)} beyond what `make lab` installs, its "
            f"metadata's companion.needs says {sorted(notebook.needs)}; name what it imports"
        )
    for text in ["`make torch`"] if used else []:
        if text not in notebook.nb.cells[0].source:
            yield f"{place(notebook, notebook.nb.cells[0])}: the header does not name {text}"
        if text not in notebook.code[0].source:
            yield f"{place(notebook, notebook.code[0])}: the first code cell does not name {text}"


@notebook_rule
def no_helpers_of_other_pages(notebook: Notebook) -> Iterator[str]:
    pages = {path.stem for path in (notebook.root / "book").rglob("*.ipynb")}
    pages |= {path.stem for path in (notebook.root / "book").rglob("*.py")} | {"tests", "book"}
    pages -= BROUGHT_BY_TORCH  # a page may be called as the package that it shows
    for cell in notebook.code:
        for name in sorted(_imported(cell) & pages):
            yield f"{place(notebook, cell)}: imports {name!r}; put the helper into companion"
        reach = r"^\s*%run\b(?! -m companion\.)|\bsys\.path\b|\bimport_ipynb\b"
        if re.search(reach, cell.source, re.M):
            yield f"{place(notebook, cell)}: reaches for another file; use companion"


@notebook_rule
def sections_end_with_checks(notebook: Notebook) -> Iterator[str]:
    for heading, cells in notebook.sections():
        code = [cell for cell in cells if cell.cell_type == "code"]
        names = [{name for name, _ in calls(cell.source)} for cell in code]
        if not heading or any("Exercise" in found for found in names):
            continue  # the opening holds imports; an exercise proves itself
        if code:
            count = sum(isinstance(node, ast.Assert) for node in ast.walk(parse(code[-1].source)))
            if not 1 <= count <= 5:
                yield (
                    f"{place(notebook, code[-1])}: section {heading!r} ends with {count} asserts; "
                    "end it with a check cell of one to five"
                )


def _checks_nothing(test: ast.expr) -> bool:
    """Whether an assert's condition holds whatever the page computes."""
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)} - {*dir(builtins)}
    constant = any(
        isinstance(value, ast.Constant)
        for node in ast.walk(test)
        if isinstance(node, ast.BoolOp)
        for value in node.values
    )
    same = isinstance(test, ast.Compare) and len(
        {ast.unparse(side) for side in (test.left, *test.comparators)}
    ) <= len(test.comparators)
    return not names or constant or same


@notebook_rule
def asserts_check_a_result(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        for node in ast.walk(parse(cell.source)):
            if isinstance(node, ast.Assert) and _checks_nothing(node.test):
                yield f"{place(notebook, cell)}: '{ast.unparse(node)}' holds in any case"


def _exercises(notebook: Notebook) -> list[tuple[Any, str | None]]:
    return [
        (cell, text)
        for cell in notebook.code
        for name, text in calls(cell.source)
        if name == "Exercise"
    ]


def _questions(notebook: Notebook) -> list[tuple[Any, questions.Question, list[str]]]:
    return [
        (cell, question, problems)
        for cell in notebook.markdown
        for question, problems in questions.find(cell.source)
    ]


@notebook_rule
def cells_fold_alike(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        tags = set(cell.metadata.get("tags", []))
        body = parse(cell.source).body
        if body and all(isinstance(node, ast.Assert) for node in body) and "check" not in tags:
            yield f"{place(notebook, cell)}: only asserts; tag it 'check' to fold it"
        if "check" in tags and not any(
            isinstance(node, ast.Assert) for node in ast.walk(parse(cell.source))
        ):
            yield f"{place(notebook, cell)}: tagged 'check', but asserts nothing"
        folded = bool(FOLDED_TAGS & tags)
        if folded != cell.metadata.get("jupyter", {}).get("source_hidden", False):
            yield (
                f"{place(notebook, cell)}: folds on the site or in JupyterLab only; run "
                "`make numbers`"
            )


@notebook_rule
def lesson_parts_are_there(notebook: Notebook) -> Iterator[str]:
    found = Counter(question.kind for _, question, _ in _questions(notebook))
    found["exercise"] = len(_exercises(notebook))
    for kind, least in (("prediction", 1), ("outcome", 1), ("quiz", 1), ("exercise", 3)):
        if found[kind] < least:
            yield f"{notebook.name}: {kind}, {found[kind]} times; a page has {least} at least"


@notebook_rule
def questions_are_whole(notebook: Notebook) -> Iterator[str]:
    found = _questions(notebook)
    for cell, _, problems in found:
        for problem in problems:
            yield f"{place(notebook, cell)}: {problem}"
    order = [(question.kind, question.name) for _, question, _ in found]
    for problem in questions.page_problems(order):
        yield f"{notebook.name}: {problem}"


@notebook_rule
def exercises_hide_their_code(notebook: Notebook) -> Iterator[str]:
    for cell, _ in _exercises(notebook):
        # the checker's code shows the solution, and it would stand above the exercise
        if not {"hide-input", "hide-cell"} & set(cell.metadata.get("tags", [])):
            yield f"{place(notebook, cell)}: Exercise(…) needs the tag 'hide-input' or 'hide-cell'"


@notebook_rule
def exercises_have_names_of_their_own(notebook: Notebook) -> Iterator[str]:
    seen = {q.name for _, q, _ in _questions(notebook) if q.kind != "outcome"}
    for cell, text in _exercises(notebook):
        if text is None:
            yield f"{place(notebook, cell)}: Exercise(…) needs its name as a text, first of all"
        elif text in seen:
            yield f"{place(notebook, cell)}: the name {text!r} is taken; choose another"
        else:
            seen.add(text)


@notebook_rule
def page_ends_with_takeaway_and_references(notebook: Notebook) -> Iterator[str]:
    sections = {
        heading.lower(): "\n".join(c.source for c in cells if c.cell_type == "markdown")
        for heading, cells in notebook.sections()
    }
    takeaway = [text for name, text in sections.items() if re.search(r"take[- ]?away", name)]
    bullets = len(re.findall(r"^[-*] +\S", takeaway[0], re.M)) if takeaway else 0
    if bullets != 3:
        yield f"{notebook.name}: a section '## Take-away' with three bullets; found {bullets}"
    if "references" not in sections:
        yield f"{notebook.name}: no section '## References'"
    if not any(cited_keys(cell.source) for cell in notebook.markdown):
        yield f"{notebook.name}: cites nothing; add a {{cite}} role"
