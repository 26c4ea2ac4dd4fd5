"""The folder that holds a trained model, of whatever task: written whole or not at all.

A folder has one `config.json` and the files that it names. The name of a file holds a part of the
hash of its content, so the files of a new model stand beside those of the old one until
`config.json`, which is replaced last and at once, names the new ones.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from companion._common.checking import UsageError
from companion._common.files import hold_lock, remove_leftovers, write_atomically

__all__ = [
    "SavedModel",
    "holds_model",
    "read_folder",
    "refusing",
    "remove_model",
    "restore_weights",
    "weights_of",
    "write_folder",
]


Arrays = dict[str, np.ndarray]

_FORMAT = "companion-1"

_CONFIG, _WEIGHTS = "config.json", "weights.safetensors"

# What a stranger's folder may make us read: bytes of config.json, bytes of another file, numbers in
# all weights together (2 GiB of float32).
_MOST_CONFIG, _MOST_FILE, _MOST_NUMBERS = 2**20, 2**28, 2**29

_KINDS = {
    "text-classifier": (
        "text classifier",
        "Train it with TextClassifier.fit and save it, or use the command companion train.",
    ),
    "language-model": (
        "language model",
        "Train it with LanguageModel.fit and save it, or use the command companion train-gpt.",
    ),
    "image-classifier": (
        "image classifier",
        "Train it with ImageClassifier.fit and save it.",
    ),
    "face-verifier": (
        "face verifier",
        "Choose its threshold with FaceVerifier.fit and save it.",
    ),
    "speech-recognizer": (
        "speech recogniser",
        "Train it with SpeechRecognizer('ctc').fit and save it.",
    ),
    "onnx-classifier": (
        "exported classifier",
        "Export it with companion.serving.export_onnx, or with the command companion export.",
    ),
}


@dataclass(frozen=True)
class SavedModel:
    """What a folder holds: settings as JSON keeps them, weights, and other files' bytes."""

    settings: dict[str, Any]
    arrays: Arrays
    files: dict[str, bytes]


def write_folder(
    path: Path,
    kind: str,
    settings: Mapping[str, Any],
    *,
    arrays: Arrays | None = None,
    files: Mapping[str, bytes] | None = None,
) -> None:
    """Writes a model so that a kill or a full disk leaves the old one or the new one whole.

    Another process that writes at the same time is told to wait.

    Args:
        path: Path of the folder; created if needed. A model of the same kind is replaced.
        kind: `"text-classifier"`, `"language-model"` or `"onnx-classifier"`.
        settings: Dictionary of what JSON can hold.
        arrays: Dictionary of arrays that become `weights.safetensors`, or `None`.
        files: Dictionary from names such as `"vocabulary.json"` to bytes, or `None`.

    Raises:
        UsageError: If the folder holds something else, which is left as it is, or the weights hold
            nan or infinity, or another process is writing there.
        OSError: If the folder cannot be written.

    Example:

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp(), "model")
    >>> write_folder(folder, "language-model", {"steps": 3}, arrays={"w": np.ones(2)})
    >>> saved = read_folder(folder, "language-model", count=lambda settings: 2)
    >>> saved.settings["steps"], saved.arrays["w"]
    (3, array([1., 1.]))
    """
    contents = dict(files or {})
    if arrays is not None:
        contents[_WEIGHTS] = _pack(arrays)
    entries = {name: _entry(name, content) for name, content in contents.items()}
    config = {"format": _FORMAT, "kind": kind, "settings": dict(settings), "files": entries}
    text = json.dumps(config, indent=1, allow_nan=False, default=lambda value: value.item())
    if kind not in _KINDS or len(text) > _MOST_CONFIG:
        raise UsageError(f"{kind!r} with {len(text):,} bytes of settings is no model to save.")
    with _locked(path):
        holds_model(path, kind)
        old = _named(path)
        try:
            for name, content in contents.items():
                write_atomically(path / entries[name]["file"], content)
            write_atomically(path / _CONFIG, text.encode())
        except BaseException:
            if _named(path) == old:  # the new files then take the room of a full disk
                _tidy(path, [*old, *entries], keep=old)
            raise
        _tidy(path, [*old, *entries], keep=entries)


def read_folder(
    path: Path,
    kind: str,
    *,
    files: Iterable[str] = (),
    count: Callable[[dict[str, Any]], int] | None = None,
) -> SavedModel:
    """Reads what `write_folder` wrote, as one model even while another process replaces it.

    Nothing in the folder can run code, and nothing is taken into memory before its size was
    compared with what the settings ask for.

    Args:
        path: Path of the folder.
        kind: As given to `write_folder`.
        files: Names of the other files that a model of this kind has.
        count: Function of the settings that refuses impossible ones with a `ValueError` and returns
            how many numbers the weights have in all; `None` for a kind without weights.

    Returns:
        A `SavedModel`.

    Raises:
        UsageError: If a file is missing, damaged or of another model; one sentence says which, the
            next how to make such a folder.

    Example:

    >>> read_folder(Path("nowhere"), "language-model")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    companion._common.checking.UsageError: nowhere holds no usable language model: there is no ...
    """
    names, content = {*files}, b""
    while True:
        with refusing(path, kind):
            before, content = content, _config_bytes(path)
            try:
                return _read(path, kind, content, names, count)
            except (OSError, ValueError):
                if content == before:  # or another process has just replaced the model
                    raise


