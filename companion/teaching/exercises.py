"""Exercises whose checker knows the wrong answers too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from companion._common.checking import check_text

__all__ = ["Exercise"]


class Exercise:
    """An exercise that checks an answer and says what is wrong with it.

    The checker is checked in its turn: an exercise cannot be made unless it accepts its own
    solution and rejects every mistake that it knows.

    Args:
        name: str. What the exercise is called.
        accepts: callable. Takes an answer; returns `None` if it is right, and otherwise a sentence
            that says what is wrong. An exception in it counts as a wrong answer.
        solution: Any answer that is right.
        wrong: dict from a description of a mistake to an answer that makes it, at least one.

    Raises:
        AssertionError: If the solution is rejected or a wrong answer accepted.
        ValueError: If `wrong` is empty.

    Example:
        >>> exercise = Exercise(
        ...     "two thirds",
        ...     accepts=lambda x: None if abs(x - 2 / 3) < 0.01 else "divide great reviews by all.",
        ...     solution=2 / 3,
        ...     wrong={"the other class": 1 / 3},
        ... )
        >>> exercise(...)
        Your turn: replace … with your answer.
        >>> exercise(0.5)
        Not yet: divide great reviews by all.
        >>> exercise(0.667)
        Right: two thirds.
    """

    def __init__(
        self,
        name: str,
        *,
        accepts: Callable[[Any], str | None],
        solution: Any,
        wrong: Mapping[str, Any],
    ) -> None:
        self.name = check_text("name", name)
        self._accepts = accepts
        if not wrong:
            raise ValueError(
                f"Exercise {name!r} needs wrong={{mistake: answer}} with at least one wrong "
                "answer, which proves that its checker can say no."
            )
        problem = self.check(solution)
        if problem is not None:
            raise AssertionError(f"Exercise {name!r} rejects its own solution: {problem}")
        for mistake, answer in wrong.items():
            if self.check(answer) is None:
                raise AssertionError(f"Exercise {name!r} accepts the wrong answer {mistake!r}.")

    def check(self, answer: Any) -> str | None:
        """Checks an answer without printing.

        Args:
            answer: Whatever the exercise asks for.

        Returns:
            `None` if it is right, otherwise a str that says what is wrong.

        Raises:
            TypeError: If `accepts` returned neither `None` nor a text.
        """
        try:
            problem = self._accepts(answer)
        except Exception as error:  # any answer may come, and any of them deserves words
            return f"the answer could not be checked ({type(error).__name__}: {error})."
        if problem is not None and not (isinstance(problem, str) and problem.strip()):
            raise TypeError(
                f"accepts of exercise {self.name!r} must return None or a text, not {problem!r}."
            )
        return problem

    def __call__(self, answer: Any) -> None:
        """Prints whether the answer is right, and what is wrong if not."""
        if answer is ...:
            print("Your turn: replace … with your answer.")
            return
        problem = self.check(answer)
        print(f"Right: {self.name}." if problem is None else f"Not yet: {problem}")
