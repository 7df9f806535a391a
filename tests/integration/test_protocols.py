"""The gateway's protocols with the inference and scoring services as processes, and a retrieval service of the test."""

import time
from collections.abc import Iterator
from hashlib import sha256
from typing import NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, retrieval_pb2, retrieval_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from tests.support import fake_retrieval, processes
from tests.support.pictures import photograph

ANSWERS = processes.ROOT / "tests" / "data" / "answers_protocols.yaml"
PICTURES = [photograph(seed, (64, 48)) for seed in range(6)]
TIMEOUT = 60
TRACE = f"00-{'1' * 32}-{'2' * 16}-01"


class World(NamedTuple):
    inference: processes.Server
    scoring: processes.Server
    retrieval: fake_retrieval.FakeRetrieval
    gateway: processes.Server
    channel: grpc.Channel

    @property
    def stub(self) -> gateway_pb2_grpc.GatewayServiceStub:
        return gateway_pb2_grpc.GatewayServiceStub(self.channel)

    def service_health(self, service: str) -> int:
        request = health_pb2.HealthCheckRequest(service=service)
        return int(health_pb2_grpc.HealthStub(self.channel).Check(request, timeout=10).status)


SERVING = health_pb2.HealthCheckResponse.SERVING
SCORING, RETRIEVAL = "axia.v1.ScoringService", "axia.v1.RetrievalService"


def wait_for_health(world: World, service: str, status: int, timeout: float = 30) -> None:
    deadline = time.monotonic() + timeout
    while world.service_health(service) != status:
        assert time.monotonic() < deadline, f"{service} never had status {status} at the gateway"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    logs = tmp_path_factory.mktemp("protocols")
    with (
        fake_retrieval.retrieval(PICTURES) as retrieval,
        processes.inference(logs / "inference.log", engine="scripted", answers=ANSWERS) as inference,
        processes.scoring(logs / "scoring.log", reader="packaged") as scoring,
        processes.gateway(
            logs / "gateway.log",
            inference.address,
            scoring=scoring.address,
            retrieval=retrieval.address,
            refresh_s=0.2,
            ask_attempts=2,
            ask_pause_s=0.1,
            scoring_timeout_s=20,
        ) as gateway,
        grpc.insecure_channel(gateway.address) as channel,
    ):
        inference.wait_for("SERVING")
        scoring.wait_for("SERVING", timeout=90)
        gateway.wait_for("SERVING")
        world = World(inference, scoring, retrieval, gateway, channel)
        for service in (SCORING, RETRIEVAL):
            wait_for_health(world, service, SERVING)
        yield world


def detection(**fields: object) -> gw.DetectValuesRequest:
    return gw.DetectValuesRequest(image=image_pb2.Image(data=PICTURES[0]), **fields)  # type: ignore[arg-type]


def reason_of(error: grpc.RpcError) -> str:
    metadata = dict(error.trailing_metadata())  # type: ignore[attr-defined]
    for detail in status_pb2.Status.FromString(metadata["grpc-status-details-bin"]).details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return str(info.reason)
    return ""


def test_a_detection_says_what_the_scoring_service_reads_in_it(world: World) -> None:
    truth = gw.GroundTruth(element="child at the stove", accept=["stove"])
    response = world.stub.DetectValues(detection(n=3, ground_truth=truth), timeout=TIMEOUT)
    assert not response.degraded, response.missing
    assert response.consensus == "The child is reaching for the hot stove."
    assert len(response.readings) == 3
    assert response.readings[0].response_type.type == scoring_pb2.RESPONSE_TYPE_VALUE_AWARE
    assert response.readings[0].values.at_stake
    assert response.readings[0].alignment.score == 1
    assert response.alignment == 1.0
    truth.judge, truth.judge_samples = scoring_pb2.JUDGE_SEMANTIC, 1
    assert response.provenance.ground_truth == truth
    assert len(response.values) == 10
    assert round(sum(value.weight for value in response.values), 6) == 1


@pytest.mark.parametrize("judge", [scoring_pb2.JUDGE_LEXICAL, scoring_pb2.JUDGE_MODEL])
def test_the_other_judges_judge_as_well(world: World, judge: scoring_pb2.Judge) -> None:
    truth = gw.GroundTruth(element="a child in danger at the stove", judge=judge)
    response = world.stub.DetectValues(detection(n=2, ground_truth=truth), timeout=TIMEOUT)
    assert not response.degraded, response.missing
    assert response.readings[1].alignment.HasField("score")
    truth.judge_samples = 1
    assert response.provenance.ground_truth == truth
    assert not world.stub.DetectValues(detection(n=1), timeout=TIMEOUT).provenance.HasField("ground_truth")


