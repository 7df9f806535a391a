"""Lets many cameras watch at once: python -m loadtests.benchmark.watch_load [--watchers 50] [--fps 5] [--seconds 60]

The inference service (the demo model in vLLM) and the gateway run as processes of their own. Every watcher sends frames
at its rate and checks what comes back: each frame has exactly one outcome, and an answer is about a fresh frame. Prints
answers, superseded frames, errors, the age of frames when they were answered, what the engine held at most, and the
gateway's memory over time. Ends with 1 if a frame had no outcome or two, or if the engine held more than one request a
watcher.
"""

import argparse
import asyncio
import statistics
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import grpc
import psutil

from axia._connection.duplex import Responses
from axia.v1 import gateway_pb2, gateway_pb2_grpc, image_pb2
from loadtests.pictures import read_pictures
from loadtests.servers import Servers, wait_until_serving


class Watcher:
    """One camera."""

    def __init__(self, number: int, pictures: list[bytes]) -> None:
        self._number = number
        self._pictures = pictures
        self.sent: dict[int, float] = {}
        self.outcomes: Counter[int] = Counter()
        self.kinds: Counter[str] = Counter()
        self.ages: list[float] = []

    async def watch(self, stub: Any, fps: float, seconds: float) -> None:
        """Sends frames for a time, and reads until every one has its outcome."""
        async for response in Responses(stub.WatchValues(self._messages(fps, seconds))):
            self.outcomes[response.frame_id] += 1
            kind = response.WhichOneof("outcome")
            self.kinds[f"{kind} {response.error.reason}" if kind == "error" else kind] += 1
            if kind == "detection":
                self.ages.append(time.monotonic() - self.sent[response.frame_id])

    async def _messages(self, fps: float, seconds: float) -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
        yield gateway_pb2.WatchValuesRequest(config=gateway_pb2.DetectValuesRequest(n=1, seed=self._number))
        await asyncio.sleep(self._number % 50 / 50 / fps)  # cameras aren't in step
        began = time.monotonic()
        frame = 0
        while time.monotonic() < began + seconds:
            self.sent[frame] = time.monotonic()
            image = image_pb2.Image(data=self._pictures[(self._number + frame) % len(self._pictures)])
            yield gateway_pb2.WatchValuesRequest(frame=gateway_pb2.WatchFrame(frame_id=frame, image=image))
            frame += 1
            await asyncio.sleep(max(0.0, began + frame / fps - time.monotonic()))


async def sample(metrics_port: int, pid: int, held: list[float], memory: list[float]) -> None:
    """Notes what the engine holds and how much memory the gateway has, until it is cancelled."""
    process = psutil.Process(pid)
    while True:
        text = await asyncio.to_thread(_scrape, metrics_port)
        values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        held.append(float(values["axia_inference_running"]) + float(values["axia_inference_waiting"]))
        memory.append(process.memory_info().rss / 2**20)
        await asyncio.sleep(0.25)


def _scrape(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        return str(response.read().decode())


async def run(watchers: int, fps: float, seconds: float) -> int:
    """Starts the servers, watches, prints; returns the exit code."""
    pictures = [picture.data for picture in read_pictures(None)]
    held: list[float] = []
    memory: list[float] = []
    with Servers() as servers:
        inference = servers.start("inference")
        gateway = servers.start("gateway", inference=inference.address, scoring="", retrieval="")
        await wait_until_serving(inference)
        await wait_until_serving(gateway)
        cameras = [Watcher(number, pictures) for number in range(watchers)]
        async with grpc.aio.insecure_channel(gateway.address) as channel:
            stub: Any = gateway_pb2_grpc.GatewayServiceStub(channel)
            sampler = asyncio.create_task(sample(inference.metrics_port, gateway.pid, held, memory))
            await asyncio.gather(*(camera.watch(stub, fps, seconds) for camera in cameras))
            sampler.cancel()
    return report(cameras, held, memory)


def report(cameras: list[Watcher], held: list[float], memory: list[float]) -> int:
    """Prints what came back; returns the exit code."""
    kinds: Counter[str] = sum((camera.kinds for camera in cameras), Counter())
    ages = sorted(age for camera in cameras for age in camera.ages)
    sent = sum(len(camera.sent) for camera in cameras)
    wrong = sum(camera.outcomes[frame] != 1 for camera in cameras for frame in camera.sent)
    print(f"frames sent {sent}: {', '.join(f'{kind} {count}' for kind, count in kinds.most_common())}")
    print(f"frames without exactly one outcome: {wrong}")
    print(f"answers a watcher: {min(len(c.ages) for c in cameras)} to {max(len(c.ages) for c in cameras)}")
    if ages:
        print(
            f"age of a frame when its answer came: median {statistics.median(ages):.2f} s, "
            f"99% {ages[int(0.99 * (len(ages) - 1))]:.2f} s, oldest {ages[-1]:.2f} s"
        )
    print(f"requests that the engine held at most: {max(held):.0f} for {len(cameras)} watchers")
    fifth = max(1, len(memory) // 5)
    print(
        f"the gateway's resident memory: {statistics.mean(memory[fifth : 2 * fifth]):.0f} MiB in the second fifth of "
        f"the time, {statistics.mean(memory[-fifth:]):.0f} MiB in the last"
    )
    return int(wrong > 0 or max(held) > len(cameras) or any(not camera.ages for camera in cameras))


def main() -> None:
    """Reads the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--watchers", type=int, default=50)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=60.0)
    options = parser.parse_args()
    raise SystemExit(asyncio.run(run(options.watchers, options.fps, options.seconds)))


if __name__ == "__main__":
    main()
