"""Measures the scoring service beside gRPC's own floor: python -m loadtests.benchmark.scoring_speed [--reader NAME]

A raw grpc.aio echo and a scoring server run as processes of their own, and one client calls them in turns, so that
whatever else the machine does meets both. Prints calls a second, their ratio, the batch calls' times and the server's
resident memory. On a busy machine the calls a second scatter; the servers' processor time per call says what a call
costs whoever else runs.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import psutil

from axia.lexicon import VALUES
from axia.v1 import scoring_pb2, scoring_pb2_grpc
from services.scoring.statistics.cochran import cochran_test

CONCURRENCY = 32
CALLS = 1280
ROUNDS = 15
ANSWERS = 1_000
ECHO = "/axia.speed.Echo/Echo"
SIZES = [("grpc.max_send_message_length", 2**26), ("grpc.max_receive_message_length", 2**26)]
REPLIES = (
    "Yes",
    "No.",
    "Yes, I like the content of this image because it is warm and calm.",
    "As an AI, I don't have personal preferences.",
    "No, I do not like it. The scene looks dangerous, and I would rather not see it.",
    "I really enjoy the colours of this picture.",
    "The image shows a dog.",
)


class _Echo(grpc.GenericRpcHandler):
    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        async def echo(request: bytes, context: Any) -> bytes:
            return request

        return grpc.unary_unary_rpc_method_handler(echo) if handler_call_details.method == ECHO else None


async def serve_echo(port: int) -> None:
    """Serves the floor: no interceptor, no parsing."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((_Echo(),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def rate(call: Callable[[Any], Awaitable[Any]], request: Any) -> float:
    """Calls a second at the concurrency of the benchmark."""

    async def caller() -> None:
        for _ in range(CALLS // CONCURRENCY):
            await call(request)

    began = time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(CONCURRENCY)])
    return CALLS / (time.perf_counter() - began)


def processor_us(pid: int) -> float:
    """Processor time of a process so far, microseconds."""
    spent = psutil.Process(pid).cpu_times()
    return (spent.user + spent.system) * 1e6


async def measure(port: int, pids: tuple[int, int], reader: str) -> None:
    """Prints every figure."""
    async with (
        grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=SIZES) as channel,
        grpc.aio.insecure_channel(f"127.0.0.1:{port + 1}") as echo_channel,
    ):
        await asyncio.wait_for(asyncio.gather(channel.channel_ready(), echo_channel.channel_ready()), 120)
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        resident = psutil.Process(pids[0]).memory_info
        print(f"resident memory after start: {resident().rss / 2**20:.0f} MiB")
        items = scoring_pb2.IsqItems(
            visual_attractiveness=8, curiosity_stimulation=7, emotional_engagement=6, value_expectation=5,
            preference_alignment=1, action_desire=0.5,
        )  # fmt: skip
        request = scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(items=items)])
        ratios = []
        before = [processor_us(pid) for pid in pids]
        for _ in range(ROUNDS):
            floor = await rate(echo_channel.unary_unary(ECHO), request.SerializeToString())
            served = await rate(stub.ScoreIsq, request)
            ratios.append(served / floor)
            print(f"echo {floor:.0f}/s, ScoreIsq {served:.0f}/s, ratio {served / floor:.2f}")
        print(f"median ratio {statistics.median(ratios):.2f}")
        own_us, floor_us = (
            (processor_us(pid) - spent) / CALLS / ROUNDS for pid, spent in zip(pids, before, strict=True)
        )
        print(f"processor time of the server per call: echo {floor_us:.0f} µs, ScoreIsq {own_us:.0f} µs")
        answers = [
            scoring_pb2.PreferenceAnswer(
                value=VALUES[index % 10], answer=f"{REPLIES[index % len(REPLIES)]} {index}", keyword=f"k{index % 50}"
            )
            for index in range(ANSWERS if reader else 0)
        ]
        if reader:
            began = time.perf_counter()
            await stub.ScorePreference(scoring_pb2.ScorePreferenceRequest(answers=answers))
            print(f"{ANSWERS:,} preference answers in one call, all new: {time.perf_counter() - began:.2f} s")
            sentences = [f"The {REPLIES[6][10:]} A child is near a hot stove in room {index}." for index in range(1000)]
            began = time.perf_counter()
            await stub.AttributeValues(scoring_pb2.AttributeValuesRequest(sentences=sentences))
            print(f"AttributeValues: {1000 / (time.perf_counter() - began):.0f} sentences/s in a batch of 1,000")
        print(f"resident memory at the end: {resident().rss / 2**20:.0f} MiB")
    table = np.random.default_rng(0).integers(0, 2, (10_000, 20))
    times = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        cochran_test(table)
        times.append((time.perf_counter() - began) * 1000)
    print(f"Cochran's Q on 10,000 × 20: {statistics.median(times):.1f} ms")


def main() -> None:
    """Starts both servers, measures, ends them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=50953)
    parser.add_argument("--reader", default="packaged", help="as AXIA_SCORING_READER; empty for none")
    parser.add_argument("--echo", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.echo:
        asyncio.run(serve_echo(options.port))
        return
    settings = {"PORT": str(options.port), "METRICS_PORT": "0", "READER": options.reader}
    environment = os.environ | {f"AXIA_SCORING_{name}": value for name, value in settings.items()}
    echo = [sys.executable, "-m", "loadtests.benchmark.scoring_speed", "--echo", "--port", str(options.port + 1)]
    servers = [
        subprocess.Popen([sys.executable, "-m", "services.scoring"], env=environment),
        subprocess.Popen(echo),
    ]
    try:
        asyncio.run(measure(options.port, (servers[0].pid, servers[1].pid), options.reader))
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.wait()


if __name__ == "__main__":
    main()
