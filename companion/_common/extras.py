"""Modules that the light installation does not bring."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["import_extra"]


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
    ModuleNotFoundError: This needs the package 'scypi', ... run: pip install '.[train]'
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        missing = (error.name or name).partition(".")[0]
        raise ModuleNotFoundError(
            f"This needs the package {missing!r}, which is not installed. From the project's "
            f"folder run: pip install '.[{extra}]'",
            name=missing,
        ) from None
