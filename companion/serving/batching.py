"""Work that waits in a queue and is computed in batches, in a thread of its own.

Nothing here knows what the work is or who sends it. A batch costs little more than one item, so
what waits together is computed together; what nobody waits for any more is not computed at all.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["Batcher", "OverloadError"]

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class OverloadError(Exception):
    """Work that is not done because too much of it waits, or because it has waited too long."""


@dataclass(frozen=True)
class _Job(Generic[Item, Answer]):
    items: Sequence[Item]
    answer: Future[Sequence[Answer]] = field(default_factory=Future)


class Batcher(Generic[Item, Answer]):
    """Computes what several senders ask for, together and in the order of their asking.

    A sender that is cancelled, or has waited too long, is forgotten before its items are computed.
    If a batch fails, each sender's items are tried alone, so that only the guilty one fails.

    Args:
        compute: Callable from a list of items to a sequence of as many answers. It runs in one
            thread, one call at a time.
        batch_items: int. Items of one batch, at most; a sender's items are never parted, so one
            that sends more gets a batch of its own. Defaults to 64.
        waiting: int. Senders that may wait; one more is refused. Defaults to 256.
        seconds: float. How long a sender waits. Defaults to 10.
        observe: Callable. Is given the number of items of each batch that was computed. By default
            it does nothing.

    Example:

    >>> async def double_all():
    ...     batcher = Batcher(lambda numbers: [2 * number for number in numbers])
    ...     try:
    ...         return await asyncio.gather(batcher.submit([1, 2]), batcher.submit([5]))
    ...     finally:
    ...         batcher.close()
    >>> asyncio.run(double_all())
    [[2, 4], [10]]
    """

    def __init__(
        self,
        compute: Callable[[list[Item]], Sequence[Answer]],
        *,
        batch_items: int = 64,
        waiting: int = 256,
        seconds: float = 10.0,
        observe: Callable[[int], object] = lambda items: None,
    ) -> None:
        self._compute, self._observe = compute, observe
        self._batch_items, self._most_waiting, self._seconds = batch_items, waiting, seconds
        self._jobs: deque[_Job[Item, Answer]] = deque()
        self._changed, self._closed = threading.Condition(), False
        # A daemon: a model that never returns must not keep the process from ending.
        threading.Thread(target=self._work, daemon=True, name="batches").start()

    async def submit(self, items: Sequence[Item]) -> Sequence[Answer]:
        """Returns the answers to some items when their batch has been computed.

        Args:
            items: Sequence of items.

        Returns:
            Sequence of as many answers, in the same order.

        Raises:
            OverloadError: If too many senders wait, or this one has waited too long.
            Exception: What `compute` raises for these items.
        """
        job: _Job[Item, Answer] = _Job(items)
        with self._changed:
            if len(self._jobs) >= self._most_waiting:  # some may have been given up
                self._jobs = deque(job for job in self._jobs if not job.answer.cancelled())
            if self._closed or len(self._jobs) >= self._most_waiting:
                raise OverloadError("Too many requests wait: try again in a second.")
            self._jobs.append(job)
            self._changed.notify()
        try:
            # Cancels the job's answer when it gives up, and with it the job.
            return await asyncio.wait_for(asyncio.wrap_future(job.answer), self._seconds)
        except TimeoutError:
            if job.answer.done() and not job.answer.cancelled():
                raise  # by compute itself
            raise OverloadError(
                f"No answer within {self._seconds:g} s: send less at a time, or try again later."
            ) from None

    def close(self) -> None:
        """Takes no more work, and ends the thread when the batch that it computes is done."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.answer.cancel()
            self._changed.notify()

    def _work(self) -> None:
        while batch := self._take():
            self._answer(batch)

    def _take(self) -> list[_Job[Item, Answer]]:
        """Waits for work and returns a batch of it; an empty one says that there will be none."""
        batch: list[_Job[Item, Answer]] = []
        with self._changed:
            while not batch and not self._closed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                room = self._batch_items
                while self._jobs and (not batch or len(self._jobs[0].items) <= room):
                    job = self._jobs.popleft()
                    if job.answer.set_running_or_notify_cancel():  # somebody still waits
                        batch.append(job)
                        room -= len(job.items)
        return batch

    def _answer(self, batch: list[_Job[Item, Answer]]) -> None:
        items = [item for job in batch for item in job.items]
        try:
            answers = self._compute(items)
            if len(answers) != len(items):
                raise ValueError(f"{len(items)} items were given and {len(answers)} answered.")
        except Exception as error:
            if len(batch) == 1:
                batch[0].answer.set_exception(error)
                return
            for job in batch:
                self._answer([job])
            return
        self._observe(len(items))
        start = 0
        for job in batch:
            job.answer.set_result(answers[start : start + len(job.items)])
            start += len(job.items)
