"""Channels from the gateway to services: replicas, health checks, retries before a call started."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Sequence

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gateway import metrics
from gateway.settings import GatewaySettings
from services.serving.app import channel_options
from services.serving.errors import Unavailable

_ASK_HEALTH_AGAIN_S = 1.0


def replica_options(settings: GatewaySettings, service: str, methods: Sequence[str]) -> list[tuple[str, int | str]]:
    """Options of a channel to a model's replicas.

    Calls go round robin to the replicas whose health says SERVING. One that ends with UNAVAILABLE before a response
    came is sent again to another: gRPC's own retry, which counts headers as a response. Servers of the suite send them
    with their first message, which is Started, or by themselves once there is a first token: nothing is repeated after
    that.

    Args:
        settings: The gateway's.
        service: Full name of the service.
        methods: Those whose calls may be sent again.
    """
    options: list[tuple[str, int | str]] = list(channel_options(settings))
    size = next(value for name, value in options if name == "grpc.max_send_message_length")
    retry = {
        "maxAttempts": settings.model_attempts,
        "initialBackoff": "0.1s",
        "maxBackoff": "1s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    method_config: dict[str, object] = {"name": [{"service": service, "method": method} for method in methods]}
    if settings.model_attempts > 1:
        method_config["retryPolicy"] = retry
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "healthCheckConfig": {"serviceName": service},
        "methodConfig": [method_config],
    }
    return [
        *options,
        ("grpc.service_config", json.dumps(config)),
        # A request beyond this buffer is not kept for another attempt, and gRPC's own size is less than a photograph.
        ("grpc.per_rpc_retry_buffer_size", size),
        ("grpc.dns_min_time_between_resolutions_ms", 5000),
    ]


class ServiceChannel:
    """A channel to a service that the gateway can do without, and whether that service says SERVING.

    Its health is watched all the time, so a service that is away costs a caller nothing.

    Args:
        name: For people: "scoring".
        service: Full name of the gRPC service.
        address: host:port; empty for none.
        settings: The gateway's.
    """

    def __init__(self, name: str, service: str, address: str, settings: GatewaySettings) -> None:
        self.name = name
        self.service = service
        self.address = address
        self.serving = False
        self.arrivals = 0
        """How often it began to say SERVING: after each, it may be another release."""
        self._logger = logging.getLogger(__name__)
        self._settings = settings
        self._channel: grpc.aio.Channel | None = None
        self._watch: grpc.aio.Call | None = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """The channel, opened at first use, which is inside the event loop."""
        if self._channel is None:
            target = self.address or "127.0.0.1:1"
            self._channel = grpc.aio.insecure_channel(target, options=channel_options(self._settings))
        return self._channel

    def require_serving(self) -> None:
        """Raises Unavailable, saying what to do, unless the service says SERVING."""
        if not self.serving:
            raise self.unavailable()

    def unavailable(self) -> Unavailable:
        """That the service does not answer."""
        variable = f"AXIA_GATEWAY_{self.name.upper()}"
        if not self.address:
            message = f"this gateway has no {self.name} service; its operator sets {variable} to the address of one"
        else:
            message = (
                f"the {self.name} service at {self.address} does not answer: it may be starting or be down; try again "
                f"shortly, and see its log and {variable} if that does not help"
            )
        return Unavailable(message, reason=f"{self.name.upper()}_UNREACHABLE", retry_after_s=2.0)

    async def follow_health(self, changed: Callable[[bool], Awaitable[None]]) -> None:
        """Follows the service's health for ever and tells of each change."""
        while self.address:
            try:
                self._watch = watch = health_pb2_grpc.HealthStub(self.channel).Watch(
                    health_pb2.HealthCheckRequest(service=self.service), wait_for_ready=True
                )
                async for response in watch:
                    await self._note(response.status == health_pb2.HealthCheckResponse.SERVING, changed)
            except grpc.aio.AioRpcError:  # it went away; the next watch waits until it is back
                pass
            except asyncio.CancelledError:
                if not self._doubted():
                    raise
            await self._note(False, changed)
            await asyncio.sleep(_ASK_HEALTH_AGAIN_S)
        await asyncio.Event().wait()

    def doubt(self) -> None:
        """Takes the service for away until it says again that it serves: it hung although it had said so."""
        if self.serving and self._watch is not None:
            self._logger.warning("the %s service at %s did not answer in time", self.name, self.address)
            self._watch.cancel()

    @staticmethod
    def _doubted() -> bool:
        """Whether it was the watch that was cancelled, and not the task that follows it."""
        task = asyncio.current_task()
        return task is not None and task.cancelling() == 0

    async def _note(self, serving: bool, changed: Callable[[bool], Awaitable[None]]) -> None:
        metrics.SERVICE_AVAILABLE.labels(self.name).set(serving)
        if serving != self.serving:
            self.serving = serving
            self.arrivals += serving
            self._logger.info("the %s service at %s %s", self.name, self.address, "answers" if serving else "is away")
            await changed(serving)

    async def close(self) -> None:
        """Closes the channel."""
        if self._channel is not None:
            await self._channel.close()
