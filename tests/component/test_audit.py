"""pip-audit itself, with a service of vulnerabilities on this machine."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from scripts.supply_chain import audit
from scripts.supply_chain.locks import Locked

pytest.importorskip("pip_audit", reason="pip-audit isn't installed; it comes with the lock of developers")

PACKAGES = [
    Locked("pillow", "13.0.0", "", ("a" * 64,)),
    Locked("numpy", "2.3.5", "", ("b" * 64,)),
    Locked("numpy", "2.2.6", "python_full_version < '3.12'", ("c" * 64,)),
    Locked("torch", "2.13.0+cpu", "", ()),
]
FOUND = {
    "id": "GHSA-0000-0000-0000", "aliases": ["CVE-2099-1"], "summary": "Pixels",
    "modified": "2099-01-01T00:00:00Z",
    "affected": [{
        "package": {"name": "pillow", "ecosystem": "PyPI"},
        "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "14.0.0"}]}],
    }],
}  # fmt: skip


@contextmanager
def osv() -> Iterator[tuple[list[str], list[tuple[str, str]]]]:
    """pip-audit with a service that knows one vulnerability, and what that is asked."""
    asked: list[tuple[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((query["package"]["name"], query["version"]))
            found = {"vulns": [FOUND]} if query["package"]["name"] == "pillow" else {}
            body = json.dumps(found).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}/v1/query"
        yield [sys.executable, "-m", "pip_audit", "-s", "osv", "--osv-url", address], asked
    finally:
        server.shutdown()
        server.server_close()


def test_every_package_is_looked_up_and_what_is_found_is_reported() -> None:
    with osv() as (command, asked):
        answer = audit.audited(PACKAGES, command)
    assert sorted(asked) == [("numpy", "2.2.6"), ("numpy", "2.3.5"), ("pillow", "13.0.0"), ("torch", "2.13.0")]
    assert answer.vulnerable == {"pillow==13.0.0": ["CVE-2099-1"]}  # the name that pip-audit prefers
    assert sorted(answer.clean) == ["numpy==2.2.6", "numpy==2.3.5", "torch==2.13.0+cpu"]
    assert answer.unanswered == {}


def test_a_service_that_is_not_reached_leaves_everything_unaudited() -> None:
    with osv() as (command, _):
        pass  # it is closed now
    answer = audit.audited(PACKAGES, command)
    assert (answer.clean, answer.vulnerable, answer.explained) == ([], {}, {})
    assert len(answer.unanswered) == len(PACKAGES)
    assert all("gave no answer" in why for why in answer.unanswered.values())
