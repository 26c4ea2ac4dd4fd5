"""The engine's gradients, against the definition of a derivative and against TensorFlow's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from companion.teaching import Tensor

# f is Tensor or tf, which both know tanh, sigmoid and exp; a and b are 3 by 3 matrices.
STEPS: list[Callable[[Any, Any, Any], Any]] = [
    lambda f, a, b: a + b,
    lambda f, a, b: a - 2.0 * b,
    lambda f, a, b: 1.0 - a * f.tanh(b),
    lambda f, a, b: a / (b * b + 1.0),
    lambda f, a, b: 1.0 / (f.exp(-a) + f.sigmoid(b)),
    lambda f, a, b: (a * a + 1.0) ** 0.5 + b**3 * 0.01,
    lambda f, a, b: f.tanh(a @ b),
    lambda f, a, b: f.tanh(a)[1:2] * b,
]
INDEX = st.integers(0, 99)
RECIPES = st.lists(st.tuples(st.integers(0, len(STEPS) - 1), INDEX, INDEX), min_size=1, max_size=8)
SHAPES = [(3, 3), (1, 3), (3,), (3, 1), ()]


def cook(recipe: list[tuple[int, int, int]], f: Any, *leaves: Any) -> Any:
    """A formula of the leaves in which every step uses earlier values, some of them twice."""
    square, row, line, column, number = leaves
    values = [square + row, square * number + line, column * square]
    for step, i, j in recipe:
        value = STEPS[step](f, values[i % len(values)], values[j % len(values)])
        values.append(f.tanh(value))
    total = values[-1]
    for value in values[:-1]:
        total = total + value * 0.5
    return total * total


def draw(seed: int) -> list[Any]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.normal(size=shape)) for shape in SHAPES]


def engine_gradients(recipe: list[tuple[int, int, int]], arrays: list[Any]) -> list[Any]:
    leaves = [Tensor(array) for array in arrays]
    cook(recipe, Tensor, *leaves).sum().backward()
    return [leaf.grad for leaf in leaves]


def close(ones: list[Any], others: list[Any], tolerance: float) -> bool:
    size = max(np.abs(one).max() for one in others) + 1e-3
    return all(np.abs(a - b).max() <= tolerance * size for a, b in zip(ones, others, strict=True))


def central_differences(loss: Callable[..., float], arrays: list[Any], h: float = 1e-5) -> Any:
    gradients = []
    for which, array in enumerate(arrays):
        slopes = np.zeros(array.shape)
        for place in np.ndindex(array.shape):
            sides = []
            for nudge in (h, -h):
                moved = [a.copy() for a in arrays]
                moved[which][place] += nudge
                sides.append(loss(*moved))
            slopes[place] = (sides[0] - sides[1]) / (2 * h)
        gradients.append(slopes)
    return gradients


@given(recipe=RECIPES, seed=st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_gradients_of_random_graphs_equal_central_differences(
    recipe: list[tuple[int, int, int]], seed: int
) -> None:
    arrays = draw(seed)

    def loss(*moved: Any) -> float:
        return float(cook(recipe, Tensor, *map(Tensor, moved)).sum().data)

    numeric = central_differences(loss, arrays)
    assert close(engine_gradients(recipe, arrays), numeric, 1e-6)


@pytest.mark.tensorflow
@given(recipe=RECIPES, seed=st.integers(0, 10_000))
@settings(max_examples=50, deadline=None)
def test_gradients_of_random_graphs_equal_those_of_gradient_tape(
    recipe: list[tuple[int, int, int]], seed: int
) -> None:
    import tensorflow as tf

    arrays = draw(seed)
    variables = [tf.Variable(array) for array in arrays]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(cook(recipe, tf, *variables))
    expected = [np.asarray(g) for g in tape.gradient(loss, variables)]
    assert close(engine_gradients(recipe, arrays), expected, 1e-10)


ONE_INPUT: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any]]] = {
    "exp": (Tensor.exp, np.exp),
    "log": (Tensor.log, lambda x: 1 / x),
    "tanh": (Tensor.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (Tensor.sigmoid, lambda x: np.exp(-x) / (1 + np.exp(-x)) ** 2),
    "relu": (Tensor.relu, lambda x: (x > 0) * 1.0),
    "power": (lambda x: x**2.5, lambda x: 2.5 * x**1.5),
    "power by NumPy's whole number": (lambda x: x ** np.int64(2), lambda x: 2 * x),
    "power by NumPy's float": (lambda x: x ** np.float32(0.5), lambda x: 0.5 * x**-0.5),
    "zeroth power": (lambda x: x**0, lambda x: 0 * x),
    "division by it": (lambda x: 1 / x, lambda x: -1 / x**2),
    "subtraction of it": (lambda x: 1 - x, lambda x: 0 * x - 1),
    "mean": (lambda x: x.mean() * 3.0, lambda x: 0 * x + 1),
    "mean of an axis": (lambda x: x.mean(axis=0) * 3.0, lambda x: 0 * x + 1),
    "mean of two axes": (lambda x: x.reshape(3, 1).mean(axis=(0, 1)) * 3.0, lambda x: 0 * x + 1),
    "sum of two axes": (lambda x: x.reshape(3, 1).sum((0, 1), keepdims=True), lambda x: 0 * x + 1),
    "reshaping": (lambda x: x.reshape(3, 1) * 2.0, lambda x: 0 * x + 2),
    "reshaping to a tuple": (lambda x: x.reshape((3, 1)) * 2.0, lambda x: 0 * x + 2),
    "transposition": (lambda x: x.reshape(3, 1).transpose() * 2.0, lambda x: 0 * x + 2),
    "an entry": (lambda x: x[1] * 2.0, lambda x: np.array([0.0, 2.0, 0.0])),
    "an entry twice": (lambda x: x[[2, 2]], lambda x: np.array([0.0, 0.0, 2.0])),
}


@pytest.mark.parametrize("name", ONE_INPUT)
def test_each_operation_has_its_textbook_derivative(name: str) -> None:
    operation, derivative = ONE_INPUT[name]
    leaf = Tensor([0.5, 1.0, 2.0])
    operation(leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad, derivative(leaf.data), atol=1e-12)


def test_a_gradient_has_the_shape_of_its_tensor_whatever_was_broadcast() -> None:
    leaves = [Tensor(array) for array in draw(0)]
    cook([(0, 0, 1)], Tensor, *leaves).sum().backward()
    assert [leaf.grad.shape for leaf in leaves] == SHAPES


def test_a_tensor_used_twice_gets_both_gradients() -> None:
    x = Tensor(3.0)
    (x * x + x).backward()
    assert float(x.grad) == 7


def test_a_second_backward_replaces_the_gradients_of_the_first() -> None:
    x = Tensor(3.0)
    loss = x * x
    loss.backward()
    loss.backward()
    assert float(x.grad) == 6


@pytest.mark.slow
def test_a_chain_of_ten_thousand_operations_is_differentiated() -> None:
    x = link = Tensor(1.0)
    for _ in range(10_000):
        link = link * 1.0001
    link.backward()
    assert np.isclose(x.grad, 1.0001**10_000)


def test_a_graph_with_a_million_ways_is_walked_once() -> None:
    x = value = Tensor(1.0)
    for _ in range(60):  # two to the power of sixty ways back
        value = value * 0.5 + value * 0.5
    value.backward()
    assert np.isclose(x.grad, 1)


def test_numpy_arrays_and_whole_numbers_may_stand_on_either_side() -> None:
    x = Tensor([[1.0, 2.0]])
    right = x * 2 + np.array([3.0, 4.0]) - 1
    left = -(1 - (np.array([3.0, 4.0]) + 2 * x))
    np.testing.assert_array_equal(right.data, left.data)
    assert (np.ones((3, 1)) @ x).shape == (3, 2)


def test_the_data_are_copied_so_that_the_graph_stays_true() -> None:
    array = np.array([1.0, 2.0])
    x = Tensor(array)
    array[0] = 100
    assert x.data.tolist() == [1, 2]


def test_the_sigmoid_of_large_numbers_does_not_overflow() -> None:
    assert Tensor([-1000.0, 1000.0]).sigmoid().data.tolist() == [0, 1]


@pytest.mark.parametrize("size", [1, 40, 700])
def test_the_sigmoid_of_numbers_far_from_zero_keeps_its_value_and_its_slope(size: float) -> None:
    low, high = Tensor(-float(size)), Tensor(float(size))
    small = low.sigmoid()
    (small + high.sigmoid()).backward()
    assert np.isclose(small.data, np.exp(-size) / (1 + np.exp(-size)), rtol=1e-14, atol=0)
    assert low.grad == high.grad > 0  # the curve is the same on both sides
    small.log().backward()
    assert np.isclose(low.grad, 1 / (1 + np.exp(-size)), rtol=1e-12)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1), (0, 2), (0, 1, 2)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_a_mean_over_any_axes_is_numpy_s(axis: Any, keepdims: bool) -> None:
    array = np.random.default_rng(0).normal(size=(2, 3, 4))
    leaf = Tensor(array)
    mean = leaf.mean(axis, keepdims)
    mean.sum().backward()
    assert np.allclose(mean.data, array.mean(axis=axis, keepdims=keepdims), atol=1e-15)
    assert mean.shape == array.mean(axis=axis, keepdims=keepdims).shape
    assert np.allclose(leaf.grad, mean.data.size / array.size)


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "whole numbers": (lambda: Tensor([1, 2]), "Write 2.0 for 2"),
    "a text": (lambda: Tensor("two"), "only floats"),
    "nothing": (lambda: Tensor([]), "at least one"),
    "NaN": (lambda: Tensor(float("nan")), "Data holds NaN"),
    "infinity": (lambda: Tensor([1.0, np.inf]), "Data holds NaN or infinity"),
    "a text to add": (lambda: Tensor(1.0) + "a", "only floats"),
    "a logarithm of minus one": (lambda: Tensor(-1.0).log(), "result of log"),
    "a division by zero": (lambda: Tensor(1.0) / 0, "NaN or infinity"),
    "a power of ten thousand": (lambda: Tensor(10_000.0).exp(), "result of exp"),
    "a product out of range": (lambda: Tensor(1e300) * 1e300, r"result of \*"),
    "the root at zero": ((Tensor(0.0) ** 0.5).backward, "derivative of"),
    "a tensor as exponent": (lambda: Tensor(2.0) ** Tensor(2.0), "use exp and log"),
    "shapes to add": (lambda: Tensor([1.0, 2.0]) + np.ones(3), r"\(2,\) and \(3,\)"),
    "shapes to multiply": (lambda: Tensor([1.0, 2.0]) * [1.0, 2.0, 3.0], "do not fit"),
    "matrices that do not fit": (lambda: Tensor([[1.0, 2.0]]) @ [[1.0, 2.0]], "two matrices"),
    "a vector as matrix": (lambda: Tensor([1.0]) @ Tensor([1.0]), "two matrices"),
    "backward from several": (lambda: Tensor([1.0, 2.0]).backward(), "sum or mean"),
    "a gradient of another shape": (lambda: Tensor([1.0]).backward([1.0, 2.0]), r"must be \(1,\)"),
    "a gradient of NaN": (lambda: Tensor(1.0).backward(np.nan), "Gradient holds NaN"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_input_is_refused_with_advice(name: str) -> None:
    call, message = WRONG[name]
    with pytest.raises(ValueError, match=message):
        call()
