"""Draws the questions of a page: quizzes, and predictions with their outcomes.

``tools/questions.py`` says how they are written, and what is wrong with one that is not. They work
without a script: the options of a quiz are details that open to a verdict and its reason. The
script only repeats beside an outcome what the reader predicted.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

sys.path.append(str(Path(__file__).resolve().parents[2]))  # the house's tools are no package

from tools import questions

logger = logging.getLogger(__name__)


class Box(nodes.General, nodes.Element):  # docutils is untyped
    """An HTML element that holds blocks; its ``tag`` and ``html`` say which."""


class Line(nodes.General, nodes.TextElement):  # as above
    """An HTML element that holds text."""


class DrawQuestion(SphinxDirective):
    """The directives ``quiz``, ``prediction`` and ``outcome``."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0] if self.arguments else ""
        question = questions.read(self.name, name, list(self.content))
        if found := questions.problems(question):
            raise self.error("; ".join(found))
        parsed = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, parsed)
        box = Box(
            "",
            *{"quiz": _quiz, "prediction": _prediction, "outcome": _outcome}[self.name](
                question, parsed.children
            ),
            tag="section",
            kind=self.name,
            name=question.name,
            html={"data-name": question.name, "aria-labelledby": f"{self.name}-{question.name}"},
            classes=[self.name],
        )
        self.set_source_info(box)
        return [box]


def _say(paragraph: nodes.Element, word: str) -> None:
    paragraph.insert(0, [nodes.strong(text=word), nodes.Text(" ")])


def _quiz(question: questions.Question, parts: list[Any]) -> list[nodes.Node]:
    *asked, options = parts
    asked[0]["ids"] = [f"quiz-{question.name}"]
    asked[0]["classes"] = ["quiz-question"]
    return [*asked, *(_details(item) for item in options)]


def _details(item: Any) -> nodes.Node:
    text, *reasons = item.children
    box = str(text[0])  # "[x] The text", or "[x]" where a marker follows
    text[0] = nodes.Text(box[3:].lstrip())
    _say(reasons[0], "Right." if box[1] in "xX" else "No.")
    return Box("", Line("", "", *text.children, tag="summary"), *reasons, tag="details")


def _prediction(question: questions.Question, parts: list[Any]) -> list[nodes.Node]:
    first, *others = parts[:-1]
    _say(first, "Predict:")
    legend = Line("", "", *first.children[1:], tag="legend", ids=[f"prediction-{question.name}"])
    legend.insert(0, nodes.Text("Predict:"))
    labels = [_label(question.name, item[0]) for item in parts[-1]]
    return [Box("", legend, *others, *labels, tag="fieldset")]


def _label(name: str, text: Any) -> nodes.Node:
    value = escape(text.astext())
    radio = f'<input type="radio" name="prediction-{name}" value="{value}"> '
    words = Line("", "", *text.children, tag="span")
    return Line("", "", nodes.raw("", radio, format="html"), words, tag="label")


def _outcome(question: questions.Question, parts: list[Any]) -> list[nodes.Node]:
    answer = parts[0]
    answer["ids"] = [f"outcome-{question.name}"]
    _say(answer, "Outcome:")
    return parts


class CheckPage(SphinxTransform):
    """Says which outcome has no prediction, and which prediction no outcome."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        boxes = [box for box in self.document.findall(Box) if "kind" in box]
        for problem in questions.page_problems([(box["kind"], box["name"]) for box in boxes]):
            logger.warning(problem, location=boxes[0])


def visit_html(translator: Any, node: Any) -> None:
    translator.body.append(translator.starttag(node, node["tag"], "", **node.get("html", {})))


def depart_html(translator: Any, node: Any) -> None:
    translator.body.append(f"</{node['tag']}>\n" if isinstance(node, Box) else f"</{node['tag']}>")


def pass_by(translator: Any, node: Any) -> None:
    """Other formats show what is in the element."""


def setup(app: Sphinx) -> dict[str, bool]:
    visitors: dict[str, Any] = dict.fromkeys(
        ("latex", "man", "texinfo", "text"), (pass_by, pass_by)
    )
    visitors["html"] = (visit_html, depart_html)
    for kind in (Box, Line):
        app.add_node(kind, **visitors)
    for name in questions.KINDS:
        app.add_directive(name, DrawQuestion)
    app.add_transform(CheckPage)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
