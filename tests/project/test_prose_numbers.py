"""Numbers in prose are computed or facts, and a run of the notebook proves the computed ones."""

from __future__ import annotations

import base64
import copy
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.project import book_rules
from tests.project.sample import code, display, edit, markdown, write_notebook
from tools.notebooks import ROOT, Node
from tools.prose import differences, normalise, restyle, rewrite, scan


@pytest.mark.parametrize("rule", book_rules.PROSE_RULES, ids=lambda rule: rule.__name__)
def test_every_number_in_the_book_is_computed_or_a_fact(rule: Any) -> None:
    assert not list(rule(ROOT)), "\n".join(rule(ROOT))


UNBOUND = {
    "a plain number": ("It took 12 runs.", ["12"]),
    "a percentage": ("It was right in 78 % of them.", ["78 %"]),
    "a no-break space before %": ("It was 78\u00a0% here.", ["78\u00a0%"]),
    "a negative number": ("It lost −3.5 points.", ["−3.5"]),
    "thousands": ("On 4,000 reviews.", ["4,000"]),
    "an exponent": ("At a rate of 1e-3 it is fine.", ["1e-3"]),
    "a number with a unit attached": ("It is 5x faster with 10k words and 4GB.", ["5", "10", "4"]),
    "an ordinal in digits": ("In the 3rd epoch.", ["3"]),
    "a small word with a hyphen": ("The top-5 words.", ["5"]),
    "both ends of a range": ("From 0.72–0.78 it went.", ["0.72", "0.78"]),
    "a table cell": ("| model | accuracy |\n|---|---|\n| bag | 0.79 |\n", ["0.79"]),
    "a heading": ("## What 1,000 words do\n", ["1,000"]),
    "a list item's text": ("- It took 5 s.\n", ["5"]),
    "an admonition": (":::{note}\n:class: tip\nIt took 5 s.\n:::\n", ["5"]),
    "an admonition's title": (":::{admonition} In 5 s\nYes.\n:::\n", ["5"]),
    "a nested directive": ("::::{grid} 1 2\n:::{grid-item}\n5 s\n:::\n::::\n", ["5"]),
    "after a nested code block": (":::{note}\n```python\nx = 1\n```\nIt is 5.\n:::\n", ["5"]),
    "after code in a quotation": ("> ```\n> 4\n> ```\n> and 5\n", ["5"]),
    "after code in a list": ("- one\n\n  ```python\n  x = 4\n  ```\n  then 5\n", ["5"]),
    "a note in a list": ("1. one\n\n   :::{note} In 4 s\n   :name: a1\n   5\n   :::\n", ["4", "5"]),
    "a quiz": (":::{quiz} a1\nIs it 4?\n\n- [x] Yes.\n\n  It is 5.\n:::\n", ["4", "5"]),
    "bold text": ("It is **78 %** right.", ["78 %"]),
    "text in an HTML element": ("<p>It is <b>5</b></p>", ["5"]),
    "Chinese prose": ("准确率78%。", ["78%"]),
    "a link's text": ("[right in 78 % of them](page.md)", ["78 %"]),
    "a section without a link": ("See 4.1 for it.", ["4.1"]),
    "a decimal that looks like a section": ("[0.79 accuracy](page.md)", ["0.79"]),
    "an inline image's words": ("![78 % right](a1.png)", ["78 %"]),
    "a year with a comma": ("On 2,000 reviews.", ["2,000"]),
    "a percentage that looks like a year": ("It grew by 2000 %.", ["2000 %"]),
    "a cited sentence": ("It is 5 {cite}`a`.", ["5"]),
    "a cited row": ("| a | 5 {cite}`a` |\n", ["5"]),
    "a figure's words": (":::{figure} a1.png\n:width: 80%\n:alt: Up to 5\n:::\n", ["5"]),
    "an image's words": ("```{image} a1.png\n:alt: Up to 5\n```\n", ["5"]),
    "a figure's words over two lines": (
        "```{figure} a1.png\n---\nwidth: 80\nalt: >-\n  Up\n  to 5\nname: a9\n---\n```\n",
        ["5"],
    ),
    "a search result's words": (
        "---\nversion: 7\nmyst:\n  description: >-\n    In\n    35 pages\n  robots: 8\n---\nOne.\n",
        ["35"],
    ),
    "a power of ten's factor": ("It took 3.3 × 10²⁴ of them.", ["3.3"]),
    "an unfinished maths span": ("It costs 5 USD, or \\$6.", ["5", "6"]),
    "after a product's version": ("Keras 3 has 5 layers.", ["5"]),
    "a number before its own marker only": ("5 of 6<!--= n -->", ["5"]),
}
FREE = {
    "number words": "Two classes and ten epochs.",
    "inline code": "It has `64` units and ``a`5`b``.",
    "fenced code": "```python\nx = 64\n```\n",
    "fenced code in a tilde fence": "~~~\n64\n~~~\n",
    "code that nothing closes": "```python\nx = 64\n",
    "indented code": "So:\n\n    x = 64\n",
    "a code directive": "```{code-block} python\n:linenos: 1\nx = 64\n```\n",
    "inline maths": "As $n = 64$ grows, $2^{10}$ too.",
    "a maths block": "$$\nn = 64\n$$\n",
    "a maths directive": ":::{math}\n:label: eq1\nn = 64\n:::\n",
    "a maths role": "As {math}`n = 64`.",
    "a directive's options": ":::{figure} a1.png\n:width: 80%\n:alt: One line\nA caption.\n:::\n",
    "a directive's YAML options": "```{note}\n---\nname: a\nwidth: 80\n---\nText.\n```\n",
    "a layout": "::::{grid} 1 2 2 3\n:gutter: 3\n::::\n",
    "a role": "{ref}`section 4.1 <a1>` and {doc}`4.2 <trustworthy>`",
    "a label": "(page-2)=\n# Title\n",
    "a link's target": '[text](https://example.org/2/3 "part 2") and <https://example.org/5>',
    "a bare address": "See https://example.org/a/55.",
    "a reference link": "[text][1]\n\n[1]: https://example.org/77\n",
    "a footnote": "Text[^1].\n\n[^1]: A note.\n",
    "HTML attributes": '<img src="a.png" width="300"> <a href="#s2">text</a>',
    "an HTML comment": "<!-- 55 -->",
    "a script": "<script>let x = 5;</script>",
    "an entity": "a&#8239;b",
    "front matter": "---\nversion: 5\n---\n# Title\n",
    "an ordered list": "1. One\n2. Two\n   1) Three\n",
    "names with digits": "F1, int8, TF-IDF, UTF-8, GPT-3.5, GPT-4o, Qwen2.5, H100, Word2Vec and 2D",
    "a version": "Python 3.11–3.13, Keras 3, TensorFlow 2.21 and CC BY 4.0",
    "a date": "On 23 November 2026, on November 23, 2026, on 2026-11-23, in Nov 2026",
    "a year": "In 2017, the 1990s, 2019–2021 and 2024/25.",
    "a section in a link": "[4.1](page.md), [4.2 A page](page.md) and [chapter 4](page.md)",
    "a model's size": "Llama 2 13B, Llama 3.1 405B and Llama 3",
    "the header's time": "**Time** read 12 min, run 20 s on two cores",
    "a bound number": "It is 78 %<!--= accuracy:.0% --> of them.",
    "a bound interval": "It is 0.75 (95 % 0.72–0.78)<!--= interval:.2f -->.",
    "bound bold text": "**−1,234.5<!--= x:,.1f -->**",
    "a bound number in a table": "| a | 0.79<!--= x:.2f --> |\n",
}


