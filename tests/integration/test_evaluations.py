"""Evaluations on real servers with scripted models: every task to its end, resuming, statistics, the report."""

import csv
import itertools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from axia.testing import free_port
from tests.support import evaluations, processes
from tests.support.browser import browser_page, needs_chromium
from tests.support.evaluations import axia, scripted_gateway, write_study

pytest.importorskip("inspect_ai")
pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scripted_gateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("study"))


STUDY_TASKS = ("values_detector", "abstention", "annotator_groups")


@pytest.fixture(scope="module")
def detected(address: str, study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Logs of tasks on the study with both models."""
    out = tmp_path_factory.mktemp("logs") / "detected"
    axia(address, "eval", *STUDY_TASKS, "--models", "strong,weak", "--out", out, "-T", f"annotations={study}")
    return out


@pytest.fixture(scope="module")
def report(address: str, detected: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its report."""
    out = tmp_path_factory.mktemp("report")
    axia(address, "report", detected, "--out", out)
    return out


def scores(folder: Path, task: str) -> dict[tuple[str, str, int], object]:
    """Each score of a task's logs, by model, sample and epoch."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    found: dict[tuple[str, str, int], object] = {}
    for info in list_eval_logs(str(folder)):
        log = read_eval_log(info)
        if log.eval.task.rpartition("/")[2] != task:
            continue
        for sample in log.samples or ():
            (score,) = (sample.scores or {}).values()
            found[log.eval.model, str(sample.id), sample.epoch] = (score.value, score.answer)
    assert found, f"{folder} has no scores of {task}"
    return found


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def table(report: Path, name: str) -> list[dict[str, str]]:
    return rows_of(report / "tables" / f"{name}.csv")


def check_page(report: Path) -> None:
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "axia/strong" in page
    assert "axia/weak" in page
    assert "://" not in page


def test_tasks_on_a_study_run_to_their_end_and_have_a_report(report: Path) -> None:
    check_page(report)
    done = {row["evaluation"] for row in table(report, "summary")}
    assert done == set(STUDY_TASKS)
    assert {row["annotators"] for row in table(report, "annotator-groups-groups")} == {"all", "north", "south"}
    assert len(table(report, "risk-coverage")) > 2


def test_tasks_on_pictures_run_to_their_end_and_have_a_report(address: str, tmp_path: Path) -> None:
    given = ("--models", "strong,weak", "--limit", 8)
    axia(
        address, "eval", "value_spectrum", "modality", "wording", "role_play", *given, "--out", tmp_path / "logs" / "a"
    )
    axia(address, "eval", "role_play", "-T", "strategy=isq", *given, "--out", tmp_path / "logs" / "b")
    axia(address, "report", tmp_path / "logs", "--out", tmp_path / "report")
    check_page(tmp_path / "report")
    summary = {(row["evaluation"], row["model"]): row for row in table(tmp_path / "report", "summary")}
    assert len(summary) == 2 * 5
    assert float(summary["value_spectrum", "axia/strong"]["unread"]) == 0
    assert float(summary["value_spectrum", "axia/weak"]["unread"]) == 1  # it answers in German
    (german,) = (row for row in table(tmp_path / "report", "modality-rates") if row["model"] == "axia/weak")
    assert float(german["other language"]) > 0
    assert float(summary["role_play (strategy isq)", "axia/weak"]["unread"]) == 1
    assert (tmp_path / "report" / "tables" / "modality-differences.csv").exists()


def test_role_play_on_a_feed_runs_both_strategies_to_their_end(address: str, tmp_path: Path) -> None:
    pytest.importorskip("mabwiser", reason="needs axia's extra feed: pip install mabwiser")
    personas = [processes.ROOT / "demo" / "personas" / f"{name}.toml" for name in ("luxury-lover", "safety-first")]
    given = ("--models", "strong,weak", "-T", "phase=4", "-T", "sessions=0", "-T", "platforms=tiktok,youtube")
    logs = tmp_path / "logs"
    axia(address, "eval", "role_play", "--feed", "demo", *given, "-T", f"personas={personas[0]},{personas[1]}",
         "--out", logs)  # fmt: skip
    axia(address, "report", logs, "--out", tmp_path / "report")
    check_page(tmp_path / "report")
    for strategy in ("simple", "isq"):
        rows = table(tmp_path / "report", f"role-play--strategy-{strategy}-i-avg")
        assert {(row["model"], row["platform"], row["sessions"]) for row in rows} == {
            (f"axia/{model}", platform, "2") for model in ("strong", "weak") for platform in ("tiktok", "youtube")
        }
    # No answer of the weak model to the questionnaire can be read.
    assert {row["not measurable"] for row in rows if row["model"] == "axia/weak"} == {"2"}
    sessions = table(tmp_path / "report", "role-play--strategy-isq-sessions")
    assert any(row["before"] and row["after"] for row in sessions if row["model"] == "axia/strong")


def test_prompts_and_attempts_run_to_their_end(address: str, study: Path, tmp_path: Path) -> None:
    names, given = ("prompt_variants", "system_prompt", "adversarial"), ("--models", "strong", "--limit", 8, "--json")
    said = axia(address, "eval", *names, *given, "--out", tmp_path, "-T", f"annotations={study}")
    outcome = json.loads(said[said.index("{") :])
    assert outcome["complete"]
    assert {log["status"] for log in outcome["logs"]} == {"success"}


def test_the_weaker_model_is_significantly_worse(report: Path) -> None:
    (pair,) = table(report, "values-detector-pairs")
    assert (pair["first"], pair["second"]) == ("axia/strong", "axia/weak")
    assert float(pair["difference"]) > 0.6
    assert float(pair["p (Holm)"]) < 0.01


def test_statistics_equal_statsmodels_on_the_exported_answers(report: Path) -> None:
    from statsmodels.stats.contingency_tables import cochrans_q, mcnemar
    from statsmodels.stats.multitest import multipletests

    by_model: dict[str, dict[str, list[int]]] = {}
    for row in rows_of(report / "answers.csv"):
        if row["evaluation"] != "values_detector":
            continue
        by_model.setdefault(row["model"], {}).setdefault(row["picture"], []).append(int(row["score"]))
    models = sorted(by_model)
    pictures = sorted(by_model[models[0]])
    majority = np.array([[sum(by_model[m][p]) * 2 > len(by_model[m][p]) for m in models] for p in pictures], dtype=int)

    means = {row["model"]: float(row["mean"]) for row in table(report, "values-detector-alignment")}
    assert means == {
        m: pytest.approx(np.mean([np.mean(picture_scores) for picture_scores in by_model[m].values()])) for m in models
    }
    by_picture, by_completion = table(report, "values-detector-cochran")
    expected = cochrans_q(majority)
    assert float(by_picture["Q"]) == pytest.approx(expected.statistic)
    assert float(by_picture["p (chi-squared)"]) == pytest.approx(expected.pvalue)
    flat = np.array([list(itertools.chain(*(by_model[m][p] for p in pictures))) for m in models]).T
    assert float(by_completion["Q"]) == pytest.approx(cochrans_q(flat).statistic)

    rows = table(report, "values-detector-pairs")
    p_values = []
    for row in rows:
        first, second = (majority[:, models.index(row[side])] for side in ("first", "second"))
        both = [[int(np.sum((first == a) & (second == b))) for b in (1, 0)] for a in (1, 0)]
        p_values.append(mcnemar(both, exact=True).pvalue)
    assert [float(row["p"]) for row in rows] == pytest.approx(p_values)
    assert [float(row["p (Holm)"]) for row in rows] == pytest.approx(multipletests(p_values, method="holm")[1])


def test_a_killed_run_goes_on_and_ends_as_an_unbroken_one(
    address: str, study: Path, detected: Path, tmp_path: Path
) -> None:
    out = tmp_path / "logs"
    arguments = ("eval", "values_detector", "--models", "strong,weak", "--out", out, "-T", f"annotations={study}",
                 "--connections", 1)  # fmt: skip
    running = subprocess.Popen(
        evaluations.command(address, *arguments), cwd=processes.ROOT, env=evaluations.environment(),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not any(path.suffix == ".eval" for path in out.glob("*")):
        time.sleep(0.02)
    time.sleep(0.4)
    assert running.poll() is None, "it ended before it could be killed"
    os.killpg(running.pid, signal.SIGKILL)
    running.wait(10)
    refused = axia(address, "report", out, "--out", tmp_path / "report", code=1)
    assert "not complete" in refused
    assert not (tmp_path / "report").exists()
    axia(address, *arguments)
    axia(address, "report", out, "--out", tmp_path / "report")
    assert scores(out, "values_detector") == scores(detected, "values_detector")


def test_completions_at_temperature_1_differ(detected: Path) -> None:
    by_picture: dict[tuple[str, str], set[object]] = {}
    for (model, sample, _), said in scores(detected, "values_detector").items():
        by_picture.setdefault((model, sample), set()).add(said)
    assert sum(len(answers) > 1 for answers in by_picture.values()) > 8  # three draws of four answers, 12 pictures


def test_identical_pictures_under_different_names_are_asked_about_one_by_one(
    address: str, study: Path, tmp_path: Path
) -> None:
    manifest = study.parent / "same.jsonl"
    row = {"file": "scene-00.png", "values": ["power"], "keywords": []}
    rows = [row | {"keywords": [word]} for word in ("crown", "throne", "gold", "castle")]
    manifest.write_text("".join(json.dumps(entry) + "\n" for entry in rows), encoding="utf-8")
    arguments = (
        f"manifest={manifest}",
        "temperature=1",
        "cache=true",
        f"seed={time.time_ns() % 2**31}",
    )  # not cached yet
    given = ("--models", "strong", "--epochs", 3, *itertools.chain(*(("-T", argument) for argument in arguments)))
    axia(address, "eval", "value_spectrum", *given, "--out", tmp_path / "first")
    calls = calls_of(tmp_path / "first")
    assert len(calls) == 12  # four samples, three epochs
    assert not any(calls)  # nothing from a cache
    axia(address, "eval", "value_spectrum", *given, "--out", tmp_path / "second")
    assert all(calls_of(tmp_path / "second"))
    assert scores(tmp_path / "first", "value_spectrum") == scores(tmp_path / "second", "value_spectrum")


def calls_of(folder: Path) -> list[bool]:
    """For the first call of each sample whether it came from the cache."""
    from inspect_ai.event import ModelEvent
    from inspect_ai.log import list_eval_logs, read_eval_log

    found = []
    for info in list_eval_logs(str(folder)):
        for sample in read_eval_log(info).samples or ():
            first = next(event for event in sample.events if isinstance(event, ModelEvent))
            found.append(first.cache == "read")
    return found


def test_a_model_that_is_not_there_is_named_and_leaves_no_report(address: str, study: Path, tmp_path: Path) -> None:
    said = axia(address, "eval", "values_detector", "--models", "gone", "--out", tmp_path / "logs", "--limit", 2,
                "-T", f"annotations={study}", code=1)  # fmt: skip
    assert "gone" in said
    assert "to continue in" in said
    assert "not complete" in axia(address, "report", tmp_path / "logs", code=1)


def test_a_gateway_that_is_down_is_named(study: Path, tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    said = axia(nowhere, "eval", "values_detector", "--models", "strong", "--out", tmp_path, "-T",
                f"annotations={study}", code=1)  # fmt: skip
    assert nowhere in said


def test_a_folder_holds_one_evaluation(address: str, study: Path, detected: Path) -> None:
    said = axia(address, "eval", "values_detector", "--models", "strong", "--out", detected, "-T",
                f"annotations={study}", code=2)  # fmt: skip
    assert "contains another evaluation" in " ".join(said.split())


@needs_chromium
async def test_the_report_opens_in_a_browser_without_errors_and_requests(report: Path, tmp_path: Path) -> None:
    address = (report / "report.html").as_uri()
    async with browser_page(tmp_path / "profile") as page:
        for width in (1280, 390):
            await page.send(
                "Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 500
            )
            await page.open(address)
            assert await page.run("document.documentElement.scrollWidth <= innerWidth")
        unnamed = "th:not([scope]), img:not([alt]), svg:not(:has(title))"
        assert await page.run(f"document.querySelectorAll('{unnamed}').length") == 0
        cards = await page.run("document.querySelectorAll('.card').length")
        shown = "[...document.querySelectorAll('.card')].filter(card => !card.hidden).length"
        assert await page.run(shown) == min(24, cards)
        await page.run("q.value = 'scene-03'; q.dispatchEvent(new Event('input'))")
        assert 0 < await page.run(shown) < cards
        assert {url for url in page.requested if not url.startswith("data:")} == {address}
        assert page.logged == []
