"""Sides of the benchmark whose images come from cameras, over real connections to the fake gateway."""

from collections.abc import AsyncIterator, Iterator

import pytest

from axia.testing import FakeGateway
from axia.v1 import gateway_pb2
from loadtests.benchmark.measuring import measure
from loadtests.benchmark.setups.cameras import SCENES, RepeatingScenes, Watching
from loadtests.pictures import read_pictures


@pytest.fixture
def fake() -> Iterator[FakeGateway]:
    with FakeGateway(detections=["the stove"]) as gateway:
        yield gateway


@pytest.fixture
async def watching(fake: FakeGateway) -> AsyncIterator[Watching]:
    side = Watching("cameras", [], fake.address, read_pictures(None))
    await side.open()
    yield side
    await side.close()


async def test_cameras_send_frames_at_their_rate_and_each_answer_has_the_age_of_its_frame(watching: Watching) -> None:
    found, answers = await measure(watching, concurrency=3, seconds=2.0, first=0)
    assert not found.errors, found.error
    # Three cameras at five frames a second; the fake answers at once, and a busy machine may send some late.
    assert 3 <= found.calls_per_s <= 16
    assert found.latency_s is not None
    assert 0 < found.latency_s.p50 < 1
    assert len(answers) == found.calls


async def test_a_watch_that_fails_is_an_error_and_not_silence() -> None:
    side = Watching("cameras", [], "127.0.0.1:1", read_pictures(None))
    await side.open()
    found, _ = await measure(side, concurrency=1, seconds=1.0, first=0)
    await side.close()
    assert found.errors
    assert "UNAVAILABLE" in found.error


async def test_every_scene_is_sent_before_the_measurement(fake: FakeGateway) -> None:
    side = RepeatingScenes("cameras", [], fake.address)
    await side.open()
    await side.awake()
    await side.close()
    pictures = {
        call.request.image.data for call in fake.received if isinstance(call.request, gateway_pb2.DetectValuesRequest)
    }
    assert len(pictures) == SCENES


def test_scenes_come_in_no_order() -> None:
    side = RepeatingScenes("cameras", [], "127.0.0.1:1")
    sent = [side.picture(number) for number in range(1000)]
    assert len(set(sent)) == SCENES
    assert sent == [side.picture(number) for number in range(1000)]  # the same for all sides
    # Replicas that take turns would see all scenes each, and not one half of them.
    assert len(set(sent[::2])) == SCENES
    assert len(set(sent[1::2])) == SCENES
