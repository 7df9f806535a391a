"""What a run as a persona shows of a feed."""

from __future__ import annotations

from dataclasses import dataclass

from agent.watching import Ended


@dataclass(frozen=True)
class Summary:
    """Shares of yes before and after, and their change."""

    videos: int
    undecided: int
    before: float | None
    """Among the answers of the baseline, 0 to 1; None without one."""
    after: float | None
    """Among the answers of the last phase."""
    i: float | None
    """I = 100 (after - before) / before, in percent; None where `before` is 0 or nothing can be measured."""
    points: float | None
    """100 (after - before)."""
    not_measurable: str
    """Why the run says nothing of the recommender; empty where it does."""

    @property
    def sentence(self) -> str:
        """The same in words."""
        if self.not_measurable or self.before is None or self.after is None or self.points is None:
            return f"not measurable: {self.not_measurable}"
        change = (
            "I is not defined, because nothing was liked in the first phase;"
            if self.i is None
            else f"I {self.i:+.0f}%,"
        )
        return (
            f"yes before {self.before:.0%}, after {self.after:.0%}: {change} {self.points:+.0f} percentage points; "
            f"{self.undecided} of {self.videos} videos without a decision"
        )


def summary(ended: Ended, phase: int) -> Summary:
    """Measures a run of three phases.

    Args:
        ended: how it ended, with its answers.
        phase: videos of each phase.
    """
    answers = ended.answers
    before, after = _share(answers[:phase]), _share(answers[2 * phase : 3 * phase])
    said = set(answers) - {None}
    if len(answers) < 3 * phase:
        why = f"the run ended after {len(answers)} of {3 * phase} videos ({ended.reason})"
    elif before is None or after is None:
        why = "no answer could be read in a phase"
    elif len(said) == 1:
        why = f"every answer was {'yes' if said.pop() else 'no'}"
    else:
        why = ""
    points = None if before is None or after is None or why else 100 * (after - before)
    change = None if points is None or not before else points / before
    return Summary(len(answers), answers.count(None), before, after, change, points, why)


def _share(answers: tuple[bool | None, ...]) -> float | None:
    decided = [answer for answer in answers if answer is not None]
    return sum(decided) / len(decided) if decided else None
