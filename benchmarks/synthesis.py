"""Measures what is too slow for the page on synthesis; ``python -m benchmarks.synthesis``.

A small network learns to speak from eSpeak NG: it sees phonemes and how long each lasts, and gives
a log-mel spectrogram, which Griffin and Lim's method turns into sound. A second network learns how
long phonemes last. Learning rates are judged on held-back sentences after short runs. Then Whisper
hears forty everyday sentences spoken in several ways. After that the rates are judged once more, by
whole runs in a grid that goes on until the best does not lie at an edge, and both networks are
trained with three seeds. What Whisper wrote is kept in
``companion/data/measured/synthesis.json``. Parts that the file holds are not done again; delete it
to start over. It takes about half an hour of two cores.
"""

from __future__ import annotations

import argparse
import os
import time
from base64 import b64encode
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import speech
from benchmarks.runs import add_evidence, bracketed, read_evidence, versions

COMMAND = "python -m benchmarks.synthesis"
FILE = Path(__file__).parents[1] / "companion/data/measured/synthesis.json"
RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 80
FLOOR, SCALE = -6.0, 3.0  # of the logarithm of loudness; what a network sees is from 0 to about 2
LEARN, HELD, FRAMES, PHONEMES = 1000, 100, 200, 48
WIDTH, BATCH_SIZE, EPOCHS, FEW_EPOCHS = 96, 8, 12, 2
RATES = (0.001, 0.003, 0.01)
WHOLE_RATES = (0.003, 0.01, 0.03)  # of runs with all epochs
SEED, SEEDS = 0, range(3)
STRESS = "ˈˌ"  # main, secondary
STEPS = 60  # of Griffin and Lim's method
SHOWN = 3  # spectrograms that are kept, of the shortest sentences


def sentences() -> dict[str, list[str]]:
    """Returns short English sentences to learn from and to hold back; none is in the test."""
    from companion import data

    texts = sorted(set(data.load_translation_pairs().train.targets) - set(speech.SENTENCES))
    order = np.random.default_rng(0).permutation(len(texts))
    chosen = [texts[i] for i in order if texts[i].isascii()]
    return {"learn": chosen[HELD:], "held": chosen[:HELD]}


def spoken(texts: list[str]) -> list[dict[str, Any]]:
    """Returns what the teacher says: phonemes, their lengths in frames, and the spectrogram."""
    from companion import data, preprocessing

    rows = []
    for text, said in zip(texts, data.say_phonemes(texts), strict=True):
        mel = preprocessing.log_mel(said.sound, BANDS)
        edges = np.round(np.array([*said.starts, len(said.sound) / RATE]) * 100).astype(int)
        edges[0], edges[-1] = 0, len(mel)
        lengths = np.diff(np.minimum(edges, len(mel)))
        names = [name or ("?" if text.endswith("?") else ".") for name in said.phonemes]
        kept = [i for i, length in enumerate(lengths) if length]
        row = {"phonemes": [names[i] for i in kept], "lengths": [int(lengths[i]) for i in kept]}
        rows.append(row | {"mel": (np.maximum(mel, FLOOR) - FLOOR) / SCALE, "sound": said.sound})
    return rows


def alphabet(rows: list[dict[str, Any]]) -> list[str]:
    """Returns the phonemes without their stress."""
    return sorted({name.lstrip(STRESS) for row in rows for name in row["phonemes"]})


def encode(rows: list[dict[str, Any]], names: list[str]) -> tuple[Any, Any]:
    """Returns numbers of phonemes, from 1 on, and their stress, 0 to 2; zeros behind the end."""
    most = max(PHONEMES, *(len(row["phonemes"]) for row in rows))
    which, stress = np.zeros((2, len(rows), most), "int32")
    for i, row in enumerate(rows):
        for j, name in enumerate(row["phonemes"]):
            plain = name.lstrip(STRESS)
            which[i, j] = names.index(plain) + 1 if plain in names else 0
            stress[i, j] = STRESS.find(name[0]) + 1 if name != plain else 0
    return which, stress


