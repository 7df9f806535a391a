"""Which call to a model is served next, and which is refused at once."""

import asyncio
import random
from collections.abc import Awaitable, Sequence
from typing import Any, NamedTuple

import pytest

from gateway.backends.admission import Admission, Flow, Place
from gateway.backends.waiting_times import WaitTime
from services.serving.deadlines import Deadline
from services.serving.errors import DeadlineExceeded, ResourceExhausted
from services.serving.upstream.replica import State
from tests.support.virtual_time import run_in_virtual_time


class FakeReplica:
    """A replica without a connection."""

    def __init__(self) -> None:
        self.state, self.fit, self.leaving, self.load = State.SERVING, True, False, 0


class Queue:
    """An admission, and calls that hold their places until a test ends them."""

    def __init__(self, each: int = 1, most_waiting: int = 100, replicas: int = 1) -> None:
        self.replicas: list[Any] = [FakeReplica() for _ in range(replicas)]
        self.waiting_told: list[int] = []
        self.admission = Admission(
            lambda: "m", lambda: self.replicas, lambda: each, most_waiting, self.waiting_told.append
        )
        self.begun: list[str] = []
        self._ends: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.places: dict[str, Place] = {}

    async def call(
        self, name: str, caller: str = "a", priority: Any = "normal", completions: int = 1, timeout_s: float = 60.0
    ) -> asyncio.Task[None]:
        """Begins a call, whose task ends with it."""
        self._ends[name] = asyncio.Event()

        async def work() -> None:
            async with self.admission.place(Flow(caller, priority), completions, Deadline(timeout_s)) as place:
                self.places[name] = place
                place.at(min(self.replicas, key=lambda replica: replica.load))
                self.begun.append(name)
                await self._ends[name].wait()

        self.tasks[name] = asyncio.create_task(work())
        await _settle()
        return self.tasks[name]

    async def end(self, name: str) -> None:
        """Ends a call that has a place."""
        self._ends[name].set()
        await self.tasks[name]
        await _settle()

    async def end_all(self) -> list[str]:
        """Ends one call after the other; the order in which they began."""
        ended = 0
        while ended < len(self.begun):
            await self.end(self.begun[ended])
            ended += 1
        return self.begun


async def _settle() -> None:
    for _ in range(4):
        await asyncio.sleep(0)


async def refusal(call: Awaitable[Any]) -> ResourceExhausted:
    with pytest.raises(ResourceExhausted) as refused:
        await call
    return refused.value


async def test_calls_with_room_do_not_wait_and_the_next_ones_take_turns() -> None:
    queue = Queue(each=2)
    for name in "1234":
        await queue.call(name)
    assert queue.begun == ["1", "2"]
    assert (queue.places["1"].waited_s, queue.admission.waiting) == (0.0, 2)
    assert await queue.end_all() == ["1", "2", "3", "4"]
    assert queue.places["3"].waited_s > 0
    assert queue.waiting_told == [1, 2, 1, 0]
    assert queue.replicas[0].load == queue.admission.unplaced == 0


async def test_higher_priorities_come_first() -> None:
    queue = Queue()
    await queue.call("first")
    for name, priority in (("l", "low"), ("n1", "normal"), ("h", "high"), ("n2", "normal")):
        await queue.call(name, priority=priority)
    assert await queue.end_all() == ["first", "h", "n1", "n2", "l"]


async def test_a_call_that_comes_before_one_with_too_many_completions_does_not_wait_for_it() -> None:
    queue = Queue(each=4)
    await queue.call("first", completions=2)
    await queue.call("big", completions=4)
    await queue.call("small", completions=1)
    await queue.call("urgent", priority="high", completions=2)
    assert queue.begun == ["first", "urgent"]
    assert await queue.end_all() == ["first", "urgent", "big", "small"]
    assert queue.admission.unplaced == queue.replicas[0].load == 0


async def test_callers_share_alike_however_many_calls_they_send() -> None:
    queue = Queue()
    for number in range(6):
        await queue.call(f"a{number}", "a")
    for number in range(3):
        await queue.call(f"b{number}", "b")
    assert await queue.end_all() == ["a0", "a1", "b0", "a2", "b1", "a3", "b2", "a4", "a5"]


async def test_shares_are_of_completions_and_not_of_calls() -> None:
    queue = Queue(each=4)
    await queue.call("first", "c", completions=4)
    for number in range(2):
        await queue.call(f"a{number}", "a", completions=4)
    for number in range(4):
        await queue.call(f"b{number}", "b", completions=1)
    order = await queue.end_all()
    assert order[:2] == ["first", "a0"]
    assert set(order[2:6]) == {"b0", "b1", "b2", "b3"}