@contextlib.contextmanager
def refusing(path: Path, kind: str) -> Iterator[None]:
    """Turns what goes wrong with a folder's content into one sentence and what to do.

    Args:
        path: Path of the folder.
        kind: As given to `write_folder`.

    Raises:
        UsageError: Whatever is raised inside because of the content.

    Example:

    >>> with refusing(Path("m"), "text-classifier"):  # doctest: +ELLIPSIS
    ...     {}["steps"]
    Traceback (most recent call last):
    companion._common.checking.UsageError: m holds no usable text classifier: 'steps' is ...
    """
    try:
        yield
    # Settings of any JSON type get this far: what a type makes impossible is damage too.
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        noun, advice = _KINDS[kind]
        reason = error.strerror if isinstance(error, OSError) else error
        more = " is missing" if isinstance(error, KeyError) else ""
        raise UsageError(f"{path} holds no usable {noun}: {reason}{more}. {advice}") from error


def holds_model(path: Path, kind: str) -> bool:
    """Says whether a folder holds a finished model, and refuses one that holds something else.

    Args:
        path: Path of a folder, which need not exist.
        kind: As given to `write_folder`.

    Returns:
        Whether a whole model of this kind is there. If not, `write_folder` can write one.

    Raises:
        UsageError: If a model of another kind is there, or a `config.json` of something else.

    Example:

    >>> holds_model(Path("nowhere"), "text-classifier")
    False
    """
    if path.exists() and not path.is_dir():
        raise UsageError(f"{path} is a file, and a model needs a folder: give another path.")
    if not (path / _CONFIG).exists():
        return False
    try:
        config = _parse(_config_bytes(path))
    except (OSError, ValueError):
        raise UsageError(
            f"{path} holds a {_CONFIG} of something else, which would be replaced: give another "
            "folder."
        ) from None
    if config["kind"] != kind:
        raise UsageError(
            f"{path} holds {_with_article(config['kind'])}, which would be replaced: give another "
            "folder."
        )
    try:
        return all(_is_whole(path / entry["file"], entry) for entry in config["files"].values())
    except OSError:
        return False


def remove_model(path: Path, kind: str) -> None:
    """Removes a model and leaves whatever else is in its folder.

    Args:
        path: Path of the folder, which need not exist.
        kind: As given to `write_folder`.

    Raises:
        UsageError: If the folder holds something else.
        OSError: If it cannot be removed.
    """
    holds_model(path, kind)
    if not (path / _CONFIG).exists():
        return
    with _locked(path):
        old = _named(path)
        (path / _CONFIG).unlink(missing_ok=True)
        _tidy(path, old, keep={})


def weights_of(model: Any) -> Arrays:
    """Returns the weights of a Keras model under names that hold their position."""
    return {f"{i:03d}_{w.name}": np.asarray(w) for i, w in enumerate(model.weights)}


def restore_weights(model: Any, arrays: Arrays) -> None:
    """Gives a Keras model the weights that `weights_of` took from one like it.

    Args:
        model: `keras.Model`.
        arrays: Dict from the weights' names to arrays.

    Raises:
        ValueError: If names or shapes are not the model's.
    """
    expected = {f"{i:03d}_{w.name}": tuple(w.shape) for i, w in enumerate(model.weights)}
    found = {name: array.shape for name, array in arrays.items()}
    if found != expected:
        raise ValueError(f"the weights have the shapes {found}, not {expected}")
    model.set_weights([arrays[name] for name in expected])


def _pack(arrays: Arrays) -> bytes:
    from safetensors.numpy import save

    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise UsageError(f"The weights {name} hold nan or infinity: they are not saved.")
    content: bytes = save({name: np.asarray(array, order="C") for name, array in arrays.items()})
    return content


