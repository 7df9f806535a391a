"""BentoML keeps nothing of a request that has ended."""

import gc
import subprocess
import sys
import weakref
from contextvars import ContextVar
from typing import Any

import httpx
import pytest
from bentoml._internal.server.base_app import BaseAppFactory
from bentoml._internal.server.http import traffic
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.http.middleware.bentoml_timeout import disable_bentoml_timeout


class Kept:
    """What a request has in its context."""


CONTEXT: ContextVar[Kept] = ContextVar("context")


async def left_of_a_request() -> bool:
    """Whether the context of a request is still in memory when it has ended."""
    made: list[weakref.ref[Kept]] = []

    async def endpoint(_: Request) -> Response:
        return Response("ok")

    async def entering(scope: Any, receive: Any, send: Any) -> None:
        kept = Kept()
        made.append(weakref.ref(kept))
        token = CONTEXT.set(kept)
        del kept
        await app(scope, receive, send)
        CONTEXT.reset(token)

    class Factory(BaseAppFactory):
        name = "test"

        async def readyz(self, _: Request) -> Response:
            return Response("ok")

    app = Starlette(routes=[Route("/", endpoint)], middleware=Factory(timeout=3600).middlewares)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(entering), base_url="http://test") as client:
        assert (await client.get("/")).text == "ok"
    gc.collect()
    return made[0]() is not None


async def test_nothing_of_a_request_stays_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await left_of_a_request(), "BentoML cancels its timers now: disable_bentoml_timeout can go"
    monkeypatch.setattr(traffic, "TimeoutMiddleware", traffic.TimeoutMiddleware)  # put back at the end
    disable_bentoml_timeout()
    assert not await left_of_a_request()


def test_the_service_turns_the_timer_off() -> None:
    code = (
        "import gateway.http.service; from bentoml._internal.server.http import traffic; "
        "print(traffic.TimeoutMiddleware.__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == "gateway.http.middleware.bentoml_timeout"
