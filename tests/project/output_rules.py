"""What a notebook stores: outputs of one run, in order, that another machine can repeat."""

from __future__ import annotations

import ast
import base64
import re
from collections.abc import Iterator

from tests.project.registry import notebook_rule, place
from tools.notebooks import (
    MACHINE_PATH,
    NBVAL_TAGS,
    Notebook,
    compared,
    parse,
)

MIN_SHARE_COMPARED = 0.95
# The only cells whose outputs no run can repeat. Before you add one: print a fact instead.
IGNORED = {
    "book/04_practice/language_model.ipynb:samples",  # letters drawn from a trained model
    "book/04_practice/product.ipynb:latency-figure",  # times
    "book/07_outlook/compute.ipynb:machine-result",  # speeds of this machine
}
NEVER_THE_SAME = re.compile(r"\b0x[0-9a-f]{6,}|\x1b\[|\r|\d ?m?s/step|\b\d+(?:\.\d+)? ?m?s ±")


@notebook_rule
def every_cell_was_run_in_order(notebook: Notebook) -> Iterator[str]:
    for count, cell in enumerate(notebook.code, 1):
        if cell.execution_count != count:
            yield (
                f"{place(notebook, cell)}: execution_count is {cell.execution_count}, not {count}; "
                "run `make numbers`"
            )


@notebook_rule
def ignoring_has_a_reason(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        tags = set(cell.metadata.get("tags", []))
        reason = cell.metadata.get("companion", {}).get("reason", "").strip()
        where = place(notebook, cell)
        if "nbval-skip" in tags or re.search(r"^\s*#\s*(?:NBVAL|PYTEST)_", cell.source, re.M):
            yield f"{where}: skips or comments a check away; use the tag nbval-ignore-output"
        if NBVAL_TAGS & tags and where not in IGNORED:
            yield f"{where}: ignores its output; print what every machine agrees on (IGNORED)"
        if NBVAL_TAGS & tags and not reason:
            yield f"{where}: ignores its output; say why in metadata.companion.reason"
        if reason and not NBVAL_TAGS & tags:
            yield f"{where}: gives a reason for ignoring, but has no nbval tag; delete it"


@notebook_rule
def outputs_are_compared(notebook: Notebook) -> Iterator[str]:
    some, every = compared(notebook)
    if every == 0:
        yield f"{notebook.name}: stores no output; run `make numbers`"
    elif some / every < MIN_SHARE_COMPARED:
        yield (
            f"{notebook.name}: {some} of {every} outputs are compared; "
            f"{MIN_SHARE_COMPARED:.0%} must be: print facts that every machine agrees on"
        )


@notebook_rule
def pictures_have_words(notebook: Notebook) -> Iterator[str]:
    for cell, output in notebook.outputs():
        data = output.get("data", {})
        text = str(data.get("text/plain", "")).strip()
        if "image/png" in data and (len(text) < 20 or re.match(r"<.*>$|Figure\(", text)):
            yield f"{place(notebook, cell)}: a picture without words; use show(fig, alt=…)"


def _shows(tree: ast.AST) -> int:
    """The calls of ``show(…)`` that run with the cell, not only with a function it defines."""
    inner = [] if isinstance(tree, ast.FunctionDef | ast.Lambda) else ast.iter_child_nodes(tree)
    here = isinstance(tree, ast.Call) and ast.unparse(tree.func) in {
        "show",
        "teaching.show",
        "companion.teaching.show",
    }
    return here + sum(map(_shows, inner))


@notebook_rule
def figures_are_stored(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        shown = _shows(parse(cell.source))
        stored = sum("image/png" in output.get("data", {}) for output in cell.outputs)
        if shown > stored:
            yield f"{place(notebook, cell)}: calls show(…) {shown} times, stores {stored} pictures"


@notebook_rule
def no_errors_are_stored(notebook: Notebook) -> Iterator[str]:
    for cell, output in notebook.outputs():
        if output.output_type == "error":
            yield f"{place(notebook, cell)}: stores the error {output.ename}; run `make numbers`"
        elif output.get("name") == "stderr":
            line = output.text.strip().splitlines()[:1]
            yield f"{place(notebook, cell)}: writes to stderr {line}; silence its cause"


@notebook_rule
def outputs_are_machine_proof(notebook: Notebook) -> Iterator[str]:
    for cell, output in notebook.outputs():
        data = output.get("data", {})
        texts = [output.get("text", ""), data.get("text/plain", ""), data.get("text/html", "")]
        for pattern in (NEVER_THE_SAME, MACHINE_PATH):
            found = pattern.search("\n".join(map(str, texts)))
            if found:
                yield f"{place(notebook, cell)}: prints {found[0]!r}, which no other run will print"


@notebook_rule
def exports_are_the_stored_pictures(notebook: Notebook) -> Iterator[str]:
    for cell in notebook.code:
        target = cell.metadata.get("companion", {}).get("export")
        if target:
            stored = [output.get("data", {}).get("image/png") for output in cell.outputs]
            pictures = [base64.b64decode(picture) for picture in stored if picture]
            file = notebook.root / target
            if len(pictures) != 1:
                yield f"{place(notebook, cell)}: exports {len(pictures)} pictures; it must show one"
            elif not file.is_file() or file.read_bytes() != pictures[0]:
                yield f"{place(notebook, cell)}: {target} is not its picture; run `make numbers`"


# Where values are equal, the order that an unstable sort leaves depends on the processor's
# instructions; argpartition has no stable kind, and scikit-learn's cut at max_features is a sort.
_SORTS = {"argsort", "argpartition", "sort", "sort_values", "sort_index"}
_NUMPY = {"np", "numpy"}


def _calls(notebook: Notebook) -> Iterator[tuple[str, str, ast.Call]]:
    """Every call with its place and the name that it calls."""
    for cell in notebook.code:
        for node in ast.walk(parse(cell.source)):
            if isinstance(node, ast.Call):
                yield place(notebook, cell), ast.unparse(node.func), node


def _keyword(call: ast.Call, name: str) -> str:
    """The source of a keyword's value; nothing where it is left out."""
    return next((ast.unparse(word.value) for word in call.keywords if word.arg == name), "")


@notebook_rule
def sorts_are_stable(notebook: Notebook) -> Iterator[str]:
    for where, name, call in _calls(notebook):
        owner, _, method = name.rpartition(".")
        own = method == "sort" and owner not in _NUMPY  # a list's is stable and has no kind
        if owner and method in _SORTS and not own and _keyword(call, "kind") != "'stable'":
            yield (
                f"{where}: {name}(…) leaves equals in an order that the processor decides; "
                "say kind='stable'"
            )


@notebook_rule
def no_vocabulary_is_cut_among_equals(notebook: Notebook) -> Iterator[str]:
    for where, name, call in _calls(notebook):
        if name.endswith("Vectorizer") and _keyword(call, "max_features") not in {"", "None"}:
            yield (
                f"{where}: max_features cuts among words of equal count by an unstable sort; "
                "use companion.preprocessing.build_tfidf(max_features)"
            )