async def test_one_who_was_silent_has_saved_nothing_up() -> None:
    queue = Queue()
    for number in range(6):
        await queue.call(f"a{number}", "a")
    for number in range(3):
        await queue.end(f"a{number}")
    for number in range(3):
        await queue.call(f"b{number}", "b")
    order = await _rest(queue, 3)
    assert order == ["a3", "b0", "a4", "b1", "a5", "b2"]


async def _rest(queue: Queue, begun: int) -> list[str]:
    while begun < len(queue.begun):
        await queue.end(queue.begun[begun])
        begun += 1
    return queue.begun[3:]


async def test_a_call_that_can_not_be_done_in_its_time_is_refused_at_once() -> None:
    queue = Queue()
    for _ in range(200):
        queue.admission.estimates.note_call(None, 2.0)
    await queue.call("served", timeout_s=0.5)  # there is room: whatever comes of it is worth more than nothing
    await queue.call("waits", timeout_s=5.0)
    refused = await refusal(await queue.call("late", timeout_s=5.0))
    assert refused.reason == "QUEUE_TOO_LONG"
    assert refused.retry_after_s == pytest.approx(1.0, abs=0.1)
    assert "'m' is busy: this call would take about 6.0 s, but its deadline is in 5.0 s" in refused.message
    await queue.call("urgent", priority="high", timeout_s=5.0)
    await queue.call("of another", "b", timeout_s=9.0)
    await refusal(await queue.call("late too", timeout_s=9.0))
    assert queue.admission.waiting == 3


async def test_a_check_refuses_what_would_be_refused_at_once_and_takes_no_place() -> None:
    queue = Queue(most_waiting=2)

    def check(caller: str = "a", priority: Any = "normal", timeout_s: float = 60.0) -> str:
        try:
            queue.admission.check(Flow(caller, priority), 1, Deadline(timeout_s))
        except ResourceExhausted as refused:
            assert refused.retry_after_s
            return "too late" if "its deadline is in" in refused.message else "too many"
        return ""

    assert check(timeout_s=0.001) == ""  # there is room
    await queue.call("1")
    await queue.call("2")
    for _ in range(200):
        queue.admission.estimates.note_call(None, 2.0)
    assert [check(timeout_s=5.0), check(timeout_s=7.0), check(priority="high", timeout_s=5.0)] == ["too late", "", ""]
    await queue.call("3")
    assert [check(), check("b"), check(priority="high")] == ["too many", "", ""]  # before another that then goes
    assert (await refusal(await queue.call("4"))).reason == "QUEUE_TOO_LONG"
    assert (queue.admission.waiting, queue.admission.unplaced) == (2, 0)
    assert await queue.end_all() == ["1", "2", "3"]


async def test_times_that_vary_are_met_with_caution() -> None:
    queue = Queue()
    for number in range(400):
        queue.admission.estimates.note_call(None, 1.0 if number % 2 else 3.0)
    assert queue.admission.estimates.mean_s(None) == pytest.approx(2.0, abs=0.1)
    assert queue.admission.estimates.needed_s(None, 0.0) == pytest.approx(4.0, abs=0.2)


def test_calls_that_waited_longer_than_expected_make_the_next_ones_expect_more() -> None:
    now = [0.0]
    waits = WaitTime(lambda: now[0])
    assert waits.cautious_s(1.0) == 1.0
    for _ in range(200):
        waits.note(1.0, 2.0)  # as where others come in before them
    assert waits.cautious_s(1.0) == pytest.approx(2.0, abs=0.01)
    for number in range(200):
        waits.note(1.0, 1.0 if number % 2 else 3.0)
    assert 3.0 < waits.cautious_s(1.0) < 5.0
    assert waits.cautious_s(0.01) < 0.05  # of a caller with few calls


def test_what_was_learned_of_waiting_does_not_refuse_calls_for_ever() -> None:
    """After a stall nobody who would be refused by it waits, so nothing new would be learned."""
    now = [0.0]
    waits = WaitTime(lambda: now[0])
    for _ in range(50):
        waits.note(0.1, 60.0)
    now[0] = 4.0
    assert waits.cautious_s(0.1) == pytest.approx(0.8)  # it is never far from what is expected
    now[0] = 6.0
    assert waits.cautious_s(0.1) == 0.1


