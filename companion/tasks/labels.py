"""Labels of any number of classes: as numbers for a model, and back from its probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from companion._common.checking import UsageError

__all__ = ["check_threshold", "choose_classes", "encode_labels", "hold_out"]


def encode_labels(
    labels: Sequence[str] | Sequence[int] | np.ndarray, noun: str = "text"
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different labels, sorted, and each label's position among them.

    Args:
        labels: List, tuple, array or pandas column of strings, of whole numbers or of `bool`.
        noun: String. What is labelled, for an error. Defaults to `"text"`.

    Returns:
        Array of the classes, shape `(classes,)`, and integer array of the shape of `labels`.

    Raises:
        UsageError: If a label is something else, or all are the same.

    Example:

    >>> classes, positions = encode_labels(["tea", "rice", "tea"])
    >>> print(classes, positions)
    ['rice' 'tea'] [1 0 1]
    """
    values = labels.tolist() if hasattr(labels, "tolist") else labels
    if not isinstance(values, (list, tuple)) or not values:
        raise UsageError(f"labels must be a list or array of one label a {noun}, not {labels!r}.")
    values = [int(v) if isinstance(v, float) and v.is_integer() else v for v in values]
    values = [v.item() if isinstance(v, np.generic) else v for v in values]
    kinds = {type(value) for value in values}
    array = np.array(values) if kinds in ({str}, {int}, {bool}) else np.array(None)
    if array.dtype.kind not in "Uib":
        names = sorted(kind.__name__ for kind in kinds)
        raise UsageError(
            f"labels must be all strings or all whole numbers below 2**63, and these are of the "
            f"types {', '.join(names)}."
        )
    classes, targets = np.unique(array, return_inverse=True)
    if len(classes) < 2:
        raise UsageError(
            f"Every label is {values[0]!r}: give examples of at least two kinds of {noun}s."
        )
    # Small for two, as the loss of two has always had them: a checkpoint holds the dtype's hash.
    return classes, targets.astype(np.int8 if len(classes) == 2 else np.int32)


def check_threshold(threshold: float, num_classes: int) -> None:
    """Refuses a threshold where there is nothing for it to decide.

    Args:
        threshold: Float in [0, 1].
        num_classes: Integer.

    Raises:
        UsageError: If it is not 0.5 with more than two classes.
    """
    if num_classes > 2 and threshold != 0.5:
        raise UsageError(
            f"threshold is {threshold}, and there are {num_classes} classes: it decides between "
            "two. Leave it at 0.5."
        )


def choose_classes(probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Returns the position of the class that each row of probabilities speaks for.

    Args:
        probabilities: Array of the shape `(n, classes)`.
        threshold: Float in [0, 1]. Of two classes the second is taken if its probability is at
            least this; of more, the most probable is. Defaults to 0.5.

    Returns:
        Integer array of the shape `(n,)`.

    Example:

    >>> choose_classes(np.array([[0.7, 0.3], [0.2, 0.8]]), threshold=0.3)
    array([1, 1])
    >>> choose_classes(np.array([[0.2, 0.5, 0.3]]))
    array([1])
    """
    if probabilities.shape[1] > 2:
        best: np.ndarray = probabilities.argmax(axis=1)
        return best
    # float64, as threshold_value compares: both then flag the same texts.
    chosen: np.ndarray = probabilities[:, 1].astype(np.float64) >= threshold
    return chosen.astype(int)


def hold_out(targets: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns which examples are trained on and which held out, the same share of each class.

    Args:
        targets: Integer array of the classes' positions, shape `(n,)`.
        share: Float in [0, 1). Share of each class that is held out.
        seed: Integer. Decides which.

    Returns:
        Two integer arrays of positions in `targets`.

    Raises:
        UsageError: If `share` is outside [0, 1).

    Example:

    >>> train, held_out = hold_out(np.array([0, 0, 1, 1]), 0.5, seed=0)
    >>> len(train), len(held_out)
    (2, 2)
    """
    if not 0 <= share < 1:
        raise UsageError(f"validation_split is {share}; it must be at least 0 and below 1.")
    rng = np.random.default_rng(seed)
    held_out = np.zeros(len(targets), dtype=bool)
    for label in range(targets.max() + 1):
        rows = rng.permutation(np.flatnonzero(targets == label))
        held_out[rows[: round(share * len(rows))]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)
