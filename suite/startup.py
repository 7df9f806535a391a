"""Waits until every service of the suite can answer, or says why one can't."""

import os
import ssl
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import grpc

from axia._connection.call import channel_options
from axia._connection.transport import TLS
from suite import SuiteError, logs
from suite.services import Service
from suite.supervisor import Supervisor

_POLL_S = 0.25
_CHECK_TIMEOUT_S = 1.0
_SPAWN_LIMIT_S = 5.0
_LAST_LINES = 15


class Interrupted(Exception):
    """The user does not want to wait any longer."""


class Progress(Protocol):
    """Hears how far the start is."""

    def __call__(self, waiting: Sequence[str], ready: Sequence[str], seconds: float) -> None:
        """Names of the services that are not ready and of those that are, and seconds since the start."""


class _Mark(NamedTuple):
    """The end of a log before the start."""

    log: Path
    offset: int


class Startup:
    """The start of the suite, from before circus runs until every service is healthy.

    Make it before `Supervisor.start`: it remembers where each log ends, so that it shows nothing of an earlier run.

    Args:
        supervisor: Circus.
        services: The services.
        tls: Whom to trust and what to show where they speak TLS; None where they don't.

    Raises:
        SuiteError: If a service speaks TLS and nothing says whom to trust, or a file of it can't be read.
    """

    def __init__(self, supervisor: Supervisor, services: Sequence[Service], tls: TLS | None = None) -> None:
        self._tls = _checked(services, tls)
        self._supervisor = supervisor
        self._services = services
        self._health = _health_stub()
        self._marks = {
            service.name: _Mark(supervisor.log_of(service.name), logs.size(supervisor.log_of(service.name)))
            for service in services
        }
        self._begin = time.monotonic()

    def wait(self, limit_s: float, progress: Progress, interrupted: Callable[[], bool]) -> None:
        """Returns when every service is healthy.

        Raises:
            SuiteError: If circus or a service ends, with the last lines of its log, or at the limit.
            Interrupted: If `interrupted` says True.
        """
        self._begin = time.monotonic()
        ready: list[str] = []
        with ExitStack() as stack:
            probes = [self._probe(service, stack) for service in self._services]
            while len(ready) < len(self._services):
                if interrupted():
                    raise Interrupted
                self._check_alive()
                ready = [service.name for service, probe in zip(self._services, probes, strict=True) if probe()]
                waiting = [service.name for service in self._services if service.name not in ready]
                seconds = time.monotonic() - self._begin
                progress(waiting, ready, seconds)
                if waiting and seconds > limit_s:
                    said = "".join(f"\n\n{_last_lines(self._marks[name])}" for name in waiting)
                    raise SuiteError(
                        f"{' and '.join(waiting)} did not become ready within {limit_s:g} s: "
                        f"give more time with --timeout, or see the log{said}"
                    )
                time.sleep(_POLL_S)

    def _check_alive(self) -> None:
        """Raises SuiteError if circus or a service has ended since the start."""
        circus_log = self._supervisor.log_of("circusd")
        if self._supervisor.exit_code() is not None:
            raise SuiteError(f"circus ended while it started the services\n\n{_last_lines(_Mark(circus_log, 0))}")
        for name, mark in self._marks.items():
            # Circus starts it again at once, but what fails at the start fails again: better to show why.
            if said := logs.until_end(logs.read_since(*mark)):
                raise SuiteError(f"{name} ended while it started\n\n{_quote(mark.log, said)}")
        if time.monotonic() - self._begin > _SPAWN_LIMIT_S:
            for name, state in self._supervisor.states(self._services).items():
                if state.status == "stopped":
                    raise SuiteError(f"circus can't start {name}\n\n{_last_lines(_Mark(circus_log, 0))}")

    def _probe(self, service: Service, stack: ExitStack) -> Callable[[], bool]:
        """A function that says whether the service is healthy now."""
        tls = self._tls if service.encrypted else None
        if not service.health_name:
            scheme = "https" if tls else "http"
            return partial(_is_ready, f"{scheme}://{service.address}/readyz", _opener(tls))
        options = channel_options(service.address)
        if tls is None:
            channel = grpc.insecure_channel(service.address, options=options)
        else:
            channel = grpc.secure_channel(service.address, tls.credentials(), options=[*options, *tls.options])
        stub = self._health.Stub(stack.enter_context(channel))
        request = self._health.Request(service=service.health_name)

        def is_serving() -> bool:
            try:
                return bool(stub.Check(request, timeout=_CHECK_TIMEOUT_S).status == self._health.serving)
            except grpc.RpcError:
                return False  # not listening yet, or it does not know the name yet

        return is_serving


def _checked(services: Sequence[Service], tls: TLS | None) -> TLS | None:
    encrypted = [service.name for service in services if service.encrypted]
    if not encrypted:
        return None
    if tls is None:
        raise SuiteError(
            f"these services use TLS: {', '.join(encrypted)}. Start with --certs, or set AXIA_TLS_ROOTS to the CA file "
            "and, if they require client certificates, AXIA_TLS_CERTIFICATE and AXIA_TLS_KEY"
        )
    try:
        tls.credentials()
        _opener(tls)
    except (OSError, ValueError) as error:
        raise SuiteError(f"AXIA_TLS_*: {error}") from error
    return tls


def _opener(tls: TLS | None) -> urllib.request.OpenerDirector:
    """Opens our own addresses whatever proxy the environment names."""
    direct = urllib.request.ProxyHandler({})
    if tls is None:
        return urllib.request.build_opener(direct)
    context = ssl.create_default_context(cafile=_path(tls.root_certificates))
    context.check_hostname = tls.server_name is None  # it may be another than that of this machine
    if (certificate := _path(tls.certificate)) is not None:
        context.load_cert_chain(certificate, _path(tls.key))
    return urllib.request.build_opener(direct, urllib.request.HTTPSHandler(context=context))


def _path(pem: str | os.PathLike[str] | bytes | None) -> str | None:
    return None if pem is None else os.fsdecode(pem)  # from the environment, which holds paths alone


def _is_ready(url: str, opener: urllib.request.OpenerDirector) -> bool:
    try:
        with opener.open(url, timeout=_CHECK_TIMEOUT_S) as response:
            return bool(response.status == HTTPStatus.OK)
    except OSError:
        return False  # not listening yet, or it waits for the gateway


class _Health(NamedTuple):
    """The standard health service, as much of it as is needed here."""

    Stub: Any
    Request: Any
    serving: int


def _health_stub() -> _Health:
    try:
        from grpc_health.v1 import health_pb2, health_pb2_grpc
    except ImportError as error:
        raise SuiteError(
            "grpcio-health-checking is not installed: run `make setup`, and then `.venv/bin/axia up`"
        ) from error
    return _Health(health_pb2_grpc.HealthStub, health_pb2.HealthCheckRequest, health_pb2.HealthCheckResponse.SERVING)


def _last_lines(mark: _Mark) -> str:
    return _quote(mark.log, logs.read_since(*mark))


def _quote(log: Path, lines: list[str]) -> str:
    if not lines:
        return f"(nothing in {log})"
    text = "\n".join(logs.readable(line) for line in lines[-_LAST_LINES:])
    indented = "\n".join(f"  {line}" for line in text.splitlines())
    return f"The last lines of {log}:\n{indented}"
