"""The search page: pages about a word before those that name it, and lines of prose under each.

Sphinx's index says which pages have a word, not how often. A small file with the pages that have it
most often lets ``search.js`` order them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from functools import cache
from html import unescape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

COUNTS_FILE = "search_counts.js"
IN_LEAD = 40  # times that a word of the first paragraph counts: it says what a page is about
ARTICLE = re.compile(r"<article\b.*?</article>", re.DOTALL)
# Code and formulas are no prose.
UNREAD = re.compile(
    r"<(?P<tag>script|style|pre)\b.*?</(?P=tag)>"
    r'|<(?P<kind>div|span) class="(?:[\w-]+ )*math[ "][^>]*>.*?</(?P=kind)>|<!--.*?-->',
    re.DOTALL,
)
PARAGRAPH = re.compile(r"<p\b[^>]*>.*?</p>", re.DOTALL)
MARK = re.compile(r"<[^>]*>")
FEWEST = 3  # a word that a page has less often says little about the page


def load_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    if pagename == "search":
        for script in (COUNTS_FILE, "search.js"):
            app.add_js_file(script, defer="defer")


def count_words(html: str, stem: Callable[[str], str | None]) -> Counter[str]:
    """Return how often each word of a page's part occurs, by the stem that Sphinx's index has."""
    words = re.findall(r"\w+", unescape(MARK.sub(" ", html)).lower())
    return Counter(stemmed for word in words if (stemmed := stem(word)))


def stemmer() -> Callable[[str], str | None]:
    """Return what finds a word's stem, or None for a word that no one searches, each word once."""
    language = SearchEnglish({})

    @cache
    def stem(word: str) -> str | None:
        found = language.stem(word)
        return found if language.word_filter(found) else None

    return stem


def write_counts(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    stem = stemmer()
    counts: dict[str, dict[int, int]] = {}
    names = sorted(app.env.found_docs)
    for place, name in enumerate(names):
        page = Path(app.builder.get_outfilename(name))  # type: ignore[attr-defined]
        article = ARTICLE.search(page.read_text(encoding="utf-8"))
        if article is None:
            continue
        prose = UNREAD.sub("", article[0])
        words = count_words(prose, stem)
        if lead := PARAGRAPH.search(prose):
            words.update(dict.fromkeys(count_words(lead[0], stem), IN_LEAD))
        for word, number in words.items():
            if number >= FEWEST:
                counts.setdefault(word, {})[place] = number
    found = json.dumps({"pages": names, "counts": counts}, separators=(",", ":"))
    script = f"var COURSE_COUNTS = {found};"
    (Path(app.outdir) / "_static" / COUNTS_FILE).write_text(script, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", load_script)
    app.connect("build-finished", write_counts)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
