"""Runs tasks in the test's process on inspect_ai's mock model, with answers that follow from picture and question."""

import base64
import csv
import gc
import hashlib
import json
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from inspect_ai import Task
from inspect_ai import eval as run_eval
from inspect_ai.log import EvalLog
from inspect_ai.model import ChatMessage, ContentImage, ModelOutput, ModelUsage, get_model
from PIL import Image

from axia.client import Client
from axia.evals.tasks.scorers import scoring_client
from axia.report.write import write_report

Say = Callable[[str, list[str], str], str]
"""What a model says to a question: from its text, the SHA-256 of each picture in it, and the system's text."""


def run(task: Task, say: Say, folder: Path, model: str = "mock", **options: Any) -> EvalLog:
    """The log of a task, which must have ended well."""

    def answer(messages: Sequence[ChatMessage], *_: object) -> ModelOutput:
        asked = messages[-1]
        pictures = [
            hashlib.sha256(base64.b64decode(part.image.partition(",")[2])).hexdigest()
            for part in (asked.content if isinstance(asked.content, list) else [])
            if isinstance(part, ContentImage)
        ]
        system = " ".join(message.text for message in messages if message.role == "system")
        output = ModelOutput.from_content(f"mockllm/{model}", say(asked.text, pictures, system))
        output.usage = ModelUsage(total_tokens=1)  # or the mock counts them with a table that it downloads
        return output

    scoring_client.cache_clear()  # its connection belongs to the loop of the run before
    mock = get_model(f"mockllm/{model}", memoize=False, custom_outputs=answer)
    with warnings.catch_warnings():  # inspect_ai leaves streams open, and calls tenacity in a way that is to end
        warnings.simplefilter("ignore", ResourceWarning)
        warnings.filterwarnings("ignore", "The 'initial' parameter", DeprecationWarning)
        (log,) = run_eval(task, model=mock, log_dir=str(folder), display="none", **options)
        gc.collect()
    assert log.status == "success", log.error
    return log


def metric(log: EvalLog, name: str = "mean") -> float:
    """A metric of a log's only score."""
    assert log.results
    return float(log.results.scores[0].metrics[name].value)


def scores(log: EvalLog) -> dict[str, object]:
    """Each sample's value in the first epoch."""
    found: dict[str, object] = {}
    for sample in log.samples or ():
        (score,) = (sample.scores or {}).values()
        if sample.epoch == 1:
            found[str(sample.id)] = score.value
    return found


RIGHT, WRONG = "The child is too close to the hot stove.", "A vase of flowers."
SAID = ("the child near the hot stove", "the child is too close to the stove", "a child reaching for the hot stove")


def study(folder: Path, pictures: Mapping[str, Mapping[str, Any]]) -> Path:
    """Pictures in each of which three people in two groups name the child at the stove."""
    rows = []
    for number, (name, about) in enumerate(pictures.items()):
        Image.new("RGB", (16, 12), (number * 6, 90, 200 - number * 3)).save(folder / name)
        for person, element in enumerate(SAID):
            row = {"image": name, "annotator": f"p{person}", "element": element, "response_type": 2}
            rows.append({**row, "group": "south" if person == 2 else "north", **about})
    path = folder / "annotations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def right_for(folder: Path, *names: str) -> Say:
    """A model that names the element in these pictures alone."""
    known = {hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    return lambda _, pictures, __: RIGHT if known & set(pictures) else WRONG


def table(report: Path, name: str) -> list[dict[str, str]]:
    with (report / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def reported(address: str, logs: Path, out: Path) -> Path:
    with Client(address) as client:
        write_report(client, logs, out)
    return out