def _unpack(content: bytes, count: int) -> Arrays:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: Arrays = load(content)
    except (SafetensorError, KeyError) as error:  # KeyError: a type that NumPy does not have
        raise ValueError(f"{_WEIGHTS} is damaged ({error})") from error
    if (found := sum(array.size for array in arrays.values())) != count:
        raise ValueError(f"the weights are {found:,} numbers, and the settings need {count:,}")
    if not all(array.dtype.kind in "fiu" and np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("the weights hold nan or infinity")
    return arrays


def _entry(name: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    return {"file": _stored(name, digest), "bytes": len(content), "sha256": digest}


def _stored(name: str, digest: str) -> str:
    stem, suffix = name.split(".")
    return f"{stem}-{digest[:16]}.{suffix}"


def _read(
    path: Path,
    kind: str,
    content: bytes,
    names: set[str],
    count: Callable[[dict[str, Any]], int] | None,
) -> SavedModel:
    config = _parse(content)
    if config["kind"] != kind:
        raise ValueError(f"it holds {_with_article(config['kind'])}")
    settings, entries = config["settings"], config["files"]
    if {*entries} != names | ({_WEIGHTS} if count else set()):
        raise ValueError(f"{_CONFIG} names the files {sorted(entries)}")
    numbers = count(settings) if count else 0
    if not 0 <= numbers <= _MOST_NUMBERS:
        raise ValueError(f"its settings need {numbers:,} numbers, more than {_MOST_NUMBERS:,}")
    found = {name: _verified(path, name, entries[name], _MOST_FILE) for name in sorted(names)}
    # Eight bytes a number at most, and a header that says what is where.
    weights = _verified(path, _WEIGHTS, entries[_WEIGHTS], 8 * numbers + 2**20) if count else b""
    return SavedModel(settings, _unpack(weights, numbers) if count else {}, found)


def _config_bytes(path: Path) -> bytes:
    if path.is_file():
        raise ValueError("it is a file, not a folder; files that could run code are not read")
    if not (path / _CONFIG).is_file():
        raise ValueError(f"there is no {_CONFIG}")
    return _bytes(path / _CONFIG, _CONFIG, _MOST_CONFIG)


def _parse(content: bytes) -> dict[str, Any]:
    """Returns `config.json`'s values, of whose outermost types the rest can be sure."""
    try:
        config = json.loads(content)
        entries = config["files"].items()
        stored = [entry["file"] == _stored(name, entry["sha256"]) for name, entry in entries]
        sizes = [type(entry["bytes"]) is int for _, entry in entries]
        is_ours = config["format"] == _FORMAT and config["kind"] in _KINDS
        is_whole = is_ours and isinstance(config["settings"], dict) and all(stored + sizes)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        is_whole = False
    if not is_whole:
        raise ValueError(f"{_CONFIG} is damaged or of another format")
    return dict(config)


def _verified(path: Path, name: str, entry: dict[str, Any], most: int) -> bytes:
    file = path / entry["file"]
    if not re.fullmatch(r"[\w.-]+", entry["file"]) or not file.is_file():
        raise ValueError(f"there is no {entry['file']}")
    if entry["bytes"] > most:
        raise ValueError(f"{entry['file']} has {entry['bytes']:,} bytes, more than {most:,}")
    content = _bytes(file, entry["file"], entry["bytes"])
    if hashlib.sha256(content).hexdigest() != entry["sha256"]:
        raise ValueError(f"{entry['file']} is damaged")
    return content


def _bytes(file: Path, name: str, most: int) -> bytes:
    if (size := file.stat().st_size) > most:
        raise ValueError(f"{name} has {size:,} bytes, more than {most:,}")
    with file.open("rb") as opened:
        return opened.read(most)


def _is_whole(file: Path, entry: dict[str, Any]) -> bool:
    if not file.is_file() or file.stat().st_size != entry["bytes"]:
        return False
    with file.open("rb") as opened:
        digest: str = hashlib.file_digest(opened, "sha256").hexdigest()
    return digest == str(entry["sha256"])


def _with_article(kind: str) -> str:
    noun, _ = _KINDS[kind]
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _named(path: Path) -> dict[str, Any]:
    """Returns what the folder's `config.json` says of its files; nothing if there is none."""
    try:
        return dict(_parse(_config_bytes(path))["files"])
    except (OSError, ValueError):
        return {}


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.mkdir(parents=True, exist_ok=True)
    try:
        lock = contextlib.ExitStack()
        lock.enter_context(hold_lock(path / ".lock"))
    except BlockingIOError as error:
        raise UsageError(
            f"Process {error} is saving a model in {path}: wait until it has ended, or give "
            "another folder."
        ) from None
    with lock:
        yield


def _tidy(path: Path, names: Iterable[str], keep: Mapping[str, Any]) -> None:
    """Removes the files of other models and what a killed process left half written."""
    kept = {entry["file"] for entry in keep.values()}
    with contextlib.suppress(OSError):  # they only take room, and go with the next model
        remove_leftovers(path, _CONFIG)
        for stem, suffix in {tuple(name.split(".")) for name in names}:
            pattern = f"{stem}-{'[0-9a-f]' * 16}.{suffix}"
            remove_leftovers(path, pattern)
            for file in path.glob(pattern):
                if file.name not in kept:
                    file.unlink()
