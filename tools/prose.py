"""Numbers in prose: each is computed, a fact with its source, or no measurement at all.

A number is *bound* by an HTML comment directly after it: ``78 %<!--= accuracy:.0% -->``. The body
of the comment is the inside of an f-string, evaluated in the notebook's kernel after its last cell.
A number may be an interval as ``Interval`` writes it: ``0.75 (95 % 0.72–0.78)<!--= i:.2f -->``.
A page quotes what a notebook binds: ``0.79<!--= 04_practice/text_classifier: baseline:.2f -->``.
It may also compute from a stored run, whose entries and the facts are then names:
``2<!--= measured/applications: versions["cores"] -->``.
A number from outside is bound to its fact, ``14 %<!--= facts["support_gain"].value:.0% -->``; a
citation alone frees none. The words of a picture (``alt``) and of a search result (``description``)
cannot hold a marker, so they say numbers in words.

Every other number fails, except where it is no claim of ours:

- code, inline or fenced; maths; YAML front matter; HTML tags, attributes, comments and scripts;
- a directive's name and options but ``alt``, its argument where that is a path, label or layout;
- roles (``{ref}`…```), labels (``(name)=``), footnote marks, link targets, addresses;
- the number of a chapter or section that opens a link's text (``[4.1 A classifier](…)``) or follows
  the word there; without a link it fails, because it would not move with the table of contents;
- the number of an ordered list's item;
- a name with digits attached: F1, int8, TF-IDF, UTF-8, GPT-3, Qwen2.5, 2D (but ``5x``, ``10k``,
  ``top-5`` and ``3rd`` are numbers);
- a version after the name of a language, library, licence or model (``PRODUCTS``);
- the ten of a power of ten after its factor: 3.3 × 10²⁴;
- dates, and years from 1940 to 2049 (write two thousand reviews as ``2,000``);
- the entry **Time** in the header, which a rule of its own checks against the recorded run.

Number words are free: two classes, ten epochs.

The box of a quiz's option is bound in the same way: ``- [x]<!--= test < training -->`` is ticked
where the expression is true.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.colon_fence import colon_fence_plugin
from mdit_py_plugins.front_matter import front_matter_plugin

from tools import comparison

NUMBER = (
    r"(?:(?<![\w.)\]])[-+−])?(?<![A-Za-z_\d])(?<!\d[.,])\d+(?:[.,]\d+)*(?:[eE][-+−]?\d+)?"
    r"(?:[ \u00a0\u202f]?%)?"
)
INTERVAL = rf"{NUMBER} \({NUMBER} {NUMBER}[–-]{NUMBER}\)"
TICKS = {"[x]": "True", "[ ]": "False"}  # the box of a quiz's option, see tools/questions.py
BOUND = re.compile(rf"(?P<number>\[[x ]\]|{INTERVAL}|{NUMBER})?<!--=(?P<body>.*?)-->", re.S)
STORED = "measured/"  # a quote of a stored run, and not of a notebook
QUOTE = re.compile(rf"(?P<notebook>(?:\d\d_[\w-]+/|{STORED})[\w-]+):\s*(?P<body>.+)", re.S)
HEADER_TIME = re.compile(
    r"\*\*Time\*\*:?\s+read (?P<read>\d+) min, "
    r"run (?P<run>\d+)(?P<marker><!--=.*?-->)? s on two cores"
)

PRODUCTS = (
    "Python|Keras|TensorFlow|NumPy|Jupyter Book|Sphinx|JAX|PyTorch|CC BY|CC BY-SA|Apache|"
    "Ubuntu|Windows|macOS|MathJax|Vega-Lite|Binder|Llama"
)
MONTHS = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*"
SECTION = r"[1-9]\d?(?:\.\d{1,2}){0,2}"
YEAR = r"(?:19[4-9]\d|20[0-4]\d)"
# Options that are read out: their lines, and the deeper ones that go on with them.
TOLD = re.compile(r"^[ \t>]*:?(?:alt|description|keywords|title):")

CODE_DIRECTIVES = {
    *("code", "code-block", "code-cell", "sourcecode", "math", "raw", "eval-rst", "mermaid"),
    *("literalinclude", "include", "bibliography", "toctree", "tableofcontents", "contents"),
    "graphviz",
}
# Their argument is a path, a label or a layout; elsewhere it is a title, which is prose.
UNTITLED_DIRECTIVES = {
    *("figure", "image", "figure-md", "explorer", "grid", "solution", "solution-start")
}

# What is blanked once code, maths and bound numbers are out of the way, in this order.
_EXEMPT = [
    re.compile(r"<(script|style)\b.*?</\1>", re.S | re.I),
    re.compile(r"<!--.*?-->", re.S),
    re.compile(r"<[A-Za-z/!?][^<>]*>"),
    re.compile(r"(?<=[)\]])\{[^{}\n]*\}"),
    re.compile(r"(?<=\[)(?:\*\*)?" + SECTION + r"(?![\d%]|\s*%)(?=[^\]\[]*\](?:\(|\[))"),
    re.compile(
        r"(?<=[Cc]hapter )" + SECTION + r"(?=[^\]\[]*\](?:\(|\[))"
        r"|(?<=[Ss]ection )" + SECTION + r"(?=[^\]\[]*\](?:\(|\[))"
    ),
    re.compile(r"(?<=\])\([^()\s]*(?:\([^()\s]*\)[^()\s]*)*(?:\s+\"[^\"]*\")?\)"),
    re.compile(r"(?<=\])\[[^\]]*\]"),
    re.compile(r"^[ >]*\[[^\]]+\]:(?:\s*<?\w+://\S*.*)?", re.M),
    re.compile(r"\[\^[^\]]+\]"),
    re.compile(r"^[ >]*\([\w:.-]+\)=\s*$", re.M),
    re.compile(r"^%.*$", re.M),
    re.compile(r"\b(?:https?://|www\.|doi:)\S+"),
    re.compile(r"&#?\w+;"),
    re.compile(r"^[ \t>]*(?:[-*+][ \t]+)*\d{1,3}[.)](?=\s)", re.M),
    re.compile(r"(?<![A-Za-z_\d])[A-Za-z_][A-Za-z_]*\d\w*(?:\.\d+)*", re.A),
    re.compile(r"(?<![A-Za-z_\d])[A-Za-z]*[A-Z][A-Za-z\d]*-\d+(?:\.\d+)*[A-Za-z]*", re.A),
    re.compile(r"(?<![\w.,])[1-4]D\b"),
    re.compile(
        rf"\b(?:{PRODUCTS})[ \u00a0]\d+(?:\.\d+)*(?:[–-]\d+(?:\.\d+)*|[ \u00a0]\d+B\b)?"
        r"(?![\d%]|\s?%)"
    ),
    re.compile(r"(?<=× )10(?=[⁰¹²³⁴-⁹])"),
    re.compile(r"(?<![\d.,-])\d{4}-\d{2}(?:-\d{2})?(?![\d-])"),
    re.compile(rf"(?<![\d.,])\d{{1,2}} {MONTHS}\b"),
    re.compile(rf"\b{MONTHS} \d{{1,2}}(?:, (?={YEAR}))?(?!\d|[.,]\d)"),
    re.compile(rf"(?<![\d.,A-Za-z]){YEAR}(?:s\b|[–/-](?:{YEAR}|\d\d))?(?!\d|[.,]\d|\w|\s?%)", re.A),
]


@dataclass(frozen=True)
class Bound:
    """A number with the expression that computes it; ``start`` and ``end`` span the number."""

    text: str
    body: str
    line: int
    start: int
    end: int

    @property
    def quoted(self) -> tuple[str, str] | None:
        """The notebook, or the stored run, and the body, where the number quotes one."""
        found = QUOTE.fullmatch(self.body)
        return (found["notebook"], found["body"]) if found else None


@dataclass
class Prose:
    """What :func:`scan` found: bound numbers, unbound ones and broken markers as (line, text)."""

    bound: list[Bound] = field(default_factory=list)
    unbound: list[tuple[int, str]] = field(default_factory=list)
    broken: list[tuple[int, str]] = field(default_factory=list)


class _Text:
    """A text whose exempt parts are replaced by spaces, so that every position stays valid."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.lines = text.splitlines(keepends=True)
        self.starts = [0, *accumulate(map(len, self.lines))]

    def blank(self, start: int, end: int) -> None:
        gone = re.sub(r"[^\n]", " ", self.text[start:end])
        self.text = self.text[:start] + gone + self.text[end:]

    def blank_lines(self, first: int, last: int) -> None:
        self.blank(self.starts[first], self.starts[last])

    def blank_all(self, pattern: re.Pattern[str]) -> None:
        self.text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text)