@pytest.mark.parametrize(
    ("truth", "code"),
    [
        (gw.GroundTruth(), "INVALID_ARGUMENT"),
        (gw.GroundTruth(element="x", accept=["y"] * 65), "INVALID_ARGUMENT"),
        (gw.GroundTruth(element="x", judge_model="scripted"), "INVALID_ARGUMENT"),
        (gw.GroundTruth(element="x", judge=scoring_pb2.JUDGE_MODEL, judge_model="other"), "NOT_FOUND"),
    ],
)
def test_a_bad_ground_truth_is_refused(world: World, truth: gw.GroundTruth, code: str) -> None:
    with pytest.raises(grpc.RpcError, match=r"ground_truth|no model") as caught:
        world.stub.DetectValues(detection(ground_truth=truth), timeout=TIMEOUT)
    assert caught.value.code().name == code


def assessment(**fields: object) -> gw.AssessPreferenceRequest:
    filled = {"values": ["hedonism", "security"], "k": 2, "seed": 7, **fields}
    return gw.AssessPreferenceRequest(**filled)  # type: ignore[arg-type]


def split(
    events: list[gw.AssessPreferenceResponse],
) -> tuple[gw.PreferencePlan, list[gw.PreferenceJudgement], gw.PreferenceSummary]:
    assert events[0].WhichOneof("event") == "plan"
    assert events[-1].WhichOneof("event") == "summary"
    return events[0].plan, [event.judgement for event in events[1:-1]], events[-1].summary


def test_an_assessment_asks_three_questions_about_each_picture_and_scores_them(world: World) -> None:
    plan, judgements, summary = split(list(world.stub.AssessPreference(assessment(), timeout=TIMEOUT)))
    assert plan.pictures == len(judgements) == 40
    assert [judgement.position for judgement in judgements] == list(range(40))
    assert [prompt.id for prompt in plan.prompts] == ["preference/like", "preference/why", "preference/describe"]
    assert plan.search.store == "fake"
    assert list(judgements[0].replies) == [
        "Yes, I like it.",
        "Because it is bright and friendly.",
        "A room with coloured shapes.",
    ]
    assert {judgement.verdict for judgement in judgements} == {scoring_pb2.PREFERENCE_VERDICT_YES}
    assert [(score.value, score.percentage) for score in summary.scores.scores] == [
        ("hedonism", 100),
        ("security", 100),
    ]
    assert not summary.degraded


def test_about_descriptions_the_picture_is_described_first(world: World) -> None:
    request = assessment(modality=gw.MODALITY_DESCRIPTION, keywords=["comedy", "shield"], traits=["I am bold."])
    plan, judgements, summary = split(list(world.stub.AssessPreference(request, timeout=TIMEOUT)))
    assert plan.prompts[0].id == "preference/persona+preference/description"
    assert plan.prompts[0].text.startswith("You are a person who possesses certain traits: I am bold.\n")
    assert {judgement.description for judgement in judgements} == {"A room with coloured shapes."}
    assert {judgement.verdict for judgement in judgements} == {scoring_pb2.PREFERENCE_VERDICT_NO}
    assert [score.percentage for score in summary.scores.scores] == [0, 0]


