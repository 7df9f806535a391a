"""A judge card: how far judges agree with people, as a file that reports print beside the judges' numbers."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from axia.judges.asking import JudgeName
from axia.judges.choice import Candidate, Choice
from axia.judges.figures import RESAMPLES, Counts, signed
from axia.judges.labels import Rows
from axia.judges.ppi import Mean, Means
from axia.results.base import Result
from axia.results.scoring import Interval
from axia.version import __version__


class Estimate(Result):
    """A figure with its interval."""

    value: float | None
    """The figure; None where it is not defined."""
    interval: Interval | None
    """Its interval; None where there is none."""

    def text(self) -> str:
        """Such as ``0.81 [0.75, 0.86]``."""
        if self.value is None:
            return "—"
        shown = signed(self.value)
        return (
            shown if self.interval is None else f"{shown} [{signed(self.interval.low)}, {signed(self.interval.high)}]"
        )

    def lines(self) -> str:
        """The figure above its interval, for narrow columns."""
        if self.value is None or self.interval is None:
            return self.text()
        return f"{signed(self.value)}\n{signed(self.interval.low)}–{signed(self.interval.high)}"


class CorrectedMean(Result):
    """Mean alignment of unlabelled answers by a judge, and corrected by the labels (prediction-powered inference)."""

    labels: Mean
    """From the labels alone."""
    judge: Mean | None
    """The judge's own; None if it gave no verdict."""
    corrected: Mean
    """The judge's, corrected."""
    labelled_units: int
    """Labelled images, or answers where no image is named."""
    unlabelled_units: int
    """Unlabelled ones."""
    unlabelled_sha256: str
    """SHA-256 of the file of unlabelled answers."""


class JudgeFigures(Result):
    """How far one judge agrees with the labels."""

    name: JudgeName
    """Who judged, and how it was asked."""
    revision: str
    """Revision of the reader model or of the model that judged; empty for words and for recorded answers."""
    prompt_sha256: str
    """SHA-256 of the question to a model; empty for other judges and for recorded answers."""
    kappa: Estimate
    """Cohen's κ, -1 to 1."""
    precision: Estimate
    """0 to 1."""
    recall: Estimate
    """0 to 1."""
    f1: Estimate
    """0 to 1."""
    both: int
    """Answers that judge and people call aligned."""
    judge_only: int
    """Answers that the judge alone calls aligned."""
    people_only: int
    """Answers that people alone call aligned."""
    neither: int
    """Answers that neither calls aligned."""
    unparsed: int
    """Answers without a verdict, because the judge's answer says neither yes nor no."""
    other_language: int
    """Answers without a verdict, because the judge does not read their language."""
    failed: int
    """Answers without a verdict, because the model could not be asked."""
    corrected: CorrectedMean | None = None
    """Its mean over unlabelled answers; None if none were given."""

    @property
    def scored(self) -> int:
        """Answers that the figures are about."""
        return self.both + self.judge_only + self.people_only + self.neither

    def validity(self) -> str:
        """What stands beside a number of this judge: ``semantic, κ 0.81 [0.75, 0.86] on 300 labels``."""
        return f"{self.name}, κ {self.kappa.text()} on {self.scored:,} label{'' if self.scored == 1 else 's'}"


class LabelsFile(Result):
    """The labels that judges were compared with."""

    file: str
    """Its name."""
    sha256: str
    """SHA-256 of the file, 64 lower-case hexadecimal digits."""
    answers: int
    """Labelled answers."""
    aligned: int
    """Of these, those that people call aligned."""
    pictures: int
    """Images that they are about; 0 where none is named."""


class JudgeCard(Result):
    """How far judges agree with people."""

    format: Literal["axia judge card 1"] = "axia judge card 1"
    """What kind of file this is."""
    date: datetime
    """When the judges were asked."""
    axia_version: str
    """Version of axia that asked."""
    labels: LabelsFile
    """What they were compared with."""
    judges: tuple[JudgeFigures, ...]
    """The judges."""
    recommended: JudgeName | None
    """The judge to use; None if none can be recommended."""
    warnings: tuple[str, ...]
    """What speaks against it, and what else to know."""
    seed: int
    """Seed of the bootstrap that compares judges."""
    resamples: int = RESAMPLES
    """Seed of the bootstrap that compares judges."""


def make_card(
    path: Path,
    labels: Rows,
    candidates: Sequence[Candidate],
    choice: Choice,
    *,
    seed: int,
    corrected: Sequence[CorrectedMean] = (),
) -> JudgeCard:
    """Puts an audit on a card.

    Args:
        path: The file of labels.
        labels: What it has.
        candidates: The judges.
        choice: Which of them is recommended.
        seed: Of the bootstrap that compares judges.
        corrected: A mean for each judge, or none.
    """
    clusters = labels.clusters
    means: Sequence[CorrectedMean | None] = corrected or [None] * len(candidates)
    return JudgeCard(
        date=datetime.now(UTC).replace(microsecond=0),
        axia_version=__version__,
        labels=LabelsFile(
            file=path.name,
            sha256=labels.sha256,
            answers=len(labels.rows),
            aligned=sum(row.aligned or 0 for row in labels.rows),
            pictures=len(set(clusters)) if clusters else 0,
        ),
        judges=tuple(_figures(candidate, mean) for candidate, mean in zip(candidates, means, strict=True)),
        recommended=choice.best.verdicts.name if choice.best else None,
        warnings=choice.warnings,
        seed=seed,
    )


