"""Measures what the gateway costs beside direct calls of the inference service.

    python -m loadtests.benchmark.gateway_speed [--rounds 11] [--scoring warm|cold|off]

The demo model in vLLM, the scoring service, the gateway and a bare proxy (`children.bare_proxy`), which is what gRPC
costs by itself, run as processes of their own. The scoring service remembers what it has read (warm), or nothing
(cold), or is left out (off). One client samples the same pictures with the same seeds, directly, through the gateway
and through the proxy in turns, so that whatever else the machine does meets all. Prints requests a
second at concurrency 32, the median latency at concurrency 1, processor time, and the gateway's memory.
"""

import argparse
import asyncio
import hashlib
import statistics
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import grpc
import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from axia.prompts import DEFAULT_DETECTION_PROMPT, load_prompts
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2, inference_pb2_grpc
from loadtests.benchmark.children.bare_proxy import SIZES, question
from loadtests.pictures import read_pictures
from loadtests.servers import Server, Servers, wait_until_serving

PROXY = "loadtests.benchmark.children.bare_proxy"
CONCURRENCY = 32
BATCH = 256
"""Requests of one turn at concurrency 32."""
SINGLES = 12
"""Requests of one turn at concurrency 1: one each way, then the next."""

Call = Callable[[int], Awaitable[Any]]


async def rate(call: Call, first: int) -> float:
    """Requests a second at the concurrency of the benchmark."""
    numbers = iter(range(first, first + BATCH))

    async def caller() -> None:
        for number in numbers:
            await call(number)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(CONCURRENCY)])
    return BATCH / (time.perf_counter() - began)


async def latency(call: Call, number: int) -> float:
    """Milliseconds of one request by itself."""
    began = time.perf_counter()
    await call(number)
    return (time.perf_counter() - began) * 1000


class Way(NamedTuple):
    """One way to the model."""

    name: str
    call: Call
    process: psutil.Process | None
    """What is in between."""


def ways(servers: Servers, inference: str, gateway: Server) -> list[Way]:
    """Directly, through the gateway, and through the bare proxy, which is started."""
    pictures = [picture.data for picture in read_pictures(None)]
    hashes = [hashlib.sha256(picture).hexdigest() for picture in pictures]
    prompt = load_prompts()[DEFAULT_DETECTION_PROMPT].text
    inference_stub: Any = inference_pb2_grpc.InferenceServiceStub(grpc.aio.insecure_channel(inference, options=SIZES))

    async def direct(number: int) -> None:
        place = number % len(pictures)
        await inference_stub.GenerateAll(question(pictures[place], number, hashes[place], prompt))

    def through(name: str, server: Server) -> Way:
        stub: Any = gateway_pb2_grpc.GatewayServiceStub(grpc.aio.insecure_channel(server.address, options=SIZES))

        async def detect(number: int) -> None:
            image = image_pb2.Image(data=pictures[number % len(pictures)])
            await stub.DetectValues(gateway_pb2.DetectValuesRequest(image=image, seed=number), wait_for_ready=True)

        return Way(name, detect, psutil.Process(server.pid))

    return [
        Way("direct", direct, None),
        through("gateway", gateway),
        through("bare proxy", servers.start_module("proxy", PROXY, "PROXY", inference=inference)),
    ]


async def measure(found: Sequence[Way], rounds: int) -> None:
    """Prints every figure."""
    for way in found:
        await rate(way.call, 0)
    spent = [-sum(way.process.cpu_times()[:2]) if way.process else 0.0 for way in found]
    rates: list[list[float]] = [[] for _ in found]
    singles: list[list[float]] = [[] for _ in found]
    for turn in range(rounds):
        # Each comes first as often as last.
        order = list(range(len(found)))[:: 1 if turn % 2 else -1]
        first = 1000 * (turn + 1)
        for place in order:
            rates[place].append(await rate(found[place].call, first))
        for number in range(first, first + SINGLES):
            for place in order:
                singles[place].append(await latency(found[place].call, number))
        figures = zip(found, rates, singles, strict=True)
        print(
            "; ".join(
                f"{way.name} {way_rates[-1]:.1f}/s, {statistics.median(single[-SINGLES:]):.1f} ms"
                for way, way_rates, single in figures
            )
        )
    print("Throughput, the median of the turns' ratios, and latency, the medians of all requests, beside direct calls:")
    for way, way_rates, single, began_s in list(zip(found, rates, singles, spent, strict=True))[1:]:
        assert way.process  # noqa: S101 - all but the direct way have one
        share = statistics.median(through / direct for through, direct in zip(way_rates, rates[0], strict=True))
        added_ms = statistics.median(single) - statistics.median(singles[0])
        each_ms = 1000 * (began_s + sum(way.process.cpu_times()[:2])) / (rounds * (BATCH + SINGLES))
        print(
            f"{way.name}: {share:.3f} of the throughput at concurrency {CONCURRENCY}, {added_ms:+.1f} ms in the median "
            f"at concurrency 1, {each_ms:.1f} ms of processor time a request, "
            f"{way.process.memory_info().rss / 2**20:.0f} MiB"
        )


async def print_hit_rate(port: int) -> None:
    """What the scoring service's metrics say about the memory of its reader model."""
    async with httpx.AsyncClient(trust_env=False) as client:
        text = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
    counts: Counter[str] = Counter()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "axia_scoring_reader_texts_total":
                counts[sample.labels["source"]] += int(sample.value)
    print(f"{counts['remembered'] / max(1, counts.total()):.1%} of {counts.total():,} texts and pairs were remembered")


async def run(rounds: int, scoring_mode: str) -> None:
    """Starts the servers, measures, ends them."""
    with Servers() as servers:
        inference = servers.start("inference")
        scoring = None
        if scoring_mode != "off":
            forgets: dict[str, object] = {"reader_cache": 0} if scoring_mode == "cold" else {}
            scoring = servers.start("scoring", **forgets)
        asked = scoring.address if scoring else ""
        gateway = servers.start("gateway", inference=inference.address, scoring=asked, retrieval="")
        for server in (inference, *([scoring] if scoring else []), gateway):
            await wait_until_serving(server)
        await measure(ways(servers, inference.address, gateway), rounds)
        if scoring:
            await print_hit_rate(scoring.metrics_port)


def main() -> None:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--scoring", choices=("warm", "cold", "off"), default="warm", help="what it remembers, or none")
    options = parser.parse_args()
    asyncio.run(run(options.rounds, options.scoring))


if __name__ == "__main__":
    main()
