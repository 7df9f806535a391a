"""TLS at a booted server and at the HTTP API, with each kind of certificate, and certificates that are renewed."""

from __future__ import annotations

import asyncio
import http.client
import json
import ssl
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
from cryptography import x509
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia import TLS, AsyncClient, ConnectionFailed
from axia.identity.certs import to_pem
from axia.testing import free_port
from services.serving import app
from services.serving.identity import access
from services.serving.settings import CallerSettings, ServerSettings
from services.serving.status import from_rpc_error
from services.serving.tls import server_tls, warn_of_plaintext
from services.serving.upstream import replicas
from services.serving.upstream.replica import State
from services.serving.upstream.replicas import ReplicaSet
from tests.support import wire
from tests.support.desk import ENTRIES, SERVICE, Desk, desk_port, listening
from tests.support.http_api import FakeGateway, http_api
from tests.support.identity import Certificates, Leaf, bearer, channel_credentials, client_context, make_key

HERE = "127.0.0.1"


class Caller(NamedTuple):
    """What a caller trusts and shows; without `ca` it speaks no TLS."""

    ca: Path | None
    leaf: Leaf | None = None


class World(NamedTuple):
    """A server's certificate, and each kind of caller."""

    certificates: Certificates
    server: Leaf
    callers: dict[str, Caller]

    @property
    def settings(self) -> dict[str, Any]:
        return {
            "tls_certificate": self.server.certificate,
            "tls_key": self.server.key,
            "tls_client_ca": self.certificates.ca,
        }


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for method, needed in ENTRIES.items():
        monkeypatch.setitem(access.RPCS, method, needed)


@pytest.fixture
def world(tmp_path: Path) -> World:
    ours, others = Certificates(tmp_path / "ours"), Certificates(tmp_path / "others")
    good = ours.leaf("axia-gateway")
    callers = {
        "none": Caller(None),
        "wrong CA": Caller(ours.ca, others.leaf("axia-gateway")),
        "trusts another CA": Caller(others.ca, good),
        "expired": Caller(ours.ca, ours.leaf("axia-gateway", days=-1, file="old")),
        "wrong name": Caller(ours.ca, ours.leaf("axia-scoring")),
        "no client certificate": Caller(ours.ca),
        "good": Caller(ours.ca, good),
    }
    return World(ours, ours.leaf("axia-desk", HERE, "localhost"), callers)


@asynccontextmanager
async def channel_to(port: int, caller: Caller) -> AsyncIterator[grpc.aio.Channel]:
    address = f"{HERE}:{port}"
    made = (
        grpc.aio.insecure_channel(address)
        if caller.ca is None
        else grpc.aio.secure_channel(address, channel_credentials(caller.ca, caller.leaf))
    )
    async with made as channel:
        yield channel


async def who(channel: grpc.aio.Channel, **options: Any) -> str:
    made = channel.unary_unary(f"/{SERVICE}/Who", wire.encode, bytes.decode)
    answer: str = await made("", timeout=10, **options)
    return answer


async def outcome(port: int, caller: Caller) -> tuple[str, str]:
    """Code and reason of a call; or OK and who the server took the caller for."""
    async with channel_to(port, caller) as channel:
        try:
            return "OK", await who(channel)
        except grpc.aio.AioRpcError as error:
            return error.code().name, from_rpc_error(error).reason


@asynccontextmanager
async def desk(world: World, **settings: Any) -> AsyncIterator[int]:
    async with desk_port(**world.settings, **settings) as port:
        async with channel_to(port, world.callers["good"]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            await stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=10)
        yield port


NO_CONNECTION = ("UNAVAILABLE", "UNAVAILABLE")
OVER_GRPC = {
    "none": NO_CONNECTION,
    "wrong CA": NO_CONNECTION,
    "trusts another CA": NO_CONNECTION,
    "expired": NO_CONNECTION,
    "wrong name": ("PERMISSION_DENIED", "CERTIFICATE_NAME"),
    "no client certificate": NO_CONNECTION,
    "good": ("OK", "axia-gateway"),
}


async def test_each_kind_of_caller_over_grpc(world: World) -> None:
    async with desk(world, tls_client_names=("axia-gateway",)) as port:
        found = {kind: await outcome(port, caller) for kind, caller in world.callers.items()}
    assert found == OVER_GRPC


