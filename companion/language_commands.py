"""What the commands `companion train gpt` and `companion generate` do."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from companion.language import LanguageModel

__all__ = ["generate", "train_gpt"]

STEPS = 2000
MODEL = {"vocabulary_size": 1000, "sequence_length": 128, "hidden_dim": 128, "num_layers": 3}
PROMPTS = ("ROMEO\n", "To be, or not to", "Enter", "What is the")
FILES = ("config.json", "weights.npz", "tokenizer.json", "evidence.json")


def train_gpt(args: argparse.Namespace) -> None:
    """Trains a small GPT on Shakespeare's plays, or continues where training was stopped.

    Args:
        args: Parsed arguments: `out`, `steps`, `batch_size`, `minutes`, `seed`, `restart`.

    Raises:
        ValueError: If an argument belongs to classifiers only.
    """
    given = [name for name in ("architecture", "split", "epochs") if getattr(args, name)]
    if given or args.as_written or args.data != "food_reviews":
        raise ValueError(
            "train gpt learns from Shakespeare's plays and takes --minutes, --steps, --batch-size, "
            "--seed, --out and --restart only."
        )
    import numpy as np

    from companion.checkpoints import CheckpointFolder, write_atomically
    from companion.language import LanguageModel
    from companion.plays import load_shakespeare

    out: Path = args.out or Path("models", "gpt")
    folder = CheckpointFolder(out / "checkpoints")
    if args.restart:
        for path in (*folder.paths(), *(out / name for name in FILES)):
            path.unlink(missing_ok=True)
    plays = load_shakespeare()
    plan: dict[str, Any] = {"steps": args.steps or STEPS, "batch_size": args.batch_size or 16}
    language, before = LanguageModel(**MODEL, seed=args.seed), time.perf_counter()
    language.fit(
        list(plays.train.values()), minutes=args.minutes, checkpoint_dir=folder.folder, **plan
    )
    seconds = time.perf_counter() - before
    language.save(out)
    costs = {title: language.bits_per_byte([text]) for title, text in plays.test.items()}
    sizes = [len(text.encode()) for text in plays.test.values()]
    costs["all"] = float(np.average(list(costs.values()), weights=sizes))
    evidence = _evidence(out, language, plan, seconds, costs)
    write_atomically(out / "evidence.json", json.dumps(evidence, indent=1).encode())
    print(f"Bits per byte of {len(plays.test)} plays held out (8 would be no knowledge at all):")
    for title, bits in costs.items():
        print(f"  {title:<20}{bits:.3f}")
    print(f"{language.steps:,} of {plan['steps']:,} steps are done. Saved in {out}.")
    if language.steps < plan["steps"]:
        print("The same command goes on.")
    print(f'Next: companion generate {out} --prompt "ROMEO"')


def _evidence(
    out: Path, language: LanguageModel, plan: dict[str, int], seconds: float, costs: dict[str, Any]
) -> dict[str, Any]:
    """Returns what was done and found; the runs before this one are kept."""
    try:
        runs = json.loads((out / "evidence.json").read_bytes())["runs"]
    except (OSError, ValueError, KeyError, TypeError):
        runs = []
    model: Any = language.model
    used = [sys.modules[name] for name in ("keras", "tensorflow", "jax") if name in sys.modules]
    versions = {module.__name__: module.__version__ for module in used}
    return {
        "command": "companion train gpt",
        "versions": {"python": platform.python_version(), **versions},
        "settings": language.settings | plan,
        "parameters": int(model.count_params()),
        "runs": [*runs, {"steps_after": language.steps, "seconds": round(seconds, 1)}],
        "bits_per_byte": {title: round(bits, 4) for title, bits in costs.items()},
        "samples": {p: language.generate(p, 100, temperature=0.8, seed=1) for p in PROMPTS},
        "vocabulary": [token.decode("utf-8", "replace") for token in language.tokenizer.vocabulary],
        "next_token_logits": {prompt: _logits(language, prompt) for prompt in PROMPTS},
    }


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
    from companion.language import LanguageModel

    language = LanguageModel.load(args.dir)
    options = {name: getattr(args, name) for name in ("temperature", "top_k", "top_p", "seed")}
    text = language.generate(args.prompt, args.tokens, **options)
    # Control characters must not reach the terminal.
    print("".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text))
