import asyncio
from collections.abc import Sequence

import pytest

from services.retrieval.encoder.micro_batches import MicroBatcher
from services.serving.errors import Unavailable

NEVER_S = 3600.0


class Doubler:
    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    async def __call__(self, batch: list[int]) -> Sequence[int]:
        self.batches.append(batch)
        await asyncio.sleep(0)
        return [2 * item for item in batch]


async def test_a_lone_caller_never_waits_for_others() -> None:
    double = Doubler()
    batcher = MicroBatcher[int, int](double, max_batch=8, max_waiting=8, max_wait_s=NEVER_S)
    assert await batcher.submit([1]) == [2]
    await batcher.close()


async def test_a_batch_waits_for_what_is_known_to_come() -> None:
    double = Doubler()
    batcher = MicroBatcher[int, int](double, max_batch=2, max_waiting=8, max_wait_s=NEVER_S, coming=lambda: True)
    first = asyncio.create_task(batcher.submit([1]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not double.batches
    assert await batcher.submit([2]) == [4]
    assert await first == [2]
    assert double.batches == [[1, 2]]
    await batcher.close()


async def test_a_batch_does_not_wait_for_long() -> None:
    batcher = MicroBatcher[int, int](Doubler(), max_batch=2, max_waiting=8, max_wait_s=0.01, coming=lambda: True)
    assert await batcher.submit([1]) == [2]
    await batcher.close()


async def test_no_batch_is_larger_than_allowed_and_order_is_kept() -> None:
    double = Doubler()
    batcher = MicroBatcher[int, int](double, max_batch=3, max_waiting=100)
    assert await batcher.submit(range(8)) == [2 * item for item in range(8)]
    assert [len(batch) for batch in double.batches] == [3, 3, 2]
    await batcher.close()


async def test_what_nobody_waits_for_any_more_is_not_computed() -> None:
    double = Doubler()
    batcher = MicroBatcher[int, int](double, max_batch=1, max_waiting=100)
    running, given_up, kept = (asyncio.create_task(batcher.submit([item])) for item in range(3))
    await asyncio.sleep(0)
    given_up.cancel()
    assert [await running, await kept] == [[0], [4]]
    assert double.batches == [[0], [2]]
    await batcher.close()


async def test_a_closed_batcher_takes_nothing() -> None:
    batcher = MicroBatcher[int, int](Doubler(), max_batch=1, max_waiting=1)
    await batcher.close()
    with pytest.raises(Unavailable):
        await batcher.submit([1])
