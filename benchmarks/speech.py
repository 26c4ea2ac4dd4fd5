"""Measures what is too slow for the page on speech; ``python -m benchmarks.speech``.

Small networks learn sixteen words from synthetic voices, with CTC and, as the plainest rival, with
words spread evenly over each recording. Learning rates are judged on voices and orders of words
that are held back. Each network then hears new voices, new orders of words, another accent, another
synthesiser and two kinds of noise. Whisper hears the same, everyday sentences, noise and silence.
What they wrote is kept in ``companion/data/measured/speech.json``. Parts that the file holds are
not done again; delete it to start over. It takes about half an hour of two cores.
With ``--real FOLDER`` only real recordings are heard, see ``benchmarks.speech_real``; with
``--network`` only the weights of one network are made, see ``benchmarks.speech_network``.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runs import add_evidence, read_evidence, versions

COMMAND = "python -m benchmarks.speech"
FILE = Path(__file__).parents[1] / "companion/data/measured/speech.json"
_LINE = "zero one two three four five six seven eight nine yes no agent refund order cancel"
WORDS = _LINE.split()
ACCENTS = ("en-us", "en", "en-029", "en-us-nyc")
SCOTTISH = ("en-gb-scotland",)
VOICES, HELD_VOICES = 60, 15  # to learn from, held back; the others are for the test
LONGEST, BANDS, FRAMES = 5, 40, 320
LEARN, HELD, TEST, OTHER, HEARD = 1600, 200, 300, 100, 100
WIDTH, BATCH_SIZE, EPOCHS = 64, 32, 10
RATES = (0.001, 0.003, 0.01, 0.03)
SEEDS = (0, 1, 2)
LEVELS = (20, 10, 5, 0, -5)  # dB of the speech above the noise
KINDS = ("hiss", "babble")

# Written for this course: what callers might say, without numbers, which can be spelled twice.
SENTENCES = """\
I would like to cancel my order.
Where is my parcel?
The machine makes a strange noise when I turn it on.
Can you send the invoice to my new address?
I was charged twice for the same coffee.
Please connect me with a person.
My password does not work any more.
How long does the delivery take?
The box was open and a cup was broken.
I want to change the date of my appointment.
Do you have this jacket in blue?
The app closes when I open the camera.
I never received the confirmation email.
Is the shop in the city open on Sunday?
Could you repeat that more slowly?
I am calling about the letter you sent last week.
The heating stopped working this morning.
My daughter needs a ticket for the early train.
What happens if I return it without the box?
I moved house and forgot to tell you.
The contract says that I can leave at any time.
Nobody called me back yesterday.
Does the guarantee cover water damage?
I would rather pay by bank transfer.
Your colleague promised me a discount.
The colour is not the one I chose.
Can I speak to the manager?
There is a mistake in my name.
I need the battery and not the charger.
Thank you, that was very helpful.
The website does not accept my card.
Please remove my number from your list.
We waited for the driver all afternoon.
How do I reset the router?
I want to know why the price went up.
The medicine has to arrive before the weekend.
Can someone translate this for my mother?
I would like to book a room with a quiet window.
The screen stays black after the update.
Could you tell me when the next bus leaves?
""".splitlines()


def pairs() -> Any:
    """Returns which pairs of words stand next to each other in which part: 0, 1 and 2."""
    order = np.random.default_rng(1).permutation(len(WORDS) ** 2)
    part = np.repeat([0, 1, 2], [len(order) // 2, len(order) // 4, len(order) // 4])
    return part[np.argsort(order, kind="stable")].reshape(len(WORDS), len(WORDS))


def sentence(rng: Any, allowed: Any) -> list[int]:
    """Returns three to five words of which all neighbours are allowed pairs."""
    length = rng.integers(3, LONGEST + 1)
    while True:
        words = [int(rng.integers(len(WORDS)))]
        while len(words) < length and allowed[words[-1]].any():
            words.append(int(rng.choice(np.flatnonzero(allowed[words[-1]]))))
        if len(words) == length:
            return words


def voices() -> dict[str, list[str]]:
    """Returns the names of the voices to learn from, held back and to test."""
    from companion import data

    names = [str(name) for name in np.random.default_rng(2).permutation(data.list_voices())]
    cuts = (VOICES, VOICES + HELD_VOICES)
    return {"learn": names[: cuts[0]], "held": names[cuts[0] : cuts[1]], "test": names[cuts[1] :]}


def speak(
    seed: int, number: int, names: list[str], part: int, accents: tuple[str, ...] = ACCENTS
) -> dict[str, Any]:
    """Returns spoken sentences: sounds, words and voices."""
    from companion import data

    rng, allowed = np.random.default_rng(seed), pairs() == part
    words = [sentence(rng, allowed) for _ in range(number)]
    chosen = [str(rng.choice(names)) for _ in range(number)]
    sounds = data.say(
        [" ".join(WORDS[i] for i in row) for row in words],
        [f"{rng.choice(accents)}+{name}" for name in chosen],
        words_per_minute=rng.integers(130, 221, number).tolist(),
        pitch=rng.integers(30, 71, number).tolist(),
    )
    return {"sounds": sounds, "words": words, "voices": chosen}


def other_synthesiser() -> dict[str, Any]:
    """Returns sentences of unseen orders, spoken by a neural voice."""
    from companion import models

    rng, allowed = np.random.default_rng(9), pairs() == 2
    words = [sentence(rng, allowed) for _ in range(OTHER)]
    sounds = models.load_voice().say([" ".join(WORDS[i] for i in row) for row in words])
    return {"sounds": sounds, "words": words, "voices": ["joe"] * OTHER}


def parts() -> dict[str, dict[str, Any]]:
    """Returns all that is spoken."""
    name = voices()
    return {
        "learn": speak(11, LEARN, name["learn"], 0),
        "held": speak(12, HELD, name["held"], 1),
        "new voices": speak(13, TEST, name["test"], 0),
        "new orders": speak(14, TEST, name["learn"], 2),
        "both new": speak(15, TEST, name["test"], 2),
        "accent": speak(16, TEST, name["test"], 2, SCOTTISH),
        "other synthesiser": other_synthesiser(),
    }


def hiss(rng: Any, length: int, _: Any) -> Any:
    """Returns white noise."""
    return rng.normal(size=length)


def babble(rng: Any, length: int, sounds: list[Any]) -> Any:
    """Returns six voices that speak at once."""
    noise = np.zeros(length)
    for i in rng.choice(len(sounds), 6, replace=False):
        sound = np.tile(sounds[i], -(-length // len(sounds[i])) + 1)
        begin = rng.integers(len(sounds[i]))
        noise += sound[begin : begin + length] / sound.std()
    return noise


def mixed(sound: Any, noise: Any, level: float) -> Any:
    """Returns the sound with noise whose power is `level` dB below the sound's."""
    factor = np.sqrt(np.mean(sound**2) / np.mean(noise**2)) * 10 ** (-level / 20)
    both = sound + factor * noise
    return (both / max(1.0, np.abs(both).max())).astype("float32")


