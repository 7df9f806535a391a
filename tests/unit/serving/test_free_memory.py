"""Memory that is free goes back to the system."""

import asyncio
import subprocess
import sys

import pytest

from services.serving import free_memory

PROGRAM = """
import asyncio, sys, threading
from services.serving import free_memory

free_memory._LOOK_S = 0.05

async def main():
    trimming = asyncio.create_task(free_memory.give_back())
    await asyncio.sleep(0)
    begin = free_memory._resident()
    # Small blocks, freed but for the last: the allocator can't give back what lies below it by itself.
    blocks = [bytearray(60_000) for _ in range(2_000)]
    last = blocks[-1]
    blocks.clear()
    freed = free_memory._resident()
    if sys.argv[1] == "trimmed":
        await asyncio.sleep(1)
    print(freed - begin, free_memory._resident() - begin, trimming.done())

asyncio.run(main())
"""


def grown(how: str) -> tuple[int, int, bool]:
    """Growth after blocks were freed, and then, in bytes; whether the task has ended."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True, timeout=60)
    freed, then, ended = ran.stdout.split()
    return int(freed), int(then), ended == "True"


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_what_was_freed_is_given_back() -> None:
    freed, then, ended = grown("trimmed")
    assert freed > 50 * 2**20
    assert then < freed / 4
    assert not ended
    freed, then, _ = grown("kept")
    assert then > freed / 2


async def test_a_process_that_does_not_grow_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    trimmed: list[int] = []
    sizes = iter([100, 100, 90, 93, 95, 90] + [90] * 1000)
    monkeypatch.setattr(free_memory, "_resident", lambda: next(sizes) * 2**20)
    monkeypatch.setattr(free_memory, "_LOOK_S", 0.001)

    class Library:
        def malloc_trim(self, _: int) -> None:
            trimmed.append(0)

    monkeypatch.setattr(free_memory.ctypes, "CDLL", lambda _: Library())
    trimming = asyncio.create_task(free_memory.give_back())
    await asyncio.sleep(0.2)
    trimming.cancel()
    assert len(trimmed) == 1  # at 95: 5 MiB more than the least before
