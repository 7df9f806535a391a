import asyncio
import json
import os
import resource
from typing import Any

import httpx
import pytest
import websockets

from axia.v1 import gateway_pb2, inference_pb2, retrieval_pb2
from gateway.http.transcoding.contract import to_json
from services.serving.errors import InvalidArgument, Unavailable
from tests.support.http_api import Api, FakeGateway, http_api, parse_events
from tests.support.pictures import photograph

PICTURE = photograph(1, (64, 48))
PROMISE_S = 20.0

COMPLETION = gateway_pb2.StreamDetectValuesResponse(completion=inference_pb2.Completion(first_sentence="A child."))
SUMMARY = gateway_pb2.StreamDetectValuesResponse(summary=gateway_pb2.DetectValuesResponse(consensus="A child."))


async def test_events_have_the_contracts_names_and_data(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["StreamDetectValues"] = [COMPLETION, SUMMARY]
    events = await http.events("POST", "/v1/detect/stream", json={"n": 1, "model": "m"})
    assert [name for name, _ in events] == ["completion", "summary"]
    assert events[0][1]["first_sentence"] == "A child."
    assert events[1][1]["consensus"] == "A child."
    assert gateway.requests[0].detection.n == 1


async def test_an_error_before_the_first_event_has_its_status_and_the_bodys_field_names(
    http: Api, gateway: FakeGateway
) -> None:
    gateway.answers["StreamDetectValues"] = InvalidArgument("detection.image.data", "is empty")
    response = await http.post("/v1/detect/stream", json={})
    assert response.status_code == 400
    assert response.json()["violations"][0]["field"] == "image.data"


async def test_an_error_after_an_event_is_the_last_event(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["AssessPreference"] = [
        gateway_pb2.AssessPreferenceResponse(plan={"pictures": 2}),
        Unavailable("the model is gone", reason="GONE", retry_after_s=2.0),
    ]
    events = await http.events("POST", "/v1/preference", json={})
    assert [name for name, _ in events] == ["plan", "error"]
    assert (events[1][1]["reason"], events[1][1]["status"], events[1][1]["retry_after_s"]) == ("GONE", 503, 2.0)


async def test_comments_keep_a_silent_stream_alive(gateway: FakeGateway) -> None:
    gateway.answers["StreamDetectValues"] = [COMPLETION, 1.0, SUMMARY]
    async with http_api(gateway, keep_alive_s=0.05) as http:
        events = await http.events("POST", "/v1/detect/stream", json={})
    assert (":", "keep-alive") in events
    assert [name for name, _ in events if name != ":"] == ["completion", "summary"]


async def test_a_stream_has_no_deadline_unless_its_caller_sets_one(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["StreamDetectValues"] = [SUMMARY]
    await http.events("POST", "/v1/detect/stream", json={})
    assert gateway.time_remaining is None or gateway.time_remaining > 1e6
    await http.events("POST", "/v1/detect/stream", json={}, headers={"X-Request-Timeout": "9"})
    assert gateway.time_remaining is not None
    assert gateway.time_remaining < 10  # gRPC rounds a timeout up on its way


async def test_a_caller_who_leaves_a_stream_cancels_the_call(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["StreamDetectValues"] = [COMPLETION, 60.0]
    async with http.stream("POST", "/v1/detect/stream", json={}) as response:
        async for line in response.aiter_lines():
            if line.startswith("event: completion"):
                break
        else:
            pytest.fail("the stream ended before its caller left")
        assert not gateway.cancelled.is_set()
    await asyncio.wait_for(gateway.cancelled.wait(), PROMISE_S)


@pytest.mark.parametrize(
    ("path", "body", "method"),
    [
        ("/v1/detect/stream", {}, "StreamDetectValues"),
        (
            "/v1/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": True},
            "Generate",
        ),
    ],
)
async def test_a_caller_who_leaves_before_the_first_event_cancels_the_call_at_once(
    http: Api, gateway: FakeGateway, path: str, body: dict[str, Any], method: str
) -> None:
    gateway.answers[method] = [60.0]
    calling = asyncio.create_task(http.post(path, json=body, timeout=30))
    async with asyncio.timeout(5):
        while not gateway.requests:
            await asyncio.sleep(0.01)
    began = asyncio.get_running_loop().time()
    calling.cancel()
    await asyncio.wait_for(gateway.cancelled.wait(), PROMISE_S)
    assert asyncio.get_running_loop().time() - began < 1.0  # and not the two seconds that an event is waited for


async def test_a_caller_who_leaves_a_unary_call_cancels_it(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["DetectValues"] = [60.0]
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/v1/detect", json={}, timeout=0.5)
    assert len(gateway.requests) == 1
    await asyncio.wait_for(gateway.cancelled.wait(), PROMISE_S)


def acknowledge(request: retrieval_pb2.IndexImagesRequest) -> retrieval_pb2.IndexImagesResponse:
    if request.image.data == b"bad":
        refusal = retrieval_pb2.RejectedImage(reason="IMAGE_UNREADABLE", message="no image")
        return retrieval_pb2.IndexImagesResponse(tag=request.tag, rejected=refusal)
    return retrieval_pb2.IndexImagesResponse(tag=request.tag, indexed={"id": "x", "duplicate": False})


async def test_uploaded_pictures_are_acknowledged_one_by_one(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["IndexImages"] = acknowledge
    files = [("image", ("a.jpg", photograph(1))), ("image", ("b.jpg", b"bad"))]
    metadata = {"platform": "tiktok", "capture_time": "2024-07-31T12:00:00Z"}
    response = await http.post("/v1/images", files=files, data={"metadata": json.dumps(metadata)})
    assert response.status_code == 200, response.text
    assert [(each["tag"], "indexed" in each) for each in response.json()] == [("0", True), ("1", False)]
    first = gateway.requests[0]
    assert (first.image.data, first.metadata.platform) == (photograph(1), "tiktok")
    assert first.metadata.capture_time.ToJsonString() == "2024-07-31T12:00:00Z"
    events = await http.events("POST", "/v1/images", files=files, headers={"Accept": "text/event-stream"})
    assert [(name, data["tag"]) for name, data in events] == [("indexed", "0"), ("rejected", "1")]


async def test_an_upload_without_files_or_with_wrong_metadata_is_refused(http: Api) -> None:
    files = [("image", b"x")]
    for options, field in (
        ({"files": [("picture", b"x")]}, "picture"),
        ({"files": files, "data": {"metadata": "{"}}, "metadata"),
        ({"files": files, "data": {"metadata": '{"platfrom": "x"}'}}, "metadata.platfrom"),
        ({"files": files, "data": {"metadata": '{"capture_time": "2024-07-31"}'}}, "metadata.capture_time"),
    ):
        response = await http.post("/v1/images", **options)  # type: ignore[arg-type]
        assert response.status_code == 400
        assert response.json()["violations"][0]["field"] == field


async def test_a_stored_picture_comes_as_its_bytes(http: Api, gateway: FakeGateway) -> None:
    picture = photograph(2)
    found = retrieval_pb2.GetImagesResponse(
        id="abc", image={"data": picture}, info={"format": "JPEG", "width": 320}, metadata={"source": "s"}
    )
    gateway.answers["GetImages"] = [found]
    response = await http.get("/v1/images/abc")
    assert (response.content, response.headers["content-type"]) == (picture, "image/jpeg")
    assert response.headers["x-content-type-options"] == "nosniff"
    known = (await http.get("/v1/images/abc/metadata")).json()
    assert (known["info"]["width"], known["metadata"]["source"], "image" in known) == (320, "s", False)
    gateway.answers["GetImages"] = [retrieval_pb2.GetImagesResponse(id="abc")]
    missing = await http.get("/v1/images/abc")
    assert (missing.status_code, missing.json()["reason"]) == (404, "IMAGE_UNKNOWN")


async def test_a_picture_is_deleted_by_its_id(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["DeleteImages"] = retrieval_pb2.DeleteImagesResponse(deleted=1)
    assert (await http.delete("/v1/images/abc")).json() == {"deleted": 1, "not_found": 0}
    assert list(gateway.requests[0].ids) == ["abc"]


async def test_a_watch_is_a_websocket_of_json_messages(http: Api, gateway: FakeGateway) -> None:
    def answer(request: gateway_pb2.WatchValuesRequest) -> gateway_pb2.WatchValuesResponse:
        return gateway_pb2.WatchValuesResponse(frame_id=request.frame.frame_id, superseded={"by_frame_id": 9})

    gateway.answers["WatchValues"] = answer
    async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch") as socket:
        await socket.send(json.dumps({"config": {"n": 1}}))
        await socket.send(json.dumps({"frame": {"frame_id": 4, "image": {"data": "eA=="}}}))
        async with asyncio.timeout(PROMISE_S):
            received = [json.loads(await socket.recv()) for _ in range(2)]
    assert received[1] == {"frame_id": "4", "superseded": {"by_frame_id": "9"}}
    assert (gateway.requests[0].config.n, gateway.requests[1].frame.image.data) == (1, b"x")


@pytest.mark.parametrize("message", ["{", '{"frames": {}}', '{"frame": {"frame_id": true}}', b"\x00"])
async def test_a_watch_message_that_makes_no_sense_ends_it_with_the_reason(http: Api, message: str | bytes) -> None:
    async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch") as socket:
        await socket.send(message)
        async with asyncio.timeout(PROMISE_S):
            failed = json.loads(await socket.recv())
            assert failed["error"]["code"] == "INVALID_ARGUMENT"
            with pytest.raises(websockets.ConnectionClosedError):
                await socket.recv()
    assert socket.close_code == 1008


async def test_a_failing_watch_says_why_and_when_to_try_again(http: Api, gateway: FakeGateway) -> None:
    gateway.answers["WatchValues"] = Unavailable("no model", reason="GONE", retry_after_s=1.0)
    async with websockets.connect(f"ws://127.0.0.1:{http.port}/v1/watch") as socket:
        await socket.send(json.dumps({"config": {}}))
        async with asyncio.timeout(PROMISE_S):
            assert json.loads(await socket.recv())["error"]["reason"] == "GONE"
            await socket.wait_closed()
    assert socket.close_code == 1013


def test_events_are_read_back_as_they_were_sent() -> None:
    assert parse_events(": keep-alive\n\nevent: a\ndata: {}\n\n") == [(":", "keep-alive"), ("a", {})]


async def test_an_upload_of_many_files_takes_few_descriptors(http: Api, gateway: FakeGateway) -> None:
    files = [bytes([index % 256]) * 70_000 for index in range(300)]  # more than stays in memory, each
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 60, hard))
    try:
        response = await http.post("/v1/images", files=[("image", (f"{i}.png", data)) for i, data in enumerate(files)])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert response.status_code == 200
    assert [request.image.data for request in gateway.requests] == files


async def test_what_is_known_of_a_picture_is_told_without_writing_it_as_base64(
    http: Api, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = retrieval_pb2.GetImagesResponse(id="a", image={"data": PICTURE}, info={"format": "PNG", "width": 8})
    gateway.answers["GetImages"] = [found]
    written: list[bool] = []

    def noted(message: Any) -> Any:
        written.append(message.HasField("image"))
        return to_json(message)

    monkeypatch.setattr("gateway.http.transcoding.images.to_json", noted)
    told = (await http.get("/v1/images/a/metadata")).json()
    assert (told["info"]["width"], "image" in told, written) == (8, False, [False])
