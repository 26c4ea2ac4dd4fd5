"""The registry of the house's rules.

A rule takes the root of a tree and yields violations: where, what is wrong, what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

from tools.notebooks import Notebook, notebooks

Rule = Callable[[Path], Iterator[str]]

RULES: list[Rule] = []


def book_rule(rule: Rule) -> Rule:
    RULES.append(rule)
    return rule


def notebook_rule(rule: Callable[[Notebook], Iterator[str]]) -> Rule:
    """Make a rule about the tree out of a rule about one notebook."""

    @wraps(rule)
    def over_the_book(root: Path) -> Iterator[str]:
        for notebook in notebooks(root):
            yield from rule(notebook)

    return book_rule(over_the_book)


def place(notebook: Notebook, cell: Any) -> str:
    """Where a violation is: ``book/04_practice/text_classifier.ipynb:load-reviews``."""
    return f"{notebook.name}:{cell.get('id', '?')}"
