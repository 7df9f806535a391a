"""axia's sides whose images come from cameras."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence

import grpc

from axia._connection.duplex import Responses
from axia.v1 import gateway_pb2
from loadtests.benchmark.axias import Detection
from loadtests.benchmark.sides import Answer, CallLog
from loadtests.errors import LoadError
from loadtests.pictures import GALLERY, Picture
from loadtests.servers import Server

SCENES = 40
"""Cameras that each see one scene."""
FPS = 5.0
"""Frames a second of a camera that watches."""


class Watching(Detection):
    """WatchValues: each caller is a camera that sends frames at a constant rate, whatever is answered.

    A call is a frame, and its latency is the frame's age when its answer is here. Frames that a newer one replaced, as
    the contract promises it, count as no call.
    """

    def play(self, concurrency: int, first: int, log: CallLog) -> list[Coroutine[object, object, None]]:
        """See the base."""
        return [self._watch(camera, camera / concurrency / FPS, first, log) for camera in range(concurrency)]

    async def _watch(self, camera: int, after_s: float, first: int, log: CallLog) -> None:
        numbers = itertools.count()
        await asyncio.sleep(after_s)  # cameras aren't in step
        while True:
            waiting: set[int] = set()
            try:
                await self._watch_until_it_fails(camera, first, numbers, waiting, log)
            except grpc.aio.AioRpcError as error:
                for number in waiting:
                    log.forget((camera, number))
                failed = (camera, next(numbers))
                log.begin(failed)
                log.end(failed, error)
                await asyncio.sleep(1 / FPS)

    async def _watch_until_it_fails(
        self, camera: int, first: int, numbers: Iterator[int], waiting: set[int], log: CallLog
    ) -> None:
        watching = self._stub.WatchValues(self._frames(camera, first, numbers, waiting, log))
        async for response in Responses(watching):
            frame, outcome = (camera, response.frame_id), response.WhichOneof("outcome")
            waiting.discard(response.frame_id)
            if outcome == "detection":
                log.end(frame, Answer(1, sum(completion.tokens for completion in response.detection.completions)))
            elif outcome == "error":
                log.end(frame, LoadError(f"{response.error.reason}: {response.error.message}"))
            else:
                log.forget(frame)

    async def _frames(
        self, camera: int, first: int, numbers: Iterator[int], waiting: set[int], log: CallLog
    ) -> AsyncIterator[gateway_pb2.WatchValuesRequest]:
        yield gateway_pb2.WatchValuesRequest(config=gateway_pb2.DetectValuesRequest(n=1, seed=first + camera))
        due = time.perf_counter()
        for number in numbers:
            request = gateway_pb2.WatchValuesRequest()
            request.frame.frame_id = number
            request.frame.image.data = self.picture(camera + number)
            waiting.add(number)
            log.begin((camera, number))
            yield request
            due += 1 / FPS
            await asyncio.sleep(max(0.0, due - time.perf_counter()))


class RepeatingScenes(Detection):
    """Detections for many cameras that each see the same scene again and again, in no order.

    In an order, every second call would be about the same half of the scenes, and replicas that take turns would each
    see one half without any affinity.
    """

    def __init__(self, name: str, servers: Sequence[Server], address: str) -> None:
        super().__init__(name, servers, address, read_scenes())

    async def awake(self) -> None:
        """Sends every scene once as well, so that no scene is measured at its first sight; see the base."""
        await super().awake()
        for camera in range(SCENES):
            await self.detect(self._pictures[camera].data, camera)

    def picture(self, number: int) -> bytes:
        """See the base."""
        return self._pictures[random.Random(number).randrange(SCENES)].data


def read_scenes() -> list[Picture]:
    """As many images of the demo as there are cameras."""
    paths = sorted((GALLERY / "instagram").glob("*.webp"))[:SCENES]
    if len(paths) < SCENES:
        raise LoadError(f"{GALLERY / 'instagram'} has {len(paths)} images, and {SCENES} are needed: restore the folder")
    return [Picture(path.read_bytes(), "image/webp") for path in paths]
