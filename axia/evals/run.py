"""Runs tasks on models with inspect_ai's eval sets, which take up again what was interrupted."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from inspect_ai import Task, eval_set
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.log import EvalLog

from axia.evals import _registry
from axia.version import __version__

PAPERS: Mapping[str, tuple[tuple[str, Mapping[str, Any]], ...]] = {
    "2501.03957": (("values_detector", {}), ("prompt_variants", {}), ("system_prompt", {})),
    "2411.11479": (
        ("value_spectrum", {}),
        ("modality", {}),
        ("role_play", {"strategy": "simple"}),
        ("role_play", {"strategy": "isq"}),
    ),
}
"""The tasks of each paper, by its number at arXiv, with their arguments."""

TASKS = tuple(name for name in _registry.__all__ if name != "axia")
"""Names of the tasks."""

_SET = "axia-evaluation.json"


class EvaluationError(ValueError):
    """An evaluation that can't be run as asked; the message says what to do."""


class Outcome(NamedTuple):
    """What came of a run."""

    complete: bool
    """Whether every task has an answer and a score for every sample."""
    logs: list[EvalLog]
    """The logs' headers."""


def model_name(given: str) -> str:
    """A model as inspect_ai names it: one without a provider is a gateway's."""
    return given if "/" in given else f"axia/{given}"


def make_tasks(names: Sequence[tuple[str, Mapping[str, Any]]]) -> list[Task]:
    """The tasks of these names.

    Raises:
        EvaluationError: If there is no such task, or it does not take an argument.
    """
    tasks = []
    for name, arguments in names:
        if name not in TASKS:
            raise EvaluationError(f"{name!r} is not an evaluation: use one of {', '.join(sorted(TASKS))}")
        try:
            made: Task = getattr(_registry, name)(**arguments)
        except TypeError as error:  # an argument that the task does not take, or one that it needs
            raise EvaluationError(f"{name}: {error}; inspect list tasks shows what each takes") from error
        tasks.append(made)
    return tasks


def run(
    names: Sequence[tuple[str, Mapping[str, Any]]],
    models: Sequence[str],
    log_dir: Path,
    *,
    limit: int | None = None,
    epochs: int | None = None,
    connections: int | None = None,
    display: Literal["rich", "plain", "none"] = "plain",
    log_images: bool = False,
    live: bool = False,
) -> Outcome:
    """Evaluates models on tasks; a folder with an interrupted run is gone on with.

    Every tenth sample writes those before it to the log, and its seeds follow from its id and epoch, so a run that was
    killed and started again ends as an unbroken one does.

    Args:
        names: Tasks with their arguments.
        models: Models, as inspect_ai names them, or as the gateway does.
        log_dir: Folder of the logs; one folder, one evaluation.
        limit: Samples of each task at most.
        epochs: Completions of each sample, in place of the task's own.
        connections: Calls to each model at a time.
        display: What is shown while it runs.
        log_images: Whether logs hold the pictures too.
        live: Whether `inspect view` shows samples that are not yet in the log, which costs processor time.

    Raises:
        EvaluationError: If the folder contains another evaluation, or inspect_ai refuses to begin.
    """
    chosen = [model_name(model) for model in models]
    if len(set(chosen)) != len(chosen):
        raise EvaluationError(f"a model is named twice: {', '.join(chosen)}")
    _claim(log_dir, names, chosen, limit, epochs)
    tasks = make_tasks(names)
    try:
        complete, logs = eval_set(
            tasks=tasks,
            log_dir=str(log_dir),
            model=list(chosen),
            limit=limit,
            epochs=epochs,
            max_connections=connections,
            max_samples=connections,
            display=display,
            log_images=log_images,
            log_realtime=live,
            score_display=False,  # metrics of all samples after each one
            retry_attempts=1,
            retry_on_error=1,
            fail_on_error=True,
            metadata={"axia_version": __version__},
        )
    except PrerequisiteError as error:
        raise EvaluationError(_plain(str(error))) from error
    return Outcome(complete, logs)


def _plain(message: str) -> str:
    """A message of inspect_ai's without the marks of its console."""
    for mark in ("[bold]", "[/bold]", "[red]", "[/red]", "[blue]", "[/blue]"):
        message = message.replace(mark, "")
    return message


def _claim(
    log_dir: Path,
    names: Sequence[tuple[str, Mapping[str, Any]]],
    models: Sequence[str],
    limit: int | None,
    epochs: int | None,
) -> None:
    """Writes down what a folder is for, so that two evaluations never share one unnoticed."""
    asked = {
        "tasks": [[name, dict(arguments)] for name, arguments in names],
        "models": list(models),
        "limit": limit,
        "epochs": epochs,
        "files": _file_hashes(names),
    }
    path = log_dir / _SET
    if path.exists():
        before = json.loads(path.read_text(encoding="utf-8"))
        changed = [field for field in asked if asked[field] != before.get(field)]
        if changed:
            raise EvaluationError(
                f"{log_dir} contains another evaluation, with other {' and '.join(changed)}: give another --out, or "
                "the arguments of the first run to continue it"
            )
        return
    log_dir.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(asked, indent=1, sort_keys=True), encoding="utf-8")
    part.replace(path)


def _file_hashes(names: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    """Hashes of the files that arguments name: with another content it is another evaluation.

    Of a folder, such as one of personas or videos, the files that describe what is in it count.
    """
    found: dict[str, str] = {}
    for _, arguments in names:
        for value in arguments.values():
            for one in value.split(",") if isinstance(value, str) else value if isinstance(value, list) else ():
                path = Path(str(one).strip())
                files = sorted(path.glob("*.toml")) + sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
                found |= {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()}
    return found
