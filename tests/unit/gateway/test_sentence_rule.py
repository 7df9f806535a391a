"""Which sentence of a completion is its first: what the gateway asks, and what it tells of the answer."""

from collections.abc import AsyncGenerator
from dataclasses import replace

import pytest

from axia.prompts import load_prompts
from axia.v1 import gateway_pb2, inference_pb2
from gateway.backends.model_messages import to_generated, write_question
from gateway.protocols.detection import Detection, Detector
from gateway.protocols.ports.model import Finished, ModelEvent, Question, StageTimes
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import DetectionRequest, SentenceRule
from gateway.rpc.convert_detection import from_completion, from_detection, to_detection_request
from gateway.settings import GatewaySettings
from services.serving.errors import InvalidArgument
from tests.support import pictures
from tests.support.gateway_fakes import MODEL, FakeModel, FakeScoring

PICTURE = pictures.photograph(size=(64, 48))


class TellingModel(FakeModel):
    """Tells which rule it went by."""

    rule = "literal/1"

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        async for event in super().generate(question, timeout_s):
            yield replace(event, sentence_rule=self.rule) if isinstance(event, Finished) else event


async def detect(model: FakeModel, rule: SentenceRule) -> Detection:
    prompts = load_prompts()
    reader = Reader(FakeScoring(serving=False), prompts, timeout_s=1, reserve_s=0.1)
    detector = Detector(model, prompts, GatewaySettings(), reader)
    try:
        return await detector.detect(DetectionRequest(PICTURE, sentence_rule=rule), None)
    finally:
        detector.close()


@pytest.mark.parametrize(
    ("asked", "rule"),
    [
        (inference_pb2.SENTENCE_RULE_UNSPECIFIED, "answer"),
        (inference_pb2.SENTENCE_RULE_ANSWER, "answer"),
        (inference_pb2.SENTENCE_RULE_LITERAL, "literal"),
    ],
)
def test_a_request_has_the_answers_rule_unless_it_asks_for_the_literal_one(
    asked: inference_pb2.SentenceRule.ValueType, rule: str
) -> None:
    assert to_detection_request(gateway_pb2.DetectValuesRequest(sentence_rule=asked)).sentence_rule == rule


def test_a_rule_of_a_later_release_is_refused_by_name() -> None:
    request = gateway_pb2.DetectValuesRequest()
    request.MergeFromString(b"\x80\x01\x09")  # field 16 as the number 9
    with pytest.raises(InvalidArgument, match="sentence_rule"):
        to_detection_request(request)


async def test_the_rule_reaches_the_model_and_the_provenance_tells_the_servers() -> None:
    model = TellingModel(lambda _: "a knife")
    response = from_detection(await detect(model, "literal"), "")
    assert response.provenance.sentence_rule == "literal/1"
    request = inference_pb2.GenerateRequest()
    write_question(model.asked[0], MODEL.name, request)
    assert request.sentence_rule == inference_pb2.SENTENCE_RULE_LITERAL


async def test_a_server_of_an_earlier_release_tells_no_rule() -> None:
    detection = await detect(FakeModel(lambda _: "a knife"), "answer")
    assert from_detection(detection, "").provenance.sentence_rule == ""
    finished = to_generated(inference_pb2.GenerateAllResponse(summary=inference_pb2.GenerateSummary())).finished
    assert finished == Finished(finished.model, StageTimes()) if finished else False


def test_what_is_omitted_and_thought_passes_through() -> None:
    told = inference_pb2.Completion(
        first_sentence="A knife.", text="Sure! A knife.", omitted="Sure!", reasoning="Hm.",
        finish_reason=inference_pb2.FINISH_REASON_REASONING,
    )  # fmt: skip
    (completion,) = to_generated(inference_pb2.GenerateAllResponse(completions=[told])).completions
    assert (completion.omitted, completion.reasoning, completion.finish_reason) == ("Sure!", "Hm.", "reasoning")
    assert from_completion(completion) == told
