"""Serves other services of the suite at the gateway under their own names: a proxy that forwards bytes unread."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor

from axia._connection.duplex import Responses
from gateway import metrics
from gateway.backends.channels import ServiceChannel
from services.serving.deadlines import time_for_call
from services.serving.errors import ResourceExhausted
from services.serving.identity.guard import AUTHORIZATION
from services.serving.in_flight import InFlight
from services.serving.logs import REQUEST_ID_KEY, request_metadata
from services.serving.status import DETAILS_KEY, PUSHBACK_KEY, CallStatus, end_call
from services.serving.tracing import HEADERS as TRACE_HEADERS
from services.serving.tracing import trace_headers
from services.serving.upstream.replica import Replica

if TYPE_CHECKING:  # generic in its type stubs alone
    Handler = grpc.RpcMethodHandler[Any, Any]
    Context = grpc.aio.ServicerContext[Any, Any]

_HOP_PREFIXES = ("grpc-", ":", "user-agent", "content-type", "te-", REQUEST_ID_KEY, AUTHORIZATION)
"""Beginnings of metadata keys that belong to the hop and not to the call. A credential is for the gateway, which has
checked it."""
_PASSED_ON = frozenset({DETAILS_KEY, PUSHBACK_KEY})
"""Keys that pass all the same."""


class ServiceProxy:
    """Forwards the calls of one service: requests, responses, deadline, metadata, status and its details.

    Args:
        service: What is forwarded; a method that is not in it is unknown here as well.
        channel: Where to.
        max_in_flight: Calls beyond which a new one is refused.
        default_timeout_s: Time limit of a call without a deadline, unless it sends a stream of requests, which
            lasts as long as the caller has something to send.
    """

    def __init__(
        self, service: ServiceDescriptor, channel: ServiceChannel, max_in_flight: int, default_timeout_s: float
    ) -> None:
        self._channel = channel
        self._calls = InFlight(max_in_flight)
        # On the wire a unary call is a stream of one message, so one kind of handler serves all four.
        self._handlers: dict[str, Handler] = {
            method.name: grpc.stream_stream_rpc_method_handler(
                self._relay(
                    f"/{service.full_name}/{method.name}", None if method.client_streaming else default_timeout_s
                )
            )
            for method in service.methods
        }
        self._name = service.full_name

    def register(self, server: grpc.aio.Server) -> None:
        """Adds the service to a server."""
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self._name, self._handlers),))

    def _relay(self, path: str, default_timeout_s: float | None) -> Any:
        async def relay(requests: AsyncIterator[bytes], context: Context) -> AsyncIterator[bytes]:
            replica = self._pick()
            gauge = metrics.PROXIED_IN_FLIGHT.labels(self._channel.name)
            with self._calls.counted(), replica.answering(), gauge.track_inprogress():
                async for response in self._call(path, replica, requests, context, default_timeout_s):
                    yield response

        return relay

    def _pick(self) -> Replica:
        replica = self._channel.pick()
        if self._calls.full:
            raise ResourceExhausted(
                f"{self._calls.most:,} calls to the {self._channel.name} service are already in flight; try again "
                "shortly",
                reason="TOO_MANY_CALLS",
                retry_after_s=1.0,
            )
        return replica

    async def _call(
        self,
        path: str,
        replica: Replica,
        requests: AsyncIterator[bytes],
        context: Context,
        default_timeout_s: float | None,
    ) -> AsyncIterator[bytes]:
        # Neither side has a serializer: messages go through as the bytes that they are.
        method: Any = replica.channel.stream_stream(path)
        timeout_s = time_for_call(context.time_remaining(), default_timeout_s)
        call = method(requests, timeout=timeout_s, metadata=_forwarded_metadata(context))
        responses = Responses(call)
        try:
            initial = _without_hop(await call.initial_metadata())
            if initial:
                await context.send_initial_metadata(initial)
            async for response in responses:
                yield response
            context.set_trailing_metadata(_without_hop(await responses.trailing_metadata()))
        except grpc.aio.AioRpcError as error:
            if _is_connections(error):
                raise self._channel.unavailable() from error
            trailing = _without_hop(error.trailing_metadata())
            await end_call(context, CallStatus(error.code(), error.details() or "", trailing))
        finally:
            call.cancel()


def _is_connections(error: grpc.aio.AioRpcError) -> bool:
    """Whether the connection failed, rather than the service saying so."""
    keys = {key for key, _ in error.trailing_metadata() or ()}
    return error.code() is grpc.StatusCode.UNAVAILABLE and DETAILS_KEY not in keys


def _forwarded_metadata(context: Context) -> tuple[tuple[str, str | bytes], ...]:
    pairs = _without_hop(context.invocation_metadata())
    if trace_headers():  # without tracing here, the caller's own trace goes on at the service
        pairs = tuple((key, value) for key, value in pairs if key not in TRACE_HEADERS)
    return (*pairs, *request_metadata())


def _without_hop(metadata: Any) -> tuple[tuple[str, str | bytes], ...]:
    pairs = metadata or ()
    return tuple((key, value) for key, value in pairs if key in _PASSED_ON or not key.startswith(_HOP_PREFIXES))
