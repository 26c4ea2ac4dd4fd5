"""What the commands `companion train gpt` and `companion generate` do."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

__all__ = ["generate", "train_gpt"]


if TYPE_CHECKING:
    from companion.tasks.language_model import LanguageModel

STEPS, BATCH_SIZE = 2000, 16

DATA = "food_reviews"  # the default of companion train; a GPT then reads Shakespeare

MODEL = {
    "vocabulary_size": 1000,
    "sequence_length": 128,
    "hidden_dim": 128,
    "num_layers": 3,
    "num_heads": 4,
}

PROMPTS = ("ROMEO\n", "To be, or not to", "Enter", "What is the")

LINES = ("To be, or not to be: that is the question.", "Good night, good night! Parting is such")

FILES = ("config.json", "weights.npz", "tokenizer.json", "evidence.json")


def train_gpt(args: argparse.Namespace) -> None:
    """Trains a small GPT on Shakespeare's plays or other texts, or continues where it was stopped.

    Args:
        args: Parsed arguments: `data`, `out`, `steps`, `batch_size`, `minutes`, `seed`, `restart`
            and the sizes of `MODEL`.

    Raises:
        ValueError: If an argument belongs to classifiers only, or is out of range.
    """
    given = [
        name for name in ("architecture", "split", "epochs") if getattr(args, name) is not None
    ]
    if given or args.as_written or args.size != "packaged":
        raise ValueError(
            "train gpt takes --data, --minutes, --steps, --batch-size, --seed, --out, --restart, "
            f"{', '.join(map(_option, MODEL))} only."
        )
    from companion._common.files import write_atomically
    from companion.models.gpt import build_gpt
    from companion.tasks.folder import holds_model
    from companion.tasks.language_model import LanguageModel
    from companion.training.checkpoints import CheckpointFolder

    out: Path = args.out or Path("models", "gpt")
    folder = CheckpointFolder(out / "checkpoints")
    plan: dict[str, Any] = {
        "steps": STEPS if args.steps is None else args.steps,
        "batch_size": BATCH_SIZE if args.batch_size is None else args.batch_size,
    }
    if plan["steps"] < 1 or plan["batch_size"] < 1:
        raise ValueError(
            f"--steps {plan['steps']} and --batch-size {plan['batch_size']} must be at least 1."
        )
    asked = {name: getattr(args, name) for name in MODEL}
    sizes: dict[str, Any] = {n: MODEL[n] if size is None else size for n, size in asked.items()}
    build_gpt(**sizes)  # refuses impossible sizes before anything is read or deleted
    train, test = _texts(args.data)
    holds_model(out, "language-1", FILES)  # refuses a folder with something else
    with folder.lock():
        if args.restart:
            folder.forget(*(out / name for name in FILES))
        language, before = LanguageModel(**sizes, seed=args.seed), time.perf_counter()
        language.fit(train, minutes=args.minutes, checkpoint_dir=folder.folder, **plan)
        seconds = time.perf_counter() - before
        language.save(out)
        data = {} if args.data == DATA else {"data": args.data}
        evidence = _evidence(out, language, plan | data, seconds, test)
        write_atomically(out / "evidence.json", json.dumps(evidence, indent=1).encode())
    _report(out, language, plan["steps"], evidence["bits_per_byte"])


def refuse_sizes(args: argparse.Namespace) -> None:
    """Refuses what only a language model takes.

    Args:
        args: Parsed arguments of `companion train`.

    Raises:
        ValueError: If one of them is given.
    """
    for name in ("minutes", "steps", *MODEL):
        if getattr(args, name, None) is not None:
            raise ValueError(f"{_option(name)} is for companion train gpt; use --epochs here.")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _texts(data: str) -> tuple[list[str], dict[str, str]]:
    """Returns what is learnt from, and what is held out by its title."""
    if data == DATA:
        from companion.data.prose import load_shakespeare

        plays = load_shakespeare()
        return list(plays.train.values()), plays.test
    from companion.data.files import read_text

    path = Path(data)
    if not path.exists():
        raise ValueError(
            f"there is no file or folder {data!r}: train gpt reads a text or a folder of texts."
        )
    paths = sorted(path.glob("*.txt")) if path.is_dir() else [path]
    texts = {file.name: read_text(file) for file in paths}
    empty = [name for name, text in texts.items() if not text.strip()]
    if empty or not texts:
        raise ValueError(f"{data} has no text to learn from{''.join(f': {n}' for n in empty[:1])}.")
    if not path.is_dir():
        text = texts[path.name]
        cut = len(text) * 9 // 10
        if not text[:cut].strip() or not text[cut:].strip():
            raise ValueError(f"{data} is too short: a tenth of it is held out. Give more text.")
        return [text[:cut]], {path.name: text[cut:]}
    if len(texts) < 2:
        raise ValueError(f"{data} has one .txt file, and a tenth is held out: give at least two.")
    held_out = list(texts)[-max(len(texts) // 10, 1) :]
    return [t for name, t in texts.items() if name not in held_out], {n: texts[n] for n in held_out}


def _report(out: Path, language: LanguageModel, steps: int, costs: dict[str, float]) -> None:
    print(f"Bits per byte of {len(costs) - 1} texts held out (8 would be no knowledge at all):")
    for title, bits in costs.items():
        print(f"  {title:<20}{bits:.3f}")
    print(f"{language.steps:,} of {steps:,} steps are done. Saved in {out}.")
    if language.steps < steps:
        print("The same command goes on.")
    print(f'Next: companion generate {out} --prompt "ROMEO"')


def _evidence(
    out: Path, language: LanguageModel, plan: dict[str, Any], seconds: float, test: dict[str, str]
) -> dict[str, Any]:
    """Returns what was done and found; the runs before this one are kept."""
    import numpy as np

    costs = {title: language.bits_per_byte([text]) for title, text in test.items()}
    sizes = [len(text.encode()) for text in test.values()]
    costs["all"] = float(np.average(list(costs.values()), weights=sizes))
    prompts = _prompts(language, test)
    try:
        runs = json.loads((out / "evidence.json").read_bytes())["runs"]
    except (OSError, ValueError, KeyError, TypeError):
        runs = []
    model: Any = language.model
    used = [sys.modules[name] for name in ("keras", "tensorflow", "jax") if name in sys.modules]
    versions = {module.__name__: module.__version__ for module in used}
    return {
        "command": _command(language.settings | plan),
        "versions": {"python": platform.python_version(), **versions},
        "settings": language.settings | plan,
        "parameters": int(model.count_params()),
        "runs": [*runs, {"steps_after": language.steps, "seconds": round(seconds, 1)}],
        "bits_per_byte": {title: round(bits, 4) for title, bits in costs.items()},
        "samples": {prompt: _sample(language, prompt) for prompt in prompts},
        "vocabulary": [token.decode("utf-8", "replace") for token in language.tokenizer.vocabulary],
        "attention": _attention(language),
        "next_token_logits": {prompt: _logits(language, prompt) for prompt in prompts},
    }


def _command(settings: dict[str, Any]) -> str:
    """Returns the command that makes this model again."""
    usual = {**MODEL, "seed": 0, "steps": STEPS, "batch_size": BATCH_SIZE}
    changed = [f"{_option(n)} {v}" for n, v in settings.items() if usual.get(n, 0.0) != v]
    return " ".join(["companion train gpt", *changed])


def _prompts(language: LanguageModel, test: dict[str, str]) -> list[str]:
    """Returns beginnings: ours for a model that can read them, else the held-out texts' own."""
    length = language.settings["sequence_length"]
    found = [*PROMPTS, *(text.lstrip()[:1] for text in test.values())]
    return [prompt for prompt in found if len(language.tokenizer.encode(prompt)) < length][:4]


