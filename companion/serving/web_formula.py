"""A formula for a page: a reader changes it, and the browser differentiates its graph."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from companion._common.checking import check_name, check_text
from companion.serving.web import WebForm, check_examples
from companion.teaching import differentiate

__all__ = ["ask_formula"]


def ask_formula(
    name: str, title: str, note: str, *, label: str, examples: Sequence[str]
) -> WebForm:
    """Makes a form in which a reader types a formula and sees its graph with all slopes.

    Args:
        name: str. Lower-case words joined by hyphens; once per page.
        title: str. What can be asked, in one line.
        note: str. Which formulas it takes.
        label: str. What the reader is to type.
        examples: list of str, at least one. Formulas that `teaching.differentiate` takes.

    Returns:
        A `WebForm`; as a cell's last expression it shows itself.

    Raises:
        ValueError: If the name is none, a text is empty, there is no example, or one is no formula.

    Example:

    >>> form = ask_formula("g", "Try it", "One.", label="A formula", examples=["x = 3; x * x"])
    >>> form.table
    [('x = 3; x * x', 'x: 6.000')]
    """
    check_examples(examples)
    table = []
    for formula in examples:
        *names, _ = differentiate(formula).items()
        slopes = ", ".join(f"{name}: {slope:.3f}" for name, (_, slope) in names)
        table.append(("; ".join(filter(None, map(str.strip, formula.splitlines()))), slopes))
    label = check_text("label", label)
    data = {"kind": "formula", "label": label, "examples": list(examples)}
    data["sha256"] = hashlib.sha256(json.dumps(data).encode()).hexdigest()
    return WebForm(check_name(name), title, note, (label, "Slopes"), table, data)
