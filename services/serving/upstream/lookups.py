"""Look-ups of host names: each has a time limit, and one that takes longer doesn't delay a new one.

A name server that forwards to another one that is away answers for a name that doesn't exist yet after half a minute or
more, while it answers at once as soon as the name exists.
"""

import asyncio
import threading
from contextlib import suppress

from services.serving.upstream.addresses import Found, host_name, look_up

_LIMIT_S = 2.0
"""Time that `resolve` waits for an answer."""
_BESIDE = 16
"""Look-ups of one name that may run at the same time."""


class LookUps:
    """Looks up host names, again and again."""

    def __init__(self) -> None:
        self._running: dict[str, list[asyncio.Future[Found]]] = {}

    async def resolve(self, target: str) -> Found:
        """The ip:port addresses of a host:port; None if it can't be looked up, or not within two seconds.

        A look-up that takes longer continues: its answer counts in a later call, unless a newer one has answered.
        """
        if not host_name(target):
            return [target]
        running = self._running.pop(target, [])
        if len(running) < _BESIDE:
            running.append(_in_thread(target))
        await asyncio.wait(running, timeout=_LIMIT_S, return_when=asyncio.FIRST_COMPLETED)
        done = [place for place, answer in enumerate(running) if answer.done()]
        if not done:
            self._running[target] = running
            return None
        self._running[target] = running[done[-1] + 1 :]  # older ones would say what was true before
        return running[done[-1]].result()


def _in_thread(target: str) -> asyncio.Future[Found]:
    # A pool would be full of look-ups that take long, and wait for them at the end of the process.
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[Found] = loop.create_future()

    def deliver(found: Found) -> None:
        if not answer.done():
            answer.set_result(found)

    def run() -> None:
        found = look_up(target)
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(deliver, found)

    threading.Thread(target=run, name=f"look up {target}", daemon=True).start()
    return answer
