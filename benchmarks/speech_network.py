"""Keeps the weights of one network of ``benchmarks.speech``, which readers ask on the page.

It is the first of those that learned from clean recordings with CTC at the chosen rate, trained
again: ``python -m benchmarks.speech --network``. Its weights lie as 16-bit numbers, one array after
the other, in ``companion/data/measured/speech_network.json``. What it writes with them of the test
with new voices and new orders is compared with what was stored.
"""

from __future__ import annotations

from base64 import b64encode
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import speech
from benchmarks.runs import add_evidence, read_evidence, versions

FILE = speech.FILE.with_name("speech_network.json")


def packed(model: Any) -> str:
    """Returns a model's weights as 16-bit numbers in base64."""
    return b64encode(b"".join(w.astype("<f2").tobytes() for w in model.get_weights())).decode()


def measure(results: Path, file: Path = FILE) -> None:
    """Trains the network and keeps its weights, and how much of the test it writes as before."""
    stored = read_evidence(results)
    rate, seed = stored["best"]["ctc"], speech.SEEDS[0]
    learned = speech.speak(11, speech.LEARN, speech.voices()["learn"], 0)
    clean, words = speech.features(learned["sounds"]), speech.targets(learned["words"])
    model = speech.learn(lambda _: clean, words, speech.ctc, rate, seed)
    model.set_weights([w.astype("<f2").astype("float32") for w in model.get_weights()])
    test = speech.speak(15, speech.TEST, speech.voices()["test"], 2)
    now, before = speech.hear(model, test["sounds"]), stored["runs"][f"ctc {rate} {seed}"]["said"]
    again = np.mean([a == b for a, b in zip(now, before["both new"], strict=True)])
    found = {"words": speech.WORDS, "rate": rate, "seed": seed, "weights": packed(model)}
    found |= {"again": round(float(again), 4), "wrong": speech.rate_of(now, test)}
    print(f"as before: {again:.1%}, words wrong: {found['wrong']:.1%}", flush=True)
    start = {"command": f"{speech.COMMAND} --network", "versions": versions()}
    add_evidence(file, start, found)
