"""What happens around requests: origins, names of the host, callers who leave, unexpected failures."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import websockets
from pydantic import ValidationError

from axia.v1 import gateway_pb2, retrieval_pb2
from gateway.http.app import create
from gateway.http.settings import HttpSettings
from tests.support.http_api import Api, FakeGateway, http_api

PROMISE_S = 20.0
FOREIGN = "https://elsewhere.example"


@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://127.0.0.1:1", "http://[", "http://localhost"])
async def test_a_page_of_another_origin_is_refused(http: Api, gateway: FakeGateway, origin: str) -> None:
    for response in (
        await http.post("/v1/images", files={"image": b"x"}, headers={"Origin": origin}),
        await http.get("/v1/stats", headers={"Origin": origin}),
    ):
        assert (response.status_code, response.json()["reason"]) == (403, "CROSS_ORIGIN")
        assert response.headers["content-type"] == "application/problem+json"
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch", origin=websockets.Origin(origin))
    assert refused.value.response.status_code == 403
    assert gateway.requests == []


async def test_the_own_page_and_listed_origins_may_call(http: Api, gateway: FakeGateway) -> None:
    page_origin = f"http://127.0.0.1:{http.port}"
    assert (await http.get("/v1/stats", headers={"Origin": page_origin})).status_code == 200
    async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch", origin=websockets.Origin(page_origin)):
        pass
    async with http_api(gateway, allowed_origins=f"https://other.example:8443, {FOREIGN}") as open_api:
        for origin, status in ((FOREIGN, 200), ("https://other.example:8443", 200), ("https://other.example", 403)):
            assert (await open_api.get("/v1/stats", headers={"Origin": origin})).status_code == status


async def names(http: Api, *hosts: str) -> list[int]:
    return [(await http.get("/v1/stats", headers={"Host": host})).status_code for host in hosts]


async def test_on_the_loopback_interface_another_name_of_the_host_is_refused(gateway: FakeGateway) -> None:
    async with http_api(gateway) as http:
        assert await names(http, "localhost", "127.0.0.1:9", "[::1]:8080", "LOCALHOST:80") == [200] * 4
        assert await names(http, "rebound.example:8080", "127.0.0.1.rebound.example", "::1") == [403] * 3
        rebound = {"Host": "rebound.example", "Origin": "http://rebound.example"}
        refused = await http.post("/v1/search/text", json={}, headers=rebound)
        assert (refused.status_code, refused.json()["reason"]) == (403, "HOST_NOT_ALLOWED")
    async with http_api(gateway, allowed_hosts="lab.example, other.example:8443") as http:
        assert await names(http, "lab.example:1", "other.example:8443", "127.0.0.1") == [200] * 3
        assert await names(http, "other.example", "rebound.example") == [403] * 2
    async with http_api(gateway, host="0.0.0.0", allow_plaintext=True) as http:  # noqa: S104 - the setting alone; the test listens on loopback
        assert await names(http, "any.example") == [200]


@pytest.mark.parametrize("path", ["/v1/search/text", "/v1/chat/completions", "/v1/detect", "/v1/images"])
async def test_a_body_without_a_media_type_is_refused(http: Api, gateway: FakeGateway, path: str) -> None:
    response = await http.post(path, content=b"{}")
    assert (response.status_code, response.json()["reason"]) == (415, "WRONG_MEDIA_TYPE")
    assert gateway.requests == []


def test_an_origin_has_a_scheme_and_no_path() -> None:
    for wrong in ("lab.example", "https://lab.example/", "*"):
        with pytest.raises(ValidationError, match="must be origins"):
            HttpSettings(allowed_origins=wrong)


async def sent_until_gone(gateway: FakeGateway, path: str, *, whole: bool) -> list[Any]:
    """What the application sends to a caller who leaves once the gateway has the call, or amid the body."""
    made = create(HttpSettings(gateway=gateway.address, metrics_port=0))
    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "query_string": b""}
    scope |= {"headers": headers, "http_version": "1.1", "scheme": "http", "server": ("localhost", 80)}
    messages = iter([{"type": "http.request", "body": b"{}", "more_body": not whole}])
    sent: list[Any] = []

    async def receive() -> Any:
        if message := next(messages, None):
            return message
        while whole and not gateway.requests:
            await asyncio.sleep(0.01)
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    async with asyncio.timeout(PROMISE_S):
        await made.app(scope, receive, send)
    await made.close()
    return sent


async def test_a_caller_who_leaves_is_answered_all_the_same(gateway: FakeGateway) -> None:
    gateway.answers["DetectValues"] = [60.0]
    sent = await sent_until_gone(gateway, "/v1/detect", whole=True)
    assert (sent[0]["status"], json.loads(sent[1]["body"])["reason"]) == (499, "CALLER_GONE")
    await asyncio.wait_for(gateway.cancelled.wait(), PROMISE_S)


class WatchedGateway(FakeGateway):
    """Notices that a stream of requests is cancelled, too."""

    async def _answered(self, *arguments: Any) -> AsyncIterator[Any]:
        try:
            async for answer in super()._answered(*arguments):
                yield answer
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.set()
            raise


async def test_a_caller_who_closes_a_watch_cancels_the_call() -> None:
    async with WatchedGateway.serving() as gateway, http_api(gateway) as http:
        gateway.answers["WatchValues"] = [gateway_pb2.WatchValuesResponse(frame_id=1), 60.0]
        async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch") as socket, asyncio.timeout(PROMISE_S):
            await socket.send(json.dumps({"config": {"n": 1}}))
            assert json.loads(await socket.recv())["frame_id"] == "1"
            assert not gateway.cancelled.is_set()
        await asyncio.wait_for(gateway.cancelled.wait(), PROMISE_S)


async def test_a_caller_who_leaves_amid_the_body_is_no_failure(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    for path in ("/v1/detect", "/v1/chat/completions"):
        sent = await sent_until_gone(gateway, path, whole=False)
        assert (sent[0]["status"], json.loads(sent[1]["body"])["reason"]) == (499, "CALLER_GONE")
    assert [record for record in caplog.records if record.exc_info] == []


async def test_an_unexpected_failure_is_a_problem_and_logged_once(
    http: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("/etc/secret")

    monkeypatch.setattr("gateway.http.transcoding.calls.to_json", fail)
    response = await http.get("/v1/stats", headers={"X-Request-Id": "abc"})
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    assert (response.json()["reason"], response.json()["request_id"]) == ("UNEXPECTED_FAILURE", "abc")
    assert "secret" not in response.text
    failures = [record.getMessage() for record in caplog.records if record.exc_info]
    assert failures == ["GET '/v1/stats' failed unexpectedly"]


async def test_an_unexpected_failure_closes_a_watch(
    http: Api, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("/etc/secret")

    monkeypatch.setattr("gateway.http.transcoding.watch.to_json", fail)
    gateway.answers["WatchValues"] = gateway_pb2.WatchValuesResponse(frame_id=1)
    async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch") as socket, asyncio.timeout(PROMISE_S):
        await socket.send(json.dumps({"config": {"n": 1}}))
        await socket.wait_closed()
    assert socket.close_code == 1011
    failures = [record.getMessage() for record in caplog.records if record.exc_info]
    assert failures == ["WEBSOCKET '/v1/watch' failed unexpectedly"]


@pytest.mark.parametrize(
    ("path", "part", "field"),
    [
        ("/v1/detect", "request", "request"),
        ("/v1/detect", "temperatures", "temperatures"),
        ("/v1/images", "metadata", "metadata"),
    ],
)
async def test_json_in_a_form_that_is_nested_too_deeply_is_refused(http: Api, path: str, part: str, field: str) -> None:
    response = await http.post(path, files={"image": b"x"}, data={part: "[" * 200_000})
    assert response.status_code == 400
    assert response.json()["violations"][0]["field"].startswith(field)


async def test_the_bound_of_uploads_is_for_forms_alone(gateway: FakeGateway) -> None:
    body = b" " * 6 * 2**20
    async with http_api(gateway, max_image_mib=0.1) as http:
        refused = await http.post("/v1/images", content=body, headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json()["reason"]) == (413, "BODY_TOO_LARGE")
        # Each is within the gateway's bound for a message, all are beyond the usual bound for a body.
        files = [("image", (name, body[: 2**21])) for name in "abc"]
        assert (await http.post("/v1/images", files=files)).status_code == 200
    assert len(gateway.requests) == 3


async def test_an_upload_that_is_answered_once_ends_before_the_servers_own_timeout(gateway: FakeGateway) -> None:
    gateway.answers["IndexImages"] = [60.0]
    async with http_api(gateway, max_timeout_s=0.5, default_timeout_s=0.5) as http:
        late = await http.post("/v1/images", files={"image": b"x"})
        assert (late.status_code, late.json()["reason"]) == (504, "DEADLINE_EXCEEDED")
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
        writer.write(b"POST /v1/images HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 99999\r\n")
        writer.write(b"Content-Type: multipart/form-data; boundary=x\r\n\r\n--x\r\n")
        await writer.drain()  # and no more
        async with asyncio.timeout(PROMISE_S):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().partition("content-length: ")[2].split()[0])
            told = json.loads(await reader.readexactly(length))
        assert (head.split()[1], told["reason"]) == ("504", "DEADLINE_EXCEEDED")
        writer.close()


async def test_the_time_that_an_upload_takes_to_arrive_counts(gateway: FakeGateway) -> None:
    async def trickled() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="image"; filename="a"\r\n\r\n'
        await asyncio.sleep(1.0)
        yield b"picture\r\n--x--\r\n"

    async with http_api(gateway, max_timeout_s=60) as http:
        kind = {"Content-Type": "multipart/form-data; boundary=x", "X-Request-Timeout": "60"}
        assert (await http.post("/v1/images", content=trickled(), headers=kind)).status_code == 200
        assert gateway.time_remaining is not None
        assert gateway.time_remaining < 59.5  # gRPC rounds a timeout up on its way


DETECT = b"POST /v1/detect HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"


async def stalled(port: int, count: int, body: bytes = b"{") -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Requests whose bodies stop after their first bytes."""
    made = [await asyncio.open_connection("127.0.0.1", port) for _ in range(count)]
    for _, writer in made:
        writer.write(DETECT % 99_999 + body)
        await writer.drain()
    return made


