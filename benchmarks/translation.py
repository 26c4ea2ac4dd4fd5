"""Measures what is too slow for the page on translation; ``python -m benchmarks.translation``.

Small Transformers learn Chinese–English sentence pairs, with numbered gaps for rare words that a
dictionary fills, and without. How many words to know, the layers and the dropout are judged on
pairs that are held back from the training half; the chosen ones then translate the test sentences
once, greedily and by beam search. Other networks have the Chinese of half the pairs only, and for
the rest none or one that a table of words makes up. The translations, and where the network looked,
are kept in ``companion/data/measured/translation.json``. Runs that the file holds already are not
done again; delete the file to start over. It takes about forty minutes of one core.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import add_evidence, read_evidence, versions

COMMAND = "python -m benchmarks.translation"
FILE = Path(__file__).parents[1] / "companion/data/measured/translation.json"
SEED, HELD = 0, 300
GAPS = 4  # rare words of a sentence that may be filled
REMARKS = {"surname", "abbr.", "variant", "generic", "classifier", "used", "particle", "CL:"}
# Words that a run knows are those that the training texts hold so often.
RUNS: dict[str, dict[str, Any]] = {
    "gaps 3": {"least": 3, "gaps": True},
    "no gaps 3": {"least": 3, "gaps": False},
    "gaps 2": {"least": 2, "gaps": True},
    "gaps 5": {"least": 5, "gaps": True},
    "gaps 10": {"least": 10, "gaps": True},
    "gaps 20": {"least": 20, "gaps": True},
}
LENGTH, BATCH_SIZE, EPOCHS, RATE = 16, 64, 18, 0.004
SIZES: dict[str, Any] = {"hidden_dim": 64, "num_layers": 1, "dropout": 0.2}
SEARCHES = {"greedy": (1, 0.0), "beam 4": (4, 0.0), "beam 4, long": (4, 1.0)}
GRAMS, ROUNDS, FEW = (1, 2, 3, 4), (4, 8, 16, 32), (1, 2, 3, 5, 10)
BACK_ROUNDS = 8
UPDATES, SEEDS = (432, 1044), (0, 1)  # of networks that have half the pairs
HALF_LEAST, HALF_SEARCH = 5, "beam 4, long"  # the same for all of them
LOOKED = 6  # test sentences whose attention is kept

Part = list[tuple[str, str]]


def parts() -> tuple[dict[str, Part], dict[str, str]]:
    """Returns the pairs to fit, held back and to test, and the dictionary."""
    from companion import data

    pairs = data.load_translation_pairs()
    train = list(zip(pairs.train.sources, pairs.train.targets, strict=True))
    test = list(zip(pairs.test.sources, pairs.test.targets, strict=True))
    return {"fit": train[:-HELD], "held": train[-HELD:], "test": test}, pairs.dictionary


def cut(text: str, words: Any) -> list[str]:
    """Returns the longest words that are known, from left to right, and else single characters."""
    found = []
    while text:
        size = next((n for n in range(6, 1, -1) if text[:n] in words and len(text) >= n), 1)
        found.append(text[:size])
        text = text[size:]
    return found


def tokenize(text: str) -> list[str]:
    """Returns the words and signs of an English sentence in lower case."""
    return re.findall(r"\w+(?:['’]\w+)?|[^\w\s]", text.lower())


def join(tokens: list[str]) -> str:
    """Returns a sentence made of words and signs."""
    text = re.sub(r" ([.,!?;:%])", r"\1", " ".join(tokens))
    text = re.sub(r"\bi\b", "I", text)
    return text[:1].upper() + text[1:]


def meaning(gloss: str) -> str:
    """Returns the first usable meaning that a dictionary gives, in at most three words."""
    plain = re.sub(r"\([^)]*\)|\[[^\]]*\]|\b(sth|sb)\b", "", gloss)
    senses = [re.sub(r"^\s*to (be )?", "", sense).split() for sense in plain.split(";")]
    usable = [words for words in senses if words and words[0] not in REMARKS]
    return " ".join(usable[0][:3]) if usable else ""


class Vocabulary:
    """Numbers the words of both languages; rare Chinese words become numbered gaps."""

    def __init__(self, fit: Part, dictionary: dict[str, str], least: int, gaps: bool) -> None:
        self.dictionary, self.gaps = dictionary, gaps
        chinese = Counter(w for source, _ in fit for w in cut(source, dictionary))
        english = Counter(w for _, target in fit for w in tokenize(target))
        marks = ["<pad>", "<end>", "<rare>", *(f"<gap {i}>" for i in range(GAPS))]
        kept = [sorted(w for w, n in c.items() if n >= least) for c in (chinese, english)]
        self.tokens = [*marks, *kept[0], *kept[1]]
        self.known = set(kept[0])
        self.ids = {word: i for i, word in enumerate(self.tokens)}

    def read(self, source: str) -> tuple[list[int], list[str]]:
        """Returns a Chinese sentence's ids, and the words for which gaps stand."""
        ids: list[int] = []
        held: list[str] = []
        for word in cut(source, self.dictionary):
            if word in self.known:
                ids.append(self.ids[word])
            elif self.gaps and meaning(self.dictionary.get(word, "")) and len(held) < GAPS:
                ids.append(self.ids[f"<gap {len(held)}>"])
                held.append(word)
            else:
                ids.append(self.ids["<rare>"])
        return ids, held

    def target(self, text: str, held: list[str]) -> list[int]:
        """Returns an English sentence's ids, with a gap where a word is that the dictionary has."""
        words = tokenize(text)
        ids = [self.ids.get(word, self.ids["<rare>"]) for word in words]
        left = []
        for i, word in enumerate(held):
            stems = {w[:4] for w in meaning(self.dictionary[word]).lower().split() if len(w) > 2}
            places = [j for j, w in enumerate(words) if w[:4] in stems]
            if places:
                ids[places[0]] = self.ids[f"<gap {i}>"]
                for j in reversed(places[1:]):
                    del words[j], ids[j]
            else:
                left.append(self.ids[f"<gap {i}>"])
        rare = [j for j, i in enumerate(ids) if i == self.ids["<rare>"]]
        for j, gap in zip(rare, left, strict=False):  # the dictionary uses another word
            ids[j] = gap
        return ids

    def write(self, ids: list[int], held: list[str]) -> str:
        """Returns the English sentence that the ids and the dictionary give."""
        marks = {f"<gap {i}>": meaning(self.dictionary[word]) for i, word in enumerate(held)}
        words = [marks.get(t, "" if t[:1] == "<" else t) for t in (self.tokens[i] for i in ids)]
        return join([word for word in words if word])


