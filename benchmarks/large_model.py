"""Asks a large language model what takes longer than a page may: reviews, questions and orders.

``python -m benchmarks.large_model`` writes ``companion/data/measured/large_model.json`` with every
answer as the model gave it, so that a page can score them again. Each part goes on where it
stopped; ``--part`` makes only one. All need about ten minutes of one core. Prompts were written
once, before any of these reviews, questions or orders was asked, and were not tuned.

Reviews: 100 to learn from and 120 to be tested on, each cut to its first thirty words. The model
reads a review without and behind four examples, and leaves the logits of *Yes* and *No*, and the
vector that it would answer from. MiniLM's scores of the same reviews are there to compare.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import companion
from benchmarks.large_model_questions import orders, questions
from companion._common.files import write_atomically

GOLDEN = Path(__file__).parents[1] / "tests/package/models/smollm2_logits.json"
COMMAND = "python -m benchmarks.large_model"
FILE = Path(__file__).parents[1] / "companion/data/measured/large_model.json"
FOLDER = Path(tempfile.gettempdir()) / "companion_large_model"
TRAIN, TEST, WORDS, EXAMPLES, BATCH = 100, 120, 30, 4, 16
DIGITS = 2  # of a stored vector's numbers
NUMBER = "[1-9][0-9]{0,2}"
ROUNDS_OF_SPEED, TOKENS = 7, 24
SHORT = "Answer in a few words."
FROM_TEXT = "Answer in a few words, from this text only: "
MAY_DECLINE = 'Answer in a few words. If you do not know the answer, say "I do not know".'
ASKED = "Did this customer give five stars? Answer Yes or No."
FORM = (
    "Fill in a form from the customer's message. "
    "Answer with JSON that has the keys name, product, quantity and city."
)
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "product": {"type": "string"},
        "quantity": {"type": "integer"},
        "city": {"type": "string"},
    },
    "required": ["name", "product", "quantity", "city"],
    "additionalProperties": False,
}
# How each round of questions is asked: system message, and the temperature of the draws.
ROUNDS: dict[str, tuple[str, float]] = {
    "temperature 0": (SHORT, 0.0),
    "with the text": (FROM_TEXT, 0.0),
    "may decline": (MAY_DECLINE, 0.0),
    "temperature 1.4": (SHORT, 1.4),
}


def cut(text: str) -> str:
    """The first words of a review."""
    return " ".join(text.split()[:WORDS])


def reviews() -> dict[str, Any]:
    """Rows of the food reviews: examples, to learn from and to be tested on, drawn by seed 0."""
    data = companion.data.load_food_reviews()
    copies = companion.data.find_duplicates(data.train.texts, data.test.texts)
    copied = {first for first, _ in copies}
    draw = np.random.default_rng(0)
    train = [i for i in draw.permutation(len(data.train.texts)).tolist() if i not in copied]
    test = draw.permutation(len(data.test.texts))[:TEST].tolist()
    short = [i for i in train[TRAIN:] if len(data.train.texts[i].split()) <= WORDS]
    of = {label: [i for i in short if data.train.labels[i] == label] for label in (0, 1)}
    half = EXAMPLES // 2
    examples = [i for pair in zip(of[1][:half], of[0][:half], strict=True) for i in pair]
    return {"data": data, "train": train[:TRAIN], "test": test, "examples": examples}


def question_about(text: str) -> dict[str, str]:
    """One review as a message."""
    return {"role": "user", "content": f"Review: {cut(text)}\n{ASKED}"}


def read_reviews(kept: dict[str, Any], keep: Callable[[], None]) -> None:
    """Reads every review without and behind examples; what they share is read once."""
    from companion.models.decoding.runtime import Cache

    generator = companion.models.load_language_model(weights="float32", threads=1)
    tokenizer, runtime = generator.tokenizer, generator._current()
    found = reviews()
    data = found["data"]
    yes, no = (tokenizer.encode(word)[0] for word in ("Yes", "No"))
    kept.setdefault("rows", {name: found[name] for name in ("train", "test", "examples")})
    shots: list[dict[str, str]] = []
    for i in found["examples"]:
        answer = {"role": "assistant", "content": "Yes" if data.train.labels[i] else "No"}
        shots += [question_about(data.train.texts[i]), answer]
    places = [(part, i) for part in ("train", "test") for i in found[part]]
    # Examples need no labels to learn from, so only the test reviews are read behind them.
    for name, before, rows in (("zero-shot", [], places), ("few-shot", shots, places[TRAIN:])):
        empty: dict[str, Any] = {"seconds": 0.0, "tokens": 0, "yes": [], "no": [], "states": []}
        done = kept.setdefault(name, empty)
        chats = [
            tokenizer.encode_chat([*before, question_about(getattr(data, part).texts[i])])
            for part, i in rows
        ]
        shared = next(k for k, ids in enumerate(zip(*chats, strict=False)) if len(set(ids)) > 1)
        cache = Cache(runtime, 1, max(map(len, chats)))
        started = time.process_time()
        runtime.read(chats[0][:shared], cache)
        for row in range(len(done["yes"]), len(chats)):
            cache.lengths[0] = shared
            logits, states = runtime.read(chats[row][shared:], cache)
            done["yes"].append(round(float(logits[0, yes]), 4))
            done["no"].append(round(float(logits[0, no]), 4))
            done["tokens"] += len(chats[row]) - shared
            if name == "zero-shot":
                done["states"].append([round(float(x), DIGITS) for x in states[-1]])
            if (row + 1) % 20 == 0:
                done["seconds"] += time.process_time() - started
                started = time.process_time()
                print(name, row + 1, f"{done['seconds']:.0f} s", flush=True)
                keep()
    if "minilm" not in kept:
        texts = [cut(getattr(data, part).texts[i]) for part, i in places]
        started = time.process_time()
        vectors = companion.models.embed_texts(texts)
        kept["minilm"] = {
            "seconds": time.process_time() - started,
            "states": np.round(vectors.astype(float), 3).tolist(),
        }
        keep()


def chat_about(asked: dict[str, Any], name: str) -> list[dict[str, str]]:
    """One question as a conversation."""
    system = ROUNDS[name][0] + (asked["text"] if name == "with the text" else "")
    return [{"role": "system", "content": system}, {"role": "user", "content": asked["question"]}]


def ask_questions(kept: dict[str, Any], keep: Callable[[], None]) -> None:
    """Asks every question in every way."""
    generator = companion.models.load_language_model(weights="float32", threads=1)
    asked = kept.setdefault("questions", questions())
    rounds = kept.setdefault("rounds", {})
    for name, (_, temperature) in ROUNDS.items():
        answers = rounds.setdefault(name, [])
        while len(answers) < len(asked):
            batch = asked[len(answers) : len(answers) + BATCH]
            chats = [chat_about(one, name) for one in batch]
            options: dict[str, Any] = {"temperature": temperature, "seed": len(answers)}
            said = generator.generate_batch(chats, max_tokens=20, stop="\n", **options)
            answers += [answer.text for answer in said]
            print(name, len(answers), f"{time.process_time():.0f} s", flush=True)
            keep()


def ask_for_numbers(kept: dict[str, Any], keep: Callable[[], None]) -> None:
    """Asks for sums and letters again, where the answer has to be a number and nothing else."""
    generator = companion.models.load_language_model(weights="float32", threads=1)
    answers = kept.setdefault("answers", [])
    asked = [one for one in questions() if one["kind"] in ("sum", "letters")]
    while len(answers) < len(asked):
        batch = asked[len(answers) : len(answers) + BATCH]
        chats = [chat_about(one, "temperature 0") for one in batch]
        said = generator.generate_batch(chats, max_tokens=8, regex=NUMBER)
        answers += [answer.text for answer in said]
        keep()


def chat_of_order(text: str) -> list[dict[str, str]]:
    """One order as a conversation."""
    return [{"role": "system", "content": FORM}, {"role": "user", "content": text}]


def fill_forms(kept: dict[str, Any], keep: Callable[[], None]) -> None:
    """Lets the model turn every order into a form, freely and bound to the schema."""
    generator = companion.models.load_language_model(weights="float32", threads=1)
    asked = kept.setdefault("orders", orders())
    # Free answers are long and soon all alike: one batch of them shows it.
    for name, number, options in (("bound", len(asked), {"schema": SCHEMA}), ("free", BATCH, {})):
        answers = kept.setdefault(name, [])
        while len(answers) < number:
            batch = asked[len(answers) : len(answers) + BATCH]
            chats = [chat_of_order(one["text"]) for one in batch]
            said = generator.generate_batch(chats, max_tokens=80, **options)
            answers += [answer.text for answer in said]
            print(name, len(answers), f"{time.process_time():.0f} s", flush=True)
            keep()


def memory_bandwidth() -> float:
    """Bytes that one core reads in a second: a table like the model's largest times a vector."""
    from threadpoolctl import threadpool_limits

    table, vector = np.ones((49_152, 576), "float32"), np.ones(576, "float32")
    seconds = []
    with threadpool_limits(1):
        for _ in range(9):
            started = time.process_time()
            table @ vector
            seconds.append(time.process_time() - started)
    return table.nbytes / float(np.median(seconds))