async def test_a_body_that_stops_coming_is_refused_in_time(gateway: FakeGateway) -> None:
    async with http_api(gateway, slow_client_s=0.3) as http:
        ((reader, writer),) = await stalled(http.port, 1)
        async with asyncio.timeout(PROMISE_S):
            answer = (await reader.read()).decode()  # to the end: the connection is closed
        assert answer.startswith("HTTP/1.1 408 ")
        assert json.loads(answer.partition("\r\n\r\n")[2])["reason"] == "BODY_TOO_SLOW"
        writer.close()


async def test_a_body_that_drips_is_refused_too(gateway: FakeGateway) -> None:
    async with http_api(gateway, slow_client_s=0.5) as http:
        ((reader, writer),) = await stalled(http.port, 1)
        # Not the rest, which may be lost: the server resets a connection whose client still sends.
        answer = asyncio.ensure_future(reader.readline())
        async with asyncio.timeout(PROMISE_S):
            while not answer.done():
                writer.write(b" ")
                await asyncio.sleep(0.05)
        assert answer.result().startswith(b"HTTP/1.1 408 ")
        writer.close()


async def test_stalled_bodies_give_their_places_to_others(gateway: FakeGateway) -> None:
    async with http_api(gateway, max_concurrent_calls=4) as http:
        held = await stalled(http.port, 4)
        assert (await http.get("/v1/stats")).status_code == 429  # their last bytes came just now
        await asyncio.sleep(1.1)
        assert [(await http.get("/v1/stats")).status_code for _ in range(8)] == [200] * 8
        body = {"image": {"data": "AAAA"}}
        assert (await http.post("/v1/detect", json=body)).status_code == 200
        for _, writer in held:
            writer.close()


async def test_a_caller_who_does_not_read_its_answer_is_cut_off(gateway: FakeGateway) -> None:
    found = retrieval_pb2.GetImagesResponse(id="a", image={"data": bytes(8 * 2**20)}, info={"format": "PNG"})
    gateway.answers["GetImages"] = [found]
    long = gateway_pb2.StreamDetectValuesResponse(completion={"text": "x" * 60_000})
    gateway.answers["StreamDetectValues"] = [long] * 400
    async with http_api(gateway, slow_client_s=0.2, max_concurrent_calls=1) as http:
        assert len((await http.get("/v1/images/a")).content) == 8 * 2**20  # who reads may take its time
        reader, writer = await asyncio.open_connection("127.0.0.1", http.port, limit=1024)
        writer.write(DETECT.replace(b"/detect", b"/detect/stream") % 28 + b'{"image": {"data": "AAAA"}}\n')
        await writer.drain()
        await reader.read(1)
        assert (await http.get("/v1/stats")).status_code == 429
        async with asyncio.timeout(60):
            while (await http.get("/v1/stats")).status_code == 429:
                await asyncio.sleep(0.2)
        writer.close()
