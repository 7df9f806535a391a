"""The process in which vLLM computes is killed or stands still under load: in the full form alone, for the demo model
takes a while to load. Circus runs the servers as `axia up` has it do, and has to bring the model back."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc
import psutil
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.testing import free_port
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2
from suite.services import CONFIGURATION, Service, services_from
from suite.supervisor import Supervisor
from tests.chaos.test_faults import HEAD, Row
from tests.support.chaos.faults import FULL, size
from tests.support.chaos.load import LATE_S, Outcome, effect_of
from tests.support.pictures import photograph
from tests.support.processes import ROOT

pytestmark = pytest.mark.skipif(
    not FULL or find_spec("vllm") is None, reason="needs AXIA_TEST_CHAOS=full and vLLM: it loads the demo model anew"
)

TIMES = size(1, 10, "ENGINE_TIMES")
"""Of each fault."""
PER_SUITE = 4
"""Faults before servers are started anew: one that started five times in ten minutes is left stopped."""
LOADING_S = 480.0
QUIET_S = 5.0
"""Without a failed call: the model is back."""
RATE, DEADLINE_S = 4.0, 5.0
HANG_S = 5


@contextmanager
def supervised(folder: Path) -> Iterator[dict[str, Service]]:
    """An inference server with the demo model and a gateway, under circus in a folder of its own; services by name."""
    shutil.copy(ROOT / CONFIGURATION, folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AXIA_")}
    environment |= {
        f"AXIA_{name}_{port}": str(free_port())
        for name in ("INFERENCE", "GATEWAY")
        for port in ("PORT", "METRICS_PORT")
    }
    environment |= {
        "PYTHONPATH": str(ROOT),
        "AXIA_INFERENCE_OFFLINE": "1",
        "AXIA_INFERENCE_HANG_SECONDS": str(HANG_S),
        "AXIA_GATEWAY_REFRESH_S": "0.2",
    }
    services = services_from(environment, without=("retrieval", "scoring", "http"))
    supervisor = Supervisor(folder)
    supervisor.start(services, environment)
    try:
        yield {service.name: service for service in services}
    finally:
        supervisor.stop(services)


class Detections:
    """Sends detections at a steady rate until its context ends."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.outcomes: list[Outcome] = []
        self._image = photograph(7)

    async def _ask(self, stub: Any) -> None:
        began, code, detail = time.monotonic(), "OK", ""
        request = gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=self._image), n=2)
        try:
            await stub.DetectValues(request, timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            code, detail = error.code().name, str(error.details())
        self.outcomes.append(Outcome("detect", began, time.monotonic(), code, DEADLINE_S, detail))

    @asynccontextmanager
    async def sent(self) -> AsyncIterator[None]:
        """Sends them."""
        async with grpc.aio.insecure_channel(self._address) as channel, asyncio.TaskGroup() as calls:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)

            async def send() -> None:
                while True:
                    calls.create_task(self._ask(stub))
                    await asyncio.sleep(1 / RATE)

            sending = calls.create_task(send())
            try:
                yield
            finally:
                sending.cancel()

    async def quiet(self) -> None:
        """Waits until all calls have succeeded for a while. Raises AssertionError if that takes too long."""
        end = time.monotonic() + LOADING_S
        while True:
            await asyncio.sleep(0.2)
            now = time.monotonic()
            recent = [each for each in self.outcomes if each.ended > now - QUIET_S]
            if len(recent) > RATE * QUIET_S / 2 and all(each.code == "OK" for each in recent):
                return
            assert now < end, recent[-3:]


async def health(service: Service) -> str:
    """What a server says of itself; UNREACHABLE if nothing."""
    async with grpc.aio.insecure_channel(service.address) as channel:
        request = health_pb2.HealthCheckRequest(service=service.health_name)
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(request, timeout=1)
        except grpc.aio.AioRpcError:
            return "UNREACHABLE"
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


async def healths_until_gone(service: Service, process: psutil.Process) -> list[str]:
    """What a server says of itself until its process has ended."""
    seen: list[str] = []
    async with asyncio.timeout(60):
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            seen.append(await health(service))
            await asyncio.sleep(0.02)
    return seen


def server_and_engine(port: int) -> tuple[psutil.Process, psutil.Process]:
    """The process that listens on a port, and the one that vLLM computes in."""
    for process in psutil.process_iter(["cmdline"]):
        with suppress(psutil.Error):
            if any(each.laddr.port == port and each.status == "LISTEN" for each in process.net_connections()):
                (engine,) = [child for child in process.children() if "EngineCore" in " ".join(child.cmdline())]
                return process, engine
    raise AssertionError(f"nobody listens on {port}")


async def caused(folder: Path, number: signal.Signals, row: Row, times: int) -> None:
    """Causes a fault some times, in servers of its own."""
    with supervised(folder) as services:
        detections = Detections(services["gateway"].address)
        inference = services["inference"]
        async with detections.sent():
            await detections.quiet()
            detections.outcomes.clear()
            for _ in range(times):
                server, engine = await asyncio.to_thread(server_and_engine, inference.port)
                began = time.monotonic()
                engine.send_signal(number)
                told = await healths_until_gone(inference, server)
                gone = time.monotonic()
                assert not engine.is_running() or engine.status() == psutil.STATUS_ZOMBIE, "it is left behind"
                assert [state for state, _ in itertools.groupby(told)][:2] == ["SERVING", "NOT_SERVING"]
                await detections.quiet()
                row.add(effect_of(detections.outcomes, began, time.monotonic()))
                # Later, on a busy machine, the model that is back may be slow.
                codes = {each.code for each in detections.outcomes if each.ended > began and each.began < gone}
                assert "UNAVAILABLE" in codes
                hung = {"DEADLINE_EXCEEDED"} if number is signal.SIGSTOP else set()
                assert codes <= {"OK", "UNAVAILABLE"} | hung
    late = [each for each in detections.outcomes if each.ended - each.began > each.deadline_s + LATE_S]
    assert not late, late[:5]


async def test_a_dead_or_silent_engine_is_told_at_once_and_the_model_comes_back(tmp_path: Path) -> None:
    print(HEAD)
    for fault, number in (("SIGKILL", signal.SIGKILL), (f"SIGSTOP (hang_seconds {HANG_S})", signal.SIGSTOP)):
        row = Row(f"{fault} of vLLM's engine process")
        for done in range(0, TIMES, PER_SUITE):
            folder = tmp_path / f"{number.name}-{done}"
            folder.mkdir()
            await caused(folder, number, row, min(PER_SUITE, TIMES - done))
        print(row, flush=True)
        assert {code.removeprefix("detect ") for code in row.failed} <= {"UNAVAILABLE", "DEADLINE_EXCEEDED"}
