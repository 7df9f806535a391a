"""The shared boot with a small component: health, drain, failures and exit codes, in this process and in another."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic_settings import SettingsConfigDict

from axia.testing import free_port
from services.serving import app
from services.serving.errors import FailedPrecondition, Unavailable
from services.serving.health import LIVENESS, Health
from services.serving.identity import access
from services.serving.settings import ServerSettings
from tests.support import wire

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
ROOT = Path(__file__).parents[2]


class LampSettings(ServerSettings):
    """Settings with a prefix, so that advice can name variables."""

    model_config = SettingsConfigDict(env_prefix="AXIA_LAMP_", extra="ignore", frozen=True)


class Lamp:
    """A component that starts, fails and ends when the test says so."""

    name = "lamp"
    services = ("axia.test.Lamp",)

    def __init__(self) -> None:
        self.may_start = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.fails_to_start: Exception | None = None
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events: list[str] = []

    def register(self, server: grpc.aio.Server) -> None:
        handlers = {
            "Echo": wire.handler(self._echo, request_streaming=False, response_streaming=False),
            "Wait": wire.handler(self._wait, request_streaming=False, response_streaming=False),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.services[0], handlers),))

    async def start(self) -> None:
        self.events.append("start")
        await self.may_start.wait()
        if self.fails_to_start:
            raise self.fails_to_start
        self.events.append("started")

    async def watch(self) -> None:
        await self.failure

    async def close(self) -> None:
        self.events.append("close")

    async def _echo(self, request: str, context: object) -> str:
        return request

    async def _wait(self, request: str, context: object) -> str:
        self.events.append("wait")
        try:
            await self.may_answer.wait()
        finally:
            await asyncio.sleep(0.02)  # as an engine that lets go of a request
            self.events.append("wait over")
        return request


class FlickeringLamp(Lamp):
    """A component that can be unable to answer for a while."""

    def __init__(self) -> None:
        super().__init__()
        self.power: asyncio.Queue[bool] = asyncio.Queue()

    def report_to(self, health: Health) -> None:
        self.health = health

    async def watch(self) -> None:
        while True:
            await self.health.set_serving(await self.power.get())


class Booted:
    """A server in this process, booted as in production but for the address."""

    def __init__(self, lamp: Lamp, settings: ServerSettings) -> None:
        self.lamp = lamp
        self.port = settings.port
        self.code = asyncio.create_task(app.serve(lamp, settings))
        self.channel = grpc.aio.insecure_channel(f"127.0.0.1:{self.port}", options=app.channel_options(settings))

    async def health(self, service: str = "") -> int:
        stub = health_pb2_grpc.HealthStub(self.channel)
        request = health_pb2.HealthCheckRequest(service=service)
        status: int = (await stub.Check(request, wait_for_ready=True, timeout=5)).status
        return status

    async def until(self, wanted: int) -> None:
        async with asyncio.timeout(5):
            while await self.health() != wanted:
                await asyncio.sleep(0.005)

    def call(self, method: str, request: str = "") -> Any:
        made = self.channel.unary_unary(f"/{self.lamp.services[0]}/{method}", wire.encode, bytes.decode)
        return made(request, wait_for_ready=True, timeout=5)


@pytest.fixture(autouse=True)
def short_notice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "_FAILURE_NOTICE_S", 0.1)


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for method in ("Echo", "Wait"):
        monkeypatch.setitem(access.RPCS, f"/{Lamp.services[0]}/{method}", access.KNOWN)


@contextlib.asynccontextmanager
async def boot(lamp: Lamp | None = None, **settings: Any) -> AsyncIterator[Booted]:
    settings.setdefault("port", free_port())
    booted = Booted(lamp or Lamp(), LampSettings(**settings))
    try:
        yield booted
    finally:
        await booted.channel.close()
        booted.code.cancel()
        await asyncio.gather(booted.code, return_exceptions=True)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in wire.errors(caplog)]


# Health.


async def test_health_says_serving_only_once_the_component_has_started() -> None:
    async with boot() as booted:
        for service in ("", *booted.lamp.services):
            assert await booted.health(service) == NOT_SERVING
        assert "started" not in booted.lamp.events
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        for service in ("", *booted.lamp.services):
            assert await booted.health(service) == SERVING
        assert booted.lamp.events == ["start", "started"]


async def test_liveness_is_serving_while_the_component_loads() -> None:
    async with boot() as server:
        assert await server.health(LIVENESS) == SERVING
        assert await server.health() == NOT_SERVING


async def test_a_client_may_ping_an_idle_connection() -> None:
    """As a robot behind NAT does. gRPC's own servers answer with GOAWAY after the third ping."""
    async with boot() as server:
        server.lamp.may_start.set()
        options = [
            ("grpc.keepalive_time_ms", 200),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
        ]
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}", options=options) as channel:
            await channel.unary_unary(f"/{Lamp.services[0]}/Echo")(b"a", wait_for_ready=True, timeout=5)
            assert channel.get_state() is grpc.ChannelConnectivity.READY
            await asyncio.sleep(2)
            assert channel.get_state() is grpc.ChannelConnectivity.READY


