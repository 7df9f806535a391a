"""Measures what the gateway costs beside direct calls of the inference service: python -m scripts.gateway_speed

The demo model in vLLM, the scoring service and the gateway run as processes of their own. One client samples the same
pictures with the same seeds, directly and through the gateway in turns, so that whatever else the machine does meets
both. Prints requests a second at concurrency 32, the median latency at concurrency 1, and the gateway's memory.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psutil
from grpc_health.v1 import health_pb2, health_pb2_grpc

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2, inference_pb2, inference_pb2_grpc
from gateway.sampling import completion_seed

GALLERY = Path(__file__).parent.parent / "demo" / "gallery"
CONCURRENCY = 32
BATCH = 128
"""Requests of one turn at concurrency 32."""
SINGLES = 12
"""Requests of one turn at concurrency 1."""
LOADING_S = 240.0

Call = Callable[[int], Awaitable[Any]]


def free_port() -> int:
    """A port of the loopback interface that nobody has at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(stack: ExitStack, module: str, prefix: str, **settings: object) -> tuple[str, int]:
    """Starts a server for as long as the stack is open; returns its address and process id."""
    port = free_port()
    values = {"port": port, "metrics_port": 0, **settings}
    environment = os.environ | {f"AXIA_{prefix}_{name}".upper(): str(value) for name, value in values.items()}
    process = subprocess.Popen([sys.executable, "-m", module], env=environment, stderr=subprocess.DEVNULL)
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return f"127.0.0.1:{port}", process.pid


async def wait_until_serving(address: str, service: str) -> None:
    """Waits until a server's health says SERVING."""
    until = time.monotonic() + LOADING_S
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)
        while time.monotonic() < until:
            try:
                if (await stub.Check(request)).status == health_pb2.HealthCheckResponse.SERVING:
                    return
            except grpc.aio.AioRpcError:
                pass
            await asyncio.sleep(0.2)
    raise SystemExit(f"{service} did not come up within {LOADING_S:g} s")


async def rate(call: Call, first: int) -> float:
    """Requests a second at the concurrency of the benchmark."""
    numbers = iter(range(first, first + BATCH))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(CONCURRENCY)])
    return BATCH / (time.perf_counter() - began)


async def latencies(call: Call, first: int) -> list[float]:
    """Milliseconds of each request, one at a time."""
    taken = []
    for number in range(first, first + SINGLES):
        began = time.perf_counter()
        await call(number)
        taken.append((time.perf_counter() - began) * 1000)
    return taken


async def measure(inference: str, gateway: str, gateway_pid: int, rounds: int) -> None:
    """Prints every figure."""
    pictures = [path.read_bytes() for path in sorted(GALLERY.glob("study-*.webp"))]
    prompt = load_prompts()[DEFAULT_DETECTION_PROMPT].text
    sizes = [("grpc.max_receive_message_length", 2**25), ("grpc.max_send_message_length", 2**25)]
    async with (
        grpc.aio.insecure_channel(inference, options=sizes) as inference_channel,
        grpc.aio.insecure_channel(gateway, options=sizes) as gateway_channel,
    ):
        inference_stub: Any = inference_pb2_grpc.InferenceServiceStub(inference_channel)
        gateway_stub: Any = gateway_pb2_grpc.GatewayServiceStub(gateway_channel)

        async def direct(number: int) -> None:
            data = pictures[number % len(pictures)]
            sha256 = hashes[number % len(pictures)]
            samples = [
                inference_pb2.Sample(seed=completion_seed(number, index, sha256), temperature=1) for index in range(3)
            ]
            request = inference_pb2.GenerateRequest(
                image=image_pb2.Image(data=data),
                messages=[inference_pb2.Message(role=inference_pb2.ROLE_USER, text=prompt)],
                samples=samples,
                stop_rule=inference_pb2.STOP_RULE_FIRST_SENTENCE,
            )
            async for _ in inference_stub.Generate(request):
                pass

        async def through_gateway(number: int) -> Any:
            image = image_pb2.Image(data=pictures[number % len(pictures)])
            return await gateway_stub.DetectValues(gateway_pb2.DetectValuesRequest(image=image, seed=number))

        hashes = [(await through_gateway(number)).provenance.image_sha256 for number in range(len(pictures))]
        ratios: list[float] = []
        added: list[float] = []
        process = psutil.Process(gateway_pid)
        spent_s = -sum(process.cpu_times()[:2])
        for turn in range(rounds):
            first = 1000 * (turn + 1)
            calls = [direct, through_gateway] if turn % 2 == 0 else [through_gateway, direct]
            rates = {call: await rate(call, first) for call in calls}
            singles = {call: statistics.median(await latencies(call, first)) for call in calls}
            ratios.append(rates[through_gateway] / rates[direct])
            added.append(singles[through_gateway] - singles[direct])
            print(
                f"direct {rates[direct]:.1f}/s, {singles[direct]:.1f} ms; "
                f"gateway {rates[through_gateway]:.1f}/s, {singles[through_gateway]:.1f} ms"
            )
    each_ms = 1000 * (spent_s + sum(process.cpu_times()[:2])) / (rounds * (BATCH + SINGLES))
    resident = process.memory_info().rss / 2**20
    print(f"throughput at concurrency {CONCURRENCY}: {statistics.median(ratios):.3f} of direct calls (median of turns)")
    print(f"p50 at concurrency 1: {statistics.median(added):+.1f} ms beside direct calls (median of turns)")
    print(f"the gateway's processor time: {each_ms:.1f} ms a request")
    print(f"the gateway's resident memory: {resident:.0f} MiB")


async def run(rounds: int, *, with_scoring: bool) -> None:
    """Starts the servers, measures, ends them."""
    with ExitStack() as stack:
        inference, _ = start(stack, "services.inference", "INFERENCE")
        scoring = start(stack, "services.scoring", "SCORING")[0] if with_scoring else ""
        gateway, pid = start(stack, "gateway", "GATEWAY", inference=inference, scoring=scoring, retrieval="")
        await wait_until_serving(inference, "axia.v1.InferenceService")
        if scoring:
            await wait_until_serving(scoring, "axia.v1.ScoringService")
        await wait_until_serving(gateway, "axia.v1.GatewayService")
        await measure(inference, gateway, pid, rounds)


def main() -> None:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--without-scoring", action="store_true", help="detections without the scoring service")
    options = parser.parse_args()
    asyncio.run(run(options.rounds, with_scoring=not options.without_scoring))


if __name__ == "__main__":
    main()
