"""Calls that are tried at another replica where that repeats nothing and harms nobody.

A call may be repeated only as long as its model has not begun to answer. One that never reached a server is repeated
freely. One that was at a server when that server's engine died may be the cause: it is tried at one other replica at
most, and not at all if the same picture and prompt met an engine's death in the last ten minutes. A budget for the
whole process ends retries when most calls fail.

A server that asks an endpoint repeats a request there by itself. So a call that failed at its endpoint is tried at each
other replica once, and never at the same one again.
"""

import asyncio
import random
import time
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from typing import Any, NamedTuple, TypeVar

import grpc

from axia._connection.duplex import Responses
from services.serving.deadlines import Clock, Deadline
from services.serving.errors import DEATHS, ENDPOINT_FAILURES, ENGINE_DIED, ServiceError, Unavailable
from services.serving.status import from_rpc_error
from services.serving.tracing import current_span
from services.serving.upstream.replica import Replica
from services.serving.upstream.replicas import ReplicaSet
from services.serving.upstream.started import has_started

_NEVER_SENT = ("failed to connect", "connection attempt", "connections to all backends")
"""Parts of gRPC's messages of calls that found no connection; it has no code for that."""
_STOPPED = "cancelling all calls"
"""Part of gRPC's message of calls that a server cut off when it stopped, which is no death."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 1.0
_REMEMBERED_S = 600.0
_ONE_DEATH_S = 10.0
"""Failures at one replica within this time are one death."""
_MOST_REMEMBERED = 10_000

ResponseT = TypeVar("ResponseT")


class Failure(NamedTuple):
    """Why an attempt failed."""

    error: ServiceError
    never_sent: bool
    """Whether no server has seen the call."""
    died: bool
    """Whether the server's engine, or the server, died while it had the call."""
    may_repeat: bool
    """Whether another attempt repeats nothing."""


def read_failure(error: grpc.aio.AioRpcError, *, started: bool) -> Failure:
    """Reads what gRPC says of an attempt.

    Args:
        error: What was raised.
        started: Whether an answer had begun to come.
    """
    failure = from_rpc_error(error)
    started = started or has_started(error.initial_metadata())
    text = (error.details() or "").lower()
    transport = failure.reason == "UNAVAILABLE"  # none of our servers' own reasons
    never_sent = transport and any(sign in text for sign in _NEVER_SENT)
    died = failure.reason in DEATHS or (transport and not never_sent and _STOPPED not in text)
    away = error.code() is grpc.StatusCode.UNAVAILABLE
    return Failure(failure, never_sent, away and died, away and not started)


class RetryBudget:
    """Bounds retries by the share of calls that fail, as gRPC's retry throttling does.

    Args:
        tokens: Failures after which no call is retried, half of it; each success gives back `ratio`.
        ratio: See `tokens`.
    """

    def __init__(self, tokens: float = 200.0, ratio: float = 0.2) -> None:
        self._most = self._tokens = tokens
        self._ratio = ratio

    def succeeded(self) -> None:
        """Notes a call that was answered."""
        self._tokens = min(self._most, self._tokens + self._ratio)

    def failed(self) -> bool:
        """Notes a call that failed; whether it may be tried again."""
        self._tokens = max(0.0, self._tokens - 1.0)
        return self._tokens > self._most / 2


