"""The engine for OpenAI-compatible endpoints against a real one: vLLM's own server with the demo model."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

import axia
from axia.sentence.first_sentence import find_first_sentence
from axia.testing import free_port
from axia.v1 import image_pb2, inference_pb2_grpc
from axia.v1 import inference_pb2 as inf
from demo.tour.scenes import GALLERY
from demo.world.catalogue import situation
from demo.world.manifest import read_manifest
from demo.world.truth import aligned
from services.inference.settings import DEMO_MODEL
from tests.support import processes

PROMPT = "Identify what is the element that needs attention in this image"
KEY = "sk-for-this-test-alone"
LOADING_S = 240


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of vLLM's server, which wants a key."""
    port = free_port()
    log = tmp_path_factory.mktemp("endpoint") / "vllm.log"
    command = [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server"),
        *("--model", str(DEMO_MODEL), "--served-model-name", "demo-vlm", "--host", "127.0.0.1", "--port", str(port)),
        *("--api-key", KEY, "--enforce-eager", "--block-size", "32"),
    ]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1"}
    with log.open("wb") as output:
        server = subprocess.Popen(command, env=environment, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until_ready(port, server, log)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)
            server.wait(10)


def wait_until_ready(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + LOADING_S
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text(errors="replace")[-3000:]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    raise AssertionError(f"vLLM's server was never ready:\n{log.read_text(errors='replace')[-3000:]}")


@pytest.fixture(scope="module")
def server(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[processes.Server]:
    settings = {
        "engine": "openai",
        "model": "demo-vlm",
        "openai_base_url": endpoint,
        "openai_api_key": KEY,
        "openai_usage": "continuous",
        "openai_image_format": "png",
        "log_level": "DEBUG",
    }
    with processes.inference(tmp_path_factory.mktemp("openai") / "inference.log", **settings) as started:
        started.wait_for("SERVING", 60)
        yield started


@pytest.fixture
def stub(server: processes.Server) -> Iterator[inference_pb2_grpc.InferenceServiceStub]:
    with grpc.insecure_channel(server.address) as channel:
        yield inference_pb2_grpc.InferenceServiceStub(channel)


STUDY = [record for record in read_manifest(GALLERY) if record.get("study")]


def request(
    seeds: list[int], *, temperature: float = 1.0, picture: int = 0, whole: bool = False
) -> inf.GenerateRequest:
    return inf.GenerateRequest(
        image=image_pb2.Image(data=(GALLERY / STUDY[picture]["file"]).read_bytes()),
        messages=[inf.Message(role=inf.ROLE_USER, text=PROMPT)],
        samples=[inf.Sample(seed=seed, temperature=temperature) for seed in seeds],
        max_tokens=100,
        stop_rule=inf.STOP_RULE_NONE if whole else inf.STOP_RULE_FIRST_SENTENCE,
    )


def completions(stub: inference_pb2_grpc.InferenceServiceStub, asked: inf.GenerateRequest) -> list[inf.Completion]:
    events = list(stub.Generate(asked, timeout=120))
    assert events[0].started.prompt_tokens > 64  # the picture's are among them
    assert events[-1].summary.prompt_tokens == events[0].started.prompt_tokens
    return sorted((e.completion for e in events if e.HasField("completion")), key=lambda completion: completion.index)


def test_through_the_gateway_the_demo_model_names_what_it_names_in_our_own_engine(
    server: processes.Server, tmp_path: Path
) -> None:
    with processes.gateway(tmp_path / "gateway.log", server.address) as gateway:
        gateway.wait_for("SERVING")
        with axia.Client(gateway.address) as client:
            answers = [client.detect(GALLERY / scene["file"], n=1, temperature=0.0) for scene in STUDY]
            three = client.detect(GALLERY / STUDY[0]["file"], n=3)
    sentences = [answer.completions[0].first_sentence for answer in answers]
    named = [aligned(sentence, situation(scene["situation"])) for sentence, scene in zip(sentences, STUDY, strict=True)]
    assert sum(named) >= 10  # our own engine is held to the same
    assert len(three.completions) == 3
    assert all(completion.first_sentence for completion in three.completions)


def test_three_completions_at_temperature_1_differ_and_a_seed_repeats_them(
    stub: inference_pb2_grpc.InferenceServiceStub,
) -> None:
    asked = request(list(range(1, 9)), whole=True)
    first = completions(stub, asked)
    assert len({completion.text for completion in first}) > 1
    # One at a time, for under load batch shapes may round differently.
    alone = [completions(stub, request([3], whole=True))[0].text for _ in range(2)]
    assert alone[0] == alone[1]


def test_a_completion_stops_at_its_sentence_and_keeps_the_text_of_an_unstopped_run(
    stub: inference_pb2_grpc.InferenceServiceStub,
) -> None:
    (whole,) = completions(stub, request([1], temperature=0, whole=True))
    (stopped,) = completions(stub, request([1], temperature=0))
    assert stopped.first_sentence == find_first_sentence(whole.text).sentence
    assert stopped.finish_reason == inf.FINISH_REASON_SENTENCE
    assert 0 < stopped.tokens < whole.tokens


def test_the_endpoint_tells_its_context_and_a_longer_conversation_is_refused(
    stub: inference_pb2_grpc.InferenceServiceStub,
) -> None:
    model = stub.GetModel(inf.GetModelRequest()).model
    assert (model.name, model.engine) == ("demo-vlm", "openai")
    assert model.max_context_tokens > 64
    asked = request([1])
    asked.messages[0].text = "stove knife child " * 800
    with pytest.raises(grpc.RpcError, match="the model's context") as caught:
        completions(stub, asked)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_key_that_the_endpoint_refuses_ends_the_server_with_what_to_set(endpoint: str, tmp_path: Path) -> None:
    settings = {"engine": "openai", "model": "demo-vlm", "openai_base_url": endpoint, "openai_api_key": "sk-wrong"}
    with processes.inference(tmp_path / "inference.log", **settings) as refused:
        assert refused.process.wait(60) == 1
        assert "AXIA_INFERENCE_OPENAI_API_KEY" in refused.log_text()
        assert "sk-wrong" not in refused.log_text()


def test_no_log_holds_the_key_or_a_picture(server: processes.Server) -> None:
    assert KEY not in server.log_text()
    assert "base64" not in server.log_text()
