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
from companion.cli import (
    ask,
    chat,
    classifier,
    costs,
    datasets,
    failures,
    fetch,
    helps,
    language,
    queue,
    speech,
)
from companion.cli.shared import note
from companion.training.processes import WAIT_SECONDS

__all__ = ["main"]


_THRESHOLD = (
    "probability from which on the second of two labels is said (default: the model's own, which "
    "is 0.5 unless one was chosen)"
)

_WEIGHTS = f"how a language model's tables are kept (default: {chat.WEIGHTS[0]})"


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
        epilog=helps.HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    version = sys.modules["companion"].__version__
    parser.add_argument("--version", action="version", version=f"companion {version}")
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True)

    for name, (run, add_arguments) in _COMMANDS.items():
        summary = (run.__doc__ or "").partition("\n")[0]
        texts: dict[str, Any] = {"help": summary, "description": summary}
        texts["epilog"] = helps.EXAMPLES[name]
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
    several = "share each batch among so many processes of this machine, on JAX (default: train in "
    several += "this program, on TensorFlow)"
    add("--processes", type=_whole(1), metavar="N", help=several)
    wait = f"seconds within which they must have started (default: {WAIT_SECONDS})"
    add("--wait", dest="wait_seconds", type=_positive, default=WAIT_SECONDS, help=wait)


def _evaluate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--data", help="data set or file to test on (default: the one trained on)")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _predict_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("texts", nargs="*", metavar="TEXT", help="a text, in quotation marks")
    add("--file", help="UTF-8 file with one text a line; - reads stdin")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _predict_files_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("folder", type=Path, metavar="FOLDER", help="folder of UTF-8 .txt files, one text each")
    add("--out", type=Path, required=True, metavar="FILE", help="where a line of JSON a file goes")
    add("--threshold", type=_probability, help=_THRESHOLD)


def _export_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--out", type=Path, metavar="DIR", help="where the result goes (default: DIR/onnx)")
    add("--quantize", action="store_true", help="store weights as 8-bit integers")


def _serve_arguments(add: Callable[..., Any]) -> None:
    model = "folder of a trained or exported classifier, or smollm2, or a .gguf file"
    add("dir", type=Path, metavar="MODEL", help=model)
    port = "0 takes any free one (default: 8000)"
    add("--port", type=_whole(0, 2**16 - 1), default=8000, help=port)
    add("--host", help="listen on this address instead of 127.0.0.1, for other machines")
    add("--threshold", type=_probability, help=_THRESHOLD)
    add("--weights", choices=chat.WEIGHTS, help=_WEIGHTS)


def _chat_arguments(add: Callable[..., Any]) -> None:
    add(
        "model", nargs="?", type=Path, default=chat.MODEL, help="smollm2 (default), or a .gguf file"
    )
    add("--system", help="what the model is told to be, before the first turn")
    add("--temperature", type=_not_negative, default=0.2, help="0 or more (default: 0.2)")
    add("--max-tokens", type=_whole(1), default=512, help="of one answer (default: 512)")
    add("--seed", type=_whole(0), default=0, help="gives other answers (default: 0)")
    add("--weights", choices=chat.WEIGHTS, help=_WEIGHTS)


def _ask_arguments(add: Callable[..., Any]) -> None:
    add("question", metavar="QUESTION", help="about the course, in quotation marks")
    book = "the folder book of the course's repository (default: the one beside the package)"
    add("--book", type=Path, metavar="DIR", help=book)
    add("--weights", choices=chat.WEIGHTS, default=chat.WEIGHTS[0], help=_WEIGHTS)


def _transcribe_arguments(add: Callable[..., Any]) -> None:
    add("file", type=Path, metavar="FILE", help="a WAV, FLAC, OGG or MP3 file of English speech")


def _speak_arguments(add: Callable[..., Any]) -> None:
    add("text", metavar="TEXT", help="what is to be said in English, in quotation marks")
    add("file", type=Path, metavar="FILE", help="the WAV file to write")
    voices = f"{speech.VOICE}, or a voice of eSpeak such as en-us or en-us+Annie (default: "
    add("--voice", default=speech.VOICE, help=f"{voices}{speech.VOICE})")
    add("--force", action="store_true", help="replace the file if it exists")


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


_COMMANDS: dict[str, tuple[Callable[..., None], Callable[..., None]]] = {
    "data": (datasets.data, _data_arguments),
    "train": (classifier.train, _train_arguments),
    "evaluate": (classifier.evaluate, _evaluate_arguments),
    "predict": (classifier.predict, _predict_arguments),
    "predict-files": (queue.predict_files, _predict_files_arguments),
    "export": (classifier.export, _export_arguments),
    "serve": (chat.serve, _serve_arguments),
    "train-gpt": (language.train_gpt, _train_gpt_arguments),
    "generate": (language.generate, _generate_arguments),
    "fetch-data": (fetch.fetch_data, lambda add: None),
    "chat": (chat.chat, _chat_arguments),
    "ask": (ask.ask, _ask_arguments),
    "transcribe": (speech.transcribe, _transcribe_arguments),
    "speak": (speech.speak, _speak_arguments),
    "cost": (costs.cost, _cost_arguments),
}
