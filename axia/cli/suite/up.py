"""`axia up`: starts the suite on this machine."""

import os
import shlex
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from axia.cli._output import complain, console
from axia.cli.suite.checkout import needs_checkout

if TYPE_CHECKING:
    from suite.services import Service
    from suite.supervisor import ServiceState, Supervisor

_WATCH_S = 0.5
_EXIT_INTERRUPTED = 130


def up(
    detach: Annotated[
        bool, typer.Option("--detach", "-d", help="Return when the suite is ready; `axia down` stops it.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=1, help="Seconds to wait for all services to be ready.")] = 180.0,
    certs: Annotated[
        Path | None,
        typer.Option(
            envvar="AXIA_CERTS", metavar="FOLDER", help="Use TLS, with the certificates of `axia certs init FOLDER`."
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE", help="Don't start retrieval, scoring or http (repeatable)."),
    ] = None,
) -> None:
    """Start the suite on this machine, and keep it running until Ctrl-C.

    Works only in a checkout of the repository. Addresses come from AXIA_GATEWAY_HOST, AXIA_GATEWAY_PORT,
    AXIA_GATEWAY_METRICS_PORT and the same names with AXIA_INFERENCE_, AXIA_RETRIEVAL_, AXIA_SCORING_ and AXIA_HTTP_.
    The servers also read their other settings from the environment. With --certs all servers use TLS, and the services
    behind the gateway accept only the gateway's certificate; clients then set AXIA_TLS_ROOTS to FOLDER/ca.pem.

    After `make setup ENGINE=none` retrieval isn't installed: use --without retrieval, with AXIA_INFERENCE_ENGINE=openai
    and the address of an OpenAI-compatible endpoint.
    """
    with needs_checkout():
        from axia._connection.transport import TLS
        from suite import SuiteError
        from suite.services import encryption, find_checkout, services_from
        from suite.startup import Interrupted, Startup
        from suite.supervisor import Supervisor

    with _Signals() as signals:
        try:
            environment = {**(encryption(certs) if certs else {}), **os.environ}
            services = services_from(environment, without or ())
            supervisor = Supervisor(find_checkout())
            startup = Startup(supervisor, services, TLS.from_environment(environment))
            supervisor.start(services, environment)
        except (SuiteError, ValueError) as error:
            complain(str(error))
            raise typer.Exit(1) from error
        try:
            with _Waiting() as waiting:
                startup.wait(timeout, waiting, signals.stop_asked)
        except SuiteError as error:
            complain(str(error))
            _stop(supervisor, services, signals)
            raise typer.Exit(1) from error
        except Interrupted:
            _stop(supervisor, services, signals)
            raise typer.Exit(_EXIT_INTERRUPTED) from None
        states = supervisor.states(services)
        _print_services(supervisor, services, states, detached=detach)
        if certs:
            console().print(f"TLS:     clients set AXIA_TLS_ROOTS={certs.resolve() / 'ca.pem'}", soft_wrap=True)
        if not detach:
            raise typer.Exit(_keep(supervisor, services, states, signals))


def _keep(
    supervisor: "Supervisor", services: "Sequence[Service]", shown: "Mapping[str, ServiceState]", signals: "_Signals"
) -> int:
    """Watches the suite until a signal or its end, and returns the exit code."""
    processes = {name: state.process for name, state in shown.items()}
    while not signals.stop_asked():
        time.sleep(_WATCH_S)
        code = supervisor.exit_code()
        if code is not None and supervisor.is_being_stopped:
            console().print("The suite was stopped by another process.")
            return 0
        if code is not None:
            complain(f"circus ended with exit code {code}: see {supervisor.log_of('circusd')}")
            _stop(supervisor, services, signals)
            return 1
        for name, state in supervisor.states(services).items():
            if supervisor.is_being_stopped:
                break
            if state.status == "stopped":
                complain(f"{name} ended too often and isn't started again: see {supervisor.log_of(name)}")
                _stop(supervisor, services, signals)
                return 1
            if state.process not in {None, processes.get(name)}:
                complain(f"{name} ended and was started again (process {state.process}): see {supervisor.log_of(name)}")
                processes[name] = state.process
    return _stop(supervisor, services, signals)


def _stop(supervisor: "Supervisor", services: "Sequence[Service]", signals: "_Signals") -> int:
    """Stops the suite, says how it went, and returns the exit code."""
    console().print("Stopping; calls in flight may finish. Ctrl-C ends them at once.")
    if supervisor.stop(services, hurry=signals.asked_from_now_on()):
        console().print("Stopped.")
        return 0
    console().print("Killed; calls in flight were cut off.")
    return 1


def _print_services(
    supervisor: "Supervisor", services: "Sequence[Service]", states: "Mapping[str, ServiceState]", *, detached: bool
) -> None:
    from rich import box
    from rich.table import Table

    table = Table("service", "address", "metrics", "process", "state", box=box.SIMPLE_HEAD)
    for service in services:
        state = states.get(service.name)
        process = str(state.process) if state and state.process else "?"
        table.add_row(service.name, service.address, service.metrics_address or "off", process, "serving")
    out = console()
    out.print(table)
    gateway = next(service.address for service in services if service.name == "gateway")
    from axia._connection.call import DEFAULT_ADDRESS

    elsewhere = "" if gateway == DEFAULT_ADDRESS else f" --address {gateway}"
    example = supervisor.checkout / "demo" / "gallery" / "study-08-spilled-water.webp"
    out.print(f"Try it:  axia detect {shlex.quote(_short(example))}{elsewhere}", soft_wrap=True)
    out.print(f"Logs:    {_short(supervisor.logs)}", soft_wrap=True)
    out.print(f"Stop:    {'axia down' if detached else 'Ctrl-C'}")


def _short(path: Path) -> str:
    """A path from here, if it is below."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


class _Signals:
    """Counts requests to stop (Ctrl-C, SIGTERM, a closed terminal), so that waiting can end in an orderly way."""

    _NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def __init__(self) -> None:
        self._count = 0

    def stop_asked(self) -> bool:
        return self._count > 0

    def asked_from_now_on(self) -> Callable[[], bool]:
        seen = self._count
        return lambda: self._count > seen

    def __enter__(self) -> "_Signals":
        self._before = [(number, signal.signal(number, self._note)) for number in self._NUMBERS]
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._count += 1


class _Waiting:
    """Shows on standard error what the start waits for: a line that changes, or one line a step where none can."""

    def __init__(self) -> None:
        self._console = console(stderr=True)
        self._status = self._console.status("starting")
        self._ready: set[str] = set()

    def __enter__(self) -> "_Waiting":
        if self._console.is_terminal:
            self._status.start()
        else:
            self._console.print("Starting. Loading a model takes about a minute.", soft_wrap=True)
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, waiting: Sequence[str], ready: Sequence[str], seconds: float) -> None:
        for name in ready:
            if name not in self._ready:
                self._ready.add(name)
                self._console.print(f"{name} is ready after {seconds:.0f} s")
        names = ("inference (it loads the model)" if name == "inference" else name for name in waiting)
        self._status.update(f"waiting for {' and '.join(names)}, {seconds:.0f} s")