def noisy(sounds: list[Any], kind: str, level: float, seed: int, others: list[Any]) -> list[Any]:
    """Returns the sounds with one kind of noise."""
    rng, make = np.random.default_rng(seed), {"hiss": hiss, "babble": babble}[kind]
    return [mixed(sound, make(rng, len(sound), others), level) for sound in sounds]


def features(sounds: list[Any]) -> Any:
    """Returns log-mel spectrograms relative to the loudest point, padded with silence."""
    from companion import preprocessing

    table = np.full((len(sounds), FRAMES, BANDS), -1, "float32")
    for i, sound in enumerate(sounds):
        mel = preprocessing.log_mel(sound, BANDS)[:FRAMES]
        table[i, : len(mel)] = np.maximum(mel - mel.max(), -8) / 4 + 1
    return table


def targets(words: list[list[int]]) -> Any:
    """Returns the words' numbers, from 1 on, with zeros behind them."""
    table = np.zeros((len(words), LONGEST), "int32")
    for i, row in enumerate(words):
        table[i, : len(row)] = np.add(row, 1)
    return table


def spread(part: dict[str, Any]) -> Any:
    """Returns a word for each step, as if each letter took as long; 0 behind the end."""
    table = np.zeros((len(part["words"]), FRAMES // 4), "int32")
    for row, words, sound in zip(table, part["words"], part["sounds"], strict=True):
        end = min(len(row), round(len(sound) / 16_000 * 25))
        ends = np.cumsum([len(WORDS[i]) for i in words])
        edges = np.round(np.concatenate([[0], ends]) / ends[-1] * end).astype(int)
        for word, low, high in zip(words, edges[:-1], edges[1:], strict=True):
            row[low:high] = word + 1
    return table


def ctc(words: Any, scores: Any) -> Any:
    """Returns the CTC loss of each recording; the same as Keras's, in a faster form."""
    import tensorflow as tf

    words = tf.cast(words, "int32")
    place = tf.where(words > 0)
    shape = tf.cast(tf.shape(words), "int64")
    rows = tf.SparseTensor(place, tf.gather_nd(words, place), shape)
    lengths = tf.fill([tf.shape(scores)[0]], tf.shape(scores)[1])
    return tf.nn.ctc_loss(rows, scores, None, lengths, logits_time_major=False, blank_index=0)


def learn(
    x: Any, y: Any, loss: Any, rate: float, seed: int, *, start: Any = None, epochs: int = EPOCHS
) -> Any:
    """Returns a trained network; `x` is a function of the pass, `start` the weights to begin at."""
    import keras

    from companion import models

    keras.utils.set_random_seed(seed)
    model = models.build_speech_recognizer(
        len(WORDS), frames=FRAMES, num_bands=BANDS, hidden_dim=WIDTH
    )
    if start is not None:
        model.set_weights(start)
    steps = epochs * -(-len(y) // BATCH_SIZE)
    plan = keras.optimizers.schedules.CosineDecay(
        0.0, steps, warmup_target=rate, warmup_steps=steps // 10
    )
    optimizer = keras.optimizers.AdamW(plan, weight_decay=0.01, clipnorm=1.0)
    model.compile(optimizer, loss, jit_compile=False)
    for epoch in range(epochs):
        history = model.fit(x(epoch), y, batch_size=BATCH_SIZE, epochs=1, verbose=0)
        print(f"{history.history['loss'][0]:.2f}", end=" ", flush=True)
    return model


def collapse(steps: Any) -> list[int]:
    """Returns the words of the steps: repeats joined, then blanks left out."""
    kept = steps[np.concatenate([[True], steps[1:] != steps[:-1]])]
    return [int(i) - 1 for i in kept if i]


def vote(steps: Any, width: int = 5) -> Any:
    """Returns at each step the commonest word of its neighbourhood."""
    padded = np.pad(steps, width // 2)
    around = np.lib.stride_tricks.sliding_window_view(padded, width)
    return np.array([np.bincount(row).argmax() for row in around])


def hear(model: Any, sounds: list[Any], *, smooth: bool = False) -> list[str]:
    """Returns what a network wrote: a hexadecimal digit for each word."""
    return read(model, features(sounds), smooth=smooth)


def read(model: Any, table: Any, *, smooth: bool = False) -> list[str]:
    """Returns what a network wrote of spectrograms."""
    steps = model.predict(table, batch_size=64, verbose=0).argmax(axis=-1)
    rows = [collapse(vote(row) if smooth else row) for row in steps]
    return ["".join(f"{i:x}" for i in row) for row in rows]


def edits(one: Any, other: Any) -> int:
    """Returns how many words to put in, take out or replace."""
    row = list(range(len(other) + 1))
    for i, word in enumerate(one, 1):
        before, row = row, [i]
        for j, meant in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (word != meant)))
    return row[-1]


def meant(part: dict[str, Any]) -> list[str]:
    """Returns the words that were said, a hexadecimal digit for each."""
    return ["".join(f"{i:x}" for i in row) for row in part["words"]]


def rate_of(said: list[str], part: dict[str, Any]) -> float:
    """Returns the word error rate."""
    wanted = meant(part)
    wrong = sum(edits(a, b) for a, b in zip(said, wanted, strict=True))
    return wrong / sum(map(len, wanted))


def train(kind: str, rate: float, seed: int, part: dict[str, Any]) -> dict[str, Any]:
    """Trains one network and returns what it wrote of every part."""
    import keras

    clean = features(part["learn"]["sounds"])
    others = part["learn"]["sounds"]

    def with_noise(epoch: int) -> Any:
        rng = np.random.default_rng([seed, epoch])
        sounds = [
            mixed(sound, hiss(rng, len(sound), None), rng.uniform(-5, 30))
            if rng.random() < 0.7
            else sound
            for sound in others
        ]
        return features(sounds)

    even = kind == "even"
    y = spread(part["learn"]) if even else targets(part["learn"]["words"])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True) if even else ctc
    x = with_noise if kind == "ctc noise" else lambda epoch: clean
    begin = time.process_time()
    model = learn(x, y, loss, rate, seed)
    result: dict[str, Any] = {"kind": kind, "rate": rate, "seed": seed}
    result |= {"parameters": model.count_params()}
    result["cpu_seconds"] = round(time.process_time() - begin)
    heard = {name: hear(model, p["sounds"], smooth=even) for name, p in part.items()}
    del heard["learn"]
    result["held"] = rate_of(heard["held"], part["held"])
    result["said"] = heard
    scores = {name: round(rate_of(said, part[name]), 3) for name, said in heard.items()}
    print(kind, rate, seed, scores, flush=True)
    if seed == SEEDS[0] and not even:
        result["noise"] = {
            f"{sort} {level}": hear(
                model, noisy(part["both new"]["sounds"], sort, level, 21, others)
            )
            for sort in KINDS
            for level in LEVELS
        }
        first = features(part["both new"]["sounds"][:4])
        chances = keras.ops.softmax(model.predict(first, verbose=0)).numpy()
        result["chances"] = np.round(100 * chances).astype(int).tolist()
    return result


def whisper(part: dict[str, Any]) -> dict[str, Any]:
    """Returns what Whisper wrote of all that is spoken, and of noise and silence."""
    from companion import data, models

    recognizer = models.load_speech_recognizer()

    def write(sounds: list[Any]) -> list[str]:
        return [recognizer.transcribe(sound)[0].text for sound in sounds]

    names = voices()["test"]
    rng = np.random.default_rng(31)
    speakers = [str(rng.choice(names)) for _ in SENTENCES]
    spoken = data.say(SENTENCES, [f"{rng.choice(ACCENTS)}+{name}" for name in speakers])
    others = part["learn"]["sounds"]
    few = {name: part[name]["sounds"][:HEARD] for name in ("both new", "other synthesiser")}
    sounds = {
        "words": few["both new"],
        "words, other synthesiser": few["other synthesiser"],
        "words, hiss 5": noisy(few["both new"], "hiss", 5, 22, others),
        "sentences": spoken,
        "sentences, other synthesiser": models.load_voice().say(list(SENTENCES)),
    }
    for kind in KINDS:
        for level in LEVELS:
            sounds[f"sentences, {kind} {level}"] = noisy(spoken, kind, level, 23, others)
    found: dict[str, Any] = {"speakers": speakers, "sentences": SENTENCES, "said": {}}
    for name, group in sounds.items():
        found["said"][name] = write(group)
        print(name, found["said"][name][:2], flush=True)
    found["nothing"] = nothing(recognizer, others)
    return found


def nothing(recognizer: Any, others: list[Any]) -> dict[str, list[list[Any]]]:
    """Returns what Whisper wrote where nobody says anything to it, with its doubt."""
    found = {}
    for kind in ("silence", *KINDS):
        rng, rows = np.random.default_rng(41), []
        for seconds in range(1, 21):
            length = 16_000 * seconds
            if kind == "silence":
                sound = np.zeros(length)
            else:
                sound = {"hiss": hiss, "babble": babble}[kind](rng, length, others)
            piece = recognizer.transcribe(0.1 * sound / max(1.0, np.abs(sound).max()))[0]
            doubt = [round(piece.no_speech, 2), round(piece.log_probability, 2)]
            rows.append([seconds, piece.text, *doubt])
        found[kind] = rows
        print(kind, rows[:4], flush=True)
    return found


def measure(file: Path) -> None:
    """Does the parts that the file does not hold, and keeps each."""
    part = parts()
    tests = ("held", "new voices", "new orders", "both new", "accent", "other synthesiser")
    _keep(file, {"words": WORDS, "levels": LEVELS, "epochs": EPOCHS})
    _keep(file, {"meant": {name: meant(part[name]) for name in tests}})
    _keep(file, {"voices": {name: part[name]["voices"] for name in tests}})

    def run(kind: str, rate: float, seed: int) -> dict[str, Any]:
        name = f"{kind} {rate} {seed}"
        if name not in read_evidence(file).get("runs", {}):
            found = train(kind, rate, seed, part)
            _keep(file, {"runs": read_evidence(file).get("runs", {}) | {name: found}})
        result: dict[str, Any] = read_evidence(file)["runs"][name]
        return result

    best = {
        kind: min(RATES, key=lambda rate: run(kind, rate, SEEDS[0])["held"])
        for kind in ("ctc", "even")
    }
    _keep(file, {"best": best})
    if "whisper" not in read_evidence(file):
        _keep(file, {"whisper": whisper(part)})
    run("ctc noise", best["ctc"], SEEDS[0])
    for seed in SEEDS:
        run("ctc", best["ctc"], seed)
    for seed in SEEDS[:2]:  # the rival differs less from seed to seed
        run("even", best["even"], seed)


def _keep(file: Path, found: dict[str, Any]) -> None:
    add_evidence(file, {"command": COMMAND, "versions": versions()}, found)


def main(arguments: list[str] | None = None) -> None:
    """Measures and keeps the results."""
    from benchmarks import speech_network, speech_real

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("file", nargs="?", type=Path, default=FILE)
    options.add_argument("--real", type=Path, metavar="FOLDER", nargs="?", const=speech_real.FOLDER)
    options.add_argument("--network", action="store_true", help="keep the weights of one network")
    chosen = options.parse_args(arguments)
    if chosen.network:
        speech_network.measure(chosen.file)
    elif chosen.real:
        speech_real.measure(chosen.real, chosen.file)
    else:
        measure(chosen.file)


if __name__ == "__main__":
    main()