def measure_speed(kept: dict[str, Any], keep: Callable[[], None]) -> None:
    """Writes with one core, in turns with what its memory allows, and times the word counts.

    All seconds are of the processor, which a busy machine stretches less than those of the clock.
    """
    for precision in ("float32", "int8"):
        if precision in kept:
            continue
        generator = companion.models.load_language_model(weights=precision, threads=1)
        generator.generate("Once upon a time", max_tokens=2)
        runs = []
        for _ in range(ROUNDS_OF_SPEED):
            bandwidth = memory_bandwidth()
            stream = generator.stream("Once upon a time", max_tokens=TOKENS + 1)
            next(stream)
            before, started = len(stream.answer.tokens), time.process_time()
            for _ in stream:
                pass
            tokens = len(stream.answer.tokens) - before
            rate = tokens / (time.process_time() - started)
            runs.append({"bytes_per_second": bandwidth, "tokens_per_second": rate})
        kept[precision] = {"weight_bytes": generator.weight_bytes, "runs": runs}
        keep()
    if "word counts" not in kept:
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        data = companion.data.load_food_reviews()
        counter = make_pipeline(
            companion.preprocessing.build_tfidf(min_df=2, sublinear_tf=True),
            LogisticRegression(C=10, max_iter=1000),
        )
        counter.fit([cut(text) for text in data.train.texts], data.train.labels)
        tests = [cut(text) for text in data.test.texts]
        started = time.process_time()
        counter.predict(tests)
        kept["word counts"] = {"seconds": time.process_time() - started, "reviews": len(tests)}
        keep()


