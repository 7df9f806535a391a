"""The replicas of a server: where they are, which of them can be called, and which one a call goes to.

Each replica has a channel of its own and is asked for its health a few times a second. gRPC's own balancing knows a
server that hangs only once its connection is given up, which takes 50 s, and knows nothing of how busy a replica is. A
call goes to the replica with the fewest calls in flight, or, where pictures are to stay with a replica, to the one that
a hash of the picture names, unless that one is much busier than the others.
"""

import asyncio
import hashlib
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence

from services.serving.upstream.addresses import host_name
from services.serving.upstream.lookups import LookUps
from services.serving.upstream.replica import Channels, Replica, State

logger = logging.getLogger(__name__)

_PAUSE_S = 0.25
"""Between two questions for a replica's health."""
_RESOLVE_S = 2.0
"""Between two look-ups of host names."""
_SPARE = 4
"""Calls by which a picture's own replica may be busier than twice the least busy one."""


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
        self._look_ups = LookUps()
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
        found = await asyncio.gather(*(self._look_ups.resolve(target) for target in self.targets))
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
