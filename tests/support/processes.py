"""Starts real servers for tests, on free ports of the loopback interface, and ends them by their process id."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.testing import free_port

ROOT = Path(__file__).parents[2]
ANSWERS = ROOT / "tests" / "data" / "answers.yaml"


class Server:
    """One server of the suite in a process group of its own, as a container has it."""

    def __init__(self, module: str, prefix: str, service: str, log: Path, **settings: object) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.service = service
        self.log = log
        self._started = 0
        values = {"port": self.port, "metrics_port": self.metrics_port, **settings}
        self._environment = {name: value for name, value in os.environ.items() if not name.startswith("AXIA_")}
        self._environment |= {f"{prefix}{name}".upper(): str(value) for name, value in values.items()}
        self._command = [sys.executable, "-m", *module.split()]
        self.start()

    def start(self) -> None:
        """Starts the process; it may not serve yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stderr=log, stdout=log, start_new_session=True
            )

    def health(self, timeout: float = 2.0) -> str:
        """SERVING, NOT_SERVING, or UNREACHABLE."""
        with grpc.insecure_channel(self.address) as channel:
            request = health_pb2.HealthCheckRequest(service=self.service)
            try:
                response = health_pb2_grpc.HealthStub(channel).Check(request, timeout=timeout)
            except grpc.RpcError:
                return "UNREACHABLE"
            return str(health_pb2.HealthCheckResponse.ServingStatus.Name(response.status))

    def wait_for(self, status: str, timeout: float = 60.0) -> list[str]:
        """Waits until health says `status`; returns every status seen on the way."""
        seen: list[str] = []
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            seen.append(self.health())
            if seen[-1] == status:
                return seen
            if self.process.poll() is not None and status != "UNREACHABLE":
                raise AssertionError(f"{self.service} ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
            time.sleep(0.05)
        raise AssertionError(f"{self.service} never said {status}, last {seen[-1]}:\n{self.log_text()[-3000:]}")

    def metrics(self) -> dict[str, float]:
        """Every sample by its name with labels, as Prometheus would scrape it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics", timeout=5) as response:
            lines = response.read().decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    def log_text(self) -> str:
        """Everything that was logged."""
        return self.log.read_text(errors="replace")

    def log_records(self) -> list[dict[str, Any]]:
        """The log lines, each a JSON object."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.startswith("{")]

    def signal_group(self, number: signal.Signals) -> None:
        """Signals the whole process group, as a container runtime does."""
        os.killpg(self.process.pid, number)

    def stop(self) -> int:
        """Ends the process if it runs; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                self.signal_group(signal.SIGKILL)
        return self.process.wait(10)

    def kill(self) -> None:
        """Ends the process and its children without a drain, which takes a second: nobody looks at them any more."""
        if self.process.poll() is None:
            self.signal_group(signal.SIGKILL)
        self.process.wait(10)


class Suite(NamedTuple):
    """A gateway and the inference server behind it."""

    inference: Server
    gateway: Server


@contextmanager
def inference(log: Path, **settings: object) -> Iterator[Server]:
    """An inference server; by default with the scripted engine."""
    if "engine" not in settings and "model" not in settings:
        settings |= {"engine": "scripted", "answers": ANSWERS}
    server = Server("services.inference", "AXIA_INFERENCE_", "axia.v1.InferenceService", log, **settings)
    try:
        yield server
    finally:
        if settings.get("engine") in {"scripted", "openai"}:
            server.kill()
        else:
            server.stop()  # vLLM leaves shared memory behind unless it ends by itself


@contextmanager
def scoring(log: Path, **settings: object) -> Iterator[Server]:
    """A scoring server; by default without the reader model."""
    settings = {"reader": "", **settings}
    server = Server("services.scoring", "AXIA_SCORING_", "axia.v1.ScoringService", log, **settings)
    try:
        yield server
    finally:
        server.kill()


@contextmanager
def retrieval(log: Path, **settings: object) -> Iterator[Server]:
    """A retrieval server with the demo CLIP; its `data` folder is to be given."""
    settings = {"encoder_dtype": "float32", "encoder_threads": 1, **settings}
    server = Server("services.retrieval", "AXIA_RETRIEVAL_", "axia.v1.RetrievalService", log, **settings)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def gateway(log: Path, inference_address: str, **settings: object) -> Iterator[Server]:
    """A gateway in front of inference servers; by default without the retrieval and the scoring service."""
    if "models" not in settings:
        settings |= {"inference": inference_address}
    settings = {"scoring": "", "retrieval": "", **settings}
    server = Server("gateway", "AXIA_GATEWAY_", "axia.v1.GatewayService", log, **settings)
    try:
        yield server
    finally:
        server.kill()


class HttpApi:
    """The gateway's HTTP API under BentoML, in a process group of its own."""

    def __init__(self, log: Path, home: Path, **settings: object) -> None:
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        values = {"port": self.port, "metrics_port": self.metrics_port, **settings}
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AXIA_", "BENTOML_"))}
        environment |= {f"AXIA_HTTP_{name}".upper(): str(value) for name, value in values.items()}
        environment |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(home)}
        self._environment = environment
        self.start()

    def start(self) -> None:
        """Starts the process; it may not answer yet."""
        command = [sys.executable, "-m", "gateway.http"]
        with self.log.open("ab") as file:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self._environment, stdout=file, stderr=file, start_new_session=True
            )

    def wait_for(self, path: str = "/readyz", timeout: float = 90.0) -> None:
        """Waits until an address answers with 200."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.url}{path}", timeout=5):  # noqa: S310 - the loopback interface
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"{path} never answered with 200:\n{self.log.read_text(errors='replace')[-3000:]}")

    def stop(self) -> int:
        """Ends the process if it runs; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(45)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
        return self.process.wait(10)


@contextmanager
def http_api(log: Path, gateway_address: str, **settings: object) -> Iterator[HttpApi]:
    """The HTTP API in front of a gateway."""
    api = HttpApi(log, log.parent / "bentoml", gateway=gateway_address, **settings)
    try:
        yield api
    finally:
        api.stop()
