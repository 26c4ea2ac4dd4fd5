"""What each command of `companion` does, given its parsed arguments."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from companion._common.checking import close_to
from companion.cli.language import refuse_sizes, train_gpt

__all__ = ["cost", "data", "evaluate", "export", "note", "predict", "serve", "train"]


if TYPE_CHECKING:
    import numpy as np

    from companion.data.cards import Split
    from companion.tasks.text_classifier import TextClassifier
    from companion.training.checkpoints import CheckpointFolder
    from companion.training.trainer import History

_UNNAMED = {"label_names": ("0", "1")}

_FILES = ("config.json", "weights.npz", "run.json")

_CLASSIFIER, _EXPORT = 1, "onnx-1"  # the formats that config.json states

AS_WRITTEN = {"architecture": "lstm", "split": "word", "epochs": 10, "batch_size": 32}


def data(args: argparse.Namespace) -> None:
    """Shows the data sets that a classifier can learn from."""
    from companion.data.files import load_texts
    from companion.data.reviews import list_datasets, load_dataset

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


def train(args: argparse.Namespace) -> None:
    """Trains a text classifier, or continues where training was stopped."""
    if args.what == "gpt":
        train_gpt(args)
        return
    if args.what != "classifier":
        guess = close_to(args.what, ["classifier", "gpt"])
        raise ValueError(f"unknown name {args.what!r}; {guess} Texts are given with --data.")
    refuse_sizes(args)
    given = {name: getattr(args, name) for name in AS_WRITTEN if getattr(args, name) is not None}
    if args.as_written and given:
        names = ", ".join("--" + name.replace("_", "-") for name in given)
        raise ValueError(f"--as-written decides {names}: leave out the one or the other.")
    if given.get("batch_size", 1) < 1:
        raise ValueError(f"--batch-size is {args.batch_size}: give at least 1.")
    from companion.data.files import load_texts
    from companion.tasks.folder import holds_model

    out: Path = args.out or Path("models", Path(args.data).stem)
    if holds_model(out, _CLASSIFIER, _FILES) and not args.restart:
        print(f"{out} holds a finished classifier. Use it: companion evaluate {out}")
        print("Train anew with --restart, or elsewhere with --out DIR.")
        return
    dataset = load_texts(args.data, args.size)
    chinese = args.data == "chinese_reviews" and not args.as_written
    settings = {**AS_WRITTEN, "split": "character" if chinese else "word", **given}
    is_file = dataset.train is dataset.test
    run = {
        "data": str(Path(args.data).resolve()) if is_file else args.data,
        "size": args.size,
        "label_names": dataset.label_names,
        "is_file": is_file,
    }
    history = _train_in(out, dataset.train, settings, run, args)
    print(f"{history.summary()}\nSaved in {out}. Next: companion evaluate {out}")


def _train_in(
    out: Path, train: Split, settings: dict[str, Any], run: dict[str, Any], args: argparse.Namespace
) -> History:
    from companion._common.files import write_atomically
    from companion.tasks.text_classifier import TextClassifier
    from companion.training.checkpoints import CheckpointFolder

    positive = int(train.labels.sum())
    if not args.as_written and max(positive, len(train) - positive) < 3:
        raise ValueError(
            f"{args.data} has {len(train)} texts, of which a fifth is held out: give at least "
            "three with the same label."
        )
    folder = CheckpointFolder(out / "checkpoints")
    with folder.lock():
        if args.restart:  # only now: whatever could be refused was looked at
            folder.forget(*(out / name for name in _FILES))
        classifier, history = _fit(TextClassifier, folder, train, settings, args)
        content = json.dumps(run, ensure_ascii=False)
        write_atomically(out / "run.json", content.encode())
        classifier.save(out)
    return history


def _fit(
    kind: type[TextClassifier],
    folder: CheckpointFolder,
    train: Split,
    settings: dict[str, Any],
    args: argparse.Namespace,
) -> tuple[TextClassifier, History]:
    done = folder.paths()
    where = f"Continuing after {done[-1].name}" if done else "Progress is kept"
    note(f"Training on {len(train):,} texts of {args.data}. {where} in {folder}.")
    model = {name: settings[name] for name in ("architecture", "split")}
    steps = {name: settings[name] for name in ("epochs", "batch_size")}
    if args.as_written:
        model["mask_zero"] = False
        steps |= {"validation_split": 0.0, "patience": None}
    classifier = kind(**model, seed=args.seed)
    history = classifier.fit(train.texts, train.labels, checkpoint_dir=folder.folder, **steps)
    return classifier, history


def evaluate(args: argparse.Namespace) -> None:
    """Compares a trained classifier with simple baselines on texts that it has not seen."""
    from companion.data.duplicates import find_duplicates
    from companion.data.files import load_texts
    from companion.evaluation.intervals import accuracy_interval
    from companion.tasks.text_classifier import TextClassifier

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
    source = _shorten(run["data"], 200)
    print(f"Share of right labels for {len(test):,} texts of {args.data or source}:")
    for name, answer in answers.items():
        print(f"  {name:<30}{accuracy_interval(test.labels, answer):.3f}")
    repeats = len(find_duplicates(train.texts, test.texts))
    print(
        f"Protocol: all three learnt from the {len(train):,} training texts of {source} only; "
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


def predict(args: argparse.Namespace) -> None:
    """Predicts the labels of texts with a trained classifier."""
    texts = _texts(args)
    from companion.preprocessing.text import count_tokens
    from companion.tasks.text_classifier import TextClassifier

    classifier = TextClassifier.load(args.dir)
    names = _read_run(args.dir, _UNNAMED)["label_names"]
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
        name = _shorten(names[label], 40)
        print(f"{name}\t{abs(1 - label - probability):.3f}\t{_shorten(text, 60)}")


def export(args: argparse.Namespace) -> None:
    """Writes a trained classifier for ONNX Runtime, which predicts without TensorFlow."""
    from companion._common.files import write_atomically
    from companion.serving.onnx import export_onnx
    from companion.tasks.folder import holds_model
    from companion.tasks.text_classifier import TextClassifier

    out: Path = args.out or args.dir / "onnx"
    if out.resolve() == args.dir.resolve():
        raise ValueError(f"--out {out} is the classifier's own folder: give another.")
    holds_model(out, _EXPORT, ("config.json", "model.onnx"))
    run = args.dir / "run.json"
    export_onnx(TextClassifier.load(args.dir), out, quantize=args.quantize)
    if run.exists():  # the names of the labels
        write_atomically(out / "run.json", run.read_bytes())
    size = (out / "model.onnx").stat().st_size
    print(f"Saved in {out}: model.onnx, {size:,} bytes. Next: companion serve {out}")


def serve(args: argparse.Namespace) -> None:
    """Answers other programs over HTTP: predictions, health and metrics."""
    from companion.serving.service import Service

    model: Any
    if (args.dir / "model.onnx").exists():
        from companion.serving.onnx import OnnxClassifier

        model = OnnxClassifier(args.dir)
    else:
        from companion.tasks.text_classifier import TextClassifier

        model = TextClassifier.load(args.dir)
    names = _read_run(args.dir, _UNNAMED)["label_names"]
    model.predict_proba(["The first prediction is slow, so it is made before any request."])
    remote = args.host is not None
    service = Service(
        model,
        label_names=names,
        host=args.host or "127.0.0.1",
        port=args.port,
        allow_remote=remote,
    )
    if remote:
        note(f"note: whoever reaches {args.host} can use it: no passwords, no encryption.")
    service.run(lambda url: print(f"Serving {args.dir} at {url}. Ctrl+C ends it.", flush=True))
    if service.unanswered:
        print(f"Ended: {service.unanswered} had not arrived whole and got no answer.")
    else:
        print("Ended: no request is left unanswered.")


def cost(args: argparse.Namespace) -> None:
    """Prints what an API asks for a number of requests, with the date of the prices."""
    from companion.economics.prices import load_prices, token_cost_usd

    size = {"requests": args.requests, "tokens_in": args.tokens_in, "tokens_out": args.tokens_out}
    prices = load_prices()
    names = [args.model] if args.model else list(prices)
    bills = {name: token_cost_usd(name, **size) for name in names}
    print(
        f"{args.requests:,.15g} requests of {args.tokens_in:,.15g} tokens in and "
        f"{args.tokens_out:,.15g} out, in USD:"
    )
    for name, bill in bills.items():
        price = prices[name]
        print(
            f"  {name:<24}{bill:>16,.2f}   {price.input_usd:g} in and {price.output_usd:g} out "
            f"per million tokens, {price.date}"
        )
    print("List prices, standard tier, from genai-prices 2026; no discounts and no taxes.")


def _note_which(concerned: np.ndarray, what: str) -> None:
    if concerned.any():
        which = f"text {concerned.argmax() + 1}"
        if concerned.sum() > 1:
            which = f"each of {concerned.sum():,} texts, the first of them {which},"
        note(f"note: {which} {what}.")


def _texts(args: argparse.Namespace) -> list[str]:
    if bool(args.texts) == bool(args.file):
        raise ValueError("give either texts, in quotation marks, or --file FILE.")
    if not args.file:
        for number, text in enumerate(args.texts, 1):
            if not text.strip():
                raise ValueError(f"text {number} is empty.")
        return list(args.texts)
    from companion.data.files import read_lines

    lines = read_lines(args.file)
    texts = [line for line in lines if line.strip()]
    if not texts:
        where = "standard input" if args.file == "-" else args.file
        raise ValueError(f"{where} holds no text.")
    if empty := len(lines) - len(texts):
        note(f"note: {f'{empty:,} empty lines are' if empty > 1 else '1 empty line is'} left out.")
    return texts


def _read_run(folder: Path, default: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns what `train` noted beside the classifier."""
    path = folder / "run.json"
    if default and not path.exists():  # saved by TextClassifier.save
        return default
    try:
        run = json.loads(path.read_bytes())
        names = run["label_names"]
        two = isinstance(names, list) and [type(name) for name in names] == [str, str]
        if not two or [type(run[name]) for name in ("data", "size", "is_file")] != [str, str, bool]:
            raise ValueError("a value is of the wrong type")
        return {name: run[name] for name in ("data", "size", "label_names", "is_file")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ValueError(
            f"{path} is missing or damaged: it says what companion train has learnt from. Train "
            f"again: companion train --restart --out {folder}"
        ) from None


def _shorten(text: str, width: int) -> str:
    line = " ".join(text.split())
    return _printable(line if len(line) <= width else line[: width - 1] + "…")


def _printable(text: str) -> str:
    """Control characters of a stranger's text must not reach the terminal."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def note(message: str) -> None:
    """Writes a message to stderr."""
    lines = [_printable(line) for line in message.split("\n")]
    print("companion:", "\n".join(lines), file=sys.stderr)
