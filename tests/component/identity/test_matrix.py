"""Every RPC of the contract and every route of the HTTP API, with each kind of credential.

The rows come from the descriptors and from the running application, so one that is added is tested, or has no entry and
fails.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import pytest
import websockets
from google.protobuf.message_factory import GetMessageClass

from axia.identity.keys import ROLES, Quota
from gateway.http.app import create
from gateway.http.settings import HttpSettings
from services.serving.identity.access import KNOWN, OPEN, ROUTES, RPCS, NoEntry, require_entries
from services.serving.identity.guard import Guard
from services.serving.identity.keys import KeyRing
from services.serving.interceptors import CallInterceptor
from services.serving.status import from_rpc_error
from tests.support.http_api import FILES, FakeGateway, http_api
from tests.support.identity import bearer, make_key, make_revoked

METHODS = {
    f"/{service.full_name}/{method.name}": method
    for name, file in FILES.items()
    for service in [file.DESCRIPTOR.services_by_name[name]]
    for method in service.methods
}
CALLED = sorted(route for route, entry in ROUTES.items() if entry is not OPEN and not route.startswith("WEBSOCKET"))


class Row(NamedTuple):
    """A credential and what comes of it."""

    credential: str | None
    code: str
    reason: str


def rows(method: str, file: Path) -> list[Row]:
    """What each kind of credential comes to at a method."""
    needed = RPCS[method]
    good = [needed] if needed is not KNOWN else ["score"]
    others = [role for role in ROLES if role != needed]
    told = [
        Row(None, "UNAUTHENTICATED", "CREDENTIAL_MISSING"),
        Row("0123456789abcdef." + "x" * 43, "UNAUTHENTICATED", "KEY_UNKNOWN"),
        Row(make_key(file, "old", good, expired=True).text, "UNAUTHENTICATED", "KEY_EXPIRED"),
        Row(make_revoked(file, "gone", good).text, "UNAUTHENTICATED", "KEY_REVOKED"),
        Row(make_key(file, "good", good).text, "OK", ""),
    ]
    busy = make_key(file, "busy", good, quota=Quota(requests_per_minute=1)).text
    told += [Row(busy, "OK", ""), Row(busy, "RESOURCE_EXHAUSTED", "CALLER_REQUESTS")]
    if needed is not KNOWN:
        told.append(Row(make_key(file, "other", others).text, "PERMISSION_DENIED", "ROLE_MISSING"))
    return told


@asynccontextmanager
async def guarded(file: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeGateway]:
    guard = Guard(KeyRing(file, "AXIA_GATEWAY_KEYS"))
    monkeypatch.setattr("tests.support.http_api.CallInterceptor", lambda: CallInterceptor(guard=guard))
    async with FakeGateway.serving() as fake:
        yield fake


def test_the_table_names_the_contracts_methods_and_no_others() -> None:
    ours = {method for method in RPCS if method.startswith("/axia.v1.")}
    assert ours == set(METHODS)
    assert not any(RPCS[method] is OPEN for method in ours)


def test_each_route_leads_to_a_method_of_the_table() -> None:
    assert {entry for entry in ROUTES.values() if entry is not OPEN} <= set(METHODS)


def test_every_route_of_the_document_asks_for_a_credential() -> None:
    document = create(HttpSettings()).api.openapi()
    named = {f"{verb.upper()} {path}" for path, verbs in document["paths"].items() for verb in verbs}
    assert len(named) > 30
    table = {re.sub(r":path\}", "}", route): entry for route, entry in ROUTES.items()}
    assert {route for route in named if table.get(route, OPEN) is OPEN} == set()


def test_a_route_without_an_entry_keeps_the_api_from_starting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(ROUTES, "POST /v1/reindex")
    with pytest.raises(NoEntry, match="POST /v1/reindex: no entry"):
        create(HttpSettings())


def test_an_rpc_without_an_entry_is_named() -> None:
    with pytest.raises(NoEntry, match=r"/axia\.v1\.New/Thing"):
        require_entries(["/axia.v1.New/Thing"], RPCS)


@pytest.mark.parametrize("method", sorted(METHODS))
async def test_an_rpc_answers_those_who_may_call_it_alone(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = rows(method, tmp_path / "keys.json")
    async with (
        guarded(tmp_path / "keys.json", monkeypatch) as fake,
        grpc.aio.insecure_channel(fake.address) as channel,
    ):
        for row in table:
            found = await _call(channel, method, row.credential)
            assert found == (row.code, row.reason), row
    assert len(fake.requests) == 2  # those that were let in; no other reached a handler


async def _call(channel: grpc.aio.Channel, name: str, credential: str | None) -> tuple[str, str]:
    method = METHODS[name]
    request = GetMessageClass(method.input_type)()
    made: Any = channel.stream_stream(
        name, type(request).SerializeToString, GetMessageClass(method.output_type).FromString
    )
    call = made(iter([request]), metadata=bearer(credential) if credential else (), timeout=10)
    try:
        async for _ in call:
            pass
    except grpc.aio.AioRpcError as error:
        return error.code().name, from_rpc_error(error).reason
    return "OK", ""


@pytest.mark.parametrize("route", CALLED)
async def test_a_route_answers_those_who_may_call_it_alone(
    route: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verb, path = route.split()
    entry = ROUTES[route]
    assert isinstance(entry, str)
    table = rows(entry, tmp_path / "keys.json")
    statuses = {"UNAUTHENTICATED": 401, "PERMISSION_DENIED": 403, "RESOURCE_EXHAUSTED": 429}
    async with guarded(tmp_path / "keys.json", monkeypatch) as fake, http_api(fake) as http:
        for row in table:
            headers = {"Authorization": f"Bearer {row.credential}"} if row.credential else {}
            before = len(fake.requests)
            response = await http.request(verb, re.sub(r"\{\w+(:path)?\}", "a1", path), headers=headers, **_body(route))
            told = response.text
            if row.code == "OK":
                assert len(fake.requests) > before, told  # it reached its handler
                assert response.status_code not in statuses.values(), told
                continue
            assert len(fake.requests) == before, told
            if "event-stream" not in response.headers["content-type"]:
                assert response.status_code == statuses[row.code], told
                assert (response.headers.get("www-authenticate") == "Bearer") == (response.status_code == 401)
            assert row.reason in told


async def test_a_watch_over_a_websocket_needs_a_credential(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "keys.json"
    table = rows(str(ROUTES["WEBSOCKET /v1/watch"]), file)
    async with guarded(file, monkeypatch) as fake, http_api(fake) as http:
        for row in table:
            headers = {"Authorization": f"Bearer {row.credential}"} if row.credential else {}
            url = f"ws://127.0.0.1:{http.port}/v1/watch"
            async with websockets.connect(url, additional_headers=headers) as socket, asyncio.timeout(10):
                await socket.send('{"frame": {"image": {"data": ""}}}')
                told = str(await socket.recv())
            assert (row.reason in told) if row.reason else "CREDENTIAL" not in told, told
    assert len(fake.requests) == 2  # those that were let in


def _body(route: str) -> dict[str, Any]:
    if not route.startswith("POST"):
        return {}
    if route.endswith("/chat/completions"):
        return {"json": {"model": "m", "messages": [{"role": "user", "content": "hello"}]}}
    return {"json": {}}


async def test_bytes_that_are_no_message_are_looked_at_behind_the_credential(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.json"
    good = bearer(make_key(file, "good", ["detect"]).text)
    async with guarded(file, monkeypatch) as fake, grpc.aio.insecure_channel(fake.address) as channel:
        for metadata, code in (((), "UNAUTHENTICATED"), (good, "INVALID_ARGUMENT")):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary("/axia.v1.GatewayService/DetectValues")(b"\x0a\xff", metadata=metadata)
            assert caught.value.code().name == code