@pytest.mark.parametrize("case", UNBOUND)
def test_an_unbound_number_is_found(case: str) -> None:
    text, numbers = UNBOUND[case]
    assert [number for _, number in scan(text).unbound] == numbers


@pytest.mark.parametrize("case", FREE)
def test_what_is_no_claim_is_free(case: str) -> None:
    assert scan(FREE[case]).unbound == []
    assert scan(FREE[case]).broken == []


def test_a_number_is_found_on_its_line() -> None:
    assert scan("One\n\n```python\nx = 1\n```\n\nIt is 5.").unbound == [(7, "5")]


def test_a_marker_binds_the_number_before_it() -> None:
    (bound,) = scan("Of 5 we got 78 %<!--=  accuracy:.0% --> right").bound
    assert (bound.text, bound.body) == ("78 %", "accuracy:.0%")


def test_a_marker_in_code_binds_nothing() -> None:
    assert scan("`78 %<!--= accuracy:.0% -->`").bound == []


@pytest.mark.parametrize(
    "text",
    ["**78 %**<!--= x -->", "10k<!--= x -->", "many<!--= x -->", "<!--= x -->", "5 <!--= x -->"],
)
def test_a_marker_without_a_number_directly_before_it_is_broken(text: str) -> None:
    assert len(scan(text).broken) == 1


