"""What the commands about the text classifier do, given their parsed arguments."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion._common.checking import UsageError
from companion.cli import runs
from companion.cli.shared import command_line, note, say, shorten

__all__ = ["evaluate", "export", "predict", "serve", "train", "with_threshold"]


if TYPE_CHECKING:
    from companion.data.cards import Split, TextDataset
    from companion.tasks.text_classifier import TextClassifier
    from companion.training.trainer import History

AS_WRITTEN = {"architecture": "lstm", "split": "word", "epochs": 10, "batch_size": 32}

_KIND, _EXPORT = "text-classifier", "onnx-classifier"

_LEAST = 3  # texts of each label: a fifth of them, rounded, is held out


def train(args: argparse.Namespace) -> None:
    """Trains a text classifier, or continues where training was stopped.

    Args:
        args: Parsed arguments: `data`, `out`, `seed`, `as_written`, `restart`, `processes`,
            `wait_seconds` and the names in `AS_WRITTEN`.

    Raises:
        UsageError: If the data cannot be learnt from, or the folder holds something else.
    """
    given = {name: getattr(args, name) for name in AS_WRITTEN if getattr(args, name) is not None}
    if args.as_written and given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise UsageError(f"--as-written decides {names}: leave out the one or the other.")
    from companion.data.files import load_texts
    from companion.tasks.folder import holds_model
    from companion.training.processes import check_processes

    check_processes(args.processes, given.get("batch_size", AS_WRITTEN["batch_size"]))
    out: Path = args.out or Path("models", Path(args.data).stem)
    finished = holds_model(out, _KIND)
    dataset = load_texts(args.data)
    chinese = args.data == "chinese_reviews" and not args.as_written
    settings = {**AS_WRITTEN, "split": "character" if chinese else "word", **given}
    run = _run(dataset, args, settings, out)
    _check_enough(args, run["labels"])
    if finished and not args.restart and not runs.is_unfinished(out):
        runs.check_finished(run, out)
        say(f"{out} holds this classifier, finished. Use it: {_use(out, run)}")
        say("Train anew with --restart, or elsewhere with --out DIR.")
        return
    with runs.training(out, run, restart=args.restart) as checkpoints:
        classifier, history = _fit(dataset, settings, checkpoints, args)
        classifier.save(out)
        runs.write_run(out, run)
    say(f"{history.summary()}\nSaved in {out}. Next: {_use(out, run)}")


def _run(
    dataset: TextDataset, args: argparse.Namespace, settings: dict[str, Any], out: Path
) -> dict[str, Any]:
    """Returns what `run.json` is to say."""
    names = _named(dataset, dataset.train)
    is_file = dataset.train is dataset.test
    return {
        "data": runs.locate(args.data, out) if is_file else args.data,
        "is_file": is_file,
        "sha256": runs.digest(dataset.train.texts, names),
        "texts": len(names),
        "labels": dict(sorted(Counter(names).items())),
        "options": settings
        | {
            "seed": args.seed,
            "as_written": args.as_written,
            # Any number gives the same weights, and none gives others.
            "processes": args.processes and "given",
        },
    }


def _named(dataset: TextDataset, split: Split) -> list[str]:
    return [dataset.label_names[label] for label in split.labels]


def _check_enough(args: argparse.Namespace, counts: dict[str, int]) -> None:
    rare = min(counts, key=lambda name: counts[name])
    if not args.as_written and counts[rare] < _LEAST:
        raise UsageError(
            f"{args.data} has {counts[rare]} of its {sum(counts.values())} texts under the label "
            f"{shorten(rare, 40)!r}, and a fifth of each is held out: give at least {_LEAST}."
        )


def _use(out: Path, run: dict[str, Any]) -> str:
    if run["is_file"]:  # all of it was learnt from: nothing is left to evaluate on
        return command_line("companion", "predict", out, "A text of yours.")
    return command_line("companion", "evaluate", out)


def _fit(
    dataset: TextDataset, settings: dict[str, Any], checkpoints: Path, args: argparse.Namespace
) -> tuple[TextClassifier, History]:
    from companion.tasks.text_classifier import TextClassifier
    from companion.training.checkpoints import CheckpointFolder

    done = CheckpointFolder(checkpoints).paths()
    where = f"Continuing after {done[-1].name}" if done else "Progress is kept"
    note(f"Training on {len(dataset.train):,} texts of {args.data}. {where} in {checkpoints}.")
    model = {name: settings[name] for name in ("architecture", "split")}
    steps = {name: settings[name] for name in ("epochs", "batch_size")}
    if args.as_written:
        model["mask_zero"] = False
        steps |= {"validation_split": 0.0, "patience": None}
    classifier = TextClassifier(**model, seed=args.seed)
    names = _named(dataset, dataset.train)
    several = {"processes": args.processes, "wait_seconds": args.wait_seconds}
    history = classifier.fit(
        dataset.train.texts, names, checkpoint_dir=checkpoints, **steps, **several
    )
    return classifier, history


def evaluate(args: argparse.Namespace) -> None:
    """Compares a trained classifier with simple baselines on texts that it has not seen.

    Args:
        args: Parsed arguments: `dir`, `data` and `threshold`.

    Raises:
        UsageError: If there are no other texts than those that were learnt from.
    """
    from companion.data.files import load_texts
    from companion.tasks.text_classifier import TextClassifier

    classifier = with_threshold(TextClassifier.load(args.dir), args.threshold)
    names = [str(name) for name in classifier.classes_]
    run = runs.read_run(args.dir)
    if not args.data and (run is None or run["is_file"]):
        learnt = f"all of {run['data']}" if run else "texts that nothing names"
        raise UsageError(
            f"{args.dir} has learnt from {learnt}: give other labelled texts with --data FILE."
        )
    train = _learnt_from(run, args.dir) if run else None
    if args.data:
        dataset = load_texts(args.data, names)
    elif run:
        dataset = load_texts(run["data"])
    test, truth = dataset.test.texts, _named(dataset, dataset.test)
    if unknown := sorted({*truth} - {*names}):
        raise UsageError(f"{args.data} has the labels {unknown}; {args.dir} knows {names}.")
    _compare(classifier, train, run, (test, truth), args.data)


def _learnt_from(run: dict[str, Any], folder: Path) -> tuple[list[str], list[str]] | None:
    """Returns the training texts and labels, if they still are what was learnt from."""
    from companion.data.files import load_texts

    place = str(folder.resolve() / run["data"]) if run["is_file"] else run["data"]
    try:
        dataset = load_texts(place)
    except (UsageError, ModuleNotFoundError):
        note(f"note: {run['data']}, which was learnt from, cannot be read any more.")
        return None
    texts, labels = dataset.train.texts, _named(dataset, dataset.train)
    if runs.digest(texts, labels) == run["sha256"]:
        return texts, labels
    note(f"note: the training file {run['data']} has changed since the classifier learnt from it.")
    return None


def _compare(
    classifier: TextClassifier,
    train: tuple[list[str], list[str]] | None,
    run: dict[str, Any] | None,
    test: tuple[list[str], list[str]],
    source: str | None,
) -> None:
    import numpy as np

    from companion.data.duplicates import find_duplicates
    from companion.evaluation.intervals import accuracy_interval

    texts, truth = test
    answers = {"this classifier": [str(name) for name in classifier.predict(texts)]}
    if train:
        split = classifier.settings["split"]
        answers["TF-IDF + logistic regression"] = _tfidf(*train, texts, split)
    if run:
        common = max(reversed(run["labels"]), key=lambda name: run["labels"][name])
        answers[f"always {shorten(common, 20)!r}"] = [common] * len(truth)
    learnt = shorten(run["data"], 200) if run else "unknown texts"
    say(f"Share of right labels for {len(truth):,} texts of {source or learnt}:")
    for name, answer in answers.items():
        right = np.array(answer) == np.array(truth)
        say(f"  {name:<30}{accuracy_interval(np.ones(len(right)), right):.3f}")
    if len({*truth}) < 2:
        note(f"note: all texts tested have the label {shorten(truth[0], 40)!r}.")
    if not run:
        return
    if train:
        repeats = len(find_duplicates(train[0], texts))
        seen = f"; {repeats:,} of the texts tested also stand among those"
    else:
        seen = ", which are not there to compare with: no baseline could learn from them"
    who = "all three" if train else "this classifier"
    say(f"Protocol: {who} learnt from the {run['texts']:,} training texts of {learnt} only{seen}.")


def _tfidf(train: list[str], labels: list[str], texts: list[str], split: str) -> list[str]:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    analyzer = "char" if split == "character" else "word"
    # Words of one letter too: a text may have no others.
    pattern = None if analyzer == "char" else r"(?u)\b\w+\b"
    features = TfidfVectorizer(analyzer=analyzer, ngram_range=(1, 2), token_pattern=pattern)
    model = make_pipeline(features, LogisticRegression(max_iter=1000))
    return [str(label) for label in model.fit(train, labels).predict(texts)]


def predict(args: argparse.Namespace) -> None:
    """Predicts the labels of texts with a trained classifier.

    Args:
        args: Parsed arguments: `dir`, `texts`, `file` and `threshold`.

    Raises:
        UsageError: If there is no text to predict.
    """
    lines = _texts(args)
    from companion.preprocessing.text import count_tokens
    from companion.tasks.text_classifier import TextClassifier

    classifier = with_threshold(TextClassifier.load(args.dir), args.threshold)
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    texts = [lines[number - 1] for number in numbers]
    tokens, unknown = count_tokens(classifier.vectorizer, texts)
    length = classifier.settings["sequence_length"]
    what = "line" if args.file else "text"
    _note_which(
        [n for n, no_token_known in zip(numbers, tokens == unknown, strict=True) if no_token_known],
        what,
        "holds nothing that the classifier knows: the prediction is only the base rate of the "
        "training texts, more or less",
    )
    long = [n for n, many in zip(numbers, tokens, strict=True) if many > length]
    _note_which(long, what, f"is longer than {length} tokens: the rest is ignored")
    empty = [number for number, line in enumerate(lines, 1) if not line.strip()]
    _note_which(empty, what, "is empty and gets an empty row")
    rows = dict(zip(numbers, _rows(classifier, texts), strict=True))
    for number in range(1, len(lines) + 1):
        say(rows.get(number, "\t\t"))


def _rows(classifier: TextClassifier, texts: list[str]) -> list[str]:
    names = classifier.classes_.tolist()
    found = zip(texts, classifier.predict(texts), classifier.predict_proba(texts), strict=True)
    return [
        f"{shorten(str(name), 40)}\t{shares[names.index(name)]:.3f}\t{shorten(text, 60)}"
        for text, name, shares in found
    ]


def with_threshold(classifier: TextClassifier, threshold: float | None) -> TextClassifier:
    """Returns the classifier with the threshold that the command was given, if it was.

    Args:
        classifier: `TextClassifier`.
        threshold: Float or `None`.

    Returns:
        The same classifier.

    Raises:
        UsageError: If there are more than two labels.
    """
    if threshold is not None:
        if len(classifier.classes_) != 2:
            raise UsageError(
                "--threshold is for two labels; this classifier has more: leave it out."
            )
        classifier.threshold = threshold
    return classifier


def _note_which(numbers: list[int], what: str, message: str) -> None:
    if numbers:
        which = f"{what} {numbers[0]:,}"
        if len(numbers) > 1:
            which = f"each of {len(numbers):,} {what}s, the first of them {which},"
        note(f"note: {which} {message}.")


def _texts(args: argparse.Namespace) -> list[str]:
    """Returns texts, or a file's lines, the empty ones among them."""
    if bool(args.texts) == bool(args.file):
        raise UsageError("give either texts, in quotation marks, or --file FILE.")
    if not args.file:
        for number, text in enumerate(args.texts, 1):
            _check_argument(number, text)
        return list(args.texts)
    from companion.data.files import read_lines

    lines = read_lines(args.file)
    if not any(line.strip() for line in lines):
        where = "standard input" if args.file == "-" else args.file
        raise UsageError(f"{where} holds no text.")
    return lines


