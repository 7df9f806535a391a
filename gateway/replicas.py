"""Which of a model's replicas can be called: each is asked for its health at its own address.

gRPC's round robin with health checks knows that too and tells nobody. It also takes a server that hangs for healthy,
because a watch of health hears nothing either way; a question with a deadline does not.
"""

import asyncio
import logging
from collections.abc import Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import metrics
from gateway.settings import GatewaySettings
from services.serving.app import channel_options

logger = logging.getLogger(__name__)

_ANSWER_TIMEOUT_S = 2.0


class Replica:
    """One address of a model, asked for its health again and again.

    Args:
        address: host:port, as the routing table has it.
        service: Full name of the gRPC service that calls go to.
        model: The model's name, empty for as long as it is not known.
        settings: The gateway's.
    """

    def __init__(self, address: str, service: str, model: Callable[[], str], settings: GatewaySettings) -> None:
        self._address = address
        self._model = model
        self._pause_s = settings.refresh_s
        self._request = health_pb2.HealthCheckRequest(service=service)
        self._channel = grpc.aio.insecure_channel(address, options=channel_options(settings))
        self._stub = health_pb2_grpc.HealthStub(self._channel)
        self._available = False
        self._reported_as: str | None = None

    async def follow(self) -> None:
        """Keeps asking; never ends by itself."""
        while True:
            self._report(await self._serves())
            await asyncio.sleep(self._pause_s)

    async def _serves(self) -> bool:
        try:
            response = await self._stub.Check(self._request, timeout=_ANSWER_TIMEOUT_S)
        except grpc.aio.AioRpcError:
            return False
        return bool(response.status == health_pb2.HealthCheckResponse.SERVING)

    def _report(self, available: bool) -> None:
        model = self._model()
        if self._reported_as not in (None, model):  # learned since, or another: no series may stay behind
            metrics.REPLICA_AVAILABLE.remove(self._reported_as, self._address)
        self._reported_as = model
        metrics.REPLICA_AVAILABLE.labels(model, self._address).set(available)
        if available and not self._available:
            logger.info("the replica of %s at %s can be called", model or "a model", self._address)
        elif self._available and not available:
            logger.warning("the replica of %s at %s can no longer be called", model or "a model", self._address)
        self._available = available

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()
