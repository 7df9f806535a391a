"""The simulation of docs/intervals.md, with few runs."""

import numpy as np
import pytest

from scripts.interval_coverage import CASES, SHARES, Row, as_table, cover
from scripts.simulations import agreement, protocols
from scripts.simulations.draws import LARGE, counts
from services.scoring.statistics.intervals import wilson


@pytest.fixture(autouse=True)
def _fewer_for_the_truth(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some truths are measured on many draws. A tenth of them still knows a truth 13 times as well as 12 images do, and
    moves a coverage of 0.95 by less than 0.002."""
    for module in (agreement, protocols):
        monkeypatch.setattr(module, "LARGE", LARGE // 10)


def case(sizes: str, name: str) -> int:
    """The first case of these sizes whose intervals have the name."""
    for place, simulated in enumerate(CASES):
        if simulated.sizes == sizes:
            shown = next(simulated.simulate(0.5, simulated.iccs[0], np.random.default_rng(0)))
            if any(one.name == name for one in shown):
                return place
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("sizes", "name", "icc"),
    [
        ("10 keywords × 5 images", "preference, of yes and no", 0.3),
        ("10 keywords × 5 images", "difference in a value", 0.1),
        ("12 images × 3 completions", "mean alignment", 0.3),
        ("12 images × 3 to 15 misses", "share of a misalignment", 0.1),
        ("12 images × 3 annotators", "Krippendorff's α, two categories", 0.3),
        ("12 images × 3 annotators", "Cohen's κ of two annotators", 0.3),
        ("5 personas × 50 videos", "change in points", 0.0),
    ],
)
def test_an_interval_holds_as_often_as_it_says(sizes: str, name: str, icc: float) -> None:
    runs = 60
    row = next(row for row in cover(case(sizes, name), icc, runs, seed=1) if row.name == name)
    assert len(row.by_share) == len(SHARES)
    # 540 runs: three standard errors of a coverage of 0.95 are 0.028.
    assert 0.92 <= sum(row.by_share) / len(SHARES) <= 1


def test_a_plain_interval_of_clustered_answers_would_fail() -> None:
    generator = np.random.default_rng(2)
    held = 0
    for run in range(540):
        share = SHARES[run % len(SHARES)]
        plain = wilson(int(counts(share, 0.3, np.full(10, 5), generator).sum()), 50, 0.95)
        held += plain.low <= share <= plain.high
    assert held / 540 < 0.88


def test_every_case_is_simulated() -> None:
    for simulated in CASES:
        for icc in simulated.iccs[-1:]:
            shown = next(simulated.simulate(0.4, icc, np.random.default_rng(3)))
            assert all(one.interval is None or one.interval.low <= one.interval.high for one in shown)


def test_the_table_says_where_coverage_is_lowest() -> None:
    row = Row("a", "12 images", 0.1, (0.96, 0.9, *[0.95] * 7), 0.25)
    assert as_table([row]).splitlines()[-1] == "| a | 12 images | 0.1 | 94.6% | 90.0% | 0.2 | 25.0% |"
