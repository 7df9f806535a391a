"""Traces of real servers, as a collector gets them: one trace for a call through all hops, and no content in it."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import grpc
import httpx
import pytest

from axia.identity.certs import init_certificates
from axia.testing import free_port
from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, retrieval_pb2, retrieval_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from tests.support import otlp, processes
from tests.support.pictures import photograph

pytestmark = pytest.mark.long

PICTURE = photograph(1, (64, 48))
ANSWER, PROMPT, ELEMENT, QUERY = (f"canary{name}zq" for name in ("Answer", "Prompt", "Element", "Query"))
TIMEOUT = 60
INTERNAL, SERVER, CLIENT = 1, 2, 3
STAGES = {"admission", "decode", "prepare", "queue", "first_token", "generation"}


class World(NamedTuple):
    collector: otlp.Collector
    inference: processes.Server
    scoring: processes.Server
    retrieval: processes.Server
    gateway: processes.Server
    http: processes.HttpApi
    channel: grpc.Channel

    @property
    def stub(self) -> gateway_pb2_grpc.GatewayServiceStub:
        return gateway_pb2_grpc.GatewayServiceStub(self.channel)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("tracing")
    answers = folder / "answers.yaml"
    long = " ".join(["smoke"] * 600)
    answers.write_text(
        "model: scripted\nfirst_token_ms: 20\ntoken_ms: 5\nanswers:\n"
        f"  - when: slowly\n    say: ['{long}']\n  - say: ['The {ANSWER} burns.']\n"
    )
    with otlp.collector() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
        environment.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
        with (
            processes.inference(folder / "inference.log", engine="scripted", answers=answers) as inference,
            processes.scoring(folder / "scoring.log") as scoring,
            processes.retrieval(folder / "retrieval.log", data=folder / "data") as retrieval,
            processes.gateway(
                folder / "gateway.log",
                inference.address,
                scoring=scoring.address,
                retrieval=retrieval.address,
                refresh_s=0.2,
                scoring_timeout_s=20,
            ) as gateway,
            processes.http_api(folder / "http.log", gateway.address) as http,
            grpc.insecure_channel(gateway.address) as channel,
        ):
            for server in (inference, scoring, retrieval, gateway):
                server.wait_for("SERVING", timeout=120)
            http.wait_for()
            yield World(collector, inference, scoring, retrieval, gateway, http, channel)


def trace_id() -> str:
    return f"{time.time_ns():032x}"


def parent(identity: str, *, sampled: bool = True) -> str:
    return f"00-{identity}-00000000000000aa-0{int(sampled)}"


def spans_of(world: World, identity: str, *needed: tuple[str, str]) -> list[otlp.Span]:
    """The spans of a trace, once those with these services and names came."""
    deadline = time.monotonic() + 20
    while True:
        spans = [span for span in world.collector.spans if span.trace_id == identity]
        missing = set(needed) - {(span.service, span.name) for span in spans}
        if not missing:
            return spans
        assert time.monotonic() < deadline, f"missing {missing}, there are {[(s.service, s.name) for s in spans]}"
        time.sleep(0.05)


def orphans_of(world: World) -> list[otlp.Span]:
    """Spans of servers below a span that didn't come."""
    spans = list(world.collector.spans)
    known = {span.span_id for span in spans} | {"00000000000000aa"}
    return [span for span in spans if span.kind == SERVER and span.parent_id not in known]


def one(spans: list[otlp.Span], service: str, name: str) -> otlp.Span:
    (found,) = [span for span in spans if (span.service, span.name) == (service, name)]
    return found


def detection(**fields: object) -> gw.DetectValuesRequest:
    return gw.DetectValuesRequest(image=image_pb2.Image(data=PICTURE), **fields)  # type: ignore[arg-type]


def assert_no_content(world: World) -> None:
    raw = world.collector.raw
    for canary in (ANSWER, PROMPT, ELEMENT, QUERY):
        assert canary.encode() not in raw
    assert PICTURE[100:132] not in raw
    assert base64.b64encode(PICTURE)[100:132] not in raw