PARTS = {
    "reviews": read_reviews,
    "questions": ask_questions,
    "numbers": ask_for_numbers,
    "forms": fill_forms,
    "speed": measure_speed,
}


def main(arguments: list[str] | None = None) -> None:
    """Makes the parts that are not there yet, and the file from all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--part", choices=list(PARTS), action="append", help="make only this one")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="working folder")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.part or PARTS:
        path = options.folder / f"{name}.json"
        kept: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}

        def keep(path: Path = path, kept: dict[str, Any] = kept) -> None:
            write_atomically(path, json.dumps(kept).encode())

        PARTS[name](kept, keep)
        keep()
    paths = {name: options.folder / f"{name}.json" for name in PARTS}
    if options.part:
        return
    evidence: dict[str, Any] = {"command": COMMAND}
    evidence["settings"] = {
        "words": WORDS,
        "rounds": ROUNDS,
        "form": FORM,
        "schema": SCHEMA,
        "asked": ASKED,
    }
    golden = json.loads(GOLDEN.read_text("utf-8"))
    evidence["golden"] = {"source": golden["source"], **golden["prompts"][0]}
    evidence |= {name: json.loads(path.read_text("utf-8")) for name, path in paths.items()}
    written = json.dumps(evidence, separators=(",", ":")) + "\n"
    write_atomically(options.file, written.encode())


if __name__ == "__main__":
    main()