@pytest.mark.parametrize(("names", "days"), [(("elsewhere.example",), 1), ((HERE,), -1)])
async def test_a_caller_refuses_a_server_of_another_name_or_whose_certificate_has_ended(
    world: World, names: tuple[str, ...], days: int
) -> None:
    bad = world.certificates.leaf(*names, days=days, file="bad")
    async with desk_port(**world.settings | {"tls_certificate": bad.certificate, "tls_key": bad.key}) as port:
        await listening(port)
        assert await outcome(port, world.callers["good"]) == NO_CONNECTION


async def test_without_names_every_certificate_of_the_authority_is_taken(world: World) -> None:
    async with desk(world) as port:
        assert await outcome(port, world.callers["wrong name"]) == ("OK", "anonymous")
        assert await outcome(port, world.callers["wrong CA"]) == NO_CONNECTION


async def test_a_certificate_does_not_stand_in_for_a_key(world: World, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    robot = make_key(file, "robot", ["detect"])
    async with desk(world, keys=file) as port, channel_to(port, world.callers["good"]) as channel:
        assert await who(channel, metadata=bearer(robot.text)) == "robot"
        assert (await wire.failure(who(channel))).code().name == "UNAUTHENTICATED"


async def test_health_is_told_to_every_certificate_of_the_authority(world: World) -> None:
    async with desk(world, tls_client_names=("axia-gateway",)) as port:
        async with channel_to(port, world.callers["wrong name"]) as channel:
            stub: Any = health_pb2_grpc.HealthStub(channel)
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_probes_and_scrapes_need_no_certificate(world: World) -> None:
    metrics = free_port()
    async with desk(world, metrics_port=metrics):
        context = client_context(world.certificates.ca)
        for path, said in (("healthz", "ok"), ("readyz", "ok"), ("metrics", "axia_rpc_seconds")):
            status, text = await asyncio.to_thread(fetch, f"https://{HERE}:{metrics}/{path}", context)
            assert status == 200
            assert said in text
        with pytest.raises((http.client.HTTPException, OSError), match=r"reset|closed"):  # plaintext
            await asyncio.to_thread(fetch, f"http://{HERE}:{metrics}/healthz", None)


async def test_a_silent_connection_does_not_keep_others_from_the_metrics_port(world: World) -> None:
    metrics = free_port()
    async with desk(world, metrics_port=metrics):
        _, writer = await asyncio.open_connection(HERE, metrics)  # no handshake
        url = f"https://{HERE}:{metrics}/healthz"
        assert (await asyncio.to_thread(fetch, url, client_context(world.certificates.ca)))[0] == 200
        writer.close()


def fetch(url: str, context: ssl.SSLContext | None) -> tuple[int, str]:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), *([urllib.request.HTTPSHandler(context=context)] if context else [])
    )
    try:
        with opener.open(url, timeout=10) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


async def test_readyz_says_no_until_the_server_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    async def load(_: Desk) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(Desk, "start", load)
    metrics = free_port()
    async with desk_port(metrics_port=metrics) as port:
        await listening(port)
        assert (await asyncio.to_thread(fetch, f"http://{HERE}:{metrics}/healthz", None))[0] == 200
        assert (await asyncio.to_thread(fetch, f"http://{HERE}:{metrics}/readyz", None))[0] == 503


OVER_HTTP: dict[str, type[Exception] | int] = {
    "none": httpx.HTTPError,
    "wrong CA": httpx.HTTPError,
    "trusts another CA": httpx.HTTPError,
    "expired": httpx.HTTPError,
    "wrong name": 200,  # names aren't looked at where the public calls
    "no client certificate": httpx.HTTPError,
    "good": 200,
}


async def test_each_kind_of_caller_over_http(world: World) -> None:
    async with FakeGateway.serving() as fake, http_api(fake, **world.settings) as api:
        found = {kind: await over_http(api.port, caller) for kind, caller in world.callers.items()}
    assert found == OVER_HTTP


async def test_http_without_client_certificates(world: World) -> None:
    settings = world.settings | {"tls_client_ca": None}
    async with FakeGateway.serving() as fake, http_api(fake, **settings) as api:
        assert await over_http(api.port, world.callers["no client certificate"]) == 200
        assert await over_http(api.port, world.callers["none"]) is httpx.HTTPError


