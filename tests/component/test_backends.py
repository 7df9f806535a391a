"""Models behind the gateway while their servers come, go and change, with real connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from axia.v1 import inference_pb2, inference_pb2_grpc
from gateway.backends import model_replicas
from gateway.backends.model_client import SERVICE
from gateway.backends.pool import BackendPool
from gateway.backends.routes import Route
from gateway.rpc.inference_servicer import InferenceServicer
from gateway.settings import GatewaySettings
from services.serving.errors import Code, DeadlineExceeded, FailedPrecondition, ServiceError
from services.serving.interceptors import CallInterceptor
from services.serving.upstream import lookups, replicas
from services.serving.upstream.started import STARTED_KEY

SERVING = health_pb2.HealthCheckResponse.SERVING


class Model(inference_pb2_grpc.InferenceServiceServicer):
    """A model's server that can be stopped and started at its address."""

    def __init__(self, name: str = "m", answer_s: float = 0.0) -> None:
        self.name = name
        self.answer_s = answer_s
        self.address = ""
        self.calls = 0
        self.begins = False
        """Whether it says that it has begun to answer."""
        self.may_answer = asyncio.Event()
        """A test may clear it, and calls wait until it is set again."""
        self.may_answer.set()

    async def GetModel(self, request: Any, context: Any) -> inference_pb2.GetModelResponse:  # noqa: N802
        model = inference_pb2.Model(name=self.name, max_samples=16, max_tokens=1000, accepts_images=True)
        return inference_pb2.GetModelResponse(model=model)

    async def GenerateAll(self, request: Any, context: Any) -> inference_pb2.GenerateAllResponse:  # noqa: N802
        self.calls += 1
        if self.begins:
            await context.send_initial_metadata(((STARTED_KEY, "1"),))
        await asyncio.sleep(self.answer_s)
        await self.may_answer.wait()
        return inference_pb2.GenerateAllResponse()

    async def start(self) -> None:
        self._server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        inference_pb2_grpc.add_InferenceServiceServicer_to_server(self, self._server)
        servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(servicer, self._server)
        await servicer.set(SERVICE, SERVING)
        port = self._server.add_insecure_port(self.address or "127.0.0.1:0")
        self.address = self.address or f"127.0.0.1:{port}"
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(0)


@asynccontextmanager
async def pool(*addresses: str, **settings: Any) -> AsyncIterator[BackendPool]:
    gateway_settings = GatewaySettings(inference=addresses, refresh_s=0.1, **settings)

    async def changed() -> None:
        pass

    made = BackendPool(
        [Route(addresses=(address,)) for address in gateway_settings.inference], gateway_settings, changed
    )
    watching = asyncio.create_task(made.watch())
    try:
        yield made
        assert not watching.done(), watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await made.close()


async def until(holds: Any) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.02)


