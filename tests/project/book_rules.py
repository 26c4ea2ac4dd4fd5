"""Names, sources and numbers across the pages of the book."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from companion.economics import FactSheet
from tests.project.registry import book_rule, notebook_rule, place
from tools import prose
from tools.comparison import TAG as TRAINED
from tools.notebooks import (
    FOLDED_TAGS,
    MACHINE_PATH,
    NBVAL_TAGS,
    Notebook,
    cited_keys,
    notebooks,
    page_paths,
    toc_entries,
    toc_file,
)

SOURCE_LINES = 47  # the lines of the source document, S1 to S47 on the landing page
# No tag takes a cell or an output off the page: what nobody sees proves nothing to anybody.
KNOWN_TAGS = NBVAL_TAGS | FOLDED_TAGS | {TRAINED}
KNOWN_METADATA = {
    "tags": None,
    "jupyter": {"source_hidden"},
    "mystnb": {"code_prompt_show"},
    "companion": {"reason", "export"},
}


@notebook_rule
def cell_names_are_stable(notebook: Notebook) -> Iterator[str]:
    version = (notebook.nb.nbformat, notebook.nb.nbformat_minor)
    if version != (4, 5):
        yield f"{notebook.name}: written in notebook format {version}; save it as 4.5"
    seen: set[str] = set()
    for number, cell in enumerate(notebook.nb.cells):
        name = cell.get("id", "")
        readable = re.fullmatch(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*", name)
        if not readable or re.fullmatch(r"[0-9a-f-]{8,}|(?:cell|c)-?\d+", name):
            yield f"{notebook.name}:{name or number}: give the cell a readable id, 'load-reviews'"
        if name in seen:
            yield f"{notebook.name}:{name}: the id is taken; ids must differ"
        seen.add(name)


@notebook_rule
def tags_are_known(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.nb.cells:
        for tag in sorted(set(cell.metadata.get("tags", [])) - KNOWN_TAGS):
            yield f"{place(notebook, cell)}: unknown tag {tag!r}; known: {sorted(KNOWN_TAGS)}"
        for name, values in cell.metadata.items():
            known = KNOWN_METADATA.get(name, set())
            extra = set(values) - known if known is not None else set()
            if name not in KNOWN_METADATA or extra:
                yield f"{place(notebook, cell)}: unknown metadata {name!r} {sorted(extra)}; drop it"


def bib_keys(root: Path) -> set[str]:
    text = _read(root / "book" / "references.bib")
    return set(re.findall(r"^\s*@\w+\s*\{\s*([^,\s]+)\s*,", text, re.M))


def bib_years(root: Path) -> dict[str, set[str]]:
    """The years of each source: of its publication, of its preprint, or since it has been kept."""
    text = _read(root / "book" / "references.bib")
    kept = r"\byear *= *\{(\d{4})\}.*?\bsince *= *\{(\d{4})\}"
    return {
        key: {*re.findall(r"\byear *= *\{(\d{4})\}", rest)}
        | {f"20{year}" for year in re.findall(r"\beprint *= *\{(\d\d)\d\d\.\d+\}", rest)}
        | {
            str(year)
            for last, first in re.findall(kept, rest)
            for year in range(int(first), int(last) + 1)
        }
        for key, rest in re.findall(r"^@\w+\{([^,\s]+),(.*?)(?=^@|\Z)", text, re.M | re.S)
    }


def facts(root: Path) -> dict[str, dict[str, Any]]:
    """The facts by key, whether the file is a mapping or a list."""
    file = root / "companion" / "economics" / "facts.yml"
    loaded = yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else None
    if isinstance(loaded, list):
        return {fact["key"]: fact for fact in loaded}
    return dict(loaded or {})


def page_texts(root: Path) -> Iterator[tuple[str, str, str]]:
    """(where, kind, text) of every page: each notebook cell, each .md page as a whole."""
    for path in page_paths(root):
        if path.suffix == ".ipynb":
            notebook = Notebook(path, root)
            for cell in notebook.nb.cells:
                yield place(notebook, cell), cell.cell_type, cell.source
        else:
            name = path.relative_to(root).as_posix()
            yield name, "markdown", path.read_text(encoding="utf-8")


@book_rule
def citations_exist(root: Path) -> Iterator[str]:
    known = bib_keys(root)
    for where, kind, text in page_texts(root):
        for key in cited_keys(text) if kind == "markdown" else []:
            if key not in known:
                yield f"{where}: {{cite}}`{key}` is not in book/references.bib"


@book_rule
def facts_are_known_and_cited(root: Path) -> Iterator[str]:
    known = facts(root)
    used: dict[str, dict[str, str]] = {}
    cites: dict[str, set[str]] = {}
    for where, kind, text in page_texts(root):
        page = where.split(":")[0]
        for key in re.findall(r"\bfacts\[[\"']([^\"']+)[\"']\]", text):
            used.setdefault(page, {}).setdefault(key, where)
        if kind == "markdown":
            cites.setdefault(page, set()).update(cited_keys(text))
    for page, keys in used.items():
        for key, where in keys.items():
            source = known.get(key, {}).get("source")
            if key not in known:
                yield f"{where}: facts[{key!r}] is not in companion/economics/facts.yml"
            elif source not in cites.get(page, set()):
                yield f"{where}: uses facts[{key!r}]; the page must say {{cite}}`{source}`"


@book_rule
def facts_are_as_old_as_their_sources(root: Path) -> Iterator[str]:
    years = bib_years(root)
    for key, fact in facts(root).items():
        source, date = fact.get("source", ""), str(fact.get("date", ""))
        if years.get(source) and date[:4] not in years[source]:
            yield (
                f"companion/economics/facts.yml: {key} is of {date}, but book/references.bib has "
                f"{source} of {' or '.join(sorted(years[source]))}"
            )


@book_rule
def every_page_is_in_the_toc(root: Path) -> Iterator[str]:
    entries = toc_entries(root)
    listed = [toc_file(root, entry) for entry in entries]
    for entry, path in zip(entries, listed, strict=True):
        if path is None:
            yield f"_toc.yml: {entry} has no page"
    for entry, times in Counter(entries).items():
        if times > 1:
            yield f"_toc.yml: {entry} is listed {times} times"
    for path in page_paths(root):
        if path not in listed:
            yield f"{path.relative_to(root).as_posix()}: not in _toc.yml; list it or delete it"
    for entry, after in pairwise([*entries, ""]):
        folder, _, name = entry.rpartition("/")
        if name == "summary" and after.startswith(f"{folder}/"):
            yield f"_toc.yml: {entry} stands before {after}; a summary closes its chapter"


@book_rule
def every_line_of_the_source_has_its_page(root: Path) -> Iterator[str]:
    listed = [path for entry in toc_entries(root) if (path := toc_file(root, entry))]
    seen: Counter[int] = Counter()
    rows = re.finditer(r"^\| *S(\d+)(?:–S(\d+))? *\|(.*)$", _read(root / "book" / "index.md"), re.M)
    for first, last, rest in (row.groups() for row in rows):
        seen.update(range(int(first), int(last or first) + 1))
        pages = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", rest)
        for page in pages:
            if toc_file(root, f"book/{page}") not in listed:
                yield f"book/index.md: S{first} links {page}, which is no page of the book"
        if not pages and "in preparation" not in rest:
            yield f"book/index.md: S{first} links no page; link one or say 'in preparation'"
    for line in range(1, max([SOURCE_LINES, *seen]) + 1):
        if seen[line] != (line <= SOURCE_LINES):
            yield f"book/index.md: S{line} stands in {seen[line]} rows of the coverage list"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@book_rule
def nothing_is_left_to_do(root: Path) -> Iterator[str]:
    # The words are put together here so that this file does not hold them.
    words = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|\blorem ipsum\b", re.I)
    for where, _, text in page_texts(root):
        found = words.search(text)
        if found:
            yield f"{where}: {found[0]!r} is left in; do it or drop it"


@book_rule
def no_machine_paths(root: Path) -> Iterator[str]:
    for where, _, text in page_texts(root):
        found = MACHINE_PATH.search(text)
        if found:
            yield f"{where}: {found[0]!r} is a path of one machine; use a relative one"


def bound_by(root: Path) -> dict[str, dict[str, str]]:
    """For each notebook and stored run, by its key: the text that it binds to each body."""
    return stored_by(root) | {
        notebook.key: {
            bound.body: bound.text
            for cell in notebook.markdown
            for bound in prose.scan(cell.source).bound
            if not bound.quoted
        }
        for notebook in notebooks(root)
    }


def stored_by(root: Path) -> dict[str, dict[str, str]]:
    """For each stored run that pages quote: what it gives for each body that it can compute."""
    found: dict[str, dict[str, str]] = {}
    for _, kind, text in page_texts(root):
        quotes_runs = kind == "markdown" and f"<!--= {prose.STORED}" in text
        for number in prose.scan(text).bound if quotes_runs else []:
            run, body = number.quoted or ("", "")
            if run.startswith(prose.STORED):
                found.setdefault(run, {}).update(_compute(root, run, body))
    return found


def _compute(root: Path, run: str, body: str) -> dict[str, str]:
    known = {"facts": FactSheet(root / "companion/economics/facts.yml")}
    try:
        stored = json.loads((root / f"companion/data/{run}.json").read_text("utf-8"))
        return {body: eval(prose.user_expressions([body], None)[body], known | stored)}
    except (OSError, LookupError, NameError, TypeError, ValueError, SyntaxError):
        return {}  # then the rule below says that it binds no number


@book_rule
def numbers_are_bound(root: Path) -> Iterator[str]:
    for where, kind, text in page_texts(root):
        found = prose.scan(text) if kind == "markdown" else prose.Prose()
        for line, marker in found.broken:
            yield f"{where}: line {line}: no number directly before {marker}"
        for line, number in found.unbound:
            yield (
                f"{where}: line {line}: {number!r} is not bound; put <!--= expression:format --> "
                "behind it, with facts[…] for a number from outside"
            )


@book_rule
def quotes_equal_their_notebooks(root: Path) -> Iterator[str]:
    bound = bound_by(root)
    for where, kind, text in page_texts(root):
        for number in prose.scan(text).bound if kind == "markdown" else []:
            if number.quoted:
                yield from _quote(where, number, bound)
            elif where.endswith(".md"):
                yield (
                    f"{where}: line {number.line}: a .md page has no kernel; quote a notebook: "
                    f"<!--= 04_practice/text_classifier: {number.body} -->"
                )


def _quote(where: str, number: prose.Bound, bound: dict[str, dict[str, str]]) -> Iterator[str]:
    notebook, body = number.quoted or ("", "")
    there = bound.get(notebook, {})
    if body not in there:
        yield f"{where}: line {number.line}: {notebook} binds no number to {body!r}"
    elif prose.normalise(there[body]) != prose.normalise(number.text):
        yield (
            f"{where}: line {number.line}: says {number.text!r}, {notebook} says {there[body]!r} "
            f"for {body!r}; run `make numbers`"
        )


PROSE_RULES = (numbers_are_bound, quotes_equal_their_notebooks)