_MARKDOWN = MarkdownIt("commonmark").use(front_matter_plugin).use(colon_fence_plugin)
_MARKDOWN.disable("inline")  # only blocks are asked for
_DIRECTIVE = re.compile(r"\{(?P<name>[\w:.-]+)\}")


def _blank_blocks(text: _Text, source: str, first: int = 0) -> None:
    """Blank code, directive lines, front matter and options but those that are read out.

    ``source`` is the part of the text that begins on its line ``first``.
    """
    for token in _MARKDOWN.parse(source):
        begin, end = (first + line for line in token.map or (0, 0))
        if token.type == "code_block":
            text.blank_lines(begin, end)
        elif token.type == "front_matter":
            _blank_options(text, begin, end)
        elif token.type in {"fence", "colon_fence"}:
            _blank_fence(text, token, begin, end)


def _blank_fence(text: _Text, token: Token, begin: int, end: int) -> None:
    directive = _DIRECTIVE.match(token.info.strip())
    name = directive["name"].split(":")[-1] if directive else ""
    if name in CODE_DIRECTIVES or (not directive and token.type == "fence"):
        text.blank_lines(begin, end)
        return
    opening = text.lines[begin]
    titled = directive and name not in UNTITLED_DIRECTIVES
    start = text.starts[begin]
    text.blank(start, start + (opening.index("}") + 1 if titled else len(opening)))
    if begin < end - 1 and text.lines[end - 1].strip(" \t\n>").startswith(token.markup):
        text.blank_lines(end - 1, end)
    inside = token.content.splitlines(keepends=True)
    options = _count_options(inside) if directive else 0
    _blank_options(text, begin + 1, begin + 1 + options)
    _blank_blocks(text, "".join(inside[options:]), begin + 1 + options)


