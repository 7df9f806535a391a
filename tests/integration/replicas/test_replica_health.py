"""Which replicas get calls: one that hangs, one that comes back, one that a host name gains, one that shuts down."""

import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import axia
from tests.support import processes
from tests.support.pictures import photograph

ANSWERS = 'first_token_ms: 20\ntoken_ms: 1\nanswers:\n  - say: ["The smoke rises from the pan."]\n'
PICTURE = photograph(size=(64, 48))
TIMEOUT = 30.0


class Call(NamedTuple):
    """One call of a client, in seconds of the monotonic clock."""

    began: float
    ended: float
    error: str


class Load:
    """Clients that call all the time, each with a connection of its own."""

    def __init__(self, address: str, clients: int) -> None:
        self.calls: list[Call] = []
        self._address = address
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(clients)
        self._running = [self._pool.submit(self._call) for _ in range(clients)]

    def _call(self) -> None:
        with axia.Client(self._address, timeout=TIMEOUT) as client:
            while not self._stop.is_set():
                began, error = time.monotonic(), ""
                try:
                    client.detect(PICTURE, n=1)
                except axia.AxiaError as failure:
                    error = f"{type(failure).__name__}: {failure}"
                self.calls.append(Call(began, time.monotonic(), error))

    def end(self) -> list[Call]:
        self._stop.set()
        for running in self._running:
            running.result(TIMEOUT + 10)
        self._pool.shutdown()
        return self.calls

    @property
    def errors(self) -> Counter[str]:
        return Counter(call.error for call in self.calls if call.error)


@contextmanager
def models(folder: Path, number: int) -> Iterator[list[processes.Server]]:
    """Inference servers of one model."""
    answers = folder / "answers.yaml"
    answers.write_text(ANSWERS)
    engine: dict[str, object] = {"engine": "scripted", "answers": answers, "max_running": 256, "max_queue": 1000}
    with ExitStack() as stack:
        yield [
            stack.enter_context(processes.inference(folder / f"model{index}.log", **engine)) for index in range(number)
        ]


def completions(server: processes.Server) -> float:
    return sum(v for name, v in server.metrics().items() if name.startswith("axia_inference_completions_total"))


def until_used(server: processes.Server, limit_s: float) -> float:
    """Seconds until a server completes something more."""
    began, before = time.monotonic(), completions(server)
    while completions(server) == before:
        assert time.monotonic() - began < limit_s, f"{server.address} is not used"
        time.sleep(0.05)
    return time.monotonic() - began


@contextmanager
def two_models(folder: Path) -> Iterator[tuple[processes.Server, processes.Server, processes.Server]]:
    """Two servers of one model, given by their addresses alone, and a gateway that knows both as replicas."""
    with models(folder, 2) as (first, second):
        addresses = f"{first.address},{second.address}"
        with processes.gateway(folder / "gateway.log", addresses, refresh_s=0.5) as gateway:
            for server in (first, second, gateway):
                server.wait_for("SERVING")
            deadline = time.monotonic() + 20
            while "are replicas of scripted" not in gateway.log_text():
                assert time.monotonic() < deadline, gateway.log_text()
                time.sleep(0.05)
            yield first, second, gateway


def test_two_addresses_of_one_model_are_replicas_and_one_is_enough(tmp_path: Path) -> None:
    with two_models(tmp_path) as (first, second, gateway):
        with axia.Client(gateway.address) as client:
            assert [model.address for model in client.models().models] == [f"{first.address},{second.address}"]
        load = Load(gateway.address, 4)
        until_used(first, 10)
        until_used(second, 10)
        first.stop()
        time.sleep(1)
        load.end()
        assert not load.errors


def test_a_replica_that_hangs_gets_calls_for_a_second_at_most_and_again_once_it_goes_on(tmp_path: Path) -> None:
    with two_models(tmp_path) as (first, second, gateway):
        load = Load(gateway.address, 16)
        until_used(first, 10)
        until_used(second, 10)
        stopped = time.monotonic()
        first.signal_group(signal.SIGSTOP)
        try:
            time.sleep(4)
        finally:
            went_on = time.monotonic()
            first.signal_group(signal.SIGCONT)
        assert until_used(first, 5) < 5
        time.sleep(0.5)
        calls = load.end()
    # What hung was sent within a second of the stop; it ended when the replica continued.
    hung = [call for call in calls if call.ended > went_on and call.began < went_on - 0.5]
    assert hung, "no call was at the replica when it stopped"
    assert max(call.began for call in hung) - stopped < 1.0
    meanwhile = [call for call in calls if stopped + 1.0 < call.began < went_on - 0.5]
    assert len(meanwhile) > 20
    assert not load.errors


def test_a_replica_that_drains_loses_no_call(tmp_path: Path) -> None:
    with two_models(tmp_path) as (first, second, gateway):
        load = Load(gateway.address, 16)
        until_used(first, 10)
        for server in (first, second):
            assert server.stop() == 0
            time.sleep(0.3)
            server.start()
            server.wait_for("SERVING")
            until_used(server, 10)
        load.end()
        assert len(load.calls) > 50
        assert not load.errors


def test_clients_that_know_two_gateways_lose_no_call_while_these_are_restarted(tmp_path: Path) -> None:
    with (
        models(tmp_path, 1) as (model,),
        processes.gateway(tmp_path / "first.log", model.address, refresh_s=0.5) as first,
        processes.gateway(tmp_path / "second.log", model.address, refresh_s=0.5) as second,
    ):
        for server in (model, first, second):
            server.wait_for("SERVING")
        load = Load(f"{first.address},{second.address}", 8)
        time.sleep(1)
        for server in (first, second):
            assert server.stop() == 0
            time.sleep(0.3)
            server.start()
            server.wait_for("SERVING")
            time.sleep(2)
        load.end()
        assert len(load.calls) > 50
        assert not load.errors


@pytest.mark.parametrize("affinity", ["false", "true"])
def test_pictures_stay_with_a_replica_where_that_is_set(tmp_path: Path, affinity: str) -> None:
    with models(tmp_path, 2) as (first, second):
        addresses = f"{first.address},{second.address}"
        with processes.gateway(tmp_path / "gateway.log", addresses, picture_affinity=affinity) as gateway:
            for server in (first, second, gateway):
                server.wait_for("SERVING")
            with axia.Client(gateway.address) as client:
                deadline = time.monotonic() + 20
                while "are replicas of scripted" not in gateway.log_text():
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                for _ in range(8):
                    client.detect(PICTURE, n=1)
            shares = sorted((completions(first), completions(second)))
    assert shares == ([0, 8] if affinity == "true" else [4, 4])
