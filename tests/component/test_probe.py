"""The program by which containers ask a server for its health, against real servers."""

import asyncio
import http.server
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from axia.identity.certs import init_certificates
from services.serving import probe
from services.serving.health import LIVENESS, Health
from services.serving.metrics import MetricsServer


@pytest.fixture
def web() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


async def test_a_server_that_loads_is_alive_and_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    server = grpc.aio.server()
    health = Health(["axia.test.Lamp"])
    await health.register(server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        assert await asyncio.to_thread(probe.main, [address, LIVENESS]) == 0
        assert await asyncio.to_thread(probe.main, [address]) == 1
        assert f"{address} is not healthy: NOT_SERVING" in capsys.readouterr().err
        await health.set_serving(True)
        assert await asyncio.to_thread(probe.main, [address]) == 0
        assert await asyncio.to_thread(probe.main, [address, "axia.test.Lamp"]) == 0
        assert await asyncio.to_thread(probe.main, [address, "axia.test.Other"]) == 1
        assert "NOT_FOUND" in capsys.readouterr().err
    finally:
        await server.stop(0)


def test_an_http_server_is_healthy_where_it_answers_200(web: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main([f"{web}/readyz"]) == 0
    assert probe.main([f"{web}/elsewhere"]) == 1
    assert "is not healthy: HTTP 503" in capsys.readouterr().err


def test_an_encrypted_server_is_asked_whatever_its_certificate_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    init_certificates(tmp_path, [], 1, 1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "scoring.pem", tmp_path / "scoring.key")
    ready = False
    with MetricsServer("127.0.0.1", 0, lambda: ready, context) as server:
        address = f"https://127.0.0.1:{server.port}"
        assert probe.main([f"{address}/healthz"]) == 0
        assert probe.main([f"{address}/readyz"]) == 1
        ready = True
        assert probe.main([f"{address}/readyz"]) == 0
        assert probe.main([f"http://127.0.0.1:{server.port}/healthz"]) == 1
    assert "is not healthy: HTTP 503" in capsys.readouterr().err


def test_a_proxy_of_the_environment_is_not_asked(web: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert probe.main([f"{web}/readyz"]) == 0


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "http://127.0.0.1:{}/readyz"])
def test_where_nothing_listens_it_says_so(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        address = form.format(held.getsockname()[1])
        assert probe.main([address, "--timeout", "2"]) == 1
    assert "refused" in capsys.readouterr().err


def test_another_scheme_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert probe.main(["ftp://127.0.0.1/readyz"]) == 1
    assert "only http://, https:// and gRPC's host:port are known" in capsys.readouterr().err
