"""Speaks what it reads, and ends; started by `companion.data.voices` as a process of its own.

Reads a JSON list of `[text, voice, words a minute, pitch]`, and writes a line of JSON with the rate
and the number of samples of each sound, then the samples as 16-bit integers. With the argument
`phonemes` it writes a JSON list of what would be said, in the letters of the phonetic alphabet.
With `timed` the line of JSON ends with a list for each sound: each phoneme and its first sample.
"""

from __future__ import annotations

import ctypes
import json
import sys
from importlib import import_module

__all__ = ["main"]

_WORDS_PER_MINUTE, _PITCH = 1, 3  # the library's numbers of its parameters
_RETRIEVAL, _CHARACTERS, _UTF8, _IPA = 1, 1, 1, 2  # sound to the caller; forms of text
_TIMED = 1 | 2  # events for phonemes, named in the phonetic alphabet
_LAST, _PHONEME = 0, 7  # kinds of events


class _Event(ctypes.Structure):
    _fields_ = (
        ("kind", ctypes.c_int),
        ("identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("milliseconds", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


def main(arguments: list[str]) -> int:
    """Speaks; returns 2 if a voice is unknown."""
    espeakng_loader = import_module("espeakng_loader")
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    data = espeakng_loader.get_data_path().encode()
    timed = arguments == ["timed"]
    rate = library.espeak_Initialize(_RETRIEVAL, 0, data, _TIMED if timed else 0)
    if rate <= 0:
        print("the library finds no data", file=sys.stderr)
        return 1
    lines = json.load(sys.stdin)
    for _, voice, *_ in lines:
        if library.espeak_SetVoiceByName(voice.encode()):
            print(f"there is no voice or language {voice!r}", file=sys.stderr)
            return 2
    if arguments == ["phonemes"]:
        print(json.dumps([_phonemes(library, text, voice) for text, voice, *_ in lines]))
        return 0
    return _speak(library, rate, lines, timed=timed)


def _phonemes(library: ctypes.CDLL, text: str, voice: str) -> str:
    library.espeak_SetVoiceByName(voice.encode())
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    rest, clauses = ctypes.c_char_p(text.encode()), []
    while rest.value:
        clauses.append(library.espeak_TextToPhonemes(ctypes.byref(rest), _UTF8, _IPA).decode())
    return " ".join(clauses)


def _speak(
    library: ctypes.CDLL, rate: int, lines: list[tuple[str, str, int, int]], *, timed: bool
) -> int:
    pieces: list[bytes] = []
    phonemes: list[tuple[str, int]] = []

    @ctypes.CFUNCTYPE(
        ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
    )
    def keep(samples, number, events):  # type: ignore[no-untyped-def]
        if samples and number > 0:
            pieces.append(ctypes.string_at(samples, 2 * number))
        i = 0
        while timed and events[i].kind != _LAST:
            if events[i].kind == _PHONEME:
                name = events[i].name.decode(errors="ignore")  # cut off at eight bytes
                phonemes.append((name, events[i].sample))
            i += 1
        return 0

    library.espeak_SetSynthCallback(keep)
    lengths, sound, times = [], [], []
    for text, voice, words_per_minute, pitch in lines:
        library.espeak_SetVoiceByName(voice.encode())
        library.espeak_SetParameter(_WORDS_PER_MINUTE, words_per_minute, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        content = text.encode()
        size = ctypes.c_size_t(len(content) + 1)
        pieces.clear()
        phonemes.clear()
        library.espeak_Synth(content, size, 0, _CHARACTERS, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        sound.append(b"".join(pieces))
        lengths.append(len(sound[-1]) // 2)
        times.append(list(phonemes))
    head = [rate, *lengths, *([times] if timed else [])]
    sys.stdout.buffer.write(json.dumps(head).encode() + b"\n")
    sys.stdout.buffer.write(b"".join(sound))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
