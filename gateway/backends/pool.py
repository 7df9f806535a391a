"""The models behind the gateway, found by name, their servers asked again and again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.backends.model_client import GrpcBackend
from gateway.backends.model_replicas import Shared, unreachable
from gateway.backends.routes import Route
from gateway.protocols.ports.model import ModelInfo
from gateway.settings import GatewaySettings
from services.serving.attempts import Deaths, RetryBudget
from services.serving.errors import NotFound
from services.serving.principal import may_call, require_model


class BackendState(NamedTuple):
    """What the gateway knows of a model's servers."""

    address: str
    model: ModelInfo | None
    """With the limits that hold for callers."""
    available: bool


class BackendPool:
    """All models, their servers asked again and again in the background.

    Args:
        routes: The models.
        settings: The gateway's.
        changed: Told that a replica can be called or no longer can.
    """

    def __init__(
        self, routes: Sequence[Route], settings: GatewaySettings, changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._settings = settings
        self._changed = changed
        self._routes = routes
        self._backends: list[GrpcBackend] = []
        self._refreshing = asyncio.Lock()
        self._following: dict[GrpcBackend, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Opens the connections and asks each server once."""
        shared = Shared(RetryBudget(), Deaths(), self._changed)
        self._backends = [GrpcBackend(route, self._settings, shared) for route in self._routes]
        await self._refresh()
        for backend in self._backends:
            self._following[backend] = asyncio.create_task(backend.follow_replicas())

    async def watch(self) -> None:
        """Keeps asking models and each of their replicas; never ends by itself."""
        refreshing = asyncio.create_task(self._keep_refreshing())
        try:
            while True:
                followed = set(self._following.values())
                done, _ = await asyncio.wait({refreshing, *followed}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & {refreshing, *self._following.values()}:
                    task.result()  # it never ends by itself
        finally:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            await self._refresh()

    async def _refresh(self) -> None:
        async with self._refreshing:
            await asyncio.gather(*(backend.refresh() for backend in self._backends))
            await self._merge()

    async def _merge(self) -> None:
        """Makes servers of one model its replicas, where the settings name addresses alone."""
        for backend in list(self._backends):
            first = next(other for other in self._backends if other.name == backend.name)
            if first is backend or not backend.name or backend.named_by_route:
                continue
            self._backends.remove(backend)
            if following := self._following.pop(backend, None):
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
            await first.adopt(backend)

    async def find(self, model: str) -> GrpcBackend:
        """The backend of a model by name, or the first one for an empty name.

        Raises:
            NotFound: If every server answers and none holds the model.
            Unavailable: If a server that may hold it does not answer.
            PermissionDenied: If the caller may not call it.
        """
        if model:
            require_model(model)  # before anything is said of whether it is there
        found = self._known(model)
        if found is None:
            # A server that came up a moment ago is worth one question, even between two attempts to connect to it.
            unknown = [backend for backend in self._candidates(model) if backend.known_model is None]
            await asyncio.gather(*(b.refresh(connecting=True) for b in unknown or self._candidates(model)))
            found = self._known(model)
        if found is not None:
            require_model(found.name)
            return found
        silent = [backend.address for backend in self._candidates(model) if backend.known_model is None]
        if silent:
            raise unreachable(", ".join(silent))
        names = ", ".join(repr(backend.name) for backend in self._backends if may_call(backend.name))
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

    @property
    def callable(self) -> bool:
        """Whether any model can be called."""
        return any(backend.callable for backend in self._backends)

    async def states(self) -> list[BackendState]:
        """The models that the caller may call, as their servers said last; silent ones are asked now."""
        if any(backend.known_model is None for backend in self._backends):
            await self._refresh()
        return [
            BackendState(backend.address, backend.offered, backend.callable)
            for backend in self._backends
            if may_call(backend.name)
        ]

    async def close(self) -> None:
        """Closes all connections."""
        for task in self._following.values():
            task.cancel()
        await asyncio.gather(*self._following.values(), return_exceptions=True)
        await asyncio.gather(*(backend.close() for backend in self._backends))
