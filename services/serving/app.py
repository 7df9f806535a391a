"""The boot of every server, written once.

Settings, logs, metrics port, health as NOT_SERVING, bind, load and warm, SERVING. On SIGTERM or SIGINT: NOT_SERVING,
new calls taken for as long as `lame_duck_seconds` says, then the port closed and every connection told to go (GOAWAY),
so that clients connect to another replica at once; calls in flight finished, stop, close. A component that fails while
running (its engine died, say) takes the same way out with exit code 1, so that a process manager starts it again. One
that has lost something which comes back by itself (a database, say) says NOT_SERVING meanwhile and continues.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import grpc
from grpc_reflection.v1alpha import reflection

from services.serving.errors import ServiceError
from services.serving.free_memory import give_back
from services.serving.health import Health
from services.serving.identity.access import RPCS, NoEntry, RecordingServer, require_entries
from services.serving.identity.guard import Guard, check_settings
from services.serving.interceptors import CallInterceptor
from services.serving.logs import configure_logs
from services.serving.metrics import MetricsServer
from services.serving.process_flags import forbid_core_dumps
from services.serving.settings import CallerSettings, ServerSettings
from services.serving.tls import ServerTls, channel_tls, server_tls, warn_of_plaintext
from services.serving.tracing import start_tracing, stop_tracing
from services.serving.upstream.replica import Channels

logger = logging.getLogger(__name__)

_MESSAGE_OVERHEAD_MIB = 4
"""Room in a message beside a picture of the largest size, in MiB."""

_ROOM_FOR_REFUSALS = 256
"""Calls over the bound that are taken in nevertheless: to be refused with details, or to ask for health."""

_MAX_METADATA_BYTES = 16 * 2**10
"""Of a request's metadata, from which gRPC may refuse it; a quarter more and it does."""

_CANCEL_SECONDS = 2.0
"""How long a cancelled call may take to end before the component is closed under it."""

_FAILURE_NOTICE_S = 2.0
"""How long a failed server says NOT_SERVING before it goes, so that clients that watch its health hear of it."""


class Component(Protocol):
    """What a server does, without how it is booted."""

    @property
    def name(self) -> str:
        """Name in logs."""

    @property
    def services(self) -> Sequence[str]:
        """Full names of the gRPC services that it offers."""

    def register(self, server: grpc.aio.Server) -> None:
        """Adds its servicers to a server."""

    async def start(self) -> None:
        """Loads and warms whatever answers need. Raises ServiceError with advice if that can't be done."""

    async def watch(self) -> None:
        """Runs as long as the component can answer; raises ServiceError when it no longer can."""

    async def close(self) -> None:
        """Frees everything; called once, also after a failed start."""


@runtime_checkable
class ReportsHealth(Protocol):
    """A component that reports health by itself: its own, where it can't answer for a while without having failed, and
    that of services which it passes on."""

    def report_to(self, health: Health) -> None:
        """Takes the health of the server, before it starts. `watch` may tell it what changes."""


def _common_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Message sizes by the picture limit, and pings, so that a call without a deadline ends when its peer's machine or
    network is gone."""
    size = int((settings.max_image_mib + _MESSAGE_OVERHEAD_MIB) * 2**20)
    return [
        ("grpc.max_send_message_length", size),
        ("grpc.max_receive_message_length", size),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 20_000),
    ]


def channel_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Options of channels between servers of the suite: quick reconnection, and no proxy."""
    return [
        *_common_options(settings),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),  # gRPC's own bound is two minutes
        # gRPC's own bound is half a minute, in which a Pod that was replaced by one with another address stays lost.
        ("grpc.dns_min_time_between_resolutions_ms", 2000),
        # gRPC would send these calls to the proxy that http_proxy names, which is often set for a model hub.
        ("grpc.enable_http_proxy", 0),
    ]


def channels_to(service: str, settings: CallerSettings) -> Channels:
    """How channels to the replicas of another server are made.

    Args:
        service: Full name of the gRPC service whose health counts.
        settings: Of the server that calls.

    Raises:
        FailedPrecondition: If the settings of TLS can't be used.
    """
    return Channels(service, channel_options(settings), channel_tls(settings))


def server_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """Options of gRPC servers: clients may ping, and are sent elsewhere from time to time."""
    options = [
        *_common_options(settings),
        # Without this two processes could share a port, and half of the calls would go to a forgotten one.
        ("grpc.so_reuseport", 0),
        # A client behind NAT pings to keep an idle connection open. gRPC takes that for abuse unless it is told, and
        # the pings by which it measures a busy connection as well: it ends the connection with "too_many_pings".
        ("grpc.keepalive_permit_without_calls", 1),
        # Both come to far less than a ping a second; whoever sends many more is told to go.
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        ("grpc.http2.max_ping_strikes", 60),
        # gRPC's own bound, 8 KiB, is that of a token alone, and from there on it refuses at random.
        ("grpc.max_metadata_size", _MAX_METADATA_BYTES),
    ]
    if settings.max_connection_age_s:
        options.append(("grpc.max_connection_age_ms", int(settings.max_connection_age_s * 1000)))
        # Calls on an old connection may continue until they end.
        options.append(("grpc.max_connection_age_grace_ms", 2**31 - 1))
    return options


def run(component: Component, settings: ServerSettings) -> None:
    """Serves a component until a signal; ends the process with 0 after a drain, 1 after a failure."""
    configure_logs(component.name, settings.log_level, content=settings.log_content)
    if not settings.core_dumps:
        forbid_core_dumps()
    with asyncio.Runner(loop_factory=_event_loop()) as runner:
        raise SystemExit(runner.run(serve(component, settings)))


