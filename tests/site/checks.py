"""What can be seen in a built page without a browser: dead links, outside loads, mute pictures."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

LOADS = {"script": "src", "img": "src", "source": "src", "iframe": "src", "link": "href"}
CSS_LOAD = re.compile(r"""(?:@import\s+(?:url\()?|url\()\s*["']?([^"')\s;]+)""")
OUTSIDE = re.compile(r"^(?:https?:)?//", re.I)
PACKED = {".png", ".webp", ".jpg", ".woff", ".woff2"}
FILE_NAME = re.compile(r"[\\/]|\.(?:png|jpe?g|gif|svg|webp)\b", re.I)


@cache
def read(page: Path) -> BeautifulSoup:
    return BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser")


def pages(site: Path) -> list[Path]:
    """Every page; the theme leaves templates among the static files, which are none."""
    return sorted(page for page in site.rglob("*.html") if "_static" not in page.parts)


def loads(page: Path) -> Iterator[str]:
    """Every address that a page loads by itself."""
    for tag in read(page).find_all(list(LOADS)):
        if address := tag.get(LOADS[tag.name]):
            yield str(address)
    for style in read(page).find_all("style"):
        yield from CSS_LOAD.findall(style.get_text())


def style_loads(style: Path) -> list[str]:
    """Every address that a style sheet loads, except pictures that it holds itself."""
    found = CSS_LOAD.findall(style.read_text(encoding="utf-8"))
    return [address for address in found if not address.startswith("data:")]


@cache
def sent_bytes(file: Path) -> int:
    """The bytes of a file as a server sends it: text is made smaller by gzip."""
    content = file.read_bytes()
    return len(content) if file.suffix in PACKED else len(gzip.compress(content))


def outside_loads(site: Path) -> list[str]:
    """Every load from another host, as ``file: address``."""
    found = [(file, address) for file in pages(site) for address in loads(file)]
    found += [(file, address) for file in site.rglob("*.css") for address in style_loads(file)]
    return [f"{file.name}: {address}" for file, address in found if OUTSIDE.match(address)]


def links(page: Path) -> Iterator[str]:
    """Every address that a page names, except those on other hosts."""
    named = [str(tag["href"]) for tag in read(page).find_all("a", href=True)]
    refresh = read(page).find_all("meta", attrs={"http-equiv": re.compile("refresh", re.I)})
    named += [str(tag["content"]).split("url=")[-1] for tag in refresh]
    for address in [*named, *loads(page)]:
        if not OUTSIDE.match(address) and not re.match(r"(?:mailto|data|javascript):", address):
            yield address


def has_target(page: Path, fragment: str) -> bool:
    return not fragment or read(page).find(id=fragment) is not None


def dead_links(site: Path) -> list[str]:
    """Every link or load whose file or place in a file does not exist, as ``page: address``."""
    found = []
    for page in pages(site):
        for address in sorted(set(links(page))):
            parts = urlsplit(address)
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            inside = target.is_file() and target.is_relative_to(site.resolve())
            is_page = target.suffix == ".html"
            if not inside or (is_page and not has_target(target, unquote(parts.fragment))):
                found.append(f"{page.relative_to(site).as_posix()}: {address}")
    return found


def mute_pictures(site: Path) -> list[str]:
    """Every picture without words for who cannot see it, as ``page: source``."""

    def is_mute(picture: Tag) -> bool:
        alt = str(picture.get("alt", "")).strip()
        return not alt or (FILE_NAME.search(alt) is not None and " " not in alt)

    return [
        f"{page.name}: {picture['src']}"
        for page in pages(site)
        for picture in read(page).find_all("img")
        if is_mute(picture)
    ]
