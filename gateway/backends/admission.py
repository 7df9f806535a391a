"""Which call to a model is served next, and which is told at once that it can't be done in its time.

As many completions are at the replicas as the settings let each have; further calls wait here. Who has the higher
priority goes first. Within a priority each caller gets an equal share of the completions, by start-time fair queueing
(Goyal, Vin and Cheng, SIGCOMM 1996; with several served at a time: Jin, Chase and Kaur, SIGMETRICS 2004): a call's tag
is the virtual time at which its caller's share would let it begin, and the smallest tag goes first. So the calls of a
caller who sends many wait behind each other, and one who sends few waits behind hardly any.

How long a call would wait follows from Little's formula: what is before it, each call times the measured time of calls
of its kind, over the completions that are served at a time; and from how much longer calls have waited than was
expected, as others came in before them. A call that would end after its deadline is refused on arrival. While nothing
waits, nothing is refused, and a call costs some microseconds.
"""

import asyncio
import heapq
import itertools
import math
import time
from bisect import bisect_left, insort
from collections.abc import AsyncIterator, Callable, Collection, Hashable
from contextlib import asynccontextmanager
from typing import NamedTuple

from axia.identity.keys import PRIORITIES, Priority
from gateway.backends.waiting_times import Estimates
from services.serving.deadlines import Clock, Deadline
from services.serving.errors import DeadlineExceeded, ResourceExhausted, ServiceError
from services.serving.upstream.replica import Replica, State

_LEAST_PAUSE_S = 0.05
_MOST_FLOWS = 1024
"""Callers whose tags are kept; beyond it the ones that had least are taken for new ones."""
_RANKS = {priority: rank for rank, priority in enumerate(reversed(PRIORITIES))}


class Flow(NamedTuple):
    """Whose call it is, and how important."""

    caller: str
    priority: Priority


class Place:
    """The place of one call at the replicas."""

    def __init__(self, admission: "Admission", completions: int, kind: Hashable, waited_s: float) -> None:
        self._admission = admission
        self._completions = completions
        self._kind = kind
        self._replica: Replica | None = None
        self._clock = admission.clock
        self._began = self._clock()
        admission.estimates.note_running(kind, completions)
        self.waited_s = waited_s
        """Seconds until it was its turn; exactly 0 where nothing was before it."""

    def at(self, replica: Replica) -> None:
        """Says at which replica it is now."""
        self._leave_replica()
        self._replica = replica
        replica.load += self._completions
        self._admission.unplaced -= self._completions
        self._admission.next_turns()  # what is at one that hangs leaves its room to others

    def _leave_replica(self) -> None:
        if self._replica is not None:
            self._replica.load -= self._completions
            self._replica = None
            self._admission.unplaced += self._completions

    def served(self, *, cut_off: bool = False) -> None:
        """Says that the call has been answered, or was cut off when its time was over."""
        self._admission.estimates.note_call(self._kind, self._clock() - self._began, cut_off=cut_off)

    def leave(self) -> None:
        """Gives the place to others."""
        self._leave_replica()
        self._admission.unplaced -= self._completions
        self._admission.estimates.note_running(self._kind, -self._completions)
        self._admission.next_turns()


class _Waiting(NamedTuple):
    """A call that waits, in the order of turns."""

    rank: int
    start: float
    number: int
    completions: int
    kind: Hashable
    flow: tuple[int, str]
    deadline: Deadline
    expected: tuple[float, float]
    """When it came, and seconds that it was expected to wait, before what others have waited was considered."""
    turn: "asyncio.Future[ServiceError | None]"
    """Done when it is its turn, with None, or when it is refused after all."""


