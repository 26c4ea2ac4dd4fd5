"""The book's small Sphinx extensions, each by itself."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

from tools.notebooks import ROOT

sys.path.append(str(ROOT / "book" / "_ext"))

import course_access
import course_assets
import course_bundles
import course_launch
import course_search
import course_text
import course_verified

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
        ('<section class="prediction" data-name="x">', True, {"defer": "defer"}),
    ],
)
def test_a_page_loads_the_scripts_that_it_uses(
    body: str, has_vega: bool, expected: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = scripts_of(body, has_vega, monkeypatch)
    assert added == ({"explorer.js": expected} if expected else {})


def test_icons_that_no_page_shows_are_cut(tmp_path: Path) -> None:
    house = 'house:[576,512,[127968,"home"],"f015","M5"],'
    script = f'var s={{{house}"arrow-up":[1,2,[],"f062","M1"],x:[1,2,[],"f1","M"]}};'
    home = '.fa-home:before,.fa-house:before{content:"\\f015"}'
    style = f'.fa{{x:y}}{home}.fa-arrow-up:before{{content:"\\f062"}}.fa-x:before{{content:"\\f1"}}'
    page = '<i class="fas fa-home"></i><i class="fa-solid fa-x">'
    for content, gone in ((script, '"arrow-up":[1,2,[],"f062","M1"],'), (style, "f062")):
        file = tmp_path / "icons"
        file.write_text(content)
        icon = course_assets.ICONS[
            "scripts/fontawesome.js" if content is script else "styles/pydata-sphinx-theme.css"
        ]
        course_assets.cut_icons([page], file, icon)
        left = file.read_text()
        assert gone in content
        assert gone not in left
        assert left.count("home") == left.count("house") == 1
        assert left.count("x:") == content.count("x:")


def test_a_picture_states_its_size_and_waits_until_it_is_near(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes([0, 0, 3, 0, 0, 0, 2, 0])
    )
    page = '<img alt="A" src="a.png"/><img src="none.png"/><img src="a.svg"/>'
    sized = '<img loading="lazy" width="768" height="512" alt="A" src="a.png"/>'
    expected = page.replace('<img alt="A" src="a.png"/>', sized)
    assert course_assets.size_pictures(page, tmp_path) == expected
    assert course_assets.size_pictures(expected, tmp_path) == expected


def test_a_lighter_picture_shows_the_same_colours(tmp_path: Path) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    folder, kept = tmp_path / "pictures", tmp_path / "kept"
    folder.mkdir()
    for name, size in (("large", 90), ("small", 9)):
        Image.fromarray(colours[:size]).save(folder / f"{name}.png")
    png = (folder / "large.png").read_bytes()
    lighter = course_assets.lighten_pictures(folder, kept)
    assert sorted(file.name for file in folder.iterdir()) == ["large.webp", "small.png"]
    with Image.open(folder / "large.webp") as stored:
        np.testing.assert_array_equal(np.asarray(stored), colours)
    page = '<a href="../_images/large.png"><img src="_images/small.png"></a> large.png'
    shown = page.replace("_images/large.png", "_images/large.webp")
    assert course_assets.name_lighter(page, lighter) == shown

    [made] = kept.iterdir()  # and is not made again, under whatever name it comes
    made.write_bytes(b"as it was made")
    (folder / "again.png").write_bytes(png)
    assert course_assets.lighten_pictures(folder, kept) == {"again"}
    assert (folder / "again.webp").read_bytes() == b"as it was made"


def write_site(folder: Path, files: dict[str, str]) -> SimpleNamespace:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    return SimpleNamespace(outdir=str(folder), builder=SimpleNamespace(format="html"))


HEAD = """<link href="{0}_static/a/one.css?v=1" rel="stylesheet" />
<link rel="stylesheet" href="{0}_static/two.css" />
<link rel="preload" as="script" href="{0}_static/late.js?v=1" />
<script src="{0}_static/one.js"></script>
<script>let between = 1;</script>
{1}<script src="{0}_static/two.js"></script>
<script defer src="{0}_static/late.js?v=1"></script>
<script defer="defer" src="{0}_static/later.js"></script>
"""


def test_what_all_pages_load_is_joined_and_the_rest_stays(tmp_path: Path) -> None:
    own = '<script src="_static/own.js"></script>\n'
    app = write_site(
        tmp_path,
        {
            "index.html": HEAD.format("", own),
            "book/page.html": HEAD.format("../", ""),
            "_static/base.css": "b{background:url(b.png)}",
            "_static/a/one.css": '@charset "UTF-8";@import "../base.css";a{src:url(../f/a.woff)}',
            "_static/two.css": 'i{x:url("data:image/png;base64,AA")}',
            "_static/one.js": '"use strict";\nconst one = 1',
            "_static/two.js": " // why\n// Copyright us\nconst two = '//';\n//# sourceMappingURL=m",
            "_static/late.js": "late()",
            "_static/later.js": "later()",
        },
    )
    course_bundles.join(app, None)
    style, first, later = (
        (tmp_path / "_static" / f"all-{name}").read_text()
        for name in ("styles.css", "first.js", "later.js")
    )
    assert style.split() == [
        "b{background:url(b.png)}",
        "a{src:url(f/a.woff)}",
        'i{x:url("data:image/png;base64,AA")}',
    ]
    assert first.startswith(";")
    assert first.index("const one") < first.index("const two")
    assert "sourceMapping" not in first
    assert "why" not in first
    assert "// Copyright us\nconst two = '//';" in first
    assert later.index("late()") < later.index("later()")
    index = (tmp_path / "index.html").read_text()
    assert re.findall(r'(?:src|href)="([^"?]+)', index) == [
        "_static/all-styles.css",
        "_static/all-first.js",
        "_static/own.js",
        "_static/all-later.js",
    ]
    assert index.index("let between") < index.index("all-first.js") < index.index("own.js")
    assert "../_static/all-first.js?v=" in (tmp_path / "book/page.html").read_text()
    course_bundles.join(app, None)
    assert (tmp_path / "index.html").read_text() == index


def test_a_description_is_the_first_paragraph_cut_at_a_word() -> None:
    page = nodes.document("", "")
    page += [nodes.paragraph(text="word " * 50), nodes.paragraph(text="second")]
    text = course_access.describe(page)
    assert text.endswith("word …")
    assert 150 < len(text) <= 162


MATH = '<span class="math notranslate">\\(x\\)</span>'


@pytest.mark.parametrize(
    ("page", "mended"),
    [
        ("<p>It says 很好！ and 酒店.</p>",
         '<p>It says <span lang="zh">很好！</span> and <span lang="zh">酒店</span>.</p>'),
        ("<pre>19 % 很好</pre>", '<pre>19 % <span lang="zh">很好</span></pre>'),
        ("<p>19 % of <b>20</b> % of 5 % 6</p>",
         "<p>19\xa0% of <b>20</b>\xa0% of 5\xa0% 6</p>"),
        ("<p><code>19 % 5</code> is 4</p>", "<p><code>19 % 5</code> is 4</p>"),
        (f"<p>{MATH}, and {MATH}</p>", f'<p><span class="one-line">{MATH},</span> and {MATH}</p>'),
        ('<script>x = "很好 5 %" < y;</script>', '<script>x = "很好 5 %" < y;</script>'),
        ('<img alt="很好 5 %">', '<img alt="很好 5 %">'),
    ],
)  # fmt: skip
def test_text_is_mended_and_nothing_else(page: str, mended: str) -> None:
    assert course_text.mend(page) == mended
    assert course_text.mend(mended) == mended


def test_words_are_counted_by_the_stems_that_the_search_looks_for(tmp_path: Path) -> None:
    page = """<p>the model</p><article class="bd-article"><h1>Losses</h1><script>loss</script>
        <p>A <b>loss</b>; the models&#8217; model.</p><pre>model <span>loss</span></pre>
        <div class="amsmath math notranslate"><span class="eqno">loss</span>\\[model\\]</div>
        <p>A <em>model</em> <span class="math notranslate">\\(loss\\)</span></p></article>"""
    (tmp_path / "_static").mkdir()
    (tmp_path / "page.html").write_text(page)
    builder = SimpleNamespace(format="html", get_outfilename=lambda name: tmp_path / f"{name}.html")
    app = SimpleNamespace(
        outdir=str(tmp_path), builder=builder, env=SimpleNamespace(found_docs={"page"})
    )
    course_search.write_counts(app, None)  # type: ignore[arg-type]
    written = (tmp_path / "_static" / course_search.COUNTS_FILE).read_text()
    counts = json.loads(written.removeprefix("var COURSE_COUNTS = ").removesuffix(";"))
    lead = course_search.IN_LEAD
    assert counts == {
        "pages": ["page"],
        "counts": {"loss": {"0": 2 + lead}, "model": {"0": 3 + lead}},
    }


QUESTIONS = """\
# Page

