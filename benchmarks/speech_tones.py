"""The tones of real Mandarin syllables, for ``benchmarks.speech_real``.

The recordings are those of Debian's package ``gcin-voice``: two voices, about 1,200 syllables, each
said once. A folder's name is a syllable in Zhuyin and its tone; no digit is the first tone, and the
few syllables without a tone, which end in 1, are left out. A plain linear classifier learns the
tones of one voice from its spectrograms or from the course of its pitch, and hears other syllables
of the same voice and of the other one. All tones of a syllable are in the same part.
The settings of the pitch were chosen on held-back syllables, above all on those of the first voice,
after the scores of a first program, which did not hold the jumps down, were known.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

VOICES = ("3", "5")  # the names of the files
RATE, HOP, WINDOW = 16_000, 160, 640
PER_SEMITONE = 2
PITCHES = 70 * 2 ** (np.arange(34 * PER_SEMITONE + 1) / 12 / PER_SEMITONE)  # to about 500 Hz
LOUD = 0.1  # of the largest power
JUMP = 0.2  # the cost of a semitone from one piece to the next; of 0.1, 0.2, 0.3 and 0.5 the best
POINTS, BANDS = 24, 40
PENALTIES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0)  # C of the classifier
KINDS = ("spectrogram", "spectrogram, less the voice's mean", "pitch")


def syllable(name: str) -> tuple[str, int]:
    """Returns the syllable without its tone, and the tone; 0 is none."""
    tones = {"1": 0, "2": 2, "3": 3, "4": 4}
    return (name[:-1], tones[name[-1]]) if name[-1] in tones else (name, 1)


def recordings(folder: Path) -> list[dict[str, Any]]:
    """Returns all recordings with a tone, in an order that does not depend on the system."""
    from companion import data

    found = []
    for path in sorted(folder.glob("*/*.ogg"), key=lambda path: (path.parent.name, path.name)):
        base, tone = syllable(path.parent.name)
        if tone and path.stem in VOICES:
            sound = data.read_recording(path)
            found.append({"syllable": base, "tone": tone, "voice": path.stem, "sound": sound})
    return found


def pieces(sound: Any) -> tuple[Any, Any]:
    """Returns overlapping pieces of a sound, and the power of each beside the loudest."""
    padded = np.pad(sound, (WINDOW // 2, WINDOW))
    rows = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[: len(sound) : HOP]
    rows = rows - rows.mean(axis=1, keepdims=True)
    power = np.mean(rows**2, axis=1)
    return rows, power / power.max()


def echoes(rows: Any) -> Any:
    """Returns how alike each piece is to itself one period later, for each of the pitches."""
    hann = np.hanning(WINDOW)

    def autocorrelation(x: Any) -> Any:
        return np.fft.irfft(np.abs(np.fft.rfft(x, 2 * WINDOW)) ** 2)[..., :WINDOW]

    found = autocorrelation(rows * hann) / (autocorrelation(hann) / autocorrelation(hann)[0])
    found = found / np.maximum(found[:, :1], 1e-12)
    periods = RATE / PITCHES
    before = periods.astype(int)
    share = periods - before
    return (1 - share) * found[:, before] + share * found[:, before + 1]


def smoothest(scores: Any) -> Any:
    """Returns a place for each row: the largest sum of scores, less what the jumps cost."""
    steps = np.arange(scores.shape[1])
    cost = JUMP / PER_SEMITONE * np.abs(np.subtract.outer(steps, steps))
    best, back = scores[0], []
    for row in scores[1:]:
        sums = best[:, None] - cost
        back.append(sums.argmax(axis=0))
        best = sums.max(axis=0) + row
    places = [int(best.argmax())]
    for row in back[::-1]:
        places.append(int(row[places[-1]]))
    return np.array(places[::-1])


def stretched(rows: Any, there: Any) -> Any:
    """Returns `POINTS` rows from the first to the last that is there."""
    first, last = np.flatnonzero(there)[[0, -1]]
    places = np.linspace(first, last, POINTS)
    return np.stack([np.interp(places, np.arange(len(rows)), x) for x in rows.T], axis=1)


def contour(sound: Any) -> Any:
    """Returns the course of the pitch in semitones above 100 Hz, while the sound is loud."""
    rows, power = pieces(sound)
    scores = np.maximum(echoes(rows), 0) * np.minimum(power / 0.05, 1)[:, None]
    course = 12 * np.log2(PITCHES[smoothest(scores)] / 100)
    return stretched(course[:, None], power > LOUD)[:, 0]


def spectrogram(sound: Any) -> Any:
    """Returns a log-mel spectrogram relative to its loudest point, while the sound is loud."""
    from companion import preprocessing

    mel = preprocessing.log_mel(sound, BANDS)
    mel = np.maximum(mel - mel.max(), -8) / 4 + 1
    return stretched(mel, pieces(sound)[1][: len(mel)] > LOUD).ravel()


def part_of(syllables: list[str]) -> Any:
    """Returns 0 to learn from (three fifths), 1 held back or 2 to test, for each syllable."""
    names = sorted(set(syllables))
    order = np.random.default_rng(61).permutation(len(names))
    fifth = {names[place]: i * 5 // len(names) for i, place in enumerate(order)}
    return np.array([max(fifth[name] - 2, 0) for name in syllables])


def choose(x: Any, tones: Any, part: Any) -> tuple[Any, dict[str, float], float]:
    """Returns a classifier for the tones, the held-back accuracies and the chosen penalty."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    held: dict[str, float] = {}
    models = {}
    for penalty in PENALTIES:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=3000))
        models[penalty] = model.fit(x[part == 0], tones[part == 0])
        held[f"{penalty:g}"] = round(float(model.score(x[part == 1], tones[part == 1])), 4)
    best = max(PENALTIES, key=lambda penalty: held[f"{penalty:g}"])
    return models[best], held, best