def test_a_quote_names_its_notebook() -> None:
    (bound,) = scan("0.79<!--= 04_practice/text_classifier: base:.2f -->").bound
    assert bound.quoted == ("04_practice/text_classifier", "base:.2f")


def test_a_quote_may_name_a_stored_run() -> None:
    (bound,) = scan("12<!--= measured/speed: seconds['own']:.0f -->").bound
    assert bound.quoted == ("measured/speed", "seconds['own']:.0f")


def test_a_division_is_no_quote() -> None:
    assert scan("0.79<!--= right/all: .2f -->").bound[0].quoted is None


@pytest.mark.parametrize(
    ("prose", "computed"),
    [
        ("78 %", "78%"),
        ("78\u00a0%", "78%"),
        ("−3", "-3"),
        ("97,089", "97089"),
        ("1,234,567", "1234567"),
    ],
)
def test_spelling_is_no_difference(prose: str, computed: str) -> None:
    assert normalise(prose) == normalise(computed)
    assert restyle(computed, prose) == prose


@pytest.mark.parametrize("other", ["77%", "-78%", "78", "78.0%", "0.78"])
def test_another_number_is_a_difference(other: str) -> None:
    assert normalise("78 %") != normalise(other)


@pytest.mark.parametrize(
    ("computed", "old", "new"),
    [
        ("79%", "78\u00a0%", "79\u00a0%"),
        ("79%", "78%", "79%"),
        ("-4", "−3", "−4"),
        ("-4", "3", "−4"),
        ("98000", "97,089", "98,000"),
        ("1e-4", "1e-3", "1e-4"),
        ("0.76 (95 % 0.73–0.79)", "0.75 (95 % 0.72–0.78)", "0.76 (95 % 0.73–0.79)"),
    ],
)
def test_a_new_number_is_written_as_the_old_one_was(computed: str, old: str, new: str) -> None:
    text = f"We got {old}<!--= x --> here, and {old}<!--= y -->."
    assert rewrite(text, {"x": computed}) == f"We got {new}<!--= x --> here, and {old}<!--= y -->."


def test_a_difference_names_expression_prose_and_computed() -> None:
    bounds = scan("78 %<!--= a:.0% --> and 5<!--= b -->").bound
    assert differences(bounds, {"a:.0%": "79%"}, {"b": "NameError: no b"}) == [
        "<!--= a:.0% -->: prose '78 %', computed '79%'",
        "'5' <!--= b -->: NameError: no b",
    ]


# The notebook's own run


def half_dark(side: str) -> str:
    """A picture in base64, dark on one side."""
    image, file = Image.new("L", (96, 96), "white"), io.BytesIO()
    image.paste("black", (0, 0, 48, 96) if side == "left" else (48, 0, 96, 96))
    image.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def share_and_picture(prose: str, side: str) -> list[Node]:
    """Cells whose picture is dark on the left; `side` is where the stored one is dark."""
    shown = {"image/png": half_dark("left"), "text/plain": "Half of it is dark."}
    picture = code("half", f"from IPython.display import display\ndisplay({shown}, raw=True)")
    picture.outputs = [display(png=half_dark(side), text=shown["text/plain"])]
    return [
        markdown("words", prose),
        code("share", "share = 0.785\nprint(share)", "0.785\n"),
        code("facts", "facts = {'imdb': 4}"),
        picture,
    ]


