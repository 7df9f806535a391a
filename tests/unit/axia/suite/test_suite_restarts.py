"""How often a service may start, and what is noted when it ends."""

import itertools
import json
import signal

import pytest

from suite import logs, restarts


class Watcher:
    """As circus calls the hooks: a service with a log."""

    _numbers = itertools.count()

    def __init__(self) -> None:
        self.name = f"service-{next(self._numbers)}"
        self.lines: list[str] = []

    def stdout_stream(self, data: dict[str, bytes]) -> None:
        self.lines += data["data"].decode().splitlines()


def test_a_service_that_ends_too_often_stays_stopped_and_its_log_says_so() -> None:
    watcher = Watcher()
    assert all(restarts.before_spawn(watcher, arbiter=None) for _ in range(restarts.MAX_STARTS))
    assert not restarts.before_spawn(watcher, arbiter=None)
    assert "ended 5 times in 10 minutes and stays stopped" in watcher.lines[-1]


def test_an_end_that_circus_did_not_see_is_noted_with_the_next_start() -> None:
    watcher = Watcher()
    assert restarts.before_spawn(watcher)
    assert watcher.lines == []
    assert restarts.before_spawn(watcher)
    assert "its exit code is not known" in watcher.lines[0]
    restarts.after_reap(watcher, process_pid=7, exit_code=0)
    assert restarts.before_spawn(watcher)
    assert len(watcher.lines) == 2


def test_old_starts_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    watcher, now = Watcher(), 0.0
    monkeypatch.setattr(restarts.time, "monotonic", lambda: now)
    for _ in range(3 * restarts.MAX_STARTS):
        assert restarts.before_spawn(watcher)
        now += restarts.WINDOW_S / restarts.MAX_STARTS + 1


def test_services_are_counted_apart() -> None:
    first, second = Watcher(), Watcher()
    while restarts.before_spawn(first):
        pass
    assert restarts.before_spawn(second)


@pytest.mark.parametrize(
    ("exit_code", "level", "ending"),
    [
        (0, "INFO", "ended with exit code 0"),
        (2, "ERROR", "ended with exit code 2"),
        (-signal.SIGKILL, "ERROR", "was killed by SIGKILL, as the system does when memory runs out"),
        (-signal.SIGSEGV, "ERROR", "was killed by SIGSEGV"),
        (-200, "ERROR", "was killed by signal 200"),
        (None, "ERROR", "ended"),
    ],
)
def test_the_log_notes_how_a_process_ended(exit_code: int | None, level: str, ending: str) -> None:
    watcher = Watcher()
    restarts.after_reap(watcher, process_pid=7, exit_code=exit_code, time=0.0, arbiter=None)
    (line,) = watcher.lines
    assert json.loads(line)["message"] == f"{watcher.name} {ending}"
    assert logs.readable(line) == f"{level} {watcher.name} {ending}"


def test_the_end_of_a_process_is_found_in_its_log() -> None:
    watcher = Watcher()
    watcher.lines = ["loading", '{"level": "ERROR", "message": "no model", "exc_info": "Traceback"}', "{broken", "[]"]
    restarts.after_reap(watcher, process_pid=7, exit_code=1)
    watcher.lines += ["loading again"]
    assert logs.until_end(watcher.lines) == watcher.lines[:-1]
    assert logs.until_end(watcher.lines[:-2]) == []
    assert [logs.readable(line) for line in watcher.lines[:4]] == [
        "loading", "ERROR no model\nTraceback", "{broken", "[]"
    ]  # fmt: skip
