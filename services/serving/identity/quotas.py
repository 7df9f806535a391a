"""What one caller may use: requests, images and their bytes a minute, and calls and watches at a time.

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
_WATCH = "/axia.v1.GatewayService/WatchValues"
_MIB = 2**20
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

    def wait_s(self, count: int) -> float:
        """Seconds until that many tokens are there; 0 if they are."""
        if self.most is None or count <= 0:
            return 0.0
        now, a_second = time.monotonic(), self.most / 60
        self._tokens = min(self._tokens + (now - self._at) * a_second, self.most)
        self._at = now
        lacking = min(count, self.most) - self._tokens
        return lacking / a_second if lacking > _ROUNDING else 0.0

    def take(self, count: int) -> float:
        """Takes tokens; returns 0, or the seconds until that many are there, and then takes none."""
        wait_s = self.wait_s(count)
        if not wait_s:
            self._tokens -= count
        return wait_s

    def continue_from(self, before: Bucket) -> None:
        """Is as full as another that it takes the place of. So one who has two credentials with limits of their own,
        and sends them in turns, doesn't find a full bucket with each."""
        if self.most is None or before.most is None:
            return
        before.wait_s(1)  # it fills until now
        self._tokens = before._tokens * self.most / before.most

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
        self.image_bytes = Bucket(quota.image_mib_per_minute and quota.image_mib_per_minute * _MIB)
        self.calls = InFlight(quota.calls_in_flight) if quota.calls_in_flight else InFlight()
        self.watches = InFlight(quota.open_watches) if quota.open_watches else InFlight()

    def begin(self, method: str) -> None:
        """Counts a call of a method. Raises ResourceExhausted if it is one too many; otherwise `end` belongs to its
        end."""
        if self.calls.full:
            raise _too_many(self.calls.most, "calls in flight", "CALLER_CALLS")
        if method == _WATCH and self.watches.full:
            raise _too_many(self.watches.most, "open watches", "CALLER_WATCHES")
        if wait_s := self.requests.take(1):
            raise _too_fast(self.requests, "requests", "CALLER_REQUESTS", wait_s)
        self.calls.begin()
        if method == _WATCH:
            self.watches.begin()

    def end(self, method: str) -> None:
        """Counts a call of a method no longer."""
        self.calls.end()
        if method == _WATCH:
            self.watches.end()

    def continue_from(self, before: Usage) -> None:
        """Goes on counting what was used under other bounds, and the calls that began there and end there."""
        for name in ("requests", "images", "image_bytes"):
            getattr(self, name).continue_from(getattr(before, name))
        for name in ("calls", "watches"):
            earlier: InFlight = getattr(before, name)
            earlier.most = getattr(self, name).most
            setattr(self, name, earlier)

    def _take_images(self, request: Any) -> None:
        """Takes what the images of a message are, or nothing. Raises ResourceExhausted if that is too much."""
        number, size = _images_in(request)
        if wait_s := self.image_bytes.wait_s(size):
            raise _too_fast(self.image_bytes, "bytes of images", "CALLER_IMAGE_BYTES", wait_s)
        if wait_s := self.images.take(number):
            raise _too_fast(self.images, "images", "CALLER_IMAGES", wait_s)
        self.image_bytes.take(size)

    async def charge(self, method: str, request: Any) -> Any:
        """The request, or the requests, of a call, its images counted. Raises ResourceExhausted if they are too many.

        Args:
            method: Full name of the method.
            request: A message, the bytes of one that is passed on unread, or an iterator of either.
        """
        kind = _kind(method)
        if (self.images.most is None and self.image_bytes.most is None) or not kind.carries_images:
            return request
        if not isinstance(request, AsyncIterator):
            self._take_images(request)
            return request
        if kind.streams:
            return self._in_time(request)
        first = await anext(request, None)  # on the wire a unary call is a stream of one message
        if first is not None:
            self._take_images(first)
        return _beginning_with(first, request)

    async def _in_time(self, requests: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
        async for request in requests:
            number, size = _images_in(request)
            for bucket, tokens in ((self.images, number), (self.image_bytes, size)):
                while wait_s := bucket.take(tokens):  # noqa: ASYNC110 - time alone fills a bucket
                    await asyncio.sleep(wait_s)
            yield request


class Quotas:
    """The usage of all callers.

    Args:
        usual: Bounds of those that have none of their own.
    """

    def __init__(self, usual: Quota) -> None:
        self._usual = usual
        self._bounds_all = usual.bounds
        self._usages: OrderedDict[str, Usage] = OrderedDict()

    def of(self, caller: Principal) -> Usage | None:
        """The usage of a caller; None if nothing bounds it."""
        if not self._bounds_all and (caller.quota is None or not caller.quota.bounds):
            return None
        quota = self._usual if caller.quota is None else self._usual.with_own(caller.quota)
        name = caller.id
        found = self._usages.get(name)
        if found is None or found.quota != quota:
            before = found
            found = self._usages[name] = Usage(quota)
            if before is not None:
                found.continue_from(before)
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


class _Images(NamedTuple):
    number: int
    size: int
    """Bytes as they were sent."""


def _images_in(request: Any) -> _Images:
    """Images in a message; one in bytes that are passed on unread, whose messages hold one each and little else."""
    if not isinstance(request, Message):
        return _Images(1, len(request))
    image: Any = request
    if request.DESCRIPTOR.full_name == _IMAGE:
        return _Images(1, len(image.data))
    number = size = 0
    for field, value in request.ListFields():
        if _carries_images(field.message_type):
            for found in map(_images_in, [value] if isinstance(value, Message) else value):
                number, size = number + found.number, size + found.size
    return _Images(number, size)


async def _beginning_with(first: Any, rest: AsyncIterator[Any]) -> AsyncGenerator[Any, None]:
    if first is not None:
        yield first
    async for request in rest:
        yield request


def _too_many(most: int, what: str, reason: str) -> ResourceExhausted:
    return ResourceExhausted(
        f"limit reached: you have {most:,} {what}, which is the maximum; wait until one ends",
        reason=reason,
        retry_after_s=_CALL_S,
        metadata=_told(most, 0, _CALL_S),
    )


def _too_fast(bucket: Bucket, what: str, reason: str, wait_s: float) -> ResourceExhausted:
    most = bucket.most or 0
    return ResourceExhausted(
        f"rate limit reached: {most:,} {what} per minute; try again in {wait_s:.1f} s",
        reason=reason,
        retry_after_s=wait_s,
        metadata=_told(most, bucket.left, wait_s),
    )


def _told(most: int, left: int, reset_s: float) -> dict[str, str]:
    """What the error says beside its message; headers X-RateLimit-Limit, -Remaining and -Reset over HTTP."""
    return {"limit": str(most), "remaining": str(left), "reset_s": str(math.ceil(reset_s))}
