"""Cameras: one arrival is a watch of some frames, and each frame counts as a call."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc

from axia._connection.duplex import Responses
from axia.v1 import gateway_pb2, gateway_pb2_grpc
from loadtests.recorder import Recorder
from loadtests.records import SUPERSEDED, Outcome
from loadtests.scenarios.base import GrpcScenario
from loadtests.scenarios.detection import detection_request, outcome_of


class Watch(GrpcScenario):
    """Sends frames at a camera's rate. A frame's latency is its age when its answer comes."""

    name = "watch"
    help = "WatchValues: a camera that sends some frames; each frame counts"

    async def open(self) -> None:
        """See the base."""
        await super().open()
        self._stubs: list[Any] = [gateway_pb2_grpc.GatewayServiceStub(channel) for channel in self.channels]

    async def play(self, number: int, intended_s: float, recorder: Recorder) -> None:
        """Sends the frames of one camera and notes what becomes of each."""
        target = self.target
        due = {frame: intended_s + frame / target.watch_fps for frame in range(target.watch_frames)}
        sent: dict[int, float] = {}

        async def messages() -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
            yield gateway_pb2.WatchValuesRequest(config=detection_request(target, number, picture=False))
            for frame, at_s in due.items():
                await recorder.clock.until(at_s)
                message = gateway_pb2.WatchValuesRequest()
                message.frame.frame_id = frame
                message.frame.image.data = target.picture(number + frame).data
                sent[frame] = recorder.clock.now()
                yield message

        def note(frame: int, outcome: Outcome) -> None:
            if frame in due:
                recorder.add(self.name, due[frame], sent.get(frame, due[frame]), outcome)
                del due_left[frame]

        due_left = dict(due)
        lost = Outcome("NO_OUTCOME", message="the watch ended before this frame had its outcome")
        stub = self._stubs[number % len(self._stubs)]
        length_s = target.watch_frames / target.watch_fps
        call = stub.WatchValues(messages(), timeout=length_s + target.timeout_s, metadata=self.metadata)
        try:
            async for response in Responses(call):
                if response.frame_id in due_left:
                    note(response.frame_id, _outcome(response))
                else:
                    lost = Outcome("FRAME_TWICE", message=f"frame {response.frame_id} had two outcomes")
        except grpc.aio.AioRpcError as error:
            lost = Outcome(error.code().name, message=error.details() or "")
        for frame in list(due_left):
            note(frame, lost)

    async def ask(self, number: int, channel: int) -> Outcome:
        """Watches one frame."""

        async def messages() -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
            yield gateway_pb2.WatchValuesRequest(config=detection_request(self.target, number, picture=False))
            message = gateway_pb2.WatchValuesRequest()
            message.frame.image.data = self.target.picture(number).data
            yield message
            await asyncio.sleep(0)

        call = self._stubs[channel].WatchValues(messages(), timeout=self.target.timeout_s, metadata=self.metadata)
        async for response in Responses(call):
            return _outcome(response)
        return Outcome("NO_OUTCOME", message="the watch ended before the frame had its outcome")


def _outcome(response: gateway_pb2.WatchValuesResponse) -> Outcome:
    kind = response.WhichOneof("outcome")
    if kind == "superseded":
        return Outcome(SUPERSEDED)
    if kind == "error":
        return Outcome(response.error.reason or "ITEM_ERROR", message=response.error.message)
    return outcome_of(response.detection)
