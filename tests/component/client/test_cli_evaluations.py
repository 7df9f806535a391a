"""The commands of evaluations without servers: wrong usage, and what is missing."""

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axia.cli import app

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})


def said(*arguments: object, code: int) -> str:
    result = runner.invoke(app, list(map(str, arguments)))
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


@pytest.mark.parametrize("command", [["eval", "values_detector", "--models", "a"], ["report", "x"], ["calibrate", "x"]])
def test_a_client_without_inspect_ai_says_what_to_install(command: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "inspect_ai"]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.startswith(("axia.evals.", "axia.report"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    assert "pip install 'axia-vlm[evals]'" in said(*command, code=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["values_detector"], "name the models"),
        (["--models", "a"], "give names of evaluations, or --paper"),
        (["values_detector", "--paper", "2501.03957", "--models", "a"], "give names of evaluations, or --paper"),
        (["--paper", "1706.03762", "--models", "a"], "give one of 2501.03957, 2411.11479"),
        (["values_detector", "--models", "a,a"], "a model is named twice"),
        (["vqa", "--models", "a"], "'vqa' is not an evaluation"),
        (["role_play", "--models", "a", "-T", "strategy=long"], "give simple or isq"),
        (["role_play", "--models", "a", "-T", "strategy"], "has no =: give NAME=VALUE"),
        (["role_play", "--models", "a", "-T", "colour=red"], "colour"),
        (["values_detector", "--models", "a", "-T", "annotations=none.csv"], "none.csv can't be read"),
        (["value_spectrum", "--models", "a", "-T", "manifest=none.jsonl"], "none.jsonl can't be read"),
        (["values_detector", "--models", "a", "--feed", "demo"], "works only with role_play"),
        (["role_play", "--models", "a", "--feed", "nowhere"], "give demo, a folder of videos"),
        (["role_play", "--models", "a", "--feed", "demo", "-T", "platforms=myspace"], "no platform myspace"),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], words: str, tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    assert words in said("eval", *arguments, "--out", tmp_path / "logs", code=2)


def test_a_report_and_a_calibration_of_nothing_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai")
    assert "contains no logs" in said("report", tmp_path, code=1)
    assert "there is no folder" in said("calibrate", tmp_path / "none", code=1)
    assert not (tmp_path / "report").exists()