async def test_a_call_that_was_cut_off_says_only_that_calls_take_longer() -> None:
    queue = Queue(each=2)
    for _ in range(200):
        queue.admission.estimates.note_call(None, 1.0)
    await queue.call("1")
    queue.places["1"].served(cut_off=True)
    assert queue.admission.estimates.mean_s(None) == pytest.approx(1.0)
    queue.places["1"].served()
    assert queue.admission.estimates.mean_s(None) < 1.0


async def test_the_time_of_calls_is_measured_where_they_are_answered() -> None:
    queue = Queue()
    await queue.call("1")
    await asyncio.sleep(0.05)
    queue.places["1"].served()
    assert queue.admission.estimates.mean_s(None) == pytest.approx(0.05, abs=0.04)


async def test_a_call_whose_time_ends_while_it_waits_says_so() -> None:
    queue = Queue()
    await queue.call("1")
    with pytest.raises(DeadlineExceeded, match="the deadline passed while the call waited"):
        await (await queue.call("2", timeout_s=0.02))
    assert queue.admission.waiting == 0


async def test_what_has_become_too_late_gives_way_to_what_has_not() -> None:
    queue = Queue()
    await queue.call("1")
    late = await queue.call("late", timeout_s=0.5)
    await queue.call("3")
    for _ in range(200):
        queue.admission.estimates.note_call(None, 1.0)  # it was faster before
    await queue.end("1")
    assert (await refusal(late)).reason == "QUEUE_TOO_LONG"
    assert queue.begun == ["1", "3"]


async def test_the_last_in_order_is_refused_where_too_many_wait() -> None:
    queue = Queue(most_waiting=2)
    await queue.call("1")
    await queue.call("2", "a")
    await queue.call("3", "a")
    assert (await refusal(await queue.call("4", "a"))).reason == "QUEUE_TOO_LONG"
    await queue.call("b", "b")  # of the one who has most
    assert "its queue is full (2 calls)" in (await refusal(queue.tasks["3"])).message
    await queue.call("h", "a", "high")
    assert (await refusal(queue.tasks["b"])).retry_after_s
    assert await queue.end_all() == ["1", "h", "2"]


async def test_a_cancelled_call_leaves_the_queue_and_costs_its_caller_nothing() -> None:
    queue = Queue(each=2)
    await queue.call("1")
    big = await queue.call("big", completions=2)
    await queue.call("2", "b")
    assert queue.begun == ["1"]
    big.cancel()
    await _settle()
    assert queue.begun == ["1", "2"]  # it kept this one waiting
    await queue.call("3", "a")
    await queue.call("4", "b")
    assert await queue.end_all() == ["1", "2", "3", "4"]


async def test_a_call_that_is_cancelled_at_its_turn_gives_its_place_back() -> None:
    queue = Queue()
    await queue.call("1")
    second = await queue.call("2")
    await queue.call("3")
    queue._ends["1"].set()
    await asyncio.sleep(0)  # the first leaves, and it is the second's turn, which has not heard of it
    second.cancel()
    await _settle()
    assert queue.begun == ["1", "3"]
    await queue.end("3")
    assert queue.admission.unplaced == 0


async def test_a_replica_that_hangs_is_not_counted_with_what_it_holds() -> None:
    queue = Queue(replicas=2)
    for name in ("1", "2", "3"):
        await queue.call(name)
    assert queue.begun == ["1", "2"]
    queue.replicas[0].state = State.SILENT
    await queue.end("2")
    assert queue.begun == ["1", "2", "3"]


@pytest.mark.parametrize("state", [State.GONE, State.SILENT, State.NOT_READY])
async def test_where_no_replica_can_be_called_nothing_waits(state: State) -> None:
    queue = Queue()
    await queue.call("1")
    await queue.call("2")
    queue.replicas[0].state = state
    queue.admission.next_turns()
    await queue.call("3")
    await _settle()
    assert sorted(queue.begun) == ["1", "2", "3"]  # to be told that it is away


async def test_a_replica_that_comes_back_has_room() -> None:
    queue = Queue(replicas=2)
    queue.replicas[1].state = State.GONE
    for name in ("1", "2"):
        await queue.call(name)
    assert queue.begun == ["1"]
    queue.replicas[1].state = State.SERVING
    queue.admission.next_turns()
    await _settle()
    assert queue.begun == ["1", "2"]


async def test_a_busy_replica_that_answers_slowly_counts_where_no_other_is_left() -> None:
    queue = Queue()
    queue.replicas[0].state = State.SLOW
    for name in ("1", "2"):
        await queue.call(name)
    assert queue.begun == ["1"]


