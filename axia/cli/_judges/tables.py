"""How `axia judges` prints."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from axia.cli._output import console, print_json, printable

if TYPE_CHECKING:
    from rich.table import Table

    from axia.cli._judges.answers import SavedAnswers
    from axia.judges.asking import Verdicts
    from axia.judges.card import Estimate, JudgeCard
    from axia.judges.ppi import Mean

_WIDE = 112
"""Columns of a console on which a figure and its interval fit on one line."""
_NAMES = {"judge", "without a verdict"}
"""Heads of columns with names."""


def print_card(card: "JudgeCard") -> None:
    """Prints the figures, the recommendation, and the corrected means where there are some."""
    out, labels = console(), card.labels
    about = f" about {labels.pictures:,} images" if labels.pictures else ""
    out.print(f"{labels.answers:,} labelled answers{about}, {labels.aligned:,} aligned: {printable(labels.file)}")
    table = _table("judge", "κ", "precision", "recall", "F1", "scored")
    for judge in card.judges:
        figures = map(_figure, (judge.kappa, judge.precision, judge.recall, judge.f1))
        style = "bold" if judge.name == card.recommended else None
        table.add_row(printable(str(judge.name)), *figures, f"{judge.scored:,}", style=style)
    out.print(table)
    if any(judge.scored < labels.answers for judge in card.judges):
        table = _table("without a verdict", "unparsed", "other language", "failed")
        for judge in card.judges:
            counts = (judge.unparsed, judge.other_language, judge.failed)
            table.add_row(printable(str(judge.name)), *(_share(count, labels.answers) for count in counts))
        out.print(table)
    means = [(judge.name, judge.corrected) for judge in card.judges if judge.corrected]
    if means:
        _, first = means[0]
        units = "images" if labels.pictures else "answers"
        out.print(
            f"mean alignment over {first.unlabelled_units:,} unlabelled {units}, "
            f"corrected by {first.labelled_units:,} labelled ones"
        )
        table = _table("judge", "labels only", "judge only", "corrected")
        for name, mean in means:
            three = (mean.labels, mean.judge, mean.corrected)
            table.add_row(printable(str(name)), *(_figure(_estimate(one)) for one in three))
        out.print(table)
    if card.recommended is None:
        out.print("no judge is recommended")
    else:
        best = next(judge for judge in card.judges if judge.name == card.recommended)
        out.print(f"recommended: {printable(best.validity())}", style="bold")
    for warning in card.warnings:
        out.print(f"note: {printable(warning)}")
    out.print(f"with each figure: its 95% interval{' (clustered by image)' if labels.pictures else ''}")


def print_alignments(
    saved: "SavedAnswers", said: "Sequence[Verdicts]", validity: "Sequence[Estimate | None]", *, json: bool
) -> None:
    """Prints the mean alignment by each judge, for each model that answered.

    Args:
        saved: The answers.
        said: What judges say of them.
        validity: κ of each judge; None where it is not known.
        json: Prints an object for each row instead of a table.
    """
    from axia.judges.card import Estimate
    from axia.judges.figures import by_cluster, share_interval

    for group in dict.fromkeys(saved.asked):
        table = _table("judge", "alignment", "κ", "answers", "unscored", "images")
        places = [place for place, asked in enumerate(saved.asked) if asked == group]
        pictures = [saved.rows.rows[place].picture for place in places]
        for verdicts, kappa in zip(said, validity, strict=True):
            sums = by_cluster([verdicts.scores[place] for place in places], pictures)
            trials = sum(size for _, size in sums)
            mean = sum(aligned for aligned, _ in sums) / trials if trials else None
            found = Estimate(value=mean, interval=share_interval(sums, clustered=True))
            counts = {"answers": len(places), "unscored": len(places) - trials, "pictures": len(set(pictures))}
            if json:
                who = {"asked": group, "judge": verdicts.name, "revision": verdicts.revision}
                print_json({**who, "alignment": found, "kappa": kappa, **counts})
            else:
                unscored = _share(counts["unscored"], len(places))
                figures = (_figure(found), _figure(kappa), f"{len(places):,}", unscored, f"{counts['pictures']:,}")
                table.add_row(printable(str(verdicts.name)), *figures)
        if not json:
            console().print(printable(group), style="bold")
            console().print(table)
    if not json:
        console().print("alignment: share of answers with a verdict; 95% interval clustered by image")
        if not any(validity):
            console().print("κ, the agreement with people, is not known: give --labels or --card")


def _table(*heads: str) -> "Table":
    """A table whose first columns fold where they are long."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for head in heads:
        if head in _NAMES:
            table.add_column(head, overflow="fold", min_width=8)
        else:
            table.add_column(head, justify="right", no_wrap=True)
    return table


def _figure(estimate: "Estimate | None") -> str:
    """A figure with its interval, which stands below it where there is no room beside it."""
    if estimate is None:
        return "—"
    return estimate.text() if console().width >= _WIDE else estimate.lines()


def _estimate(mean: "Mean | None") -> "Estimate | None":
    from axia.judges.card import Estimate

    return None if mean is None else Estimate(value=mean.value, interval=mean.interval)


def _share(count: int, total: int) -> str:
    """A count with its share where it matters."""
    return f"{count:,} ({count / total:.0%})" if count else "0"
