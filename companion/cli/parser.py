"""The command `companion`: trains and uses the course's text classifier without a notebook."""

from __future__ import annotations

import argparse
import errno
import io
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from companion._common.checking import close_to
from companion.cli import classifier as commands
from companion.cli import language as language_commands

__all__ = ["main"]


_HELP = """\
example, from nothing to a prediction:
  companion data                                 what there is to learn from
  companion train                                learns from English food reviews
  companion evaluate models/food_reviews         compares with simple baselines
  companion predict models/food_reviews "Best coffee I ever had."
  companion serve models/food_reviews            answers other programs over HTTP
  companion train gpt --minutes 10               a small language model, on Shakespeare
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
  companion train gpt --minutes 10                             a small GPT on Shakespeare's plays
  companion train gpt --data letters/ --out models/letters     on the .txt files of a folder

A fifth of the texts is held out, and training stops when they are no longer predicted better.
Stopped, killed or out of disk space? The same command continues after the last finished epoch.
--as-written is: LSTM, words, 10 epochs of batches of 32, padding learnt from, nothing held out.

next: companion evaluate DIR
"""

_EVALUATE_HELP = """\
examples:
  companion evaluate models/food_reviews
  companion evaluate models/mine --data mine_test.csv

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
tabs between. A file is UTF-8 with one text a line.
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
companion train gpt. One seed gives one text; temperature 0 always takes the likeliest token.

next: companion train gpt --minutes 10, which goes on with the training
"""

_SIZE: dict[str, Any] = {
    "choices": ["packaged", "full"],
    "default": "packaged",
    "help": "full downloads the large public set once (default: packaged)",
}


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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # an emoji must not end a run on an old terminal
    args, unknown = _parser().parse_known_args(argv)
    if unknown:
        args.parser.error(f"unknown argument {unknown[0]!r}")
    try:
        args.run(args)
        sys.stdout.flush()
    except KeyboardInterrupt:
        commands.note(
            "Interrupted. Finished epochs of a training are kept: the same command continues."
        )
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ValueError as error:
        commands.note(f"error: {error}")
        return 2
    except (RuntimeError, OSError, ModuleNotFoundError, FloatingPointError) as error:
        advice = ""
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            advice = ". Free some space, then run the same command again."
        commands.note(f"error: {error}{advice}")
        return 1
    return 0


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
        description="Trains and uses the course's text classifier without a notebook.",
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
        sub.set_defaults(run=run, parser=sub)
        add_arguments(sub.add_argument)
    return parser


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not (text.isdecimal() and least <= int(text) < 2**32):
            most = 2**32 - 1
            message = f"give a whole number from {least} to {most:,}, not {text!r}"
            raise argparse.ArgumentTypeError(message)
        return int(text)

    return read


def _data_arguments(add: Callable[..., Any]) -> None:
    add("name", nargs="?", metavar="NAME", help="show this set in detail")
    add("--size", **_SIZE)


def _train_arguments(add: Callable[..., Any]) -> None:
    kinds = "gpt: a language model, see the page on it (default: classifier)"
    # Not with choices: these would be refused before an unknown option that stands in front.
    add("what", nargs="?", metavar="{classifier,gpt}", default="classifier", help=kinds)
    data = (
        "name of a data set, or a UTF-8 .csv or .tsv file; gpt: a text, or a folder of .txt files"
    )
    add("--data", default="food_reviews", help=data)
    add("--size", **_SIZE)
    add("--architecture", choices=["lstm", "bag"], help="default: lstm")
    split = "what a token is (default: word; character for chinese_reviews)"
    add("--split", choices=["word", "character"], help=split)
    add("--epochs", type=_whole(1), help="at most so many passes over the data (default: 10)")
    add("--batch-size", type=int, help="texts in one step (default: 32)")
    add("--seed", type=_whole(0), default=0, help="repeats a run, or gives another (default: 0)")
    where = "where the result goes (default: models/NAME, models/gpt)"
    add("--out", "--folder", type=Path, metavar="DIR", help=where)
    add("--minutes", type=float, help="gpt: stop after this time; the same command goes on")
    add("--steps", type=int, help="gpt: steps planned, a multiple of 100 (default: 2000)")
    for name, size in language_commands.MODEL.items():
        add(f"--{name.replace('_', '-')}", type=int, help=f"gpt: its size (default: {size})")
    add("--as-written", action="store_true", help="the source document's settings, see below")
    add("--restart", action="store_true", help="forget what DIR holds and train anew")


def _evaluate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--data", help="data set or file to test on (default: the one trained on)")


def _predict_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("texts", nargs="*", metavar="TEXT", help="a text, in quotation marks")
    add("--file", help="UTF-8 file with one text a line; - reads stdin")


def _export_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--out", type=Path, metavar="DIR", help="where the result goes (default: DIR/onnx)")
    add("--quantize", action="store_true", help="store weights as 8-bit integers")


def _serve_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained or exported classifier")
    add("--port", type=int, default=8000, help="0 takes any free one (default: 8000)")
    add("--host", help="listen on this address instead of 127.0.0.1, for other machines")


def _cost_arguments(add: Callable[..., Any]) -> None:
    add("--requests", type=float, required=True, help="number of requests")
    add("--tokens-in", type=float, required=True, help="tokens sent with each")
    add("--tokens-out", type=float, required=True, help="tokens answered to each")
    add("--model", help="name of one model (default: all whose price is known)")


def _generate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a model of companion train gpt")
    add("--prompt", required=True, help="the text to continue, in quotation marks")
    add("--tokens", type=int, default=60, help="how many to add (default: 60)")
    add("--temperature", type=float, default=0.8, help="0 or more; see the page (default: 0.8)")
    add("--top-k", type=int, help="draw from so many likeliest tokens only")
    add("--top-p", type=float, default=1.0, help="draw from this share of probability only")
    add("--seed", type=_whole(0), default=0, help="repeats a text, or gives another (default: 0)")


_COMMANDS: dict[str, tuple[Callable[..., None], Callable[..., None], str]] = {
    "data": (commands.data, _data_arguments, _DATA_HELP),
    "train": (commands.train, _train_arguments, _TRAIN_HELP),
    "evaluate": (commands.evaluate, _evaluate_arguments, _EVALUATE_HELP),
    "predict": (commands.predict, _predict_arguments, _PREDICT_HELP),
    "generate": (language_commands.generate, _generate_arguments, _GENERATE_HELP),
    "export": (commands.export, _export_arguments, _EXPORT_HELP),
    "serve": (commands.serve, _serve_arguments, _SERVE_HELP),
    "cost": (commands.cost, _cost_arguments, _COST_HELP),
}

if __name__ == "__main__":
    sys.exit(main())
