"""Detections that commands read again, marks and judges beside them, and answers that are empty."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import axia
from axia.cli import app
from axia.cli._detections.table import DetectionTable
from axia.cli._detections.wording import LEGEND
from axia.testing import FakeGateway
from tests.support import pictures


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    answers = {"They named": "A pot is on the stove.", "needs attention": ["the stove", "a knife", "the stove"]}
    with FakeGateway(answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(pictures.photograph(0))
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


def run(*arguments: object, charset: str = "utf-8") -> Result:
    return CliRunner(charset=charset).invoke(app, [*map(str, arguments)])


@pytest.mark.parametrize("options", [(), ("--stream",)])
def test_pictures_that_failed_are_left_out_of_saved_detections_and_told(
    fake: FakeGateway, folder: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    saved = tmp_path / "saved.jsonl"
    saved.write_text(run("detect", folder, "--truth", "stove", "--json", *options).stdout)
    for command in (("replay", saved), ("judges", "table", saved)):
        result = run(*command)
        assert result.exit_code == 0, result.output
        assert f"left out 1 image that failed: {folder / 'bad.jpg'}" in result.stderr
    compared = run("compare", saved, saved)  # the fake has no statistics; what is left out is told before
    assert compared.stderr.count("left out 1 image that failed") == 2


def test_a_file_of_failures_alone_says_so(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    saved.write_text(run("detect", folder / "bad.jpg", "--json").stdout)
    result = run("replay", saved)
    told = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, "has no detections; 1 image failed" in told) == (2, True)


def test_what_detect_saved_with_out_is_compared_as_detections(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    run("detect", folder, "--truth", "stove", "--out", saved)
    assert "CompareModels needs statistics" in run("compare", saved, saved).stderr


def test_a_judge_model_that_says_neither_is_told_by_detect_and_replay(
    fake: FakeGateway, folder: Path, tmp_path: Path
) -> None:
    asked = ("detect", folder / "0.jpg", "--truth", "stove", "--judge", "model", "--json")
    result = run(*asked)
    assert "fake-vlm judged 0 of 3 answers and gave no verdict on the others" in result.stderr
    assert "Use another model, or add --judge-structured" in result.stderr
    assert "add --judge-structured" not in run(*asked, "--judge-structured").stderr
    saved = tmp_path / "saved.jsonl"
    saved.write_text(result.stdout)
    again = run("replay", saved).stderr
    assert "judged 0 of 3 answers" in again
    assert again.strip().endswith("Use another model")
    assert "gave no verdict" not in run("detect", folder / "0.jpg", "--truth", "stove").stderr


def test_a_replay_has_coloured_marks_and_explains_them(
    fake: FakeGateway, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = tmp_path / "saved.jsonl"
    detected = run("detect", folder / "0.jpg", "--truth", "stove", "--json").stdout
    saved.write_text(detected)
    shown = run("replay", saved).stdout
    assert "#0 same     ✓ the stove" in shown
    assert "#1 same     ✗ a knife" in shown
    assert shown.splitlines()[-1] == LEGEND
    in_ascii = run("replay", saved, charset="ascii").stdout
    assert "#0 same     + the stove" in in_ascii
    assert "#1 same     x a knife" in in_ascii
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[32m✓" in run("replay", saved).stdout
    monkeypatch.delenv("FORCE_COLOR")
    saved.write_text(run("detect", folder / "0.jpg", "--json").stdout)
    assert LEGEND not in run("replay", saved).stdout


@pytest.mark.parametrize("columns", [80, 120])
def test_an_empty_answer_says_that_its_tokens_went_into_reasoning(
    fake: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with axia.Client() as client:
        detection = client.detect(folder / "0.jpg")
    kinds: list[dict[str, Any]] = [
        {"finish_reason": "reasoning", "reasoning": "I see a stove"},
        {"finish_reason": "stop", "reasoning": "I see a stove"},
        {"finish_reason": "stop"},
    ]
    empty = {"first_sentence": "", "text": ""}
    completions = tuple(
        completion.model_copy(update={**empty, **kind})
        for completion, kind in zip(detection.completions, kinds, strict=True)
    )
    table = DetectionTable(judged=False)
    table.summary("0.jpg", detection.model_copy(update={"completions": completions}))
    table.finish(None)
    shown = capsys.readouterr().out
    words = " ".join(shown.replace("descriptive", " ").split())
    assert "(no answer: its tokens went into reasoning; give more with --max-tokens)" in words
    assert "(no answer: the model only reasoned)" in words
    assert "(no answer)" in words
    assert max(map(len, shown.splitlines())) <= columns


def test_a_failure_over_http_is_told_by_its_row(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved.jsonl"
    detected = run("detect", folder / "0.jpg", "--json").stdout
    saved.write_text(detected + json.dumps({"error": {"code": "UNAVAILABLE", "message": "away"}}) + "\n")
    assert "left out 1 image that failed: row 2" in run("replay", saved).stderr
