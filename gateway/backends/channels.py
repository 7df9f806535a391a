"""Services that the gateway can do without, and whether they can be called."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import grpc

from gateway import metrics
from gateway.settings import GatewaySettings
from services.serving.app import channels_to
from services.serving.errors import Unavailable
from services.serving.logs import request_metadata
from services.serving.status import from_rpc_error
from services.serving.upstream.attempts import Attempt, Calls, Deaths, NoReplica, RetryBudget
from services.serving.upstream.replica import Replica, State
from services.serving.upstream.replicas import ReplicaSet

_ATTEMPTS = 2
"""Tries of a call: at one replica, and at another if that is away."""


class ServiceChannel:
    """The replicas of a service that the gateway can do without, and whether any says SERVING.

    They are asked for their health all the time, so a service that is away costs a caller nothing.

    Args:
        name: For people: "scoring".
        service: Full name of the gRPC service.
        addresses: Of its replicas, host:port each; empty for none.
        settings: The gateway's.
    """

    def __init__(self, name: str, service: str, addresses: Sequence[str], settings: GatewaySettings) -> None:
        self.name = name
        self.service = service
        self.address = ", ".join(addresses)
        self.serving = False
        self.arrivals = 0
        """How often it began to say SERVING: after each, it may be another release."""
        self._logger = logging.getLogger(__name__)
        self._told: Callable[[bool], Awaitable[None]] | None = None
        self._changes: set[asyncio.Future[None]] = set()
        channels = channels_to(service, settings)
        self._replicas = ReplicaSet(addresses, channels, changed=self._note)
        self.calls = Calls(self._replicas, _ATTEMPTS, RetryBudget(), Deaths())
        """Makes calls that change nothing and can be repeated."""

    def pick(self) -> Replica:
        """The replica for a call. Raises Unavailable, saying what to do, if none says SERVING."""
        replica = self._replicas.pick() if self.serving else None
        if replica is None:
            raise self.unavailable()
        return replica

    def require_serving(self) -> None:
        """Raises Unavailable, saying what to do, unless the service says SERVING."""
        if not self.serving:
            raise self.unavailable()

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around a call: refuses it where the service is away, and raises what fails as an error of the gateway."""
        self.require_serving()
        try:
            yield
        except NoReplica as error:
            raise self.unavailable() from error
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.reason in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise self.unavailable() from error
            raise failure from error

    def unavailable(self) -> Unavailable:
        """That the service does not answer."""
        variable = f"AXIA_GATEWAY_{self.name.upper()}"
        if not self.address:
            message = f"this gateway has no {self.name} service; its operator must set {variable} to the address of one"
        else:
            message = (
                f"the {self.name} service at {self.address} does not answer: it may be starting or not running; try "
                f"again shortly. If the problem remains, check its log and {variable}"
            )
        return Unavailable(message, reason=f"{self.name.upper()}_UNREACHABLE", retry_after_s=2.0)

    async def refresh(self) -> None:
        """Asks each replica for its health once."""
        await self._replicas.refresh()

    async def follow_health(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        """Follows the service's health for ever and tells of each change."""
        self._told = changed
        if self.address:
            await self._replicas.follow()
        await asyncio.Event().wait()

    def doubt(self, replica: Replica) -> None:
        """Takes a replica for away until it says again that it serves: it hung although it had said so."""
        if replica.state in (State.SERVING, State.SLOW):
            self._logger.warning("the %s service at %s did not answer in time", self.name, replica.address)
            replica.state = State.SILENT
            self._changes.add(task := asyncio.ensure_future(self._note(replica)))
            task.add_done_callback(self._changes.discard)

    async def _note(self, _: Replica) -> None:
        serving = self._replicas.callable
        metrics.SERVICE_AVAILABLE.labels(self.name).set(serving)
        if serving != self.serving:
            self.serving = serving
            self.arrivals += serving
            self._logger.info(
                "the %s service at %s %s", self.name, self.address, "answers" if serving else "does not answer"
            )
            if self._told is not None:
                await self._told(serving)

    async def close(self) -> None:
        """Closes the connections."""
        await self._replicas.close()


def invocation(stub: Callable[[grpc.aio.Channel], Any], method: str, request: Any) -> Callable[[Attempt], Any]:
    """What begins a call at a replica, for `Calls`."""
    metadata = request_metadata()

    def invoke(attempt: Attempt) -> Any:
        return getattr(attempt.replica.stub(stub), method)(request, timeout=attempt.timeout_s, metadata=metadata)

    return invoke
