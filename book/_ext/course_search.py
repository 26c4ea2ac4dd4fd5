"""The search page: pages about a word before those that name it, and lines of prose under each.

Sphinx's index says which pages have a word, not how often. A small file with the pages that have it
most often lets ``search.js`` order them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

COUNTS_FILE = "search_counts.js"
IN_LEAD = 20  # times that a word of the first paragraph counts: it says what a page is about
FEWEST = 3  # a word that a page has less often says little about the page


def load_script(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    if pagename == "search":
        for script in (COUNTS_FILE, "search.js"):
            app.add_js_file(script, defer="defer")


def count_words(text: str, language: SearchEnglish) -> Counter[str]:
    """Return how often each word of a text occurs, by the stem that Sphinx's index has."""
    stems = (language.stem(word) for word in re.findall(r"\w+", text.lower()))
    return Counter(stem for stem in stems if language.word_filter(stem))


def write_counts(app: Sphinx, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    language = SearchEnglish({})
    counts: dict[str, dict[int, int]] = {}
    names = sorted(app.env.found_docs)
    for place, name in enumerate(names):
        page = Path(app.builder.get_outfilename(name))  # type: ignore[attr-defined]
        article = BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser").find("article")
        if article is None:
            continue
        for part in article.select("script, style, pre, .math"):
            part.decompose()
        words = count_words(article.get_text(" "), language)
        if lead := article.find("p"):
            words.update(dict.fromkeys(count_words(lead.get_text(" "), language), IN_LEAD))
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