async def over_http(port: int, caller: Caller) -> type[Exception] | int:
    scheme = "http" if caller.ca is None else "https"
    verify = True if caller.ca is None else client_context(caller.ca, caller.leaf)
    async with httpx.AsyncClient(verify=verify, trust_env=False, timeout=10) as client:
        try:
            return (await client.get(f"{scheme}://{HERE}:{port}/healthz")).status_code
        except httpx.HTTPError:
            return httpx.HTTPError


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.serving.tls._LOOK_S", 0.0)


def serial_at(port: int) -> int:
    pem = ssl.get_server_certificate((HERE, port))
    return x509.load_pem_x509_certificate(pem.encode()).serial_number


def serial_of(leaf: Leaf) -> int:
    return x509.load_pem_x509_certificate(leaf.certificate.read_bytes()).serial_number


@pytest.mark.usefixtures("at_once")
async def test_renewed_certificates_are_used_without_a_restart(world: World) -> None:
    metrics = free_port()
    without_callers = world.settings | {"tls_client_ca": None}
    async with (
        desk_port(**without_callers, metrics_port=metrics) as port,
        FakeGateway.serving() as fake,
        http_api(fake, **without_callers) as api,
        channel_to(port, Caller(world.certificates.ca)) as channel,
    ):
        assert await who(channel, wait_for_ready=True) == "anonymous"
        made = channel.stream_stream(f"/{SERVICE}/Each", wire.encode, bytes.decode)
        call = made(timeout=30)
        await call.write("before")
        assert await call.read() == "before anonymous"
        before = serial_of(world.server)
        ports = {"gRPC": port, "HTTP": api.port, "metrics": metrics}
        assert {name: await asyncio.to_thread(serial_at, one) for name, one in ports.items()} == dict.fromkeys(
            ports, before
        )

        world.server.replace_with(world.certificates.leaf("axia-desk", HERE, file="renewed"))
        after = serial_of(world.server)
        assert before != after
        assert {name: await asyncio.to_thread(serial_at, one) for name, one in ports.items()} == dict.fromkeys(
            ports, after
        )
        await call.write("after")  # on the connection from before
        assert await call.read() == "after anonymous"
        await call.done_writing()


@pytest.mark.usefixtures("at_once")
async def test_an_authority_that_is_replaced_is_not_trusted_any_more(world: World, tmp_path: Path) -> None:
    new = Certificates(tmp_path / "new")
    caller = new.leaf("axia-gateway")
    async with desk(world) as port, FakeGateway.serving() as fake, http_api(fake, **world.settings) as api:
        world.certificates.ca.write_bytes(new.ca.read_bytes())
        # The server's own certificate is as before, so that callers go on trusting the authority that it is from.
        old = tmp_path / "old.pem"
        old.write_bytes(to_pem(world.certificates.authority.certificate))
        for kind, expected in (("of the new", "OK"), ("of the old", "UNAVAILABLE")):
            leaf = caller if kind == "of the new" else world.callers["good"].leaf
            assert (await outcome(port, Caller(old, leaf)))[0] == expected, kind
            assert await over_http(api.port, Caller(old, leaf)) == (200 if expected == "OK" else httpx.HTTPError), kind