def places(all_lengths: list[list[int]], frames: int) -> tuple[Any, Any]:
    """Returns for each frame its phoneme's number, and where it is in phoneme and sentence."""
    index = np.zeros((len(all_lengths), frames), "int32")
    where = np.zeros((len(all_lengths), frames, 5), "float32")
    for i, lengths in enumerate(all_lengths):
        total = sum(lengths)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        begin = np.repeat(np.cumsum([0, *lengths[:-1]]), lengths)
        time, length = np.arange(total) - begin, np.repeat(lengths, lengths)
        since, left = np.arange(total), total - np.arange(total)
        columns = [(time + 0.5) / length, time / 10, length / 10, since / 100, left / 100]
        index[i, :total] = owner
        where[i, :total] = np.minimum(np.transpose(columns), 2)
    return index, where


def build(num_names: int, width: int = WIDTH) -> Any:
    """Returns a network from phonemes and their places to a spectrogram."""
    import keras

    layers = keras.layers
    which, stress = (keras.Input((None,), dtype="int32") for _ in range(2))
    index = keras.Input((None,), dtype="int32")
    where = keras.Input((None, 5))
    x = layers.Embedding(num_names + 1, width)(which) + layers.Embedding(3, width)(stress)
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = x + layers.Conv1D(width, 5, padding="same", activation="gelu")(y)
    x = layers.Lambda(spread, output_shape=(None, width))([x, index])
    x = x + layers.Dense(width)(layers.Dense(width, "gelu")(where))
    for _ in range(3):
        y = layers.LayerNormalization()(x)
        x = x + layers.Conv1D(width, 5, padding="same", activation="gelu")(y)
    mel = layers.Dense(BANDS)(layers.LayerNormalization()(x))
    return keras.Model([which, stress, index, where], mel)


def spread(values: Any) -> Any:
    """Returns at each frame what was found for its phoneme."""
    import keras

    x, index = values
    return keras.ops.take_along_axis(x, index[..., None], axis=1)