def test_a_detection_over_http_is_one_trace_through_all_hops_without_content(world: World) -> None:
    identity = trace_id()
    body = {
        "image": {"data": base64.b64encode(PICTURE).decode()},
        "n": 3,
        "prompt_text": PROMPT,
        "ground_truth": {"element": ELEMENT, "judge": "JUDGE_LEXICAL"},
    }
    headers = {"traceparent": parent(identity), "X-Request-Id": "traced-1"}
    answer = httpx.post(f"{world.http.url}/v1/detect", json=body, headers=headers, timeout=TIMEOUT).json()
    assert ANSWER in answer["completions"][0]["first_sentence"]

    gateway, generate, read = (
        "axia-gateway",
        "axia.v1.InferenceService/GenerateAll",
        "axia.v1.ScoringService/ReadCompletions",
    )
    spans = spans_of(
        world,
        identity,
        ("axia-http", "POST /v1/detect"),
        (gateway, "axia.v1.GatewayService/DetectValues"),
        ("axia-inference", generate),
        ("axia-scoring", read),
    )
    http = one(spans, "axia-http", "POST /v1/detect")
    detect = one(spans, gateway, "axia.v1.GatewayService/DetectValues")
    chat = one(spans, gateway, "chat scripted")
    ask_scoring = one(spans, gateway, read)
    generated, scored = one(spans, "axia-inference", generate), one(spans, "axia-scoring", read)
    # Each hop below the one before.
    assert http.parent_id == "00000000000000aa"
    for below, above in (
        (detect, http),
        (chat, detect),
        (generated, chat),
        (ask_scoring, detect),
        (scored, ask_scoring),
    ):
        assert below.parent_id == above.span_id, (below.name, above.name)
    assert one(spans, gateway, "decode").parent_id == detect.span_id
    stages = {span.name for span in spans if span.parent_id == generated.span_id}
    assert stages == STAGES
    assert one(spans, "axia-scoring", "score").parent_id == scored.span_id
    assert [span.kind for span in (http, detect, chat, generated, one(spans, gateway, "decode"))] == [
        SERVER, SERVER, CLIENT, SERVER, INTERNAL,
    ]  # fmt: skip
    assert not any(span.failed for span in spans)
    # Stages are where they belong in time.
    first, generation = one(spans, "axia-inference", "first_token"), one(spans, "axia-inference", "generation")
    assert first.end_ns - first.begin_ns >= 15e6
    assert abs(generation.begin_ns - first.end_ns) < 5e6
    assert generated.begin_ns - 5e6 < first.begin_ns < generation.end_ns < generated.end_ns + 5e6
    # What the conventions name.
    assert chat.attributes["gen_ai.operation.name"] == "chat"
    assert chat.attributes["gen_ai.request.model"] == chat.attributes["gen_ai.response.model"] == "scripted"
    assert chat.attributes["gen_ai.request.choice.count"] == 3
    assert chat.attributes["axia.queue_s"] == 0
    assert chat.attributes["gen_ai.usage.output_tokens"] == sum(c["tokens"] for c in answer["completions"]) > 0
    assert chat.attributes["gen_ai.usage.input_tokens"] > 0
    assert len(chat.attributes["gen_ai.response.finish_reasons"]) == 3
    assert http.attributes["http.response.status_code"] == 200
    assert detect.attributes["rpc.response.status_code"] == "OK"
    assert detect.attributes["axia.request_id"] == http.attributes["axia.request_id"] == "traced-1"
    results = [attributes for name, attributes in detect.events if name == "gen_ai.evaluation.result"]
    named = [result["gen_ai.evaluation.name"] for result in results]
    assert named == ["agreement", "abstention", *["alignment"] * 3]
    assert results[0]["gen_ai.evaluation.score.value"] == 1.0
    assert results[1]["gen_ai.evaluation.score.label"] == "answered"
    assert {result["gen_ai.evaluation.score.label"] for result in results[2:]} == {"not_aligned"}
    assert chat.resource["service.version"]
    assert chat.resource["deployment.environment.name"] == "test"
    assert_no_content(world)


