"""Keys, tokens and the audit log at a booted server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from pydantic import ValidationError

from axia.identity.keys import revoke_key
from axia.testing import free_port
from services.serving import app
from services.serving.identity import access, keys
from services.serving.logs import REQUEST_ID_KEY
from services.serving.settings import ServerSettings
from services.serving.status import from_rpc_error
from tests.support import wire
from tests.support.desk import ENTRIES, SERVICE, Desk, desk_port
from tests.support.identity import AUDIENCE, ISSUER, Provider, bearer, make_key, make_revoked


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for method, needed in ENTRIES.items():
        monkeypatch.setitem(access.RPCS, method, needed)


@contextlib.asynccontextmanager
async def desk(**settings: Any) -> AsyncIterator[grpc.aio.Channel]:
    async with desk_port(**settings) as port, grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = health_pb2_grpc.HealthStub(channel)
        await check.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=10)
        yield channel


async def ask(channel: grpc.aio.Channel, credential: str | None = None, method: str = "Who", text: str = "") -> str:
    made = channel.unary_unary(f"/{SERVICE}/{method}", wire.encode, bytes.decode)
    metadata = bearer(credential) if credential is not None else ()
    answer: str = await made(text, timeout=10, metadata=(*metadata, (REQUEST_ID_KEY, "r1")))
    return answer


async def reason(channel: grpc.aio.Channel, credential: str | None = None, method: str = "Who") -> tuple[str, str]:
    error = await wire.failure(ask(channel, credential, method))
    return error.code().name, from_rpc_error(error).reason


async def test_a_server_without_keys_is_open() -> None:
    async with desk() as channel:
        assert await ask(channel) == "anonymous"
        assert await ask(channel, "sk-whatever") == "anonymous"


async def test_a_key_says_who_calls_and_what_they_may(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    robot, boss = make_key(file, "robot", ["detect"]), make_key(file, "boss", ["admin"])
    async with desk(keys=file) as channel:
        assert await ask(channel, robot.text) == "robot"
        assert await ask(channel, boss.text, "Delete") == "boss"
        assert await reason(channel, robot.text, "Delete") == ("PERMISSION_DENIED", "ROLE_MISSING")
        assert await reason(channel) == ("UNAUTHENTICATED", "CREDENTIAL_MISSING")


async def test_wrong_expired_and_revoked_keys_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    good = make_key(file, "robot", ["detect"])
    old, gone = make_key(file, "old", ["detect"], expired=True), make_revoked(file, "gone", ["detect"])
    identity, _, secret = good.text.partition(".")
    async with desk(keys=file) as channel:
        for wrong in (
            f"{identity}.{secret[:-1]}", f"{identity}.", identity, f"{old.record.id}.{secret}", "sk-1", f".{secret}"
        ):  # fmt: skip
            assert await reason(channel, wrong) == ("UNAUTHENTICATED", "KEY_UNKNOWN"), wrong
        assert await reason(channel, old.text) == ("UNAUTHENTICATED", "KEY_EXPIRED")
        assert await reason(channel, gone.text) == ("UNAUTHENTICATED", "KEY_REVOKED")
        assert await reason(channel, "") == ("UNAUTHENTICATED", "CREDENTIAL_UNREADABLE")


async def test_a_key_is_revoked_without_a_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_LOOK_S", 0.02)
    file = tmp_path / "keys.json"
    robot = make_key(file, "robot", ["detect"])
    async with desk(keys=file) as channel:
        assert await ask(channel, robot.text) == "robot"
        revoke_key(file, robot.record.id)
        other = make_key(file, "other", ["detect"])
        async with asyncio.timeout(5):
            while (await _outcome(channel, robot.text)) == "robot":
                await asyncio.sleep(0.02)
        assert await reason(channel, robot.text) == ("UNAUTHENTICATED", "KEY_REVOKED")
        assert await ask(channel, other.text) == "other"
        file.write_text("{")  # as one that is half written
        await asyncio.sleep(0.1)
        assert await ask(channel, other.text) == "other"


async def _outcome(channel: grpc.aio.Channel, credential: str) -> str:
    try:
        return await ask(channel, credential)
    except grpc.aio.AioRpcError as error:
        return error.code().name


async def test_a_stream_is_refused_before_its_handler_runs(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    robot, finder = make_key(file, "robot", ["detect"]), make_key(file, "finder", ["search"])
    async with desk(keys=file) as channel:
        made = channel.stream_stream(f"/{SERVICE}/Each", wire.encode, bytes.decode)
        answers = [answer async for answer in made(iter(["a", "b"]), metadata=bearer(finder.text))]
        assert answers == ["a finder", "b finder"]
        error = await wire.failure(made(iter(["a"]), metadata=bearer(robot.text)))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED


async def test_health_and_reflection_are_open(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    make_key(file, "robot", ["detect"])
    async with desk(keys=file, reflection=True) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert answer.status
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        request = reflection_pb2.ServerReflectionRequest(list_services="")
        assert [answer async for answer in stub.ServerReflectionInfo(iter([request]), timeout=5)]


async def test_tokens_are_taken_with_the_claims_that_settings_name(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    async with desk(**provider.settings, oidc_roles_claim="realm_access.roles") as channel:
        assert await ask(channel, provider.token()) == "ada"
        boss = provider.token(sub="boss", realm_access={"roles": ["admin", "offline_access"]})
        assert await ask(channel, boss, "Delete") == "boss"
        assert await reason(channel, provider.token(), "Delete") == ("PERMISSION_DENIED", "ROLE_MISSING")


async def test_tokens_that_are_not_for_this_server_are_refused(tmp_path: Path) -> None:
    provider = Provider(tmp_path)
    other = ec.generate_private_key(ec.SECP256R1())
    unsigned = jwt.encode({"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": time.time() + 600}, "", "none")
    async with desk(**provider.settings) as channel:
        assert await reason(channel, provider.token(exp=time.time() - 60)) == ("UNAUTHENTICATED", "TOKEN_EXPIRED")
        for token in (
            provider.token(key=other),
            provider.token(aud="elsewhere"),
            provider.token(iss="https://evil.example"),
            provider.token(exp=None),
            provider.token(iss=None),
            provider.token(aud=None),
            provider.token(sub=None),
            provider.token(kid=None),
            provider.token(kid="unknown"),
            provider.token(nbf=time.time() + 600),
            provider.token(key=b"k" * 32, algorithm="HS256"),
            unsigned,
            provider.token()[:-4] + "AAAA",
            "a.b.c",
            "x" * 9000,
            "0123456789abcdef." + "x" * 43,
        ):
            assert await reason(channel, token) == ("UNAUTHENTICATED", "TOKEN_INVALID"), token[:60]


async def test_keys_and_tokens_can_be_taken_side_by_side(tmp_path: Path) -> None:
    provider, file = Provider(tmp_path), tmp_path / "keys.json"
    robot = make_key(file, "robot", ["detect"])
    async with desk(keys=file, **provider.settings) as channel:
        assert await ask(channel, robot.text) == "robot"
        assert await ask(channel, provider.token()) == "ada"


async def test_a_symmetric_algorithm_is_no_setting() -> None:
    with pytest.raises(ValidationError, match="must be some of"):
        ServerSettings(oidc_algorithms=("HS256",))


async def test_each_decision_has_a_line_in_the_audit_log(tmp_path: Path) -> None:
    file, log = tmp_path / "keys.json", tmp_path / "audit.jsonl"
    robot = make_key(file, "robot", ["detect"])
    async with desk(keys=file, audit_log=log) as channel:
        await ask(channel, robot.text, text="a secret")
        await reason(channel, robot.text, "Delete")
        log.rename(tmp_path / "audit.1")  # as logrotate does
        await reason(channel)
    first = [json.loads(line) for line in (tmp_path / "audit.1").read_text().splitlines()]
    second = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["principal"], line["method"], line["decision"]) for line in first] == [
        ("robot", f"/{SERVICE}/Who", "allowed"),
        ("robot", f"/{SERVICE}/Delete", "denied"),
    ]
    assert {line["request_id"] for line in [*first, *second]} == {"r1"}
    assert first[0]["credential"] == f"key:{robot.record.id}"
    assert (second[0]["principal"], second[0]["reason"]) == (None, "CREDENTIAL_MISSING")
    assert "secret" not in (tmp_path / "audit.1").read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"keys": "/nowhere/keys.json"}, "axia keys add"),
        ({"oidc_issuer": "https://login.example.org"}, "OIDC_AUDIENCE is missing"),
        ({"oidc_issuer": "https://a", "oidc_audience": "a", "oidc_jwks": "/nowhere"}, "jwks_uri"),
        ({"audit_log": "/nowhere/audit"}, "AUDIT_LOG"),
    ],
)
async def test_what_cannot_be_used_ends_the_server_with_advice(
    settings: dict[str, Any], said: str, caplog: pytest.LogCaptureFixture
) -> None:
    code = await app.serve(Desk(), ServerSettings(port=free_port(), **settings))
    assert code == 1
    assert any(said in record.getMessage() for record in caplog.records)


async def test_an_rpc_without_an_entry_keeps_the_server_from_starting(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delitem(access.RPCS, f"/{SERVICE}/Each")
    assert await app.serve(Desk(), ServerSettings(port=free_port())) == 1
    assert any(f"/{SERVICE}/Each" in record.getMessage() for record in caplog.records)
