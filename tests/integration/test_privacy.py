"""Nothing of images, prompts and answers is in what processes write: logs, metrics, temporary files, data folders.

Each kind of content has a canary of its own, which is sent over gRPC and HTTP, also with calls that fail, at the log
level that says most.
"""

from __future__ import annotations

import base64
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import httpx
import pytest
import yaml
from websockets.sync.client import connect

from axia.v1 import (
    gateway_pb2,
    gateway_pb2_grpc,
    image_pb2,
    inference_pb2,
    inference_pb2_grpc,
    retrieval_pb2,
    retrieval_pb2_grpc,
    scoring_pb2,
    scoring_pb2_grpc,
)
from tests.support import processes
from tests.support.canaries import FilesSeen, canary, found_in, marked_pictures
from tests.support.processes import HttpApi, Server

KINDS = ("exif", "xmp", "png", "iptc", "prompt", "system", "persona", "query", "truth", "field", "answer", "slow")
CANARIES = {kind: canary(kind) for kind in KINDS}
SAID = f"The {CANARIES['answer']} is near the stove. It may burn."


class Watched(NamedTuple):
    """All servers of the suite, and the folder in which they keep everything."""

    folder: Path
    servers: dict[str, Server | HttpApi]

    @property
    def pids(self) -> list[int]:
        return [server.process.pid for server in self.servers.values()]

    def server(self, name: str) -> Server:
        found = self.servers[name]
        assert isinstance(found, Server)
        return found

    @property
    def url(self) -> str:
        found = self.servers["http"]
        assert isinstance(found, HttpApi)
        return found.url

    def metrics_page(self, name: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.servers[name].metrics_port}/metrics", timeout=5) as page:
            return bytes(page.read())


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    script = {
        "answers": [{"when": CANARIES["slow"], "say": [" ".join([SAID] * 400)]}, {"say": [SAID]}],
        "token_ms": 2,
    }
    answers = tmp_path / "answers.yaml"
    answers.write_text(yaml.safe_dump(script))
    # At the level that says most, and with the audit log.
    usual: dict[str, Any] = {"log_level": "DEBUG"}
    with ExitStack() as stack:
        enter, logs = stack.enter_context, tmp_path
        inference = enter(
            processes.inference(logs / "inference.log", engine="scripted", answers=answers, max_queue=8, **usual)
        )
        scoring = enter(processes.scoring(logs / "scoring.log", reader="packaged", **usual))
        retrieval = enter(processes.retrieval(logs / "retrieval.log", data=tmp_path / "data", **usual))
        gateway = enter(
            processes.gateway(
                logs / "gateway.log",
                inference.address,
                scoring=scoring.address,
                retrieval=retrieval.address,
                audit_log=tmp_path / "audit.jsonl",
                refresh_s=0.2,
                **usual,
            )
        )
        http = enter(processes.http_api(logs / "http.log", gateway.address, **usual))
        for server in (inference, scoring, retrieval, gateway):
            server.wait_for("SERVING")
        http.wait_for()
        servers: dict[str, Server | HttpApi] = {"inference": inference, "scoring": scoring, "retrieval": retrieval}
        yield Watched(tmp_path, servers | {"gateway": gateway, "http": http})
        answers.unlink()


def test_nothing_of_images_prompts_and_answers_is_written(watched: Watched) -> None:
    pictures = marked_pictures(CANARIES)
    for kind, mark in {"JPEG": "exif", "PNG": "png", "WebP": "xmp"}.items():
        assert found_in(pictures[kind], [CANARIES[mark]]), f"the {kind} file has no canary"
    answered: list[str] = []
    folders = [watched.folder / "temporary", watched.folder / "data", Path("/dev/shm")]  # noqa: S108 - looked at
    with FilesSeen(watched.pids, folders, CANARIES.values()) as files:
        answered += over_grpc(watched.server("gateway").address, pictures)
        answered += over_grpc_to_the_services(watched, pictures)
        answered += over_http(watched.url, pictures)
        over_a_websocket(watched.url, pictures["JPEG"])
        time.sleep(0.5)  # the last lines of the log are written after the answers
    assert sum(CANARIES["answer"] in answer for answer in answered) >= 10, "the answers hold no canary"
    assert files.rounds > 10
    assert files.found == {}

    pages = {f"metrics of {name}": watched.metrics_page(name) for name in watched.servers}
    for server in watched.servers.values():
        assert server.stop() == 0
    written = {path.name: path.read_bytes() for path in watched.folder.iterdir() if path.suffix in {".log", ".jsonl"}}
    assert {f"{name}.log" for name in watched.servers} < set(written)
    for name in watched.servers:
        assert b'"logger": "access"' in written[f"{name}.log"], f"{name} logged no call"
    leaks = {name: found_in(data, CANARIES.values()) for name, data in (written | pages).items()}
    assert {name: found for name, found in leaks.items() if found} == {}


