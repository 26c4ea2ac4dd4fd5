"""What the commands share: what may reach a terminal, and how the next command is written."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import unicodedata
from collections.abc import Mapping
from pathlib import Path

__all__ = ["command_line", "note", "printable", "say", "shorten", "with_options"]

_STEERING = {*"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}  # turn the text's direction

_PARTS = 4096  # characters at once: most texts are short


def printable(text: str) -> str:
    r"""Returns a text without what could steer a terminal: control characters, and bidi overrides.

    Newlines, tabs, every kind of space and the joiners of other scripts stay.

    Args:
        text: String.

    Returns:
        String of the same length; what was taken away is U+FFFD.

    Example:

    >>> printable("a\tb\u3000c\x1b[2J") == "a\tb\u3000c\ufffd[2J"
    True
    """
    return "".join(map(_safe, text))


def _safe(character: str) -> str:
    if character in "\n\t":
        return character
    steers = unicodedata.category(character) in ("Cc", "Cs") or character in _STEERING
    return "\N{REPLACEMENT CHARACTER}" if steers else character


def shorten(text: str, width: int) -> str:
    """Returns the beginning of a text on one line, without tabs.

    Args:
        text: String.
        width: Integer. Most characters.

    Returns:
        String.

    Example:

    >>> shorten("Two  words, and more", 10)
    'Two words…'
    """
    beginning = text[: 8 * width + _PARTS]  # of a giant text only this is looked at
    line = " ".join(beginning.split())
    cut = len(line) > width or len(beginning) < len(text)
    return printable(line[: width - 1].rstrip() + "…" if cut else line)


def note(message: str) -> None:
    """Writes a message to stderr, if there is one.

    Args:
        message: String.
    """
    if sys.stderr is not None:
        print("companion:", printable(message), file=sys.stderr, flush=True)


def say(text: str) -> None:
    """Writes a result to stdout.

    Args:
        text: String.
    """
    print(printable(text))


def command_line(*words: str | Path) -> str:
    """Returns a command that can be pasted into a shell.

    Args:
        *words: Strings and paths; of a path, a leading hyphen is not taken for an option.

    Returns:
        String.

    Example:

    >>> command_line("companion", "evaluate", Path("my models/tea"))
    "companion evaluate 'my models/tea'"
    """
    plain = [_not_an_option(word) if isinstance(word, Path) else word for word in words]
    if os.name == "nt":
        return subprocess.list2cmdline(plain)
    return " ".join(map(_quoted, plain))


def _not_an_option(path: Path) -> str:
    return f"{os.curdir}{os.sep}{path}" if str(path).startswith("-") else str(path)


def _quoted(word: str) -> str:
    if printable(word) == word and "\n" not in word and "\t" not in word:
        return shlex.quote(word)
    # A name may hold bytes that are no text, or a newline: bash and zsh read them as octal numbers.
    plain = re.compile(rb"[\w@%+=:,./ -]", re.ASCII)
    parts = [bytes([b]) for b in os.fsencode(word)]
    return "$'" + "".join(b.decode() if plain.match(b) else f"\\{b[0]:03o}" for b in parts) + "'"


def with_options(message: str, options: Mapping[str, str]) -> str:
    """Returns a message of the package in the command's words: options for arguments.

    Args:
        message: String.
        options: Dictionary from the names of arguments to options.

    Returns:
        String.

    Example:

    >>> with_options("num_tokens=0 must be positive.", {"num_tokens": "--tokens"})
    '--tokens 0 must be positive.'
    """
    for name, option in options.items():
        message = re.sub(rf"(?<![-\w]){name}=(?=\S)", f"{option} ", message)
        if "_" in name:  # a single word may be meant as a word
            message = re.sub(rf"(?<![-\w]){name}\b", option, message)
    return message
