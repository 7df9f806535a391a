"""Calls that come together run together."""

import asyncio
import threading
from collections.abc import Sequence

import pytest

from services.retrieval.batching import Batcher, LoopBatcher
from services.serving.errors import ResourceExhausted, Unavailable


class Squares:
    """Squares numbers, once the gate is open; a negative one fails."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(numbers))
        self.gate.wait()
        return [ValueError(number) if number < 0 else number * number for number in numbers]


async def started(squares: Squares, batches: int) -> None:
    while len(squares.batches) < batches:
        await asyncio.sleep(0.001)


async def test_calls_that_come_while_a_batch_runs_form_the_next_one() -> None:
    squares = Squares()
    batcher = Batcher[int, int](squares, name="test", max_batch=3)
    first = asyncio.create_task(batcher.submit(1))
    await started(squares, 1)
    others = [asyncio.create_task(batcher.submit(number)) for number in (2, 3, 4, 5)]
    await asyncio.sleep(0)
    squares.gate.set()
    assert await asyncio.gather(first, *others) == [1, 4, 9, 16, 25]
    assert squares.batches == [[1], [2, 3, 4], [5]]
    await batcher.close()


async def test_a_failed_item_fails_alone() -> None:
    squares = Squares()
    squares.gate.set()
    batcher = Batcher[int, int](squares, name="test", max_batch=8)
    results = await asyncio.gather(*(batcher.submit(number) for number in (1, -2, 3)), return_exceptions=True)
    assert [results[0], results[2]] == [1, 9]
    assert isinstance(results[1], ValueError)
    await batcher.close()


async def test_those_who_gave_up_are_left_out() -> None:
    squares = Squares()
    batcher = Batcher[int, int](squares, name="test", max_batch=8)
    first = asyncio.create_task(batcher.submit(1))
    await started(squares, 1)
    gone = asyncio.create_task(batcher.submit(2))
    last = asyncio.create_task(batcher.submit(3))
    await asyncio.sleep(0)
    gone.cancel()
    squares.gate.set()
    assert await asyncio.gather(first, last) == [1, 9]
    assert squares.batches == [[1], [3]]
    await batcher.close()


async def test_too_many_that_wait_are_refused() -> None:
    squares = Squares()
    batcher = Batcher[int, int](squares, name="test", max_batch=1, max_waiting=2)
    waiting = [asyncio.create_task(batcher.submit(number)) for number in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted):
        await batcher.submit(9)
    squares.gate.set()
    await asyncio.gather(*waiting)
    await batcher.close()
    with pytest.raises(Unavailable):
        await batcher.submit(1)


async def test_calls_of_one_turn_of_the_loop_are_one_batch_and_each_gets_its_result() -> None:
    batches: list[list[int]] = []

    def squares_of(numbers: Sequence[int]) -> list[int]:
        batches.append(list(numbers))
        return [number * number for number in numbers]

    batcher = LoopBatcher[int, int](squares_of, max_batch=3)
    assert await asyncio.gather(*map(batcher.submit, range(5))) == [0, 1, 4, 9, 16]
    assert batches == [[0, 1, 2], [3, 4]]
    assert await batcher.submit(6) == 36


async def test_a_batch_that_fails_in_the_loop_fails_for_its_callers_alone() -> None:
    def roots(numbers: Sequence[int]) -> list[float]:
        if min(numbers) < 0:
            raise ValueError("negative")
        return [number**0.5 for number in numbers]

    batcher = LoopBatcher[int, float](roots, max_batch=1)
    bad, good = await asyncio.gather(batcher.submit(-1), batcher.submit(4), return_exceptions=True)
    assert isinstance(bad, ValueError)
    assert good == 2


async def test_a_closed_or_full_batcher_of_the_loop_refuses() -> None:
    batcher = LoopBatcher[int, int](list, max_batch=1, max_waiting=1)
    first, second = await asyncio.gather(batcher.submit(1), batcher.submit(2), return_exceptions=True)
    assert first == 1
    assert isinstance(second, ResourceExhausted)
    batcher.close()
    with pytest.raises(Unavailable):
        await batcher.submit(1)