@pytest.mark.usefixtures("at_once")
async def test_files_that_do_not_fit_leave_what_was_there(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(world) as port:
        world.server.key.write_bytes(world.certificates.leaf("other").key.read_bytes())
        assert await outcome(port, world.callers["good"]) == ("OK", "anonymous")
        assert any(
            "are not a certificate and its key in PEM format" in record.getMessage() for record in caplog.records
        )
        world.server.key.unlink()
        assert await outcome(port, world.callers["good"]) == ("OK", "anonymous")


@pytest.mark.usefixtures("at_once")
async def test_channels_are_made_anew_when_their_files_change(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas, "_PAUSE_S", 0.05)
    gateway = world.certificates.leaf("axia-gateway", file="of-the-gateway")
    settings = CallerSettings(
        upstream_ca=world.certificates.ca, upstream_certificate=gateway.certificate, upstream_key=gateway.key
    )
    async with desk(world, tls_client_names=("axia-gateway",)) as port:
        found = ReplicaSet([f"localhost:{port}"], app.channels_to(SERVICE, settings))
        following = asyncio.create_task(found.follow())
        try:
            await eventually(lambda: [one.state for one in found.replicas] == [State.SERVING])
            replica = next(iter(found.replicas))
            channel = replica.channel
            call: Any = channel.stream_stream(f"/{SERVICE}/Each", wire.encode, bytes.decode)(timeout=30)
            await call.write("before")
            assert await call.read() == "before axia-gateway"

            gateway.replace_with(world.certificates.leaf("axia-gateway", "renewed", file="renewed"))
            await eventually(lambda: replica.channel is not channel)
            assert await who(replica.channel) == "axia-gateway"
            await call.write("after")  # on the channel from before
            assert await call.read() == "after axia-gateway"
            await call.done_writing()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await found.close()


@pytest.mark.parametrize("wrong", ["authority", "name"])
async def test_a_replica_that_can_not_be_trusted_is_away_and_the_log_says_why(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture, wrong: str
) -> None:
    ours, server = world.certificates, world.server if wrong == "authority" else world.certificates.leaf("elsewhere")
    trusted = Certificates(tmp_path / "far") if wrong == "authority" else ours
    async with desk_port(tls_certificate=server.certificate, tls_key=server.key) as port:
        await listening(port)
        found = ReplicaSet([f"{HERE}:{port}"], app.channels_to(SERVICE, CallerSettings(upstream_ca=trusted.ca)))
        try:
            await found.refresh(2.0)
            await found.refresh()
            assert not found.callable
            await eventually(lambda: any("no TLS with the server" in record.getMessage() for record in caplog.records))
        finally:
            await found.close()


async def eventually(holds: Callable[[], bool]) -> None:
    await wire.eventually(holds, timeout_s=10)


async def test_a_client_is_told_what_to_do_about_tls(world: World, tmp_path: Path) -> None:
    others = Certificates(tmp_path / "far")
    named, ended = world.certificates.leaf("elsewhere"), world.certificates.leaf(HERE, days=-1, file="ended")
    said = {
        "AXIA_TLS_ROOTS to the file": (world.server, TLS(others.ca)),
        "it may require TLS": (world.server, None),
        "AXIA_TLS_SERVER_NAME": (named, TLS(world.certificates.ca)),
        "has expired": (ended, TLS(world.certificates.ca)),
        "doesn't use TLS": (None, TLS(world.certificates.ca)),
    }
    for text, (server, tls) in said.items():
        settings = {"tls_certificate": server.certificate, "tls_key": server.key} if server else {}
        async with desk_port(**settings) as port:
            await listening(port)
            async with AsyncClient(f"{HERE}:{port}", tls=tls) as client:
                with pytest.raises(ConnectionFailed, match=text):
                    await client.models()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"tls_certificate": "good"}, "TLS_KEY is not: set both"),
        ({"tls_key": "good"}, "TLS_CERTIFICATE is not: set both"),
        ({"tls_client_ca": "ca"}, "TLS_CERTIFICATE is not: set both"),
        ({"tls_certificate": "good", "tls_key": "/nowhere"}, "axia certs init"),
        ({"tls_certificate": "ca", "tls_key": "good"}, "not a certificate and its key in PEM format"),
        ({"tls_certificate": "good", "tls_key": "good", "tls_client_ca": "key"}, "no certificates in PEM"),
        ({"host": "0.0.0.0"}, "ALLOW_PLAINTEXT"),  # noqa: S104 - it does not get there
        ({"host": "::"}, "ALLOW_PLAINTEXT"),
        ({"host": "robot.example"}, "ALLOW_PLAINTEXT"),
    ],
)
async def test_what_can_not_be_used_ends_the_server_with_advice(
    world: World, settings: dict[str, str], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    paths = {"ca": world.certificates.ca, "key": world.server.key}
    chosen: dict[str, Any] = {
        name: (world.server.key if name == "tls_key" else world.server.certificate)
        if value == "good"
        else paths.get(value, value)
        for name, value in settings.items()
    }
    code = await asyncio.wait_for(app.serve(Desk(), ServerSettings(port=free_port(), **chosen)), 10)
    assert code == 1
    assert any(said in record.getMessage() for record in caplog.records), json.dumps(caplog.messages)


def test_plaintext_beyond_this_machine_warns(caplog: pytest.LogCaptureFixture) -> None:
    meant = ServerSettings(host="0.0.0.0", allow_plaintext=True)  # noqa: S104 - nothing listens
    assert server_tls(meant) is None
    warn_of_plaintext(meant)
    warn_of_plaintext(ServerSettings())
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == ["listening on 0.0.0.0 without TLS"]


async def test_a_certificate_that_ends_soon_is_told(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with desk(world):
        assert any("renew it" in record.getMessage() for record in caplog.records)