class Deaths:
    """What was in an engine when it died, by hashes, for ten minutes.

    Args:
        clock: Seconds, from any start.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._met: OrderedDict[bytes, tuple[str, float]] = OrderedDict()

    def met_before(self, fingerprint: bytes, replica: str) -> bool:
        """Notes that a call was at a replica that died; whether the same had met another death before."""
        now = self._clock()
        while self._met and (
            len(self._met) > _MOST_REMEMBERED or now - next(iter(self._met.values()))[1] > _REMEMBERED_S
        ):
            self._met.popitem(last=False)
        earlier = self._met.pop(fingerprint, None)
        self._met[fingerprint] = (replica, now)
        # Calls that are alike and were there together met one death.
        return earlier is not None and (earlier[0] != replica or now - earlier[1] > _ONE_DEATH_S)


class Attempt(NamedTuple):
    """What a call needs for one attempt."""

    replica: Replica
    timeout_s: float | None


class Calls:
    """Makes calls at the replicas of a set.

    Args:
        replicas: Where to.
        attempts: Tries of a call at most, the first included.
        budget: Of the whole process.
        deaths: Of the whole process.
        retried: Told of the reason of each failure that is tried again.
        repeats: Whether a call that may have reached a server is tried again at all.
    """

    def __init__(
        self,
        replicas: ReplicaSet,
        attempts: int,
        budget: RetryBudget,
        deaths: Deaths,
        retried: Callable[[str], None] = lambda _: None,
        *,
        repeats: bool = True,
    ) -> None:
        self._repeats = repeats
        self._replicas = replicas
        self._attempts = attempts
        self._budget = budget
        self._deaths = deaths
        self._retried = retried

    async def unary(
        self,
        invoke: Callable[[Attempt], Any],
        timeout_s: float | None,
        key: bytes = b"",
        fingerprint: Callable[[], bytes] = lambda: b"",
    ) -> Any:
        """The response of a call that answers once.

        Args:
            invoke: Begins the call at a replica.
            timeout_s: Time for all attempts together.
            key: As `ReplicaSet.pick` takes it.
            fingerprint: A hash of what the call holds apart from its seeds; empty for what can't end an engine.

        Raises:
            ServiceError: What the server said, with the reason ENGINE_DIED where its engine died.
            NoReplica: None can be called.
            grpc.aio.AioRpcError: Any other failure.
        """
        tries = _Tries(self, timeout_s, key, fingerprint)
        while True:
            attempt = await tries.next()
            with attempt.replica.answering():
                try:
                    response = await invoke(attempt)
                except grpc.aio.AioRpcError as error:
                    tries.failed(attempt.replica, error, started=False)
                else:
                    self._budget.succeeded()
                    return response

    async def stream(
        self,
        invoke: Callable[[Attempt], Any],
        timeout_s: float | None,
        key: bytes = b"",
        fingerprint: Callable[[], bytes] = lambda: b"",
        *,
        once: bool = False,
    ) -> AsyncGenerator[Any, None]:
        """The responses of a call that streams them; see `unary`. Closing the generator cancels the call.

        Args:
            invoke: See `unary`.
            timeout_s: See `unary`.
            key: See `unary`.
            fingerprint: See `unary`.
            once: Try it at one replica alone, since its requests can be sent only once.
        """
        tries = _Tries(self, timeout_s, key, fingerprint)
        started = False
        while True:
            attempt = await tries.next()
            with attempt.replica.answering():
                call = invoke(attempt)
                try:
                    async for response in Responses(call) if once else call:
                        started = True
                        yield response
                except grpc.aio.AioRpcError as error:
                    tries.failed(attempt.replica, error, started=started or once)
                else:
                    self._budget.succeeded()
                    return
                finally:
                    call.cancel()


class NoReplica(Unavailable):
    """No replica can be called."""

    def __init__(self) -> None:
        super().__init__("no replica can be called", reason="UNAVAILABLE")


class _Tries:
    """The attempts of one call."""

    def __init__(self, calls: Calls, timeout_s: float | None, key: bytes, fingerprint: Callable[[], bytes]) -> None:
        self._calls = calls
        self._deadline = None if timeout_s is None else Deadline(timeout_s)
        self._key = key
        self._fingerprint = fingerprint
        self._failed_at: list[Replica] = []
        self._number = 0
        self._died = False
        self._endpoint_failed = False

    async def next(self) -> Attempt:
        """The next attempt, after a pause where no other replica is left."""
        calls = self._calls
        while True:
            self._number += 1
            replica = calls._replicas.pick(self._failed_at, self._key)
            if self._number > 1 and (replica is None or replica in self._failed_at):
                await self._pause()
                replica = calls._replicas.pick(self._failed_at, self._key)
            if replica is not None:
                break
            if self._number >= calls._attempts:
                raise NoReplica
        return Attempt(replica, None if self._deadline is None else self._deadline.call_s())

    async def _pause(self) -> None:
        longest = min(_FIRST_PAUSE_S * 2 ** max(self._number - 1, 0), _LONGEST_PAUSE_S)
        pause = longest * random.uniform(0.8, 1.2)  # noqa: S311 - so that callers don't come back together
        if self._deadline is not None:
            pause = self._deadline.wait_s(pause)
        await asyncio.sleep(pause)

    def failed(self, replica: Replica, error: grpc.aio.AioRpcError, *, started: bool) -> None:
        """Returns where the call may be tried again.

        Raises:
            ServiceError: See `Calls.unary`.
            grpc.aio.AioRpcError: See `Calls.unary`.
        """
        failure = read_failure(error, started=started)
        self._failed_at.append(replica)
        fingerprint = self._fingerprint() if failure.died else b""
        known = bool(fingerprint) and self._calls._deaths.met_before(fingerprint, replica.address)
        if not failure.may_repeat or not (failure.never_sent or self._calls._repeats):
            raise error
        if failure.died:
            if fingerprint and (known or self._died):
                raise _engine_died() from error
            self._died = True
        self._endpoint_failed = self._endpoint_failed or failure.error.reason in ENDPOINT_FAILURES
        if self._number >= self._calls._attempts or (self._endpoint_failed and not self._another()):
            raise error
        if not failure.never_sent and not self._calls._budget.failed():
            raise error
        self._calls._retried(failure.error.reason)
        current_span().event("retry", {"error.type": failure.error.reason, "server.address": replica.address})

    def _another(self) -> bool:
        """Whether there is a replica that was not tried."""
        replica = self._calls._replicas.pick(self._failed_at, self._key)
        return replica is not None and replica not in self._failed_at


def _engine_died() -> Unavailable:
    return Unavailable(
        "the model's engine crashed twice while it processed this request or an equal one, so this request is not "
        "retried: the image or the prompt may be the cause. Send another image, and check the log of the inference "
        "server",
        reason=ENGINE_DIED,
    )
