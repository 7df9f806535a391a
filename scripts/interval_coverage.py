"""Simulates how often the intervals that axia prints hold the true figure: python -m scripts.interval_coverage

Every interval is computed by the function that serves it, at the sizes of the two studies (12 pictures with 3
completions and 14 annotators, arXiv 2501.03957; 10 keywords with 5 pictures a value, arXiv 2411.11479), for true shares
of 0.1 to 0.9. Answers in a cluster resemble each other by an intraclass correlation (ICC): the clusters' own shares
follow a beta distribution. Prints, for each interval, the mean coverage over the shares and the lowest;
docs/intervals.md has the table. With 2,000 runs it takes about half an hour of processor time.
"""

import argparse
import zlib
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from scripts.simulations.agreement import corrected, elements, judged, types
from scripts.simulations.draws import Simulation
from scripts.simulations.protocols import (
    comparison,
    misses,
    models,
    overall,
    personas,
    plain,
    preference,
    unclustered,
    wilson_of,
)

SHARES = tuple(tenth / 10 for tenth in range(1, 10))


class Case(NamedTuple):
    """What to simulate."""

    sizes: str
    """In words."""
    iccs: tuple[float, ...]
    simulate: Simulation


class Row(NamedTuple):
    """How often one interval holds the truth."""

    name: str
    sizes: str
    icc: float
    by_share: tuple[float, ...]
    missing: float
    """Share of runs that have no such interval."""


CASES = (
    Case("10 keywords × 5 images", (0.0, 0.1, 0.3), preference(0.0)),
    Case("10 keywords × 5 images, a fifth refused", (0.0, 0.1, 0.3), preference(0.2)),
    Case("10 keywords × 5 images", (0.0, 0.1, 0.3), comparison),
    Case("100 keywords × 5 images", (0.0, 0.1, 0.3), overall),
    Case("12 images × 3 completions", (0.0, 0.1, 0.3, 0.6), wilson_of("mean alignment", 12, 3, "picture")),
    Case("36 answers without images", (0.0,), plain("mean alignment", 36)),
    Case("3 completions of one picture", (0.0,), plain("mean alignment", 3)),
    Case("12 images", (0.0,), models(12)),
    Case("50 images", (0.0,), models(50)),
    Case("12 images × 3 to 15 misses", (0.0, 0.1, 0.3), misses),
    Case("12 images × 14 annotators", (0.1, 0.3), elements),
    Case("12 images × 14 annotators", (0.1, 0.3), types(12, 14)),
    Case("12 images × 3 annotators", (0.1, 0.3), types(12, 3)),
    Case("50 images × 3 annotators", (0.1, 0.3), types(50, 3)),
    Case("50 images × 3 answers", (0.0, 0.1, 0.3), judged(50, 3)),
    Case("100 labels, 1,000 verdicts", (0.0,), corrected),
    Case("5 personas × 50 videos", (0.0,), personas(5)),
    Case("10 personas × 50 videos", (0.0,), personas(10)),
    Case("50 personas × 50 videos", (0.0,), personas(50)),
    Case("10 keywords × 5 images", (0.0, 0.1, 0.3), unclustered),
)


def cover(case: int, icc: float, runs: int, seed: int) -> list[Row]:
    """Simulates one case with one ICC."""
    simulated = CASES[case]
    held: dict[str, list[tuple[int, int, int]]] = {}
    for share in SHARES:
        drawn = np.random.default_rng([seed, case, zlib.crc32(f"{icc} {share}".encode())])
        found: dict[str, list[int]] = {}
        for _, shown in zip(range(runs), simulated.simulate(share, icc, drawn), strict=False):
            for name, interval, truth in shown:
                tally = found.setdefault(name, [0, 0, 0])
                tally[0] += 1
                tally[1] += interval is not None
                tally[2] += interval is not None and interval.low - 1e-9 <= truth <= interval.high + 1e-9
        for name, (asked, given, covered) in found.items():
            held.setdefault(name, []).append((asked, given, covered))
    return [
        Row(
            name,
            simulated.sizes,
            icc,
            tuple(covered / max(1, given) for _, given, covered in tallies),
            1 - sum(given for _, given, _ in tallies) / sum(asked for asked, _, _ in tallies),
        )
        for name, tallies in held.items()
    ]


def as_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = ["| interval | sizes | ICC | mean coverage | lowest | at share | no interval |", "| --- " * 7 + "|"]
    for row in sorted(rows, key=lambda row: (row.name, row.sizes, row.icc)):
        lowest = min(row.by_share)
        where = SHARES[row.by_share.index(lowest)]
        mean = sum(row.by_share) / len(row.by_share)
        lines.append(
            f"| {row.name} | {row.sizes} | {row.icc:g} | {mean:.1%} | {lowest:.1%} | {where:g} | {row.missing:.1%} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Simulates all cases, or those whose intervals or sizes are named."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2_000, help="runs for each share (default 2,000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--case", type=int, nargs="*", help=f"numbers of cases, 0 to {len(CASES) - 1} (default all)")
    options = parser.parse_args()
    jobs = [(case, icc) for case in options.case or range(len(CASES)) for icc in CASES[case].iccs]
    with ProcessPoolExecutor(options.jobs) as pool:
        pending = [pool.submit(cover, case, icc, options.runs, options.seed) for case, icc in jobs]
        print(as_table([row for future in pending for row in future.result()]))


if __name__ == "__main__":
    main()
