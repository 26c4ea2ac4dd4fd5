"""The book's small Sphinx extensions, each by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from tools.notebooks import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))

import course_access
import course_assets
import course_launch

pytestmark = pytest.mark.site


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    return tmp_path


def set_origin(checkout: Path, url: str) -> None:
    subprocess.run(["git", "-C", str(checkout), "remote", "add", "origin", url], check=True)


@pytest.mark.parametrize(
    "url",
    [
        "https://github.com/owner/some.course",
        "https://github.com/owner/some.course.git",
        "https://user:secret@github.com/owner/some.course.git/",
        "git@github.com:owner/some.course.git",
        "ssh://git@github.com/owner/some.course",
    ],
)
def test_a_checkout_of_github_knows_its_repository(checkout: Path, url: str) -> None:
    set_origin(checkout, url)
    assert course_launch.find_repository(str(checkout)) == "owner/some.course"


@pytest.mark.parametrize(
    "url",
    ["https://gitlab.com/owner/course", "https://notgithub.com/owner/course", "../course.git"],
)
def test_a_checkout_of_anything_else_has_no_repository(checkout: Path, url: str) -> None:
    set_origin(checkout, url)
    assert course_launch.find_repository(str(checkout)) is None


def test_a_workflow_on_github_names_the_repository(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "fork/course")
    assert course_launch.find_repository(str(checkout)) == "fork/course"


def buttons(checkout: Path) -> dict[str, object]:
    config = SimpleNamespace(html_theme_options={"show_toc_level": 2})
    course_launch.add_buttons(SimpleNamespace(srcdir=checkout), config)
    return config.html_theme_options


def test_without_a_repository_no_button_is_added(checkout: Path) -> None:
    assert buttons(checkout) == {"show_toc_level": 2}


def test_with_a_repository_notebooks_open_from_the_stamped_branch(checkout: Path) -> None:
    set_origin(checkout, "https://github.com/owner/course")
    options = buttons(checkout)
    assert options["repository_url"] == "https://github.com/owner/course"
    assert options["repository_branch"] == "launch"
    assert options["show_toc_level"] == 2


def scripts_of(body: str, has_vega: bool, monkeypatch: pytest.MonkeyPatch) -> dict[str, dict]:
    """The scripts that a page with this body loads, with their attributes."""
    added: dict[str, dict] = {}
    app = SimpleNamespace(
        config=SimpleNamespace(mathjax_path="mathjax/tex-chtml.js"),
        add_js_file=lambda name, **attributes: added.update({name: attributes}),
    )
    monkeypatch.setattr(course_assets, "find_spec", lambda name: object() if has_vega else None)
    context = {"body": body, "script_files": []}
    course_assets.choose_scripts(app, "page", "page.html", context, nodes.document("", ""))
    return added


@pytest.mark.parametrize(
    ("body", "has_vega", "expected"),
    [
        ("<p>only text</p>", True, {}),
        ('<figure class="explorer">', True, {"defer": "defer", "data-vega": "vendor/vega.js"}),
        ('<figure class="explorer">', False, {"defer": "defer"}),
        ('<section class="predict" data-name="x">', True, {"defer": "defer"}),
    ],
)
def test_a_page_loads_the_scripts_that_it_uses(
    body: str, has_vega: bool, expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = scripts_of(body, has_vega, monkeypatch)
    assert added == ({"explorer.js": expected} if expected else {})


def test_icons_that_no_page_shows_are_cut(tmp_path: Path) -> None:
    script = tmp_path / "icons.js"
    house = 'house:[576,512,[127968,"home"],"f015","M5"],'
    script.write_text(f'var s={{{house}"arrow-up":[1,2,[],"f062","M1"],x:[1,2,[],"f1","M"]}};')
    course_assets.cut_icons(['<i class="fas fa-home"></i><i class="fa-solid fa-x">'], script)
    assert script.read_text() == f'var s={{{house}x:[1,2,[],"f1","M"]}};'


def test_a_description_is_the_first_paragraph_cut_at_a_word() -> None:
    page = nodes.document("", "")
    page += [nodes.paragraph(text="word " * 50), nodes.paragraph(text="second")]
    text = course_access.describe(page)
    assert text.endswith("word …")
    assert 150 < len(text) <= 162
