"""Circus, the process manager, around the services of a checkout."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from configparser import RawConfigParser
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

from suite import SuiteError
from suite.services import CONFIGURATION, Service, search_path, wiring

GRACE_S = 60.0
"""Seconds that circus gives a service to drain before it kills it (`graceful_timeout` in circus.ini)."""

_MARGIN_S = 10.0
_LEFTOVER_S = 2.0
_QUIT_S = 3.0
_QUIT_ATTEMPTS = 5
_POLL_S = 0.1


class ServiceState(NamedTuple):
    """A service as circus sees it."""

    status: str
    """``starting``, ``active``, ``stopping`` or ``stopped``."""
    process: int | None
    """Its process id; None while it has no living process."""


def _never() -> bool:
    return False


class Supervisor:
    """Starts, asks and stops circus for one checkout.

    Its state is in `.axia` of the checkout: `circusd.pid`, `logs/`, the sockets of circus, and `lock`, which circusd
    holds as long as it lives, so that neither a stale process id nor two starts at a time can mislead.
    """

    def __init__(self, checkout: Path) -> None:
        self.checkout = checkout
        self.logs = checkout / ".axia" / "logs"
        self._state = checkout / ".axia"
        self._pid_file = self._state / "circusd.pid"
        self._stop_mark = self._state / "stopping"
        self._process: subprocess.Popen[bytes] | None = None
        self._known: dict[str, int] = {}

    def log_of(self, service: str) -> Path:
        """The log of a service, or of circus itself as ``circusd``."""
        return self.logs / f"{service}.log"

    @property
    def running(self) -> bool:
        """Whether circus runs for this checkout, whoever started it."""
        if not self._state.is_dir():
            return False
        with self._lock() as lock:
            return lock is None

    @property
    def pid(self) -> int | None:
        """Process id of circus; None if it does not run."""
        if not self.running:
            return None
        try:
            return int(self._pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return self._process.pid if self._process else None

    def start(self, services: Sequence[Service], environment: Mapping[str, str]) -> None:
        """Starts circus with its services, and returns at once.

        Args:
            services: The services.
            environment: Their environment variables.

        Raises:
            SuiteError: If it runs already, circus is not installed, or a port is taken.
        """
        if find_spec("circus") is None:
            raise SuiteError("circus is not installed: run `make setup`, and then `.venv/bin/axia up`")
        self.logs.mkdir(parents=True, exist_ok=True)
        self._state.chmod(0o700)  # whoever reaches the sockets of circus can run programs as its user
        with self._lock() as lock:
            if lock is None:
                raise SuiteError(f"the suite is already running (process {self.pid}): `axia down` stops it")
            for service in services:
                service.require_free_ports()
            # Circus refuses to start when the number in it belongs to any process by now.
            self._pid_file.unlink(missing_ok=True)
            self._stop_mark.unlink(missing_ok=True)
            variables = {
                **wiring(services),
                **environment,
                "PATH": search_path(sys.executable, environment),
                "PWD": str(self.checkout),
                "PYTHONUNBUFFERED": "1",  # what a service says before it dies must reach its log
            }
            configuration = self._configuration([service.name for service in services])
            command = [sys.executable, "-m", "circus.circusd", "--pidfile", ".axia/circusd.pid", configuration]
            with self.log_of("circusd").open("wb") as log:
                # A session of its own: Ctrl-C in the terminal is for whoever watches, who then stops circus once.
                self._process = subprocess.Popen(  # noqa: S603 - every word of the command is ours
                    command,
                    cwd=self.checkout,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=(lock.fileno(),),
                )

    def _configuration(self, names: Collection[str]) -> str:
        """What circus reads: circus.ini, or a copy of it without the services that are left out."""
        parser = RawConfigParser()
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read(self.checkout / CONFIGURATION, encoding="utf-8")
        watchers = {section: section.removeprefix("watcher:") for section in parser.sections() if ":" in section}
        left_out = [section for section, name in watchers.items() if name not in names]
        if not left_out:
            return CONFIGURATION
        for section in left_out:
            parser.remove_section(section)
        copy = self._state / CONFIGURATION
        with copy.open("w", encoding="utf-8") as file:
            parser.write(file)
        return str(copy.relative_to(self.checkout))

    @property
    def is_being_stopped(self) -> bool:
        """Whether somebody asked for the stop, so that services end because they should."""
        return self._stop_mark.exists()

    def states(self, services: Sequence[Service]) -> Mapping[str, ServiceState]:
        """The services by name as circus sees them, without those about which it gives no answer in time."""
        statuses = (self._ask("status") or {}).get("statuses", {})
        states = {}
        for service in services:
            listed = self._ask("list", name=service.name)
            if service.name in statuses and listed is not None:
                process = next(iter(listed["pids"]), None)
                states[service.name] = ServiceState(statuses[service.name], process)
                if process is not None:
                    self._known[service.name] = process
        return states

    def exit_code(self) -> int | None:
        """Exit code of circus if this object started it and it has ended, else None."""
        return self._process.poll() if self._process else None

    def stop(self, services: Sequence[Service], hurry: Callable[[], bool] = _never) -> bool:
        """Lets the services finish what they are at, the last started first, and ends circus.

        Args:
            services: The services in the order in which they started.
            hurry: Asked all the time; when it says True, everything is killed at once.

        Returns:
            Whether everything ended by itself; False if it had to be killed.
        """
        pid = self.pid
        drained = self._end_circus(pid, services, hurry) if pid is not None else True
        # Circus makes each service the leader of a group. They live on where circus was killed, and so do processes
        # that a leader leaves behind.
        leaders = self._known.values()
        if pid is None:
            for leader in leaders:
                _signal(os.kill, leader, signal.SIGTERM)
        timeout_s = _LEFTOVER_S if pid is not None else GRACE_S
        self._wait(lambda: not any(map(_group_exists, leaders)), lambda: not drained or hurry(), timeout_s)
        for leader in leaders:
            _signal(os.killpg, leader, signal.SIGKILL)
        self._pid_file.unlink(missing_ok=True)
        return drained

    def _end_circus(self, pid: int, services: Sequence[Service], hurry: Callable[[], bool]) -> bool:
        """Stops the services and circus; returns whether they ended by themselves."""
        self._stop_mark.touch()
        self.states(services)  # so that there is something to kill if circus should hang
        # One after the other, because circus alone would signal a service and those that it depends on at a time.
        drained = all(self._wait(partial(self._is_stopped, service), hurry) for service in reversed(services))
        if drained:
            # Circus ignores the signal while it is at a command, and dies of it while it ends: not too often, then.
            for _ in range(_QUIT_ATTEMPTS):
                _signal(os.kill, pid, signal.SIGTERM)
                if gone := self._wait(lambda: not self.running, hurry, _QUIT_S):
                    break
            drained = gone
        if not drained:
            _signal(os.kill, pid, signal.SIGKILL)
        if self._process:
            self._process.wait()
        return drained

    def _is_stopped(self, service: Service) -> bool:
        """Whether a service is stopped; tells circus to stop it if it has not begun to."""
        statuses = (self._ask("status") or {}).get("statuses")
        if statuses is not None and service.name not in statuses:
            return True  # it was left out
        state = self.states([service]).get(service.name)
        if state is None:
            return not self.running
        if state.status not in {"stopping", "stopped"}:
            # Circus refuses a command while it is at another one. Then it is told again the next time.
            self._ask("stop", name=service.name)
        return state.status == "stopped"

    @staticmethod
    def _wait(condition: Callable[[], bool], hurry: Callable[[], bool], limit_s: float = GRACE_S + _MARGIN_S) -> bool:
        """Whether the condition came true before the limit, or before there was a reason to hurry."""
        until = time.monotonic() + limit_s
        while not condition():
            if hurry() or time.monotonic() > until:
                return False
            time.sleep(_POLL_S)
        return True

    @contextlib.contextmanager
    def _lock(self) -> Iterator[IO[str] | None]:
        """Gives the locked file, or None if circus holds the lock. A child that inherits the file keeps the lock."""
        with (self._state / "lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file

    def _ask(self, command: str, **properties: str) -> dict[str, Any] | None:
        """Sends a command to circus; None if it does not answer."""
        from circus.client import CircusClient
        from circus.exc import CallError

        socket = self._state / "control.sock"
        if not socket.exists():
            return None
        # The path of a socket may have 107 bytes, and a checkout may lie deep.
        client = CircusClient(endpoint=f"ipc://{min(str(socket), os.path.relpath(socket), key=len)}", timeout=2.0)
        try:
            answer = client.send_message(command, **properties)
        except CallError:
            return None
        finally:
            client.stop()
        return answer if isinstance(answer, dict) and answer.get("status") != "error" else None


def _group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True


def _signal(send: Callable[[int, int], None], target: int, number: int) -> None:
    """Sends a signal to a process or group that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        send(target, number)
