"""Detections over gRPC."""

import time
from typing import Any

from axia.v1 import gateway_pb2, gateway_pb2_grpc
from loadtests.records import Outcome
from loadtests.scenarios.base import GrpcScenario, Target


def detection_request(target: Target, number: int, *, picture: bool = True) -> gateway_pb2.DetectValuesRequest:
    """The request of a call: its picture, and a seed of its own."""
    request = gateway_pb2.DetectValuesRequest(
        n=target.n,
        temperature=1.0,
        max_tokens=target.max_tokens,
        full_text=target.full_text,
        model=target.model,
        seed=number,
    )
    if picture:
        # In place: protobuf copies a message that is given to a constructor.
        request.image.data = target.picture(number).data
    return request


def outcome_of(response: gateway_pb2.DetectValuesResponse, first_s: float | None = None) -> Outcome:
    """What an answer counts as."""
    if response.completions_done < response.completions_requested:
        done = f"{response.completions_done} of {response.completions_requested} completions came in time"
        return Outcome("INCOMPLETE", message=done)
    return Outcome(images=1, first_s=first_s)


class Detect(GrpcScenario):
    """Waits for a whole detection."""

    name = "detect"
    help = "DetectValues"

    async def open(self) -> None:
        """See the base."""
        await super().open()
        self._stubs: list[Any] = [gateway_pb2_grpc.GatewayServiceStub(channel) for channel in self.channels]

    async def ask(self, number: int, channel: int) -> Outcome:
        """See the base."""
        request = detection_request(self.target, number)
        response = await self._stubs[channel].DetectValues(
            request, timeout=self.target.timeout_s, metadata=self.metadata
        )
        return outcome_of(response)


class Stream(GrpcScenario):
    """Takes each completion when it ends."""

    name = "stream"
    help = "StreamDetectValues, with the time to the first completion"

    async def open(self) -> None:
        """See the base."""
        await super().open()
        self._stubs: list[Any] = [gateway_pb2_grpc.GatewayServiceStub(channel) for channel in self.channels]

    async def ask(self, number: int, channel: int) -> Outcome:
        """See the base."""
        began = time.perf_counter()
        first_s: float | None = None
        request = gateway_pb2.StreamDetectValuesRequest()
        request.detection.MergeFrom(detection_request(self.target, number, picture=False))
        request.detection.image.data = self.target.picture(number).data
        events = self._stubs[channel].StreamDetectValues(request, timeout=self.target.timeout_s, metadata=self.metadata)
        summary = None
        async for event in events:
            if event.HasField("completion") and first_s is None:
                first_s = time.perf_counter() - began
            if event.HasField("summary"):
                summary = event.summary
        if summary is None:
            return Outcome("NO_SUMMARY", message="the stream ended without its summary")
        return outcome_of(summary, first_s)
