"""Replicas behind real servers: their states, host names that change, and servers that can't be asked."""

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from services.serving.upstream import lookups, replicas
from services.serving.upstream import replica as replica_module
from services.serving.upstream.lookups import LookUps
from services.serving.upstream.replica import Channels, Replica, State
from services.serving.upstream.replicas import ReplicaSet
from tests.support import wire


@asynccontextmanager
async def following(replica_set: ReplicaSet) -> AsyncIterator[None]:
    await replica_set.refresh()
    task = asyncio.create_task(replica_set.follow())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await replica_set.close()


async def until(replica_set: ReplicaSet, states: list[State]) -> None:
    async with asyncio.timeout(10):
        while [replica.state for replica in replica_set.replicas] != states:
            await asyncio.sleep(0.01)


async def test_states_follow_from_what_servers_say_and_whether_they_are_there() -> None:
    async with wire.serve() as server:
        replica_set = ReplicaSet([server.address], Channels(server.service, ()))
        async with following(replica_set):
            (replica,) = replica_set.replicas
            assert replica.state is State.SERVING
            assert replica_set.pick() is replica
            await server.health.set_serving(False)
            await until(replica_set, [State.NOT_READY])
            assert replica_set.pick() is None
            await server.health.set_serving(True)
            await until(replica_set, [State.SERVING])
            await server.stop()
            await until(replica_set, [State.GONE])
            assert replica_set.pick() is None
            assert not replica_set.callable


async def test_a_server_without_a_health_service_can_be_called() -> None:
    server = grpc.aio.server()
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    replica_set = ReplicaSet([f"127.0.0.1:{port}"], Channels("axia.test.Bare", ()))
    await replica_set.refresh()
    assert replica_set.callable
    await replica_set.close()
    await server.stop(0)


class Loading(health_pb2_grpc.HealthServicer):
    """Says what it is told to say, until it has no time for it."""

    def __init__(self, status: str) -> None:
        self.status = status
        self.answers = asyncio.Event()
        self.answers.set()

    async def Check(self, request: Any, context: Any) -> health_pb2.HealthCheckResponse:  # noqa: N802
        await self.answers.wait()
        return health_pb2.HealthCheckResponse(status=self.status)


@pytest.mark.parametrize(
    ("status", "then"), [("NOT_SERVING", [State.NOT_READY]), ("SERVING", [State.SLOW, State.SILENT])]
)
async def test_one_that_has_no_time_to_say_that_it_loads_gets_no_calls(
    status: str, then: list[State], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica_module, "_ANSWER_S", 0.05)
    monkeypatch.setattr(replica_module, "_SILENT_S", 0.4)
    loading, server = Loading(status), grpc.aio.server()
    health_pb2_grpc.add_HealthServicer_to_server(loading, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    replica_set = ReplicaSet([f"127.0.0.1:{port}"], Channels("", ()))
    async with following(replica_set):
        loading.answers.clear()
        seen: list[State] = []
        end = asyncio.get_running_loop().time() + 2
        while asyncio.get_running_loop().time() < end:
            (replica,) = replica_set.replicas
            if replica.state is not State.SERVING and replica.state not in seen:
                seen.append(replica.state)
            assert (replica_set.pick() is None) is (status == "NOT_SERVING")
            await asyncio.sleep(0.01)
        assert seen == then
        loading.status = "SERVING"
        loading.answers.set()
        await until(replica_set, [State.SERVING])
    await server.stop(0)


async def test_one_that_is_not_ready_is_called_where_that_is_wanted_and_no_other_is_left() -> None:
    async with wire.serve() as server:
        await server.health.set_serving(False)
        replica_set = ReplicaSet([server.address], Channels(server.service, ()), or_unready=True)
        await replica_set.refresh()
        assert replica_set.pick() is not None
        await replica_set.close()


async def test_replicas_that_a_host_name_gains_and_loses_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "_RESOLVE_S", 0.02)
    removed: list[Replica] = []
    async with wire.serve() as first, wire.serve() as second:
        found: list[str] | None = [first.address]

        monkeypatch.setattr(lookups, "look_up", lambda _: found)
        # Both have the health of the whole server under the empty name.
        replica_set = ReplicaSet(["axia-inference:50051"], Channels("", ()), removed=removed.append)
        async with following(replica_set):
            await until(replica_set, [State.SERVING])
            found = [first.address, second.address]
            await until(replica_set, [State.SERVING, State.SERVING])
            found = None  # the name server is away
            await asyncio.sleep(0.1)
            assert len(replica_set.replicas) == 2
            leaving, staying = replica_set.replicas
            leaving.in_flight = 1
            found = [second.address]
            await asyncio.sleep(0.1)
            assert len(replica_set.replicas) == 2
            assert {replica_set.pick() for _ in range(4)} == {staying}
            found = [first.address, second.address]  # it is back before its call has ended
            staying.in_flight = 1
            await asyncio.sleep(0.1)
            assert {replica_set.pick() for _ in range(4)} == {leaving, staying}
            leaving.in_flight = 0
            found = [second.address]
            async with asyncio.timeout(5):
                while len(replica_set.replicas) > 1:
                    await asyncio.sleep(0.01)
            assert removed == [leaving]