def padded(rows: list[list[int]], length: int) -> Any:
    """Returns rows of ids with zeros behind them."""
    table = np.zeros((len(rows), length), "int32")
    for i, row in enumerate(rows):
        table[i, : len(row)] = row[:length]
    return table


def arrays(vocabulary: Vocabulary, part: Part, length: int) -> tuple[dict[str, Any], Any, Any]:
    """Returns what the network reads, what it is to write, and which positions count."""
    end = vocabulary.ids["<end>"]
    sources, targets = [], []
    for source, target in part:
        ids, held = vocabulary.read(source)
        sources.append(ids)
        targets.append(vocabulary.target(target, held))
    x = {"source_ids": padded(sources, length)}
    x["target_ids"] = padded([[end, *row] for row in targets], length)
    y = padded([[*row, end] for row in targets], length)
    # A rare word that no gap stands for is not to be learnt.
    return x, y, ((y > 0) & (y != vocabulary.ids["<rare>"])).astype("float32")


def learn(
    fit: Part,
    held: Part,
    dictionary: dict[str, str],
    least: int,
    gaps: bool,
    seed: int = SEED,
    epochs: int = EPOCHS,
) -> tuple[Vocabulary, Any]:
    """Returns the vocabulary and a trained network."""
    import keras

    from companion import models, training

    vocabulary = Vocabulary(fit, dictionary, least, gaps)
    x, y, weights = arrays(vocabulary, fit, LENGTH)
    keras.utils.set_random_seed(seed)
    model = models.build_translator(len(vocabulary.tokens), LENGTH, **SIZES)
    steps = epochs * -(-len(y) // BATCH_SIZE)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(
        training.build_gpt_optimizer(steps, RATE, 0.05),
        loss,
        weighted_metrics=[],
        jit_compile=False,
    )
    training.Trainer(model, seed=seed, progress=False).fit(
        x,
        y,
        sample_weight=weights,
        batch_size=BATCH_SIZE,
        epochs=epochs,
        validation_data=arrays(vocabulary, held, LENGTH),
    )
    return vocabulary, model


def translate(
    vocabulary: Vocabulary, model: Any, part: Part, beam_width: int = 1, penalty: float = 0.0
) -> list[str]:
    """Returns the translations of a part's sentences."""
    from companion import models

    read = [vocabulary.read(source) for source, _ in part]
    end = vocabulary.ids["<end>"]
    found = models.translate_ids(
        model,
        padded([ids for ids, _ in read], LENGTH),
        start_id=end,
        end_id=end,
        max_tokens=LENGTH,
        beam_width=beam_width,
        length_penalty=penalty,
    )
    return [vocabulary.write(ids, held) for ids, (_, held) in zip(found, read, strict=True)]


