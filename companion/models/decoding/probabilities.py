"""Which token comes next: the probabilities that temperature, top-k, top-p and min-p leave."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["check_sampling", "next_token_probabilities"]


def next_token_probabilities(
    logits: Any,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    min_p: float = 0.0,
) -> np.ndarray:
    """Returns the probabilities from which the next token is drawn.

    Args:
        logits: Array of shape `(vocabulary_size,)`, or several rows of them.
        temperature: Float of at least 0. Divides the logits: below 1 favours likely tokens, 0
            leaves only the likeliest. Defaults to 1.
        top_k: Integer or `None`. Keep only that many likeliest tokens. Defaults to `None`, all.
        top_p: Float in (0, 1]. Keep the fewest likeliest tokens that hold this probability
            together. Defaults to 1, all.
        min_p: Float in [0, 1]. Keep only tokens that have at least this share of the likeliest
            one's probability. Defaults to 0, all.

    Returns:
        Float64 array of the shape of `logits`; each row sums to 1.

    Raises:
        ValueError: If an argument is outside its range, or a logit is not finite.

    Example:

    >>> next_token_probabilities([2.0, 1.0, 0.0], top_k=2).round(2).tolist()
    [0.73, 0.27, 0.0]

    Reference:
        Fan et al., 2018 (top-k); Holtzman et al., 2020 (top-p); Nguyen et al., 2024 (min-p).
    """
    logits = np.asarray(logits, dtype="float64")
    check_sampling(temperature, top_k, top_p, min_p)
    if not np.isfinite(logits).all() or logits.ndim < 1:
        raise ValueError("logits must be finite numbers, in rows of one per token.")
    scaled = (logits - logits.max(axis=-1, keepdims=True)) / max(temperature, 1e-8)
    shares = np.exp(scaled)
    shares /= shares.sum(axis=-1, keepdims=True)
    order = np.argsort(-logits, axis=-1, kind="stable")
    shares = np.take_along_axis(shares, order, axis=-1)
    before = np.cumsum(shares, axis=-1) - shares
    rank = np.arange(logits.shape[-1])
    keep = rank < (top_k or logits.shape[-1])
    if top_p < 1:
        keep = keep & (before < top_p)
    keep = keep & (shares >= min_p * shares[..., :1])
    shares = np.where(keep, shares, 0.0)
    shares /= shares.sum(axis=-1, keepdims=True)
    probabilities = np.empty_like(shares)
    np.put_along_axis(probabilities, order, shares, axis=-1)
    return probabilities


def check_sampling(temperature: float, top_k: int | None, top_p: float, min_p: float = 0.0) -> None:
    """Checks the arguments of `next_token_probabilities`.

    Args:
        temperature: Float.
        top_k: Integer or `None`.
        top_p: Float.
        min_p: Float. Defaults to 0.

    Raises:
        ValueError: If one is outside its range.

    Example:

    >>> check_sampling(1.0, 0, 1.0)
    Traceback (most recent call last):
    ValueError: top_k=0 must be a whole number from 1, or None for all tokens.
    """
    if not (np.isfinite(temperature) and temperature >= 0):
        raise ValueError(f"temperature={temperature!r} must be a number of at least 0.")
    if top_k is not None and not (isinstance(top_k, int | np.integer) and top_k >= 1):
        raise ValueError(f"top_k={top_k!r} must be a whole number from 1, or None for all tokens.")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p!r} must be above 0 and at most 1.")
    if not 0 <= min_p <= 1:
        raise ValueError(f"min_p={min_p!r} must be from 0 to 1.")
