"""Memory that large pictures take: python -m loadtests.benchmark.picture_memory [--model FOLDER] [--callers 32]

The inference service runs as a process of its own. All callers send a palette PNG with transparency of 8,000 × 8,000
pixels at once: some 80 kB that need 256 MB when decoded. Prints the resident memory of the server with its engine's
processes, before the calls and at most during them. Ends with 1 if a call failed.
"""

import argparse
import asyncio
import io
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import psutil
from PIL import Image

from axia.v1 import image_pb2, inference_pb2, inference_pb2_grpc
from loadtests.servers import Servers, wait_until_serving
from services.inference.settings import DEMO_MODEL

_SIDE = 8_000
_MIB = 2**20


class Memory(threading.Thread):
    """Looks at the resident memory of a process and its children every 20 ms."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        parent = psutil.Process(pid)
        self._processes = [parent, *parent.children(recursive=True)]
        self._ended = threading.Event()
        self.before = self.most = self._now()

    def run(self) -> None:
        """Looks until it is stopped."""
        while not self._ended.wait(0.02):
            self.most = max(self.most, self._now())

    def stop(self) -> None:
        """Ends the thread."""
        self._ended.set()
        self.join()

    def _now(self) -> float:
        return sum(process.memory_info().rss for process in self._processes) / _MIB


def picture() -> bytes:
    """A file that is small, and large when decoded."""
    drawn = Image.new("P", (_SIDE, _SIDE))
    drawn.putpalette([level % 256 for level in range(768)])
    drawn.paste(3, (0, 0, _SIDE // 2, _SIDE))
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", transparency=0, optimize=True)
    return buffer.getvalue()


def ask(address: str, data: bytes, seed: int) -> str:
    """Samples one completion about the picture; returns how the call ended."""
    request = inference_pb2.GenerateRequest(image=image_pb2.Image(data=data), max_tokens=50)
    request.messages.add(
        role=inference_pb2.ROLE_USER, text="Identify what is the element that needs attention in this image"
    )
    request.samples.add(seed=seed, temperature=1.0)
    with grpc.insecure_channel(address) as channel:
        try:
            for _ in inference_pb2_grpc.InferenceServiceStub(channel).Generate(request, timeout=600):
                pass
        except grpc.RpcError as error:
            return f"{error.code().name}: {error.details()}"
    return "completed"


def main() -> int:
    """Sends the pictures and prints what they took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO_MODEL)
    parser.add_argument("--callers", type=int, default=32)
    given = parser.parse_args()
    data = picture()
    with Servers() as servers:
        server = servers.start("inference", model=given.model)
        asyncio.run(wait_until_serving(server))
        address, pid = server.address, server.pid
        memory = Memory(pid)
        memory.start()
        began = time.monotonic()
        with ThreadPoolExecutor(given.callers) as callers:
            outcomes = list(callers.map(lambda seed: ask(address, data, seed), range(given.callers)))
        took = time.monotonic() - began
        memory.stop()
    for outcome in sorted(set(outcomes)):
        print(f"{outcomes.count(outcome)} {outcome}")
    print(f"{len(data)} bytes, {given.callers} callers, {took:.1f} s")
    print(
        f"before {memory.before:.0f} MiB, at most {memory.most:.0f} MiB, grew by {memory.most - memory.before:.0f} MiB"
    )
    return int(set(outcomes) != {"completed"})


if __name__ == "__main__":
    sys.exit(main())
