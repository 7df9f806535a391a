"""A server that says who calls it, booted as every server of the suite is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import grpc

from axia.testing import free_port
from services.serving import app
from services.serving.identity import access
from services.serving.identity.principal import principal
from services.serving.settings import ServerSettings
from tests.support import wire

SERVICE = "axia.test.Desk"
ENTRIES: dict[str, access.Access] = {
    f"/{SERVICE}/Who": access.KNOWN,
    f"/{SERVICE}/Delete": "admin",
    f"/{SERVICE}/Each": "search",
}


class Desk:
    """Says who asks; one method needs a role, one doesn't."""

    name = "desk"
    services = (SERVICE,)

    def register(self, server: Any) -> None:
        """Adds the methods to a server."""
        handlers = {
            "Who": wire.handler(self._who, request_streaming=False, response_streaming=False),
            "Delete": wire.handler(self._who, request_streaming=False, response_streaming=False),
            "Each": wire.handler(self._each, request_streaming=True, response_streaming=True),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))

    async def start(self) -> None:
        """Has nothing to load."""

    async def watch(self) -> None:
        """Never fails."""
        await asyncio.Event().wait()

    async def close(self) -> None:
        """Has nothing to free."""

    async def _who(self, request: str, context: Any) -> str:
        caller = principal.get()
        return caller.name if caller else ""

    async def _each(self, requests: AsyncIterator[str], context: Any) -> AsyncIterator[str]:
        async for request in requests:
            yield f"{request} {await self._who(request, context)}"


@contextlib.asynccontextmanager
async def desk_port(**settings: Any) -> AsyncIterator[int]:
    """A desk on a free port; it may not serve yet."""
    port = settings.setdefault("port", free_port())
    running = asyncio.create_task(app.serve(Desk(), ServerSettings(lame_duck_seconds=0, **settings)))
    try:
        yield port
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def listening(port: int) -> None:
    """Waits until a port of this machine takes connections."""
    async with asyncio.timeout(20):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.01)
            else:
                writer.close()
                return