async def test_old_connections_are_replaced_and_calls_on_them_go_on() -> None:
    async with boot(max_connection_age_s=0.3) as server:
        server.lamp.may_start.set()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.unary_unary(f"/{Lamp.services[0]}/Wait")(b"a", wait_for_ready=True, timeout=10)
            async with asyncio.timeout(5):
                while channel.get_state() is not grpc.ChannelConnectivity.READY:
                    await asyncio.sleep(0.01)
                while channel.get_state() is grpc.ChannelConnectivity.READY:
                    await asyncio.sleep(0.01)
            server.lamp.may_answer.set()
            assert await call == b"a"


async def test_health_of_a_service_that_is_not_here_is_not_found() -> None:
    async with boot() as booted:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await booted.health("axia.test.Nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_calls_are_answered_by_the_component() -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        assert await booted.call("Echo", "light") == "light"


async def test_health_is_answered_while_the_bound_on_calls_is_reached() -> None:
    async with boot(max_concurrent_calls=1) as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        call = booted.call("Wait")
        await wire.eventually(lambda: "wait" in booted.lamp.events)
        assert (await wire.failure(booted.call("Echo"))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await booted.health() == SERVING
        booted.lamp.may_answer.set()
        await call


# Failures.


async def test_a_component_that_fails_while_running_is_reported_not_serving_and_ends_with_1(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        watch = health_pb2_grpc.HealthStub(booted.channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        booted.lamp.failure.set_exception(Unavailable("the bulb is broken; change it", reason="BULB"))
        assert (await watch.read()).status == NOT_SERVING
        for service in booted.lamp.services:
            assert await booted.health(service) == NOT_SERVING
        assert await booted.code == 1
        assert booted.lamp.events == ["start", "started", "close"]
    assert told(caplog) == ["the bulb is broken; change it"]


async def test_a_component_that_fails_unexpectedly_ends_with_1_and_a_traceback_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        booted.lamp.failure.set_exception(ZeroDivisionError("no light"))
        assert await booted.code == 1
        assert booted.lamp.events[-1] == "close"
    assert told(caplog) == ["lamp failed unexpectedly"]
    assert any(record.exc_info and isinstance(record.exc_info[1], ZeroDivisionError) for record in caplog.records)


async def test_a_component_whose_own_task_was_cancelled_has_failed(caplog: pytest.LogCaptureFixture) -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        booted.lamp.failure.cancel()
        assert await booted.code == 1
        assert booted.lamp.events[-1] == "close"
    assert told(caplog) == ["lamp failed unexpectedly"]


async def test_a_component_that_can_not_start_never_serves_is_closed_and_ends_with_1(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with boot() as booted:
        booted.lamp.fails_to_start = FailedPrecondition("there is no bulb; buy one", reason="BULB")
        watch = health_pb2_grpc.HealthStub(booted.channel).Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
        heard: list[Any] = []
        watching = asyncio.create_task(wire.collect(watch, heard))
        await wire.eventually(lambda: bool(heard))
        booted.lamp.may_start.set()
        assert await booted.code == 1
        assert booted.lamp.events == ["start", "close"]
        with pytest.raises(grpc.aio.AioRpcError):
            await watching
        assert {response.status for response in heard} == {NOT_SERVING}
    assert told(caplog) == ["there is no bulb; buy one"]


async def test_calls_that_are_cut_off_have_ended_before_the_component_is_closed() -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        call = booted.call("Wait")
        await wire.eventually(lambda: "wait" in booted.lamp.events)
        booted.lamp.failure.set_exception(Unavailable("the bulb is broken; change it", reason="BULB"))
        await wire.failure(call)
        assert await booted.code == 1
        assert booted.lamp.events == ["start", "started", "wait", "wait over", "close"]


async def test_a_component_that_can_not_answer_for_a_while_is_not_serving_meanwhile_and_goes_on() -> None:
    lamp = FlickeringLamp()
    async with boot(lamp) as booted:
        lamp.may_start.set()
        await booted.until(SERVING)
        for on in (False, True, False, True):
            lamp.power.put_nowait(on)
            await booted.until(SERVING if on else NOT_SERVING)
            for service in lamp.services:
                assert await booted.health(service) == (SERVING if on else NOT_SERVING)
            assert await booted.call("Echo", "light") == "light"
        assert not booted.code.done()


async def test_a_component_that_never_reports_has_no_need_to() -> None:
    assert not isinstance(Lamp(), app.ReportsHealth)
    assert isinstance(FlickeringLamp(), app.ReportsHealth)


# Ports.


@pytest.mark.parametrize("field", ["port", "metrics_port"])
async def test_a_port_in_use_ends_with_1_and_advice_that_names_the_variable(
    field: str, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        lamp = Lamp()
        code = await app.serve(lamp, LampSettings(**{"port": free_port(), field: number}))
    assert code == 1
    (advice,) = told(caplog)
    assert f"127.0.0.1:{number}" in advice
    assert f"AXIA_LAMP_{field.upper()}" in advice
    assert lamp.events == []


async def test_a_second_server_on_the_same_port_is_refused_and_the_first_goes_on() -> None:
    async with boot() as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        assert await app.serve(Lamp(), LampSettings(port=booted.port)) == 1
        assert await booted.call("Echo", "on") == "on"


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
    except OSError:
        return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_an_ipv6_address_is_listened_on_with_and_without_brackets(host: str) -> None:
    async with boot(host=host, metrics_port=free_port()) as booted:
        async with grpc.aio.insecure_channel(f"[::1]:{booted.port}") as channel:
            request = health_pb2.HealthCheckRequest()
            response = await health_pb2_grpc.HealthStub(channel).Check(request, wait_for_ready=True, timeout=5)
        assert response.status == NOT_SERVING


async def test_metrics_are_served_while_the_server_runs_and_the_port_is_free_again_afterwards() -> None:
    port = free_port()

    def fetch() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            body: bytes = response.read()
            return body.decode()

    async with boot(metrics_port=port) as booted:
        booted.lamp.may_start.set()
        await booted.until(SERVING)
        await booted.call("Echo")
        metrics = await asyncio.to_thread(fetch)
        assert 'axia_rpc_requests_total{code="OK",method="axia.test.Lamp/Echo"}' in metrics
        booted.lamp.failure.set_exception(Unavailable("over", reason="OVER"))
        await booted.code
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: connections may linger
            again.bind(("127.0.0.1", port))


# Reflection.


async def listed_services(booted: Booted) -> Sequence[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(booted.channel)
    requests = [reflection_pb2.ServerReflectionRequest(list_services="")]
    async for response in stub.ServerReflectionInfo(iter(requests), wait_for_ready=True, timeout=5):
        return [service.name for service in response.list_services_response.service]
    raise AssertionError("no answer")


async def test_reflection_is_off_unless_asked_for() -> None:
    async with boot() as booted:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await listed_services(booted)
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_reflection_lists_the_services_when_it_is_on() -> None:
    async with boot(reflection=True) as booted:
        assert set(await listed_services(booted)) >= set(booted.lamp.services)


# Signals, in a process of their own.

SCRIPT = """
import asyncio
import sys

import grpc

from services.serving import app
from services.serving.identity import access
from services.serving.errors import FailedPrecondition
from services.serving.settings import ServerSettings


class Lamp:
    name = "lamp"
    services = ("axia.test.Lamp",)

    def register(self, server):
        handler = grpc.unary_unary_rpc_method_handler(self.wait)
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(self.services[0], {"Wait": handler}),))

    async def wait(self, request, context):
        print("waiting", flush=True)
        await asyncio.sleep(float(request))
        return b"waited"

    async def start(self):
        print("starting", flush=True)
        if "slow" in sys.argv:
            await asyncio.sleep(60)
        if "broken" in sys.argv:
            raise FailedPrecondition("there is no bulb; buy one", reason="BULB")

    async def watch(self):
        print("serving", flush=True)
        await asyncio.sleep(60)

    async def close(self):
        print("closed", flush=True)


app._FAILURE_NOTICE_S = 0.1
access.RPCS["/axia.test.Lamp/Wait"] = access.KNOWN
lame = 0.5 if "lame" in sys.argv else 0.0
app.run(Lamp(), ServerSettings(port=int(sys.argv[1]), drain_seconds=float(sys.argv[2]), lame_duck_seconds=lame))
"""


class LampProcess:
    """The component in a process of its own."""

    def __init__(self, port: int, drain_seconds: float, *options: str) -> None:
        self.port = port
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", SCRIPT, str(port), str(drain_seconds), *options],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, line: str) -> None:
        assert self._process.stdout
        for printed in self._process.stdout:
            if printed.strip() == line:
                return
        raise AssertionError(f"the process ended before {line!r}")

    def signal(self, number: int) -> None:
        os.kill(self._process.pid, number)

    def end(self) -> tuple[int, list[str], list[dict[str, Any]]]:
        """Exit code, what was printed since, and log records."""
        out, err = self._process.communicate(timeout=10)
        return self._process.returncode, out.split(), [json.loads(line) for line in err.splitlines()]

    def kill(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@contextlib.contextmanager
def lamp_process(drain_seconds: float, *options: str) -> Any:
    process = LampProcess(free_port(), drain_seconds, *options)
    try:
        yield process
    finally:
        process.kill()


def wait_call(channel: grpc.aio.Channel, seconds: str) -> Any:
    return channel.unary_unary("/axia.test.Lamp/Wait")(seconds.encode(), wait_for_ready=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_calls_in_flight_finish_takes_no_new_ones_and_ends_with_0(number: int) -> None:
    with lamp_process(10) as process:
        await asyncio.to_thread(process.until, "serving")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            call = wait_call(channel, "0.5")
            await asyncio.to_thread(process.until, "waiting")
            process.signal(number)
            async with asyncio.timeout(5):
                with contextlib.suppress(grpc.aio.AioRpcError):  # nobody listens any more
                    while True:
                        await stub.Check(health_pb2.HealthCheckRequest())
                        await asyncio.sleep(0.005)
            refused = await wire.failure(channel.unary_unary("/axia.test.Lamp/Wait")(b"0"))
            assert refused.code() is grpc.StatusCode.UNAVAILABLE
            assert not call.done()
            assert await call == b"waited"
        code, printed, records = await asyncio.to_thread(process.end)
    assert code == 0
    assert printed == ["closed"]
    assert [record["message"] for record in records if record["message"].startswith(("draining", "stopped"))] == [
        "draining: 1 calls in flight",
        "stopped",
    ]
    assert all(record["service"] == "lamp" for record in records)


async def test_new_calls_are_taken_for_as_long_as_the_lame_duck_delay_says_and_health_says_not_serving() -> None:
    with lamp_process(10, "lame") as process:
        await asyncio.to_thread(process.until, "serving")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
            assert await wait_call(channel, "0") == b"waited"
            process.signal(signal.SIGTERM)
            stub = health_pb2_grpc.HealthStub(channel)
            async with asyncio.timeout(5):
                while (await stub.Check(health_pb2.HealthCheckRequest())).status != NOT_SERVING:
                    await asyncio.sleep(0.005)
            assert await wait_call(channel, "0") == b"waited"
        code, _, _ = await asyncio.to_thread(process.end)
    assert code == 0


async def test_clients_are_sent_to_another_replica_as_soon_as_one_drains() -> None:
    """A client that knows two addresses and takes the first that works, as gRPC does by itself, loses no call.

    But for one that arrives while the port closes: without a lame-duck delay, as here, gRPC cancels it.
    """
    with lamp_process(10) as first, lamp_process(10) as second:
        for process in (first, second):
            await asyncio.to_thread(process.until, "serving")
        target = f"ipv4:127.0.0.1:{first.port},127.0.0.1:{second.port}"
        async with grpc.aio.insecure_channel(target) as channel:
            long = wait_call(channel, "1.5")
            await asyncio.to_thread(first.until, "waiting")
            first.signal(signal.SIGTERM)
            answers: list[bytes | grpc.StatusCode] = []
            async with asyncio.timeout(10):
                while not long.done():
                    try:
                        answers.append(await channel.unary_unary("/axia.test.Lamp/Wait")(b"0.01"))
                    except grpc.aio.AioRpcError as error:
                        answers.append(error.code())
            assert await long == b"waited"
        assert len(answers) > 10
        lost = [answer for answer in answers if answer != b"waited"]
        assert lost in ([], [grpc.StatusCode.CANCELLED])


async def test_watching_health_does_not_hold_up_the_end() -> None:
    with lamp_process(10) as process:
        await asyncio.to_thread(process.until, "serving")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == SERVING
            began = asyncio.get_running_loop().time()
            process.signal(signal.SIGTERM)
            code, _, _ = await asyncio.to_thread(process.end)
            assert code == 0
            assert asyncio.get_running_loop().time() - began < 5


async def test_calls_that_outlast_the_drain_are_cancelled_with_a_hint_in_the_log() -> None:
    with lamp_process(0.1) as process:
        await asyncio.to_thread(process.until, "serving")
        async with grpc.aio.insecure_channel(f"127.0.0.1:{process.port}") as channel:
            call = wait_call(channel, "60")
            await asyncio.to_thread(process.until, "waiting")
            process.signal(signal.SIGTERM)
            error = await wire.failure(call)
        code, _, records = await asyncio.to_thread(process.end)
    assert error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
    assert code == 0
    (warning,) = (record["message"] for record in records if record["level"] == "WARNING")
    assert "drain_seconds" in warning


def test_a_signal_while_starting_ends_with_0_and_closes() -> None:
    with lamp_process(10, "slow") as process:
        process.until("starting")
        process.signal(signal.SIGTERM)
        code, printed, _ = process.end()
    assert (code, printed) == (0, ["closed"])


def test_a_process_whose_component_can_not_start_exits_with_1_and_logs_the_advice() -> None:
    with lamp_process(10, "broken") as process:
        code, printed, records = process.end()
    assert (code, printed) == (1, ["starting", "closed"])
    assert [record["message"] for record in records if record["level"] == "ERROR"] == ["there is no bulb; buy one"]


def test_servers_use_uvloop_where_it_is_installed_and_asyncios_loop_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    uvloop = pytest.importorskip("uvloop")
    with asyncio.Runner(loop_factory=app._event_loop()) as runner:
        assert isinstance(runner.get_loop(), uvloop.Loop)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert app._event_loop() is None
