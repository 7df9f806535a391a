"""The program by which containers ask a server for its health, against real servers."""

import http.server
import threading
from collections.abc import Iterator

import pytest
from grpc_health.v1 import health_pb2_grpc

from services.serving import probe
from services.serving.health import LIVENESS, Health
from tests.support import wire


@pytest.fixture
def web() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802
            self.send_response(200 if self.path == "/readyz" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
