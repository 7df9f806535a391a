"""Holds an engine under mixed load.

    python -m loadtests.benchmark.engine_soak [--model FOLDER] [--minutes 10] [--callers 32]

The inference service runs as a process of its own. Each caller asks again and again, with what differs from call to
call: a text of any length up to the context or an image of any size, seeds, temperatures, one completion or several.
Every fifth call is cancelled after a moment. Prints how calls ended and how many tokens came. Ends with 1 if the engine
died, or if a call ended with anything but completions, a refusal of what is too long, or its own cancellation.
"""

import argparse
import asyncio
import io
import random
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import grpc
import psutil
from PIL import Image

from axia.v1 import image_pb2, inference_pb2, inference_pb2_grpc
from loadtests.servers import Servers, wait_until_serving
from services.inference.settings import DEMO_MODEL

_WORDS = ("stove", "knife", "child", "water", "floor", "cup", "What", "needs", "attention", "here", "?")
_CANCELLED, _WITH_IMAGE = 0.2, 0.5
"""Shares of calls."""
_EXPECTED = {"completed", "cancelled", "too long"}


class Caller:
    """One of many clients."""

    def __init__(self, number: int, address: str, model: inference_pb2.Model, until: float) -> None:
        self._draw = random.Random(number)
        self._channel = grpc.insecure_channel(address)
        self._stub = inference_pb2_grpc.InferenceServiceStub(self._channel)
        self._model = model
        self._until = until
        self.outcomes: Counter[str] = Counter()
        self.tokens = 0

    def run(self) -> None:
        """Asks until time is over."""
        while time.monotonic() < self._until:
            call = self._stub.Generate(self._request(), timeout=600)
            if self._draw.random() < _CANCELLED:
                threading.Timer(self._draw.uniform(0, 2), call.cancel).start()
            try:
                for event in call:
                    self.tokens += event.completion.tokens
                self.outcomes["completed"] += 1
            except grpc.RpcError as error:
                code = error.code()
                too_long = code is grpc.StatusCode.INVALID_ARGUMENT and "context" in str(error.details())
                name = "too long" if too_long else code.name.lower()
                self.outcomes[name] += 1
                if code is grpc.StatusCode.UNAVAILABLE:
                    time.sleep(0.5)
        self._channel.close()

    def _request(self) -> inference_pb2.GenerateRequest:
        draw = self._draw
        asked = inference_pb2.GenerateRequest(
            samples=[
                inference_pb2.Sample(seed=draw.randrange(2**53), temperature=draw.choice([0.0, 0.7, 1.0, 2.0]))
                for _ in range(draw.choice([1, 1, 3]))
            ],
            max_tokens=draw.randrange(1, 100),
            stop_rule=draw.choice([inference_pb2.STOP_RULE_NONE, inference_pb2.STOP_RULE_FIRST_SENTENCE]),
        )
        words = 20
        if self._model.accepts_images and draw.random() < _WITH_IMAGE:
            asked.image.CopyFrom(image_pb2.Image(data=_image(draw)))
        else:
            words = draw.randrange(1, self._model.max_context_tokens // 2)
        text = " ".join(draw.choice(_WORDS) for _ in range(words))
        asked.messages.add(role=inference_pb2.ROLE_USER, text=text[:16_000])
        return asked


def _image(draw: random.Random) -> bytes:
    size = draw.choice([(640, 480), (480, 640), (64, 64), (1920, 1080), (300, 900)])
    buffer = io.BytesIO()
    Image.new("RGB", size, tuple(draw.randrange(256) for _ in range(3))).save(buffer, "JPEG")
    return buffer.getvalue()


def main() -> int:
    """Runs the load and prints what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=DEMO_MODEL)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--callers", type=int, default=32)
    given = parser.parse_args()
    with Servers() as servers:
        server = servers.start("inference", model=given.model)
        asyncio.run(wait_until_serving(server))
        address, pid = server.address, server.pid
        with grpc.insecure_channel(address) as channel:
            stub = inference_pb2_grpc.InferenceServiceStub(channel)
            model = stub.GetModel(inference_pb2.GetModelRequest()).model
            until = time.monotonic() + 60 * given.minutes
            callers = [Caller(number, address, model, until) for number in range(given.callers)]
            threads = [threading.Thread(target=caller.run) for caller in callers]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            outcomes = sum((caller.outcomes for caller in callers), Counter[str]())
            print(
                f"{model.name}, context {model.max_context_tokens}: {given.minutes:g} minutes, {given.callers} callers"
            )
            print(", ".join(f"{count} {name}" for name, count in outcomes.most_common()))
            print(f"{sum(caller.tokens for caller in callers)} tokens")
            # A server whose engine has died ends, so that its process manager starts it again.
            alive = psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
            print("the engine is alive" if alive else "the engine has died")
    return int(not alive or bool(set(outcomes) - _EXPECTED) or not outcomes["completed"])


if __name__ == "__main__":
    sys.exit(main())
