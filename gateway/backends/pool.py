"""The models behind the gateway, found by name, their servers asked again and again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

from gateway.backends.model_client import GrpcBackend
from gateway.backends.model_replicas import Shared, unreachable
from gateway.backends.routes import Route
from gateway.protocols.ports.model import ModelInfo
from gateway.settings import GatewaySettings
from services.serving.errors import FailedPrecondition, NotFound
from services.serving.identity.principal import may_call, require_model
from services.serving.upstream.attempts import Deaths, RetryBudget

logger = logging.getLogger(__name__)


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
        reload: Reads the routing table again; raises FailedPrecondition if it breaks a rule. None: it can't change.
        removed: Told the name of each model that is no longer in the routing table.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        settings: GatewaySettings,
        changed: Callable[[], Awaitable[None]],
        reload: Callable[[], Sequence[Route]] | None = None,
        removed: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        self._shared = Shared(RetryBudget(), Deaths(), changed)
        self._routes = routes
        self._reload = reload
        self._removed = removed
        self._refused = ""
        """Why the table that is in the file now isn't used."""
        self._backends: list[GrpcBackend] = []
        self._leaving: list[GrpcBackend] = []
        """Those that are no longer in the routing table, until their calls have ended."""
        self._refreshing = asyncio.Lock()
        self._following: dict[GrpcBackend, asyncio.Task[None]] = {}

    async def start(self) -> None:
        """Opens the connections and asks each server once."""
        self._backends = [GrpcBackend(route, self._settings, self._shared) for route in self._routes]
        await self._refresh()
        for backend in self._backends:
            self._following[backend] = asyncio.create_task(backend.follow_replicas())

    async def watch(self) -> None:
        """Keeps asking models and each of their replicas; never ends by itself."""
        refreshing = asyncio.create_task(self._keep_refreshing())
        try:
            while True:
                followed = set(self._following.values())
                done, _ = await asyncio.wait(
                    {refreshing, *followed},
                    timeout=self._settings.refresh_s,  # others are followed after a change of the routing table
                    return_when=asyncio.FIRST_COMPLETED,
                )
                for task in done & {refreshing, *self._following.values()}:
                    task.result()  # it never ends by itself
        finally:
            refreshing.cancel()
            await asyncio.gather(refreshing, return_exceptions=True)

    async def _keep_refreshing(self) -> None:
        while True:
            await asyncio.sleep(self._settings.refresh_s)
            await self._look_for_another_table()
            await self._refresh()

    async def _look_for_another_table(self) -> None:
        """Goes over to what the routing table holds now; stays with the earlier one while that breaks a rule."""
        if self._reload is None:
            return
        try:
            routes = await asyncio.to_thread(self._reload)
        except FailedPrecondition as error:
            if error.message != self._refused:
                logger.error("%s; the earlier routing table stays in use", error.message)  # noqa: TRY400 - the advice is all
            self._refused = error.message
            return
        self._refused = ""
        if routes != self._routes:
            await self.replace(routes)

    async def replace(self, routes: Sequence[Route]) -> None:
        """Goes over to another routing table. Models that stay keep their connections, and calls in flight go on."""
        async with self._refreshing:
            self._routes = routes
            going = {backend.name: backend for backend in self._backends}
            self._backends = []
            for route in routes:
                backend = going.pop(route.name, None)
                if backend is not None:
                    backend.follow_route(route)
                else:
                    backend = GrpcBackend(route, self._settings, self._shared)
                    self._following[backend] = asyncio.create_task(backend.follow_replicas())
                self._backends.append(backend)
            for backend in going.values():
                backend.leave()
                self._leaving.append(backend)
                self._removed(backend.name)
        logger.info("the routing table has changed; models: %s", ", ".join(route.name for route in routes))

    async def _refresh(self) -> None:
        async with self._refreshing:
            await asyncio.gather(*(backend.refresh() for backend in [*self._backends, *self._leaving]))
            await self._merge()
            for backend in [leaving for leaving in self._leaving if leaving.left]:
                self._leaving.remove(backend)
                await self._stop_following(backend)
                await backend.close()

    async def _merge(self) -> None:
        """Makes servers of one model its replicas, where the settings name addresses alone."""
        for backend in list(self._backends):
            first = next(other for other in self._backends if other.name == backend.name)
            if first is backend or not backend.name or backend.named_by_route:
                continue
            self._backends.remove(backend)
            await self._stop_following(backend)
            await first.adopt(backend)

    async def _stop_following(self, backend: GrpcBackend) -> None:
        if following := self._following.pop(backend, None):
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

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
            await asyncio.gather(*(backend.meet() for backend in unknown or self._candidates(model)))
            found = self._known(model)
        if found is not None:
            require_model(found.name)
            return found
        silent = [backend.address for backend in self._candidates(model) if backend.known_model is None]
        if silent:
            raise unreachable(", ".join(silent))
        names = ", ".join(repr(backend.name) for backend in self._backends if may_call(backend.name))
        raise NotFound(
            "model", f"there is no model {model!r} behind this gateway; use one of {names}", reason="MODEL_UNKNOWN"
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
        await asyncio.gather(*(backend.close() for backend in [*self._backends, *self._leaving]))
