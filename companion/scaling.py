"""The law by which a language model's loss falls with its parameters and its training tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["ScalingLaw", "fit_scaling_law"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ScalingLaw:
    """`loss = loss_floor + a / parameters**alpha + b / tokens**beta`.

    Args:
        loss_floor: float of at least 0. What no model of the family gets below, in nats per token.
        a: float above 0. Weight of the term that more parameters shrink.
        alpha: float above 0. Its exponent.
        b: float above 0. Weight of the term that more tokens shrink.
        beta: float above 0. Its exponent.

    Raises:
        ValueError: If a constant is negative, not finite, or zero where it must be above.

    Example:
        >>> law = ScalingLaw(loss_floor=1.69, a=406.4, alpha=0.34, b=410.7, beta=0.28)
        >>> parameters, tokens = law.optimal(5.76e23)
        >>> round(float(tokens / parameters))
        93

    Reference:
        Hoffmann et al., 2022, equation 10.
    """

    loss_floor: float
    a: float
    alpha: float
    b: float
    beta: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            least = "at least 0" if name == "loss_floor" else "above 0"
            if not (np.isfinite(value) and (value > 0 or (name == "loss_floor" and value == 0))):
                raise ValueError(f"{name}={value!r} must be a finite number {least}.")

    def loss(self, parameters: ArrayLike, tokens: ArrayLike) -> Floats:
        """Returns the predicted loss.

        Args:
            parameters: float or array, above 0.
            tokens: float or array, above 0, of a shape that fits.

        Returns:
            Array of the joint shape, in nats per token.

        Raises:
            ValueError: If a number is not above 0.
        """
        n, d = _positive("parameters", parameters), _positive("tokens", tokens)
        return np.asarray(self.loss_floor + self.a * n**-self.alpha + self.b * d**-self.beta)

    def optimal(self, compute_flop: ArrayLike) -> tuple[Floats, Floats]:
        """Returns the parameters and tokens that spend a budget best.

        Training is taken to cost six operations for each parameter and token.

        Args:
            compute_flop: float or array, above 0. The budget in floating-point operations.

        Returns:
            Two arrays of its shape: parameters and tokens.

        Raises:
            ValueError: If a budget is not above 0.
        """
        product_nd = _positive("compute_flop", compute_flop) / 6
        both = self.alpha + self.beta
        # At the optimum both terms fall equally fast: alpha a / N**alpha = beta b / D**beta.
        balance = (self.alpha * self.a / (self.beta * self.b)) ** (1 / both)
        parameters = np.asarray(balance * product_nd ** (self.beta / both))
        return parameters, np.asarray(product_nd / parameters)


def fit_scaling_law(
    parameters: ArrayLike,
    tokens: ArrayLike,
    losses: ArrayLike,
    *,
    loss_floor: float | None = None,
    start: ScalingLaw | None = None,
    delta: float = 1e-3,
) -> ScalingLaw:
    """Fits the law to measured losses.

    The Huber loss of the errors of the logarithm is minimised from many starts: it counts small
    errors by their square and large ones, of runs that went wrong, by their size.

    Args:
        parameters: array of float above 0, shape (n,), n at least 5.
        tokens: array of float above 0, shape (n,).
        losses: array of float above 0, shape (n,). In nats per token.
        loss_floor: float above 0, or `None`. If given, the floor is held there. Defaults to `None`.
        start: `ScalingLaw` or `None`. If given, the search starts there alone, as a bootstrap may.
            Defaults to `None`.
        delta: float above 0. Error of the logarithm from which on it counts by its size. Defaults
            to `0.001`.

    Returns:
        A `ScalingLaw`.

    Raises:
        ValueError: If the arrays differ in length, are too short or hold a number not above 0.

    Example:
        >>> true = ScalingLaw(1.8, 480.0, 0.35, 2100.0, 0.37)
        >>> n, d = np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11])
        >>> found = fit_scaling_law(n.ravel(), d.ravel(), true.loss(n, d).ravel())
        >>> round(found.alpha, 3), round(found.beta, 3)
        (0.35, 0.37)

    Reference:
        Hoffmann et al., 2022, section 3.3; Besiroglu et al., 2024.
    """
    from scipy.optimize import minimize

    n, d, y = (np.log(_positive(*pair)) for pair in _named(parameters, tokens, losses))
    if not n.shape == d.shape == y.shape or n.ndim != 1 or len(n) < 5:
        raise ValueError(
            f"parameters, tokens and losses must be of one length of at least 5, not of shapes "
            f"{n.shape}, {d.shape} and {y.shape}."
        )
    free = np.array([True, True, True, True, loss_floor is None])
    floor = np.log(_positive("loss_floor", loss_floor)) if loss_floor is not None else 0.0
    # Centred logarithms part the weights from the exponents, and the search takes few steps.
    centred = n - n.mean(), d - d.mean(), y
    # Squared errors lead near the optimum quickly; the Huber loss then settles it.
    best: Any = None
    for x in _starts(n, d, y, start):
        x[4] = x[4] if loss_floor is None else floor
        found = minimize(_huber(*centred, 1.0, free), x, jac=True, method="L-BFGS-B")
        best = found if best is None or found.fun < best.fun else best
    best = minimize(_huber(*centred, delta, free), best.x, jac=True, method="L-BFGS-B")
    first, alpha, second, beta, log_floor = (float(v) for v in best.x)
    a, b = np.exp(first + alpha * n.mean()), np.exp(second + beta * d.mean())
    return ScalingLaw(float(np.exp(log_floor)), float(a), alpha, float(b), beta)


def _huber(
    n: Floats, d: Floats, y: Floats, delta: float, free: NDArray[np.bool_]
) -> Callable[[Floats], tuple[float, Floats]]:
    """Returns the loss and its gradient as a function of the five constants, three as logs."""

    def objective(x: Floats) -> tuple[float, Floats]:
        terms = np.stack([x[0] - x[1] * n, x[2] - x[3] * d, np.full_like(n, x[4])])  # (3, runs)
        top = terms.max(axis=0)
        shares = np.exp(terms - top)
        predicted = top + np.log(shares.sum(axis=0))
        shares /= shares.sum(axis=0)
        error = predicted - y
        clipped = np.clip(error, -delta, delta)
        value = np.sum(clipped * (error - clipped / 2)) / delta
        by_run = np.stack([shares[0], -n * shares[0], shares[1], -d * shares[1], shares[2]])
        return float(value), np.where(free, by_run @ clipped / delta, 0.0)

    return objective


def _starts(n: Floats, d: Floats, y: Floats, start: ScalingLaw | None) -> list[Floats]:
    if start is not None:
        first = np.log(start.a) - start.alpha * n.mean()
        second = np.log(start.b) - start.beta * d.mean()
        floor = np.log(max(start.loss_floor, 1e-6))
        return [np.array([first, start.alpha, second, start.beta, floor])]
    lowest, found = np.exp(y).min(), []
    for alpha, beta, share in product((0.2, 0.6), (0.2, 0.6), (0.1, 0.5, 0.9)):
        # The two terms begin as equal parts of what is above the floor.
        rest = np.log((1 - share) * lowest / 2)
        found.append(np.array([rest, alpha, rest, beta, np.log(share * lowest)]))
    return found


def _named(*arrays: ArrayLike) -> list[tuple[str, ArrayLike]]:
    return list(zip(("parameters", "tokens", "losses"), arrays, strict=True))


def _positive(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=float)
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name} must be finite numbers above 0, not {values!r}.")
    return array