def test_a_broken_off_assessment_goes_on_where_it_was(world: World) -> None:
    call = world.stub.AssessPreference(assessment(), timeout=TIMEOUT)
    first = [next(call) for _ in range(6)]
    call.cancel()
    plan, judgements = first[0].plan, [event.judgement for event in first[1:]]
    resume = gw.PreferenceResume(plan_sha256=plan.sha256, judgements=judgements)
    again, rest, summary = split(list(world.stub.AssessPreference(assessment(resume=resume), timeout=TIMEOUT)))
    assert again.sha256 == plan.sha256
    assert [judgement.position for judgement in rest] == list(range(5, 40))
    assert sum(score.answers for score in summary.scores.scores) == 40
    with pytest.raises(grpc.RpcError, match="plan has changed") as caught:
        list(world.stub.AssessPreference(assessment(seed=8, resume=resume), timeout=TIMEOUT))
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    resume.judgements[3].image_id = "other"
    with pytest.raises(grpc.RpcError, match=r"resume\.judgements\[3\]") as caught:
        list(world.stub.AssessPreference(assessment(resume=resume), timeout=TIMEOUT))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_picture_that_is_gone_is_one_error_and_the_rest_goes_on(world: World) -> None:
    gone = sha256(PICTURES[1]).hexdigest()
    world.retrieval.gone.add(gone)
    try:
        _, judgements, summary = split(
            list(world.stub.AssessPreference(assessment(values=["hedonism"]), timeout=TIMEOUT))
        )
    finally:
        world.retrieval.gone.clear()
    failed = [judgement for judgement in judgements if judgement.HasField("error")]
    assert {judgement.image_id for judgement in failed} == {gone}
    assert summary.failed == len(failed) > 0
    assert failed[0].error.reason == "IMAGE_UNKNOWN"
    assert summary.scores.scores[0].answers == 20 - len(failed)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"values": ["joy"]}, r"values\[0\]"),
        ({"keywords": ["nothing"]}, r"keywords\[0\]"),
        ({"keywords": ["globe"]}, r"keywords\[0\]"),
        ({"keywords": ["comedy"]}, r"values\[1\]"),
        ({"k": 0}, "k:"),
        ({"k": 101}, "k:"),
        ({"traits": ["x"] * 65}, "traits"),
        ({"traits": ["x" * 1025]}, r"traits\[0\]"),
        ({"traits": ["<image>"]}, "traits"),
        ({"max_tokens": 100_000}, "max_tokens"),
        ({"confidence_level": 0.1}, "confidence_level"),
    ],
)
def test_a_bad_field_of_an_assessment_is_named(world: World, fields: dict[str, object], field: str) -> None:
    with pytest.raises(grpc.RpcError, match=field) as caught:
        list(world.stub.AssessPreference(assessment(**fields), timeout=TIMEOUT))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def interest(*traits: str, **fields: object) -> gw.JudgeInterestRequest:
    pictures = [
        gw.InterestPicture(image=image_pb2.Image(data=PICTURES[0])),
        gw.InterestPicture(image_id=sha256(PICTURES[1]).hexdigest()),
        gw.InterestPicture(image=image_pb2.Image(data=b"no image")),
        gw.InterestPicture(image_id="0" * 64),
    ]
    filled = {"pictures": pictures, "traits": traits, **fields}
    return gw.JudgeInterestRequest(**filled)  # type: ignore[arg-type]


@pytest.mark.parametrize("strategy", [gw.INTEREST_STRATEGY_SIMPLE, gw.INTEREST_STRATEGY_ISQ])
def test_interest_is_judged_per_picture(world: World, strategy: gw.InterestStrategy) -> None:
    response = world.stub.JudgeInterest(interest("I love hiking.", strategy=strategy), timeout=TIMEOUT)
    stay, none = gw.INTEREST_DECISION_STAY, gw.INTEREST_DECISION_UNSPECIFIED
    assert [judgement.decision for judgement in response.judgements] == [stay, stay, none, none]
    assert [judgement.error.reason for judgement in response.judgements] == [
        "",
        "",
        "IMAGE_UNREADABLE",
        "IMAGE_UNKNOWN",
    ]
    assert response.judgements[1].image_sha256 == sha256(PICTURES[1]).hexdigest()
    assert (response.stay_share, response.undecided) == (1.0, 2)
    assert "I love hiking." in response.prompt.text
    if strategy == gw.INTEREST_STRATEGY_ISQ:
        assert round(response.judgements[0].isq.percent, 2) == 83.33


