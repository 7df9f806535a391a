"""Processes that an engine spawns, and the thread that they are spawned from.

Light on purpose: each spawned process imports this first.
"""

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import Callable
from typing import TypeVar

from services.serving.process_flags import end_with_parent

ResultT = TypeVar("ResultT")


def leave_process_group() -> None:
    """Takes a spawned process out of the server's process group, and has it end when its parent does.

    A container runtime or a terminal signals the whole group. vLLM's processes would exit at once, while the server
    still drains. And if the server is killed with SIGKILL it can't end them: orphans would keep the model's memory.
    """
    os.setpgid(0, 0)
    end_with_parent(signal.SIGKILL)


async def in_lasting_thread(load: Callable[[], ResultT]) -> ResultT:
    """Runs a long blocking call in a thread that lasts as long as the process.

    A daemon thread, so that a signal can end the process while the call lasts. It lasts because the processes that it
    spawned are killed when it ends: the kernel takes the death of the spawning thread for the death of the parent.
    """
    loop = asyncio.get_running_loop()
    result: asyncio.Future[ResultT] = loop.create_future()

    def succeed(value: ResultT) -> None:
        if not result.done():
            result.set_result(value)

    def fail(error: BaseException) -> None:
        if not result.done():
            result.set_exception(error)

    def work() -> None:
        with contextlib.suppress(RuntimeError):  # a loop that was closed meanwhile: the server is ending
            try:
                value = load()
            except BaseException as error:  # handed over to the waiting task
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, value)
        threading.Event().wait()

    threading.Thread(target=work, name="load-model", daemon=True).start()
    return await result
