"""The command `companion`: trains and uses the course's models without a notebook."""

from __future__ import annotations

import argparse
import contextlib
import io
import math
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from companion._common.checking import close_to
from companion.cli import classifier, costs, datasets, failures, language
from companion.cli.shared import note

__all__ = ["main"]


_HELP = """\
example, from nothing to a prediction:
  companion data                                 what there is to learn from
  companion train                                learns from English food reviews
  companion evaluate models/food_reviews         compares with simple baselines
  companion predict models/food_reviews "Best coffee I ever had."
  companion serve models/food_reviews            answers other programs over HTTP
  companion train-gpt --minutes 10               a small language model, on Shakespeare
  companion generate models/gpt --prompt ROMEO   continues a text with it

Every command explains itself: companion train --help
Results go to stdout, progress and errors to stderr. Exit codes: 0 done, 1 failed,
2 wrong use or input, 130 interrupted.
"""

_DATA_HELP = """\
examples:
  companion data                    all data sets: size and licence
  companion data food_reviews       one set: its card and three examples

next: companion train --data food_reviews
"""

_TRAIN_HELP = """\
examples:
  companion train                                              English food reviews, LSTM
  companion train --data chinese_reviews --architecture bag    Chinese, the faster model
  companion train --data mine.csv                              columns text and label
  companion train --as-written --out models/as_written         the source document's program

A fifth of the texts is held out, and training stops when they are no longer predicted better.
Stopped, killed or out of disk space? The same command continues after the last finished epoch.
--restart keeps the old model until the new one is saved.
--as-written is: LSTM, words, 10 epochs of batches of 32, padding learnt from, nothing held out.

next: companion evaluate DIR
"""

_TRAIN_GPT_HELP = """\
examples:
  companion train-gpt --minutes 10                             a small GPT on Shakespeare's plays
  companion train-gpt --data letters/ --out models/letters     on the .txt files of a folder

A tenth of the text is held out. Stopped, killed or out of time? The same command continues after
the last hundred steps.

next: companion generate DIR --prompt "ROMEO"
"""

_EVALUATE_HELP = """\
examples:
  companion evaluate models/food_reviews
  companion evaluate models/mine --data mine_test.csv
  companion evaluate models/food_reviews --threshold 0.8

The baselines learn from the same training texts. A difference smaller than the intervals
may be chance.

next: companion predict DIR "A text of yours."
"""

_PREDICT_HELP = """\
examples:
  companion predict models/food_reviews "Best coffee I ever had." "Stale."
  companion predict models/food_reviews --file reviews.txt > predictions.tsv
  cat reviews.txt | companion predict models/food_reviews --file -

Prints a line for each text: label, probability of that label, beginning of the text, with
tabs between. A file is UTF-8 with one text a line; an empty line gives a row of two tabs.
"""

_EXPORT_HELP = """\
examples:
  companion export models/food_reviews                    into models/food_reviews/onnx
  companion export models/food_reviews --quantize --out small

ONNX Runtime predicts from what is written, without TensorFlow. --quantize stores weights as 8-bit
integers: a quarter of the size. Measure afterwards that the accuracy is still what you need.

next: companion serve DIR
"""

_SERVE_HELP = """\
examples:
  companion serve models/food_reviews
  companion serve models/food_reviews/onnx --port 8001
  curl http://127.0.0.1:8000/predict --data '{"texts": ["Best coffee ever.", "Stale."]}'

DIR is a trained classifier or an exported one. GET /health and GET /metrics say how it does.
Only programs on this machine are answered. --host opens it to others: the service has no passwords
and no encryption, so put something that has both between it and them. Ctrl+C or SIGTERM ends it
when the running requests are answered.

next: watch GET /metrics
"""

_COST_HELP = """\
examples:
  companion cost --requests 1e6 --tokens-in 250 --tokens-out 2
  companion cost --requests 1e6 --tokens-in 250 --tokens-out 2 --model gpt-6-luna

Instructions and examples count as tokens in, with every request. Prices are list prices of the date
shown, without discounts.

next: compare with what a server of your own costs in a year
"""

_GENERATE_HELP = """\
examples:
  companion generate models/gpt --prompt "ROMEO" --tokens 60
  companion generate models/gpt --prompt "What light" --temperature 0.8 --top-k 50 --seed 1

Prompt and new tokens together must fit into what the model reads, 128 tokens if it was trained by
companion train-gpt. One seed gives one text; temperature 0 always takes the likeliest token.

next: companion train-gpt, which goes on with the training
"""

