"""What waits is computed together, and what nobody waits for is not computed."""

from __future__ import annotations

import asyncio
import threading

import pytest

from companion.serving.batching import Batcher, OverloadError


class Gated:
    """Doubles numbers once its gate is open, and notes each batch."""

    def __init__(self):
        self.batches = []
        self.gate, self.entered = threading.Event(), threading.Event()

    def __call__(self, numbers):
        self.entered.set()
        assert self.gate.wait(30)
        self.batches.append(list(numbers))
        return [2 * number for number in numbers]


def run(scene, compute, **settings):
    """Runs a scene with a batcher whose thread is ended after it."""

    async def play():
        batcher = Batcher(compute, **settings)
        try:
            return await scene(batcher)
        finally:
            batcher.close()

    return asyncio.run(play())


async def busy_with(batcher, compute, number):
    """Returns a task whose batch is being computed."""
    task = asyncio.create_task(batcher.submit([number]))
    await asyncio.to_thread(compute.entered.wait, 30)
    return task


async def waiting(batcher, *jobs):
    """Returns tasks that have all asked."""
    tasks = [asyncio.create_task(batcher.submit(job)) for job in jobs]
    await asyncio.sleep(0)
    return tasks


def test_what_waits_while_the_model_works_is_one_batch_and_each_gets_its_own():
    compute = Gated()

    async def scene(batcher):
        first = await busy_with(batcher, compute, 0)
        others = await waiting(batcher, *([n, -n] for n in range(1, 21)))
        compute.gate.set()
        return await asyncio.gather(first, *others)

    assert run(scene, compute) == [[0], *([2 * n, -2 * n] for n in range(1, 21))]
    assert list(map(len, compute.batches)) == [1, 40]


def test_a_batch_holds_no_more_than_it_may_and_parts_no_senders_items():
    compute = Gated()

    async def scene(batcher):
        first = await busy_with(batcher, compute, 0)
        others = await waiting(batcher, [1, 2], [3, 4], [5], [6] * 9, [7])
        compute.gate.set()
        await asyncio.gather(first, *others)

    run(scene, compute, batch_items=4)
    assert compute.batches == [[0], [1, 2, 3, 4], [5], [6] * 9, [7]]


def test_a_sender_that_gives_up_while_waiting_is_not_computed():
    compute = Gated()

    async def scene(batcher):
        first = await busy_with(batcher, compute, 0)
        gone, stays = await waiting(batcher, [1], [2])
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        compute.gate.set()
        return await asyncio.gather(first, stays)

    assert run(scene, compute) == [[0], [4]]
    assert compute.batches == [[0], [2]]


def test_a_sender_that_has_waited_too_long_is_told_so_and_not_computed():
    compute, computed = Gated(), threading.Event()

    def double(numbers):
        answers = compute(numbers)
        if 2 in numbers:
            computed.set()
        return answers

    async def scene(batcher):
        with pytest.raises(OverloadError, match=r"No answer within 0\.05 s"):
            await (await busy_with(batcher, compute, 0))
        with pytest.raises(OverloadError, match="No answer within"):
            await batcher.submit([1])
        compute.gate.set()
        while not computed.is_set():  # this may wait too long itself, on a busy machine
            await asyncio.gather(batcher.submit([2]), return_exceptions=True)

    run(scene, double, seconds=0.05)
    assert compute.batches[:2] == [[0], [2]]


def test_too_many_waiting_are_refused_and_those_who_gave_up_make_room():
    compute = Gated()

    async def scene(batcher):
        first = await busy_with(batcher, compute, 0)
        gone, stays = await waiting(batcher, [1], [2])
        with pytest.raises(OverloadError, match="Too many requests wait"):
            await batcher.submit([3])
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        (late,) = await waiting(batcher, [4])
        compute.gate.set()
        return await asyncio.gather(first, stays, late)

    assert run(scene, compute, waiting=2) == [[0], [4], [8]]


def test_only_the_guilty_of_a_batch_fails():
    compute = Gated()

    def divide(numbers):
        compute(numbers)
        return [1 / number for number in numbers]

    async def scene(batcher):
        first = await busy_with(batcher, compute, 1)
        others = await waiting(batcher, [2], [0], [4])
        compute.gate.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, second, guilty, fourth = run(scene, divide)
    assert (first, second, fourth) == ([1], [0.5], [0.25])
    assert isinstance(guilty, ZeroDivisionError)


def test_a_timeout_of_the_computation_itself_is_passed_on():
    def late(numbers):
        raise TimeoutError("the disk")

    with pytest.raises(TimeoutError, match="the disk"):
        run(lambda batcher: batcher.submit([1]), late)


def test_as_many_answers_as_items_are_expected():
    with pytest.raises(ValueError, match="2 items were given and 1 answered"):
        run(lambda batcher: batcher.submit([1, 2]), lambda numbers: [1])


def test_nothing_is_taken_after_the_end():
    async def scene(batcher):
        batcher.close()
        await batcher.submit([1])

    with pytest.raises(OverloadError):
        run(scene, lambda numbers: numbers)
