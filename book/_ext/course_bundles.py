"""One stylesheet and two scripts hold what every page of the site loads.

The theme and its extensions bring some twenty files, and a page asks for each by itself. What all
pages ask for alike is joined once the site is written, in the pages' own order; what only some
pages need stays apart. The scripts that wait for the page (``defer``) are joined by themselves.
Lines that are nothing but a remark are left out of the scripts, unless they speak of a licence.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Callable
from pathlib import Path

from sphinx.application import Sphinx

FILE = r'="(?P<root>(?:\.\./)*)(?P<file>_static/[^"?]+)(?:\?[^"]*)?"'
STYLESHEET = re.compile(rf'<link (?=[^>]*rel="stylesheet")[^>]*?href{FILE}[^>]*>\s*')
SCRIPT = re.compile(rf"<script[^>]*? src{FILE}></script>\s*")
PRELOAD = re.compile(rf'<link (?=[^>]*rel="preload")[^>]*?href{FILE}[^>]*>\s*')
IMPORT = re.compile(r'@import\s*"(?P<file>[^":]+)"\s*;')
ADDRESS = re.compile(r"url\((?P<quote>[\"']?)(?P<file>(?!data:|#|/)[^)\"':]+)(?P=quote)\)")
HEAD_OF_FILE = re.compile(
    r'@charset "[^"]*";|/\*# sourceMappingURL=\S+ ?\*/|//# sourceMappingURL=\S+'
)
REMARK = re.compile(r"^[ \t]*//(?!.*(?:copyright|licen[cs]e)).*\n", re.IGNORECASE | re.MULTILINE)


def waits(tag: str) -> bool:
    return " defer" in tag


def join(app: Sphinx, error: Exception | None) -> None:
    """Join the files that all pages load, and let the pages load the joined ones."""
    if error is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    pages = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    pages = {page: text for page, text in pages.items() if STYLESHEET.search(text)}
    kinds: list[tuple[str, re.Pattern[str], str, Callable[[str], bool]]] = [
        ("styles.css", STYLESHEET, '<link rel="stylesheet" href="{}" />', lambda _: True),
        ("first.js", SCRIPT, '<script src="{}"></script>', lambda tag: not waits(tag)),
        ("later.js", SCRIPT, '<script defer src="{}"></script>', waits),
    ]
    for name, pattern, tag, chosen in kinds:
        shared = common_files(list(pages.values()), pattern, chosen)
        if len(shared) < 2:
            continue
        content = joined(site, shared)
        target = site / "_static" / f"all-{name}"
        target.write_text(content, encoding="utf-8")
        version = hashlib.sha256(content.encode()).hexdigest()[:8]
        for page, text in pages.items():
            pages[page] = replaced(text, pattern, shared, tag, f"_static/{target.name}?v={version}")
    for page, text in pages.items():
        page.write_text(text, encoding="utf-8")


def common_files(
    pages: list[str], pattern: re.Pattern[str], chosen: Callable[[str], bool]
) -> list[str]:
    """Return the files that every page loads, in the order of the first page."""
    lists = [[one["file"] for one in pattern.finditer(page) if chosen(one[0])] for page in pages]
    common = set(lists[0]).intersection(*lists[1:]) if lists else set()
    return [file for file in lists[0] if file in common] if lists else []


def joined(site: Path, files: list[str]) -> str:
    """Return the files' contents behind one another, for a file in ``_static``."""
    if files[0].endswith(".css"):
        return "\n".join(stylesheet(site, file) for file in files)
    parts = [HEAD_OF_FILE.sub("", (site / file).read_text(encoding="utf-8")) for file in files]
    parts = [REMARK.sub("", part) for part in parts]
    return ";\n" + "\n;\n".join(parts)  # no file's "use strict" may come first and rule all


def stylesheet(site: Path, file: str) -> str:
    """Return a stylesheet with what it imports, its addresses counted from ``_static``."""
    folder = posixpath.dirname(file)

    def imported(found: re.Match[str]) -> str:
        return stylesheet(site, posixpath.normpath(posixpath.join(folder, found["file"])))

    def moved(found: re.Match[str]) -> str:
        place = posixpath.join(folder, found["file"])
        return f"url({found['quote']}{posixpath.relpath(place, '_static')}{found['quote']})"

    text = HEAD_OF_FILE.sub("", (site / file).read_text(encoding="utf-8"))
    own = IMPORT.sub("", ADDRESS.sub(moved, text))
    return "\n".join([*(imported(found) for found in IMPORT.finditer(text)), own])


def replaced(page: str, pattern: re.Pattern[str], files: list[str], tag: str, target: str) -> str:
    """Return a page that loads the joined file in the place of the last of those in it.

    A page's own script that stood among them comes behind it, unless it waits for the page anyhow.
    """
    held: list[str] = []

    def other(found: re.Match[str]) -> str:
        if found["file"] not in files:
            if waits(tag) or waits(found[0]) or files[-1] in page[: found.start()]:
                return found[0]
            held.append(found[0])
            return ""
        if found["file"] != files[-1]:
            return ""
        return "".join([tag.format(found["root"] + target), "\n", *held])

    def unneeded(found: re.Match[str]) -> str:
        return "" if found["file"] in files else found[0]

    return PRELOAD.sub(unneeded, pattern.sub(other, page))


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("build-finished", join, priority=900)  # after what completes the files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
