"""Claims of tokens that set a caller's priority and limits."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import grpc
import pytest

from axia.identity.keys import Quota
from services.serving.identity import access
from services.serving.identity.claims import LARGEST_LIMIT, ClaimNames, LimitClaim
from services.serving.identity.principal import Principal
from services.serving.identity.tokens import TokenRules, TokenVerifier
from services.serving.settings import ServerSettings
from services.serving.status import from_rpc_error
from tests.component.identity.test_credentials import ask, desk
from tests.support import wire
from tests.support.desk import ENTRIES
from tests.support.identity import AUDIENCE, ISSUER, Provider

NAMES = ClaimNames(
    "roles",
    "models",
    "urgency",
    "normal",
    {"requests_per_minute": LimitClaim("limits.requests", 600), "calls_in_flight": LimitClaim("calls")},
)


@pytest.fixture(autouse=True)
def entries(monkeypatch: pytest.MonkeyPatch) -> None:
    for method, needed in ENTRIES.items():
        monkeypatch.setitem(access.RPCS, method, needed)


@pytest.fixture
def provider(tmp_path: Path) -> Provider:
    return Provider(tmp_path)


async def verified(provider: Provider, names: ClaimNames = NAMES, **claims: Any) -> Principal:
    """Whose a token with these claims is."""
    rules = TokenRules(ISSUER, AUDIENCE, str(provider.jwks), ["ES256"], names)
    verifier = TokenVerifier(rules, "AXIA_GATEWAY_OIDC_JWKS")
    await verifier.start()
    return await verifier.authenticate(provider.token(**claims))


async def test_claims_set_priority_and_limits(provider: Provider) -> None:
    caller = await verified(provider, urgency="low", limits={"requests": 60}, calls=2)
    assert caller.quota == Quota(requests_per_minute=60, calls_in_flight=2, priority="low")


async def test_a_token_without_these_claims_has_the_servers_limits(provider: Provider) -> None:
    for claims in ({}, {"limits": {}}, {"limits": {"images": 5}}):
        assert (await verified(provider, **claims)).quota is None, claims


async def test_claims_whose_names_are_not_set_are_not_read(provider: Provider) -> None:
    unread = ClaimNames("roles", "models")
    claims = {"urgency": "high", "priority": 9, "limits": {"requests": 60}, "calls": "many"}
    assert (await verified(provider, unread, **claims)).quota is None


async def test_no_claim_gives_more_than_its_maximum(provider: Provider) -> None:
    caller = await verified(provider, urgency="high", limits={"requests": 601}, calls=LARGEST_LIMIT)
    assert caller.quota == Quota(requests_per_minute=600, calls_in_flight=LARGEST_LIMIT, priority="normal")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"urgency": "urgent"}, "'urgency' must be one of the texts low, normal, high"),
        ({"urgency": ""}, "'urgency' must be one of"),
        ({"urgency": 2}, "'urgency' must be one of"),
        ({"urgency": ["high"]}, "'urgency' must be one of"),
        ({"limits": {"requests": "60"}}, r"'limits\.requests' must be a whole number from 1 to 1,000,000,000"),
        ({"limits": {"requests": 0}}, r"'limits\.requests' must be"),
        ({"limits": {"requests": 60.5}}, r"'limits\.requests' must be"),
        ({"limits": {"requests": {"a_minute": 60}}}, r"'limits\.requests' must be"),
        ({"limits": [60]}, r"'limits\.requests' must be"),
        ({"limits": 60}, r"'limits\.requests' must be"),
        ({"calls": -1}, "'calls' must be"),
        ({"calls": True}, "'calls' must be"),
        ({"calls": LARGEST_LIMIT + 1}, "'calls' must be"),
        ({"calls": 10**400}, "'calls' must be"),
    ],
    ids=str,
)
async def test_a_claim_that_can_not_be_used_refuses_the_token_and_is_named(
    provider: Provider, claims: dict[str, Any], said: str
) -> None:
    settings = {
        "oidc_priority_claim": "urgency",
        "oidc_requests_per_minute_claim": "limits.requests",
        "oidc_calls_in_flight_claim": "calls",
    }
    async with desk(**provider.settings, **settings) as channel:
        error = await wire.failure(ask(channel, provider.token(**claims)))
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED
        assert from_rpc_error(error).reason == "TOKEN_CLAIM_INVALID"
        assert re.search(said, error.details() or "")
        assert await ask(channel, provider.token(urgency="high", calls=3)) == "ada"


async def test_a_server_holds_each_token_to_its_own_limit(provider: Provider) -> None:
    settings = {"requests_per_minute": 1, "oidc_requests_per_minute_claim": "rpm", "oidc_max_requests_per_minute": 3}
    async with desk(**provider.settings, **settings) as channel:

        async def outcomes(count: int, **claims: Any) -> list[str]:
            token = provider.token(**claims)
            return [await outcome(channel, token) for _ in range(count)]

        assert await outcomes(2, sub="usual") == ["usual", "CALLER_REQUESTS"]
        assert await outcomes(3, sub="two", rpm=2) == ["two", "two", "CALLER_REQUESTS"]
        assert await outcomes(4, sub="all", rpm=9000) == ["all", "all", "all", "CALLER_REQUESTS"]
        # Another token of the same caller is no new minute.
        assert await outcomes(1, sub="two", rpm=3) == ["CALLER_REQUESTS"]


async def outcome(channel: grpc.aio.Channel, token: str) -> str:
    try:
        return await ask(channel, token)
    except grpc.aio.AioRpcError as error:
        return from_rpc_error(error).reason


async def test_calls_in_flight_of_a_token_are_bounded(provider: Provider) -> None:
    settings = {"oidc_calls_in_flight_claim": "calls", "oidc_roles_claim": "roles"}
    async with desk(**provider.settings, **settings) as channel:
        token = provider.token(calls=1, roles=["search"])
        made = channel.stream_stream("/axia.test.Desk/Each", wire.encode, bytes.decode)
        held = made(metadata=(("authorization", f"Bearer {token}"),))
        await held.write("a")
        assert await held.read() == "a ada"
        assert await outcome(channel, token) == "CALLER_CALLS"
        await held.done_writing()
        assert await held.read() is grpc.aio.EOF
        async with asyncio.timeout(5):
            while await outcome(channel, token) != "ada":
                await asyncio.sleep(0.01)


def test_a_maximum_of_a_claim_that_is_not_read_is_told_to_have_no_effect() -> None:
    without = ServerSettings(oidc_max_calls_in_flight=5, oidc_max_priority="low", oidc_priority_claim="p")
    assert "OIDC_CALLS_IN_FLIGHT_CLAIM is not set" in without.without_effect()["oidc_max_calls_in_flight"]
    assert "oidc_max_priority" not in without.without_effect()