def test_the_access_log_has_the_request_and_its_trace(world: World) -> None:
    identity = trace_id()
    metadata = [("traceparent", parent(identity)), ("x-request-id", "traced-2")]
    world.stub.DetectValues(detection(n=1), timeout=TIMEOUT, metadata=metadata)
    # Each server exports its own.
    detect, generate = "axia.v1.GatewayService/DetectValues", "axia.v1.InferenceService/GenerateAll"
    spans = spans_of(world, identity, ("axia-gateway", detect), ("axia-inference", generate))
    for server, name in (
        (world.gateway, detect),
        (world.inference, generate),
    ):
        (line,) = [
            record
            for record in server.log_records()
            if record["logger"] == "access" and record.get("request_id") == "traced-2"
        ]
        assert line["trace_id"] == identity
        assert line["span_id"] in {span.span_id for span in spans if span.name == name}


def test_a_stream_of_completions_is_traced_like_one_answer(world: World) -> None:
    identity = trace_id()
    request = gw.StreamDetectValuesRequest(detection=detection(n=2))
    list(world.stub.StreamDetectValues(request, timeout=TIMEOUT, metadata=[("traceparent", parent(identity))]))
    spans = spans_of(
        world,
        identity,
        ("axia-gateway", "axia.v1.GatewayService/StreamDetectValues"),
        ("axia-gateway", "chat scripted"),
        ("axia-inference", "axia.v1.InferenceService/Generate"),
        ("axia-gateway", "axia.v1.ScoringService/ReadCompletions"),
    )
    whole, chat = (
        one(spans, "axia-gateway", "axia.v1.GatewayService/StreamDetectValues"),
        one(spans, "axia-gateway", "chat scripted"),
    )
    assert chat.parent_id == whole.span_id
    assert one(spans, "axia-inference", "axia.v1.InferenceService/Generate").parent_id == chat.span_id
    assert chat.attributes["gen_ai.response.finish_reasons"] == ["stop", "stop"]
    # The scoring call comes after the model's, and is not below it.
    assert one(spans, "axia-gateway", "axia.v1.ScoringService/ReadCompletions").parent_id == whole.span_id
    assert [name for name, _ in whole.events] == ["gen_ai.evaluation.result"] * 2


def test_a_search_is_traced_through_the_proxy_to_its_stages(world: World) -> None:
    identity = trace_id()
    retrieval_pb2_grpc.RetrievalServiceStub(world.channel).SearchByText(
        retrieval_pb2.SearchByTextRequest(query=QUERY, k=2),
        timeout=TIMEOUT,
        metadata=[("traceparent", parent(identity))],
    )
    method = "axia.v1.RetrievalService/SearchByText"
    spans = spans_of(world, identity, ("axia-gateway", method), ("axia-retrieval", method))
    at_service = one(spans, "axia-retrieval", method)
    assert at_service.parent_id == one(spans, "axia-gateway", method).span_id
    assert [span.name for span in spans if span.parent_id == at_service.span_id] == ["admission", "encode", "search"]
    assert_no_content(world)


def test_a_search_by_picture_has_its_decoding(world: World) -> None:
    identity = trace_id()
    retrieval_pb2_grpc.RetrievalServiceStub(world.channel).SearchByImage(
        retrieval_pb2.SearchByImageRequest(image=image_pb2.Image(data=PICTURE), k=2),
        timeout=TIMEOUT,
        metadata=[("traceparent", parent(identity))],
    )
    method = "axia.v1.RetrievalService/SearchByImage"
    spans = spans_of(world, identity, ("axia-retrieval", method))
    below = [span.name for span in spans if span.parent_id == one(spans, "axia-retrieval", method).span_id]
    assert below == ["admission", "decode", "encode", "search"]


