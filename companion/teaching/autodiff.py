"""Reverse-mode automatic differentiation on NumPy arrays: what backpropagation is, in one class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tensor"]


Array = NDArray[np.float64]

_Link = tuple["Tensor", Callable[[Array], Array]]


class Tensor:
    """An array that remembers how it was computed, so that `backward` can differentiate it.

    Arithmetic with `+ - * / ** @`, indexing and the methods below give new tensors, each linked to
    the ones it was computed from. Shapes are broadcast as in NumPy. Everything is `float64`.

    Args:
        data: float or array of floats, finite. It is copied.

    Raises:
        ValueError: If `data` holds whole numbers, other types, NaN or infinity; and, in any
            operation, if shapes do not fit or its result or derivative is not finite.

    Example:
        >>> w, x = Tensor(0.5), Tensor(2.0)
        >>> loss = (w * x - 3.0) ** 2
        >>> loss.backward()
        >>> float(w.grad), float(x.grad)
        (-8.0, -2.0)

    Reference:
        Baydin et al., *Automatic differentiation in machine learning: a survey*, 2018, section 3.2.
    """

    __array_ufunc__ = None  # so that `array * tensor` asks the tensor, not NumPy

    def __init__(self, data: Any) -> None:
        array = np.asarray(data)
        if array.dtype.kind != "f" or not array.size:
            raise ValueError(
                f"data has the type {array.dtype} and the shape {array.shape}, but only floats "
                "have derivatives, and at least one. Write 2.0 for 2, or use array.astype(float)."
            )
        self.data: Array = _finite(np.array(array, dtype=np.float64), "data")
        self.grad: Any = None  # an array of the same shape, after `backward`
        self.operation = ""
        self._links: tuple[_Link, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `data`."""
        return self.data.shape

    @property
    def parents(self) -> tuple[Tensor, ...]:
        """The tensors that this one was computed from."""
        return tuple(parent for parent, _ in self._links)

    def __repr__(self) -> str:
        return f"Tensor({self.data}, operation={self.operation!r})"

    def __add__(self, other: Any) -> Tensor:
        a, b = _pair(self, other, "+")
        return _make("+", a.data + b.data, (a, lambda g: g), (b, lambda g: g))

    def __mul__(self, other: Any) -> Tensor:
        a, b = _pair(self, other, "*")
        with np.errstate(over="ignore"):
            data = a.data * b.data
        return _make("*", data, (a, lambda g: g * b.data), (b, lambda g: g * a.data))

    def __pow__(self, exponent: float | np.integer[Any] | np.floating[Any]) -> Tensor:
        numbers = int | float | np.integer | np.floating
        if isinstance(exponent, bool) or not isinstance(exponent, numbers):
            raise ValueError(f"The exponent must be a number, not {exponent!r}; use exp and log.")
        with np.errstate(all="ignore"):
            data = self.data**exponent
        slope = 0.0 if exponent == 0 else exponent
        power = exponent - 1 if exponent else 0
        return _make("**", data, (self, lambda g: g * slope * self.data**power))

    def __matmul__(self, other: Any) -> Tensor:
        a, b = self, _constant(other)
        if a.data.ndim != 2 or b.data.ndim != 2 or a.shape[1] != b.shape[0]:
            raise ValueError(
                f"Shapes {a.shape} and {b.shape} do not fit for @: it takes two matrices, and the "
                "columns of the first must be as many as the rows of the second."
            )
        data = a.data @ b.data  # (n, k) @ (k, m) -> (n, m)
        return _make("@", data, (a, lambda g: g @ b.data.T), (b, lambda g: a.data.T @ g))

    def __rmatmul__(self, other: Any) -> Tensor:
        return _constant(other) @ self

    def __neg__(self) -> Tensor:
        return self * -1.0

    def __sub__(self, other: Any) -> Tensor:
        return self + -_constant(other)

    def __rsub__(self, other: Any) -> Tensor:
        return _constant(other) - self

    def __truediv__(self, other: Any) -> Tensor:
        return self * _constant(other) ** -1

    def __rtruediv__(self, other: Any) -> Tensor:
        return _constant(other) * self**-1

    __radd__ = __add__
    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Tensor:
        def back(g: Array) -> Array:
            spread = np.zeros_like(self.data)
            np.add.at(spread, index, g)  # an entry taken twice gets both gradients
            return spread

        return _make("[]", self.data[index], (self, back))

    def exp(self) -> Tensor:
        """Returns e to the power of each entry."""
        with np.errstate(over="ignore"):
            data = np.exp(self.data)
        return _make("exp", data, (self, lambda g: g * data))

    def log(self) -> Tensor:
        """Returns the natural logarithm of each entry."""
        with np.errstate(all="ignore"):
            data = np.log(self.data)
        return _make("log", data, (self, lambda g: g / self.data))

    def tanh(self) -> Tensor:
        """Returns the hyperbolic tangent of each entry."""
        data = np.tanh(self.data)
        return _make("tanh", data, (self, lambda g: g * (1 - data**2)))

    def sigmoid(self) -> Tensor:
        """Returns 1 / (1 + exp(-x)) for each entry, without overflow."""
        e = np.exp(-np.abs(self.data))  # at most 1, and small numbers keep their digits
        data = np.where(self.data >= 0, 1, e) / (1 + e)
        return _make("sigmoid", data, (self, lambda g: g * e / (1 + e) ** 2))

    def relu(self) -> Tensor:
        """Returns each entry, or 0 if it is negative; the derivative at 0 is taken as 0."""
        return _make("relu", np.maximum(self.data, 0), (self, lambda g: g * (self.data > 0)))

    def sum(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """Returns the sum, of everything or along axes.

        Args:
            axis: int, tuple of ints, or `None` for everything. Defaults to `None`.
            keepdims: bool. Whether the axes stay, with length 1. Defaults to `False`.

        Returns:
            A `Tensor`.
        """

        def back(g: Array) -> Array:
            kept = g if axis is None or keepdims else np.expand_dims(g, axis)
            return np.broadcast_to(kept, self.shape)

        return _make("sum", self.data.sum(axis=axis, keepdims=keepdims), (self, back))

    def mean(self, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Tensor:
        """Returns the mean, of everything or along axes.

        Args:
            axis: int, tuple of ints, or `None` for everything. Defaults to `None`.
            keepdims: bool. Whether the axes stay, with length 1. Defaults to `False`.

        Returns:
            A `Tensor`.
        """
        total = self.sum(axis, keepdims)
        return total * (total.data.size / self.data.size)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """Returns the same entries in another shape, given as in NumPy: `2, 3` or `(2, 3)`."""
        to: Any = shape[0] if len(shape) == 1 else shape
        return _make("reshape", self.data.reshape(to), (self, lambda g: g.reshape(self.shape)))

    def transpose(self) -> Tensor:
        """Returns the array with its axes in reverse order."""
        return _make("transpose", self.data.T, (self, lambda g: g.T))

    def backward(self, gradient: Any = None) -> None:
        """Writes into `grad` of every tensor behind this one the derivative of this one by it.

        Gradients of an earlier call are replaced, not added to.

        Args:
            gradient: array of this tensor's shape, which weighs its entries; or `None`, which a
                tensor with one entry may have. Defaults to `None`.

        Raises:
            ValueError: If `gradient` is missing or has another shape, or a derivative is not
                finite.

        Example:
            >>> x = Tensor([1.0, 2.0, 3.0])
            >>> (x * x).backward([1.0, 1.0, 0.0])
            >>> x.grad.tolist()
            [2.0, 4.0, 0.0]
        """
        if gradient is None and self.data.size != 1:
            raise ValueError(
                f"backward() starts from one number, but this tensor has the shape {self.shape}. "
                "Call backward() on its sum or mean, or give backward(gradient)."
            )
        start = np.ones(self.shape) if gradient is None else np.asarray(gradient, dtype=float)
        if start.shape != self.shape:
            raise ValueError(f"gradient has the shape {start.shape}; it must be {self.shape}.")
        order = _in_order(self)
        for tensor in order:
            tensor.grad = np.zeros(tensor.shape)
        self.grad = _finite(start, "gradient")
        for tensor in reversed(order):
            for parent, back in tensor._links:
                with np.errstate(all="ignore"):
                    part = _undo_broadcast(back(tensor.grad), parent.shape)
                parent.grad = parent.grad + _finite(part, f"the derivative of {tensor.operation}")


def _in_order(last: Tensor) -> list[Tensor]:
    """Lists the tensors behind the last one, each after its parents; a loop, so of any depth."""
    order, seen, stack = [], set(), [(last, False)]
    while stack:
        tensor, parents_done = stack.pop()
        if parents_done:
            order.append(tensor)
        elif id(tensor) not in seen:
            seen.add(id(tensor))
            stack.append((tensor, True))
            stack.extend((parent, False) for parent in tensor.parents)
    return order


def _undo_broadcast(gradient: Array, shape: tuple[int, ...]) -> Array:
    """Sums a gradient over the copies that broadcasting has made."""
    added = gradient.ndim - len(shape)
    one = [added + i for i, n in enumerate(shape) if n == 1]
    total: Array = gradient.sum(axis=(*range(added), *one), keepdims=True)
    return total.reshape(shape)


def _make(operation: str, data: Any, *links: _Link) -> Tensor:
    made = Tensor(_finite(np.asarray(data), f"the result of {operation}"))
    made.operation, made._links = operation, links
    return made


def _constant(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    array = np.asarray(value)
    return Tensor(array.astype(float) if array.dtype.kind in "iu" else array)


def _pair(a: Tensor, other: Any, operation: str) -> tuple[Tensor, Tensor]:
    b = _constant(other)
    try:
        np.broadcast_shapes(a.shape, b.shape)
    except ValueError:
        raise ValueError(
            f"Shapes {a.shape} and {b.shape} do not fit for {operation}: from the right, lengths "
            "must be equal, or one of them 1."
        ) from None
    return a, b


def _finite(array: Array, what: str) -> Array:
    if not np.isfinite(array).all():
        raise ValueError(
            f"{what[0].upper()}{what[1:]} holds NaN or infinity. Look for a division by zero, a "
            "logarithm or root of a number that is not positive, or numbers too large for exp."
        )
    return array
