"""Which frames of a camera are answered, by the event loop's own clock."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gateway.protocols.watch import Frame, FrameOutcome, answer_frames
from services.serving.errors import InvalidArgument, NotFound, Unavailable
from services.serving.metrics import REGISTRY


class Camera:
    """Frames that the test sends when it likes."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()

    def send(self, *numbers: int) -> None:
        for number in numbers:
            self._frames.put_nowait(Frame(number, b""))

    def end(self) -> None:
        self._frames.put_nowait(None)

    async def frames(self) -> AsyncIterator[Frame]:
        while (frame := await self._frames.get()) is not None:
            yield frame


class Model:
    """Answers when the test lets it; counts what runs."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.running = 0
        self.most = 0
        self.gate = asyncio.Event()

    async def answer(self, frame: Frame) -> int:
        self.begun.append(frame.frame_id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled.append(frame.frame_id)
            raise
        finally:
            self.running -= 1
        return frame.frame_id


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.002)


def consume(
    camera: Camera, answer: Callable[[Frame], Awaitable[int]], freshness_s: float
) -> tuple[list[FrameOutcome[int]], asyncio.Task[None]]:
    outcomes: list[FrameOutcome[int]] = []

    async def run() -> None:
        async for outcome in answer_frames(camera.frames(), answer, freshness_s):
            outcomes.append(outcome)

    return outcomes, asyncio.create_task(run())


async def test_each_frame_is_answered_where_the_model_keeps_up() -> None:
    before = REGISTRY.get_sample_value("axia_gateway_watch_age_seconds_count") or 0.0
    camera, model = Camera(), Model()
    model.gate.set()
    outcomes, task = consume(camera, model.answer, 60)
    for number in range(3):
        camera.send(number)
        await until(lambda number=number: len(outcomes) == number + 1)  # type: ignore[misc]
    camera.end()
    await task
    assert [outcome.result for outcome in outcomes] == [0, 1, 2]
    assert REGISTRY.get_sample_value("axia_gateway_watch_age_seconds_count") == before + 3


async def test_only_the_newest_waits_and_the_others_are_superseded_by_their_successor() -> None:
    camera, model = Camera(), Model()
    outcomes, task = consume(camera, model.answer, 60)
    camera.send(1)
    await until(lambda: model.begun == [1])
    camera.send(2, 3, 4)
    await until(lambda: len(outcomes) == 2)
    assert [(outcome.frame_id, outcome.superseded_by) for outcome in outcomes] == [(2, 3), (3, 4)]
    model.gate.set()
    camera.end()
    await task
    assert [outcome.result for outcome in outcomes[2:]] == [1, 4]
    assert model.most == 1


async def test_a_stale_frame_is_aborted_for_a_newer_one() -> None:
    camera, model = Camera(), Model()
    outcomes, task = consume(camera, model.answer, 0.05)
    camera.send(1)
    await until(lambda: model.begun == [1])
    camera.send(2)
    await until(lambda: model.begun == [1, 2])
    assert model.cancelled == [1]
    assert [(outcome.frame_id, outcome.superseded_by) for outcome in outcomes] == [(1, 2)]
    model.gate.set()
    camera.end()
    await task
    assert outcomes[-1].result == 2


async def test_the_frame_that_took_a_stale_ones_place_is_not_aborted_in_its_turn() -> None:
    camera, model = Camera(), Model()
    outcomes, task = consume(camera, model.answer, 0.02)
    camera.send(1, 2)
    await until(lambda: model.begun[-1:] == [2])
    camera.send(3)
    await asyncio.sleep(0.2)  # many times the bound
    assert model.running == 1
    assert 2 not in model.cancelled
    model.gate.set()
    camera.end()
    await task
    assert [outcome.result for outcome in outcomes if outcome.result] == [2, 3]


async def test_a_camera_faster_than_the_model_still_gets_answers_and_one_outcome_a_frame() -> None:
    camera, model = Camera(), Model()

    async def answer(frame: Frame) -> int:
        async with asyncio.timeout(20):
            await asyncio.gather(model.answer(frame), release())
        return frame.frame_id

    async def release() -> None:
        await asyncio.sleep(0.05)  # longer than the freshness bound
        model.gate.set()
        await asyncio.sleep(0)
        model.gate.clear()

    outcomes, task = consume(camera, answer, 0.02)
    for number in range(100):
        camera.send(number)
        await asyncio.sleep(0.005)
    camera.end()
    await task
    assert sorted(outcome.frame_id for outcome in outcomes) == list(range(100))
    assert [outcome for outcome in outcomes if outcome.result is not None]
    assert model.most == 1


async def test_an_error_concerns_its_frame_alone() -> None:
    camera = Camera()

    async def answer(frame: Frame) -> int:
        if frame.frame_id == 1:
            raise Unavailable("away", reason="AWAY")
        return frame.frame_id

    outcomes, task = consume(camera, answer, 60)
    camera.send(1)
    await until(lambda: len(outcomes) == 1)
    camera.send(2)
    camera.end()
    await task
    assert outcomes[0].error is not None
    assert outcomes[1].result == 2


async def test_an_error_about_every_frame_ends_the_watch() -> None:
    camera = Camera()

    async def answer(frame: Frame) -> int:
        raise NotFound("model", "there is none", reason="MODEL_UNKNOWN")

    camera.send(1)
    with pytest.raises(NotFound):
        async for _ in answer_frames(camera.frames(), answer, 60, lambda error: isinstance(error, NotFound)):
            pass


@pytest.mark.parametrize("second", [1, 0])
async def test_ids_that_do_not_ascend_end_the_watch_and_abort_what_runs(second: int) -> None:
    camera, model = Camera(), Model()
    _, task = consume(camera, model.answer, 60)
    camera.send(1)
    await until(lambda: model.begun == [1])
    camera.send(second)
    with pytest.raises(InvalidArgument, match=r"frame\.frame_id"):
        await task
    await until(lambda: model.cancelled == [1])


async def test_a_consumer_that_goes_aborts_what_runs() -> None:
    camera, model = Camera(), Model()
    outcomes, task = consume(camera, model.answer, 60)
    camera.send(1)
    await until(lambda: model.begun == [1])
    camera.send(2)
    assert model.cancelled == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: model.cancelled == [1])
    await asyncio.sleep(0)
    assert (model.begun, model.running, outcomes) == ([1], 0, [])
