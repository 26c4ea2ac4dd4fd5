"""What a command says when it fails, and the exit code that it ends with."""

from __future__ import annotations

import errno
import traceback
from collections.abc import Mapping
from pathlib import Path

from companion._common.checking import UsageError
from companion._common.extras import install_hint
from companion.cli.shared import note, with_options

__all__ = ["report"]

_PACKAGE = str(Path(__file__).parents[1])

_FULL = (errno.ENOSPC, errno.EDQUOT)

_TOO_LARGE = (
    "there is not enough memory for this: choose a smaller model, a shorter text or a smaller "
    "--batch-size."
)


def report(error: BaseException, options: Mapping[str, str], *, show_traceback: bool) -> int:
    """Says on stderr what went wrong, in one sentence where the cause is known.

    Args:
        error: What ended the command.
        options: Dictionary from the names of arguments to the command's options.
        show_traceback: Whether the traceback is wanted in any case.

    Returns:
        The exit code: 2 for a wrong use, 130 for an interruption, else 1.
    """
    if isinstance(error, KeyboardInterrupt):
        note(f"Interrupted. {error}".strip())
        return 130
    sentence = _sentence(error)
    if show_traceback or sentence is None:
        note("\n" + "".join(traceback.format_exception(error)).rstrip())
    if sentence is None:
        note("error: this is a fault of the program, not of your input; the lines above say where.")
        return 1
    note(f"error: {with_options(sentence, options)}")
    return 2 if isinstance(error, ValueError) else 1


def _sentence(error: BaseException) -> str | None:
    """Returns what to tell the user; None if nobody foresaw this."""
    if isinstance(error, UsageError) or _is_ours(error):
        return _with_advice(error)
    if isinstance(error, MemoryError) or _lacks_memory(error):
        return _TOO_LARGE
    if isinstance(error, OSError):
        return _with_advice(error)
    if isinstance(error, ImportError):
        return (
            f"a package cannot be loaded ({error}). Install it again: {install_hint('train')}; on "
            "Windows, TensorFlow also needs Microsoft's Visual C++ Redistributable."
        )
    if isinstance(error, OverflowError):
        return f"a number is too large to compute with ({error}): give a smaller one."
    return None


def _is_ours(error: BaseException) -> bool:
    """Returns whether the package itself refused, rather than met an error that it did not expect.

    Then the last line that ran is a `raise` of the package's own code.
    """
    if isinstance(error, (TypeError, LookupError, AssertionError, AttributeError)):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    last = frames[-1] if frames else None
    return bool(
        last and last.filename.startswith(_PACKAGE) and (last.line or "").startswith("raise ")
    )


def _lacks_memory(error: BaseException) -> bool:
    names = {kind.__name__ for kind in type(error).__mro__}
    is_xla = "XlaRuntimeError" in names or "InternalError" in names
    return "ResourceExhaustedError" in names or (is_xla and "RESOURCE_EXHAUSTED" in str(error))


def _with_advice(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        return f"{error}. Free some space, then run the same command again."
    return str(error)
