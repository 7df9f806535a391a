"""Cameras that watch through the gateway, with real processes."""

import asyncio
import queue
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import pytest

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2
from tests.support import processes
from tests.support.pictures import photograph

TIMEOUT = 60
SLOW = """
first_token_ms: 300
token_ms: 5
answers:
  - say: ["The smoke rises from the pan. It may burn."]
"""


def config(**fields: object) -> gw.WatchValuesRequest:
    return gw.WatchValuesRequest(config=gw.DetectValuesRequest(**{"n": 1, **fields}))  # type: ignore[arg-type]


def frame(number: int, data: bytes | None = None) -> gw.WatchValuesRequest:
    image = image_pb2.Image(data=photograph(number % 5, (64, 48)) if data is None else data)
    return gw.WatchValuesRequest(frame=gw.WatchFrame(frame_id=number, image=image))


class Camera:
    """Sends messages one by one as a call takes them."""

    def __init__(self, *messages: gw.WatchValuesRequest) -> None:
        self._messages: queue.SimpleQueue[gw.WatchValuesRequest | None] = queue.SimpleQueue()
        for message in messages:
            self.send(message)

    def send(self, message: gw.WatchValuesRequest | None) -> None:
        self._messages.put(message)

    def __iter__(self) -> Iterator[gw.WatchValuesRequest]:
        while (message := self._messages.get()) is not None:
            yield message


def test_each_frame_has_one_outcome_and_a_bad_one_ends_nothing(
    gateway_stub: gateway_pb2_grpc.GatewayServiceStub,
) -> None:
    camera = Camera(config())
    responses = gateway_stub.WatchValues(iter(camera), timeout=TIMEOUT)
    kinds = []
    for number, data in ((1, None), (5, b"no image"), (7, None)):
        camera.send(frame(number, data))
        response = next(responses)
        assert response.frame_id == number
        kinds.append(response.WhichOneof("outcome"))
        if kinds[-1] == "error":
            assert response.error.reason == "IMAGE_UNREADABLE"
    camera.send(None)
    assert kinds == ["detection", "error", "detection"]
    assert list(responses) == []


@pytest.mark.parametrize(
    ("messages", "code", "what"),
    [
        ([frame(1)], "INVALID_ARGUMENT", "config"),
        ([config(image=image_pb2.Image(data=b"x"))], "INVALID_ARGUMENT", "config.image"),
        ([config(n=0)], "INVALID_ARGUMENT", "config.n"),
        ([config(model="other")], "NOT_FOUND", "no model"),
        ([config(), config()], "INVALID_ARGUMENT", "config"),
        ([config(), gw.WatchValuesRequest()], "INVALID_ARGUMENT", "frame"),
        ([config(), frame(2), frame(2)], "INVALID_ARGUMENT", "frame.frame_id"),
        ([config(prompt_text="<image>"), frame(1)], "INVALID_ARGUMENT", "config.prompt_text"),
    ],
)
def test_a_bad_message_ends_the_watch(
    messages: list[gw.WatchValuesRequest], code: str, what: str, gateway_stub: gateway_pb2_grpc.GatewayServiceStub
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        list(gateway_stub.WatchValues(iter(messages), timeout=TIMEOUT))
    assert caught.value.code().name == code
    assert what in str(caught.value.details())


def test_a_watch_without_a_message_ends_in_peace(gateway_stub: gateway_pb2_grpc.GatewayServiceStub) -> None:
    assert list(gateway_stub.WatchValues(iter([]), timeout=TIMEOUT)) == []
    assert list(gateway_stub.WatchValues(iter([config()]), timeout=TIMEOUT)) == []


async def test_many_cameras_faster_than_the_model_all_get_answers(tmp_path: Path) -> None:
    """Freshness is shorter than the model takes, which must not starve anyone."""
    answers = tmp_path / "slow.yaml"
    answers.write_text(SLOW)
    cameras, frames = 10, 40
    most = 0

    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=answers) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address, watch_freshness_s=0.2) as gateway,
    ):
        inference.wait_for("SERVING", timeout=60)
        gateway.wait_for("SERVING", timeout=60)

        async def messages() -> AsyncIterator[gw.WatchValuesRequest]:
            yield config()
            for number in range(frames):
                yield frame(number)
                await asyncio.sleep(0.05)

        async def watch(stub: gateway_pb2_grpc.GatewayServiceStub) -> list[gw.WatchValuesResponse]:
            events = stub.WatchValues(messages(), timeout=TIMEOUT)  # type: ignore[arg-type]
            return [event async for event in events]  # type: ignore[attr-defined]

        async def look() -> None:
            nonlocal most
            while True:
                values = await asyncio.to_thread(inference.metrics)
                most = max(most, int(values["axia_inference_running"] + values["axia_inference_waiting"]))
                await asyncio.sleep(0.05)

        async with grpc.aio.insecure_channel(gateway.address) as channel:
            stub = gateway_pb2_grpc.GatewayServiceStub(channel)
            looking = asyncio.create_task(look())
            seen = await asyncio.gather(*(watch(stub) for _ in range(cameras)))
            assert not looking.done()
            looking.cancel()
        for responses in seen:
            assert sorted(response.frame_id for response in responses) == list(range(frames))
            kinds = [response.WhichOneof("outcome") for response in responses]
            assert "detection" in kinds
            assert "superseded" in kinds
            assert "error" not in kinds
            assert all(
                response.superseded.by_frame_id > response.frame_id
                for response in responses
                if response.HasField("superseded")
            )
            # The newest frame is never superseded.
            assert next(response for response in responses if response.frame_id == frames - 1).HasField("detection")
        assert 0 < most <= cameras


def test_a_camera_that_goes_frees_the_engine(tmp_path: Path) -> None:
    answers = tmp_path / "slow.yaml"
    answers.write_text(SLOW.replace("300", "60000"))
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=answers) as inference,
        processes.gateway(tmp_path / "gateway.log", inference.address) as gateway,
    ):
        inference.wait_for("SERVING", timeout=60)
        gateway.wait_for("SERVING", timeout=60)
        with grpc.insecure_channel(gateway.address) as channel:
            camera = Camera(config(), frame(1))
            call = gateway_pb2_grpc.GatewayServiceStub(channel).WatchValues(iter(camera), timeout=TIMEOUT)
            wait_for_running(inference, 1)
            call.cancel()
            wait_for_running(inference, 0)
            camera.send(None)
            assert call.code() is grpc.StatusCode.CANCELLED


def wait_for_running(server: processes.Server, count: int) -> None:
    deadline = time.monotonic() + 30
    while server.metrics()["axia_inference_running"] != count:
        assert time.monotonic() < deadline, f"not {count} completions run"
        time.sleep(0.02)