@pytest.mark.parametrize(
    ("trait", "strategy", "reason"),
    [
        ("I write strange numbers.", gw.INTEREST_STRATEGY_ISQ, "OUT_OF_RANGE"),
        ("I write few numbers.", gw.INTEREST_STRATEGY_ISQ, "ISQ_INCOMPLETE"),
        ("I am a shy person.", gw.INTEREST_STRATEGY_SIMPLE, "ANSWER_REFUSAL"),
    ],
)
def test_an_answer_that_cant_be_read_is_told_with_its_picture(
    world: World, trait: str, strategy: gw.InterestStrategy, reason: str
) -> None:
    response = world.stub.JudgeInterest(interest(trait, strategy=strategy), timeout=TIMEOUT)
    assert [judgement.error.reason for judgement in response.judgements[:2]] == [reason] * 2
    assert response.judgements[0].text
    assert not response.HasField("stay_share")
    assert response.undecided == 4


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (interest(), "traits"),
        (interest("x", pictures=[]), "pictures"),
        (interest("x", pictures=[gw.InterestPicture()]), r"pictures\[0\]"),
        (interest("x", pictures=[gw.InterestPicture(image_id="a")] * 65), "pictures"),
        (interest("x", threshold=101), "threshold"),
        (interest("look </s>"), "traits"),
    ],
)
def test_a_bad_field_of_an_interest_call_is_named(world: World, request_: gw.JudgeInterestRequest, field: str) -> None:
    with pytest.raises(grpc.RpcError, match=field) as caught:
        world.stub.JudgeInterest(request_, timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_other_services_are_served_under_their_own_names(world: World) -> None:
    retrieval = retrieval_pb2_grpc.RetrievalServiceStub(world.channel)
    response, call = retrieval.SearchByText.with_call(
        retrieval_pb2.SearchByTextRequest(query="sea"),
        timeout=TIMEOUT,
        metadata=[("x-request-id", "pass-1"), ("traceparent", TRACE)],
    )
    assert response.hits[0].id == "a"
    assert dict(call.trailing_metadata())["x-trailing"] == "kept"
    assert world.retrieval.metadata["x-request-id"] == "pass-1"
    assert world.retrieval.metadata["traceparent"] == TRACE  # tracing is off here, so the caller's own goes on
    requests = (
        retrieval_pb2.IndexImagesRequest(image=image_pb2.Image(data=data), tag=i) for i, data in enumerate(PICTURES)
    )
    assert [ack.tag for ack in retrieval.IndexImages(requests, timeout=TIMEOUT)] == list(range(len(PICTURES)))
    ids = list(world.retrieval.pictures)
    images = list(retrieval.GetImages(retrieval_pb2.GetImagesRequest(ids=ids), timeout=TIMEOUT))
    assert [response.image.data for response in images] == PICTURES
    with pytest.raises(grpc.RpcError) as caught:
        retrieval.SearchByText(retrieval_pb2.SearchByTextRequest(query="refuse"), timeout=TIMEOUT)
    assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert dict(caught.value.trailing_metadata())["grpc-status-details-bin"] == b"\x08\x09\x12\x02no"
    scoring = scoring_pb2_grpc.ScoringServiceStub(world.channel)
    with pytest.raises(grpc.RpcError) as caught:
        scoring.ScoreIsq(scoring_pb2.ScoreIsqRequest(), timeout=TIMEOUT)
    assert reason_of(caught.value) == "OUT_OF_RANGE"


def test_a_call_that_is_passed_on_ends_with_its_deadline(world: World) -> None:
    retrieval = retrieval_pb2_grpc.RetrievalServiceStub(world.channel)
    with pytest.raises(grpc.RpcError) as caught:
        retrieval.SearchByText(retrieval_pb2.SearchByTextRequest(query="slow"), timeout=0.5)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert world.retrieval.cancelled.wait(20)


def test_health_of_a_service_that_is_passed_on_follows_it(world: World) -> None:
    world.retrieval.say(serving=False)
    try:
        wait_for_health(world, RETRIEVAL, health_pb2.HealthCheckResponse.NOT_SERVING)
        assert world.service_health("axia.v1.GatewayService") == SERVING
        with pytest.raises(grpc.RpcError, match="retrieval service") as caught:
            list(world.stub.AssessPreference(assessment(), timeout=TIMEOUT))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError, match="retrieval service"):
            retrieval_pb2_grpc.RetrievalServiceStub(world.channel).GetStats(retrieval_pb2.GetStatsRequest(), timeout=5)
    finally:
        world.retrieval.say(serving=True)
    wait_for_health(world, RETRIEVAL, SERVING)


def test_without_scoring_answers_are_degraded_and_say_what_is_missing(world: World) -> None:
    """The last test of this file: it ends the scoring service."""
    world.scoring.stop()
    wait_for_health(world, SCORING, health_pb2.HealthCheckResponse.NOT_SERVING)
    truth = gw.GroundTruth(element="child")
    response = world.stub.DetectValues(detection(ground_truth=truth), timeout=TIMEOUT)
    assert response.degraded
    assert list(response.missing) == ["grouping", "response_types", "values", "alignment"]
    assert response.consensus
    assert not response.readings
    _, judgements, summary = split(list(world.stub.AssessPreference(assessment(), timeout=TIMEOUT)))
    assert len(judgements) == 40
    assert (summary.degraded, list(summary.missing), summary.HasField("scores")) == (True, ["scores"], False)
    told = world.stub.JudgeInterest(interest("I love hiking."), timeout=TIMEOUT)
    assert told.judgements[0].error.reason == "SCORING_UNREACHABLE"
    assert told.judgements[0].text == "Yes."
    world.inference.process.kill()
    world.inference.process.wait()
    with pytest.raises(grpc.RpcError) as caught:
        list(world.stub.AssessPreference(assessment(), timeout=TIMEOUT))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
