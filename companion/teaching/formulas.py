"""Formulas as text, and the slopes that the engine of backpropagation finds for them."""

from __future__ import annotations

import ast
import operator
from typing import Any

from companion._common.checking import UsageError, check_text
from companion.teaching.autodiff import Tensor

__all__ = ["differentiate"]

_OPERATORS: dict[type[ast.operator], Any] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_FUNCTIONS = ("exp", "log", "relu", "sigmoid", "tanh")
_MOST_CHARACTERS = 2_000


def differentiate(formula: str) -> dict[str, tuple[float, float]]:
    """Computes a formula, and the slope of its result for each name in it.

    Args:
        formula: str. Lines, or parts between semicolons, such as `x = 2` and `y = tanh(x) ** 2`.
            An expression has numbers, names set before it, `+ - * /`, brackets, `**` with a number
            and `exp`, `log`, `relu`, `sigmoid` or `tanh`. The last line is the result, and needs no
            name.

    Returns:
        A dict from each name, the result's last, to its value and to the slope: by how much the
        result changes for a small change of it, divided by that change. A result without a name is
        called `"result"`.

    Raises:
        ValueError: If the formula is empty, too long, or none, a name is set twice or never, or a
            number on the way is not finite.

    Example:

    >>> differentiate("x = 2; w = 0.5; (x * w - 3) ** 2")["w"]
    (0.5, -8.0)
    """
    if len(check_text("formula", formula)) > _MOST_CHARACTERS:
        raise UsageError(
            f"The formula has {len(formula):,} characters; give at most {_MOST_CHARACTERS:,}."
        )
    known: dict[str, Tensor] = {}
    if "\0" in formula:
        raise UsageError("This is no formula: it holds a null byte. Write it as x = 2; x * x")
    try:
        lines = [part.strip() for line in formula.splitlines() for part in line.split(";")]
        statements = ast.parse("\n".join(lines)).body
        for number, statement in enumerate(statements, 1):
            name, expression = _split(statement, is_last=number == len(statements))
            if name in known or name in _FUNCTIONS:
                raise UsageError(f"{name!r} is set twice, or is a function; take another name.")
            known[name] = _compute(expression, known)
    except (SyntaxError, RecursionError, MemoryError, OverflowError) as error:
        problem = getattr(error, "msg", error)
        raise UsageError(
            f"This is no formula: {problem}. Write, for example, x = 2; x * x"
        ) from None
    if not known:
        raise UsageError("There is no formula; write, for example, x = 2; x * x")
    list(known.values())[-1].backward()
    slopes = {name: 0.0 if one.grad is None else float(one.grad) for name, one in known.items()}
    return {name: (float(one.data), slopes[name]) for name, one in known.items()}


def _split(statement: ast.stmt, *, is_last: bool) -> tuple[str, ast.expr]:
    match statement:
        case ast.Assign(targets=[ast.Name(id=name)], value=expression):
            return name, expression
        case ast.Expr(value=expression) if is_last:
            return "result", expression
    raise UsageError(
        f"{ast.unparse(statement)!r} gives no name a value; only the last line may do without one."
    )


def _compute(expression: ast.expr, known: dict[str, Tensor]) -> Tensor:
    if (number := _number(expression)) is not None:
        return Tensor(number)
    match expression:
        case ast.Name(id=name):
            return _value(name, known)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_compute(operand, known)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _compute(operand, known)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _compute(left, known) ** _exponent(right)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in _OPERATORS:
            made: Tensor = _OPERATORS[type(sign)](_compute(left, known), _compute(right, known))
            return made
        case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in _FUNCTIONS:
            called: Tensor = getattr(_compute(argument, known), name)()
            return called
    raise UsageError(
        f"{ast.unparse(expression)!r} is not known here; there are + - * / ** and "
        f"{', '.join(_FUNCTIONS)} of one number."
    )


def _number(expression: ast.expr) -> float | None:
    """Returns the number that is written there, or nothing."""
    match expression:
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant() as written):
            number = _number(written)
            return None if number is None else -number
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
    return None


def _exponent(expression: ast.expr) -> float:
    if (number := _number(expression)) is not None:
        return number
    raise UsageError(
        f"An exponent must be a number, not {ast.unparse(expression)!r}; use exp and log."
    )


def _value(name: str, known: dict[str, Tensor]) -> Tensor:
    if name in known:
        return known[name]
    raise UsageError(f"{name!r} has no value yet; set it in a line before, such as {name} = 2.")