class Admission:
    """The calls to one model, whichever of its replicas answers.

    Args:
        name: Of the model, for messages.
        replicas: Its replicas at this moment.
        each: Completions that one of them is given at a time.
        most_waiting: Calls that may wait. Of more the last in order is refused.
        changed: Told how many calls wait whenever that changes.
        clock: Seconds, from any start.
    """

    def __init__(
        self,
        name: Callable[[], str],
        replicas: Callable[[], Collection[Replica]],
        each: Callable[[], int],
        most_waiting: int,
        changed: Callable[[int], None] = lambda _: None,
        clock: Clock = time.monotonic,
    ) -> None:
        self._name = name
        self._replicas = replicas
        self._each = each
        self._most_waiting = most_waiting
        self._changed = changed
        self.clock = clock
        self.estimates = Estimates(clock)
        self.unplaced = 0
        """Completions whose calls have a place and are at no replica: they are about to be sent, or between two."""
        self._queue: list[_Waiting] = []
        self._numbers = itertools.count()
        self._virtual = [0.0] * len(_RANKS)
        """Of each rank the tag of the call that was last let in."""
        self._finish: dict[tuple[int, str], float] = {}
        """Of each caller the tag at which its last call ends."""

    @property
    def waiting(self) -> int:
        """Calls that wait."""
        return len(self._queue)

    @asynccontextmanager
    async def place(
        self, flow: Flow, completions: int, deadline: Deadline, kind: Hashable = None
    ) -> AsyncIterator[Place]:
        """A place for a call, as soon as it is its turn.

        Args:
            flow: Whose call it is.
            completions: How many it asks for.
            deadline: Until when it has to be answered.
            kind: Equal for calls that take about the same time.

        Raises:
            ResourceExhausted: If it would be answered too late, or too many wait.
            DeadlineExceeded: If its time ended while it waited.
        """
        completions = max(completions, 1)
        waited_s = 0.0
        if not self._queue and self._fits(completions):
            self.unplaced += completions
        else:
            began = self.clock()
            await self._wait(flow, completions, deadline, kind)
            waited_s = self.clock() - began
        place = Place(self, completions, kind, waited_s)
        try:
            yield place
        finally:
            place.leave()

    def check(self, flow: Flow, completions: int, deadline: Deadline, kind: Hashable = None) -> None:
        """Raises ResourceExhausted if `place` would do so at once, and takes no place."""
        completions = max(completions, 1)
        if not self._queue and self._fits(completions):
            return
        key = (_RANKS[flow.priority], flow.caller)
        order = (key[0], self._start(key), math.inf)
        if len(self._queue) >= self._most_waiting and not (self._queue and order < self._queue[-1][:3]):
            raise self._too_many()
        self._require_time(self._expected_s(order, completions), deadline, kind)

    def next_turns(self) -> None:
        """Lets in those whose turn it is; to be called whenever there may be more room."""
        while self._queue and self._fits(self._queue[0].completions):
            waiting = self._queue.pop(0)
            self._changed(len(self._queue))
            self._note_wait(waiting)
            needed_s = self.estimates.mean_s(waiting.kind)
            if self._queue and waiting.deadline.left_s < needed_s:
                self._refuse(waiting, self._too_late(waiting.deadline.left_s, needed_s))
                continue  # somebody behind it can still be answered in time
            self._virtual[waiting.rank] = max(self._virtual[waiting.rank], waiting.start)
            self.unplaced += waiting.completions
            waiting.turn.set_result(None)

    def _tag(self, key: tuple[int, str], completions: int) -> float:
        """The virtual time at which a call begins by its caller's share."""
        if not self._queue:
            self._finish.clear()  # nobody is owed anything
            self._virtual = [0.0] * len(_RANKS)
        elif len(self._finish) >= _MOST_FLOWS:
            owing = [one for one in self._finish.items() if one[1] > self._virtual[one[0][0]]]
            self._finish = dict(heapq.nlargest(_MOST_FLOWS // 2, owing, key=lambda one: one[1]))
        start = self._start(key)
        self._finish[key] = start + completions
        return start

    def _start(self, key: tuple[int, str]) -> float:
        """The tag that the next call of a caller gets."""
        return max(self._virtual[key[0]], self._finish.get(key, 0.0)) if self._queue else 0.0

    def _fits(self, completions: int) -> bool:
        """Whether a call would be served at once. A call with more completions than fit at all is let in alone."""
        most, busy = self._room()
        return not most or not busy or busy + completions <= most

    def _room(self) -> tuple[int, int]:
        """Completions that may be served at a time, 0 where no replica can be called, and those that are.

        One that hangs or is gone is left out, with what it holds.
        """
        replicas = [replica for replica in self._replicas() if replica.fit and not replica.leaving]
        counted = [replica for replica in replicas if replica.state is State.SERVING]
        counted = counted or [replica for replica in replicas if replica.state is State.SLOW]
        return self._each() * len(counted), self.unplaced + sum(replica.load for replica in counted)

    async def _wait(self, flow: Flow, completions: int, deadline: Deadline, kind: Hashable) -> None:
        """Returns when it is a call's turn."""
        key = (_RANKS[flow.priority], flow.caller)
        start, number = self._tag(key, completions), next(self._numbers)
        expected_s = self._expected_s((key[0], start, number), completions)
        turn = asyncio.get_running_loop().create_future()
        expected = (self.clock(), expected_s)
        waiting = _Waiting(key[0], start, number, completions, kind, key, deadline, expected, turn)
        try:
            self._require_time(expected_s, deadline, kind)
        except ResourceExhausted:
            self._forget_tag(waiting)
            raise
        insort(self._queue, waiting)
        if len(self._queue) > self._most_waiting:
            last = self._queue.pop()
            self._refuse(last, self._too_many())
        self._changed(len(self._queue))
        self.next_turns()  # it may be before one that is kept waiting by how many completions it asks for
        try:
            await asyncio.wait((waiting.turn,), timeout=waiting.deadline.wait_s())
        except asyncio.CancelledError:
            if not waiting.turn.done():
                self._withdraw(waiting)
            elif waiting.turn.result() is None:  # it was its turn at this very moment
                self.unplaced -= waiting.completions
                self.next_turns()
            raise
        if not waiting.turn.done():
            self._note_wait(waiting)
            self._withdraw(waiting)
            raise DeadlineExceeded(
                f"{self._name()!r} is busy, and the deadline passed while the call waited; give it a longer timeout, "
                "or try again later",
                reason="DEADLINE_EXCEEDED",
            )
        if (refusal := waiting.turn.result()) is not None:
            raise refusal

    def _require_time(self, expected_s: float, deadline: Deadline, kind: Hashable) -> None:
        """Refuses a call that is expected to wait for so long that it would be answered too late."""
        needed_s = self.estimates.needed_s(kind, expected_s)
        if needed_s > deadline.left_s:
            raise self._too_late(deadline.left_s, needed_s)

    def _expected_s(self, order: tuple[int, float, float], completions: int) -> float:
        """Seconds until it is the turn of a call with this place in the order, as the measured times of calls say."""
        most, busy = self._room()
        before = self._queue[: bisect_left(self._queue, order, key=lambda waiting: waiting[:3])]
        return self.estimates.wait_s(
            ((waiting.completions, waiting.kind) for waiting in before), completions - (most - busy), most
        )

    def _note_wait(self, waiting: _Waiting) -> None:
        came, expected_s = waiting.expected
        self.estimates.note_wait(expected_s, self.clock() - came)

    def _withdraw(self, waiting: _Waiting) -> None:
        self._queue.remove(waiting)
        self._changed(len(self._queue))
        self._forget_tag(waiting)
        self.next_turns()  # one of many completions may have kept smaller ones waiting

    def _refuse(self, waiting: _Waiting, refusal: ServiceError) -> None:
        self._forget_tag(waiting)
        waiting.turn.set_result(refusal)

    def _forget_tag(self, waiting: _Waiting) -> None:
        """A call that isn't served takes nothing from its caller's share."""
        if waiting.flow in self._finish:
            self._finish[waiting.flow] -= waiting.completions

    def _too_late(self, left_s: float, needed_s: float) -> ResourceExhausted:
        pause_s = max(needed_s - left_s, _LEAST_PAUSE_S)
        return ResourceExhausted(
            f"{self._name()!r} is busy: this call would take about {needed_s:.1f} s, but its deadline is in "
            f"{max(left_s, 0.0):.1f} s; try again in {pause_s:.1f} s, or give it a longer timeout",
            reason="QUEUE_TOO_LONG",
            retry_after_s=pause_s,
        )

    def _too_many(self) -> ResourceExhausted:
        pause_s = max(self.estimates.usual_s, _LEAST_PAUSE_S)
        return ResourceExhausted(
            f"{self._name()!r} is busy: its queue is full ({self._most_waiting:,} calls); try again in {pause_s:.1f} s",
            reason="QUEUE_TOO_LONG",
            retry_after_s=pause_s,
        )
