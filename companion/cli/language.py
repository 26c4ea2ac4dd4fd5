"""What the commands `companion train-gpt` and `companion generate` do."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

from companion._common.checking import UsageError
from companion.cli import runs
from companion.cli.shared import command_line, say

__all__ = ["generate", "train_gpt"]


if TYPE_CHECKING:
    from companion.tasks.language_model import LanguageModel

STEPS, BATCH_SIZE = 2000, 16

CHECKPOINT_STEPS = 100

SHAKESPEARE = "shakespeare"

MODEL = {
    "vocabulary_size": 1000,
    "sequence_length": 128,
    "hidden_dim": 128,
    "num_layers": 3,
    "num_heads": 4,
}

_KIND = "language-model"

_TOKENS = 60  # that `generate` adds where they fit

Texts = tuple[list[str], dict[str, str]]


def train_gpt(args: argparse.Namespace) -> None:
    """Trains a small GPT on Shakespeare's plays or other texts, or continues where it was stopped.

    Args:
        args: Parsed arguments: `data`, `out`, `steps`, `batch_size`, `minutes`, `seed`, `restart`,
            `processes`, `wait_seconds` and the sizes of `MODEL`.

    Raises:
        UsageError: If an argument is out of range, or the texts are too few.
    """
    sizes = {name: getattr(args, name) for name in MODEL}
    plan = {"steps": args.steps, "batch_size": args.batch_size}
    if sizes["hidden_dim"] % (2 * sizes["num_heads"]):
        raise UsageError(
            f"--hidden-dim {sizes['hidden_dim']} must be a multiple of twice --num-heads "
            f"{sizes['num_heads']}."
        )
    from companion.training.processes import check_processes

    check_processes(args.processes, args.batch_size)
    _check_memory(sizes, args.batch_size, args.processes or 1)
    train, test = _texts(args.data)
    from companion.tasks.folder import holds_model
    from companion.tasks.language_model import LanguageModel

    out: Path = args.out or Path("models", "gpt")
    run = {
        "data": args.data if args.data == SHAKESPEARE else runs.locate(args.data, out),
        "sha256": runs.digest(train),
        "texts": len(train),
        "labels": {},
        "options": sizes | plan | {"seed": args.seed},
    }
    finished = holds_model(out, _KIND)
    if finished and not args.restart and not runs.is_unfinished(out):
        runs.check_finished(run, out)
    with runs.training(out, run, restart=args.restart) as checkpoints:
        language = LanguageModel(**sizes, seed=args.seed)
        language.fit(
            train,
            minutes=args.minutes,
            checkpoint_dir=checkpoints,
            checkpoint_steps=CHECKPOINT_STEPS,
            processes=args.processes,
            wait_seconds=args.wait_seconds,
            **plan,
        )
        language.save(out)
        runs.write_run(out, run)
    _report(out, language, test, args)


def _check_memory(sizes: dict[str, int], batch_size: int, processes: int) -> None:
    """Refuses a model that this computer cannot hold, before anything is read or built."""
    width, length, layers = sizes["hidden_dim"], sizes["sequence_length"], sizes["num_layers"]
    weights = sizes["vocabulary_size"] * width + layers * 12 * width**2
    # Of one text at least: the logits, and what each head of each layer pays attention to.
    activations = length * sizes["vocabulary_size"] + layers * sizes["num_heads"] * length**2
    # float32; of each process the weights, their gradients and the two averages of Adam.
    needed = 4 * (4 * processes * weights + batch_size * activations)
    if needed > (most := _memory()):
        raise UsageError(
            f"a model of {weights:,} weights needs at least {needed / 1e9:,.0f} GB in training, "
            f"and this computer has {most / 1e9:,.0f} GB: choose a smaller --hidden-dim, "
            "--num-layers, --vocabulary-size, --sequence-length or --batch-size."
        )


def _memory() -> int:
    """Returns the bytes of memory that this computer has, or more than any has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return 2**40


def _texts(data: str) -> Texts:
    """Returns what is learnt from, and what is held out by its title."""
    if data == SHAKESPEARE:
        from companion.data.prose import load_shakespeare

        plays = load_shakespeare()
        return list(plays.train.values()), dict(plays.test)
    path = Path(data)
    if not path.exists():
        raise UsageError(
            f"there is no file or folder {data!r}: train-gpt reads a text, a folder of .txt files, "
            f"or {SHAKESPEARE}."
        )
    from companion.data.files import read_text

    paths = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    texts = {file.name: read_text(file) for file in paths}
    empty = [name for name, text in texts.items() if not text.strip()]
    if empty or not texts:
        raise UsageError(f"{data} has no text to learn from{''.join(f': {n}' for n in empty[:1])}.")
    return _hold_out_files(data, texts) if path.is_dir() else _hold_out_end(data, *texts.items())


def _hold_out_end(data: str, file: tuple[str, str]) -> Texts:
    name, text = file
    cut = len(text) * 9 // 10
    if not text[:cut].strip() or not text[cut:].strip():
        raise UsageError(f"{data} is too short: a tenth of it is held out. Give more text.")
    return [text[:cut]], {name: text[cut:]}


def _hold_out_files(data: str, texts: dict[str, str]) -> Texts:
    if len(texts) < 2:
        raise UsageError(f"{data} has one .txt file, and a tenth is held out: give at least two.")
    held_out = list(texts)[-max(len(texts) // 10, 1) :]
    return [t for name, t in texts.items() if name not in held_out], {n: texts[n] for n in held_out}


def _report(
    out: Path, language: LanguageModel, test: dict[str, str], args: argparse.Namespace
) -> None:
    import numpy as np

    costs = {title: language.bits_per_byte([text]) for title, text in test.items()}
    sizes = [len(text.encode()) for text in test.values()]
    costs["all"] = float(np.average(list(costs.values()), weights=sizes))
    texts = f"{len(test)} texts" if len(test) > 1 else "one text"
    say(f"Bits per byte of {texts} held out (8 would be no knowledge at all):")
    for title, bits in costs.items():
        say(f"  {title:<20}{bits:.3f}")
    say(f"{language.steps:,} of {args.steps:,} steps are done. Saved in {out}.")
    if language.steps < args.steps:
        say(f"The same command{' without --restart' if args.restart else ''} goes on.")
    found = re.search(r"[^\W_]", next(iter(test.values())))
    prompt = "ROMEO" if args.data == SHAKESPEARE else found[0] if found else "a"
    say(f"Next: {command_line('companion', 'generate', out, '--prompt', prompt)}")


def generate(args: argparse.Namespace) -> None:
    """Continues a text with a language model that was trained before.

    Args:
        args: Parsed arguments: `dir`, `prompt`, `tokens`, `temperature`, `top_k`, `top_p`, `seed`.

    Raises:
        UsageError: If the prompt is empty, too long or no text.
    """
    try:
        args.prompt.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "--prompt holds bytes that are no UTF-8: type it in a UTF-8 terminal."
        ) from None
    from companion.tasks.language_model import LanguageModel

    language = LanguageModel.load(args.dir)
    used, length = len(language.tokenizer.encode(args.prompt)), language.settings["sequence_length"]
    room = length - used
    if args.tokens is not None and 0 < room < args.tokens:
        raise UsageError(
            f"--prompt has {used} tokens and the model reads {length} in all: --tokens may be at "
            f"most {room}, or shorten the prompt."
        )
    tokens = min(_TOKENS, max(room, 1)) if args.tokens is None else args.tokens
    options = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p", "seed")}
    say(language.generate(args.prompt, tokens, **options))
