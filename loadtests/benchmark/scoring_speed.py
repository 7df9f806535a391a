"""Measures the scoring service beside gRPC's own floor: python -m loadtests.benchmark.scoring_speed [--reader NAME]

A raw grpc.aio echo and a scoring server run as processes of their own, and one client calls them in turns, so that
whatever else the machine does meets both. Prints calls a second, their ratio, the batch calls' times and the server's
resident memory. On a busy machine the calls a second scatter; the servers' processor time per call says what a call
costs whoever else runs.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import psutil

from axia.lexicon import VALUES
from axia.v1 import scoring_pb2, scoring_pb2_grpc
from loadtests.benchmark.children.echo import ECHO
from loadtests.servers import Server, Servers, wait_until_serving
from services.scoring.statistics.cochran import cochran_test

CONCURRENCY = 32
CALLS = 1280
ROUNDS = 15
ANSWERS = 1_000
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


async def measure(scoring: Server, echo: Server, reader: str) -> None:
    """Prints every figure."""
    async with (
        grpc.aio.insecure_channel(scoring.address, options=SIZES) as channel,
        grpc.aio.insecure_channel(echo.address) as echo_channel,
    ):
        await asyncio.wait_for(asyncio.gather(channel.channel_ready(), echo_channel.channel_ready()), 120)
        stub: Any = scoring_pb2_grpc.ScoringServiceStub(channel)
        resident = psutil.Process(scoring.pid).memory_info
        print(f"resident memory after start: {resident().rss / 2**20:.0f} MiB")
        items = scoring_pb2.IsqItems(
            visual_attractiveness=8, curiosity_stimulation=7, emotional_engagement=6, value_expectation=5,
            preference_alignment=1, action_desire=0.5,
        )  # fmt: skip
        request = scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(items=items)])
        ratios = []
        before = [processor_us(server.pid) for server in (echo, scoring)]
        for _ in range(ROUNDS):
            floor = await rate(echo_channel.unary_unary(ECHO), request.SerializeToString())
            served = await rate(stub.ScoreIsq, request)
            ratios.append(served / floor)
            print(f"echo {floor:.0f}/s, ScoreIsq {served:.0f}/s, ratio {served / floor:.2f}")
        print(f"median ratio {statistics.median(ratios):.2f}")
        floor_us, own_us = (
            (processor_us(server.pid) - spent) / CALLS / ROUNDS
            for server, spent in zip((echo, scoring), before, strict=True)
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


async def run(reader: str) -> None:
    """Starts both servers, measures, ends them."""
    with Servers() as servers:
        scoring = servers.start("scoring", reader=reader)
        echo = servers.start_module("echo", "loadtests.benchmark.children.echo", "ECHO")
        await wait_until_serving(scoring)
        await measure(scoring, echo, reader)


def main() -> None:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reader", default="packaged", help="as AXIA_SCORING_READER; empty for none")
    asyncio.run(run(parser.parse_args().reader))


if __name__ == "__main__":
    main()
