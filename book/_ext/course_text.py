"""Small things of the finished pages' text that a reader sees or a screen reader says.

* Chinese is marked as Chinese, so that it is spoken and drawn as such.
* A number stays on the line of its percent sign, and a formula on that of the comma behind it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from sphinx.application import Sphinx

HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
CHINESE = re.compile(
    rf"[{HAN}](?:[{HAN}\u3000-\u303f\uff00-\uffef·]*[{HAN}\u3000-\u303f\uff00-\uffef])?"
)
PERCENT = re.compile(r"(?:(?<=\d)|^) (?=%)")
PUNCTUATION = re.compile(r"[,.;:!?)\u2019\u201d]+")
TOKEN = re.compile(
    r"(?P<whole><!--.*?-->|<(?P<tag>head|script|style|textarea|option|svg)\b.*?</(?P=tag)>"
    r'|<div class="math\b.*?</div>|<span lang="zh">[^<]*</span>'
    r'|<span class="one-line"><span[^>]*>[^<]*</span>[^<]*</span>)'  # mended before
    r'|(?P<formula><span class="math\b[^>]*>[^<]*</span>)'
    r"|(?P<mark><[^>]*>)|(?P<text>[^<]+|<)",
    re.DOTALL,
)
# Code, and an explorer, whose words are those that its function returned.
IS_KEPT = re.compile(r"<(/?)(?:pre|code|figure)\b")


def mend(page: str) -> str:
    """Return a page's HTML with its text mended, once."""
    return "".join(_pieces(page))


def _pieces(page: str) -> Iterator[str]:
    depth = 0
    formula = ""
    for token in TOKEN.finditer(page):
        kind, piece = token.lastgroup, token[0]
        if kind == "text":
            text = piece if depth else PERCENT.sub("\N{NO-BREAK SPACE}", piece)
            text = CHINESE.sub(r'<span lang="zh">\g<0></span>', text)
            if formula and (found := PUNCTUATION.match(text)):
                yield f'<span class="one-line">{formula}{found[0]}</span>{text[found.end() :]}'
            else:
                yield formula + text
            formula = ""
            continue
        yield formula
        formula = piece if kind == "formula" else ""
        if kind != "formula":
            yield piece
        if found := IS_KEPT.match(piece):
            depth += -1 if found[1] else 1
    yield formula


def mend_files(app: Sphinx, error: Exception | None) -> None:
    """Mend every page of the finished site."""
    if error is not None or app.builder.format != "html":
        return
    for page in Path(app.outdir).rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(mend(text), encoding="utf-8")


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", mend_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