_THRESHOLD = (
    "probability from which on the second of two labels is said (default: the model's own, which "
    "is 0.5 unless one was chosen)"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code.

    Args:
        argv: List of strings, the words after `companion`; `None` takes the process's own.

    Returns:
        0 done, 1 failed, 2 wrong use or input, 130 interrupted.

    Example:

    >>> main(["data", "food_reviews"])  # doctest: +ELLIPSIS
    Small fine-food reviews...
    0
    """
    with _streams() as is_open:
        words = _renamed(sys.argv[1:] if argv is None else argv)
        args, unknown = _parser().parse_known_args(words)
        if unknown:
            args.parser.error(_unknown(unknown[0], args))
        if not is_open:
            note("error: standard output is closed, so nothing could be shown.")
            return 1
        try:
            args.run(args)
            sys.stdout.flush()
        except BrokenPipeError:  # the reader, such as head, has seen enough
            _drop_output()
            return 1
        except (Exception, KeyboardInterrupt) as error:
            code = failures.report(error, args.options, show_traceback=args.traceback)
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                return code
            _drop_output()  # or Python tries again at its end, and complains
            return code
    return 0


def _unknown(word: str, args: argparse.Namespace) -> str:
    message = f"unknown argument {word!r}"
    name = word.partition("=")[0].removeprefix("--").replace("-", "_")
    if args.run is classifier.train and name in ("minutes", "steps", *language.MODEL):
        return f"{message}: it is for companion train-gpt"
    if "data" in args.options and not word.startswith("-"):
        return f"{message}: texts are given with --data"
    return message


@contextlib.contextmanager
def _streams() -> Iterator[bool]:
    """Makes the standard streams safe to use; yields whether there is an output.

    An emoji must not end a run on an old terminal. And a stream that was closed leaves its number
    to the next file that is opened: what a library then prints would go into a model.
    """
    is_open = sys.stdout is not None
    if None in (sys.stdin, sys.stdout, sys.stderr):
        while os.open(os.devnull, os.O_RDWR) < 2:
            pass
    streams = [s for s in (sys.stdout, sys.stderr) if isinstance(s, io.TextIOWrapper)]
    before = [stream.errors for stream in streams]
    for stream in streams:
        stream.reconfigure(errors="replace")
    try:
        yield is_open
    finally:
        for stream, errors in zip(streams, before, strict=True):
            with contextlib.suppress(OSError, ValueError):
                stream.reconfigure(errors=errors)


def _drop_output() -> None:
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _renamed(words: Sequence[str]) -> list[str]:
    """Returns the words with `train-gpt` for what was called `train gpt`."""
    place = next((i for i, word in enumerate(words) if not word.startswith("-")), 0)
    if list(words[place : place + 2]) != ["train", "gpt"]:
        return list(words)
    note("note: companion train gpt is now called companion train-gpt.")
    return [*words[:place], "train-gpt", *words[place + 2 :]]


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        wrong = re.search(r"(.*)invalid choice: '(.*?)' \(choose from (.*)\)", message)
        if wrong:
            allowed = re.findall(r"[\w-]+", wrong[3])
            message = f"{wrong[1]}unknown name {wrong[2]!r}; {close_to(wrong[2], allowed)}"
        super().error(message)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="companion",
        description="Trains and uses the course's models without a notebook.",
        epilog=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = sys.modules["companion"].__version__
    parser.add_argument("--version", action="version", version=f"companion {version}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    for name, (run, add_arguments, epilog) in _COMMANDS.items():
        summary = (run.__doc__ or "").partition("\n")[0]
        texts: dict[str, Any] = {"help": summary, "description": summary, "epilog": epilog}
        sub = subparsers.add_parser(name, formatter_class=parser.formatter_class, **texts)
        # What messages of the package call by names of their own.
        options = {"checkpoint_dir": "--out", "num_tokens": "--tokens"}
        sub.set_defaults(run=run, parser=sub, options=options)
        add_arguments(_adder(sub, options))
        sub.add_argument("--traceback", action="store_true", help="show where an error comes from")
    return parser


def _adder(parser: argparse.ArgumentParser, options: dict[str, str]) -> Callable[..., None]:
    def add(*names: str, **settings: Any) -> None:
        action = parser.add_argument(*names, **settings)
        if action.option_strings:
            options[action.dest] = action.option_strings[0]

    return add


def _whole(least: int, most: int = 2**32 - 1, multiple: int = 1) -> Callable[[str], int]:
    def read(text: str) -> int:
        right = text.isascii() and text.isdecimal() and len(text) <= 10
        if not (right and least <= int(text) <= most and int(text) % multiple == 0):
            of = f", a multiple of {multiple}" if multiple > 1 else ""
            message = f"give a whole number from {least} to {most:,}{of}, not {text!r}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return read


def _number(allowed: str, is_allowed: Callable[[float], bool]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not (math.isfinite(number) and is_allowed(number)):
            raise argparse.ArgumentTypeError(f"give a number {allowed}, not {text!r}")
        return number

    return read


_positive = _number("above 0", lambda number: number > 0)
_not_negative = _number("of at least 0", lambda number: number >= 0)
_share = _number("above 0 and at most 1", lambda number: 0 < number <= 1)
_probability = _number("from 0 to 1", lambda number: 0 <= number <= 1)


def _data_arguments(add: Callable[..., Any]) -> None:
    add("name", nargs="?", metavar="NAME", help="show this set, or file, in detail")


def _train_arguments(add: Callable[..., Any]) -> None:
    data = "name of a data set, or a UTF-8 .csv or .tsv file (default: food_reviews)"
    add("--data", default="food_reviews", help=data)
    add("--architecture", choices=["lstm", "bag"], help="default: lstm")
    split = "what a token is (default: word; character for chinese_reviews)"
    add("--split", choices=["word", "character"], help=split)
    add("--epochs", type=_whole(1), help="at most so many passes over the data (default: 10)")
    add("--batch-size", type=_whole(1), help="texts in one step (default: 32)")
    _add_training(add, "models/NAME")
    add("--as-written", action="store_true", help="the source document's settings, see below")


def _train_gpt_arguments(add: Callable[..., Any]) -> None:
    data = f"a UTF-8 text, or a folder of .txt files (default: {language.SHAKESPEARE})"
    add("--data", default=language.SHAKESPEARE, help=data)
    add("--minutes", type=_positive, help="stop after this time; the same command goes on")
    every, usual = language.CHECKPOINT_STEPS, language.STEPS
    steps = f"steps planned, a multiple of {every} (default: {usual})"
    add("--steps", type=_whole(every, multiple=every), default=usual, help=steps)
    usual = language.BATCH_SIZE
    texts = f"windows of text in one step (default: {usual})"
    add("--batch-size", type=_whole(1), default=usual, help=texts)
    for name, size in language.MODEL.items():
        least = {"vocabulary_size": 257, "sequence_length": 2}.get(name, 1)
        option, text = f"--{name.replace('_', '-')}", f"of the model (default: {size})"
        add(option, type=_whole(least), default=size, help=text)
    _add_training(add, "models/gpt")


def _add_training(add: Callable[..., Any], usual: str) -> None:
    add("--seed", type=_whole(0), default=0, help="repeats a run, or gives another (default: 0)")
    where = f"where the result goes (default: {usual})"
    add("--out", "--folder", type=Path, metavar="DIR", help=where)
    add("--restart", action="store_true", help="train anew, whatever DIR holds")


def _evaluate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--data", help="data set or file to test on (default: the one trained on)")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _predict_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("texts", nargs="*", metavar="TEXT", help="a text, in quotation marks")
    add("--file", help="UTF-8 file with one text a line; - reads stdin")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _export_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--out", type=Path, metavar="DIR", help="where the result goes (default: DIR/onnx)")
    add("--quantize", action="store_true", help="store weights as 8-bit integers")


def _serve_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained or exported classifier")
    port = "0 takes any free one (default: 8000)"
    add("--port", type=_whole(0, 2**16 - 1), default=8000, help=port)
    add("--host", help="listen on this address instead of 127.0.0.1, for other machines")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _cost_arguments(add: Callable[..., Any]) -> None:
    add("--requests", type=_not_negative, required=True, help="number of requests")
    add("--tokens-in", type=_not_negative, required=True, help="tokens sent with each")
    add("--tokens-out", type=_not_negative, required=True, help="tokens answered to each")
    add("--model", help="name of one model (default: all whose price is known)")


def _generate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a model of companion train-gpt")
    add("--prompt", required=True, help="the text to continue, in quotation marks")
    tokens = "how many to add (default: 60, or as many as fit)"
    add("--tokens", type=_whole(1), help=tokens)
    warmth = "0 or more; see the page (default: 0.8)"
    add("--temperature", type=_not_negative, default=0.8, help=warmth)
    add("--top-k", type=_whole(1), help="draw from so many likeliest tokens only")
    add("--top-p", type=_share, default=1.0, help="draw from this share of probability only")
    add("--seed", type=_whole(0), default=0, help="repeats a text, or gives another (default: 0)")


_COMMANDS: dict[str, tuple[Callable[..., None], Callable[..., None], str]] = {
    "data": (datasets.data, _data_arguments, _DATA_HELP),
    "train": (classifier.train, _train_arguments, _TRAIN_HELP),
    "evaluate": (classifier.evaluate, _evaluate_arguments, _EVALUATE_HELP),
    "predict": (classifier.predict, _predict_arguments, _PREDICT_HELP),
    "export": (classifier.export, _export_arguments, _EXPORT_HELP),
    "serve": (classifier.serve, _serve_arguments, _SERVE_HELP),
    "train-gpt": (language.train_gpt, _train_gpt_arguments, _TRAIN_GPT_HELP),
    "generate": (language.generate, _generate_arguments, _GENERATE_HELP),
    "cost": (costs.cost, _cost_arguments, _COST_HELP),
}