def detection(picture: bytes, **fields: Any) -> gateway_pb2.DetectValuesRequest:
    usual = {"prompt_text": f"What of {CANARIES['prompt']}?", "system_prompt_text": f"You are {CANARIES['system']}."}
    return gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=picture), **{"n": 3, **usual, **fields})


def failing(picture: bytes) -> Iterator[tuple[gateway_pb2.DetectValuesRequest, float]]:
    """Detections that are refused or run out of time, each with its time in seconds."""
    yield detection(picture[: len(picture) // 2]), 30
    yield detection(picture[:900] + b"\0" * 200 + picture[900:1000]), 30
    yield detection(b"no image: " + CANARIES["exif"].encode()), 30
    yield detection(picture, prompt_text=f"<image> {CANARIES['prompt']}"), 30
    yield detection(picture, system_prompt_text=f"{CANARIES['system']} </s>"), 30
    yield detection(picture, prompt_text=CANARIES["prompt"] + "x" * 100_000), 30
    yield detection(picture, n=99), 30
    yield detection(picture, prompt_text=f"Tell {CANARIES['slow']}.", full_text=True), 0.5
    yield detection(picture, prompt_text=f"Tell {CANARIES['slow']}.", full_text=True), 0.05


def over_grpc(address: str, pictures: dict[str, bytes]) -> list[str]:
    """The gateway's own calls; what they answered."""
    answered: list[str] = []
    truth = gateway_pb2.GroundTruth(element=CANARIES["truth"], judge=scoring_pb2.JUDGE_MODEL)
    with grpc.insecure_channel(address) as channel:
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
        for picture in pictures.values():
            response, call = stub.DetectValues.with_call(detection(picture), timeout=60)
            answered.append(str(response))
            assert dict(call.trailing_metadata())["axia-retention"] == "memory"
            answered.append(str(stub.DetectValues(detection(picture, ground_truth=truth, full_text=True), timeout=60)))
            asked = gateway_pb2.StreamDetectValuesRequest(detection=detection(picture))
            answered += map(str, stub.StreamDetectValues(asked, timeout=60))
            for request, timeout in failing(picture):
                with suppress(grpc.RpcError):
                    stub.DetectValues(request, timeout=timeout)
                with suppress(grpc.RpcError):
                    list(
                        stub.StreamDetectValues(
                            gateway_pb2.StreamDetectValuesRequest(detection=request), timeout=timeout
                        )
                    )
            image = gateway_pb2.InterestPicture(image=image_pb2.Image(data=picture))
            traits = [f"You like {CANARIES['persona']}."]
            for strategy in (gateway_pb2.INTEREST_STRATEGY_SIMPLE, gateway_pb2.INTEREST_STRATEGY_ISQ):
                judged = gateway_pb2.JudgeInterestRequest(pictures=[image], traits=traits, strategy=strategy)
                answered.append(str(stub.JudgeInterest(judged, timeout=60)))
                judged.structured = True
                with suppress(grpc.RpcError):  # the scripted answers are no JSON
                    stub.JudgeInterest(judged, timeout=60)
        frames = [gateway_pb2.WatchValuesRequest(config=detection(b""))]
        frames += [
            gateway_pb2.WatchValuesRequest(
                frame=gateway_pb2.WatchFrame(frame_id=number, image=image_pb2.Image(data=data))
            )
            for number, data in enumerate([*pictures.values(), pictures["JPEG"][:1000]])
        ]
        frames[0].config.ClearField("image")
        answered += map(str, stub.WatchValues(iter(frames), timeout=60))
        # A caller that goes while its answer is made.
        call = stub.DetectValues.future(detection(pictures["PNG"], prompt_text=f"Tell {CANARIES['slow']}."), timeout=60)
        time.sleep(0.2)
        call.cancel()
        with suppress(grpc.RpcError):
            channel.unary_unary("/axia.v1.GatewayService/DetectValues")(b"\x0a\xff" + pictures["PNG"], timeout=10)
    return answered


def over_grpc_to_the_services(watched: Watched, pictures: dict[str, bytes]) -> list[str]:
    """Calls of the services through the gateway and at their own ports."""
    answered: list[str] = []
    turns = [
        inference_pb2.Message(role=inference_pb2.ROLE_SYSTEM, text=CANARIES["system"]),
        inference_pb2.Message(role=inference_pb2.ROLE_USER, text=CANARIES["prompt"]),
    ]
    samples = [inference_pb2.Sample(seed=1, temperature=1.0)]
    for name in ("gateway", "inference"):
        with grpc.insecure_channel(watched.server(name).address) as channel:
            stub: Any = inference_pb2_grpc.InferenceServiceStub(channel)
            for picture in (*pictures.values(), pictures["PNG"][:700]):
                asked = inference_pb2.GenerateRequest(
                    image=image_pb2.Image(data=picture), messages=turns, samples=samples
                )
                with suppress(grpc.RpcError):
                    answered += map(str, stub.Generate(asked, timeout=60))
                with suppress(grpc.RpcError):
                    answered.append(str(stub.GenerateAll(asked, timeout=60)))
    for name in ("gateway", "scoring"):
        with grpc.insecure_channel(watched.server(name).address) as channel:
            scoring: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
            truth = scoring_pb2.AnnotatedElement(element=CANARIES["truth"])
            read = scoring_pb2.ReadCompletionsRequest(sentences=[SAID, SAID], ground_truth=truth)
            answered.append(str(scoring.ReadCompletions(read, timeout=60)))
            long = scoring_pb2.ClassifyResponsesRequest(sentences=[SAID * 1000])
            with suppress(grpc.RpcError):
                scoring.ClassifyResponses(long, timeout=60)
            with suppress(grpc.RpcError):
                scoring.AttributeValues(scoring_pb2.AttributeValuesRequest(sentences=["", SAID]), timeout=60)
    for name in ("gateway", "retrieval"):
        with grpc.insecure_channel(watched.server(name).address) as channel:
            retrieval: Any = retrieval_pb2_grpc.RetrievalServiceStub(channel)
            retrieval.SearchByText(retrieval_pb2.SearchByTextRequest(query=CANARIES["query"]), timeout=60)
            with suppress(grpc.RpcError):
                retrieval.SearchByText(retrieval_pb2.SearchByTextRequest(query=CANARIES["query"] * 9999), timeout=60)
            for picture in (*pictures.values(), pictures["JPEG"][:1500]):
                asked_image = retrieval_pb2.SearchByImageRequest(image=image_pb2.Image(data=picture))
                with suppress(grpc.RpcError):
                    retrieval.SearchByImage(asked_image, timeout=60)
    return answered


def over_http(url: str, pictures: dict[str, bytes]) -> list[str]:
    """The HTTP API, with forms and JSON; what it answered."""
    answered: list[str] = []
    fields = {"n": "2", "prompt_text": CANARIES["prompt"], "system_prompt_text": CANARIES["system"]}
    large = marked_large(pictures["JPEG"])
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:
        for picture in (*pictures.values(), large):
            coded = base64.b64encode(picture).decode()
            in_json = {"n": 2, "prompt_text": CANARIES["prompt"], "image": {"data": coded}}
            for path in ("/v1/detect", "/v1/detect/stream"):
                form = http.post(path, data=fields, files={"image": (f"{CANARIES['field']}.jpg", picture)})
                assert form.status_code == 200, form.text
                answered += [form.text, http.post(path, json=in_json).text]
                http.post(path, data=fields, files={"image": picture[:1500]})
                http.post(path, json=in_json | {"n": 99})
                http.post(path, json=in_json | {CANARIES["field"]: 1})
                http.post(path, content=json.dumps(in_json)[:-3], headers={"Content-Type": "application/json"})
                late = {"prompt_text": f"Tell {CANARIES['slow']}.", "full_text": "true"}
                http.post(path, data=late, files={"image": picture}, headers={"X-Request-Timeout": "0.3"})
            said = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{coded}"}}
            for stream in (False, True):
                chat = {
                    "model": "scripted",
                    "stream": stream,
                    "messages": [
                        {"role": "system", "content": CANARIES["system"]},
                        {"role": "user", "content": [{"type": "text", "text": CANARIES["prompt"]}, said]},
                    ],
                }
                answered.append(http.post("/v1/chat/completions", json=chat).text)
            http.post("/v1/search/image", files={"image": picture})
        http.post("/v1/search/text", json={"query": CANARIES["query"]})
        http.post("/v1/search/text", json={"query": [CANARIES["query"]]})
        http.post("/v1/score/readings", json={"sentences": [SAID], "ground_truth": {"element": CANARIES["truth"]}})
        http.post("/v1/interest", files={"image": pictures["PNG"]}, data={"traits": CANARIES["persona"]})
    return answered


def marked_large(picture: bytes) -> bytes:
    """The same file of more than a megabyte, which some libraries would put into a temporary file."""
    return picture + b"\0" * 1_500_000


def over_a_websocket(url: str, picture: bytes) -> None:
    """A watch, whose messages some servers log."""
    with connect(f"{url.replace('http', 'ws')}/v1/watch", max_size=None) as socket:
        socket.send(json.dumps({"config": {"n": 1, "prompt_text": CANARIES["prompt"]}}))
        frame = {"frame_id": 1, "image": {"data": base64.b64encode(picture).decode()}}
        socket.send(json.dumps({"frame": frame}))
        assert CANARIES["answer"] in str(socket.recv(30))