def _sample(language: LanguageModel, prompt: str) -> str:
    room = language.settings["sequence_length"] - len(language.tokenizer.encode(prompt))
    return language.generate(prompt, min(100, room), temperature=0.8, seed=1)


def _attention(language: LanguageModel) -> list[dict[str, Any]]:
    """Returns the tokens of some lines and how much each head looks from each at each."""
    import numpy as np

    from companion.models.layers import DecoderBlock

    model: Any = language.model
    length, found = language.settings["sequence_length"], []
    for ids in map(language.tokenizer.encode, LINES):
        if len(ids) > length:
            continue
        x, heads = model.get_layer("token_embedding")(np.array([ids], "int32")), []
        for block in (layer for layer in model.layers if isinstance(layer, DecoderBlock)):
            heads += np.asarray(block.attention_weights(x), "float64")[0].round(3).tolist()
            x = block(x)
        found.append({"tokens": [language.tokenizer.decode([i]) for i in ids], "heads": heads})
    return found


def _logits(language: LanguageModel, prompt: str) -> list[float]:
    import numpy as np

    ids, length = language.tokenizer.encode(prompt), language.settings["sequence_length"]
    row = [*ids, *[0] * (length - len(ids))]  # what stands behind the prompt changes nothing
    model: Any = language.model
    logits = np.asarray(model(np.array([row], "int32")))[0, len(ids) - 1]
    return [round(float(logit), 2) for logit in logits]


def generate(args: argparse.Namespace) -> None:
    """Continues a text with a language model that was trained before.

    Args:
        args: Parsed arguments: `dir`, `prompt`, `tokens`, `temperature`, `top_k`, `top_p`, `seed`.
    """
    from companion.tasks.language_model import LanguageModel

    language = LanguageModel.load(args.dir)
    options = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p", "seed")}
    text = language.generate(args.prompt, args.tokens, **options)
    # Control characters must not reach the terminal.
    print("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
