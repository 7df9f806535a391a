"""`axia up` and `axia down` with a real circus, around services that are healthy without a model."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from axia.testing import free_port
from suite.services import find_checkout, services_from

pytestmark = pytest.mark.long

SERVICE = """
import os, signal, sys, threading
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

def main(name, health_name):
    print(f"{name} loads", file=sys.stderr)
    if os.environ.get("FAILS") == name:
        sys.exit("there is no model at /nowhere")
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    port = int(os.environ[f"AXIA_{name.upper()}_PORT"])
    if not health_name:
        class Ready(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", port), Ready)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        stop.wait(60)
        print(f"{name} drained")
        return
    servicer = health.HealthServicer()
    servicer.set(health_name, health_pb2.HealthCheckResponse.SERVING)
    server = grpc.server(ThreadPoolExecutor(2))
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    stop.wait(60)
    print(f"{name} drained")
"""
AXIA = """
import sys
from pathlib import Path
import suite.services
suite.services.find_checkout = Path.cwd
from axia.cli import main
main()
"""


class Checkout:
    """A folder with the real circus.ini and services of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copy(find_checkout() / "circus.ini", root)
        (root / "healthy.py").write_text(SERVICE)
        services = services_from({})
        for name, health_name in ((service.name, service.health_name) for service in services):
            module = {"gateway": "gateway", "http": "gateway/http"}.get(name, f"services/{name}")
            (root / module).mkdir(parents=True, exist_ok=True)
            # Without these the real packages would win over the ones here.
            (root / module / "__init__.py").touch()
            (root / module).parent.joinpath("__init__.py").touch()
            (root / module / "__main__.py").write_text(f"from healthy import main\nmain({name!r}, {health_name!r})\n")
        self.environment = dict(os.environ)
        for service in services:
            prefix = f"AXIA_{service.name.upper()}"
            self.environment |= {f"{prefix}_PORT": str(free_port()), f"{prefix}_METRICS_PORT": "0"}

    def axia(self, *arguments: str, **environment: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-c", AXIA, *arguments],
            cwd=self.root,
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def log(self, service: str) -> str:
        return (self.root / ".axia" / "logs" / f"{service}.log").read_text()


def end(process: "subprocess.Popen[str]") -> Any:
    out, err = process.communicate(timeout=90)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout(tmp_path)
    yield checkout
    end(checkout.axia("down"))


def test_up_and_down(checkout: Checkout) -> None:
    started = end(checkout.axia("up", "--detach"))
    assert started.returncode == 0, started.stderr
    rows = [line.split() for line in started.stdout.splitlines() if "serving" in line]
    assert [row[:2] for row in rows] == [
        [service.name, f"127.0.0.1:{checkout.environment[f'AXIA_{service.name.upper()}_PORT']}"]
        for service in services_from({})
    ]
    assert re.search(r"axia detect \S+/study-08-spilled-water\.webp --address 127\.0\.0\.1:\d", started.stdout)
    assert "axia down" in started.stdout
    processes = [int(row[3]) for row in rows]
    assert all(map(is_alive, processes))

    again = end(checkout.axia("up"))
    assert again.returncode == 1
    assert "is already running" in again.stderr
    assert "`axia down` stops it" in again.stderr

    stopped = end(checkout.axia("down"))
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert stopped.stdout.endswith("Stopped.\n")
    assert not any(map(is_alive, processes))
    assert "gateway drained" in checkout.log("gateway")
    assert "gateway ended with exit code 0" in checkout.log("gateway")


def test_services_that_are_left_out(checkout: Checkout) -> None:
    started = end(checkout.axia("up", "--detach", "--without", "retrieval", "--without", "http"))
    assert started.returncode == 0, started.stderr
    rows = [line.split() for line in started.stdout.splitlines() if "serving" in line]
    assert [row[0] for row in rows] == ["inference", "scoring", "gateway"]
    assert not (checkout.root / ".axia" / "logs" / "retrieval.log").exists()

    stopped = end(checkout.axia("down"))
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert not any(is_alive(int(row[3])) for row in rows)
    assert "inference drained" in checkout.log("inference")

    nothing = end(checkout.axia("down"))
    assert (nothing.returncode, nothing.stdout[:16]) == (0, "Nothing to stop:")


def test_a_service_that_ends_while_starting_is_named_with_its_reason_and_nothing_is_left(checkout: Checkout) -> None:
    failed = end(checkout.axia("up", FAILS="inference"))
    assert failed.returncode == 1
    assert "axia: inference ended while it started" in failed.stderr
    assert "inference loads" in failed.stderr
    assert "there is no model at /nowhere" in failed.stderr
    assert "ERROR inference ended with exit code 1" in failed.stderr
    assert failed.stderr.count("inference loads") == 1
    assert "Nothing to stop" in end(checkout.axia("down")).stdout


def test_in_the_foreground_it_starts_a_dead_service_again_and_a_signal_stops_all(checkout: Checkout) -> None:
    process = checkout.axia("up")
    assert process.stdout is not None
    table = "".join(itertools.takewhile(lambda line: line != "Stop:    Ctrl-C\n", process.stdout))
    gateway = next(int(line.split()[3]) for line in table.splitlines() if line.strip().startswith("gateway"))
    os.kill(gateway, signal.SIGKILL)
    assert process.stderr is not None
    told = next(line for line in process.stderr if line.startswith("axia:"))
    assert "gateway ended and was started again (process " in told
    process.send_signal(signal.SIGTERM)
    stopped = end(process)
    assert stopped.returncode == 0
    noted = (
        "gateway was killed by SIGKILL",
        "gateway ended, and its exit code is not known",
    )  # circus may look too late
    assert any(note in checkout.log("gateway") for note in noted)
    assert stopped.stdout.endswith("Stopped.\n")
