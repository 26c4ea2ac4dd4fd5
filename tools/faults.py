"""Plant faults and count how many the tests catch: ``python -m tools.faults [name …]``.

Each fault is planted alone in a copy of the tree, and the tests that should see it run there. It
counts as caught if they pass without it and fail with it. A fault that no longer finds its place in
the code is an error, for then it proves nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.notebooks import ROOT

NOT_COPIED = (".venv", ".git", "_build", "build", "__pycache__", ".*_cache", ".hypothesis")
PAGE = "book/04_practice/text_classifier.ipynb"
HOUSE = ("tests/project/test_book_rules.py", "-k", "the_book_keeps_the_rule")
PROSE = ("tests/project/test_prose_numbers.py", "-k", "every_number_in_the_book")
RUN = ("--nbval", "--nbval-current-env", PAGE)
HISTORY = "book/01_background/history.ipynb"
SIX_STEPS = "book/03_algorithms/six_steps.ipynb"
OTHER_PICTURE = (  # one dark pixel
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
COMPARISON = ("tests/project/test_comparison.py",)
TRAINING = ("tests/package/training/test_trainer.py", "tests/package/training/test_checkpoints.py")


@dataclass(frozen=True)
class Fault:
    """One change of one file; ``find`` is a regular expression that must match."""

    name: str
    file: str
    find: str
    replace: str
    tests: tuple[str, ...]


def plain(name: str, file: str, find: str, replace: str, *tests: str) -> Fault:
    """A fault whose text is taken literally."""
    return Fault(name, file, re.escape(find), replace.replace("\\", r"\\"), tests)


FAULTS = [
    plain(
        "the value of a threshold has the wrong sign",
        "companion/economics/decisions.py",
        "(cheaper_usd - cost_usd)",
        "(cost_usd - cheaper_usd)",
        "tests/package/economics",
    ),
    plain(
        "a message at the threshold is not flagged",
        "companion/economics/decisions.py",
        'np.searchsorted(of_events, levels, side="left")',
        'np.searchsorted(of_events, levels, side="right")',
        "tests/package/economics",
    ),
    plain(
        "duplicates differ by case",
        "companion/data/duplicates.py",
        ".casefold()",
        "",
        "tests/package/data/test_reviews.py",
    ),
    plain(
        "the classifier reads its padding",
        "companion/models/classifiers.py",
        "mask_zero=mask_zero",
        "mask_zero=False",
        "tests/package/models/test_classifiers.py",
    ),
    plain(
        "the average counts the padding",
        "companion/models/classifiers.py",
        "keras.ops.sum(is_token, axis=1), 1.0)",
        "keras.ops.sum(is_token * 0 + 1, axis=1), 1.0)",
        "tests/package/models/test_classifiers.py",
    ),
    plain(
        "every epoch has the same order",
        "companion/training/batches.py",
        "default_rng([self.seed, turn])",
        "default_rng([self.seed, 0])",
        *TRAINING,
    ),
    plain(
        "dropout's random state is not saved",
        "companion/training/loop.py",
        '"model": self.model.variables',
        '"model": self.model.weights',
        *TRAINING,
    ),
    plain(
        "a checkpoint is written in place",
        "companion/_common/files.py",
        'temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")',
        "temporary = path",
        *TRAINING,
    ),
    plain(
        "two units of a trained number are forgiven",
        "tools/comparison.py",
        "<= Decimal((0, (1,), finest))",
        "<= Decimal((0, (2,), finest))",
        *COMPARISON,
    ),
    plain(
        "another label of a trained number is forgiven",
        "tools/comparison.py",
        "if _between(old, stored) != _between(new, shown):",
        "if len(old) != len(new):",
        *COMPARISON,
    ),
    plain(
        "a digit is forgiven where nothing is trained",
        "tools/comparison.py",
        "if not (trained and _one_unit(a, b))",
        "if not _one_unit(a, b)",
        *COMPARISON,
    ),
    Fault("a quiz has another key", PAGE, r"- \[x\](<!--=)", r"- [ ]\1", RUN),
    Fault(
        "two labels are swapped",
        PAGE,
        r"is right: 0\.11; is wrong",
        "is wrong: 0.11; is right",
        RUN,
    ),
    Fault("a number in the prose is wrong", PAGE, r"(\d)( ?%?<!--= )", r"\g<1>7\2", RUN),
    Fault("a number in the prose is not bound", PAGE, r"<!--= .*?-->", "", PROSE),
    Fault(
        "a stored output is stale",
        PAGE,
        r'("name": "stdout",\s+"output_type": "stream",\s+"text": \[\s+"[^"]*\d)',
        r"\g<1>1",
        RUN,
    ),
    Fault(
        "a picture's words are not its data",
        PAGE,
        r"(points, its first 3: 0\.)",
        r"\g<1>1",
        RUN,
    ),
    Fault(
        "the training half keeps copies of the test half",
        "book/04_practice/trustworthy.ipynb",
        r" if i not in drop",
        "",
        ("--nbval", "--nbval-current-env", "book/04_practice/trustworthy.ipynb"),
    ),
    plain(
        "the backward pass of a product forgets a factor",
        "companion/teaching/autodiff.py",
        "(a, lambda g: g * b.data), (b, lambda g: g * a.data)",
        "(a, lambda g: g * b.data), (b, lambda g: g)",
        "tests/package/teaching/test_autodiff.py",
    ),
    plain(
        "a scaling law's optimum forgets the balance of its terms",
        "companion/training/scaling.py",
        "balance * product_nd **",
        "product_nd **",
        "tests/package/training/test_scaling.py",
    ),
    plain(
        "a future token reaches a past one",
        "companion/models/layers.py",
        "is_causal=cache is None",
        "is_causal=False",
        "tests/package/models/test_gpt.py",
    ),
    plain(
        "lost time is counted as saved",
        "companion/economics/assistants.py",
        'np.where(effect > 0, values["realised_share"], 1.0)',
        'values["realised_share"]',
        "tests/package/economics",
    ),
    plain(
        "the interval of a difference ignores its seed",
        "companion/evaluation/intervals.py",
        "bootstrap_interval(np.mean, gain, level=level, num_resamples=num_resamples, seed=seed)",
        "bootstrap_interval(np.mean, gain, level=level, num_resamples=num_resamples)",
        "tests/package/evaluation",
    ),
    plain(
        "a return of zero is a loss",
        "companion/economics/assistants.py",
        "np.mean(self.return_usd < 0)",
        "np.mean(self.return_usd <= 0)",
        "tests/package/economics",
    ),
    plain(
        "of two equally cheap policies the alarm is the one to beat",
        "companion/economics/decisions.py",
        "num_events * cost_miss_usd <= (",
        "num_events * cost_miss_usd < (",
        "tests/package/economics",
    ),
    plain(
        "every seed draws the same",
        "companion/economics/assistants.py",
        "np.random.default_rng(seed).random((len(ranges)",
        "np.random.default_rng(0).random((len(ranges)",
        "tests/package/economics",
    ),
    plain(
        "the ends of a sensitivity are exchanged",
        "companion/economics/assistants.py",
        "(return_usd(name, r.low), return_usd(name, r.high))",
        "(return_usd(name, r.high), return_usd(name, r.low))",
        "tests/package/economics",
    ),
    plain(
        "a docstring names another default",
        "companion/models/classifiers.py",
        "Tokens in a row. Defaults to 100.",
        "Tokens in a row. Defaults to 1000.",
        "tests/project/test_package_shape.py",
        "-k",
        "the_project_keeps_the_rule and documented",
    ),
    plain(
        "the heads share no keys and values",
        "companion/models/gpt.py",
        '"num_key_value_heads": num_key_value_heads,',
        '"num_key_value_heads": None,',
        "tests/package/models/test_gpt.py",
    ),
    plain(
        "rotary positions turn too fast",
        "companion/models/layers.py",
        "rope_base: float = 10000.0",
        "rope_base: float = 1000.0",
        "tests/package/models",
    ),
    plain(
        "no gradient is clipped",
        "companion/training/schedules.py",
        "beta_2=0.95, clipnorm=1.0)",
        "beta_2=0.95)",
        "tests/package/models/test_classifiers.py",
    ),
    Fault(
        "the baseline learns from the test reviews",
        PAGE,
        r"baseline\.fit\(texts, labels\)",
        "baseline.fit([*texts, *test_texts], [*labels, *test_labels])",
        RUN,
    ),
    Fault(
        "a stored picture is another one",
        HISTORY,
        r'("image/png": )"[^"]*"',
        rf'\g<1>"{OTHER_PICTURE}"',
        ("--nbval", "--nbval-current-env", HISTORY),
    ),
    Fault(
        "a picture shows the same things in another order",
        SIX_STEPS,
        r"for digit in range\(10\)\]\), cmap",
        "for digit in range(9, -1, -1)]), cmap",
        ("--nbval", "--nbval-current-env", SIX_STEPS),
    ),
    Fault("a picture is not stored", HISTORY, r'"image/png": "[^"]*",\s+', "", HOUSE),
    Fault(
        "a number in a cited sentence is wrong",
        "book/01_background/opportunities.ipynb",
        r"80\s%<!--=[^>]*hours_share[^>]*-->",
        "60 %",
        PROSE,
    ),
    Fault(
        "a picture's words on a page name a number",
        "book/index.md",
        r":::\{explorer\} [^\n]*\n:::",
        ":::{image} landing.png\n:alt: A curve that rises to 78,000 dollars.\n:::",
        PROSE,
    ),
    Fault(
        "a search result names a number",
        "book/index.md",
        r"An executable course for",
        "An executable course in 35 pages for",
        PROSE,
    ),
    Fault(
        "an output is ignored for any reason",
        PAGE,
        r'"metadata": \{\},(\s+"outputs": \[\s+\{\s+"name")',
        r'"metadata": {"tags": ["nbval-ignore-output"], "companion": {"reason": "slow"}},\1',
        HOUSE,
    ),
    Fault(
        "a cell is taken off the page",
        PAGE,
        r'"metadata": \{\},(\s+"outputs": \[\s+\{\s+"name")',
        r'"metadata": {"tags": ["remove-cell"]},\1',
        HOUSE,
    ),
    Fault(
        "a check holds in any case",
        PAGE,
        r"assert (?:[^\"\\]|\\.)+?(?=\\n|\")",
        "assert True",
        HOUSE,
    ),
    Fault(
        "a source is of another year than its fact",
        "book/references.bib",
        r"(brynjolfsson2025generative,.*year=\{)2025",
        r"\g<1>2024",
        ("tests/project/test_book_rules.py", "-k", "the_book_keeps_the_rule and as_old_as"),
    ),
    Fault(
        "a summary does not close its chapter",
        "_toc.yml",
        r"(.*01_background/opportunities\n)(.*01_background/summary\n)",
        r"\2\1",
        HOUSE,
    ),
    Fault("the header's time is wrong", PAGE, r"(?<=\brun )(\d+)", r"9\1", HOUSE),
    Fault("a cell was not run", PAGE, r'"execution_count": 2,', '"execution_count": null,', HOUSE),
    Fault(
        "a section checks nothing",
        PAGE,
        r'(?s)("id": "check-compile".*?"source": \[\s+)"assert [^\n]*',
        r'\g<1>"print(1)"',
        HOUSE,
    ),
    Fault("a citation has no source", PAGE, r"\{cite(:\w+)?\}`", r"{cite}`nobody2000,", HOUSE),
    Fault("a page is not listed", "_toc.yml", r" *- file: .*trustworthy\n", "", HOUSE),
]


def plant(fault: Fault, root: Path) -> bool:
    """Put the fault into the tree; say whether its place was found."""
    path = root / fault.file
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    changed, count = re.subn(fault.find, fault.replace, text, count=1)
    if count and changed != text:
        path.write_text(changed, encoding="utf-8")
        return True
    return False


def passes(tests: tuple[str, ...], root: Path) -> bool:
    """Run the tests in a tree, against the package of that tree."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    env = os.environ | {"PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"}
    return (
        subprocess.run(command, cwd=root, env=env, capture_output=True, check=False).returncode == 0
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="faults", description=(__doc__ or "").split("\n\n")[1])
    parser.add_argument("names", nargs="*", help="parts of the names of faults (all of them)")
    names = parser.parse_args(arguments).names
    chosen = [f for f in FAULTS if not names or any(name in f.name for name in names)]
    results: dict[str, list[str]] = {"caught": [], "MISSED": [], "ERROR": []}
    green: dict[tuple[str, ...], bool] = {}
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder, "tree")
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(*NOT_COPIED))
        for fault in chosen:
            original = (tree / fault.file).read_bytes() if (tree / fault.file).is_file() else b""
            if fault.tests not in green:
                green[fault.tests] = passes(fault.tests, tree)
            if not green[fault.tests]:
                verdict, why = "ERROR", f"; without it fails: pytest {' '.join(fault.tests)}"
            elif not plant(fault, tree):
                verdict, why = "ERROR", f"; {fault.file} no longer has {fault.find!r}"
            else:
                verdict, why = ("MISSED" if passes(fault.tests, tree) else "caught"), ""
                (tree / fault.file).write_bytes(original)
            results[verdict].append(fault.name)
            print(f"{verdict}: {fault.name}{why}", flush=True)
    share = len(results["caught"]) / len(chosen) if chosen else 0
    print(f"{len(results['caught'])} of {len(chosen)} faults caught ({share:.0%})")
    return 0 if chosen and len(results["caught"]) == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
