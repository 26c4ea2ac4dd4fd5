"""Trains the page's language models with the command's settings, and writes down what they do.

``python -m benchmarks.language_model`` trains what ``companion train-gpt`` trains and writes
``companion/data/measured/language_model.json``: bits per byte, samples, and the scores of the next
token after some prompts. ``python -m benchmarks.language_model language_attention`` trains a
smaller one and writes what its heads pay attention to. Stopped by ``--minutes`` or killed, the same
command goes on after the last hundred steps; each takes between two and twenty minutes on two
cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.files import write_atomically
from companion.cli.language import BATCH_SIZE, CHECKPOINT_STEPS, MODEL, STEPS
from companion.data import load_shakespeare
from companion.models.layers import DecoderBlock
from companion.tasks import LanguageModel

COMMAND = "python -m benchmarks.language_model"
FOLDER = Path(__file__).parents[1] / "companion/data/measured"
SMALL = {"vocabulary_size": 512, "sequence_length": 64, "hidden_dim": 64, "num_layers": 2}
RUNS: dict[str, dict[str, int]] = {
    "language_model": MODEL | {"steps": STEPS, "batch_size": BATCH_SIZE},
    "language_attention": MODEL | SMALL | {"steps": 500, "batch_size": 8},
}
PROMPTS = ("ROMEO\n", "To be, or not to", "Enter", "What is the")
LINES = ("To be, or not to be: that is the question.", "Good night, good night! Parting is such")


def main(arguments: list[str] | None = None) -> None:
    """Trains one model, or goes on with it, and writes its file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", nargs="?", choices=list(RUNS), default="language_model")
    parser.add_argument("--minutes", type=float, help="stop after this time")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where checkpoints go")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the file goes")
    args = parser.parse_args(arguments)
    settings = dict(RUNS[args.name])
    steps, batch_size = settings.pop("steps"), settings.pop("batch_size")
    plays, out = load_shakespeare(), args.models / args.name
    language, before = LanguageModel(**settings), time.perf_counter()
    language.fit(
        list(plays.train.values()),
        steps=steps,
        batch_size=batch_size,
        checkpoint_steps=CHECKPOINT_STEPS,
        minutes=args.minutes,
        checkpoint_dir=out / "checkpoints",
    )
    run = {"steps_after": language.steps, "seconds": round(time.perf_counter() - before, 1)}
    file = args.folder / f"{args.name}.json"
    notes = out / "runs.json"  # those before this one count too
    runs = [*(json.loads(notes.read_bytes()) if notes.is_file() else []), run]
    write_atomically(notes, json.dumps(runs).encode())
    found = evidence(args.name, language, dict(plays.test)) | {"runs": runs}
    write_atomically(file, (json.dumps(found, indent=1) + "\n").encode())
    print(file, found["bits_per_byte"])


def evidence(name: str, language: LanguageModel, test: dict[str, str]) -> dict[str, Any]:
    """Returns what a trained model does, and how it came about.

    Args:
        name: One of `RUNS`.
        language: The trained model.
        test: Held-out texts by their titles.

    Returns:
        Dictionary of JSON values.
    """
    costs = {title: language.bits_per_byte([text]) for title, text in test.items()}
    sizes = [len(text.encode()) for text in test.values()]
    costs["all"] = float(np.average(list(costs.values()), weights=sizes))
    model: Any = language.model
    used = [sys.modules[module] for module in ("keras", "tensorflow") if module in sys.modules]
    versions = {module.__name__: module.__version__ for module in used}
    plan = {key: RUNS[name][key] for key in ("steps", "batch_size")}
    found = {
        "command": COMMAND if name == "language_model" else f"{COMMAND} {name}",
        "versions": {"python": platform.python_version(), **versions},
        "settings": language.settings | plan,
        "parameters": int(model.count_params()),
        "bits_per_byte": {title: round(bits, 4) for title, bits in costs.items()},
    }
    if name == "language_attention":
        return found | {"attention": attention(language)}
    return found | {
        "samples": {prompt: sample(language, prompt) for prompt in PROMPTS},
        "vocabulary": [token.decode("utf-8", "replace") for token in language.tokenizer.vocabulary],
        "next_token_logits": {prompt: logits(language, prompt) for prompt in PROMPTS},
    }


def sample(language: LanguageModel, prompt: str) -> str:
    """Returns a continuation of at most a hundred tokens."""
    room = language.settings["sequence_length"] - len(language.tokenizer.encode(prompt))
    return language.generate(prompt, min(100, room), temperature=0.8, seed=1)


def attention(language: LanguageModel) -> list[dict[str, Any]]:
    """Returns the tokens of some lines and how much each head looks from each at each."""
    model: Any = language.model
    found = []
    for ids in map(language.tokenizer.encode, LINES):
        x, heads = model.get_layer("token_embedding")(np.array([ids], "int32")), []
        for block in (layer for layer in model.layers if isinstance(layer, DecoderBlock)):
            heads += np.asarray(block.attention_weights(x), "float64")[0].round(3).tolist()
            x = block(x)
        found.append({"tokens": [language.tokenizer.decode([i]) for i in ids], "heads": heads})
    return found


def logits(language: LanguageModel, prompt: str) -> list[float]:
    """Returns the scores of every token after a prompt."""
    ids, length = language.tokenizer.encode(prompt), language.settings["sequence_length"]
    row = [*ids, *[0] * (length - len(ids))]  # what stands behind the prompt changes nothing
    model: Any = language.model
    scores = np.asarray(model(np.array([row], "int32")))[0, len(ids) - 1]
    return [round(float(score), 2) for score in scores]


if __name__ == "__main__":
    main()