def test_each_frame_of_a_camera_has_a_span(world: World) -> None:
    identity = trace_id()
    requests = [
        gw.WatchValuesRequest(config=gw.DetectValuesRequest(n=1)),
        gw.WatchValuesRequest(frame=gw.WatchFrame(frame_id=1, image=image_pb2.Image(data=PICTURE))),
    ]
    answers = list(
        world.stub.WatchValues(iter(requests), timeout=TIMEOUT, metadata=[("traceparent", parent(identity))])
    )
    assert len(answers) == 1
    spans = spans_of(world, identity, ("axia-gateway", "axia.v1.GatewayService/WatchValues"))
    frame = one(spans, "axia-gateway", "frame")
    assert frame.parent_id == one(spans, "axia-gateway", "axia.v1.GatewayService/WatchValues").span_id
    assert one(spans, "axia-gateway", "chat scripted").parent_id == frame.span_id
    assert [name for name, _ in frame.events] == ["gen_ai.evaluation.result"] * 2


def test_a_refused_call_says_why_by_its_reason_and_quotes_nothing(world: World) -> None:
    identity = trace_id()
    with pytest.raises(grpc.RpcError):
        world.stub.DetectValues(
            detection(n=1, model=PROMPT), timeout=TIMEOUT, metadata=[("traceparent", parent(identity))]
        )
    method = "axia.v1.GatewayService/DetectValues"
    span = one(spans_of(world, identity, ("axia-gateway", method)), "axia-gateway", method)
    assert span.attributes["rpc.response.status_code"] == "NOT_FOUND"
    assert span.attributes["error.type"] == "MODEL_UNKNOWN"
    assert not span.failed  # the caller is at fault
    assert_no_content(world)


def test_a_deadline_that_passes_is_a_failure_and_leaves_the_stages_that_were_reached(world: World) -> None:
    identity = trace_id()
    request = detection(n=1, prompt_text="slowly", max_tokens=600)
    with pytest.raises(grpc.RpcError):
        world.stub.DetectValues(request, timeout=1, metadata=[("traceparent", parent(identity))])
    method = "axia.v1.GatewayService/DetectValues"
    generate = "axia.v1.InferenceService/GenerateAll"
    spans = spans_of(world, identity, ("axia-gateway", method), ("axia-inference", generate))
    span = one(spans, "axia-gateway", method)
    assert span.failed
    assert span.attributes["rpc.response.status_code"] == "DEADLINE_EXCEEDED"
    # How far the model came.
    below = {found.name for found in spans if found.parent_id == one(spans, "axia-inference", generate).span_id}
    assert below == STAGES


def test_callers_who_dont_sample_are_followed_and_servers_begin_no_traces_of_their_own(world: World) -> None:
    identity = trace_id()
    world.stub.DetectValues(
        detection(n=1), timeout=TIMEOUT, metadata=[("traceparent", parent(identity, sampled=False))]
    )
    time.sleep(1)  # several refreshes of the gateway's models, and several exports
    deadline = time.monotonic() + 20
    while orphans := orphans_of(world):  # the span above one may come later, from another server
        assert time.monotonic() < deadline, [(span.service, span.name) for span in orphans]
        time.sleep(0.05)
    spans = world.collector.spans
    assert not [span for span in spans if span.trace_id == identity]
    assert not [span for span in spans if span.name == "axia.v1.InferenceService/GetModel"]


