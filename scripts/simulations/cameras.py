"""How old answers are when many cameras share replicas of a model: python -m scripts.simulations.cameras

Each camera sends frames at its rate and has one request under way; the newest frame that came meanwhile is asked next,
and the others are superseded, as in WatchValues. A replica shares its throughput out between its requests, milliseconds
at a time. The first row is the load test of docs/performance.md (loadtests/benchmark/watch_load.py), so that the
simulation can be compared with what was measured; the others are computed.
"""

import random
from math import ceil
from statistics import median, quantiles
from typing import NamedTuple

_STEP_S = 0.001


class Replica(NamedTuple):
    """A model's replica."""

    answers_per_s: float
    """When it is busy."""
    alone_s: float
    """Time of a request that has the replica to itself."""


class Outcome(NamedTuple):
    """What came out for the cameras of one replica."""

    frames: int
    answered: int
    ages_s: list[float]
    """Of frames when they were answered."""

    @property
    def share(self) -> float:
        """Share of the frames that were answered."""
        return self.answered / self.frames

    @property
    def median_s(self) -> float:
        """Half of the answered frames were younger."""
        return median(self.ages_s)

    @property
    def late_s(self) -> float:
        """95% of the answered frames were younger."""
        return quantiles(self.ages_s, n=20)[-1]


DEMO_ONE = Replica(answers_per_s=12_092 / 60, alone_s=0.050)
"""The demo model on two cores, detections of one completion: watch_load.py and short_deadlines.py in
loadtests/benchmark/."""
DEMO_THREE = Replica(answers_per_s=120, alone_s=0.074)
"""The same with three completions: gateway_speed.py and short_deadlines.py there."""


def simulate(cameras: int, frames_per_s: float, replica: Replica, seconds: float, seed: int = 0) -> Outcome:
    """Lets cameras send frames to one replica for a time, in seconds."""
    drawn = random.Random(seed)  # noqa: S311 - no secret
    next_at = [drawn.random() / frames_per_s for _ in range(cameras)]
    newest: list[float | None] = [None] * cameras
    asked: dict[int, tuple[float, float]] = {}  # by camera: when the frame was taken, the work that is left
    frames, ages = 0, list[float]()
    for tick in range(int(seconds / _STEP_S)):
        now = tick * _STEP_S
        for camera in range(cameras):
            if next_at[camera] <= now:
                next_at[camera] += 1 / frames_per_s
                newest[camera] = now
                frames += 1
            taken = newest[camera]
            if taken is not None and camera not in asked:
                # The work of one request differs from that of another.
                asked[camera] = (taken, drawn.uniform(0.7, 1.3))
                newest[camera] = None
        if not asked:
            continue
        done = _STEP_S * min(1 / replica.alone_s, replica.answers_per_s / len(asked))
        for camera, (taken, left) in list(asked.items()):
            if left > done:
                asked[camera] = (taken, left - done)
            else:
                del asked[camera]
                ages.append(now - taken)
    return Outcome(frames, len(ages), ages)


def replicas_for(cameras: int, frames_per_s: float, replica: Replica, used: float = 0.8) -> int:
    """How many replicas answer every frame, when each is used to a share."""
    return ceil(cameras * frames_per_s / (used * replica.answers_per_s))


def main() -> None:
    """Prints the tables of docs/scaling.md."""
    simulated = simulate(50, 5, DEMO_ONE, 60)
    print("| 50 cameras, 5 frames/s each, 60 s | measured | simulated |")
    print("| --- | --- | --- |")
    print(f"| answered, of frames | 12,092 of 15,000 | {simulated.answered:,} of {simulated.frames:,} |")
    print(f"| age of a frame at its answer, median | 0.32 s | {simulated.median_s:.2f} s |")
    print(f"| oldest | 0.97 s | {max(simulated.ages_s):.2f} s |")
    print()
    print("| cameras | replicas | frames answered | age, median | age, 95% |")
    print("| --- | --- | --- | --- | --- |")
    for cameras in (1, 100, 10_000):
        replicas = replicas_for(cameras, 0.2, DEMO_THREE)
        seen = simulate(ceil(cameras / replicas), 0.2, DEMO_THREE, 300 if cameras == 1 else 30)
        print(f"| {cameras:,} | {replicas} | {seen.share:.1%} | {seen.median_s:.2f} s | {seen.late_s:.2f} s |")


if __name__ == "__main__":
    main()
