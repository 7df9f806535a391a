"""The standard health service (grpc.health.v1), which never says SERVING before it is true."""

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

LIVENESS = "liveness"
"""A name that is SERVING as long as the process runs, also while a model is loaded, for a liveness probe. One that asks
for another name would end a server that is still loading."""

METHOD_PREFIX = "/grpc.health.v1.Health/"
"""Beginning of the health service's method names, which are answered while draining too."""


class Health:
    """The health of a server and of each service that it offers.

    grpcio's servicer begins with SERVING for the whole server, so it is set to NOT_SERVING before the port is bound.
    """

    def __init__(self, services: Iterable[str]) -> None:
        self._names = ("", *services)
        self._followed: dict[str, bool] = {}
        self._serving = False
        self._ready = True
        self._servicer = health.aio.HealthServicer()

    async def register(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server, as NOT_SERVING."""
        await self.set_serving(False)
        await self._say(LIVENESS, True)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    @property
    def ready(self) -> bool:
        """Whether the whole server says SERVING."""
        return self._serving and self._ready

    async def set_serving(self, serving: bool) -> None:
        """Says of the whole server and of each service whether it can answer."""
        self._serving = serving
        for name in self._names:
            await self._say(name, serving and self._ready)
        for name, serves in self._followed.items():
            await self._say(name, serving and serves)

    async def set_ready(self, ready: bool) -> None:
        """Says whether the server could answer if it served: not while what it depends on is away."""
        if ready != self._ready:
            self._ready = ready
            for name in self._names:
                await self._say(name, self._serving and ready)

    async def follow(self, service: str, *, serving: bool) -> None:
        """Says of a service that is proxied to another server what that server says, while this one serves."""
        self._followed[service] = serving
        await self._say(service, self._serving and serving)

    async def _say(self, name: str, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        await self._servicer.set(name, status)