def measure(folder: Path) -> dict[str, Any]:
    """Returns what the classifiers heard of the test, and the mean courses of the learned tones."""
    found = recordings(folder)
    tones = np.array([row["tone"] for row in found])
    voices = np.array([row["voice"] for row in found])
    part = part_of([row["syllable"] for row in found])
    contours = np.array([contour(row["sound"]) for row in found])
    mels = np.array([spectrogram(row["sound"]) for row in found])
    shifted = mels.copy()
    for voice in VOICES:  # needs recordings of the voice, but no tones
        shifted[voices == voice] -= mels[(voices == voice) & (part == 0)].mean(axis=0)
    features = dict(
        zip(KINDS, (mels, shifted, contours - contours.mean(axis=1, keepdims=True)), strict=True)
    )
    result: dict[str, Any] = {"parts": {}, "test": {}, "chosen": {}, "contours": {}}
    for voice in VOICES:
        mine = voices == voice
        result["parts"][voice] = np.bincount(part[mine], minlength=3).tolist()
        here = mine & (part == 2)
        names = [row["syllable"] for row, chosen in zip(found, here, strict=True) if chosen]
        result["test"][voice] = {"syllables": names, "tones": tones[here].tolist(), "heard": {}}
        result["contours"][voice] = {
            str(tone): np.median(contours[mine & (part == 0) & (tones == tone)], axis=0)
            .round(2)
            .tolist()
            for tone in range(1, 5)
        }
        learned = tones[mine & (part == 0)]
        result["chosen"][voice] = {"commonest": int(np.bincount(learned).argmax())}
    for kind, x in features.items():
        for learner in VOICES:
            mine = voices == learner
            model, held, best = choose(x[mine], tones[mine], part[mine])
            result["chosen"][learner][kind] = {"held": held, "best": best}
            for voice in VOICES:
                here = (voices == voice) & (part == 2)
                heard = model.predict(x[here])
                result["test"][voice]["heard"][f"{kind}, learned {learner}"] = heard.tolist()
                right = np.mean(heard == tones[here])
                print(f"{kind}, learned {learner}, heard {voice}: {right:.1%}", flush=True)
    return result
