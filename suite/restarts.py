"""What circus calls about each service (hooks in circus.ini): bounds restarts, and notes how a process ended."""

import json
import signal
import time
from collections import defaultdict, deque
from datetime import UTC, datetime
from typing import Protocol

MAX_STARTS = 5
"""How often a service may start within `WINDOW_S`; once more, and it stays stopped."""

WINDOW_S = 600.0
"""Seconds within which starts are counted: long enough to see a model that fails each time it has loaded."""

LOGGER = "suite"
"""Name under which the lines of this module stand in a service's log."""


class Watcher(Protocol):
    """As much of circus's watcher of a service as is used here."""

    name: str

    def stdout_stream(self, data: dict[str, bytes]) -> None:
        """Writes into the service's log."""


_starts: dict[str, deque[float]] = defaultdict(deque)
_living: set[str] = set()
"""Services that started and whose end was not noted."""


def before_spawn(watcher: Watcher, **_: object) -> bool:
    """Whether the service may start once more. Circus stops a service for which this is False."""
    if watcher.name in _living:
        # Circus drops a dead process without reaping it if it looks for the living ones first.
        _note(watcher, "ERROR", f"{watcher.name} ended, and its exit code is not known; its last log lines may say why")
    _living.discard(watcher.name)
    starts, now = _starts[watcher.name], time.monotonic()
    while starts and now - starts[0] > WINDOW_S:
        starts.popleft()
    if len(starts) >= MAX_STARTS:
        minutes = WINDOW_S / 60
        _note(watcher, "ERROR", f"{watcher.name} ended {MAX_STARTS} times in {minutes:g} minutes and stays stopped")
        return False
    starts.append(now)
    _living.add(watcher.name)
    return True


def after_reap(watcher: Watcher, process_pid: int, exit_code: int | None = None, **_: object) -> None:
    """Writes into the service's log how its process ended, which the process itself can't if it was killed."""
    _living.discard(watcher.name)
    level = "INFO" if exit_code == 0 else "ERROR"
    _note(watcher, level, f"{watcher.name} {_ending(exit_code)}", process=process_pid, exit_code=exit_code)


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "ended"
    if exit_code >= 0:
        return f"ended with exit code {exit_code}"
    name = signal.Signals(-exit_code).name if -exit_code in set(signal.Signals) else f"signal {-exit_code}"
    memory = ", as the system does when memory runs out" if -exit_code == signal.SIGKILL else ""
    return f"was killed by {name}{memory}"


def _note(watcher: Watcher, level: str, message: str, **fields: object) -> None:
    """Adds a line to the service's log, in the form of its own lines."""
    record = {"time": datetime.now(UTC).isoformat(), "level": level, "logger": LOGGER, "message": message, **fields}
    watcher.stdout_stream({"data": (json.dumps(record) + "\n").encode()})