async def test_a_replica_goes_on_being_asked_whatever_fails(caplog: pytest.LogCaptureFixture) -> None:
    failures = 0

    async def changed(_: Replica) -> None:
        nonlocal failures
        failures += 1
        raise ValueError("of a listener")

    async with wire.serve() as server:
        replica_set = ReplicaSet([server.address], Channels(server.service, ()), changed=changed)
        with pytest.raises(ValueError, match="of a listener"):
            await replica_set.refresh()
        following = asyncio.create_task(replica_set.follow())
        await server.health.set_serving(False)
        await until(replica_set, [State.NOT_READY])
        await server.health.set_serving(True)
        await until(replica_set, [State.SERVING])
        assert failures == 3
        assert "can't be asked" in caplog.text
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        await replica_set.close()


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("127.0.0.1:5", ["127.0.0.1:5"]),
        ("[::1]:5", ["[::1]:5"]),
        ("localhost:5", ["127.0.0.1:5"]),
        ("no-such-host.invalid:5", None),
    ],
)
async def test_host_names_are_looked_up(target: str, expected: Any) -> None:
    assert await LookUps().resolve(target) == expected


async def test_a_look_up_that_hangs_delays_no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_LIMIT_S", 0.05)
    hanging, called = threading.Event(), []

    def look_up(target: str) -> list[str] | None:
        called.append(target)
        if len(called) == 1:
            hanging.wait(10)
            return ["192.0.2.1:5"]
        return ["192.0.2.2:5"]

    monkeypatch.setattr(lookups, "look_up", look_up)
    look_ups = LookUps()
    assert await look_ups.resolve("axia-scoring:5") is None
    assert await look_ups.resolve("axia-scoring:5") == ["192.0.2.2:5"]
    hanging.set()
    await asyncio.sleep(0.1)
    assert await look_ups.resolve("axia-scoring:5") == ["192.0.2.2:5"]  # the old answer came after a newer one


async def test_a_look_up_that_takes_long_counts_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookups, "_LIMIT_S", 0.05)
    monkeypatch.setattr(lookups, "_BESIDE", 3)
    name_server, called = threading.Event(), []

    def look_up(target: str) -> list[str] | None:
        called.append(target)
        name_server.wait(10)
        return ["192.0.2.1:5"]

    monkeypatch.setattr(lookups, "look_up", look_up)
    look_ups = LookUps()
    for _ in range(5):
        assert await look_ups.resolve("axia-scoring:5") is None
    assert len(called) == 3
    name_server.set()
    assert await look_ups.resolve("axia-scoring:5") == ["192.0.2.1:5"]


async def test_a_name_that_hangs_delays_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = threading.Event()
    async with wire.serve() as server:

        def look_up(target: str) -> list[str] | None:
            if target == "hangs:5":
                hanging.wait(20)
            return [server.address]

        monkeypatch.setattr(lookups, "look_up", look_up)
        replica_set = ReplicaSet(["hangs:5", "axia-inference:50051"], Channels(server.service, ()))
        try:
            async with asyncio.timeout(5), following(replica_set):
                await until(replica_set, [State.SERVING])
        finally:
            hanging.set()