def run_nbval(root: Path, cells: list[Node], *options: str, needs: Sequence[str] = ()) -> str:
    """Run nbval with the book's conftest over a notebook in a fresh process."""
    write_notebook(root / "book/04_practice/page.ipynb", cells, run_seconds=7)
    edit(root, lambda nb: nb.metadata["companion"].update(needs=list(needs)))
    shutil.copy(ROOT / "book/conftest.py", root / "book/conftest.py")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "book"]
    # Where CI is set, pytest repeats each failure whole in its summary.
    outside_ci = {
        name: value for name, value in os.environ.items() if name not in ("CI", "BUILD_NUMBER")
    }
    done = subprocess.run(
        [*command, "--nbval-current-env"],
        cwd=root,
        env=outside_ci | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_run_proves_the_numbers_in_prose_and_the_pictures(tmp_path: Path) -> None:
    text = "78 %<!--= share:.0% -->, 4<!--= facts['imdb'] -->, 7<!--= run_seconds:.0f -->."
    shown = run_nbval(tmp_path, share_and_picture(text, "left"), "--nbval")
    assert "5 passed" in shown, shown
    assert "2 of 2 outputs compared" in shown


@pytest.mark.slow
def test_a_run_finds_wrong_numbers_expressions_and_pictures_under_xdist(tmp_path: Path) -> None:
    text = "79 %<!--= share:.0% -->, 4<!--= facts['imbd'] -->."
    workers = ["--nbval", "-n", "1", "--dist", "loadfile", "--no-loadscope-reorder"]
    shown = run_nbval(tmp_path, share_and_picture(text, "right"), *workers)
    assert "2 failed, 3 passed" in shown, shown
    assert "cell half: stores another picture than a run shows" in shown
    assert "cell words: <!--= share:.0% -->: prose '79 %', computed '78%'" in shown
    assert "cell words: '4' <!--= facts['imbd'] -->: KeyError: 'imbd'" in shown
    assert "2 of 2 outputs compared" in shown


@pytest.mark.slow
def test_a_page_whose_package_is_missing_is_left_out_and_says_why(tmp_path: Path) -> None:
    cells = [code("rare", "import no_such_package\nprint('here')", "here\n")]
    shown = run_nbval(tmp_path, cells, "--nbval", "-rs", needs=["json", "no_such_package"])
    assert "1 skipped" in shown, shown
    assert "needs no_such_package, not installed here" in shown
    shown = run_nbval(tmp_path, [code("found", "print(1)", "1\n")], "--nbval", needs=["json"])
    assert "3 passed" in shown, shown


# What the cells print is 0.78 and "cat"; stored are one unit more, and faults.
TRAINED = {"tags": ["trained"]}
PLANTED = [
    markdown(
        "words",
        "One unit: 0.79<!--= share:.2f -->. A wrong digit: 0.88<!--= share:.2f -->. "
        "Computed elsewhere: 0.79<!--= other:.2f -->.",
    ),
    markdown("quiz", ":::{quiz} a\nIs it?\n\n- [ ]<!--= other < 1 --> Yes.\n\n  It is.\n:::"),
    code("unit", "share = 0.78\nprint('cat', share)", "cat 0.79\n", **TRAINED),
    code("units", "print('cat', share)", "cat 0.80\n", **TRAINED),
    code("label", "print('cat', share)", "dog 0.78\n", **TRAINED),
    code("exact", "other = 0.78\nprint('cat', other)", "cat 0.79\n"),
    code("words-of-a-picture", "from IPython.display import display"),
]


def planted() -> list[Node]:
    cells = copy.deepcopy(PLANTED)
    cells[-1].source += f"\ndisplay({{'image/png': '{half_dark('left')}', "
    cells[-1].source += "'text/plain': 'A line to 0.78.'}, raw=True)"
    cells[-1].outputs = [display(png=half_dark("left"), text="A line to 0.79.")]
    return cells


@pytest.mark.slow
def test_a_run_forgives_a_trained_unit_and_finds_every_planted_fault(tmp_path: Path) -> None:
    shown = run_nbval(tmp_path, planted(), "--nbval", "-rpf", "--color=no")
    verdicts = re.findall(r"^(PASSED|FAILED) .*?::(.*?)(?: - .*)?$", shown, re.M)
    assert sorted(verdicts) == [
        ("FAILED", "Cell 1"),
        ("FAILED", "Cell 2"),
        ("FAILED", "Cell 3"),
        ("FAILED", "Cell 4"),
        ("FAILED", "prose numbers"),
        ("PASSED", "Cell 0"),
        ("PASSED", "pictures"),
    ], shown
    assert "stored '0.80', then '0.78'; safe digits: 0.8" in shown
    assert "stored 'dog 0.78', then 'cat 0.78'" in shown
    said = re.findall(r"prose '(.*?)', computed '(.*?)'", shown)
    assert said == [("0.88", "0.78"), ("0.79", "0.78"), ("[ ]", "True")]


@pytest.mark.slow
def test_a_lax_run_excuses_digits_but_no_error_and_no_answer_of_a_quiz(tmp_path: Path) -> None:
    cells = planted()
    cells[0].source += " Gone: 5<!--= nothing -->."
    shown = run_nbval(tmp_path, cells, "--nbval-lax")
    assert "1 failed, 6 passed" in shown, shown
    assert re.findall(r"prose '(.*?)', computed '(.*?)'", shown) == [("[ ]", "True")]
    assert "NameError: name 'nothing' is not defined" in shown