def test_a_call_without_a_trace_begins_one(world: World) -> None:
    before = len(world.collector.spans)
    metadata = [("x-request-id", "traced-3"), ("traceparent", "not-a-trace")]
    world.stub.DetectValues(detection(n=1), timeout=TIMEOUT, metadata=metadata)
    world.collector.wait_for("axia.v1.GatewayService/DetectValues")
    deadline = time.monotonic() + 20
    while not (
        roots := [
            s
            for s in world.collector.spans[before:]
            if s.attributes.get("axia.request_id") == "traced-3" and not s.parent_id
        ]
    ):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    (root,) = roots
    assert root.name == "axia.v1.GatewayService/DetectValues"
    spans_of(world, root.trace_id, ("axia-inference", "axia.v1.InferenceService/GenerateAll"))


@pytest.mark.parametrize("state", ["canaryStateAzq é".encode(), b"canaryStateBzq=" + b"x" * 4000, b"=canaryStateCzq"])
def test_what_isnt_as_the_standard_wants_it_is_dropped_and_quoted_nowhere(world: World, state: bytes) -> None:
    identity = trace_id()
    headers = [(b"traceparent", parent(identity).encode()), (b"tracestate", state)]
    found = httpx.post(
        f"{world.http.url}/v1/detect",
        json={"image": {"data": base64.b64encode(PICTURE).decode()}, "n": 1},
        headers=headers,
        timeout=TIMEOUT,
    )
    assert found.status_code == 200
    spans_of(world, identity, ("axia-http", "POST /v1/detect"), ("axia-gateway", "axia.v1.GatewayService/DetectValues"))
    assert b"canaryState" not in world.collector.raw
    assert "canaryState" not in world.http.log.read_text() + world.gateway.log_text()


def test_a_server_that_ends_sends_its_last_spans(tmp_path: Path) -> None:
    with otlp.collector() as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        environment.setenv("OTEL_BSP_SCHEDULE_DELAY", "60000")
        with processes.scoring(tmp_path / "scoring.log") as scoring, grpc.insecure_channel(scoring.address) as channel:
            scoring.wait_for("SERVING", timeout=90)
            call_scoring(channel)
            assert collector.spans == []
            assert scoring.stop() == 0
        assert "axia.v1.ScoringService/ReadVerdicts" in {span.name for span in collector.spans}


@pytest.mark.parametrize("trusted", [True, False])
def test_spans_go_to_a_collector_whose_own_authority_is_given(tmp_path: Path, *, trusted: bool) -> None:
    certificates = tmp_path / "certs"
    init_certificates(certificates, [], days=1, authority_days=1)
    with otlp.collector(certificates) as collector, pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        if trusted:
            environment.setenv("OTEL_EXPORTER_OTLP_CERTIFICATE", str(certificates / "ca.pem"))
        with processes.scoring(tmp_path / "scoring.log") as scoring, grpc.insecure_channel(scoring.address) as channel:
            scoring.wait_for("SERVING", timeout=90)
            call_scoring(channel)
            assert scoring.stop() == 0
        assert bool(collector.spans) is trusted


def test_a_collector_that_is_away_costs_no_answer_and_no_end(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
        with processes.scoring(tmp_path / "scoring.log") as scoring, grpc.insecure_channel(scoring.address) as channel:
            scoring.wait_for("SERVING", timeout=90)
            call_scoring(channel)
            began = time.monotonic()
            assert scoring.stop() == 0
            assert time.monotonic() - began < 8
        assert all(record["level"] != "CRITICAL" for record in scoring.log_records())
        assert "Traceback" not in scoring.log_text()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "set it to the URL of the collector's OTLP gRPC port"),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "only grpc is supported",
        ),
    ],
)
def test_what_cant_be_done_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with processes.scoring(tmp_path / "scoring.log") as scoring:
        assert scoring.process.wait(60) == 1
    assert message in scoring.log_records()[-1]["message"]
    assert "Traceback" not in scoring.log_text()


def call_scoring(channel: grpc.Channel) -> None:
    request = scoring_pb2.ReadVerdictsRequest(question=scoring_pb2.QUESTION_LIKE, answers=["Yes."])
    scoring_pb2_grpc.ScoringServiceStub(channel).ReadVerdicts(request, timeout=TIMEOUT)
