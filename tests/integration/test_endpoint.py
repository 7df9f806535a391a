"""A gateway and an inference server in front of an OpenAI-compatible endpoint that fails or refuses."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

import axia
from tests.support import processes
from tests.support.pictures import photograph

Reply = tuple[int, dict[str, str], Any]
SAID = {"choices": [{"index": 0, "message": {"content": "The pot boils over."}, "finish_reason": "stop"}]}
PICTURE = photograph(size=(64, 48))


class _Handler(BaseHTTPRequestHandler):
    server: "_Endpoint"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send(200, {}, {"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        fields = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append(fields)
        self._send(*self.server.reply(fields))

    def _send(self, status: int, headers: dict[str, str], said: Any) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


class _Endpoint(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[dict[str, Any]] = []
        self.reply: Callable[[dict[str, Any]], Reply] = lambda _: (200, {}, SAID)


@contextmanager
def endpoint() -> Iterator[_Endpoint]:
    server = _Endpoint()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[_Endpoint, axia.Client]]:
    logs = tmp_path_factory.mktemp("endpoint")
    with endpoint() as server:
        settings = {
            "engine": "openai",
            "model": "m",
            "openai_base_url": f"http://127.0.0.1:{server.server_address[1]}/v1",
            "openai_retries": 2,
            "openai_retry_max_s": 0.5,
        }
        with (
            processes.inference(logs / "inference.log", **settings) as inference,
            processes.gateway(logs / "gateway.log", inference.address, ask_pause_s=0.01) as gateway,
        ):
            inference.wait_for("SERVING")
            gateway.wait_for("SERVING")
            with axia.Client(gateway.address) as client:
                yield server, client


@pytest.fixture
def asked(suite: tuple[_Endpoint, axia.Client]) -> list[dict[str, Any]]:
    suite[0].asked.clear()
    return suite[0].asked


@pytest.mark.parametrize(
    ("reply", "words", "calls"),
    [
        ((200, {}, {"error": {"message": "Vision add-on is not loaded"}}), "Vision add-on is not loaded", 1),
        ((503, {}, {"error": {"message": "no healthy upstream"}}), "no healthy upstream", 3),
        ((200, {}, {"choices": "none"}), "choices", 1),
    ],
)
def test_one_detection_asks_a_failing_endpoint_as_often_as_the_setting_says_and_tells_its_words(
    suite: tuple[_Endpoint, axia.Client], asked: list[dict[str, Any]], reply: Reply, words: str, calls: int
) -> None:
    server, client = suite
    server.reply = lambda _: reply
    with pytest.raises(axia.Unavailable, match=words):
        client.detect(PICTURE, n=1)
    assert len(asked) == calls


def test_a_question_of_a_protocol_asks_no_more_often(
    suite: tuple[_Endpoint, axia.Client], asked: list[dict[str, Any]]
) -> None:
    server, client = suite
    server.reply = lambda _: (503, {}, {"error": {"message": "no healthy upstream"}})
    with pytest.raises(axia.AxiaError, match="no healthy upstream"):
        client.judge_interest([PICTURE], traits=["curious"])
    assert len(asked) == 3


def test_a_pause_that_the_endpoint_asks_for_reaches_the_caller(
    suite: tuple[_Endpoint, axia.Client], asked: list[dict[str, Any]]
) -> None:
    server, client = suite
    server.reply = lambda _: (429, {"Retry-After": "90"}, {"error": {"message": "30 requests a minute"}})
    with pytest.raises(axia.AxiaError, match="30 requests a minute"):
        client.detect(PICTURE, n=1)
    assert len(asked) == 1


def test_a_model_that_refuses_a_temperature_answers_and_provenance_says_how_it_was_sampled(
    suite: tuple[_Endpoint, axia.Client], asked: list[dict[str, Any]]
) -> None:
    def reply(fields: dict[str, Any]) -> Reply:
        if fields.get("temperature", 1) == 1:
            return 200, {}, SAID
        words = "Unsupported value: 'temperature' does not support 0.5. Only the default (1) value is supported."
        return 400, {}, {"error": {"message": words, "type": "invalid_request_error", "param": "temperature"}}

    server, client = suite
    server.reply = reply
    for calls in (2, 3):
        detection = client.detect(PICTURE, n=1, temperature=0.5, seed=3)
        assert len(asked) == calls
        assert detection.consensus == "The pot boils over."
        assert detection.completions[0].temperature == 1.0
        assert detection.provenance.temperatures == (1.0,)
        assert json.loads(detection.provenance.model.engine_settings)["left_out"] == ["temperature"]
        assert detection.completions[0].seed == asked[-1]["seed"]
