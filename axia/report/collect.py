"""Reads logs of evaluations into rows, and refuses what would make a report look whole that isn't."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from inspect_ai.log import EvalLog, EvalLogInfo, EvalSample, list_eval_logs, read_eval_log

KINDS = ("alignment", "abstention", "preference", "adversarial", "role_play", "role_play_feed", "choice")
_ORDER = (
    "values_detector", "prompt_variants", "system_prompt", "annotator_groups", "domains", "synthetic_real",
    "abstention", "value_spectrum", "modality", "wording", "role_play", "adversarial", "choice",
)  # fmt: skip
"""Tasks as a report has them: first the study, then what varies it."""
_TASK_VERSION = 1
"""The form of the tasks' metadata and scores."""


class ReportError(ValueError):
    """Logs that no report can be made of; the message says what to do."""


class Row(NamedTuple):
    """One answer with its score."""

    sample: str
    """Id of the sample."""
    epoch: int
    """Number of the completion, from 1."""
    picture: str
    """The picture: the cluster of intervals."""
    score: int | None
    """1 or 0; None where it could not be read or judged."""
    answer: str
    """What counts of the answer."""
    metadata: dict[str, Any]
    """The sample's."""
    reading: dict[str, Any]
    """The score's: such as response type, verdict and agreement."""
    produced: dict[str, Any]
    """What produced it: model, revision, engine, seed."""


class Run(NamedTuple):
    """One model on one evaluation."""

    model: str
    log: EvalLog
    rows: tuple[Row, ...]


class Evaluation(NamedTuple):
    """One evaluation of one model or more."""

    task: str
    name: str
    """The task, with its arguments where several runs of it differ."""
    kind: str
    about: dict[str, Any]
    """The task's metadata."""
    runs: tuple[Run, ...]


def load(folder: Path) -> list[Evaluation]:
    """The evaluations of a folder of logs.

    Raises:
        ReportError: If there are none, one is not complete, is no evaluation of axia's, is of an older form, or models
            were asked about different samples.
    """
    if not folder.exists():
        raise ReportError(f"there is no folder {folder}: give the folder that axia eval wrote to")
    found = list_eval_logs(str(folder))
    if not found:
        raise ReportError(f"{folder} contains no logs: give the folder that axia eval wrote to")
    groups: dict[tuple[str, str], list[Run]] = {}
    for name, log in _latest(found):
        _check(log, name)
        key = (log.eval.task.rpartition("/")[2], repr(sorted(_arguments(log).items())))
        runs = groups.setdefault(key, [])
        if any(run.model == log.eval.model for run in runs):
            raise ReportError(
                f"{folder} has two logs of {key[0]} with {log.eval.model}: move one of them to another folder"
            )
        runs.append(Run(log.eval.model, log, tuple(map(_row, log.samples or ()))))
    evaluations = []
    for (name, _), runs in groups.items():
        log = runs[0].log
        others = [_arguments(other[0].log) for (named, _), other in groups.items() if named == name]
        differing = [f"{k} {v}" for k, v in _arguments(log).items() if any(other.get(k) != v for other in others)]
        differ = f" ({', '.join(differing)})" if differing else ""
        _check_same_samples(name, runs)
        about = log.eval.metadata or {}
        runs.sort(key=lambda run: run.model)
        evaluations.append(Evaluation(name, name + differ, about["kind"], about, tuple(runs)))
    order = {name: place for place, name in enumerate(_ORDER)}
    return sorted(evaluations, key=lambda evaluation: (order.get(evaluation.task, len(order)), evaluation.name))


def _latest(found: Sequence[EvalLogInfo]) -> list[tuple[str, EvalLog]]:
    """The last attempt at each task with each model: a run that was killed leaves its first attempt's log behind."""
    latest: dict[tuple[str, str], tuple[str, EvalLog]] = {}
    for info in found:
        try:
            log = read_eval_log(info)
        except Exception as error:  # inspect_ai raises many types for files that it can't read
            raise ReportError(
                f"{info.name} can't be read ({error}): run axia eval again, or move the file to another folder"
            ) from error
        before = latest.get((log.eval.task_id, log.eval.model))
        if before is None or before[1].eval.created < log.eval.created:
            latest[log.eval.task_id, log.eval.model] = (info.name, log)
    return list(latest.values())


def _arguments(log: EvalLog) -> dict[str, Any]:
    return {name: value for name, value in log.eval.task_args.items() if value not in (None, {})}


def _check(log: EvalLog, name: str) -> None:
    if (log.eval.metadata or {}).get("kind") not in KINDS:
        raise ReportError(
            f"{name} is a log of {log.eval.task}, which is not an evaluation of axia: move the file to another folder"
        )
    if log.eval.task_version != _TASK_VERSION:
        raise ReportError(
            f"{name} is a log of version {log.eval.task_version} of {log.eval.task}, and this release reports version "
            f"{_TASK_VERSION}: run the evaluation again, or create the report with the release of axia that wrote it"
        )
    if log.status != "success":
        why = f": {log.error.message}" if log.error else ""
        raise ReportError(
            f"{log.eval.task} with {log.eval.model} is not complete (status {log.status}{why}): run the same axia eval "
            "command again to continue it"
        )
    if failed := [sample for sample in log.samples or () if sample.error]:
        raise ReportError(
            f"{log.eval.task} with {log.eval.model}: {len(failed)} samples ended with an error, the first "
            f"{failed[0].id}: {failed[0].error.message if failed[0].error else ''}; run axia eval again"
        )


def _check_same_samples(name: str, runs: Sequence[Run]) -> None:
    first = {(row.sample, row.epoch) for row in runs[0].rows}
    for run in runs[1:]:
        other = {(row.sample, row.epoch) for row in run.rows}
        if first != other:
            raise ReportError(
                f"{name}: {runs[0].model} and {run.model} were asked about different samples ({len(first ^ other)} of "
                "them); run both with the same --limit and --epochs"
            )


def _row(sample: EvalSample) -> Row:
    score = next(iter((sample.scores or {}).values()), None)
    value = score.value if score else None
    number = float(value) if isinstance(value, int | float) else math.nan
    return Row(
        str(sample.id),
        sample.epoch,
        str(sample.metadata.get("picture", sample.id)),
        None if math.isnan(number) else int(number),
        (score.answer or "") if score else "",
        sample.metadata,
        (score.metadata or {}) if score else {},
        sample.store.get("produced") or {},
    )