def corrected(means: Means, unlabelled: Rows) -> CorrectedMean:
    """A mean as a card has it."""
    return CorrectedMean(**means._asdict(), unlabelled_sha256=unlabelled.sha256)


def load_card(path: Path) -> JudgeCard:
    """Reads a card.

    Raises:
        ValueError: If the file can't be read or is no card.
    """
    try:
        return JudgeCard.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        raise ValueError(f"{path} is not a judge card: give a file that `axia judges audit --card` wrote") from None


def as_markdown(card: JudgeCard) -> str:
    """A card as a Markdown document."""
    labels = card.labels
    about = f" about {labels.pictures:,} images" if labels.pictures else ""
    heads = (
        "judge",
        "revision",
        "κ",
        "precision",
        "recall",
        "F1",
        "labels scored",
        "unparsed",
        "other language",
        "failed",
    )
    rows = [
        (str(judge.name), judge.revision or "—",
         *(estimate.text() for estimate in (judge.kappa, judge.precision, judge.recall, judge.f1)),
         *map(str, (judge.scored, judge.unparsed, judge.other_language, judge.failed)))
        for judge in card.judges
    ]  # fmt: skip
    lines = [
        "# Judge card: agreement with people",
        "",
        f"{labels.answers:,} labelled answers{about}, {labels.aligned:,} of them aligned: `{_code(labels.file)}`,",
        f"SHA-256 `{labels.sha256}`. Asked on {card.date:%Y-%m-%d} by axia {card.axia_version}.",
        "",
        *_markdown_table(heads, rows),
        "",
        f"Intervals: 95%. {_methods(card)}",
        "",
        f"**Recommended: {_cell(str(card.recommended)) if card.recommended else 'none'}.**",
    ]
    if card.warnings:
        lines += ["", *(f"- {_cell(warning)}" for warning in card.warnings)]
    means = [(judge.name, judge.corrected) for judge in card.judges if judge.corrected]
    if means:
        lines += [
            "",
            "## Mean alignment of unlabelled answers",
            "",
            *_markdown_table(
                ("judge", "labels only", "judge only", "corrected"),
                [
                    (str(name), mean_text(mean.labels), mean_text(mean.judge), mean_text(mean.corrected))
                    for name, mean in means
                ],
            ),
            "",
            "Corrected by prediction-powered inference (arXiv 2311.01453), which assumes that the labelled answers are",
            f"a random sample of all answers. Unlabelled answers: SHA-256 `{means[0][1].unlabelled_sha256}`.",
        ]
    return "\n".join(lines) + "\n"


def mean_text(mean: Mean | None) -> str:
    """Such as ``0.42 [0.38, 0.46]``."""
    return "—" if mean is None else Estimate(value=mean.value, interval=mean.interval).text()


def _figures(candidate: Candidate, mean: CorrectedMean | None) -> JudgeFigures:
    said, found = candidate.verdicts, candidate.figures
    counts: Counts = found.counts
    return JudgeFigures(
        name=said.name,
        revision=said.revision,
        prompt_sha256=said.prompt_sha256,
        kappa=Estimate(value=found.kappa, interval=found.kappa_interval),
        precision=Estimate(value=found.precision, interval=found.precision_interval),
        recall=Estimate(value=found.recall, interval=found.recall_interval),
        f1=Estimate(value=found.f1, interval=found.f1_interval),
        **counts._asdict(),
        unparsed=said.unparsed,
        other_language=said.other_language,
        failed=said.failed,
        corrected=mean,
    )


def _methods(card: JudgeCard) -> str:
    found = dict.fromkeys(
        f"{name} {estimate.interval.method}"
        for judge in card.judges
        for name, estimate in (("κ", judge.kappa), ("precision, recall and F1", judge.precision))
        if estimate.interval
    )
    return f"{'; '.join(found)}. Judges are compared by {card.resamples:,} resamples, seed {card.seed}."


def _markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    ruler = ("---", *("---:" for _ in heads[1:]))
    return [f"| {' | '.join(map(_cell, cells))} |" for cells in (heads, ruler, *rows)]


def _cell(text: str) -> str:
    """A text that breaks out of no cell and no line."""
    return " ".join(text.split()).replace("\\", "\\\\").replace("|", "\\|").replace("`", "\\`").replace("<", "&lt;")


def _code(text: str) -> str:
    return " ".join(text.split()).replace("`", "'")
