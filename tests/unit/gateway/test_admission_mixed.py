"""How well the wait for a model is predicted where calls differ in what they cost: by a mean of all calls, by what they
ask for at most, or by calls of their kind."""

import asyncio
import math
import random
import statistics
from collections.abc import Hashable
from typing import Any, NamedTuple

from gateway.backends.admission import Admission, Flow
from gateway.backends.waiting_times import Estimates, ServiceTime
from gateway.protocols.ports.model import CallSize
from services.serving.deadlines import Deadline
from services.serving.errors import DeadlineExceeded, ResourceExhausted
from tests.support.virtual_time import run_in_virtual_time
from tests.unit.gateway.test_admission import FakeReplica

PLACES = 64
"""Completions that the model runs at a time."""
PREFILL_S, TOKEN_S = 0.1, 0.02


class Task(NamedTuple):
    """A kind of call."""

    size: CallSize
    tokens: tuple[int, int]
    """Of one completion: from, to."""
    share: float
    """Of the calls."""
    timeout_s: float

    def draw_s(self, draw: random.Random) -> float:
        """How long a call takes: as long as its longest completion."""
        most = max(draw.randint(*self.tokens) for _ in range(self.size.completions))
        return self.size.images * PREFILL_S + TOKEN_S * most


TASKS = (
    Task(CallSize(1, 100, 1, first_sentence_only=True, formatted=False), (8, 25), 0.5, 1.5),  # a detection
    Task(CallSize(16, 100, 1, first_sentence_only=True, formatted=False), (8, 25), 0.05, 4.0),  # one of many answers
    Task(CallSize(1, 16, 1, first_sentence_only=False, formatted=False), (1, 3), 0.3, 1.0),  # yes or no
    Task(CallSize(1, 512, 0, first_sentence_only=False, formatted=False), (150, 400), 0.15, 15.0),  # a questionnaire
)


class ByLimit(Estimates):
    """Takes a call to last as long as it asks for at most: completions times tokens."""

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self._a_token = ServiceTime()

    @staticmethod
    def _most(kind: Any) -> int:
        return int(kind.completions * kind.max_tokens)

    def note_call(self, kind: Hashable, seconds: float, *, cut_off: bool = False) -> None:
        if not cut_off or seconds > self.mean_s(kind):
            self._all.note(seconds)
            self._a_token.note(seconds / self._most(kind))

    def mean_s(self, kind: Hashable) -> float:
        return self._a_token.mean_s * self._most(kind)

    def needed_s(self, kind: Hashable, expected_s: float) -> float:
        return self._wait.cautious_s(expected_s) + self._a_token.cautious_s * self._most(kind)


class Result(NamedTuple):
    """What came of a simulation."""

    error_s: list[float]
    """Of each task how far the time until an answer was from what was expected on arrival, on average, in seconds."""
    wrong: list[float]
    """Of each task the share of calls that were let in and not answered in time."""
    refused: list[float]
    """Of each task the share of calls that were refused."""
    done: float
    """Work that was answered in time, of what the places can do."""


WAYS: dict[str, Any] = {
    "one mean": (Estimates, lambda size: None),
    "limit": (ByLimit, lambda size: size),
    "kind": (Estimates, lambda size: size.kind),
}


def simulate(way: str, load: float, *, patience: float = 1.0, seconds: float = 400.0, seed: int = 5) -> Result:
    """Sends calls at random times.

    Args:
        way: One of WAYS.
        load: Work that is asked for, of what the places can do.
        patience: By which the timeouts are multiplied.
        seconds: For how long.
        seed: Of what is drawn.
    """
    draw = random.Random(seed)
    work_s = sum(
        task.share * task.size.completions * statistics.fmean(task.draw_s(draw) for _ in range(2000)) for task in TASKS
    )
    rate = load * PLACES / work_s
    estimates, kind_of = WAYS[way]

    async def run() -> Result:
        loop = asyncio.get_running_loop()
        replicas: list[Any] = [FakeReplica()]
        admission = Admission(lambda: "m", lambda: replicas, lambda: PLACES, 512, clock=loop.time)
        admission.estimates = estimates(loop.time)
        done_s, errors = 0.0, [[] for _ in TASKS]
        outcomes = [[0, 0, 0] for _ in TASKS]

        async def ask(number: int, caller: str) -> None:
            nonlocal done_s
            task, deadline = TASKS[number], Deadline(patience * TASKS[number].timeout_s)
            kind, flow, takes_s = kind_of(task.size), Flow(caller, "normal"), task.draw_s(draw)
            expected_s = expected(admission, flow, task.size.completions, kind)
            try:
                async with admission.place(flow, task.size.completions, deadline, kind) as place:
                    place.at(replicas[0])
                    await asyncio.sleep(min(takes_s, deadline.wait_s()))
                    place.served(cut_off=deadline.over)
                    outcomes[number][1 if deadline.over else 0] += 1
                    done_s += 0 if deadline.over else takes_s * task.size.completions
                    errors[number].append(abs(deadline.passed_s - expected_s))
            except DeadlineExceeded:
                outcomes[number][1] += 1
            except ResourceExhausted:
                outcomes[number][2] += 1

        async with asyncio.TaskGroup() as calls:
            while loop.time() < seconds:
                await asyncio.sleep(draw.expovariate(rate))
                number = draw.choices(range(len(TASKS)), [task.share for task in TASKS])[0]
                calls.create_task(ask(number, draw.choice("abcd")))
        shares = [[count / sum(counts) for count in counts] for counts in outcomes]
        return Result(
            [statistics.fmean(of_task) if of_task else 0.0 for of_task in errors],
            [wrong for _, wrong, _ in shares],
            [refused for *_, refused in shares],
            done_s / (PLACES * loop.time()),
        )

    return run_in_virtual_time(run())


def expected(admission: Admission, flow: Flow, completions: int, kind: Hashable) -> float:
    """How long a call is expected to wait and take, as the queue would say."""
    estimates = admission.estimates
    if not admission.waiting and admission._fits(completions):
        return estimates.mean_s(kind)
    key = (1, flow.caller)
    wait_s = admission._expected_s((key[0], admission._start(key), math.inf), completions)
    return wait_s * estimates._wait._factor + estimates.mean_s(kind)


def test_calls_of_their_kind_predict_best_how_long_a_call_takes() -> None:
    """Where nothing is refused, so that all ways see the same calls."""
    errors_s = {
        way: sum(
            task.share * error_s
            for task, error_s in zip(TASKS, simulate(way, 0.9, patience=20.0, seconds=150.0).error_s, strict=True)
        )
        for way in WAYS
    }
    assert errors_s["kind"] < 0.5 * errors_s["one mean"], errors_s
    assert errors_s["kind"] < 0.6 * errors_s["limit"], errors_s  # one of many answers takes no longer than one of one


def test_fewer_calls_are_refused_that_could_have_been_answered() -> None:
    before, after = (simulate(way, 0.9, seconds=150.0) for way in ("one mean", "kind"))
    assert after.done > 1.03 * before.done
    assert all(now < 0.8 * then for now, then in zip(after.refused[:3], before.refused[:3], strict=True))
    assert max(after.wrong) < 0.02
