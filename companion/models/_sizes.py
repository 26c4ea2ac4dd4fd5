"""The sizes of a model, checked before a layer is made."""

from __future__ import annotations

from companion._common.checking import check_whole

__all__ = ["check_sizes"]


def check_sizes(*, dropout: float = 0.0, **sizes: int | None) -> None:
    """Checks the sizes of a model that is to be built.

    Args:
        dropout: Float in [0, 1). Defaults to 0.
        **sizes: Integers of at least 1, by their argument's name; `None` where it is left out.

    Raises:
        ValueError: If one is below 1 or no whole number, or `dropout` is outside its range; it
            names the argument.

    Example:

    >>> check_sizes(num_layers=0)
    Traceback (most recent call last):
    ValueError: num_layers must be a whole number of at least 1, but is 0.
    """
    for name, size in sizes.items():
        if size is not None:
            check_whole(size, name, least=1)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout}; it must be at least 0 and below 1.")