def _count_options(lines: list[str]) -> int:
    """How many lines a directive's options take: `:name: value`, or YAML between two rules."""
    if lines and lines[0].strip() == "---":
        return next((i + 1 for i, line in enumerate(lines) if i and line.strip() == "---"), 0)
    return next((i for i, line in enumerate(lines) if not re.match(r":[\w-]+:", line)), len(lines))


def _blank_options(text: _Text, first: int, last: int) -> None:
    told = -1  # the indent of the option that is being read out
    for number in range(first, last):
        line = text.lines[number]
        indent = len(line) - len(line.lstrip())
        if TOLD.match(line):
            told = indent
        elif line.strip() and indent <= told:
            told = -1
        if told < 0:
            text.blank_lines(number, number + 1)


def _blank_inline(text: _Text) -> None:
    """Blank inline code, roles and maths."""
    code = re.compile(r"(\{[\w:+.-]+\})?(?<!`)(`+)(?!`)((?:(?!\n\s*\n).)+?)(?<!`)\2(?!`)", re.S)
    text.blank_all(code)
    text.blank_all(re.compile(r"\\begin\{(\w+\*?)\}.*?\\end\{\1\}", re.S))
    text.blank_all(re.compile(r"(?<!\\)\$\$.+?\$\$", re.S))
    text.blank_all(re.compile(r"(?<![\\$])\$(?:(?!\n\s*\n)[^$])+?(?<!\\)\$", re.S))


def scan(source: str) -> Prose:
    """Find the bound numbers, the unbound ones and the broken markers of a Markdown text."""
    prose, text = Prose(), _Text(source)
    _blank_blocks(text, source)
    _blank_inline(text)
    for found in list(BOUND.finditer(text.text)):
        line = source.count("\n", 0, found.start()) + 1
        body = " ".join(source[found.start("body") : found.end("body")].split())
        if found["number"] is None:
            prose.broken.append((line, found[0]))
        else:
            span = found.span("number")
            prose.bound.append(Bound(found["number"], body, line, *span))
    for header in HEADER_TIME.finditer(text.text):
        text.blank(*header.span("read"))
        text.blank(*header.span("run"))
    text.blank_all(BOUND)
    for pattern in _EXEMPT:
        text.blank_all(pattern)
    for found in re.finditer(NUMBER, text.text):
        prose.unbound.append((source.count("\n", 0, found.start()) + 1, found[0]))
    return prose


