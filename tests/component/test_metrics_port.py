"""The port for metrics and probes, with clients that leave: a scrape that takes too long, a probe past its timeout."""

import logging
import socket
import ssl
import struct
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client import Counter

from axia.identity.certs import init_certificates
from services.serving import metrics
from services.serving.metrics import REGISTRY, MetricsServer

ASKED = b"GET /metrics HTTP/1.1\r\nHost: axia\r\n\r\n"


@pytest.fixture(scope="module")
def large() -> Iterator[None]:
    """So many series that no socket buffer holds an answer."""
    counter = Counter("axia_test_large", "For this test.", ["which"], registry=REGISTRY)
    for number in range(20_000):
        counter.labels("x" * 50 + str(number)).inc()
    yield
    REGISTRY.unregister(counter)


@pytest.fixture(params=["plaintext", "TLS"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MetricsServer, bool]]:
    encrypted = request.param == "TLS"
    context = None
    if encrypted:
        init_certificates(tmp_path, ["localhost"], 1, 1)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(tmp_path / "scoring.pem", tmp_path / "scoring.key")
    with MetricsServer("127.0.0.1", 0, tls=context) as listening:
        yield listening, encrypted


def connected(port: int, *, encrypted: bool) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    if not encrypted:
        return connection
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(connection)


def close(connection: socket.socket) -> None:
    connection.close()


def reset(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def read_some(connection: socket.socket) -> None:
    connection.recv(100)
    connection.close()


@pytest.mark.parametrize("leave", [close, reset, read_some])
def test_a_client_that_leaves_is_no_error(
    leave: Callable[[socket.socket], None],
    large: None,
    server: tuple[MetricsServer, bool],
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    listening, encrypted = server
    caplog.set_level(logging.DEBUG, metrics.logger.name)
    for _ in range(3):
        connection = connected(listening.port, encrypted=encrypted)
        connection.sendall(ASKED)
        leave(connection)
    until = time.monotonic() + 20
    while not caplog.records and encrypted and leave is close:  # others may end without an exception
        assert time.monotonic() < until, "nothing went wrong: the answer fits into buffers"
        time.sleep(0.05)
    with connected(listening.port, encrypted=encrypted) as connection:  # it still answers
        connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.0 200")
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []
    assert "Traceback" not in "".join(capfd.readouterr())


def test_an_error_in_an_answer_is_logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> None:
    def broken() -> bool:
        raise RuntimeError("the state can't be read")

    with MetricsServer("127.0.0.1", 0, broken) as listening, pytest.raises(urllib.error.HTTPError, match="500"):
        urllib.request.urlopen(f"http://127.0.0.1:{listening.port}/readyz", timeout=10)
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "the state can't be read" in str(record.exc_info[1])
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_request_line_that_is_too_long_is_refused() -> None:
    with MetricsServer("127.0.0.1", 0) as listening, connected(listening.port, encrypted=False) as connection:
        connection.sendall(b"GET /".ljust(65_537, b"x"))  # all is read, so its close doesn't reset the connection
        assert connection.recv(1000).startswith(b"HTTP/1.0 414")


def test_a_malformed_accept_header_gets_the_default_format(caplog: pytest.LogCaptureFixture) -> None:
    with MetricsServer("127.0.0.1", 0) as listening:
        accept = {"Accept": "application/openmetrics-text; version=x"}
        answer = httpx.get(f"http://127.0.0.1:{listening.port}/metrics", headers=accept)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "# TYPE axia_rpc_in_flight gauge" in answer.text
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