def build_lengths(num_names: int, width: int = WIDTH // 2) -> Any:
    """Returns a network from phonemes to the logarithm of their lengths in frames."""
    import keras

    layers = keras.layers
    which, stress = (keras.Input((None,), dtype="int32") for _ in range(2))
    x = layers.Embedding(num_names + 1, width)(which) + layers.Embedding(3, width)(stress)
    for _ in range(2):
        y = layers.LayerNormalization()(x)
        x = x + layers.Conv1D(width, 5, padding="same", activation="gelu")(y)
    return keras.Model([which, stress], layers.Dense(1)(x))


def fit(model: Any, x: Any, y: Any, weight: Any, rate: float, epochs: int) -> Any:
    """Trains with a learning rate that rises for a while and then falls."""
    import keras

    steps = epochs * -(-len(y) // BATCH_SIZE)
    plan = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=rate, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.AdamW(plan, clipnorm=1.0), "mae", jit_compile=False)
    model.fit(x, y, sample_weight=weight, batch_size=BATCH_SIZE, epochs=epochs, verbose=2)
    return model


def decibels(mel: Any, other: Any) -> float:
    """Returns the mean distance of two spectrograms of the same length, in decibels."""
    return float(10 * SCALE * np.abs(mel - other).mean())


def draw(model: Any, rows: list[dict[str, Any]], names: list[str], lengths: Any = None) -> Any:
    """Returns the spectrograms that a network gives for phonemes of these lengths."""
    which, stress = encode(rows, names)
    lengths = lengths or [row["lengths"] for row in rows]  # the teacher's
    totals = [sum(row) for row in lengths]
    index, where = places(lengths, max(totals))
    found = model.predict([which, stress, index, where], batch_size=16, verbose=0)
    return [mel[:total] for mel, total in zip(found, totals, strict=True)]


def guess_lengths(model: Any, rows: list[dict[str, Any]], names: list[str]) -> list[list[int]]:
    """Returns how many frames each phoneme lasts, at least one."""
    found = np.exp(model.predict(list(encode(rows, names)), verbose=0)[..., 0])
    return [
        np.maximum(1, np.round(values[: len(row["phonemes"])])).astype(int).tolist()
        for values, row in zip(found, rows, strict=True)
    ]


def averages(rows: list[dict[str, Any]]) -> dict[str, tuple[Any, int]]:
    """Returns each phoneme's mean spectrum in its three thirds, and its median length."""
    kept: dict[str, list[tuple[Any, int]]] = {}
    for row in rows:
        ends = np.cumsum(row["lengths"])
        for name, end, length in zip(row["phonemes"], ends, row["lengths"], strict=True):
            kept.setdefault(name.lstrip(STRESS), []).append(
                (row["mel"][end - length : end], length)
            )
    return {
        name: (
            [
                np.concatenate([m[thirds(n) == third] for m, n in group]).mean(axis=0)
                if any((thirds(n) == third).any() for _, n in group)
                else np.concatenate([m for m, _ in group]).mean(axis=0)
                for third in range(3)
            ],
            int(np.median([n for _, n in group])),
        )
        for name, group in kept.items()
    }


def thirds(length: int) -> Any:
    """Returns 0, 1 or 2 for each frame of a phoneme."""
    return np.minimum(2, (np.arange(length) + 0.5) / length * 3).astype(int)


def look_up(
    table: dict[str, tuple[Any, int]], row: dict[str, Any], *, lengths: bool = False
) -> Any:
    """Returns the spectrogram of mean spectra; with `lengths`, of the teacher's lengths."""
    pieces = []
    for name, length in zip(row["phonemes"], row["lengths"], strict=True):
        spectra, median = table.get(name.lstrip(STRESS), table["."])
        pieces.append(np.array(spectra)[thirds(length if lengths else median)])
    return np.concatenate(pieces)


def to_magnitudes(mel: Any, steps: int = 50) -> Any:
    """Returns the strengths of frequencies, none below zero, whose bands are about those given."""
    from companion import preprocessing

    filters = preprocessing.mel_filters(BANDS)
    power = 10.0 ** (np.asarray(mel, np.float64) * SCALE + FLOOR)
    found = np.maximum(power @ np.linalg.pinv(filters).T, 1e-9)
    for _ in range(steps):
        found *= (power @ filters) / np.maximum(found @ filters.T @ filters, 1e-12)
    return np.sqrt(found)


def to_sound(frames: Any) -> Any:
    """Returns the sound of complex spectra that overlap."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    pieces = np.fft.irfft(frames, WINDOW) * hann
    sound, weight = np.zeros((2, HOP * (len(frames) - 1) + WINDOW))
    for i, piece in enumerate(pieces):
        sound[i * HOP : i * HOP + WINDOW] += piece
        weight[i * HOP : i * HOP + WINDOW] += hann**2
    return sound / np.maximum(weight, 1e-3)


def to_frames(sound: Any) -> Any:
    """Returns complex spectra of overlapping pieces."""
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    pieces = np.lib.stride_tricks.sliding_window_view(sound, WINDOW)[::HOP]
    return np.fft.rfft(pieces * hann)


def griffin_lim(magnitudes: Any, steps: int = STEPS, seed: int = 0) -> Any:
    """Returns a sound whose spectra are about as strong as those given."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, magnitudes.shape)
    frames = before = magnitudes * np.exp(1j * angles)
    for _ in range(steps):
        now = to_frames(to_sound(frames))
        ahead = now + 0.9 * (now - before)
        before, frames = now, magnitudes * np.exp(1j * np.angle(ahead))
    sound = to_sound(frames)[WINDOW // 2 :]
    return (sound / max(1.0, np.abs(sound).max())).astype("float32")


def padded(rows: list[dict[str, Any]], names: list[str]) -> tuple[Any, Any, Any, Any]:
    """Returns what the two networks learn from: inputs, spectrograms, frames and phonemes."""
    which, stress = encode(rows, names)
    index, where = places([row["lengths"] for row in rows], FRAMES)
    mel = np.zeros((len(rows), FRAMES, BANDS), "float32")
    real = np.zeros((len(rows), FRAMES), "float32")
    lengths = np.zeros(which.shape, "float32")
    for i, row in enumerate(rows):
        mel[i, : len(row["mel"])] = row["mel"]
        real[i, : len(row["mel"])] = 1
        lengths[i, : len(row["lengths"])] = row["lengths"]
    return (which, stress, index, where), mel, real, lengths


Trained = tuple[Any, float]  # a network and its distance from the teacher on sentences held back


def learner(
    rows: list[dict[str, Any]], held: list[dict[str, Any]]
) -> Callable[[str, float, int, int], Trained]:
    """Returns a function of kind, learning rate, epochs and seed that trains and scores."""
    import keras

    names = alphabet(rows)
    x, mel, real, lengths = padded(rows, names)
    logs, known = np.log(np.maximum(lengths, 1))[..., None], (lengths > 0).astype("float32")

    def train(kind: str, rate: float, epochs: int, seed: int) -> Trained:
        keras.utils.set_random_seed(seed)
        if kind == "mel":
            model = fit(build(len(names)), list(x), mel, real, rate, epochs)
            pairs = zip(draw(model, held, names), held, strict=True)
            score = float(np.mean([decibels(a, row["mel"]) for a, row in pairs]))
        else:
            model = fit(build_lengths(len(names)), list(x[:2]), logs, known, rate, epochs)
            pairs = zip(guess_lengths(model, held, names), held, strict=True)
            wrong = [np.abs(np.subtract(a, row["lengths"])) for a, row in pairs]
            score = 10 * float(np.concatenate(wrong).mean())  # ms
        print(kind, rate, epochs, seed, score, flush=True)
        return model, score

    return train


def learn(rows: list[dict[str, Any]], held: list[dict[str, Any]]) -> dict[str, Any]:
    """Chooses learning rates by short runs, then trains both networks; returns them and scores."""
    train = learner(rows, held)
    begin, networks, scores = time.process_time(), {}, {}
    for kind in ("lengths", "mel"):
        short = {str(rate): train(kind, rate, FEW_EPOCHS, SEED)[1] for rate in RATES}
        best = min(short, key=lambda rate: short[rate])
        networks[kind], score = train(kind, float(best), EPOCHS, SEED)
        count = networks[kind].count_params()
        scores[kind] = {"short": short, "best": best, "held": score, "parameters": count}
    spent = round(time.process_time() - begin)
    table, names = averages(rows), alphabet(rows)
    scores["table"] = score_table(table, held)
    seconds = round(sum(len(row["mel"]) for row in rows) / 100)
    size = {"sentences": len(rows), "seconds": seconds, "phonemes": len(names)}
    kept = {"held": scores, "learned": size, "training_cpu_seconds": spent}
    return {"names": names, "table": table, "kept": kept} | networks


def repeat(
    rows: list[dict[str, Any]], held: list[dict[str, Any]], test: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns the grids of learning rates after whole runs, and what is heard of each seed."""
    train = cache(learner(rows, held))
    grids: dict[str, Any] = {}
    rates: dict[str, float] = {}

    def near(kind: str, rate: float) -> float:
        return -train(kind, rate, EPOCHS, SEED)[1]

    for kind in ("lengths", "mel"):
        rates[kind], grid = bracketed(WHOLE_RATES, 3, partial(near, kind))
        grids[kind] = [(rate, -score) for rate, score in grid]
    names, found = alphabet(rows), []
    for seed in SEEDS:
        timing, ms = train("lengths", rates["lengths"], EPOCHS, seed)
        network, apart = train("mel", rates["mel"], EPOCHS, seed)
        drawn = draw(network, test, names)
        spoken_by = draw(network, test, names, guess_lengths(timing, test, names))
        said = hear(f"seed {seed}", [sound_of(mel) for mel in spoken_by])["said"]
        far = [decibels(mel, row["mel"]) for mel, row in zip(drawn, test, strict=True)]
        found.append({"held": {"mel": apart, "lengths": ms}, "decibels": far, "said": said})
    return {"grids": grids, "rates": rates, "seeds": found}


def score_table(table: dict[str, tuple[Any, int]], held: list[dict[str, Any]]) -> dict[str, float]:
    """Returns how far the table's spectra (dB) and lengths (ms) are from the teacher's."""
    plain = [decibels(look_up(table, row, lengths=True), row["mel"]) for row in held]
    off = [
        abs(table.get(name.lstrip(STRESS), table["."])[1] - length)
        for row in held
        for name, length in zip(row["phonemes"], row["lengths"], strict=True)
    ]
    return {"mel": float(np.mean(plain)), "lengths": 10 * float(np.mean(off))}


def cpu_seconds() -> float:
    """Returns what this process and those that it started have computed."""
    return sum(os.times()[:4])


def hear(name: str, sounds: list[Any], seconds: float | None = None) -> dict[str, Any]:
    """Returns what Whisper wrote of the sentences, and what speaking cost."""
    from companion import models

    recognizer = models.load_speech_recognizer()
    said = [recognizer.transcribe(sound)[0].text for sound in sounds]
    print(name, said[:3], flush=True)
    length = sum(map(len, sounds)) / RATE
    cost = None if seconds is None else round(seconds / length, 4)
    return {"said": said, "seconds": round(length, 2), "cpu_seconds_a_second": cost}


def timed(make: Callable[[], Any]) -> tuple[Any, float]:
    """Returns what a function gives, and its CPU seconds."""
    begin = cpu_seconds()
    return make(), cpu_seconds() - begin


def shortest() -> list[int]:
    """Returns the numbers of the shortest test sentences."""
    length = [len(text) for text in speech.SENTENCES]
    return [int(i) for i in np.argsort(length, kind="stable")[:SHOWN]]


def picture(mel: Any) -> dict[str, Any]:
    """Returns a spectrogram as a byte for each number."""
    levels = np.round(np.clip(mel, 0, 2.5) * 100).astype("uint8")
    return {"frames": len(levels), "bytes": b64encode(levels.tobytes()).decode()}


def measure(file: Path) -> None:
    """Does the parts that the file does not hold, and keeps each."""
    from companion import data, models

    _keep(file, {"sentences": list(speech.SENTENCES), "shown": shortest()})
    rows = spoken(speech.SENTENCES)

    def hears(name: str, make: Callable[[], Any], *, cost: bool = True) -> None:
        if name not in read_evidence(file).get("heard", {}):
            sounds, seconds = timed(make)
            found = hear(name, sounds, seconds if cost else None)
            _keep(file, {"heard": read_evidence(file).get("heard", {}) | {name: found}})

    if "held" not in read_evidence(file):
        net = learn(*lessons())
        _keep(file, net["kept"])

        def speak() -> Any:
            guessed = guess_lengths(net["lengths"], rows, net["names"])
            return [sound_of(mel) for mel in draw(net["mel"], rows, net["names"], guessed)]

        speak()  # the first call prepares the network
        hears("ours", speak)
        drawn = draw(net["mel"], rows, net["names"])
        test = [decibels(mel, row["mel"]) for mel, row in zip(drawn, rows, strict=True)]
        plain = [decibels(look_up(net["table"], row, lengths=True), row["mel"]) for row in rows]
        _keep(file, {"decibels": {"network": test, "table": plain}})
        _keep(file, {"spectrograms": [picture(drawn[i]) for i in shortest()]})
        hears("ours, teacher's lengths", lambda: [sound_of(mel) for mel in drawn], cost=False)
        table = [look_up(net["table"], row) for row in rows]
        hears("table", lambda: [sound_of(mel) for mel in table], cost=False)
    hears("teacher", lambda: data.say(speech.SENTENCES))
    hears("teacher's spectrogram", lambda: [sound_of(row["mel"]) for row in rows], cost=False)
    voice = models.load_voice()
    voice.say(["Hello."])
    hears("piper", lambda: voice.say(list(speech.SENTENCES)))
    if "repeated" not in read_evidence(file):
        _keep(file, {"repeated": repeat(*lessons(), rows)})


def lessons() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns what the teacher says to learn from, and what is held back."""
    texts = sentences()
    short = [row for row in spoken(texts["learn"][: 2 * LEARN]) if fits(row)][:LEARN]
    return short, spoken(texts["held"])


def fits(row: dict[str, Any]) -> bool:
    """Returns whether a sentence is short enough to learn from."""
    return len(row["mel"]) <= FRAMES and len(row["phonemes"]) <= PHONEMES


def sound_of(mel: Any) -> Any:
    """Returns the sound of a spectrogram."""
    return griffin_lim(to_magnitudes(mel))


def _keep(file: Path, found: dict[str, Any]) -> None:
    add_evidence(file, {"command": COMMAND, "versions": versions()}, found)


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    measure(options.parse_args(arguments).file)


if __name__ == "__main__":
    main()
