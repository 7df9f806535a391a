"""What holds of the queue in front of a model whatever happens: calls that are cancelled at any moment, fail, move to
another replica or run out of time, and replicas that come, go and get other bounds."""

import asyncio
import random
from typing import Any

import pytest

from gateway.backends.admission import Admission, Flow
from services.serving.deadlines import Deadline
from services.serving.errors import ServiceError
from services.serving.upstream.replica import State
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.gateway.test_admission import FakeReplica

PRIORITIES: tuple[Any, ...] = ("low", "normal", "high")
STATES = (State.SERVING, State.SLOW, State.GONE, State.SILENT)


class Storm:
    """Calls at random, and what happens to their replicas.

    Args:
        seed: Of everything that is drawn.
    """

    def __init__(self, seed: int) -> None:
        self._draw = random.Random(seed)
        self.replicas: list[Any] = [FakeReplica() for _ in range(self._draw.randint(1, 3))]
        self._each = self._draw.randint(1, 6)
        self.told = 0
        self.waited = 0
        self.most_waiting = self._draw.choice([0, 2, 20])
        self.admission = Admission(
            lambda: "m",
            lambda: self.replicas,
            lambda: self._each,
            self.most_waiting,
            self._tell,
            asyncio.get_running_loop().time,
        )

    def _tell(self, waiting: int) -> None:
        self.told = waiting
        self.waited += waiting > 0

    async def _call(self) -> None:
        draw = self._draw
        flow = Flow(draw.choice("abc"), draw.choice(PRIORITIES))
        deadline = Deadline(draw.choice([0.01, 0.5, 2.0, 30.0]))
        try:
            async with self.admission.place(flow, draw.choice([0, 1, 1, 2, 3, 9]), deadline) as place:
                for _ in range(draw.randint(1, 3)):
                    if draw.random() < 0.8:
                        place.at(draw.choice(self.replicas))
                    await asyncio.sleep(draw.random() / 2)
                if draw.random() < 0.1:
                    self._fail()
                place.served(cut_off=draw.random() < 0.2)
        except (ServiceError, ConnectionError):
            pass

    def _fail(self) -> None:
        raise ConnectionError

    def _happen(self) -> None:
        """Something that whoever holds an admission tells it of."""
        kind, replica = self._draw.random(), self._draw.choice(self.replicas)
        if kind < 0.05:
            replica.state = self._draw.choice(STATES)
        elif kind < 0.07:
            self._each = self._draw.randint(1, 6)
        elif kind < 0.09:
            replica.leaving = not replica.leaving
        else:
            return
        self.admission.next_turns()

    async def rage(self, calls: int) -> None:
        """Begins calls, and looks at the queue after each."""
        loop, begun = asyncio.get_running_loop(), []
        for _ in range(calls):
            begun.append(call := asyncio.create_task(self._call()))
            if self._draw.random() < 0.5:
                loop.call_later(self._draw.choice([0.0, 0.0, 0.01, 1.0]), call.cancel)
            await asyncio.sleep(self._draw.choice([0.0, 0.0, 0.05, 0.2]))
            self._happen()
            for _ in range(6):
                await asyncio.sleep(0)
            self._look()
        for replica in self.replicas:
            replica.state, replica.leaving = State.SERVING, False
        self.admission.next_turns()
        async with asyncio.timeout(600):
            await asyncio.wait(begun)

    def _look(self) -> None:
        queue = self.admission._queue
        assert queue == sorted(queue, key=lambda waiting: waiting[:3])
        assert self.told == len(queue)
        assert not queue or not self.admission._fits(queue[0].completions), "it waits, and there is room"


@pytest.mark.parametrize("seed", range(25))
def test_no_call_waits_while_there_is_room_and_none_leaves_anything_behind(seed: int) -> None:
    async def run() -> Storm:
        storm = Storm(seed)
        await storm.rage(150)
        return storm

    storm = run_in_virtual_time(run())
    assert storm.admission.waiting == storm.told == 0
    assert storm.admission.unplaced == 0
    assert [replica.load for replica in storm.replicas] == [0] * len(storm.replicas)
    assert (storm.waited > 0) is (storm.most_waiting > 0)
