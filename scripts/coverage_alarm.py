"""How soon the alarm of a calibrated model's coverage notices a change, and how seldom it is wrong, by simulation.

python -m scripts.coverage_alarm
"""

import random
import statistics

from gateway.protocols.coverage import CoverageWatch

COVERAGE, PICTURES = 0.8, 400
_QUIET_RUNS, _QUIET = 30, 100_000
_RUNS, _MOST = 200, 20_000


def first_alarm(share: float, seed: int, most: int) -> int | None:
    """Detections to the first alarm, where each answers with this probability; None where there is none."""
    watch, source = CoverageWatch(COVERAGE, PICTURES), random.Random(seed)  # noqa: S311 - a simulation
    return next((number for number in range(1, most + 1) if watch.add(answered=source.random() < share)), None)


def main() -> None:
    """Prints both tables."""
    print(f"calibrated: {COVERAGE} of {PICTURES} images")
    for share in (0.76, 0.8, 0.84):
        alarms = sum(first_alarm(share, seed, _QUIET) is not None for seed in range(_QUIET_RUNS))
        print(f"share {share:.2f}: an alarm in {alarms} of {_QUIET_RUNS} runs of {_QUIET:,} detections")
    for share in (0.3, 0.5, 0.6, 0.65, 0.7, 0.9, 0.95, 1.0):
        delays = sorted(first_alarm(share, seed, _MOST) or _MOST for seed in range(_RUNS))
        within = delays[_RUNS * 95 // 100]
        print(f"share {share:.2f}: median {statistics.median(delays):.0f} detections, 95% within {within}")


if __name__ == "__main__":
    main()
