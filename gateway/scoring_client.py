"""The scoring service behind the gateway, reached over gRPC; see `gateway.readings.Scoring`."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, cast

import grpc

from axia.v1 import scoring_pb2, scoring_pb2_grpc
from gateway import convert_scoring, metrics
from gateway.channels import ServiceChannel
from gateway.readings import Alignment, Attribution, Grouping, IsqReading, Message, PreferenceAnswer, Verdict
from gateway.sampling import GroundTruth
from services.serving.errors import Code, ServiceError
from services.serving.logs import REQUEST_ID_KEY, request_id
from services.serving.status import from_rpc_error

SERVICE = scoring_pb2.DESCRIPTOR.services_by_name["ScoringService"].full_name
ResponseT = TypeVar("ResponseT")


class GrpcScoring:
    """The scoring service.

    Args:
        channel: To the service.
        patience_s: A call that was given this long and got no answer makes the service count as away.
    """

    def __init__(self, channel: ServiceChannel, patience_s: float) -> None:
        self._channel = channel
        self._patience_s = patience_s
        self._opened: scoring_pb2_grpc.ScoringServiceAsyncStub | None = None

    @property
    def serving(self) -> bool:
        """Whether it says SERVING."""
        return self._channel.serving

    @property
    def _stub(self) -> "scoring_pb2_grpc.ScoringServiceAsyncStub":
        if self._opened is None:
            # One class serves both kinds of channel at run time; its stub file has two.
            stub = scoring_pb2_grpc.ScoringServiceStub(self._channel.channel)
            self._opened = cast("scoring_pb2_grpc.ScoringServiceAsyncStub", stub)
        return self._opened

    async def _call(
        self, name: str, request: Any, method: Callable[..., Awaitable[ResponseT]], time_s: float
    ) -> ResponseT:
        outcome = "failed"
        try:
            self._channel.require_serving()
            response = await method(request, timeout=time_s, metadata=((REQUEST_ID_KEY, request_id.get()),))
            outcome = "answered"
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            if failure.code is Code.DEADLINE_EXCEEDED and time_s >= self._patience_s:
                self._channel.doubt()  # or every caller would wait for one that hangs
            if failure.reason in ("UNAVAILABLE", "DEADLINE_EXCEEDED"):
                raise self._channel.unavailable() from error
            raise failure from error
        else:
            return response
        finally:
            metrics.SCORING_CALLS.labels(name, outcome).inc()

    async def summarise(self, sentences: Sequence[str], abstain_threshold: float, timeout_s: float) -> Grouping:
        """Groups sentences of the same meaning."""
        request = scoring_pb2.SummarizeCompletionsRequest(sentences=sentences, abstain_threshold=abstain_threshold)
        response = await self._call("SummarizeCompletions", request, self._stub.SummarizeCompletions, timeout_s)
        return convert_scoring.to_grouping(response)

    async def response_types(self, sentences: Sequence[str], timeout_s: float) -> list[Message]:
        """What kind of answer each sentence is."""
        request = scoring_pb2.ClassifyResponsesRequest(sentences=sentences)
        response = await self._call("ClassifyResponses", request, self._stub.ClassifyResponses, timeout_s)
        return list(response.scores)

    async def attribute(self, sentences: Sequence[str], timeout_s: float) -> list[Attribution]:
        """Which values each sentence concerns."""
        request = scoring_pb2.AttributeValuesRequest(sentences=sentences)
        response = await self._call("AttributeValues", request, self._stub.AttributeValues, timeout_s)
        return [convert_scoring.to_attribution(own) for own in response.attributions]

    async def align(
        self, sentences: Sequence[str], truth: GroundTruth, judge_answers: Sequence[str], timeout_s: float
    ) -> list[Alignment]:
        """Whether each sentence names the ground truth."""
        request = convert_scoring.from_alignment_items(sentences, truth, judge_answers)
        response = await self._call("ScoreAlignment", request, self._stub.ScoreAlignment, timeout_s)
        return [convert_scoring.to_alignment(own) for own in response.scores]

    async def verdicts(self, answers: Sequence[PreferenceAnswer], timeout_s: float) -> list[Verdict]:
        """What each answer to a question for yes or no says."""
        request = scoring_pb2.ScorePreferenceRequest(
            answers=convert_scoring.from_preference_answers(answers), resamples=0
        )
        response = await self._call("ScorePreference", request, self._stub.ScorePreference, timeout_s)
        return [convert_scoring.to_verdict(own) for own in response.verdicts]

    async def preference_table(
        self, answers: Sequence[PreferenceAnswer], confidence_level: float, timeout_s: float
    ) -> Message:
        """Preference by value."""
        request = scoring_pb2.ScorePreferenceRequest(
            answers=convert_scoring.from_preference_answers(answers), confidence_level=confidence_level
        )
        return await self._call("ScorePreference", request, self._stub.ScorePreference, timeout_s)

    async def isq(self, text: str, threshold: float, timeout_s: float) -> IsqReading:
        """Reads and scores one questionnaire."""
        request = scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(text=text)], threshold=threshold)
        try:
            response = await self._call("ScoreIsq", request, self._stub.ScoreIsq, timeout_s)
        except ServiceError as error:
            raise error.renamed(lambda field: field.removeprefix("answers[0].")) from error
        return convert_scoring.to_isq(response.scores[0])
