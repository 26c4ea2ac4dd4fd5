"""Modules that the light installation does not bring, and the command that brings them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["import_extra", "install_hint"]


def install_hint(extra: str) -> str:
    """Returns the command that installs one of the course's groups of packages.

    It needs no project folder, and its quotation marks mean the same to every shell.

    Args:
        extra: str. The group's name in `pyproject.toml`.

    Returns:
        A str.

    Example:

    >>> install_hint("train")
    'pip install "large-models-companion[train]"'
    """
    return f'pip install "large-models-companion[{extra}]"'


def import_extra(name: str, extra: str) -> Any:
    """Import a module that the light installation does not bring.

    Args:
        name: str. The module, for example `"scipy.stats"`.
        extra: str. The course's group of packages that holds it.

    Returns:
        The module.

    Raises:
        ModuleNotFoundError: It, or what it needs, is not installed.

    Example:

    >>> import_extra("scypi.stats", "train")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ModuleNotFoundError: This needs the package 'scypi', ... pip install "large-models-...[train]"
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise ModuleNotFoundError(
            f"This needs the package {missing!r}, which is not installed. Run: "
            f"{install_hint(extra)}",
            name=missing,
        ) from None