def _check_argument(number: int, text: str) -> None:
    if not text.strip():
        raise UsageError(f"text {number} is empty.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            f"text {number} holds bytes that are no UTF-8: type it in a UTF-8 terminal, or give a "
            "UTF-8 file with --file."
        ) from None


def export(args: argparse.Namespace) -> None:
    """Writes a trained classifier for ONNX Runtime, which predicts without TensorFlow.

    Args:
        args: Parsed arguments: `dir`, `out` and `quantize`.

    Raises:
        UsageError: If the result would replace something else.
    """
    from companion.serving.onnx import export_onnx
    from companion.tasks.folder import holds_model
    from companion.tasks.text_classifier import TextClassifier

    out: Path = args.out or args.dir / "onnx"
    if out.resolve() == args.dir.resolve():
        raise UsageError(f"--out {out} is the classifier's own folder: give another.")
    holds_model(out, _EXPORT)
    export_onnx(TextClassifier.load(args.dir), out, quantize=args.quantize)
    size = sum(path.stat().st_size for path in out.glob("*.onnx"))
    say(f"Saved in {out}: {size:,} bytes. Next: {command_line('companion', 'serve', out)}")


def serve(args: argparse.Namespace) -> None:
    """Answers other programs over HTTP: predictions, health and metrics.

    Args:
        args: Parsed arguments: `dir`, `host`, `port` and `threshold`.
    """
    from companion.serving.http import is_loopback
    from companion.serving.service import Service

    model: Any = with_threshold(_load_any(args.dir), args.threshold)
    model.predict_proba(["The first prediction is slow, so it is made before any request."])
    remote = args.host is not None and not is_loopback(args.host)
    service = Service(model, host=args.host or "127.0.0.1", port=args.port, allow_remote=remote)
    if remote:
        note(f"note: whoever reaches {args.host} can use it: no passwords, no encryption.")
    service.run(lambda url: print(f"Serving {args.dir} at {url}. Ctrl+C ends it.", flush=True))
    lost = service.unanswered
    rest = (
        f"{lost} had not arrived whole and got no answer"
        if lost
        else "no request is left unanswered"
    )
    say(f"Ended: {rest}.")


def _load_any(folder: Path) -> Any:
    if any(folder.glob("*.onnx")):
        from companion.serving.onnx import OnnxClassifier

        return OnnxClassifier(folder)
    from companion.tasks.text_classifier import TextClassifier

    return TextClassifier.load(folder)