async def test_calls_go_on_while_a_second_server_of_the_model_comes_and_becomes_its_replica(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(replicas, "_RESOLVE_S", 0.05)
    first, second = Model(), Model()
    second.may_answer.clear()
    await first.start()
    await first.stop()
    await second.start()
    async with pool(first.address, second.address) as backends:
        await backends.start()
        held = await backends.find("m")
        call = asyncio.create_task(held.forward_all(inference_pb2.GenerateAllRequest(), 10))
        await until(lambda: second.calls == 1)
        await first.start()
        await until(lambda: len(backends._backends) == 1)
        assert not call.done()
        second.may_answer.set()
        assert await call is not None
        for _ in range(6):  # whoever holds the backend that is no longer one of its own
            await held.forward_all(inference_pb2.GenerateAllRequest(), 10)
        await until(lambda: first.calls > 0)
        (state,) = await backends.states()
        assert state.address == f"{first.address},{second.address}"
        await second.stop()
        assert await (await backends.find("m")).forward_all(inference_pb2.GenerateAllRequest(), 10) is not None
    await first.stop()


async def test_models_are_listed_while_servers_are_found_to_be_replicas() -> None:
    models = [Model() for _ in range(4)]
    for model in models:
        await model.start()
    async with pool(*(model.address for model in models)) as backends:
        await asyncio.gather(backends.start(), *(backends.states() for _ in range(5)))
        await until(lambda: len(backends._backends) == 1)
        (state,) = await backends.states()
        assert state.available
        assert state.address.split(",") == [model.address for model in models]
    for model in models:
        await model.stop()


async def test_replicas_that_all_hold_another_model_serve_it() -> None:
    models = [Model(), Model()]
    for model in models:
        await model.start()
    async with pool(*(model.address for model in models)) as backends:
        await backends.start()
        await until(lambda: len(backends._backends) == 1 and backends.callable)
        for model in models:
            await model.stop()
        await until(lambda: not backends.callable)
        for model in models:
            model.name = "another"
            await model.start()
        await until(lambda: backends.callable)
        backend = await backends.find("another")
        async with asyncio.timeout(10):
            while not all(model.calls for model in models):
                await backend.forward_all(inference_pb2.GenerateAllRequest(), 10)
        assert backend.model.name == "another"
    for model in models:
        await model.stop()


async def test_a_replica_of_another_model_is_not_used_beside_one_that_serves() -> None:
    models = [Model(), Model()]
    for model in models:
        await model.start()
    async with pool(*(model.address for model in models)) as backends:
        await backends.start()
        await until(lambda: len(backends._backends) == 1)
        await models[0].stop()
        models[0].name = "another"
        await models[0].start()
        await asyncio.sleep(1.0)
        before = models[0].calls
        for _ in range(6):
            await (await backends.find("m")).forward_all(inference_pb2.GenerateAllRequest(), 10)
        assert models[0].calls == before
    for model in models:
        await model.stop()


async def test_an_address_that_goes_while_it_is_asked_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a node that is gone: its address answers nothing, and then the name server drops it."""
    monkeypatch.setattr(replicas, "_RESOLVE_S", 0.05)
    model = Model()
    await model.start()
    with_dead = True
    sink = socket.create_server(("127.0.0.1", 0))  # connections stand, and nobody ever answers
    dead = f"127.0.0.1:{sink.getsockname()[1]}"

    def resolved(_: str) -> list[str]:
        return [model.address, dead] if with_dead else [model.address]

    monkeypatch.setattr(lookups, "look_up", resolved)
    async with pool("axia-inference:50051") as backends:
        await backends.start()
        await asyncio.sleep(0.5)
        with_dead = False
        await asyncio.sleep(1.0)
        assert backends.callable
        assert await (await backends.find("m")).forward_all(inference_pb2.GenerateAllRequest(), 10) is not None
    sink.close()
    await model.stop()


@asynccontextmanager
async def forwarding(backends: BackendPool) -> AsyncIterator[str]:
    """The address of a gateway's inference service in front of a pool."""
    server = grpc.aio.server(interceptors=[CallInterceptor()])
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(InferenceServicer(backends, GatewaySettings()), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


async def test_a_gateway_behind_a_gateway_says_at_once_that_a_model_has_begun_to_answer() -> None:
    model = Model(answer_s=60.0)
    await model.start()
    asked = inference_pb2.GenerateAllRequest(generation={"model": "m", "messages": [{"text": "What?"}]})
    async with (
        pool(model.address) as backends,
        forwarding(backends) as address,
        pool(address) as outer,
        asyncio.timeout(30),
    ):
        await backends.start()
        await outer.start()
        held, begun = await outer.find("m"), asyncio.Event()
        model.begins = True
        call = asyncio.create_task(held.forward_all(asked, 40, begun.set))
        await begun.wait()
        # The model's server is lost when it had begun, and no call may be made of that anew.
        await model.stop()
        with pytest.raises(ServiceError) as failed:
            await call
        assert failed.value.code is Code.UNAVAILABLE
        assert model.calls == 1


async def test_a_call_whose_headers_are_heard_ends_as_any_other() -> None:
    model = Model()
    await model.start()
    async with pool(model.address) as backends:
        await backends.start()
        held, begun = await backends.find("m"), asyncio.Event()
        assert await held.forward_all(inference_pb2.GenerateAllRequest(), 10, begun.set) is not None
        assert not begun.is_set()
        model.answer_s = 60.0
        with pytest.raises(DeadlineExceeded):
            await held.forward_all(inference_pb2.GenerateAllRequest(), 0.3, begun.set)
    await model.stop()


async def test_callers_of_a_server_that_never_answers_are_told_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that loads its model for the first time, and has no time for anything else."""
    monkeypatch.setattr(model_replicas, "_CONNECT_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel accepts for it
        async with pool(f"127.0.0.1:{silent.getsockname()[1]}") as backends:
            await backends.start()
            began = asyncio.get_running_loop().time()
            told = await asyncio.gather(*(backends.find("") for _ in range(12)), return_exceptions=True)
            assert {getattr(error, "reason", error) for error in told} == {"BACKEND_UNREACHABLE"}
            assert asyncio.get_running_loop().time() - began < 3  # and not twelve times half a second


@asynccontextmanager
async def reloading(first: list[Route]) -> AsyncIterator[tuple[BackendPool, list[Route | Exception], list[str]]]:
    """A pool, the routing table that it reads again and again, and the models that were removed from it. An exception
    in the table is raised."""
    table: list[Route | Exception] = list(first)

    def reload() -> list[Route]:
        if isinstance(table[0], Exception):
            raise table[0]
        return [route for route in table if isinstance(route, Route)]

    async def changed() -> None:
        pass

    removed: list[str] = []
    settings = GatewaySettings(inference="127.0.0.1:1", refresh_s=0.05)
    made = BackendPool(first, settings, changed, reload, removed.append)
    await made.start()
    watching = asyncio.create_task(made.watch())
    try:
        yield made, table, removed
        assert not watching.done(), watching
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await made.close()


async def test_another_routing_table_takes_effect_and_calls_in_flight_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "_RESOLVE_S", 0.05)
    slow, other, moved = Model("slow"), Model("other"), Model("other")
    slow.may_answer.clear()
    for model in (slow, other, moved):
        await model.start()
    first = [Route(name="slow", addresses=(slow.address,)), Route(name="other", addresses=(other.address,))]
    async with reloading(first) as (backends, table, removed):
        held = await backends.find("slow")
        kept = await backends.find("other")
        call = asyncio.create_task(held.forward_all(inference_pb2.GenerateAllRequest(), 10))
        await until(lambda: slow.calls == 1)
        table[:] = [Route(name="other", addresses=(moved.address,), limits={"max_n": 2})]
        await until(lambda: len(backends._backends) == 1)
        assert (removed, held.removed, kept.removed) == (["slow"], True, False)
        with pytest.raises(ServiceError) as gone:
            await backends.find("slow")
        assert gone.value.code is Code.NOT_FOUND
        assert not call.done()
        slow.may_answer.set()
        assert await call is not None
        await until(lambda: not backends._leaving)
        assert held.left
        # The model that stayed has moved and is bounded, for whoever holds it too.
        await until(lambda: [r.address for r in kept._replicas.replicas] == [moved.address])
        await kept.forward_all(inference_pb2.GenerateAllRequest(), 10)
        assert (other.calls, moved.calls, kept.limits.max_samples) == (0, 1, 2)
        assert await backends.find("") is kept
    for model in (slow, other, moved):
        await model.stop()


async def test_a_routing_table_that_breaks_a_rule_is_logged_once_and_the_earlier_one_stays(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = Model()
    await model.start()
    route = Route(name="m", addresses=(model.address,))
    async with reloading([route]) as (backends, table, removed):
        table[:] = [FailedPrecondition("models.toml: is not TOML", reason="ROUTES_UNREADABLE"), route]
        await until(lambda: "is not TOML" in caplog.text)
        await asyncio.sleep(0.3)
        assert caplog.text.count("is not TOML; the earlier routing table stays in use") == 1
        assert (await backends.find("m")).callable
        table[:] = [route, Route(name="late", addresses=(model.address,))]
        await until(lambda: len(backends._backends) == 2)
        assert not removed
    await model.stop()
