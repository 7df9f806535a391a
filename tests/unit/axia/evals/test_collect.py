"""Which logs a report is refused for, and how it says so."""

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("inspect_ai")

from axia.report.collect import ReportError, load

ALIGNMENT = {"kind": "alignment", "paper": "arXiv 2501.03957", "sampling": {}}


def log(
    *,
    model: str = "axia/one",
    status: str = "success",
    samples: tuple[str, ...] = ("a", "b"),
    task: str = "values_detector",
    version: int = 1,
    metadata: dict[str, Any] | None = None,
    arguments: dict[str, Any] | None = None,
    error: str = "",
    task_id: str = "",
    day: int = 1,
) -> dict[str, Any]:
    """A log in inspect_ai's JSON form."""
    failure = {"message": error, "traceback": "", "traceback_ansi": ""} if error else None
    about = {
        "created": f"2026-01-0{day}T00:00:00+00:00",
        "task": f"axia/{task}",
        "task_id": task_id,
        "run_id": "r",
        "eval_id": "e",
        "task_version": version,
        "dataset": {},
        "model": model,
        "config": {},
        "metadata": ALIGNMENT if metadata is None else metadata,
        "task_args": arguments or {},
    }
    made = [
        {
            "id": name,
            "epoch": 1,
            "input": "?",
            "target": "x",
            "metadata": {"picture": name},
            "error": failure,
            "scores": {"alignment": {"value": 1, "answer": "the stove"}},
        }
        for name in samples
    ]
    return {"version": 2, "status": status, "eval": about, "samples": made}


def write(folder: Path, *logs: dict[str, Any]) -> Path:
    for number, content in enumerate(logs):
        content["eval"]["task_id"] = content["eval"]["task_id"] or f"task-{number}"
        (folder / f"2026-01-0{number + 1}T00-00-00_task_{number}.json").write_text(json.dumps(content))
    return folder


def test_models_of_one_task_are_put_side_by_side_and_other_arguments_apart(tmp_path: Path) -> None:
    found = load(write(
        tmp_path, log(model="axia/two"), log(), log(arguments={"seed": 1, "judge": "lexical"}),
        log(task="prompt_variants"),
    ))  # fmt: skip
    assert [evaluation.name for evaluation in found] == [
        "values_detector", "values_detector (seed 1, judge lexical)", "prompt_variants",
    ]  # fmt: skip
    assert [run.model for run in found[0].runs] == ["axia/one", "axia/two"]
    assert [row.score for row in found[0].runs[0].rows] == [1, 1]


@pytest.mark.parametrize(
    ("logs", "said"),
    [
        ([], "contains no logs"),
        ([log(status="error", error="")], "is not complete"),
        ([log(status="started")], "run the same axia eval command again"),
        ([log(error="the model is gone")], "2 samples ended with an error, the first a: the model is gone"),
        ([log(metadata={})], "not an evaluation of axia"),
        ([log(), log()], "two logs of values_detector with axia/one"),
        ([log(), log(model="axia/two", samples=("a", "c"))], "asked about different samples"),
        ([log(version=0)], "version 0 of axia/values_detector, and this release reports version 1"),
    ],
)
def test_what_no_report_can_be_made_of_is_named(tmp_path: Path, logs: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(ReportError) as error:
        load(write(tmp_path, *logs))
    assert said in str(error.value)


def test_a_folder_that_is_not_there_and_a_damaged_log_are_named(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="there is no folder"):
        load(tmp_path / "nothing")
    (tmp_path / "2026-01-01T00-00-00_task_x.eval").write_bytes(b"no zip")
    with pytest.raises(ReportError, match="can't be read"):
        load(tmp_path)


@pytest.mark.parametrize("turned", [False, True])
def test_of_a_run_that_was_killed_and_continued_the_last_attempt_counts(tmp_path: Path, *, turned: bool) -> None:
    logs = [log(status="started", task_id="same", samples=("a",)), log(task_id="same", day=2)]
    (found,) = load(write(tmp_path, *(reversed(logs) if turned else logs)))
    assert len(found.runs[0].rows) == 2
    write(tmp_path, log(task_id="same"), log(status="started", task_id="same", day=2))
    with pytest.raises(ReportError, match="is not complete"):
        load(tmp_path)
