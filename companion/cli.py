"""The command `companion`: trains and uses the course's text classifier without a notebook."""

from __future__ import annotations

import argparse
import io
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion.presentation import close_to

if TYPE_CHECKING:
    import numpy as np

    from companion.classifier import TextClassifier
    from companion.data import Split
    from companion.training import History

__all__ = ["main"]

_HELP = """\
example, from nothing to a prediction:
  companion data                                 what there is to learn from
  companion train                                learns from English food reviews
  companion evaluate models/food_reviews         compares with simple baselines
  companion predict models/food_reviews "Best coffee I ever had."

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
_SIZE: dict[str, Any] = {
    "choices": ["packaged", "full"],
    "default": "packaged",
    "help": "full downloads the large public set once (default: packaged)",
}
_AS_WRITTEN = {"architecture": "lstm", "split": "word", "epochs": 10, "batch_size": 32}


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
        _note("Interrupted. Finished epochs of a training are kept: the same command continues.")
        return 130
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ValueError as error:
        _note(f"error: {error}")
        return 2
    except (RuntimeError, OSError, ModuleNotFoundError, FloatingPointError) as error:
        _note(f"error: {error}")
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
    commands = parser.add_subparsers(metavar="COMMAND", required=True)

    for name, (run, add_arguments, epilog) in _COMMANDS.items():
        texts: dict[str, Any] = {"help": run.__doc__, "description": run.__doc__, "epilog": epilog}
        sub = commands.add_parser(name, formatter_class=parser.formatter_class, **texts)
        sub.set_defaults(run=run, parser=sub)
        add_arguments(sub.add_argument)
    return parser


def _data_arguments(add: Callable[..., Any]) -> None:
    add("name", nargs="?", metavar="NAME", help="show this set in detail")
    add("--size", **_SIZE)


def _train_arguments(add: Callable[..., Any]) -> None:
    add("what", nargs="?", choices=["classifier"], help="the only kind so far; may be left out")
    add("--data", default="food_reviews", help="name of a data set, or a UTF-8 .csv or .tsv file")
    add("--size", **_SIZE)
    add("--architecture", choices=["lstm", "bag"], help="default: lstm")
    split = "what a token is (default: word; character for chinese_reviews)"
    add("--split", choices=["word", "character"], help=split)
    add("--epochs", type=int, help="at most so many passes over the data (default: 10)")
    add("--batch-size", type=int, help="texts in one step (default: 32)")
    add("--seed", type=int, default=0, help="repeats a run, or gives another (default: 0)")
    add("--out", type=Path, metavar="DIR", help="where the result goes (default: models/NAME)")
    add("--as-written", action="store_true", help="the source document's settings, see below")
    add("--restart", action="store_true", help="forget what DIR holds and train anew")


def _evaluate_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("--data", help="data set or file to test on (default: the one trained on)")


def _predict_arguments(add: Callable[..., Any]) -> None:
    add("dir", type=Path, metavar="DIR", help="folder of a trained classifier")
    add("texts", nargs="*", metavar="TEXT", help="a text, in quotation marks")
    add("--file", help="UTF-8 file with one text a line; - reads stdin")


def _data(args: argparse.Namespace) -> None:
    """Shows the data sets that a classifier can learn from."""
    from companion.data import list_datasets, load_dataset
    from companion.files import load_texts

    if args.name is None:
        for name in list_datasets():
            card = load_dataset(name).card
            print(f"{name}\n  {card.title}\n  {card.examples}\n  Licence: {card.licence}\n")
        print("One set in detail: companion data NAME")
        return
    dataset = load_texts(args.name, args.size)
    print(f"{dataset.card}\n")
    for text, label in zip(dataset.train.texts[:3], dataset.train.labels, strict=False):
        print(f"{dataset.label_names[label]}: {_shorten(text, 120)}")


def _train(args: argparse.Namespace) -> None:
    """Trains a text classifier, or continues where training was stopped."""
    given = {name: getattr(args, name) for name in _AS_WRITTEN if getattr(args, name) is not None}
    if args.as_written and given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ValueError(f"--as-written decides {names}: leave out the one or the other.")
    from companion.files import load_texts

    out: Path = args.out or Path("models", Path(args.data).stem)
    if args.restart:
        _forget(out)
    elif (out / "config.json").exists():
        print(f"{out} holds a finished classifier. Use it: companion evaluate {out}")
        print("Train anew with --restart, or elsewhere with --out DIR.")
        return
    dataset = load_texts(args.data, args.size)
    chinese = args.data == "chinese_reviews" and not args.as_written
    settings = {**_AS_WRITTEN, "split": "character" if chinese else "word", **given}
    is_file = dataset.train is dataset.test
    run = {
        "data": str(Path(args.data).resolve()) if is_file else args.data,
        "size": args.size,
        "label_names": dataset.label_names,
        "is_file": is_file,
    }
    classifier, history = _fit(out, dataset.train, settings, args)
    (out / "run.json").write_text(json.dumps(run, ensure_ascii=False), encoding="utf-8")
    classifier.save(out)
    print(f"{history.summary()}\nSaved in {out}. Next: companion evaluate {out}")


def _forget(out: Path) -> None:
    from companion.checkpoints import CheckpointFolder

    names = ("config.json", "weights.npz", "run.json")
    for path in (*CheckpointFolder(out / "checkpoints").paths(), *(out / name for name in names)):
        path.unlink(missing_ok=True)


def _fit(
    out: Path, train: Split, settings: dict[str, Any], args: argparse.Namespace
) -> tuple[TextClassifier, History]:
    from companion.checkpoints import CheckpointFolder
    from companion.classifier import TextClassifier

    folder = CheckpointFolder(out / "checkpoints")
    done = folder.paths()
    where = f"Continuing after {done[-1].name}" if done else "Progress is kept"
    _note(f"Training on {len(train):,} texts of {args.data}. {where} in {folder}.")
    model = {name: settings[name] for name in ("architecture", "split")}
    steps = {name: settings[name] for name in ("epochs", "batch_size")}
    if args.as_written:
        model["mask_zero"] = False
        steps |= {"validation_split": 0.0, "patience": None}
    classifier = TextClassifier(**model, seed=args.seed)
    history = classifier.fit(train.texts, train.labels, checkpoint_dir=folder.folder, **steps)
    return classifier, history


def _evaluate(args: argparse.Namespace) -> None:
    """Compares a trained classifier with simple baselines on texts that it has not seen."""
    from companion.classifier import TextClassifier
    from companion.data import find_duplicates
    from companion.evaluation import accuracy_interval
    from companion.files import load_texts

    classifier = TextClassifier.load(args.dir)
    run = _read_run(args.dir)
    if run["is_file"] and not args.data:
        raise ValueError(
            f"{args.dir} has learnt from all of {run['data']}: give other labelled texts with "
            "--data FILE."
        )
    learnt = load_texts(run["data"], run["size"])
    test = load_texts(args.data, "packaged", learnt.label_names).test if args.data else learnt.test
    train = learnt.train
    common = int(train.labels.mean() >= 0.5)
    answers: dict[str, Any] = {
        "this classifier": classifier.predict_proba(test.texts) >= 0.5,
        "TF-IDF + logistic regression": _tfidf(train, test.texts, classifier.settings["split"]),
        f"always {learnt.label_names[common]!r}": [common] * len(test),
    }
    print(f"Share of right labels for {len(test):,} texts of {args.data or run['data']}:")
    for name, answer in answers.items():
        print(f"  {name:<30}{accuracy_interval(test.labels, answer):.3f}")
    repeats = len(find_duplicates(train.texts, test.texts))
    print(
        f"Protocol: all three learnt from the {len(train):,} training texts of {run['data']} only; "
        f"{repeats:,} of the texts tested also stand among those."
    )


def _tfidf(train: Split, texts: list[str], split: str) -> np.ndarray:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    analyzer = "char" if split == "character" else "word"
    features = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, 2))
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    answer: np.ndarray = model.fit(train.texts, train.labels).predict(texts)
    return answer


def _predict(args: argparse.Namespace) -> None:
    """Predicts the labels of texts with a trained classifier."""
    texts = _texts(args)
    from companion.classifier import TextClassifier
    from companion.text import count_tokens

    classifier = TextClassifier.load(args.dir)
    names = _read_run(args.dir, {"label_names": ("0", "1")})["label_names"]
    tokens, unknown = count_tokens(classifier.vectorizer, texts)
    length = classifier.settings["sequence_length"]
    _note_which(
        tokens == unknown,
        "holds nothing that the classifier knows: the prediction is only the base rate of the "
        "training texts, more or less",
    )
    _note_which(tokens > length, f"is longer than {length} tokens: the rest is ignored")
    for text, probability in zip(texts, classifier.predict_proba(texts), strict=True):
        label = int(probability >= 0.5)
        print(f"{names[label]}\t{abs(1 - label - probability):.3f}\t{_shorten(text, 60)}")


def _note_which(concerned: np.ndarray, what: str) -> None:
    if concerned.any():
        which = f"text {concerned.argmax() + 1}"
        if concerned.sum() > 1:
            which = f"each of {concerned.sum():,} texts, the first of them {which},"
        _note(f"note: {which} {what}.")


def _texts(args: argparse.Namespace) -> list[str]:
    if bool(args.texts) == bool(args.file):
        raise ValueError("give either texts, in quotation marks, or --file FILE.")
    if not args.file:
        for number, text in enumerate(args.texts, 1):
            if not text.strip():
                raise ValueError(f"text {number} is empty.")
        return list(args.texts)
    from companion.files import read_lines

    lines = read_lines(args.file)
    texts = [line for line in lines if line.strip()]
    if not texts:
        raise ValueError(f"{args.file} holds no text.")
    if len(texts) < len(lines):
        _note(f"note: {len(lines) - len(texts):,} empty lines are left out.")
    return texts


def _read_run(folder: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns what `_train` noted beside the classifier."""
    path = folder / "run.json"
    if default and not path.exists():  # saved by TextClassifier.save
        return default
    try:
        run = json.loads(path.read_bytes())
        return {name: run[name] for name in ("data", "size", "label_names", "is_file")}
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{path} is missing or damaged: it says what companion train has learnt from. Train "
            f"again: companion train --restart --out {folder}"
        ) from None


def _shorten(text: str, width: int) -> str:
    line = " ".join(text.split())
    line = line if len(line) <= width else line[: width - 1] + "…"
    # Control characters of a stranger's text must not reach the terminal.
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)


def _note(message: str) -> None:
    print(f"companion: {message}", file=sys.stderr)


_COMMANDS: dict[str, tuple[Callable[..., None], Callable[..., None], str]] = {
    "data": (_data, _data_arguments, _DATA_HELP),
    "train": (_train, _train_arguments, _TRAIN_HELP),
    "evaluate": (_evaluate, _evaluate_arguments, _EVALUATE_HELP),
    "predict": (_predict, _predict_arguments, _PREDICT_HELP),
}

if __name__ == "__main__":
    sys.exit(main())
