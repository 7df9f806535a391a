import asyncio
from contextlib import aclosing

import pytest

from gateway.protocols.ordered import in_order


async def test_results_come_in_the_items_order_whichever_is_done_first() -> None:
    done: list[int] = []

    async def work(item: int) -> int:
        await asyncio.sleep(0.03 if item == 0 else 0)
        done.append(item)
        return item * 10

    assert [result async for result in in_order(range(5), work, 3)] == [0, 10, 20, 30, 40]
    assert done[0] != 0


async def test_no_more_than_the_width_are_worked_on_or_kept() -> None:
    begun = 0

    async def work(item: int) -> int:
        nonlocal begun
        begun += 1
        return item

    async with aclosing(in_order(range(100), work, 4)) as results:
        assert await anext(results) == 0
        await asyncio.sleep(0.02)
        assert begun == 4
        assert await anext(results) == 1
        await asyncio.sleep(0.02)
        assert begun <= 5


async def test_an_error_cancels_the_rest() -> None:
    cancelled: list[int] = []

    async def work(item: int) -> int:
        if item == 0:
            raise ValueError("first")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise
        return item

    with pytest.raises(ValueError, match="first"):
        async for _ in in_order(range(10), work, 3):
            pass
    assert set(cancelled) <= {1, 2}


async def test_nothing_in_gives_nothing() -> None:
    async def work(item: int) -> int:
        return item

    assert [result async for result in in_order([], work, 3)] == []
