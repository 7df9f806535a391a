"""How much of a caller's time a model gets, and what becomes of completions that were not done."""

from dataclasses import replace

import pytest

from axia.prompts import load_prompts
from axia.v1 import scoring_pb2
from gateway.backends.scoring_client import _to_readings
from gateway.protocols.detection import Detector
from gateway.protocols.ports.model import CallSize, Finished, Generated, Question, StageTimes
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import DetectionRequest, ModelDefaults
from gateway.rpc.convert_detection import from_detection
from gateway.settings import GatewaySettings
from services.serving.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted
from services.serving.metrics import REGISTRY
from tests.support import pictures
from tests.support.gateway_fakes import MODEL, FakeModel, FakeScoring

REQUEST = DetectionRequest(pictures.photograph(size=(64, 48)), n=3)


class HurriedModel(FakeModel):
    """Has all but one completion when time is up, and keeps how much it was given."""

    timeout_s = 0.0

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        self.timeout_s = timeout_s
        whole = await super().generate_all(question, timeout_s)
        return Generated(whole.completions[1:], None)


def detector(model: FakeModel, *, scoring: bool, **settings: float) -> Detector:
    prompts = load_prompts()
    reader = Reader(FakeScoring(serving=scoring), prompts, timeout_s=1, reserve_s=0.1)
    return Detector(model, prompts, GatewaySettings(**settings), reader)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("left_s", "scoring", "expected_s"),
    [
        (None, False, 120.0),
        (None, True, 119.9),
        (2.0, False, 1.77),  # 4% by which gRPC may be wrong, and the margin
        (2.0, True, 1.67),
        (100.0, False, 95.85),
        (0.4, True, 0.284),  # of a short time a tenth for the way back and 15% for scoring
        (0.1, False, 0.086),
    ],
)
async def test_a_model_gets_the_time_that_is_left_for_sure(
    left_s: float | None, scoring: bool, expected_s: float
) -> None:
    model = HurriedModel(lambda _: "a knife")
    tested = detector(model, scoring=scoring)
    detection = await tested.detect(REQUEST, left_s)
    assert expected_s - 1 < model.timeout_s <= expected_s
    assert detection.partial
    assert [completion.index for completion in detection.completions] == [1, 2]
    assert detection.consensus.groups[0].members == (1, 2)
    assert (detection.model, detection.times.first_token_ms) == (MODEL, 0.0)
    tested.close()


async def test_without_time_beyond_the_margin_nothing_is_asked() -> None:
    model = HurriedModel(lambda _: "a knife")
    tested = detector(model, scoring=True, deadline_margin_s=1.0)
    with pytest.raises(DeadlineExceeded, match=r"had 0\.0001 s .* 1\.4e-05 s to return .* 1\.5e-05 s for scoring"):
        await tested.detect(REQUEST, 0.0001)
    assert not model.asked
    tested.close()


class StubbornModel(FakeModel):
    """Behind an endpoint that takes neither a temperature nor top_p; one completion is not done in time."""

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        whole = await super().generate_all(question, timeout_s)
        completions = tuple(replace(completion, temperature=1.0) for completion in whole.completions[:2])
        return Generated(completions, Finished(MODEL, StageTimes(), top_p=1.0))


async def test_provenance_tells_the_temperatures_and_the_nucleus_that_were_used() -> None:
    tested = detector(StubbornModel(lambda _: "a knife"), scoring=False)
    detection = await tested.detect(replace(REQUEST, temperature=0.5, top_p=0.9), None)
    provenance = from_detection(detection, "").provenance
    assert list(provenance.temperatures) == [1.0, 1.0, 0.5]
    assert provenance.top_p == 1.0
    tested.close()


async def test_the_types_of_completions_are_counted_by_model() -> None:
    def counted() -> float:
        labels = {"model": MODEL.name, "type": "descriptive"}
        return REGISTRY.get_sample_value("axia_gateway_response_types_total", labels) or 0.0

    before = counted()
    tested = detector(FakeModel(lambda _: "a knife"), scoring=True)
    await tested.detect(REQUEST, None)
    assert counted() == before + 3
    tested.close()