def _event_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's event loop where it is installed, which it can't be on Windows; None for asyncio's own.

    A completion comes as many small messages between processes, and uvloop takes less processor time for each.
    """
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def serve(component: Component, settings: ServerSettings) -> int:
    """Boots a component, serves it until a signal or a failure, and returns the exit code."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    try:
        check_settings(settings)
        tls = server_tls(settings)
        warn_of_plaintext(settings)
        guard = Guard.from_settings(settings, component.name)
        start_tracing(component.name)
    except ServiceError as error:
        logger.error("%s", error.message)  # noqa: TRY400 - the advice is the message, a traceback adds nothing
        return 1
    interceptor = CallInterceptor(settings.max_concurrent_calls, guard, settings.slow_reader_s)
    health = Health(component.services)
    server = grpc.aio.server(
        interceptors=[interceptor],
        maximum_concurrent_rpcs=settings.max_concurrent_calls + _ROOM_FOR_REFUSALS,
        options=server_options(settings),
    )
    await health.register(server)
    if isinstance(component, ReportsHealth):
        component.report_to(health)
    offered: Any = RecordingServer(server)
    component.register(offered)
    if settings.reflection:
        reflection.enable_server_reflection([*component.services, reflection.SERVICE_NAME], server)

    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(stop_tracing)
        try:
            require_entries(offered.methods, RPCS)
            await stack.enter_async_context(guard.following())
            port = _bind(server, settings, tls, health, stack)
        except (NoEntry, ServiceError) as error:
            logger.error("%s", error)  # noqa: TRY400 - the advice is the message, a traceback adds nothing
            return 1
        stack.push_async_callback(component.close)
        trimming = asyncio.create_task(give_back())
        stack.callback(trimming.cancel)
        await server.start()
        stack.push_async_callback(_stop, server, interceptor)
        logger.info("listening on %s:%d, not serving yet", settings.host, port)
        code = await _serve_until(stop, component, health)
        await health.set_serving(False)
        if code == 0:
            await _drain(server, interceptor, settings)
        else:
            await asyncio.sleep(_FAILURE_NOTICE_S)
    logger.info("stopped")
    return code


async def _drain(server: grpc.aio.Server, interceptor: CallInterceptor, settings: ServerSettings) -> None:
    """Sends clients elsewhere and waits for the calls in flight."""
    if settings.lame_duck_seconds:
        logger.info("not ready any more; new calls are accepted for another %g s", settings.lame_duck_seconds)
        await asyncio.sleep(settings.lame_duck_seconds)
    logger.info("draining: %d calls in flight", interceptor.in_flight)
    # Closes the port and tells each connection to go, at once; calls in flight continue. It ends by itself, for a
    # second call of `stop` beside it crashes gRPC.
    closing = asyncio.create_task(server.stop(settings.drain_seconds))
    if not await interceptor.drain(settings.drain_seconds):
        logger.warning(
            "%d calls had not ended after %g s and are cancelled; a longer drain_seconds would let them end",
            interceptor.in_flight,
            settings.drain_seconds,
        )
    await closing


async def _stop(server: grpc.aio.Server, interceptor: CallInterceptor) -> None:
    """Cancels the calls that are left and waits until each has let go of the component, which is closed next."""
    await server.stop(0)  # returns while cancelled calls are still ending
    await interceptor.drain(_CANCEL_SECONDS)


def _bind(
    server: grpc.aio.Server,
    settings: ServerSettings,
    tls: ServerTls | None,
    health: Health,
    stack: contextlib.AsyncExitStack,
) -> int:
    """Opens the metrics port and the gRPC port; returns the latter's number."""
    host = settings.host.strip("[]")
    if settings.metrics_port:
        try:
            # Whoever scrapes or probes has no certificate, as a rule.
            context = None if tls is None else tls.http_context(ask_callers=False)
            stack.enter_context(MetricsServer(host, settings.metrics_port, lambda: health.ready, context))
        except OSError as error:
            raise _port_taken(settings, "metrics_port", settings.metrics_port) from error
    # Without brackets gRPC takes the end of an IPv6 address for the port.
    address = f"{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        if tls is not None:
            return server.add_secure_port(address, tls.grpc_credentials())
        return server.add_insecure_port(address)
    except RuntimeError as error:  # gRPC says no more than that it failed
        raise _port_taken(settings, "port", settings.port) from error


def _port_taken(settings: ServerSettings, field: str, port: int) -> ServiceError:
    variable = f"{settings.model_config.get('env_prefix', '')}{field}".upper()
    return ServiceError(
        f"can't listen on {settings.host}:{port}: another process uses it, or the address does not belong to this "
        f"machine; stop that process or set {variable} or the host to another",
        reason="PORT_TAKEN",
    )


async def _serve_until(stop: asyncio.Event, component: Component, health: Health) -> int:
    """Starts the component, says SERVING, and waits for a signal or the component's failure."""
    stopped = asyncio.create_task(stop.wait())
    alive = asyncio.create_task(_start_and_watch(component, health))
    try:
        await asyncio.wait({stopped, alive}, return_when=asyncio.FIRST_COMPLETED)
        if not alive.done():
            return 0
        error = asyncio.CancelledError() if alive.cancelled() else alive.exception()
        if error:
            if isinstance(error, ServiceError):
                logger.error("%s", error.message)
            else:
                logger.error("%s failed unexpectedly", component.name, exc_info=error)
            return 1
        return 0
    finally:
        for task in (stopped, alive):
            task.cancel()
        await asyncio.gather(stopped, alive, return_exceptions=True)


async def _start_and_watch(component: Component, health: Health) -> None:
    started = asyncio.get_running_loop().time()
    await component.start()
    await health.set_serving(True)
    logger.info("serving after %.1f s", asyncio.get_running_loop().time() - started)
    await component.watch()