def normalise(text: str) -> str:
    """One spelling of a number: no thousands commas, no space before %, a plain minus.

    A box is spelt as its expression's value.
    """
    if text in TICKS:
        return TICKS[text]
    text = re.sub(r"\s*%", "%", text.replace("−", "-"))
    return re.sub(r"(?<=\d),(?=\d{3})", "", text).strip()


def is_number(text: str) -> bool:
    """Whether a marker's value can stand in prose: as a number, or in a box."""
    return text in TICKS.values() or re.fullmatch(f"{INTERVAL}|{NUMBER}", text) is not None


def restyle(computed: str, written: str) -> str:
    """Write the computed number as the prose wrote the old one: commas, space before %, minus."""
    if normalise(computed) == normalise(written):
        return written
    if written in TICKS:
        return next((box for box, value in TICKS.items() if value == computed), written)
    gap = re.search(r"(\s*)%", written)
    text = re.sub(r"(?<![eE\d])-(?=\d)", "−", computed)
    text = re.sub(r"\s*%", f"{gap[1] if gap else ' '}%", text)
    if re.search(r"\d,\d{3}", written):
        text = re.sub(r"(?<![\d.,])\d{4,}", lambda found: f"{int(found[0]):,}", text)
    return text


def rewrite(source: str, values: Mapping[str, str]) -> str:
    """The Markdown text with each bound number whose body is in ``values`` brought up to date."""
    for bound in reversed(scan(source).bound):
        if bound.body in values:
            new = restyle(values[bound.body], bound.text)
            source = source[: bound.start] + new + source[bound.end :]
    return source


def user_expressions(bodies: Iterable[str], run_seconds: float | None) -> dict[str, str]:
    """What to ask the kernel for: each body as an f-string that also knows ``run_seconds``."""
    return {body: f'(lambda run_seconds: f"""{{{body}}}""")({run_seconds!r})' for body in bodies}


def _parts(body: str) -> tuple[str, str]:
    """The expression that a body computes, and its format."""
    (part,) = ast.parse(f'f"""{{{body}}}"""', mode="eval").body.values  # type: ignore[attr-defined]
    spec = getattr(part.format_spec, "values", [])
    return ast.unparse(part.value), "".join(ast.literal_eval(each) for each in spec)


def spec_of(body: str) -> str:
    return _parts(body)[1]


def unrounded(body: str, run_seconds: float | None) -> str:
    """The expression of a number in prose without its format, as text with all its digits."""
    return f"(lambda run_seconds: repr(float({_parts(body)[0]})))({run_seconds!r})"


def read_reply(content: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, str]]:
    """A kernel's answer to :func:`user_expressions`: computed texts and errors, both by body."""
    values, errors = {}, {}
    for body, answer in content.get("user_expressions", {}).items():
        if answer["status"] == "ok":
            values[body] = ast.literal_eval(answer["data"]["text/plain"])
        else:
            errors[body] = f"{answer['ename']}: {answer['evalue']}"
    return values, errors


def differences(
    bounds: Iterable[Bound],
    values: Mapping[str, str],
    errors: Mapping[str, str],
    *,
    compare: bool = True,
    trained: Callable[[str], bool] = lambda body: False,
) -> list[str]:
    """One line for each number that the kernel computes differently, or not at all.

    ``compare=False`` excuses other digits, as on machines that round elsewhere, but no expression
    that fails and no other answer of a quiz. A body that is ``trained`` may differ by one unit of
    the last digit.
    """
    lines = []
    for bound in bounds:
        if bound.body in errors:
            lines.append(f"{bound.text!r} <!--= {bound.body} -->: {errors[bound.body]}")
        elif not is_number(computed := values[bound.body]):
            lines.append(f"<!--= {bound.body} -->: gives {computed!r}, which is not a number")
        elif (compare or bound.text in TICKS) and comparison.differences(
            normalise(bound.text), normalise(computed), trained=trained(bound.body)
        ):
            lines.append(f"<!--= {bound.body} -->: prose {bound.text!r}, computed {computed!r}")
    return lines
