"""Small repairs of what the theme and its extensions write, so that every reader can use a page."""

from __future__ import annotations

import re
import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _

DESCRIPTION_LENGTH = 160
# The theme's, for a search while one types, which the book does not use, and Sphinx's, which would
# mark on the next page what was searched for.
SEARCH_SCRIPTS = re.compile(
    r'\s*<script src="[^"]*\b(?:searchtools|language_data|searchindex|sphinx_highlight)\.js[^"]*">'
    r"</script>"
)
VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>')


def repair_context(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Repair what a page is made of: its roles, its title, its description."""
    if "body" in context:
        # doc-biblioentry is deprecated and no child of a list
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')
    if context.get("title") == context.get("docstitle"):
        context["docstitle"] = ""  # or the landing page's title names the book twice
    if doctree is not None and 'name="description"' not in context.get("metatags", ""):
        tag = f'<meta name="description" content="{escape(describe(doctree))}">'
        context["metatags"] = context.get("metatags", "") + tag


def describe(doctree: nodes.document) -> str:
    """Return the page's first paragraph, cut at a word."""
    paragraph = next(iter(doctree.findall(nodes.paragraph)), nodes.paragraph())
    text = re.sub(r"\s+", " ", paragraph.astext()).strip()
    if len(text) <= DESCRIPTION_LENGTH:
        return text
    return text[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0] + " …"


def repair_files(app: Sphinx, error: Exception | None) -> None:
    """Repair what only the theme's templates know."""
    if error is not None or app.builder.format != "html":
        return
    repairs = {
        # without JavaScript no rule of the theme matches "auto", and the page has no colours
        r' data-theme="auto">': ">",
        # with it, the first visit need not start in no theme at all
        r'(getItem\("theme"\) \|\|) "auto"': (
            r'\1 (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")'
        ),
        # buttons whose name is not what they say
        r'<summary aria-label="Toggle hidden content">': "<summary>",
        r'(<button class="btn search-button-field [^>]*?) title="\w+" aria-label="\w+"': r"\1",
        r'(<span class="search-button__kbd-shortcut")>': r'\1 aria-hidden="true">',
        r'(data-mode="\w+" +)title="[^"]*"': r"\1",
        # a notebook is saved, also where the server says that it is JSON to be shown
        r' target="_blank"(?=\s+class="[^"]*\bbtn-download-source-button\b)': " download",
        # a button without a name
        r'<summary>(?=<span class="toctree-toggle")': (
            f'<summary aria-label="{_("Table of Contents")}">'
        ),
    }
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        if 'class="bd-sidebar-secondary' in text:  # it is written last, but its place is kept
            text = text.replace("<body data-", '<body class="with-contents" data-')
        for found, replacement in repairs.items():
            text = re.sub(found, replacement, text)
        if first := VIEWPORT.search(text):  # the theme and its parents each say how wide a page is
            text = text[: first.end()] + VIEWPORT.sub("", text[first.end() :])
        if page.name != "search.html":
            text = SEARCH_SCRIPTS.sub("", text)
        page.write_text(text, encoding="utf-8")


def skip_generated(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out the methods that scikit-learn adds to every estimator in its own words."""
    return True if re.fullmatch(r"set_\w+_request", name) else None


def setup(app: Sphinx) -> dict[str, bool]:
    sys.path.insert(0, str(app.srcdir))  # the reference describes this tree's package
    app.connect("autodoc-skip-member", skip_generated)
    app.connect("html-page-context", repair_context)
    app.connect("build-finished", repair_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
