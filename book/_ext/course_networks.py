"""The networks that a reader asks on a page: their weights become files beside it.

A notebook keeps a network beside the form that it shows, as metadata of this output. Here each one
is written as a script of its own, because a page opened from a disk can read no other kind of file,
and it is loaded only when a reader uses the form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx

FORM = re.compile(r'<figure class="network" data-network="([\w-]+)"')

OWN_SCRIPTS = ("formula", "speech")  # of these kinds; network.js has the others


def networks(notebook: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The networks of a notebook's outputs, each with the name of its form."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        for output in cell.get("outputs", []):
            network = output.get("metadata", {}).get("text/html", {}).get("network")
            if network:
                [name] = FORM.findall("".join(output["data"]["text/html"]))
                yield name, network


def place_networks(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document
) -> None:
    """Write a page's networks, tell its forms where they lie, and load what runs them."""
    if 'class="network"' not in context.get("body", ""):
        return
    for kind in OWN_SCRIPTS:
        if f'data-kind="{kind}"' in context["body"]:
            app.add_js_file(f"{kind}.js", defer="defer")
    app.add_js_file("network.js", defer="defer")
    app.add_css_file("network.css")
    folder = Path(app.outdir) / "_static" / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    for name, network in networks(Path(app.env.doc2path(pagename))):
        file = f"{pagename.replace('/', '-')}-{name}.js"
        text = json.dumps(network, ensure_ascii=False, separators=(",", ":"))
        (folder / file).write_text(f'courseNetwork("{name}",{text});\n', encoding="utf-8")
        source = f"networks/{file}?v={network['sha256'][:8]}"  # beside network.js
        context["body"] = context["body"].replace(
            f'data-network="{name}"', f'data-network="{name}" data-source="{source}"'
        )


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("html-page-context", place_networks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
