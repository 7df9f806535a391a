"""What happens around every HTTP request: id, trace, metrics, bounds, and an answer to what fails unexpectedly."""

import asyncio
import logging
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.http import metrics
from gateway.http.client import credential
from gateway.http.middleware.cors import Admission
from gateway.http.middleware.slow_clients import Pace, TooSlow
from gateway.http.problems import HttpError, problem_response, unexpected
from services.serving.errors import InvalidArgument, ResourceExhausted
from services.serving.in_flight import InFlight
from services.serving.logs import REQUEST_ID_KEY, accept_request_id, log_access, request_id
from services.serving.retention import RETENTION_KEY, retention_of_route
from services.serving.tracing import NO_SPAN, Span, incoming_span

logger = logging.getLogger(__name__)

_DISCARD_S = 10.0
_DISCARD_FACTOR = 8
"""How long, and how many times its bound, a body that is too large is read and thrown away before the answer."""
_INTERNAL_ERROR = 1011
"""A WebSocket's code for a fault of the server."""
_PROBES = frozenset({"/healthz", "/readyz"})
_METHODS = frozenset({"GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "WEBSOCKET"})


class RequestMiddleware:
    """Wraps the application.

    Args:
        app: The application.
        max_in_flight: Requests beyond which a new one is refused.
        body_limit: Bytes that a request's body may have, by path and media type.
        refusal: Why a request is refused by its origin or the name of its host.
        cors: Wraps what answers the requests that are not refused, so that pages of allowed origins may read it.
        slow_s: How long callers may take to send a body or read an answer; see `Pace`.
    """

    def __init__(
        self,
        app: ASGIApp,
        max_in_flight: int,
        body_limit: Callable[[Scope], int],
        refusal: Admission,
        cors: Callable[[ASGIApp], ASGIApp],
        slow_s: float,
    ) -> None:
        self._app = app
        self._refusal = refusal
        self._admitted = cors(self._within_bounds)
        self._body_limit = body_limit
        self._requests = InFlight(max_in_flight)
        self._pace = Pace(slow_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = _Answer(scope, send, accept_request_id(headers.get(REQUEST_ID_KEY, "")), self._pace)
        given = headers.get("authorization", "")
        # What gRPC can't carry is no credential that the gateway would know.
        credential.set(given if given.isascii() and given.isprintable() else "unreadable")
        started, traced = time.perf_counter(), _begin_span(scope, headers)
        try:
            with self._requests.counted(), metrics.IN_FLIGHT.track_inprogress():
                await self._answer(scope, headers, receive, answer)
        finally:
            self._measure(scope, answer.status, time.perf_counter() - started, traced)

    async def _answer(self, scope: Scope, headers: Headers, receive: Receive, answer: "_Answer") -> None:
        try:
            if foreign := self._refusal(headers):
                await _refuse(foreign)(scope, receive, answer)
            else:
                await self._admitted(scope, receive, answer)
        except Exception:  # whatever it is, its text may hold paths or secrets: it goes to the log alone
            if answer.too_slow:
                logger.warning("the caller of %r reads its answer too slowly; the connection is closed", scope["path"])
                return
            logger.exception("%s %r failed unexpectedly", scope.get("method", "WEBSOCKET"), scope["path"])
            if scope["type"] == "websocket":
                with suppress(RuntimeError, OSError):  # it may be closed by now
                    await answer({"type": "websocket.close", "code": _INTERNAL_ERROR})
            elif not answer.begun:
                await problem_response(unexpected(), request_id.get())(scope, receive, answer)
            # An answer that was interrupted: the server closes the connection when this returns.

    async def _within_bounds(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers, limit = Headers(scope=scope), self._body_limit(scope)
        if scope["type"] == "http":
            receive = self._pace.arriving(receive)
        if self._requests.count > self._requests.most and not self._pace.make_room():
            full = ResourceExhausted(
                f"this server handles at most {self._requests.most:,} requests at a time; try again shortly",
                reason="TOO_MANY_CALLS",
                retry_after_s=1.0,
            )
            await problem_response(full, request_id.get())(scope, receive, send)
        elif _announced(headers) > limit:
            refused = _too_large(limit)
            if headers.get("expect", "").lower() != "100-continue":
                await _discard(receive, limit)
            await _refuse(refused)(scope, receive, send)
        else:
            await self._app(scope, _bounded(receive, limit), send)

    @staticmethod
    def _measure(scope: Scope, status: int, elapsed: float, traced: Span) -> None:
        # The template, never the address itself: callers could fill the memory with names.
        route = getattr(scope.get("route"), "path", "") or "none"
        method = scope.get("method", "WEBSOCKET")
        method = method if method in _METHODS else "OTHER"
        metrics.REQUESTS.labels(method, route, str(status)).inc()
        metrics.SECONDS.labels(method, route).observe(elapsed)
        if route not in _PROBES:
            log_access(f"{method} {route}", str(status), elapsed)
        if traced.recording:
            traced.rename(f"{method} {route}")
            traced.set({"http.request.method": method, "http.route": route, "http.response.status_code": status})
            if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
                traced.fail(str(status))
        traced.end()


def _begin_span(scope: Scope, headers: Headers) -> Span:
    """The span of a request; its name has the route, which is known only at the end, and never the address itself."""
    if scope["path"] in _PROBES:
        return NO_SPAN
    return incoming_span("HTTP", headers.items(), {"axia.request_id": request_id.get()})


class _Answer:
    """Sends an answer with the request's id and remembers its status; 499 where none was sent."""

    def __init__(self, scope: Scope, send: Send, identity: str, pace: Pace) -> None:
        self._scope = scope
        self._send = send
        self._identity = identity
        self._pace = pace
        self.too_slow = False
        self.status = 499
        self.begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.http.response.start", "websocket.accept"):
            self.begun = True
            self.status = message.get("status", HTTPStatus.SWITCHING_PROTOCOLS)
            _set_header(message, "X-Request-Id", self._identity)
            _set_header(message, "X-Content-Type-Options", "nosniff")
            if kept := retention_of_route(_route_of(self._scope)):
                _set_header(message, RETENTION_KEY, str(kept))
        try:
            await self._pace.send(self._send, message)
        except TooSlow:
            self.too_slow = True
            raise


def _route_of(scope: Scope) -> str:
    """Method and path's template, as the table of access names them; known once the framework has found the route."""
    method = str(scope.get("method", "WEBSOCKET"))
    return f"{'GET' if method == 'HEAD' else method} {getattr(scope.get('route'), 'path', '')}"


def _set_header(message: MutableMapping[str, Any], name: str, value: str) -> None:
    message.setdefault("headers", [])
    message["headers"] = list(message["headers"])
    MutableHeaders(raw=message["headers"])[name] = value


def _refuse(error: HttpError) -> Response:
    return problem_response(error.error, request_id.get(), status=error.status_code, headers=error.headers)


def _announced(headers: Headers) -> int:
    length = headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdecimal() else 0


def _bounded(receive: Receive, limit: int) -> Receive:
    """The same, refusing a body that grows beyond the limit while it is read."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                if message.get("more_body"):
                    await _discard(receive, limit)
                raise _too_large(limit)
        return message

    return bounded


async def _discard(receive: Receive, limit: int) -> None:
    """Reads on without keeping anything: a connection that closes while its caller sends loses the answer."""
    received = 0
    with suppress(TimeoutError, HttpError):  # the latter where it comes too slowly
        async with asyncio.timeout(_DISCARD_S):
            while received < _DISCARD_FACTOR * limit:
                message = await receive()
                received += len(message.get("body", b""))
                if not message.get("more_body"):
                    return


def _too_large(limit: int) -> HttpError:
    return HttpError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        InvalidArgument(
            "body", f"has more than {limit:,} bytes; send a smaller image, or fewer", reason="BODY_TOO_LARGE"
        ),
        {"Connection": "close"},
    )
