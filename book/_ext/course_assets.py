"""Third-party files that the pages load, taken from installed packages, never from another host.

Nothing of it is committed, and each page loads only what it uses: MathJax where there are formulas,
Vega where there is an explorer. The theme's icon script, the heaviest file of every page, is cut
down to the icons that the site shows, and its stylesheet with it. A picture states its size, so
that nothing moves when it comes, comes when it is near the view, and takes a third of the bytes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import struct
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util import logging

MATHJAX_PARTS = ["tex-chtml.js", "input/tex/extensions", "output/chtml/fonts/woff-v2"]
VEGA_FILE = "vendor/vega.js"
NEEDS_SCRIPT = re.compile(r'class="(?:explorer|prediction|outcome)\b')
PICTURE = re.compile(r'<img (?=[^>]*src="(?P<source>[^":]+\.png)")(?![^>]*\bloading=)')
STORED_PICTURE = re.compile(r"(?<=_images/)(?P<stem>[\w-]+)\.png")
LARGE_PICTURE = 20_000  # bytes
LARGE_DRAWING = 100_000  # bytes without loss, beyond which a picture is made of photographs
ICONS = {
    # name:[width,height,[codes and "other names"],"code","path"],
    "scripts/fontawesome.js": re.compile(
        r'(?P<names>"?[\w-]+"?:\[\d+,\d+,\[[^\]]*\]),"[0-9a-f]+",(?:"[^"]*"|\[[^\]]*\])\],?'
    ),
    # .fa-name:before,.fa-other-name:before{content:"code"}
    "styles/pydata-sphinx-theme.css": re.compile(
        r'(?P<names>\.fa-[\w-]+:before(?:,\.fa-[\w-]+:before)*)\{content:"[^"]*"\}'
    ),
}
ICON_NAME = re.compile(r"(?:\.fa-)?([a-z][\w-]*|\d+[a-z-][\w-]*)")

logger = logging.getLogger(__name__)


def choose_scripts(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Load each script on the pages that have something for it to do."""
    body = context.get("body", "")
    if 'class="math' not in body:  # Sphinx counts the formulas of the pages below this one, too
        scripts = context["script_files"]
        scripts[:] = [one for one in scripts if app.config.mathjax_path not in str(one.filename)]
    if not NEEDS_SCRIPT.search(body):
        return
    attributes: dict[str, Any] = {"defer": "defer"}
    if 'class="explorer"' in body:
        if find_spec("vl_convert"):
            attributes["data-vega"] = VEGA_FILE
        else:
            logger.info("vl-convert-python is not installed: explorers show their start only")
    app.add_js_file("explorer.js", **attributes)


def copy_assets(app: Sphinx, error: Exception | None) -> None:
    """Put MathJax, Vega, fewer icons and lighter pictures into the finished site."""
    if error is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    files = {page: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}
    pages = list(files.values())
    if any(app.config.mathjax_path in page for page in pages):
        copy_mathjax(site / "_static" / "mathjax")
    if any(f'data-vega="{VEGA_FILE}"' in page for page in pages):
        write_vega(site / "_static" / VEGA_FILE)
    for file, icon in ICONS.items():
        cut_icons(pages, site / "_static" / file, icon)
    files = {page: size_pictures(text, page.parent) for page, text in files.items()}
    lighter = lighten_pictures(site / "_images", Path(app.doctreedir) / "lighter")
    for page, text in files.items():
        page.write_text(name_lighter(text, lighter), encoding="utf-8")


def copy_mathjax(target: Path) -> None:
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None or spec.origin is None:
        logger.info("sphinx-mathjax-offline is not installed: formulas stay TeX source")
        return
    source = Path(spec.origin).parent / "static" / "mathjax"
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copy(source / part, target / part)


def write_vega(target: Path) -> None:
    import vl_convert

    bundle = vl_convert.javascript_bundle()  # type: ignore[call-arg]  # its stub asks for more
    target.parent.mkdir(parents=True, exist_ok=True)
    # In a function, because the bundle's names are those of Sphinx's own scripts.
    target.write_text(f"(() => {{{bundle}}})();", encoding="utf-8")


def cut_icons(pages: list[str], file: Path, icon: re.Pattern[str]) -> None:
    """Keep the icons whose names occur in a page (an icon may have more names than one)."""
    used = {name for page in pages for name in re.findall(r"\bfa-([\w-]+)", page)}

    def keep(found: re.Match[str]) -> str:
        return found[0] if used & set(ICON_NAME.findall(found["names"])) else ""

    file.write_text(icon.sub(keep, file.read_text(encoding="utf-8")), encoding="utf-8")


def size_pictures(page: str, folder: Path) -> str:
    """Return a page's HTML in which each PNG states its size and is loaded when it is near."""

    def sized(picture: re.Match[str]) -> str:
        file = folder / picture["source"]
        if not file.is_file():
            return picture[0]
        width, height = struct.unpack(">II", file.read_bytes()[16:24])
        return f'{picture[0]}loading="lazy" width="{width}" height="{height}" '

    return PICTURE.sub(sized, page)


def lighten_pictures(folder: Path, kept: Path) -> set[str]:
    """Store the larger PNGs of a folder as WebP, drawings pixel for pixel; return their stems.

    What was made is kept in another folder by the picture's content, because nothing in a build
    takes as long; and all processors make it, because Pillow lets them.
    """
    pictures = [one for one in folder.glob("*.png") if one.stat().st_size >= LARGE_PICTURE]
    kept.mkdir(parents=True, exist_ok=True)

    def lighten(picture: Path) -> str:
        target = kept / f"{hashlib.sha256(picture.read_bytes()).hexdigest()}.webp"
        if not target.exists():
            part = target.with_suffix(".part")
            with Image.open(picture) as image:
                image.save(part, "WEBP", lossless=True, method=2)
                if part.stat().st_size > LARGE_DRAWING:
                    image.save(part, "WEBP", quality=90, method=2)
            part.replace(target)
        shutil.copy(target, picture.with_suffix(".webp"))
        picture.unlink()
        return picture.stem

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return set(threads.map(lighten, pictures))


def name_lighter(page: str, lighter: set[str]) -> str:
    """Return a page's HTML that shows and links the lighter pictures."""

    def renamed(picture: re.Match[str]) -> str:
        return f"{picture['stem']}.webp" if picture["stem"] in lighter else picture[0]

    return STORED_PICTURE.sub(renamed, page)


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", choose_scripts)
    app.connect("build-finished", copy_assets)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