def test_types_have_the_names_of_the_contract() -> None:
    scores = [scoring_pb2.ResponseTypeScore(type=number) for number in (*scoring_pb2.ResponseType.values(), 99)]
    response = scoring_pb2.ReadCompletionsResponse(response_types=scoring_pb2.ClassifyResponsesResponse(scores=scores))
    names = _to_readings(response).response_type_names
    assert names[0] == names[-1] == "unspecified"
    assert [f"RESPONSE_TYPE_{name.upper()}" for name in names[:-1]] == scoring_pb2.ResponseType.keys()


@pytest.mark.parametrize(("scoring", "by_meaning", "counted"), [(True, True, 2), (True, False, 0), (False, True, 0)])
async def test_a_calibrated_model_is_watched_where_meanings_are_compared(
    scoring: bool, by_meaning: bool, counted: int
) -> None:
    model, prompts = FakeModel(lambda _: "a knife"), load_prompts()
    model.defaults = ModelDefaults(n=3, abstain_threshold=0.8, calibrated_coverage=0.7, calibrated_images=200)
    reader = Reader(FakeScoring(serving=scoring, by_meaning=by_meaning), prompts, timeout_s=1, reserve_s=0.1)
    tested = Detector(model, prompts, GatewaySettings(), reader)  # type: ignore[arg-type]
    labels = {"model": MODEL.name, "outcome": "answered"}
    before = REGISTRY.get_sample_value("axia_gateway_calibrated_detections_total", labels) or 0
    for request in (REQUEST, replace(REQUEST, n=None), replace(REQUEST, n=5)):  # five completions are another coverage
        await tested.detect(request, None)
    after = REGISTRY.get_sample_value("axia_gateway_calibrated_detections_total", labels) or 0
    assert after - before == counted
    tested.close()


async def test_what_a_removed_model_still_answers_does_not_begin_its_watch_again() -> None:
    model, prompts = FakeModel(lambda _: "a knife"), load_prompts()
    model.defaults = ModelDefaults(n=3, abstain_threshold=0.8, calibrated_coverage=0.7, calibrated_images=200)
    reader = Reader(FakeScoring(by_meaning=True), prompts, timeout_s=1, reserve_s=0.1)
    tested = Detector(model, prompts, GatewaySettings(), reader)  # type: ignore[arg-type]

    def watched() -> float | None:
        return REGISTRY.get_sample_value("axia_gateway_calibrated_coverage", {"model": MODEL.name})

    await tested.detect(REQUEST, None)
    assert watched() == 0.7
    model.removed = True
    tested.forget(MODEL.name)
    await tested.detect(REQUEST, None)
    assert watched() is None
    tested.close()


class BusyModel(FakeModel):
    """Can't answer in less than ten seconds."""

    def check_queue(self, size: CallSize, timeout_s: float) -> None:
        if timeout_s < 10:
            raise ResourceExhausted("busy", reason="QUEUE_TOO_LONG", retry_after_s=10 - timeout_s)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_call_that_is_refused_for_its_time_has_no_image_read(
    streamed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[bytes] = []

    def header(data: bytes, *_: object) -> None:
        read.append(data)
        raise InvalidArgument("image.data", "is none")

    monkeypatch.setattr("services.serving.images.reading.read_header", header)
    model = BusyModel(lambda _: "a knife")
    tested = detector(model, scoring=False)

    async def ask(left_s: float) -> None:
        if streamed:
            async for _ in tested.stream(REQUEST, left_s):
                pass
        else:
            await tested.detect(REQUEST, left_s)

    with pytest.raises(ResourceExhausted):
        await ask(5.0)
    assert not read
    with pytest.raises(InvalidArgument):
        await ask(50.0)
    assert read == [REQUEST.image]
    assert not model.asked
    tested.close()
