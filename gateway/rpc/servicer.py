"""The gRPC API of the gateway."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any, NamedTuple

import grpc

from axia.prompts import PromptText
from axia.v1 import gateway_pb2, gateway_pb2_grpc, inference_pb2
from gateway import metrics
from gateway.backends.pool import BackendPool, BackendState
from gateway.protocols.alignment_judge import AlignmentJudge
from gateway.protocols.detection import Detection, Detector
from gateway.protocols.fields import STREAMED_DETECTION, WATCH_CONFIG
from gateway.protocols.interest import InterestJudge
from gateway.protocols.preference import PreferenceAssessor
from gateway.protocols.sampling import DetectionRequest
from gateway.protocols.watch import Frame, answer_frames
from gateway.rpc import convert_alignment, convert_detection, convert_interest, convert_preference, convert_watch
from gateway.settings import GatewaySettings
from services.serving.errors import Code, ServiceError, Unavailable, renaming
from services.serving.logs import request_id
from services.serving.tracing import span

SERVICE = gateway_pb2.DESCRIPTOR.services_by_name["GatewayService"].full_name


class Protocols(NamedTuple):
    """What the gateway can do."""

    detector: Detector
    preference: PreferenceAssessor
    interest: InterestJudge
    alignment: AlignmentJudge


class GatewayServicer(gateway_pb2_grpc.GatewayServiceServicer):
    """Converts, calls a protocol, converts."""

    def __init__(
        self,
        protocols: Protocols,
        backends: BackendPool,
        prompts: Mapping[str, PromptText],
        settings: GatewaySettings,
    ) -> None:
        self._detector, self._preference, self._interest, self._alignment = protocols
        self._backends = backends
        self._prompts = prompts
        self._settings = settings

    # The names of the methods below are the contract's.
    # ruff: noqa: N802

    async def DetectValues(
        self, request: gateway_pb2.DetectValuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> gateway_pb2.DetectValuesResponse:
        """Detects values and answers once."""
        asked = convert_detection.to_detection_request(request)
        detection = await self._detector.detect(asked, context.time_remaining())
        return convert_detection.from_detection(detection, request_id.get())

    async def StreamDetectValues(
        self, request: gateway_pb2.StreamDetectValuesRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[gateway_pb2.StreamDetectValuesResponse]:
        """Detects values and sends each completion when it ends."""
        with renaming(STREAMED_DETECTION):
            detection = convert_detection.to_detection_request(request.detection)
            async with aclosing(self._detector.stream(detection, context.time_remaining())) as events:
                async for event in events:
                    if isinstance(event, Detection):
                        summary = convert_detection.from_detection(event, request_id.get())
                        yield gateway_pb2.StreamDetectValuesResponse(summary=summary)
                    else:
                        completion = convert_detection.from_completion(event)
                        yield gateway_pb2.StreamDetectValuesResponse(completion=completion)

    async def WatchValues(
        self,
        request_iterator: AsyncIterator[gateway_pb2.WatchValuesRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> AsyncIterator[gateway_pb2.WatchValuesResponse]:
        """Detects values in a camera's frames."""
        requests = aiter(request_iterator)
        config = await convert_watch.to_config(requests)
        if config is None:
            return
        await self._check_config(config)

        async def answer(frame: Frame) -> Detection:
            with span("frame"):
                return await self._detector.detect(replace(config, image=frame.image), context.time_remaining())

        frames = convert_watch.to_frames(requests)
        outcomes = answer_frames(frames, answer, self._settings.watch_freshness_s, _is_configs)
        with metrics.WATCHERS.track_inprogress():
            try:
                async with aclosing(outcomes) as open_outcomes:
                    async for outcome in open_outcomes:
                        yield convert_watch.from_outcome(outcome, request_id.get())
            except ServiceError as error:
                raise (error.renamed(WATCH_CONFIG) if _is_configs(error) else error) from error

    async def _check_config(self, config: DetectionRequest) -> None:
        try:
            await self._detector.check(config)
        except Unavailable:
            pass  # each frame will say so for as long as it lasts
        except ServiceError as error:
            raise error.renamed(WATCH_CONFIG) from error

    async def AssessPreference(
        self, request: gateway_pb2.AssessPreferenceRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> AsyncIterator[gateway_pb2.AssessPreferenceResponse]:
        """Measures how much a model likes pictures of each value."""
        events = self._preference.assess(convert_preference.to_preference_request(request))
        async with aclosing(events) as open_events:
            async for event in open_events:
                yield convert_preference.from_preference_event(event, request_id.get())

    async def JudgeInterest(
        self, request: gateway_pb2.JudgeInterestRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> gateway_pb2.JudgeInterestResponse:
        """Judges as a persona whether pictures are interesting."""
        interest = await self._interest.judge(convert_interest.to_interest_request(request))
        return convert_interest.from_interest(interest, request_id.get())

    async def JudgeAlignment(
        self, request: gateway_pb2.JudgeAlignmentRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> gateway_pb2.JudgeAlignmentResponse:
        """Asks a model whether answers name what annotators named."""
        judgements = await self._alignment.judge(convert_alignment.to_judge_request(request))
        return convert_alignment.from_judgements(judgements)

    async def ListModels(
        self, request: gateway_pb2.ListModelsRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> gateway_pb2.ListModelsResponse:
        """Lists models and prompts."""
        states = await self._backends.states()
        prompts = [prompt for prompt in self._prompts.values() if "{" not in prompt.text]
        return gateway_pb2.ListModelsResponse(
            models=[_from_state(state) for state in states],
            prompts=[convert_detection.from_prompt(prompt) for prompt in prompts],
        )


def _from_state(state: BackendState) -> gateway_pb2.ModelStatus:
    model: inference_pb2.Model | None = convert_detection.from_model_info(state.model) if state.model else None
    return gateway_pb2.ModelStatus(model=model, available=state.available, address=state.address)


def _is_configs(error: ServiceError) -> bool:
    """Whether an error about a frame is about the watch's configuration, and so about every frame."""
    if error.code not in (Code.INVALID_ARGUMENT, Code.NOT_FOUND) or not error.violations:
        return False
    return not any(violation.field.split(".")[0] in ("image", "frame", "config") for violation in error.violations)
