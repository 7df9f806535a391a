"""One replica of a server: its channel, what is known of its health, and the calls that it is answering."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.serving.tls import ChannelTls

logger = logging.getLogger(__name__)

_ANSWER_S = 0.3
"""Time for an answer before a replica counts as slow."""
_MISSES = 2
"""Answers missed one after the other from which a replica gets no calls while another can be called."""
_SILENT_S = 2.0
"""Silence from which it counts as away, and from which it is asked with this much time to answer."""
_CALLS_END_S = 3600.0
"""Time for the calls on a channel that was replaced by another."""
_NO_TLS = ("handshake failed", "verification check failed")
"""What gRPC's errors of TLS have in them."""

StubT = TypeVar("StubT")


class State(Enum):
    """What is known of a replica."""

    UNKNOWN = "unknown"
    SERVING = "serving"
    SLOW = "slow"
    """It did not answer in time: it may be busy, or hang."""
    SILENT = "silent"
    """It has not answered for long."""
    NOT_READY = "not ready"
    """It answers, and says NOT_SERVING."""
    GONE = "gone"
    """Nothing listens there."""


class Channels(NamedTuple):
    """How channels to replicas are made."""

    service: str
    """Full name of the gRPC service whose health counts."""
    options: Sequence[tuple[str, int | str]]
    tls: ChannelTls | None = None
    """How they are encrypted; None for plaintext."""


class Replica:
    """One server.

    Args:
        address: ip:port.
        channels: How its channel is made.
        name: The host name that stands for it, which its certificate must have; empty where that is its address.
    """

    def __init__(self, address: str, channels: Channels, name: str = "") -> None:
        self.address = address
        self._name = name
        self._channels = channels
        self._generation = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._told = ""
        self.state = State.UNKNOWN
        self.fit = True
        """Whether it holds what its callers look for; for whoever learns that to set."""
        self.in_flight = 0
        """Calls of this process that it is answering."""
        self.load = 0
        """What these calls weigh, for whoever bounds that to count."""
        self.picked = 0
        """When it last got a call, by the number of that call."""
        self._request = health_pb2.HealthCheckRequest(service=channels.service)
        self._open()
        self.closed = False
        self.leaving = False
        """Whether its host name no longer resolves to it; it gets no new calls, and goes when it has none."""
        self._misses = 0
        self._answered = time.monotonic()
        self._one_at_a_time = asyncio.Lock()

    def _open(self) -> None:
        """Makes the channel."""
        self._stubs: dict[type, Any] = {}
        tls, options = self._channels.tls, self._channels.options
        if tls is None:
            self.channel = grpc.aio.insecure_channel(self.address, options=options)
        else:
            self._generation = tls.generation
            named = [("grpc.ssl_target_name_override", self._name)] if self._name else []
            self.channel = grpc.aio.secure_channel(self.address, tls.credentials(), options=[*options, *named])
        self._health: Any = health_pb2_grpc.HealthStub(self.channel)

    def _renew(self) -> None:
        """Makes another channel where the files of TLS are others. Calls on the one before go on."""
        tls = self._channels.tls
        if tls is None or tls.generation == self._generation or self.closed:
            return
        self._closing.add(task := asyncio.create_task(self.channel.close(_CALLS_END_S)))
        task.add_done_callback(self._closing.discard)
        self._open()

    def stub(self, kind: Callable[[grpc.aio.Channel], StubT]) -> StubT:
        """A stub of a kind on this replica's channel."""
        key: Any = kind
        if key not in self._stubs:
            self._stubs[key] = kind(self.channel)
        found: StubT = self._stubs[key]
        return found

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Counts a call that it is answering."""
        self.in_flight += 1
        try:
            yield
        finally:
            self.in_flight -= 1

    @property
    def connected(self) -> bool:
        """Whether its connection stands; one that is told to go is not connected from that moment on."""
        return self.channel.get_state() is grpc.ChannelConnectivity.READY

    async def ask(self, connecting_s: float = 0.0) -> State:
        """Asks for its health once.

        Args:
            connecting_s: Time to wait for a connection, where the call would otherwise fail at once between two
                attempts to connect; 0 for no wait.
        """
        async with self._one_at_a_time:  # or one stall would be counted twice
            self._renew()
            return await self._ask(connecting_s)

    async def _ask(self, connecting_s: float) -> State:
        waits_longer = self.state in (State.GONE, State.SILENT)
        answer_s = connecting_s or (_SILENT_S if waits_longer else _ANSWER_S)
        try:
            response = await self._health.Check(self._request, timeout=answer_s, wait_for_ready=bool(connecting_s))
        except grpc.aio.AioRpcError as error:
            self._tell(error.details() or "")
            return self._missed(error.code())
        except asyncio.CancelledError:
            if not self.closed:
                raise
            return State.GONE  # its connection was closed under the question
        self._misses, self._answered = 0, time.monotonic()
        serving = response.status == health_pb2.HealthCheckResponse.SERVING
        return State.SERVING if serving else State.NOT_READY

    def _missed(self, code: grpc.StatusCode) -> State:
        if code is grpc.StatusCode.UNIMPLEMENTED:  # a server without a health service is asked no more than this
            self._misses, self._answered = 0, time.monotonic()
            return State.SERVING
        self._misses += 1
        if code not in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED):
            return State.GONE
        if self.state in (State.NOT_READY, State.GONE):
            return self.state  # a new process that loads may have no time for answers, and calls would wait in vain
        if time.monotonic() - self._answered >= _SILENT_S:
            return State.SILENT
        return State.SLOW if self._misses >= _MISSES and self.state is State.SERVING else self.state

    def _tell(self, details: str) -> None:
        """Logs once why a connection can't be encrypted, which looks like a server that is away."""
        failed = any(sign in details.lower() for sign in _NO_TLS)
        if self._channels.tls is not None and failed and details != self._told:
            self._told = details
            logger.warning("no TLS with the server at %s: %s", self.address, details)

    @property
    def missed(self) -> bool:
        """Whether it missed its last question and is to be asked again at once."""
        return 0 < self._misses < _MISSES

    async def close(self) -> None:
        """Closes the connection."""
        self.closed = True
        await self.channel.close()
        for task in self._closing:
            task.cancel()
        await asyncio.gather(*self._closing, return_exceptions=True)
