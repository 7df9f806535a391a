"""Which judge to use, and what speaks against it.

A judge can be chosen if it gave a verdict on at least 90% of the labelled answers and its κ is defined. Of these, the
one with the highest κ among those whose interval begins at 0.6 or above is recommended ("substantial" agreement: J. R.
Landis and G. G. Koch, Biometrics 33, 1977); where none's does, the one with the highest κ of all, with a warning.
"""

from collections.abc import Sequence
from typing import NamedTuple

from axia.judges.asking import Verdicts
from axia.judges.figures import Figures, kappa_difference, signed
from axia.judges.labels import Rows

ENOUGH_KAPPA = 0.6
"""κ from which a judge's numbers can stand for people's."""
MOST_MISSING = 0.1
"""Share of answers that a judge may leave without a verdict."""
FEW = 50
"""Fewer labelled images, or answers where no image is named, make rough intervals."""


class Candidate(NamedTuple):
    """A judge that was audited."""

    verdicts: Verdicts
    """What it said of the labelled answers."""
    figures: Figures
    """How far it agrees with the labels."""

    @property
    def kappa(self) -> float:
        """κ, the lowest possible where it is not defined."""
        return -1.0 if self.figures.kappa is None else self.figures.kappa

    @property
    def low(self) -> float:
        """Lower end of the interval of κ, the lowest possible where there is none."""
        interval = self.figures.kappa_interval
        return -1.0 if interval is None else interval.low

    @property
    def missing(self) -> float:
        """Share of answers without a verdict."""
        scores = self.verdicts.scores
        return sum(score is None for score in scores) / len(scores)


class Choice(NamedTuple):
    """A recommendation."""

    best: Candidate | None
    """The judge to use; None if none can be chosen."""
    warnings: tuple[str, ...]
    """What speaks against it, and what else to know of the audit."""


def choose(candidates: Sequence[Candidate], labels: Rows, *, seed: int = 0) -> Choice:
    """Recommends a judge.

    Args:
        candidates: The judges.
        labels: The labelled answers that they judged.
        seed: Of the bootstrap that compares them.
    """
    can = [
        candidate
        for candidate in candidates
        if candidate.missing <= MOST_MISSING and candidate.figures.kappa is not None
    ]
    sure = [candidate for candidate in can if candidate.low >= ENOUGH_KAPPA]
    best = max(sure or can, key=lambda candidate: candidate.kappa, default=None)
    warnings = _on_labels(labels)
    warnings += [warning for candidate in candidates for warning in _on_judge(candidate, labels)]
    if best is not None:
        warnings += _on_level(best)
        warnings += [
            warning
            for candidate in can
            if candidate is not best
            for warning in _on_rival(best, candidate, labels, seed=seed)
        ]
    elif candidates:
        warnings.append("no judge can be recommended: none gave verdicts on enough answers, or κ is not defined")
    return Choice(best, tuple(warnings))


def _on_labels(labels: Rows) -> list[str]:
    clusters = labels.clusters
    units = len(labels.rows if clusters is None else set(clusters))
    what = "labels" if clusters is None else "labelled images"
    found = []
    if units < FEW:
        found.append(f"only {units} {what}: intervals are not exact with fewer than {FEW}")
    aligned = sum(row.aligned or 0 for row in labels.rows)
    if aligned in (0, len(labels.rows)):
        found.append("all labels are the same, so κ is not defined: label answers of both kinds")
    return found


def _on_judge(candidate: Candidate, labels: Rows) -> list[str]:
    name, found = candidate.verdicts.name, []
    if candidate.missing > MOST_MISSING:
        share = f"{candidate.missing:.0%} of the answers"
        found.append(f"{name} can't be recommended: it has no verdict on {share}, and the limit is {MOST_MISSING:.0%}")
    itself = sum(row.model == name.model for row in labels.rows) if name.model else 0
    if itself:
        found.append(f"{name} judges {itself} of its own answers, so it may be biased")
    return found


def _on_level(best: Candidate) -> list[str]:
    if best.kappa < ENOUGH_KAPPA:
        advice = "use another judge, or correct its mean with labels (--unlabelled)"
        return [f"no judge reaches κ {ENOUGH_KAPPA}, so judges can't replace people here; {advice}"]
    if best.low < ENOUGH_KAPPA:
        return [f"κ may be below {ENOUGH_KAPPA}: its interval begins at {signed(best.low)}; label more answers"]
    return []


def _on_rival(best: Candidate, rival: Candidate, labels: Rows, *, seed: int) -> list[str]:
    """Says where two judges are too near for the labels to tell which is better."""
    people = [row.aligned or 0 for row in labels.rows]
    compared = kappa_difference(best.verdicts.scores, rival.verdicts.scores, people, labels.clusters, seed=seed)
    if compared is None:
        return []
    difference, interval = compared
    if interval.low > 0 or interval.high < 0:
        return []
    one, other = best.verdicts.name, rival.verdicts.name
    by = f"{signed(difference)} [{signed(interval.low)}, {signed(interval.high)}]"
    return [f"the choice between {one} and {other} is not clear: their κ differ by {by}"]