def chrf(said: list[str], part: Part) -> float:
    """Returns the chrF of translations."""
    import sacrebleu

    return float(sacrebleu.corpus_chrf(said, [[target for _, target in part]]).score)


def nearest(fit: Part, part: Part, longest: int) -> list[str]:
    """Returns for each sentence the translation of the most similar one to learn from."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    weigh = TfidfVectorizer(analyzer="char", ngram_range=(1, longest), sublinear_tf=True)
    learnt = weigh.fit_transform([source for source, _ in fit])
    similar = (weigh.transform([source for source, _ in part]) @ learnt.T).toarray()
    return [fit[i][1] for i in np.argmax(similar.round(9), axis=1)]


def model_one(pairs: list[tuple[list[str], list[str]]], rounds: int) -> dict[str, str]:
    """Returns the likeliest English word of each Chinese one, by Model 1 of IBM."""
    number: dict[tuple[str, str], int] = {}
    place: list[int] = []
    link: list[int] = []
    for source, target in pairs:
        for word in target:
            position = place[-1] + 1 if place else 0
            for cause in ("", *source):  # "" explains English words that stand for nothing
                link.append(number.setdefault((cause, word), len(number)))
                place.append(position)
    ids: dict[str, int] = {}
    chinese = np.array([ids.setdefault(cause, len(ids)) for cause, _ in number])
    p = np.ones(len(number))
    for _ in range(rounds):
        share = p[link] / np.bincount(place, p[link])[place]
        counts = np.bincount(link, share)
        p = counts / np.bincount(chinese, counts)[chinese]
    best: dict[str, tuple[float, str]] = {}
    for (cause, word), chance in zip(number, p.round(9), strict=True):
        if chance > best.get(cause, (0.0, ""))[0]:
            best[cause] = (chance, word)
    return {cause: word for cause, (_, word) in best.items()}


def look_up(
    part: Part, table: dict[str, str], often: Counter[str], dictionary: Any, least: int
) -> list[str]:
    """Returns translations word by word; `least` 0 leaves the dictionary out."""
    said = []
    for source, _ in part:
        words = []
        for word in cut(source, dictionary):
            known = meaning(dictionary.get(word, "")) if often[word] < least else ""
            words.append(known or table.get(word, ""))
        said.append(join([word for word in words if word]))
    return said


def baselines() -> dict[str, Any]:
    """Returns what nearest neighbour and word tables say of the test, tuned on held-back pairs."""
    part, dictionary = parts()
    fit, held = part["fit"], part["held"]
    longest = max(GRAMS, key=lambda n: chrf(nearest(fit, held, n), held))
    found: dict[str, Any] = {"nearest": nearest(fit, part["test"], longest)}
    pairs = [(cut(source, dictionary), tokenize(target)) for source, target in fit]
    often = Counter(word for source, _ in pairs for word in source)
    tables = {rounds: model_one(pairs, rounds) for rounds in ROUNDS}
    for name, few in (("table", (0,)), ("table + dictionary", FEW)):
        tried = {
            (rounds, least): chrf(look_up(held, tables[rounds], often, dictionary, least), held)
            for rounds in ROUNDS
            for least in few
        }
        rounds, least = max(tried, key=lambda setting: tried[setting])
        found[name] = look_up(part["test"], tables[rounds], often, dictionary, least)
        print(name, rounds, least, max(tried.values()), flush=True)
    return found


def look(vocabulary: Vocabulary, model: Any, part: Part) -> list[dict[str, Any]]:
    """Returns where the network looked while it translated the first longer sentences."""
    from companion import models

    end, found = vocabulary.ids["<end>"], []
    longer = [pair for pair in part if len(vocabulary.read(pair[0])[0]) >= 7]
    for source, _ in longer[:LOOKED]:
        ids, held = vocabulary.read(source)
        (said,) = models.translate_ids(
            model, [ids], start_id=end, end_id=end, max_tokens=LENGTH - 1
        )
        weights = models.cross_attention(model, [ids], [[end, *said[:-1]]])[0].mean(axis=0)
        words = vocabulary.write(said, held)
        shown = [vocabulary.tokens[i] for i in said]
        for i, word in enumerate(held):
            shown = [
                meaning(vocabulary.dictionary[word]) if t == f"<gap {i}>" else t for t in shown
            ]
        found.append(
            {
                "source": source,
                "read": cut(source, vocabulary.dictionary),
                "written": shown,
                "said": words,
                "weights": [[round(float(w), 2) for w in row] for row in weights],
            }
        )
    return found


def run(name: str) -> dict[str, Any]:
    """Trains one network; returns its scores on held-back pairs and what it says of the test."""
    part, dictionary = parts()
    begin = time.process_time()
    vocabulary, model = learn(part["fit"], part["held"], dictionary, **RUNS[name])
    trained = round(time.process_time() - begin)
    result: dict[str, Any] = {"cpu_seconds": trained, "parameters": model.count_params()}
    result["held"], result["test"] = {}, {}
    for search, (width, penalty) in SEARCHES.items():
        said = translate(vocabulary, model, part["held"], width, penalty)
        result["held"][search] = chrf(said, part["held"])
        result["test"][search] = translate(vocabulary, model, part["test"], width, penalty)
    print(name, trained, result["held"], said[:6], flush=True)
    return RUNS[name] | result | {"looked": look(vocabulary, model, part["test"])}


def translate_back(pairs: Part, english: list[str], dictionary: Any, least: int) -> list[str]:
    """Returns English sentences in Chinese words, by a table learnt from pairs and the dictionary.

    The dictionary speaks for English words that occur fewer than `least` times in the pairs.
    """
    turned = [(tokenize(target), cut(source, dictionary)) for source, target in pairs]
    often = Counter(word for english_words, _ in turned for word in english_words)
    table = model_one(turned, BACK_ROUNDS)
    named: dict[str, str] = {}
    for word, gloss in dictionary.items():
        named.setdefault(meaning(gloss).lower(), word)

    def chinese(word: str) -> str:
        likeliest = table.get(word, "")
        if often[word] < least:
            return named.get(word, likeliest)
        # The likeliest sign of a word like "the" is the full stop, which stands for nothing here.
        return "" if word.isalnum() and not likeliest.isalnum() else likeliest

    return ["".join(chinese(word) for word in tokenize(sentence)) for sentence in english]


def half_translated() -> tuple[Part, Part, dict[str, Any]]:
    """Returns every other pair, the rest with Chinese made up for its English, and how it was made.

    From which count on the table of words speaks, and not the dictionary, is judged on held pairs.
    """
    part, dictionary = parts()
    paired, rest, held = part["fit"][::2], part["fit"][1::2], part["held"]
    english, chinese = [target for _, target in held], [(target, source) for source, target in held]
    tried = {n: chrf(translate_back(paired, english, dictionary, n), chinese) for n in FEW}
    least = max(tried, key=lambda n: tried[n])
    english = [target for _, target in rest]
    made = translate_back(paired, english, dictionary, least)
    synthetic = list(zip(made, english, strict=True))
    return paired, synthetic, {"held": tried, "least": least, "first": synthetic[:5]}


def run_half(way: str, pairs: Part, updates: int, seed: int) -> dict[str, Any]:
    """Trains a network on some of the pairs, with as many updates whichever they are."""
    part, dictionary = parts()
    epochs = round(updates / -(-len(pairs) // BATCH_SIZE))
    begin = time.process_time()
    vocabulary, model = learn(pairs, part["held"], dictionary, HALF_LEAST, True, seed, epochs)
    width, penalty = SEARCHES[HALF_SEARCH]
    said = {n: translate(vocabulary, model, part[n], width, penalty) for n in ("held", "test")}
    result = {"way": way, "updates": updates, "seed": seed, "pairs": len(pairs), "epochs": epochs}
    result["cpu_seconds"] = round(time.process_time() - begin)
    result["held"] = chrf(said["held"], part["held"])
    print(result, flush=True)
    return result | {"test": said["test"]}


def measure(file: Path) -> None:
    """Does the runs that the file does not hold, and keeps each."""
    if "baselines" not in read_evidence(file):
        _keep(file, {"baselines": baselines()})
    for name in RUNS:
        if name not in read_evidence(file).get("runs", {}):
            found = run(name)
            _keep(file, {"runs": read_evidence(file).get("runs", {}) | {name: found}})
    paired, synthetic, made = half_translated()
    ways = {"half": paired, "half + made up": paired + synthetic, "all": parts()[0]["fit"]}
    for updates, seed, (way, pairs) in product(UPDATES, SEEDS, ways.items()):
        halves = read_evidence(file).get("halves", made | {"runs": {}})
        if (name := f"{way}, {updates} updates, seed {seed}") not in halves["runs"]:
            halves["runs"][name] = run_half(way, pairs, updates, seed)
            _keep(file, {"halves": halves})


def _keep(file: Path, found: dict[str, Any]) -> None:
    add_evidence(
        file, {"command": COMMAND, "versions": versions(), "epochs": EPOCHS}, found, indent=0
    )


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    measure(options.parse_args(arguments).file)


if __name__ == "__main__":
    main()
