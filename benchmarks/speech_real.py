"""Real recordings for ``benchmarks.speech``: prompts of a telephone system, and its ten digits.

The recordings are those of Debian's package ``asterisk-core-sounds-en-wav``: one speaker, 8,000
samples a second. What is said stands in ``speech_prompts.yml``. Whisper hears the prompts, and each
fifth of them from the neural voice and eSpeak's voices, reduced to as many samples. The networks,
whose weights are not kept, are trained again as the benchmark trains them and hear digits. One goes
on learning over a telephone line first, see ``benchmarks.speech_telephone``. Where Debian's package
``gcin-voice`` lies beside the prompts, two real voices say Mandarin syllables, see
``benchmarks.speech_tones``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from benchmarks import speech, speech_telephone, speech_tones

PROMPTS = Path(__file__).with_name("speech_prompts.yml")
FOLDER = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
TELEPHONE = 8_000  # samples a second of the recordings
DIGITS, TRIPLES = 10, 40
EVERY = 5  # each fifth prompt is also spoken by the other speakers


def prompts() -> dict[str, str]:
    """Returns the words of each prompt, by the name of its file."""
    found: dict[str, str] = yaml.safe_load(PROMPTS.read_text("utf-8"))
    return found


def recording(folder: Path, name: str) -> Path:
    """Returns the path of a recording."""
    return folder / f"{name}.wav"


def syllables_beside(folder: Path) -> Path:
    """Returns where the Mandarin syllables lie if both packages are unpacked in one place."""
    return folder.parent.parent.parent / "gcin-voice/ogg"


def check(folder: Path) -> None:
    """Ends the program with what to do unless all recordings are there."""
    names = [*prompts(), *(f"digits/{digit}" for digit in range(DIGITS))]
    absent = [name for name in names if not recording(folder, name).is_file()]
    if absent:
        sys.exit(
            f"{folder} lacks {len(absent)} of {len(names)} recordings, such as {absent[0]}.wav. "
            "Install Debian's package asterisk-core-sounds-en-wav, or unpack it anywhere by "
            "dpkg-deb -x and name its folder usr/share/asterisk/sounds/en_US_f_Allison."
        )


def normal(text: str) -> list[str]:
    """Returns the words of a text in lower case, with digits as words."""
    text = re.sub(r"\d", lambda digit: f" {speech.WORDS[int(digit[0])]} ", text.lower())
    return re.findall(r"[a-z']+", text)


def as_on_the_telephone(sound: Any) -> Any:
    """Returns a sound without what 8,000 samples a second cannot hold."""
    from companion import data

    return data.resample(data.resample(sound, 16_000, TELEPHONE), TELEPHONE, 16_000)


def draws(seed: int, number: int) -> list[str]:
    """Returns so many of eSpeak's voices, in accents that the network has learned from."""
    rng, names = np.random.default_rng(seed), speech.voices()["test"]
    return [f"{rng.choice(speech.ACCENTS)}+{rng.choice(names)}" for _ in range(number)]


def whisper(folder: Path) -> dict[str, Any]:
    """Returns what Whisper wrote of the prompts, and of some of them from other speakers."""
    from companion import data, models

    recognizer, meant = models.load_speech_recognizer(), prompts()
    texts = list(meant.values())
    some = texts[::EVERY]
    found: dict[str, Any] = {"meant": meant, "every": EVERY, "said": {}, "no speech": {}}
    found |= {"words": {}, "wrong": {}}

    def add(kind: str, sounds: list[Any], spoken: list[str]) -> None:
        pieces = [recognizer.transcribe(sound)[0] for sound in sounds]  # each is one window long
        said = [piece.text for piece in pieces]
        pairs = [(normal(a), normal(b)) for a, b in zip(said, spoken, strict=True)]
        found["said"][kind] = said
        found["no speech"][kind] = [round(piece.no_speech, 2) for piece in pieces]
        found["wrong"][kind] = [speech.edits(a, b) for a, b in pairs]
        found["words"][kind] = [len(b) for _, b in pairs]
        rate = sum(found["wrong"][kind]) / sum(found["words"][kind])
        print(f"{kind}: {rate:.1%} of the words wrong", flush=True)

    add("real", [data.read_recording(recording(folder, name)) for name in meant], texts)
    add("real digits", digits(folder), speech.WORDS[:DIGITS])
    rules = data.say(some, draws(51, len(some)))
    add("eSpeak's voices", [as_on_the_telephone(sound) for sound in rules], some)
    neural = models.load_voice().say(some)
    add("neural voice", [as_on_the_telephone(sound) for sound in neural], some)
    return found


