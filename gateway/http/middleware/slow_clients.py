"""Callers that send or read too slowly, so that they don't keep places from others."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.types import Message, Receive, Send

from gateway.http.problems import HttpError
from services.serving.errors import InvalidArgument

_LEAST_BYTES_PER_S = 8192
"""How fast a body must come and be taken, in bytes per second, beside the time that is allowed in any case."""
_STALLED_S = 1.0
"""How long a body must have brought nothing to give way where others wait for a place."""


@dataclass(eq=False)
class _Waiting:
    """A request that waits for the next chunk of its body."""

    since: float
    limit: asyncio.Timeout


class TooSlow(Exception):
    """The caller reads its answer too slowly."""


class Pace:
    """Limits how long callers may take.

    Args:
        slow_s: Seconds that a body may take beside the time that its bytes need at the least rate.
    """

    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s
        self._waiting: set[_Waiting] = set()

    def arriving(self, receive: Receive) -> Receive:
        """The same, refusing a body that comes too slowly; what follows the body may take any time.

        Raises:
            HttpError: With 408, when it is called.
        """
        began: float | None = None
        received, whole = 0, False

        async def arriving() -> Message:
            nonlocal began, received, whole
            if whole:
                return await receive()
            now = asyncio.get_running_loop().time()
            began = now if began is None else began
            limit = asyncio.timeout_at(began + self._slow_s + received / _LEAST_BYTES_PER_S)
            waiting = _Waiting(now, limit)
            try:
                async with limit:
                    self._waiting.add(waiting)
                    message = await receive()
            except TimeoutError as error:
                if not limit.expired():
                    raise
                raise _too_slow() from error
            finally:
                self._waiting.discard(waiting)
            received += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            return message

        return arriving

    def make_room(self) -> bool:
        """Has the request whose body has brought nothing for longest end; whether there was one."""
        now = asyncio.get_running_loop().time()
        slowest = min(self._waiting, key=lambda waiting: waiting.since, default=None)
        if slowest is None or now - slowest.since < _STALLED_S:
            return False
        self._waiting.discard(slowest)
        slowest.limit.reschedule(now)
        return True

    async def send(self, send: Send, message: Message) -> None:
        """Sends a message of an answer.

        Raises:
            TooSlow: If the caller doesn't take it.
        """
        body: Any = message.get("body") or message.get("bytes") or message.get("text") or b""
        limit = asyncio.timeout(self._slow_s + len(body) / _LEAST_BYTES_PER_S)
        try:
            async with limit:
                await send(message)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise TooSlow from error


def _too_slow() -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_TIMEOUT,
        InvalidArgument("body", "did not arrive in time; send it without pauses", reason="BODY_TOO_SLOW"),
        {"Connection": "close"},
    )
