"""A search for a page: a reader's question is answered in the browser by passages with links."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from companion._common.checking import UsageError, check_name, check_text, check_texts
from companion.serving.web import MOST_BYTES, WebForm, check_examples

if TYPE_CHECKING:
    from companion.data import Passage
    from companion.tasks import Retriever

__all__ = ["WebSearch", "export_web_search"]


def export_web_search(retriever: Retriever) -> WebSearch:
    """Writes what a search has read in the form that a page's script ranks.

    The script counts the words itself when it is first asked, so only the passages travel.

    Args:
        retriever: `Retriever("words")`, fitted. The vectors of other methods need a network that
            is too large for a page.

    Returns:
        A `WebSearch`.

    Raises:
        UsageError: If the retriever uses another method, has read nothing yet, or has read more
            than 2 MB.

    Example:

    >>> from companion.data import Passage
    >>> from companion.tasks import Retriever
    >>> tea = Passage("Tea is kept dry.", "shop", "The shop", "Storage")
    >>> web = export_web_search(Retriever("words").fit([tea]))
    >>> web.as_json()["sections"]
    [['shop', 'The shop', 'Storage', 'storage']]
    """
    if retriever.method != "words":
        raise UsageError(
            f"A page's script ranks by words; this retriever has method={retriever.method!r}. "
            'Take Retriever("words").'
        )
    web = WebSearch(retriever)
    size = web.as_json()["bytes"]
    if not retriever.passages_ or size > MOST_BYTES:
        raise UsageError(
            f"{len(retriever.passages_):,} passages take {size:,} bytes; a page holds 1 to "
            f"{MOST_BYTES:,}. Call fit(passages) first, or with fewer."
        )
    return web


class WebSearch:
    """A search by shared words, in Python and as data for a page.

    `export_web_search` makes it.

    Args:
        retriever: `Retriever("words")`, fitted.
    """

    def __init__(self, retriever: Retriever) -> None:
        self.retriever = retriever

    def as_json(self) -> dict[str, Any]:
        """Returns the passages as data for the page's script.

        Returns:
            A dict with `"sections"` (page, title, heading and anchor), `"passages"` (the section's
            number and the text), `"headings"` (whether a passage is read with them), `"bytes"` and
            `"sha256"` of the passages as JSON.
        """
        passages = self.retriever.passages_
        sections = list(dict.fromkeys(map(_section, passages)))
        numbers = {section: number for number, section in enumerate(sections)}
        data = {
            "sections": list(map(list, sections)),
            "passages": [[numbers[_section(one)], one.text] for one in passages],
        }
        content = json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")
        return data | {
            "headings": self.retriever.use_headings,
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }

    def ask_question(
        self, name: str, title: str, note: str, *, label: str, examples: Sequence[str]
    ) -> WebForm:
        """Makes a form in which a reader asks a question and gets the passages that fit it best.

        Args:
            name: str. Lower-case words joined by hyphens; once per page.
            title: str. What can be asked, in one line.
            note: str. How good the search is, and what it knows.
            label: str. What the reader is to type.
            examples: list of str, at least one. Questions.

        Returns:
            A `WebForm`; as a cell's last expression it shows itself.

        Raises:
            ValueError: If the name is none, a text is empty, or there is no example.
        """
        check_examples(examples)
        best = [self.retriever.search(text, k=1)[0] for text in check_texts(list(examples))]
        table = [
            (text, _name(one.passage) if one.score > 0 else "nothing")
            for text, one in zip(examples, best, strict=True)
        ]
        form = {"kind": "search", "label": check_text("label", label), "examples": list(examples)}
        head = (label, "Best passage")
        return WebForm(check_name(name), title, note, head, table, self.as_json() | form)


def _name(passage: Passage) -> str:
    return " › ".join(dict.fromkeys(filter(None, (passage.title, passage.heading))))


def _section(passage: Passage) -> tuple[str, str, str, str]:
    return passage.page, passage.title, passage.heading, passage.label or _anchor(passage)


def _anchor(passage: Passage) -> str:
    """Returns the anchor that the site gives to a heading without a label, or to a term."""
    if passage.page == "glossary":
        return "term-" + re.sub(r"[^a-zA-Z0-9._]+", "-", passage.heading).strip("-")
    letters = unicodedata.normalize("NFKD", passage.heading.lower())
    kept = letters.encode("ascii", "ignore").decode()
    return re.sub(r"^[-0-9]+|-+$", "", re.sub(r"[^a-z0-9]+", "-", kept))
