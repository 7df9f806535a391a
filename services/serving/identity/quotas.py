"""What one caller may use: requests and images a minute, and calls at a time.

A bucket of tokens fills evenly and holds a minute's worth, so that a pause can be made up for at once. A request beyond
it is refused and told when to come again. A stream of images waits instead: its calls hold one image at a time, and
gRPC tells its caller to send no more.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, AsyncIterator
from functools import lru_cache
from typing import Any, NamedTuple

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message

from axia.identity.keys import Quota
from services.serving.errors import ResourceExhausted
from services.serving.identity.principal import Principal
from services.serving.in_flight import InFlight

_IMAGE = "axia.v1.Image"
_UNBOUNDED = Quota()
_CALLERS = 10_000
"""Callers that are remembered; those that were idle for longest are forgotten first."""
_ROUNDING = 1e-9
_CALL_S = 1.0
"""Pause after which to try again where too many calls are in flight: when one ends is not known."""


class Bucket:
    """Tokens that fill evenly. What is taken may be more than it holds when it is full, and is paid back afterwards.

    Args:
        a_minute: Tokens a minute, and those that it holds; None for no bound.
    """

    def __init__(self, a_minute: int | None) -> None:
        self.most = a_minute
        self._tokens = float(a_minute or 0)
        self._at = time.monotonic()

    def take(self, count: int) -> float:
        """Takes tokens; returns 0, or the seconds until that many are there, and then takes none."""
        if self.most is None or count <= 0:
            return 0.0
        now, a_second = time.monotonic(), self.most / 60
        self._tokens = min(self._tokens + (now - self._at) * a_second, self.most)
        self._at = now
        lacking = min(count, self.most) - self._tokens
        if lacking > _ROUNDING:
            return lacking / a_second
        self._tokens -= count
        return 0.0

    @property
    def left(self) -> int:
        """Whole tokens that were there last."""
        return max(math.floor(self._tokens), 0)


class Usage:
    """What one caller has used.

    Args:
        quota: Its bounds.
    """

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self.requests = Bucket(quota.requests_per_minute)
        self.images = Bucket(quota.images_per_minute)
        self.calls = InFlight(quota.calls_in_flight) if quota.calls_in_flight else InFlight()

    def begin(self) -> None:
        """Counts a call. Raises ResourceExhausted if it is one too many; otherwise `calls.end` belongs to its end."""
        if self.calls.full:
            raise ResourceExhausted(
                f"{self.calls.most:,} calls of yours are in flight, and you may have no more at a time; wait until one "
                "ends",
                reason="CALLER_CALLS",
                retry_after_s=_CALL_S,
                metadata=_told(self.calls.most, 0, _CALL_S),
            )
        self._take(self.requests, 1, "requests")
        self.calls.begin()

    def _take(self, bucket: Bucket, count: int, what: str) -> None:
        wait_s = bucket.take(count)
        if wait_s:
            most = bucket.most or 0
            raise ResourceExhausted(
                f"you may send {most:,} {what} a minute, and have; try again in {wait_s:.1f} s",
                reason=f"CALLER_{what.upper()}",
                retry_after_s=wait_s,
                metadata=_told(most, bucket.left, wait_s),
            )

    async def charge(self, method: str, request: Any) -> Any:
        """The request, or the requests, of a call, its images counted. Raises ResourceExhausted if they are too many.

        Args:
            method: Full name of the method.
            request: A message, the bytes of one that is passed on unread, or an iterator of either.
        """
        kind = _kind(method)
        if self.images.most is None or not kind.carries_images:
            return request
        if not isinstance(request, AsyncIterator):
            self._take(self.images, _images_in(request), "images")
            return request
        if kind.streams:
            return self._in_time(request)
        first = await anext(request, None)  # on the wire a unary call is a stream of one message
        if first is not None:
            self._take(self.images, _images_in(first), "images")
        return _beginning_with(first, request)

    async def _in_time(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for request in requests:
            images = _images_in(request)
            while wait_s := self.images.take(images):  # noqa: ASYNC110 - time alone fills a bucket
                await asyncio.sleep(wait_s)
            yield request


class Quotas:
    """The usage of all callers.

    Args:
        usual: Bounds of those that have none of their own.
    """

    def __init__(self, usual: Quota) -> None:
        self._usual = usual
        self._bounds_all = usual != _UNBOUNDED
        self._usages: OrderedDict[str, Usage] = OrderedDict()

    def of(self, caller: Principal) -> Usage | None:
        """The usage of a caller; None if nothing bounds it."""
        if caller.quota is None and not self._bounds_all:
            return None
        quota = self._usual if caller.quota is None else self._usual.with_own(caller.quota)
        name = f"{caller.credential}\0{caller.name}"
        found = self._usages.get(name)
        if found is None or found.quota != quota:
            calls = found.calls if found else None
            found = self._usages[name] = Usage(quota)
            if calls is not None:  # those in flight end there
                calls.most, found.calls = found.calls.most, calls
            self._forget()
        self._usages.move_to_end(name)
        return found

    def _forget(self) -> None:
        if len(self._usages) > _CALLERS:
            idle = next((name for name, usage in self._usages.items() if not usage.calls.count), None)
            if idle is not None:
                del self._usages[idle]


class _Kind(NamedTuple):
    carries_images: bool
    streams: bool


@lru_cache(maxsize=1024)
def _kind(method: str) -> _Kind:
    service, _, name = method.removeprefix("/").rpartition("/")
    try:
        found = descriptor_pool.Default().FindServiceByName(service).methods_by_name[name]
    except KeyError:
        return _Kind(False, False)
    return _Kind(_carries_images(found.input_type), found.client_streaming)


def _carries_images(message: Descriptor | None, above: frozenset[str] = frozenset()) -> bool:
    if message is None:
        return False
    if message.full_name == _IMAGE:
        return True
    if message.full_name in above:
        return False
    return any(_carries_images(field.message_type, above | {message.full_name}) for field in message.fields)


def _images_in(request: Any) -> int:
    """Images in a message; one in bytes that are passed on unread, whose messages hold one each."""
    if not isinstance(request, Message):
        return 1
    if request.DESCRIPTOR.full_name == _IMAGE:
        return 1
    count = 0
    for field, value in request.ListFields():
        if _carries_images(field.message_type):
            count += _images_in(value) if isinstance(value, Message) else sum(map(_images_in, value))
    return count


async def _beginning_with(first: Any, rest: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    if first is not None:
        yield first
    async for request in rest:
        yield request


def _told(most: int, left: int, reset_s: float) -> dict[str, str]:
    """What the error says beside its message; headers X-RateLimit-Limit, -Remaining and -Reset over HTTP."""
    return {"limit": str(most), "remaining": str(left), "reset_s": str(math.ceil(reset_s))}
