"""Pictures taken in and judged through the gateway alone, with every service of the suite as a process."""

import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.v1 import gateway_pb2 as gw
from axia.v1 import gateway_pb2_grpc, image_pb2, retrieval_pb2, retrieval_pb2_grpc
from tests.support import processes

ANSWERS = processes.ROOT / "tests" / "data" / "answers_protocols.yaml"
GALLERY = processes.ROOT / "demo" / "gallery"
NAMES = (
    "youtube/frame-0007-guitar.webp",
    "instagram/frame-0009-chess.webp",
    "tiktok/frame-0062-pizza.webp",
    "youtube/frame-0080-lock.webp",
)
TIMEOUT = 120


def to_index() -> Iterator[retrieval_pb2.IndexImagesRequest]:
    for tag, name in enumerate(NAMES):
        image = image_pb2.Image(data=(GALLERY / name).read_bytes())
        yield retrieval_pb2.IndexImagesRequest(image=image, tag=tag)


def test_pictures_are_indexed_found_and_judged_through_the_gateway(tmp_path: Path) -> None:
    with (
        processes.retrieval(tmp_path / "retrieval.log", data=tmp_path / "index") as retrieval,
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=ANSWERS) as inference,
        processes.scoring(tmp_path / "scoring.log", reader="packaged") as scoring,
        processes.gateway(
            tmp_path / "gateway.log", inference.address, retrieval=retrieval.address, scoring=scoring.address
        ) as gateway,
        grpc.insecure_channel(gateway.address) as channel,
    ):
        for server in (retrieval, inference, scoring, gateway):
            server.wait_for("SERVING", timeout=TIMEOUT)
        health = health_pb2_grpc.HealthStub(channel)
        for server in (retrieval, scoring):
            deadline = time.monotonic() + TIMEOUT
            request = health_pb2.HealthCheckRequest(service=server.service)
            while health.Check(request, timeout=10).status != health_pb2.HealthCheckResponse.SERVING:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        stub = retrieval_pb2_grpc.RetrievalServiceStub(channel)
        gateway_stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        assessment = gw.AssessPreferenceRequest(keywords=["guitar", "chess"], k=1, seed=1)
        with pytest.raises(grpc.RpcError, match="no images are indexed") as caught:
            list(gateway_stub.AssessPreference(assessment, timeout=TIMEOUT))
        assert caught.value.code() is grpc.StatusCode.FAILED_PRECONDITION
        stored = list(stub.IndexImages(to_index(), timeout=TIMEOUT))
        ids = {NAMES[ack.tag]: ack.indexed.id for ack in stored}
        deadline = time.monotonic() + TIMEOUT
        while stub.GetStats(retrieval_pb2.GetStatsRequest(), timeout=TIMEOUT).images < len(NAMES):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        events = list(gateway_stub.AssessPreference(assessment, timeout=TIMEOUT))
        judgements = {event.judgement.keyword: event.judgement for event in events[1:-1]}
        assert judgements["guitar"].image_id == ids["youtube/frame-0007-guitar.webp"]
        assert judgements["chess"].image_id == ids["instagram/frame-0009-chess.webp"]
        (score,) = events[-1].summary.scores.scores
        assert (score.value, score.answers, score.percentage) == ("self-direction", 2, 100)
        with_id = [gw.InterestPicture(image_id=image_id) for image_id in ids.values()]
        request_ = gw.JudgeInterestRequest(pictures=with_id, traits=["I sing."])
        interest = gateway_stub.JudgeInterest(request_, timeout=TIMEOUT)
        assert interest.stay_share == 1
