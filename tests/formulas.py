"""Formulas drawn by chance, for all who differentiate one."""

from __future__ import annotations

import math

import numpy as np


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def random_formula(rng: np.random.Generator, steps: int = 8) -> str:
    """Lines that set x, y and z, then steps that use those before by chance, and a sum of all."""
    names = ["x", "y", "z"]
    lines = [f"{name} = {rng.normal():.3f}" for name in names]
    shapes = [
        "{a} + {b} * {c}",
        "{a} - {b} - {c} / 2",
        "-{a} / ({b} ** 2 + 1)",
        "tanh({a} * {b}) - -{c}",
        "sigmoid({a}) * ({b} - {c})",
        "exp(-({a} ** 2)) + {b}",
        "log(1 + {a} * {a}) * {b}",
        "relu({a}) + .5 * {c}",
        "({a} ** 2 + 1) ** -0.5 + {b}",
        "2e-1 * {a} ** 3 / (2 + tanh({b}))",
    ]
    for i in range(steps):
        a, b, c = rng.choice(names, 3)
        lines.append(f"t{i} = tanh({rng.choice(shapes).format(a=a, b=b, c=c)})")
        names.append(f"t{i}")
    return "\n".join([*lines, " + ".join(f"{name} * {name}" for name in names)])
