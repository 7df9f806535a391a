"""How the chart's scaling of a model behaves under loads that rise, fall and swing, with replicas that fail.

    python -m scripts.simulations.scaling

It follows Kubernetes' autoscaler (15 s between looks, tolerance, stabilization windows, policies) and KEDA's value a
replica, second by second, with completions as a fluid. What it assumes is in `Model`; nothing of it was measured.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import NamedTuple

_LOOK_S = 15
_TOLERANCE = 0.1
_STEPS = 10
_SURE = 1e-9


class Policy(NamedTuple):
    """What the chart's ScaledObject says; a test compares."""

    completions: int = 48
    least: int = 1
    most: int = 32
    up_window_s: int = 30
    up_percent: int = 100
    up_pods: int = 2
    up_period_s: int = 60
    down_window_s: int = 600
    down_pods: int = 1
    down_period_s: int = 120


class Model(NamedTuple):
    """A model's replica, as assumed."""

    running: int = 64
    """Completions at the same time."""
    queue: int = 256
    """Completions running and waiting together, beyond which a replica refuses."""
    completion_s: float = 2.0
    """Time of a completion once it runs."""
    loads_s: int = 180
    """From a Pod's creation to its first answer."""
    fails_every_s: float = 0.0
    """Mean time between failures of a replica; 0: never."""


class Value(NamedTuple):
    """What a ScaledObject's query asks, of waiting, running, loading replicas and completions a replica."""

    name: str
    of: Callable[[float, float, int, int], float]


QUEUE_OR_LOADING = Value("queue, at least loading replicas", lambda w, r, n, c: max(w + r, n * c))
QUEUE_AND_LOADING = Value("queue plus loading replicas", lambda w, r, n, c: w + r + n * c)
WAITING = Value("waiting alone", lambda w, _r, _n, _c: w)


@dataclass
class Run:
    """What came out."""

    replicas: list[int] = field(default_factory=list)
    """In each second, loading ones included."""
    waiting: list[float] = field(default_factory=list)
    refused: float = 0.0
    asked: float = 0.0

    @property
    def turns(self) -> int:
        """How often the number of replicas changed its direction."""
        steps = [b - a for a, b in pairwise(self.replicas) if a != b]
        return sum((a > 0) != (b > 0) for a, b in pairwise(steps))

    @property
    def replica_hours(self) -> float:
        """Replicas, times hours."""
        return sum(self.replicas) / 3600

    @property
    def refused_share(self) -> float:
        """Share of the completions that were refused."""
        return self.refused / self.asked if self.asked else 0.0


class _Autoscaler:
    """Kubernetes' algorithm, with the windows and policies of a policy."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._wishes: deque[tuple[int, int]] = deque()
        self._changes: list[tuple[int, int]] = []

    def next(self, second: int, replicas: int, value: float) -> int:
        policy = self._policy
        ratio = value / (policy.completions * replicas) if replicas else 2.0
        wish = replicas if abs(ratio - 1) <= _TOLERANCE else ceil(value / policy.completions - _SURE)
        wish = min(max(wish, policy.least), policy.most)
        self._wishes.append((second, wish))
        while self._wishes[0][0] <= second - max(policy.up_window_s, policy.down_window_s):
            self._wishes.popleft()
        up = min(wish for at, wish in self._wishes if at > second - policy.up_window_s)
        down = max(wish for at, wish in self._wishes if at > second - policy.down_window_s)
        to = up if replicas < up else down if replicas > down else replicas
        if to > replicas:
            before = replicas - sum(by for at, by in self._changes if by > 0 and at > second - policy.up_period_s)
            to = min(to, max(ceil(before * (1 + policy.up_percent / 100)), before + policy.up_pods))
            to = max(to, replicas)
        elif to < replicas:
            before = replicas - sum(by for at, by in self._changes if by < 0 and at > second - policy.down_period_s)
            to = min(max(to, before - policy.down_pods), replicas)
        if to != replicas:
            self._changes.append((second, to - replicas))
        return to


def simulate(
    load: Callable[[int], float], seconds: int, value: Value, policy: Policy, model: Model, seed: int = 0
) -> Run:
    """Runs a load of completions a second, by second, against a model that is scaled."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    scaler, run = _Autoscaler(policy), Run()
    ready_at = [0] * policy.least
    held = 0.0
    for second in range(seconds):
        for index in range(len(ready_at)):
            if model.fails_every_s and ready_at[index] <= second and drawn.random() < 1 / model.fails_every_s:
                ready_at[index] = second + model.loads_s
        ready = sum(at <= second for at in ready_at)
        asked = load(second)
        taken = min(asked, max(ready * model.queue - held, 0.0))
        run.asked += asked
        run.refused += asked - taken
        slots = float(ready * model.running)
        for _ in range(_STEPS):
            held += taken / _STEPS
            held -= min(held, slots) / model.completion_s / _STEPS
        running = min(held, slots)
        if second % _LOOK_S == 0:
            now = value.of(held - running, running, len(ready_at) - ready, policy.completions)
            wanted = scaler.next(second, len(ready_at), now)
            ready_at += [second + model.loads_s] * (wanted - len(ready_at))
            ready_at = sorted(ready_at)[:wanted]  # those that load are taken away first
        run.replicas.append(len(ready_at))
        run.waiting.append(held - running)
    return run


def steady(rate: float) -> Callable[[int], float]:
    """The same load all the time."""
    return lambda _: rate


def step(before: float, after: float, at: int, until: int) -> Callable[[int], float]:
    """A load that jumps and falls back."""
    return lambda second: after if at <= second < until else before


def swing(low: float, high: float, period_s: int) -> Callable[[int], float]:
    """A load that goes up and down again and again."""
    return lambda second: high if second // (period_s // 2) % 2 else low


def day(peak: float) -> Callable[[int], float]:
    """A day: a tenth of the peak at night, up over two hours in the morning, down over four in the evening."""

    def rate(second: int) -> float:
        hour = second / 3600 % 24
        share = min(max((hour - 6) / 2, 0.0), max((22 - hour) / 4, 0.0), 1.0)
        return peak * (0.1 + 0.9 * share)

    return rate


LOADS: dict[str, tuple[Callable[[int], float], int]] = {
    "a jump from 20 to 60 a second for 40 minutes": (step(20, 60, 600, 3000), 7200),
    "a jump from 20 to 300 a second for 40 minutes": (step(20, 300, 600, 3000), 7200),
    "20 and 90 a second in turns of 5 minutes": (swing(20, 90, 600), 7200),
    "a day with a peak of 200 a second": (day(200), 86400),
}
"""Completions a second, and how long."""


def main() -> None:
    """Prints the table of docs/scaling.md."""
    print("| load | what is asked | replicas at most | replica hours | turns | refused |")
    print("| --- | --- | --- | --- | --- | --- |")
    cases = [(name, 0.0) for name in LOADS] + [(list(LOADS)[-1], 4 * 3600.0)]
    for name, fails_every_s in cases:
        load, seconds = LOADS[name]
        for value in (QUEUE_OR_LOADING, QUEUE_AND_LOADING, WAITING):
            run = simulate(load, seconds, value, Policy(), Model(fails_every_s=fails_every_s))
            figures = f"{max(run.replicas)} | {run.replica_hours:.1f} | {run.turns} | {run.refused_share:.2%}"
            note = ", each replica fails every 4 hours" if fails_every_s else ""
            print(f"| {name}{note} | {value.name} | {figures} |")


if __name__ == "__main__":
    main()
