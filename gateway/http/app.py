"""The application: routes, errors, bounds."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Scope

from axia.version import __version__
from gateway.http.client import GatewayClient
from gateway.http.context import Context
from gateway.http.middleware.cors import admission, cors
from gateway.http.middleware.requests import RequestMiddleware
from gateway.http.openai.chat import add_chat
from gateway.http.openai.models import add_models
from gateway.http.openai.other_interfaces import add_other_interfaces
from gateway.http.problems import CallerGone, from_http_exception, problem_response, unexpected
from gateway.http.readiness import is_ready
from gateway.http.settings import HttpSettings
from gateway.http.transcoding.body import media_type
from gateway.http.transcoding.calls import add_calls
from gateway.http.transcoding.images import add_images
from gateway.http.transcoding.openapi import add_document
from gateway.http.transcoding.watch import add_watch
from services.serving.errors import ServiceError, Unavailable
from services.serving.identity.access import ROUTES, require_entries
from services.serving.logs import request_id

_ROOM_MIB = 4
"""Room in a body beside an image of the largest size, as gRPC messages have it, in MiB."""
_BASE64 = 4 / 3
"""How much longer bytes are in base64."""


class HttpApi(NamedTuple):
    """The application and what must be closed after it."""

    app: ASGIApp
    api: FastAPI
    gateway: GatewayClient
    workers: ThreadPoolExecutor

    async def close(self) -> None:
        """Closes the connection to the gateway and the threads."""
        await self.gateway.close()
        self.workers.shutdown(wait=False)


def create(settings: HttpSettings) -> HttpApi:
    """The application for a gateway."""
    workers = ThreadPoolExecutor(settings.decode_workers, thread_name_prefix="read")
    gateway = GatewayClient(settings)
    context = Context(settings, gateway, workers)
    api = FastAPI(title="axia", version=__version__, docs_url=None, redoc_url=None)

    async def ready() -> Response:
        if not await is_ready(gateway):
            raise Unavailable(
                "this server is stopping, or the gateway does not answer or has no available model",
                reason="NOT_READY",
                retry_after_s=2.0,
            )
        return Response("\n", media_type="text/plain")

    async def alive() -> Response:
        return Response("\n", media_type="text/plain")

    api.add_api_route("/healthz", alive, include_in_schema=False)
    api.add_api_route("/readyz", ready, include_in_schema=False)
    add_models(api, context)
    add_calls(api, context)
    add_images(api, context)
    add_watch(api, context)
    add_chat(api, context)
    add_other_interfaces(api)
    add_document(api)
    require_entries(_offered(api), ROUTES)
    api.add_exception_handler(ServiceError, _on_service_error)
    api.add_exception_handler(HTTPException, _on_http_exception)
    api.add_exception_handler(ClientDisconnect, _on_disconnect)
    api.add_exception_handler(Exception, _on_failure)
    limit = _body_limit(settings)
    app = RequestMiddleware(
        api, settings.max_concurrent_calls, limit, admission(settings), cors(settings), settings.slow_client_s
    )
    return HttpApi(app, api, gateway, workers)


def _offered(api: FastAPI) -> Iterator[str]:
    """The routes by method and path, as the table of access names them."""
    for route in api.routes:
        if isinstance(route, Mount):
            yield f"MOUNT {route.path}"
        elif isinstance(route, WebSocketRoute):
            yield f"WEBSOCKET {route.path}"
        elif isinstance(route, Route):
            yield from (f"{method} {route.path}" for method in (route.methods or ()) if method != "HEAD")
        else:
            yield f"ANY {getattr(route, 'path', route)}"


def _body_limit(settings: HttpSettings) -> Callable[[Scope], int]:
    usual = int((settings.max_image_mib + _ROOM_MIB) * 2**20 * _BASE64)
    upload = int(settings.max_upload_mib * 2**20)

    def limit(scope: Scope) -> int:
        # Files wait on disk; a body in JSON is held in memory, and more than once.
        in_files = scope["path"] == "/v1/images" and media_type(HTTPConnection(scope)) == "multipart/form-data"
        return upload if in_files else usual

    return limit


async def _on_service_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this type
    return problem_response(error, request_id.get())


async def _on_disconnect(_: Request, __: Exception) -> Response:
    return problem_response(CallerGone(), request_id.get())


async def _on_failure(_: Request, __: Exception) -> Response:
    return problem_response(unexpected(), request_id.get())  # raised again after this; the middleware logs it


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this type
    found, status = from_http_exception(error)
    return problem_response(found, request_id.get(), status=status, headers=error.headers)
