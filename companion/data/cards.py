"""What a data set is: its texts, its labels, and a card that says what it cannot show."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

__all__ = ["Card", "Split", "TextDataset", "read_card"]


@dataclass(frozen=True)
class Card:
    """What a data set is, what it may be used for and what it cannot show."""

    title: str
    source: str
    licence: str
    examples: str
    use: str
    limits: str

    def __str__(self) -> str:
        return (
            f"{self.title}\n\n- Source: {self.source}\n- Licence: {self.licence}\n- Examples: "
            f"{self.examples}\n- May be used for: {self.use}\n- Cannot show: {self.limits}"
        )

    def _repr_markdown_(self) -> str:
        return f"**{self.title}**" + str(self).removeprefix(self.title)


@dataclass(frozen=True)
class Split:
    """Texts and their labels: `labels` is an integer array of shape (n,), positions in the names.

    `topics`, where the source tells it, is a list of what each text is about; `None` elsewhere.
    """

    texts: list[str]
    labels: NDArray[np.signedinteger]
    topics: list[str] | None = None

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(frozen=True)
class TextDataset:
    """A training split, a test split, the names of labels 0, 1 and so on, and the card."""

    name: str
    train: Split
    test: Split
    label_names: tuple[str, ...]
    card: Card


@cache
def read_card(name: str) -> Card:
    """Read the card of a set that always comes in one way.

    Args:
        name: str. The set's name.

    Returns:
        A `Card`.

    Example:

    >>> read_card("cdnow").title
    'Purchases of compact discs (CDNOW)'
    """
    cards = yaml.safe_load(Path(__file__).with_name("cards.yml").read_text("utf-8"))
    return Card(**cards[name])
