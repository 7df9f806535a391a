"""The replicas of a server: where they are, which of them can be called, and which one a call goes to.

Each replica has a channel of its own and is asked for its health a few times a second. gRPC's own balancing knows a
server that hangs only once its connection is given up, which takes 50 s, and knows nothing of how busy a replica is. A
call goes to the replica with the fewest calls in flight, or, where pictures are to stay with a replica, to the one that
a hash of the picture names, unless that one is much busier than the others.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from typing import Any, NamedTuple, TypeVar

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.serving.addresses import host_name, resolve
from services.serving.tls import ChannelTls

logger = logging.getLogger(__name__)

_PAUSE_S = 0.25
"""Between two questions for a replica's health."""
_ANSWER_S = 0.3
"""Time for an answer before a replica counts as slow."""
_MISSES = 2
"""Answers missed one after the other from which a replica gets no calls while another can be called."""
_SILENT_S = 2.0
"""Silence from which it counts as away, and from which it is asked with this much time to answer."""
_RESOLVE_S = 2.0
"""Between two look-ups of host names."""
_CALLS_END_S = 3600.0
"""Time for the calls on a channel that was replaced by another."""
_NO_TLS = ("handshake failed", "verification check failed")
"""What gRPC's errors of TLS have in them."""
_SPARE = 4
"""Calls by which a picture's own replica may be busier than twice the least busy one."""

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
        if time.monotonic() - self._answered >= _SILENT_S:
            return State.SILENT
        may_be_slow = self._misses >= _MISSES and self.state in (State.SERVING, State.NOT_READY)
        return State.SLOW if may_be_slow else self.state

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


class ReplicaSet:
    """Replicas behind some addresses.

    Args:
        targets: host:port each; a host name stands for all addresses that it resolves to, looked up again and again.
        channels: How their channels are made.
        admit: Asked whether a replica that can be called holds what is looked for, before it gets a call.
        changed: Told of a replica whose state is another.
        removed: Told of an address that a host name no longer resolves to.
        or_unready: Whether one that says NOT_SERVING is called where no other is left, for what it says itself.
    """

    def __init__(
        self,
        targets: Sequence[str],
        channels: Channels,
        admit: Callable[[Replica], Awaitable[bool]] | None = None,
        changed: Callable[[Replica], Awaitable[None]] | None = None,
        removed: Callable[[Replica], None] | None = None,
        *,
        or_unready: bool = False,
    ) -> None:
        self._or_unready = or_unready
        self.targets = list(targets)
        self._channels = channels
        self._admit = admit
        self._changed = changed
        self._removed = removed
        self._picks = 0
        self._replicas: dict[str, Replica] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}

    @property
    def replicas(self) -> Collection[Replica]:
        """Those that are known now."""
        return self._replicas.values()

    @property
    def callable(self) -> bool:
        """Whether any can be called, be it a busy one."""
        return any(replica.state in (State.SERVING, State.SLOW) and replica.fit for replica in self.replicas)

    def pick(self, avoid: Collection[Replica] = (), key: bytes = b"") -> Replica | None:
        """The replica for a call; None if there is none that may answer.

        Args:
            avoid: Those that have just failed; taken only where there is no other.
            key: Names what should stay with one replica, such as a picture; empty for what may go anywhere.
        """
        fit = [replica for replica in self.replicas if replica.fit and not replica.leaving]
        serving = [replica for replica in fit if replica.state is State.SERVING]
        perhaps = [replica for replica in fit if replica.state in (State.SLOW, State.UNKNOWN)]
        unready = [replica for replica in fit if replica.state is State.NOT_READY and self._or_unready]
        silent = [replica for replica in fit if replica.state is State.SILENT]  # it may continue in time for the caller
        for choice in ([replica for replica in serving if replica not in avoid], serving, perhaps, unready, silent):
            if choice:
                connected = [replica for replica in choice if replica.connected]
                self._picks += 1
                found = _least_busy(connected or choice, key)
                found.picked = self._picks
                return found
        return None

    async def refresh(self, connecting_s: float = 0.0) -> None:
        """Looks up the host names and asks each replica for its health once; see `Replica.ask`."""
        await self._look_up()
        await asyncio.gather(*(self._ask(replica, connecting_s) for replica in list(self.replicas)))

    def absorb(self, other: "ReplicaSet") -> None:
        """Takes in the replicas of another set, which from now on has the same as this one: its calls continue."""
        self.targets += [target for target in other.targets if target not in self.targets]
        for address, replica in other._replicas.items():
            self._replicas.setdefault(address, replica)
        other.targets, other._replicas = self.targets, self._replicas

    async def follow(self) -> None:
        """Keeps both up to date; never ends by itself."""
        try:
            while True:
                try:
                    await self._look_up()
                except Exception:  # whatever it is, states would never change again
                    logger.exception("the addresses %s can't be looked up", ", ".join(self.targets))
                for address, replica in list(self._replicas.items()):
                    if address not in self._asking:
                        self._asking[address] = asyncio.create_task(self._keep_asking(replica))
                await asyncio.sleep(_RESOLVE_S)
        finally:
            for task in self._asking.values():
                task.cancel()
            await asyncio.gather(*self._asking.values(), return_exceptions=True)
            self._asking.clear()

    async def _look_up(self) -> None:
        found = await asyncio.gather(*(resolve(target) for target in self.targets))
        if any(addresses is None for addresses in found):
            known: list[str] | None = None  # a name server that is away takes no replica away
        else:
            known = [address for addresses in found for address in addresses or ()]
        names = {
            address: host_name(target)
            for target, addresses in zip(self.targets, found, strict=True)
            for address in addresses or ()
        }
        for address, name in names.items():
            if address not in self._replicas:
                self._replicas[address] = Replica(address, self._channels, name)
            self._replicas[address].leaving = False
        for address in [address for address in self._replicas if known is not None and address not in known]:
            await self._remove(address)

    async def _remove(self, address: str) -> None:
        replica = self._replicas[address]
        if replica.in_flight:
            replica.leaving = True  # it is looked at again
            return
        del self._replicas[address]
        if task := self._asking.pop(address, None):
            task.cancel()
        replica.state = State.GONE
        if self._changed:
            await self._changed(replica)
        if self._removed:
            self._removed(replica)
        await replica.close()

    async def _keep_asking(self, replica: Replica) -> None:
        while True:
            try:
                await self._ask(replica)
            except Exception:  # whatever it is, a replica that is no longer asked would never be used again
                logger.exception("the replica at %s can't be asked for its health", replica.address)
            if not replica.missed:
                await asyncio.sleep(_PAUSE_S)

    async def _ask(self, replica: Replica, connecting_s: float = 0.0) -> None:
        state = await replica.ask(connecting_s)
        if state is replica.state:
            return
        if self._admit and state is State.SERVING and replica.state is not State.SLOW:
            replica.fit = await self._admit(replica)
        replica.state = state
        if self._changed:
            await self._changed(replica)

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(replica.close() for replica in self.replicas))


def _least_busy(replicas: Sequence[Replica], key: bytes) -> Replica:
    quietest = min(replicas, key=lambda replica: (replica.in_flight, replica.picked))
    if not key:
        return quietest
    # Rendezvous hashing: when a replica goes, only its own pictures move.
    preferred = max(replicas, key=lambda one: hashlib.blake2b(key + one.address.encode(), digest_size=8).digest())
    return preferred if preferred.in_flight <= 2 * quietest.in_flight + _SPARE else quietest
