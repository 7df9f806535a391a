"""What a browser is told about pages of other origins: which of them may call, and what they may read (CORS)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from axia.v1 import gateway_pb2, inference_pb2
from services.serving.errors import Unavailable
from tests.support.http_api import Api, FakeGateway, http_api

ALLOWED = "https://lab.example"
FOREIGN = "https://elsewhere.example"
STREAM = gateway_pb2.StreamDetectValuesResponse(summary=gateway_pb2.DetectValuesResponse(consensus="A child."))
CHAT = [
    inference_pb2.GenerateResponse(started={"prompt_tokens": 1}),
    inference_pb2.GenerateResponse(completion={"index": 0, "text": "A child.", "tokens": 2}),
    inference_pb2.GenerateResponse(summary={"prompt_tokens": 1, "model": {"name": "m"}}),
]


@pytest.fixture
async def shared(gateway: FakeGateway) -> AsyncIterator[Api]:
    """The API, for the pages of two origins."""
    async with http_api(
        gateway, allowed_origins=f"{ALLOWED}, https://other.example:8443", max_image_mib=0.1
    ) as running:
        yield running


async def ask_first(http: Api, path: str, method: str, origin: str, headers: str = "content-type") -> Any:
    """A browser's preflight."""
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    return await http.options(path, headers={"Origin": origin, **asked})


def listed(value: str) -> set[str]:
    return {part.strip().lower() for part in value.split(",")}


def check_readable(response: Any, origin: str = ALLOWED) -> None:
    """Fails unless a browser hands the answer to a page of the origin, and keeps it for that origin alone."""
    assert response.headers.get_list("access-control-allow-origin") == [origin]
    assert "origin" in listed(response.headers["vary"])
    assert {"x-request-id", "retry-after"} <= listed(response.headers["access-control-expose-headers"])
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers["x-request-id"]


def check_unreadable(response: Any) -> None:
    assert [name for name in response.headers if name.startswith("access-control-")] == []


async def test_a_page_of_an_allowed_origin_may_send_what_every_call_takes(shared: Api, gateway: FakeGateway) -> None:
    headers = "authorization, content-type, x-request-id, x-request-timeout, x-stainless-lang"  # OpenAI's client
    calls = [
        (path, method.upper())
        for path, methods in shared.document["paths"].items()
        for method in methods
        if method != "parameters"
    ]
    assert {method for _, method in calls} == {"GET", "POST", "DELETE"}
    assert "/v1/chat/completions" in dict(calls)
    for origin in (ALLOWED, "https://other.example:8443"):
        for path, method in calls:
            answer = await ask_first(shared, path, method, origin, headers)
            assert answer.status_code == 200, (path, method, answer.text)
            assert answer.headers.get_list("access-control-allow-origin") == [origin]
            assert method.lower() in listed(answer.headers["access-control-allow-methods"])
            assert listed(headers) <= listed(answer.headers["access-control-allow-headers"])
            assert "origin" in listed(answer.headers["vary"])
            assert answer.headers["x-request-id"]
    assert gateway.requests == []


async def test_a_page_of_an_allowed_origin_may_read_answers_streams_and_chat(shared: Api, gateway: FakeGateway) -> None:
    gateway.answers |= {"StreamDetectValues": [STREAM], "Generate": CHAT}
    chat = {"model": "m", "messages": [{"role": "user", "content": "What is it?"}]}
    for path, body, kind in (
        ("/v1/detect", {}, "application/json"),
        ("/v1/detect/stream", {}, "text/event-stream"),
        ("/v1/chat/completions", chat, "application/json"),
        ("/v1/chat/completions", chat | {"stream": True}, "text/event-stream"),
    ):
        response = await shared.post(path, json=body, headers={"Origin": ALLOWED})
        assert (response.status_code, response.headers["content-type"].partition(";")[0]) == (200, kind)
        check_readable(response)
    assert len(gateway.requests) == 4


async def test_a_page_of_an_allowed_origin_may_read_errors(shared: Api, gateway: FakeGateway) -> None:
    gateway.answers["GetStats"] = gateway.answers["DetectValues"] = Unavailable("away", reason="X", retry_after_s=1.0)
    page = {"Origin": ALLOWED}
    for response, status in (
        (await shared.post("/v1/detect", json={}, headers=page), 503),
        (await shared.post("/v1/detect", json={"nn": 1}, headers=page), 400),
        (await shared.get("/v1/nowhere", headers=page), 404),
        (await shared.post("/v1/images/delete", content=b" " * 6 * 2**20, headers=page), 413),
    ):
        assert response.status_code == status
        check_readable(response)


async def test_a_page_that_comes_when_all_are_busy_may_read_so(gateway: FakeGateway) -> None:
    gateway.answers["StreamDetectValues"] = [STREAM, 60.0]
    async with (
        http_api(gateway, allowed_origins=ALLOWED, max_concurrent_calls=1) as http,
        http.stream("POST", "/v1/detect/stream", json={}) as busy,
    ):
        assert busy.status_code == 200
        refused = await http.get("/v1/stats", headers={"Origin": ALLOWED})
    assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_CALLS")
    check_readable(refused)


async def test_a_page_of_another_origin_may_not(shared: Api, gateway: FakeGateway) -> None:
    for response in (
        await ask_first(shared, "/v1/detect", "POST", FOREIGN),
        await ask_first(shared, "/v1/detect", "POST", f"{ALLOWED}.example"),
        await shared.post("/v1/detect", json={}, headers={"Origin": FOREIGN}),
        await shared.post("/v1/chat/completions", json={}, headers={"Origin": FOREIGN}),
    ):
        assert (response.status_code, response.json()["reason"]) == (403, "CROSS_ORIGIN")
        check_unreadable(response)
    assert gateway.requests == []


async def test_a_name_that_leads_here_only_by_dns_is_refused_before_the_origin_counts(shared: Api) -> None:
    headers = {"Host": "rebound.example", "Origin": ALLOWED, "Access-Control-Request-Method": "POST"}
    refused = await shared.options("/v1/detect", headers=headers)
    assert (refused.status_code, refused.json()["reason"]) == (403, "HOST_NOT_ALLOWED")
    check_unreadable(refused)


async def test_what_a_browser_keeps_of_an_answer_without_an_origin_is_not_given_to_a_page(shared: Api) -> None:
    assert "origin" in listed((await shared.get("/v1/stats")).headers["vary"])


async def test_where_no_origin_is_allowed_nothing_is_said_of_origins(http: Api, gateway: FakeGateway) -> None:
    page_origin = f"http://127.0.0.1:{http.port}"
    for response, status in (
        (await ask_first(http, "/v1/detect", "POST", ALLOWED), 403),
        (await ask_first(http, "/v1/detect", "POST", page_origin), 405),
        (await http.get("/v1/stats", headers={"Origin": ALLOWED}), 403),
        (await http.get("/v1/stats", headers={"Origin": page_origin}), 200),
        (await http.get("/v1/stats"), 200),
    ):
        assert response.status_code == status
        check_unreadable(response)
        assert "vary" not in response.headers
