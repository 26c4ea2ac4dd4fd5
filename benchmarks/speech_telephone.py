"""What a telephone line costs the network of ``benchmarks.speech``, and what is soon regained.

The line keeps 300 to 3,400 Hz. The network whose weights are kept goes on learning from eight
hundred of its sentences for two passes: over the line, or as they are, which is the rival. Of four
rates, each has the one that was best on held-back voices and orders of words, heard over the line.
Then it hears over the line new voices in new orders, and the ten digits of eSpeak's test voices, of
the neural voice and of a real person. There is one network of each kind.
"""

from __future__ import annotations

import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import speech, speech_network
from benchmarks.runs import read_evidence

BAND = (300, 3_400)  # Hz
KINDS = ("line", "full band")
RATES = (0.0003, 0.001, 0.003, 0.01)
SENTENCES, PASSES = 800, 2


def on_the_line(sound: Any) -> Any:
    """Returns a sound, 16,000 samples a second, with only the tones that a line carries."""
    tones = np.fft.rfft(sound)
    pitch = np.fft.rfftfreq(len(sound), 1 / 16_000)
    tones[(pitch < BAND[0]) | (pitch > BAND[1])] = 0
    return np.fft.irfft(tones, len(sound)).astype("float32")


def examples(folder: Path) -> dict[str, Any]:
    """Returns the sentences to learn from, what was meant, and the spectrograms to be heard."""
    from benchmarks import speech_real

    names = speech.voices()
    held = speech.speak(12, speech.HELD, names["held"], 1)
    test = speech.speak(15, speech.TEST, names["test"], 2)
    single = speech_real.spoken_digits(folder)
    sounds = {"held": held["sounds"], "both new": test["sounds"]}
    for name in ("eSpeak's voices, full band", "neural voice", "real"):
        sounds[name] = [sound for row in single[name] for sound in row]
    tables = {n: speech.features([on_the_line(s) for s in row]) for n, row in sounds.items()}
    tables["real, as recorded"] = speech.features(single["real"][0])
    learned = speech.speak(11, speech.LEARN, names["learn"], 0)
    some = {key: values[:SENTENCES] for key, values in learned.items()}
    return {"learn": some, "held": held, "test": test, "tables": tables}


def kept() -> Any:
    """Returns the network whose weights are kept."""
    from companion import models

    model = models.build_speech_recognizer(
        len(speech.WORDS), frames=speech.FRAMES, num_bands=speech.BANDS, hidden_dim=speech.WIDTH
    )
    shapes = [array.shape for array in model.get_weights()]
    numbers = np.frombuffer(b64decode(read_evidence(speech_network.FILE)["weights"]), "<f2")
    cuts = np.cumsum([np.prod(shape) for shape in shapes])[:-1]
    parts = np.split(numbers.astype("float32"), cuts)
    model.set_weights([part.reshape(s) for part, s in zip(parts, shapes, strict=True)])
    return model


def train(kind: str, rate: float, heard: dict[str, Any]) -> dict[str, Any]:
    """Lets the kept network go on learning, unless the rate is zero, and returns what it wrote."""
    learned, model = heard["learn"], kept()
    begin = time.process_time()
    if rate:
        sounds = learned["sounds"]
        x = speech.features([on_the_line(s) for s in sounds] if kind == "line" else sounds)
        y, start = speech.targets(learned["words"]), model.get_weights()
        model = speech.learn(lambda _: x, y, speech.ctc, rate, 0, start=start, epochs=PASSES)
    result: dict[str, Any] = {"cpu_seconds": round(time.process_time() - begin)}
    said = {name: speech.read(model, table) for name, table in heard["tables"].items()}
    result["held"] = speech.rate_of(said.pop("held"), heard["held"])
    result["said"] = said
    meant = [f"{i:x}" for i in range(10)]
    right = {
        name: f"{np.mean([word == meant[i % 10] for i, word in enumerate(row)]):.0%}"
        for name, row in said.items()
        if name != "both new"
    }
    new = speech.rate_of(said["both new"], heard["test"])
    print(kind, rate, f"{result['held']:.1%} {new:.1%}", right, flush=True)
    return result


def measure(folder: Path, found: dict[str, Any], keep: Callable[[dict[str, Any]], None]) -> None:
    """Does the runs that `found` lacks, and calls `keep` with it after each and at the end."""
    heard: dict[str, Any] = {}
    found |= {"band": list(BAND), "rates": list(RATES)}
    runs = found.setdefault("runs", {})

    def run(kind: str, rate: float) -> dict[str, Any]:
        name = f"{kind} {rate}"
        if name not in runs:
            if not heard:
                heard.update(examples(folder))
            runs[name] = train(kind, rate, heard)
            keep(found)
        result: dict[str, Any] = runs[name]
        return result

    run("before", 0)
    held = {kind: {rate: run(kind, rate)["held"] for rate in RATES} for kind in KINDS}
    keep(found | {"best": {kind: min(RATES, key=held[kind].__getitem__) for kind in KINDS}})
