"""The law by which a language model's loss falls with its parameters and its training tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import ArrayLike, NDArray

from companion._common.extras import import_extra

__all__ = ["ScalingLaw", "fit_scaling_law"]


Floats = NDArray[np.float64]

_BOUNDS = (0.0, 1 - 1e-9)  # of the floor, as a share of the lowest loss


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
    start: Sequence[ScalingLaw] = (),
    delta: float = 1e-3,
) -> ScalingLaw:
    """Fits the law to measured losses.

    The Huber loss of the errors of the logarithm is minimised from many starts: it counts small
    errors by their square and large ones, of runs that went wrong, by their size. The floor itself
    is searched, and not its logarithm, which would leave a search that comes near zero stuck there.

    Args:
        parameters: array of float above 0, shape (n,), n at least 5.
        tokens: array of float above 0, shape (n,).
        losses: array of float above 0, shape (n,). In nats per token.
        loss_floor: float of at least 0 and below the losses, or `None`. If given, the floor is held
            there. Defaults to `None`.
        start: sequence of `ScalingLaw`. If not empty, the search starts at these alone, as the many
            fits of a bootstrap may. Defaults to none.
        delta: float above 0. Error of the logarithm from which on it counts by its size. Defaults
            to `0.001`.

    Returns:
        A `ScalingLaw`.

    Raises:
        ValueError: If the arrays differ in length, are too short or hold a number not above 0, or
            if `loss_floor` is out of range.

    Example:
        >>> import numpy as np
        >>> true = ScalingLaw(1.8, 480.0, 0.35, 2100.0, 0.37)
        >>> n, d = np.meshgrid([1e7, 1e8, 1e9], [1e9, 1e10, 1e11])
        >>> found = fit_scaling_law(n.ravel(), d.ravel(), true.loss(n, d).ravel())
        >>> round(found.alpha, 3), round(found.beta, 3)
        (0.35, 0.37)

    Reference:
        Hoffmann et al., 2022, section 3.3; Besiroglu et al., 2024.
    """
    n, d, y = (np.log(_positive(*pair)) for pair in _named(parameters, tokens, losses))
    if not n.shape == d.shape == y.shape or n.ndim != 1 or len(n) < 5:
        raise ValueError(
            f"parameters, tokens and losses must be of one length of at least 5, not of shapes "
            f"{n.shape}, {d.shape} and {y.shape}."
        )
    lowest = float(np.min(losses))
    if loss_floor is not None and not 0 <= loss_floor < lowest:
        raise ValueError(f"loss_floor={loss_floor!r} must be at least 0 and below {lowest:.3g}.")
    # Centred logarithms part the weights from the exponents, and the search takes few steps.
    centred = n - n.mean(), d - d.mean(), y - y.min()
    held = _BOUNDS if loss_floor is None else (loss_floor / lowest,) * 2
    starts = _starts(float(n.mean()), float(d.mean()), lowest, start)
    first, alpha, second, beta, share = _search(centred, starts, held, delta)
    a = lowest * float(np.exp(first + alpha * n.mean()))
    b = lowest * float(np.exp(second + beta * d.mean()))
    return ScalingLaw(
        lowest * share if loss_floor is None else float(loss_floor), a, alpha, b, beta
    )


def _search(
    centred: tuple[Floats, Floats, Floats],
    starts: list[Floats],
    held: tuple[float, float],
    delta: float,
) -> list[float]:
    """Returns the constants with the lowest loss that the search finds from any of the starts."""
    minimize = import_extra("scipy.optimize", "train").minimize
    threads = import_extra("threadpoolctl", "train")
    options = {"jac": True, "method": "L-BFGS-B", "bounds": [(None, None)] * 4 + [held]}
    # Several threads would take fifty times as long as one for matrices of five rows.
    with threads.threadpool_limits(1):
        # Squared errors lead near the optimum quickly; the Huber loss then settles it.
        near = [minimize(_huber(*centred, 1.0), x, **options).x for x in starts]
        ends = [minimize(_huber(*centred, delta), x, **options) for x in near]
    return [float(v) for v in min(ends, key=lambda end: end.fun).x]


def _huber(
    n: Floats, d: Floats, y: Floats, delta: float
) -> Callable[[Floats], tuple[float, Floats]]:
    """Returns the loss and its gradient as a function of the constants: weights as logarithms."""

    def objective(x: Floats) -> tuple[float, Floats]:
        terms = np.stack([x[0] - x[1] * n, x[2] - x[3] * d, np.zeros_like(n)])  # (3, runs)
        top = terms.max(axis=0)  # taken out, so that no far step overflows
        first, second, one = np.exp(terms - top)
        predicted = first + second + x[4] * one
        error = top + np.log(predicted) - y
        clipped = np.clip(error, -delta, delta)
        pull = clipped / delta / predicted
        first, second, one = pull * first, pull * second, pull * one
        by_constant = (first, -n * first, second, -d * second, one)
        value = np.sum(clipped * (error - clipped / 2)) / delta
        return float(value), np.array([part.sum() for part in by_constant])

    return objective


def _starts(n: float, d: float, lowest: float, start: Sequence[ScalingLaw]) -> list[Floats]:
    """Returns where to begin: two weights as logarithms, exponents, floor, in lowest losses."""
    if start:
        return [
            np.array(
                [
                    np.log(law.a / lowest) - law.alpha * n,
                    law.alpha,
                    np.log(law.b / lowest) - law.beta * d,
                    law.beta,
                    min(law.loss_floor / lowest, _BOUNDS[1]),
                ]
            )
            for law in start
        ]
    found = []
    for alpha, beta, share in product((0.2, 0.6), (0.2, 0.6), (0.0, 0.3, 0.6, 0.9)):
        # The two terms begin as equal parts of what is above the floor.
        rest = np.log((1 - share) / 2)
        found.append(np.array([rest, alpha, rest, beta, share]))
    return found


def _named(*arrays: ArrayLike) -> list[tuple[str, ArrayLike]]:
    return list(zip(("parameters", "tokens", "losses"), arrays, strict=True))


def _positive(name: str, values: ArrayLike) -> Floats:
    array = np.asarray(values, dtype=float)
    if not (np.isfinite(array).all() and (array > 0).all()):
        raise ValueError(f"{name} must be finite numbers above 0, not {values!r}.")
    return array