def digits(folder: Path) -> list[Any]:
    """Returns the ten real digits."""
    from companion import data

    return [data.read_recording(recording(folder, f"digits/{digit}")) for digit in range(DIGITS)]


def spoken_digits(folder: Path) -> dict[str, list[list[Any]]]:
    """Returns the ten digits of each speaker, by kind: all, then reduced as on the telephone."""
    from companion import data, models

    names = speech.WORDS[:DIGITS]
    held = [f"en-us+{name}" for name in speech.voices()["test"]]
    rules = [data.say(names, [voice] * DIGITS) for voice in held]
    neural = [models.load_voice().say(names)]

    def reduced(speakers: list[list[Any]]) -> list[list[Any]]:
        return [[as_on_the_telephone(sound) for sound in speaker] for speaker in speakers]

    found = {"eSpeak's voices, full band": rules, "eSpeak's voices": reduced(rules)}
    return found | {"neural voice": reduced(neural), "real": [digits(folder)]}


def triples() -> Any:
    """Returns three digits for each number that is joined from single recordings."""
    return np.random.default_rng(52).integers(DIGITS, size=(TRIPLES, 3))


def joined(speakers: list[list[Any]]) -> list[Any]:
    """Returns the numbers, joined as a telephone system does; the speakers take turns."""
    return [
        np.concatenate([speakers[i % len(speakers)][digit] for digit in row])
        for i, row in enumerate(triples())
    ]


def network(folder: Path, stored: dict[str, Any]) -> dict[str, Any]:
    """Returns what the small networks, trained again, wrote of single and joined digits.

    They should write what was stored of the test with new voices and new orders of words.
    """
    names, rate, spoken = speech.voices(), stored["best"]["ctc"], spoken_digits(folder)
    learned = speech.speak(11, speech.LEARN, names["learn"], 0)
    clean, words = speech.features(learned["sounds"]), speech.targets(learned["words"])
    test = speech.speak(15, speech.TEST, names["test"], 2)["sounds"]
    found: dict[str, Any] = {"triples": triples().tolist(), "single": {}, "joined": {}, "again": []}
    for seed in speech.SEEDS:
        model = speech.learn(lambda _: clean, words, speech.ctc, rate, seed)
        before = stored["runs"][f"ctc {rate} {seed}"]["said"]["both new"]
        now = speech.hear(model, test)
        found["again"].append(sum(a == b for a, b in zip(now, before, strict=True)) / len(now))
        for kind, speakers in spoken.items():
            single = [speech.hear(model, row) for row in speakers]
            found["single"].setdefault(kind, []).append(single)
            found["joined"].setdefault(kind, []).append(speech.hear(model, joined(speakers)))
            right = np.mean([[w == f"{i:x}" for i, w in enumerate(row)] for row in single])
            print(f"{seed} {kind}: {right:.0%} of the digits right", flush=True)
    return found


def measure(folder: Path, file: Path) -> None:
    """Does the parts that the file does not hold; nothing else in the file is changed."""
    from benchmarks.runs import add_evidence, read_evidence

    check(folder)
    stored = read_evidence(file)
    if "best" not in stored:
        sys.exit(f"{file} holds no trained networks yet; run {speech.COMMAND} first.")
    real = stored.get("real", {"command": f"{speech.COMMAND} --real"})

    def keep(name: str, found: dict[str, Any]) -> None:
        real[name] = found
        add_evidence(file, {}, {"real": real})

    parts: dict[str, Callable[[], dict[str, Any]]] = {
        "network": lambda: network(folder, stored),
        "whisper": lambda: whisper(folder),
    }
    syllables = syllables_beside(folder)
    if syllables.is_dir():
        parts["tones"] = lambda: speech_tones.measure(syllables)
    elif "tones" not in real:
        print(f"{syllables} is not there: without Debian's package gcin-voice no tones are heard.")
    for name, measured in parts.items():
        if name not in real:
            keep(name, measured())
    begun = real.get("telephone", {})
    speech_telephone.measure(folder, begun, lambda found: keep("telephone", found))
