"""The real servers of a checkout, with scripted answers, for the time of a test."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import grpc

from axia._connection.call import channel_options
from axia.testing._ports import free_port
from axia.v1 import gateway_pb2, gateway_pb2_grpc

_POLL_S = 0.1
_STOP_S = 45.0
_LOG_BYTES = 3000


class SuiteFailed(RuntimeError):
    """A server ended or was not ready in time; the message has the end of its log."""


class RunningSuite(NamedTuple):
    """The servers."""

    address: str
    """The gateway's, for `axia.Client`."""
    inference_address: str
    """The inference server's."""


@contextmanager
def suite(
    checkout: str | os.PathLike[str],
    answers: str | os.PathLike[str],
    *,
    logs: str | os.PathLike[str] | None = None,
    settings: Mapping[str, str] | None = None,
    python: str = sys.executable,
    timeout: float = 60.0,
) -> Iterator[RunningSuite]:
    """Starts an inference server with scripted answers and a gateway on free ports, and ends them.

        >>> with axia.testing.suite("axia", answers="answers.yaml") as running, axia.Client(running.address) as client:
        ...     client.detect("kitchen.jpg")

    Args:
        checkout: The folder of axia's repository.
        answers: Answers of the scripted engine, a YAML file.
        logs: Folder for the servers' logs. Default: they are thrown away but for the end.
        settings: Further environment variables, such as ``AXIA_GATEWAY_MAX_TEXT_CHARS``.
        python: An interpreter that has what the servers need.
        timeout: Seconds until both must be ready.

    Raises:
        SuiteFailed: If one can't start.
        FileNotFoundError: If `checkout` is not a checkout or there are no answers.
    """
    root, said = Path(checkout).resolve(), Path(answers).resolve()
    if not (root / "gateway" / "__main__.py").is_file():
        raise FileNotFoundError(f"{root} is not a checkout of axia: give the folder that has gateway/ and services/")
    if not said.is_file():
        raise FileNotFoundError(f"there are no answers at {said}: give a YAML file as in tests/data/answers.yaml")
    inference, gateway = free_port(), free_port()
    running = RunningSuite(f"127.0.0.1:{gateway}", f"127.0.0.1:{inference}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AXIA_")}
    environment = {
        **clean,
        "AXIA_INFERENCE_PORT": str(inference),
        "AXIA_INFERENCE_METRICS_PORT": "0",
        "AXIA_INFERENCE_ENGINE": "scripted",
        "AXIA_INFERENCE_ANSWERS": str(said),
        "AXIA_GATEWAY_PORT": str(gateway),
        "AXIA_GATEWAY_METRICS_PORT": "0",
        "AXIA_GATEWAY_INFERENCE": running.inference_address,
        **(settings or {}),
    }
    with ExitStack() as stack:
        servers = [
            stack.enter_context(_server(name, module, python, root, environment, logs))
            for name, module in (("inference", "services.inference"), ("gateway", "gateway"))
        ]
        _wait(servers, running.address, time.monotonic() + timeout)
        yield running


class _Server(NamedTuple):
    name: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def end_of_log(self) -> str:
        size = self.log.seek(0, os.SEEK_END)
        self.log.seek(max(0, size - _LOG_BYTES))
        return self.log.read().decode(errors="replace")


@contextmanager
def _server(
    name: str,
    module: str,
    python: str,
    root: Path,
    environment: Mapping[str, str],
    logs: str | os.PathLike[str] | None,
) -> Iterator[_Server]:
    import tempfile

    log: IO[bytes] = tempfile.TemporaryFile() if logs is None else (Path(logs) / f"{name}.log").open("w+b")  # noqa: SIM115 - closed below
    with log:
        process = subprocess.Popen(  # noqa: S603 - the interpreter and modules of the caller's own checkout
            [python, "-m", module], cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            yield _Server(name, process, log)
        finally:
            process.terminate()
            try:
                process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(servers: list[_Server], address: str, deadline: float) -> None:
    """Waits until the gateway knows a model that answers."""
    with grpc.insecure_channel(address, options=channel_options(address)) as channel:
        stub = gateway_pb2_grpc.GatewayServiceStub(channel)
        while time.monotonic() < deadline:
            for server in servers:
                if (code := server.process.poll()) is not None:
                    raise SuiteFailed(f"{server.name} ended with {code}:\n{server.end_of_log()}")
            try:
                if any(
                    status.available for status in stub.ListModels(gateway_pb2.ListModelsRequest(), timeout=2).models
                ):
                    return
            except grpc.RpcError:
                pass  # not yet
            time.sleep(_POLL_S)
    last = "\n".join(f"{server.name}:\n{server.end_of_log()}" for server in servers)
    raise SuiteFailed(f"the suite was not ready in time:\n{last}")
