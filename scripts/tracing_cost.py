"""Measures what traces cost: python -m scripts.tracing_cost [--rounds N] [--baseline CHECKOUT]

Suites of inference (the scripted engine without delays), scoring (without the reader model) and gateway run as
processes of their own: with tracing off, on, and on for one call in a hundred. One client sends detections to them in
short turns, each round in another order, so that whatever else the machine does meets all of them. Spans go to a
collector that throws them away. Prints detections a second and their ratio to those without tracing, and the processor
time of each suite per detection, which scatters less. With --baseline another checkout is measured beside them.
"""

import argparse
import asyncio
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psutil

from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2

CONCURRENCY, CALLS = 16, 160
OFF, BASELINE = "off", "the other checkout"
ROOT = Path(__file__).parents[1]
PICTURE = ROOT / "demo" / "gallery" / "study-08-spilled-water.webp"
ANSWERS = "model: scripted\nanswers:\n  - say: ['The child is reaching for the hot stove. It is hot.']\n"
EXPORT = "opentelemetry.proto.collector.trace.v1.TraceService"


class Suite(NamedTuple):
    """One suite: its processes, the last of which is the gateway."""

    processes: list[subprocess.Popen[bytes]]
    port: int

    def processor_us(self) -> float:
        """Processor time of all processes so far, microseconds."""
        times = [psutil.Process(process.pid).cpu_times() for process in self.processes]
        return sum(spent.user + spent.system for spent in times) * 1e6


def start(root: Path, port: int, answers: Path, tracing: dict[str, str]) -> Suite:
    """Starts a suite whose gateway listens on `port`."""
    settings = {
        "services.inference": ("INFERENCE", {"PORT": port + 1, "ENGINE": "scripted", "ANSWERS": answers}),
        "services.scoring": ("SCORING", {"PORT": port + 2, "READER": ""}),
        "gateway": (
            "GATEWAY",
            {"PORT": port, "INFERENCE": f"127.0.0.1:{port + 1}", "SCORING": f"127.0.0.1:{port + 2}", "RETRIEVAL": ""},
        ),
    }
    processes = []
    for module, (name, own) in settings.items():
        values = {"METRICS_PORT": 0, "LOG_LEVEL": "ERROR", **own}
        environment = {f"AXIA_{name}_{key}": str(value) for key, value in values.items()} | tracing
        command = [sys.executable, "-m", module]
        processes.append(subprocess.Popen(command, cwd=root, env=os.environ | {"PYTHONPATH": str(root)} | environment))
    return Suite(processes, port)


async def rate(stub: Any, request: gateway_pb2.DetectValuesRequest) -> float:
    """Detections a second."""

    async def caller() -> None:
        for _ in range(CALLS // CONCURRENCY):
            await stub.DetectValues(request)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(CONCURRENCY)])
    return CALLS / (time.perf_counter() - began)


async def measure(suites: dict[str, Suite], rounds: int) -> None:
    """Prints every figure."""
    request = gateway_pb2.DetectValuesRequest(image=image_pb2.Image(data=PICTURE.read_bytes()), n=3)
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{suite.port}") for suite in suites.values()]
    stubs: dict[str, Any] = {
        name: gateway_pb2_grpc.GatewayServiceStub(channel) for name, channel in zip(suites, channels, strict=True)
    }
    for stub in stubs.values():
        await _until_complete(stub, request)
        await rate(stub, request)  # warms both sides
    before = {name: suite.processor_us() for name, suite in suites.items()}
    rates: dict[str, list[float]] = {name: [] for name in suites}
    for number in range(rounds):
        order = list(suites)
        random.Random(number).shuffle(order)  # noqa: S311 - an order, no secret
        for name in order:
            rates[name].append(await rate(stubs[name], request))
    each_us = {name: (suite.processor_us() - before[name]) / CALLS / rounds for name, suite in suites.items()}
    for name in suites:
        ratios = [measured / plain for measured, plain in zip(rates[name], rates[OFF], strict=True)]
        first, middle, third = statistics.quantiles(ratios, n=4)
        print(
            f"{name}: median {statistics.median(rates[name]):.0f} detections/s, ratio {middle:.3f} (quartiles "
            f"{first:.3f} to {third:.3f}), {each_us[name]:.0f} µs of processor a detection "
            f"({each_us[name] / each_us[OFF]:.3f})"
        )
    for channel in channels:
        await channel.close()


async def _until_complete(stub: Any, request: gateway_pb2.DetectValuesRequest) -> None:
    """Waits until a suite detects, with scoring."""
    deadline = time.monotonic() + 120
    while True:
        try:
            answer = await stub.DetectValues(request, wait_for_ready=True, timeout=120)
            if "response_types" not in answer.missing or time.monotonic() > deadline - 90:
                return
        except grpc.aio.AioRpcError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.2)


def collector() -> tuple[grpc.Server, str]:
    """A collector that throws away what it gets, and its endpoint."""
    server = grpc.server(ThreadPoolExecutor(2))
    export = grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(EXPORT, {"Export": export}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"http://127.0.0.1:{port}"


def main() -> None:
    """Starts the servers, measures, ends them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=50910)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--baseline", type=Path)
    options = parser.parse_args()
    server, endpoint = collector()
    on = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    few = on | {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}
    kinds = {OFF: (ROOT, {}), "on": (ROOT, on), "on, 1% sampled": (ROOT, few)}
    if options.baseline:
        kinds[BASELINE] = (options.baseline, {})
    with tempfile.TemporaryDirectory(prefix="axia-tracing-") as folder:
        answers = Path(folder) / "answers.yaml"
        answers.write_text(ANSWERS)
        suites = {
            name: start(root, options.port + 10 * number, answers, tracing)
            for number, (name, (root, tracing)) in enumerate(kinds.items())
        }
        processes = [process for suite in suites.values() for process in suite.processes]
        try:
            asyncio.run(measure(suites, options.rounds))
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait()
            server.stop(0).wait()


if __name__ == "__main__":
    main()