:::{prediction} winner
Which one, $a$ or `b < c`?

- `a < b`
- "b" & c
:::

:::{outcome} winner
"b" & c

It leads by 5<!--= lead --> points.

And that is *enough*.
:::

:::{quiz} how-many
How many?

- [x]<!--= len(rows) == 4 --> Four
- [ ] None

  Too few.
:::
"""


def draw(folder: Path, text: str) -> tuple[BeautifulSoup, str]:
    """The page that Sphinx makes of a Markdown text, and its warnings."""
    (folder / "index.md").write_text(text, encoding="utf-8")
    warnings = io.StringIO()
    app = Sphinx(
        folder,
        None,
        folder / "out",
        folder / "trees",
        "html",
        {
            "extensions": ["myst_parser", "course_questions", "course_outputs"],
            "html_theme": "basic",
            "myst_enable_extensions": ["colon_fence", "dollarmath"],
        },
        status=None,
        warning=warnings,
    )
    app.build()
    page = (folder / "out" / "index.html").read_text("utf-8")
    # Each application of a process registers the same nodes, and warns from the second one on.
    told = [line for line in warnings.getvalue().splitlines() if "already registered" not in line]
    return BeautifulSoup(page, "html.parser"), "\n".join(told)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> BeautifulSoup:
    whole = QUESTIONS.replace("Four\n", "Four\n\n  They were counted.\n")
    page, warnings = draw(tmp_path_factory.mktemp("drawn"), whole)
    assert warnings == ""
    return page


def words(tag: Any) -> str:
    return " ".join(tag.get_text().split())


def test_a_quiz_unfolds_one_verdict_for_each_option(drawn: BeautifulSoup) -> None:
    (quiz,) = drawn.select("section.quiz")
    assert quiz["data-name"] == "how-many"
    assert words(quiz.find(id=str(quiz["aria-labelledby"]))) == "How many?"
    details = quiz.select("details")
    assert [words(one.summary) for one in details] == ["Four", "None"]
    assert [words(one.p) for one in details] == ["Right. They were counted.", "No. Too few."]
    assert not any(one.has_attr("open") for one in details)


def test_a_prediction_is_a_labelled_choice_without_a_verdict(drawn: BeautifulSoup) -> None:
    (prediction,) = drawn.select("section.prediction")
    legend = prediction.select_one("fieldset > legend")
    assert legend is not None
    assert legend["id"] == prediction["aria-labelledby"]
    assert words(legend).startswith("Predict: Which one")
    assert legend.select_one(".math") is not None
    radios = prediction.select("label > input[type=radio][name=prediction-winner]")
    assert [radio["value"] for radio in radios] == ["a < b", '"b" & c']
    assert not prediction.select("[checked]")


def test_an_outcome_has_its_answer_and_all_of_its_reason(drawn: BeautifulSoup) -> None:
    (outcome,) = drawn.select("section.outcome")
    answer, *reasons = outcome.select("p")
    assert answer["id"] == outcome["aria-labelledby"] == "outcome-winner"
    assert words(answer) == "Outcome: \u201cb\u201d & c"
    assert [words(p) for p in reasons] == ["It leads by 5 points.", "And that is enough."]


def test_no_marker_of_a_question_is_left_on_the_page(drawn: BeautifulSoup) -> None:
    assert "<!--=" not in str(drawn)


DOT = base64.b64encode(
    b"\x89PNG\r\n\x1a\n"  # what is copied needs no more of a picture than its name
).decode()
EXPLORER = (
    '<figure data-explorer="worth"><div class="explorer-static"></div><dl></dl>'
    '<script type="application/json">{"title": "a < b"}</script></figure>'
)


@pytest.fixture
def with_explorer(tmp_path: Path) -> Path:
    """A folder with a notebook that stores an explorer."""
    parts = {"image/png": DOT, "text/html": EXPLORER, "text/plain": "A curve.\nValue: 5 USD"}
    notebook = {"cells": [{"outputs": [{"data": parts}]}]}
    (tmp_path / "page.ipynb").write_text(json.dumps(notebook), "utf-8")
    return tmp_path


def test_another_page_shows_an_explorer_as_its_notebook_stores_it(with_explorer: Path) -> None:
    page, warnings = draw(with_explorer, "# Start\n\n:::{explorer} page worth\n:::\n")
    assert warnings == ""
    (picture,) = page.select("figure[data-explorer=worth] > .explorer-static > img")
    assert picture["alt"] == "A curve."
    assert (with_explorer / "out" / picture["src"]).read_bytes() == base64.b64decode(DOT)
    assert page.find("script", type="application/json").string == '{"title": "a < b"}'


@pytest.mark.parametrize("asked", ["page other", "nowhere worth"])
def test_an_explorer_that_no_notebook_stores_is_named(with_explorer: Path, asked: str) -> None:
    _, warnings = draw(with_explorer, f"# Start\n\n:::{{explorer}} {asked}\n:::\n")
    assert "stores no explorer" in warnings


def test_a_broken_question_is_a_warning_which_the_build_takes_as_an_error(tmp_path: Path) -> None:
    _, warnings = draw(tmp_path, QUESTIONS.replace("{outcome} winner", "{outcome} loser"))
    assert "the option 'Four' lacks its reason" in warnings
    assert "outcome 'loser' has no prediction of this name before it" in warnings
    assert "prediction 'winner' has no outcome after it" in warnings


def stored_page(folder: Path) -> Path:
    """A course of one notebook: prose with a number, two cells that print, one that checks."""

    def cell(kind: str, source: str, outputs: int, *tags: str) -> dict[str, Any]:
        return {
            "cell_type": kind,
            "source": [source],
            "metadata": {"tags": list(tags)},
            "outputs": [{}] * outputs,
        }

    cells = [
        cell("markdown", "It is 3<!--= 1 + 2 --> and 4<!--= 2 + 2 -->.", 0),
        cell("code", "print(3)\nassert True", 1),
        cell("code", "print(time())", 2, "nbval-ignore-output"),
        cell("code", "assert 1 < 2\nassert 2 < 3, 'no'", 0, "check"),
    ]
    (folder / "book").mkdir()
    notebook = {"cells": cells, "metadata": {"companion": {"run_seconds": 1500}}}
    page = folder / "book" / "page.ipynb"
    page.write_text(json.dumps(notebook), encoding="utf-8")
    toc = "root: book/index\nchapters:\n  - file: book/page\n  - file: book/words\n"
    (folder / "_toc.yml").write_text(toc, encoding="utf-8")
    return page


def test_what_was_verified_is_counted(tmp_path: Path) -> None:
    stored_page(tmp_path)
    _, _, row, total = course_verified.pages_table(tmp_path)
    assert row == "| [](/book/page.ipynb) | – | 1,500 | 2 | 1 | 2 | 2 |"
    assert total == "| **1 pages** |  | 1,500 | 2 | 1 | 2 | 2 |"


def test_the_day_of_a_page_is_that_of_its_last_commit(checkout: Path) -> None:
    stored_page(checkout)
    name = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
    for day, words in (("2026-01-02", "one"), ("2026-03-04", "two")):
        (checkout / "book" / "words.md").write_text(words, encoding="utf-8")
        subprocess.run(["git", "-C", str(checkout), "add", "."], check=True)
        dated = {**os.environ, "GIT_COMMITTER_DATE": f"{day}T12:00:00+0000"}
        commit = ["git", *name, "-C", str(checkout), "commit", "--quiet", "--message", words]
        subprocess.run(commit, check=True, env=dated)
    assert course_verified.last_changes(checkout) == {
        "book/page.ipynb": "2026-01-02",
        "book/words.md": "2026-03-04",
    }


def test_the_versions_are_the_locks() -> None:
    lines = list(course_verified.versions_list(ROOT))
    lock = (ROOT / "requirements" / "all.txt").read_text("utf-8")
    assert [line.split()[1] for line in lines] == list(course_verified.NAMED)
    for line in lines:
        for version in line.split(" ", 2)[2].split(" or "):
            assert f"{line.split()[1]}=={version} " in lock
