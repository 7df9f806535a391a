"""The models behind the gateway, found by name, their servers asked again and again."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from gateway.grpc_backend import GrpcBackend, unreachable
from gateway.model import ModelInfo
from gateway.routes import Route
from gateway.settings import GatewaySettings
from services.serving.errors import NotFound


class BackendState(NamedTuple):
    """What the gateway knows of a model's servers."""

    address: str
    model: ModelInfo | None
    """With the limits that hold for callers."""
    available: bool


class BackendPool:
    """All models, their servers asked again and again in the background."""

    def __init__(self, routes: Sequence[Route], settings: GatewaySettings) -> None:
        self._settings = settings
        self._routes = routes
        self._backends: Sequence[GrpcBackend] = ()

    async def start(self) -> None:
        """Opens the connections and asks each server once."""
        self._backends = [GrpcBackend(route, self._settings) for route in self._routes]
        await self._refresh()

    async def watch(self) -> None:
        """Keeps asking models and each of their replicas; never ends by itself."""
        await asyncio.gather(self._keep_refreshing(), *(backend.follow_replicas() for backend in self._backends))

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            await self._refresh()

    async def _refresh(self) -> None:
        await asyncio.gather(*(backend.refresh() for backend in self._backends))

    async def find(self, model: str) -> GrpcBackend:
        """The backend of a model by name, or the first one for an empty name.

        Raises:
            NotFound: If every server answers and none holds the model.
            Unavailable: If a server that may hold it does not answer.
        """
        found = self._known(model)
        if found is None:
            # A server that came up a moment ago is worth one question, even between two attempts to connect to it.
            unknown = [backend for backend in self._candidates(model) if backend.known_model is None]
            await asyncio.gather(*(b.refresh(connecting=True) for b in unknown or self._candidates(model)))
            found = self._known(model)
        if found is not None:
            return found
        silent = [backend.address for backend in self._candidates(model) if backend.known_model is None]
        if silent:
            raise unreachable(", ".join(silent))
        names = ", ".join(repr(backend.name) for backend in self._backends)
        raise NotFound(
            "model", f"there is no model {model!r} behind this gateway; there is {names}", reason="MODEL_UNKNOWN"
        )

    def _candidates(self, model: str) -> Sequence[GrpcBackend]:
        """Those that may hold a model: its route, or every one whose name is still to be learned."""
        if not model:
            return self._backends[:1]
        return [backend for backend in self._backends if backend.name in ("", model)]

    def _known(self, model: str) -> GrpcBackend | None:
        holding = (b for b in self._candidates(model) if b.known_model is not None)
        return next(holding, None)

    async def states(self) -> list[BackendState]:
        """Each model, its servers asked now."""
        await self._refresh()
        return [BackendState(backend.address, backend.offered, backend.available) for backend in self._backends]

    async def close(self) -> None:
        """Closes all connections."""
        await asyncio.gather(*(backend.close() for backend in self._backends))