async def test_a_call_with_more_completions_than_fit_is_served_alone() -> None:
    queue = Queue(each=2)
    await queue.call("1")
    await queue.call("big", completions=5)
    await queue.call("3")
    assert queue.begun == ["1"]
    await queue.end("1")
    assert queue.begun == ["1", "big"]
    await queue.end("big")
    assert queue.begun == ["1", "big", "3"]


async def test_a_call_that_goes_on_at_another_replica_takes_its_load_along() -> None:
    queue = Queue(each=4, replicas=2)
    await queue.call("1", completions=3)
    queue.places["1"].at(queue.replicas[1])
    assert [replica.load for replica in queue.replicas] == [0, 3]
    await queue.end("1")
    assert [replica.load for replica in queue.replicas] == [0, 0]


async def test_tags_of_callers_are_not_piled_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.backends.admission._MOST_FLOWS", 4)
    queue = Queue(most_waiting=1000)
    await queue.call("held")
    for number in range(50):
        await queue.call(str(number), str(number))
    assert len(queue.admission._finish) <= 4
    assert await queue.end_all() == ["held", *map(str, range(50))]


class Sent(NamedTuple):
    """A call of a simulation."""

    caller: str
    outcome: str
    began_s: float
    ended_s: float

    @property
    def latency_s(self) -> float:
        return self.ended_s - self.began_s


SECONDS = 30
"""Of a simulation: 1,200 calls can be done in them."""


async def load(rates: dict[str, float], *, seconds: float = SECONDS, timeout_s: float = 1.0) -> list[Sent]:
    """Calls at random times to a model with 8 places that takes 0.18 to 0.22 s, so that it can do 40 a second.

    Args:
        rates: Calls a second of each caller.
        seconds: For how long.
        timeout_s: Time of each call.
    """
    loop = asyncio.get_running_loop()
    replicas: list[Any] = [FakeReplica()]
    admission = Admission(lambda: "m", lambda: replicas, lambda: 8, 512, clock=loop.time)
    draw = random.Random(7)
    sent: list[Sent] = []

    async def ask(caller: str) -> None:
        began_s, outcome, deadline = loop.time(), "OK", Deadline(timeout_s)
        try:
            async with admission.place(Flow(caller, "normal"), 1, deadline) as place:
                place.at(replicas[0])
                takes_s = draw.uniform(0.18, 0.22)
                await asyncio.sleep(min(takes_s, deadline.wait_s()))
                place.served(cut_off=deadline.over)
                outcome = "CUT OFF" if deadline.over else "OK"
        except (ResourceExhausted, DeadlineExceeded) as error:
            outcome = error.reason
        sent.append(Sent(caller, outcome, began_s, loop.time()))

    async def send(caller: str, rate: float) -> None:
        async with asyncio.TaskGroup() as calls:
            while loop.time() < seconds:
                await asyncio.sleep(draw.expovariate(rate))
                calls.create_task(ask(caller))

    await asyncio.gather(*(send(caller, rate) for caller, rate in rates.items()))
    return sent


def p(share: float, calls: Sequence[Sent]) -> float:
    ordered = sorted(call.latency_s for call in calls)
    return ordered[int(share * (len(ordered) - 1))]


def test_at_four_times_what_can_be_done_what_can_be_done_is_done() -> None:
    at_capacity, over = (run_in_virtual_time(load({"a": rate})) for rate in (40.0, 160.0))
    done, refused = ([call for call in over if (call.outcome == "OK") is good] for good in (True, False))
    assert len(done) / SECONDS >= 0.95 * 40
    assert p(0.99, done) <= 2 * p(0.99, [call for call in at_capacity if call.outcome == "OK"])
    assert p(0.95, refused) <= 0.05
    assert sum(call.outcome == "CUT OFF" for call in over) <= 0.01 * len(done)


@pytest.mark.parametrize("asked", [10.0, 16.0])
def test_one_who_floods_takes_nothing_from_one_who_does_not(asked: float) -> None:
    calls = run_in_virtual_time(load({"robot": asked, "flood": 160.0}))
    robots, floods = ([call for call in calls if call.caller == name] for name in ("robot", "flood"))
    done = [call for call in robots if call.outcome == "OK"]
    assert len(done) >= 0.95 * len(robots)
    assert p(0.5, done) <= 0.3
    assert sum(call.outcome == "OK" for call in floods) / SECONDS >= 0.95 * (40 - asked)  # what is left is its own
