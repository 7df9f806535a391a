"""The HTTP API as a BentoML service: bentoml serve gateway.http.service:HttpService."""

import asyncio
import logging
import os

import bentoml

from gateway.http.app import create
from gateway.http.middleware.bentoml_timeout import disable_bentoml_timeout
from gateway.http.middleware.encryption import encrypt
from gateway.http.middleware.stopping import refuse_when_stopping
from gateway.http.readiness import is_ready
from gateway.http.settings import load_http_settings
from services.serving.free_memory import give_back
from services.serving.logs import configure_logs
from services.serving.metrics import MetricsServer
from services.serving.process_flags import forbid_core_dumps
from services.serving.tls import server_tls
from services.serving.tracing import start_tracing, stop_tracing

os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")  # the suite sends nothing home

refuse_when_stopping()
disable_bentoml_timeout()
_SETTINGS = load_http_settings()
_TLS = server_tls(_SETTINGS)
if _TLS is not None:
    encrypt(_TLS.http_context())
_API = create(_SETTINGS)

_PROBE_S = 2.0
"""Time for the event loop to say whether this server is ready."""


@bentoml.asgi_app(_API.app, path="/", name="axia")
@bentoml.service(
    name="axia-http",
    http={"host": _SETTINGS.host, "port": _SETTINGS.port},
    workers=1,
    # Its labels hold whole addresses; ours hold routes, on a port of their own.
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
)
class HttpService:
    """Mounts the application and opens what belongs to the process."""

    def __init__(self) -> None:
        configure_logs("http", _SETTINGS.log_level, content=_SETTINGS.log_content)
        if not _SETTINGS.core_dumps:
            forbid_core_dumps()
        logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # failures are logged with their request's id
        start_tracing("http")
        self._loop = asyncio.get_running_loop()
        self._trimming = self._loop.create_task(give_back())
        self._metrics: MetricsServer | None = None
        if _SETTINGS.metrics_port:
            # Whoever scrapes or probes has no certificate, as a rule.
            context = None if _TLS is None else _TLS.http_context(ask_callers=False)
            self._metrics = MetricsServer(_SETTINGS.host, _SETTINGS.metrics_port, self._ready, context)

    def _ready(self) -> bool:
        """Whether requests can be answered; for threads beside the event loop's."""
        asked = asyncio.run_coroutine_threadsafe(is_ready(_API.gateway), self._loop)
        try:
            return asked.result(_PROBE_S)
        except (TimeoutError, asyncio.CancelledError):
            return False

    async def __is_ready__(self) -> bool:
        # BentoML's name for what /readyz asks.
        return await is_ready(_API.gateway)

    @bentoml.on_shutdown  # type: ignore[untyped-decorator]  # BentoML's own types leave it open
    async def close(self) -> None:
        """Closes connections, threads and the metrics port, and sends the last spans."""
        self._trimming.cancel()
        await _API.close()
        if self._metrics is not None:
            self._metrics.close()
        await stop_tracing()
