"""The benchmark with real processes: the row that needs no model."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from loadtests.benchmark.__main__ import app
from loadtests.benchmark.table import Benchmark


def test_a_row_is_measured_and_written(tmp_path: Path) -> None:
    chosen = ["isq", "--concurrency", "1", "--repetitions", "2", "--seconds", "1", "--out", str(tmp_path)]
    ended = CliRunner().invoke(app, chosen)
    assert ended.exit_code == 0, ended.output
    found = Benchmark.model_validate_json((tmp_path / "bench.json").read_text())
    (row,) = found.rows
    assert (row.side, row.rival, row.concurrency) == ("ScoreIsq", "grpc.aio echo", 1)
    assert 0 < row.ratio.median < 2
    assert {side.side: len(side.repetitions) for side in found.sides} == {"ScoreIsq": 2, "grpc.aio echo": 2}
    for side in found.sides:
        for repetition in side.repetitions:
            assert repetition.calls > 0
            assert not repetition.errors
            assert repetition.processor_s["client"] > 0
            assert repetition.memory_mib > 10
    assert "| ScoreIsq, calls/s | 1 | ScoreIsq | grpc.aio echo |" in (tmp_path / "bench.md").read_text()


def test_a_row_that_is_not_there_is_named() -> None:
    ended = CliRunner().invoke(app, ["isqq"])
    assert ended.exit_code == 2
    assert "there is no row 'isqq': use some of early-stop" in ended.output


def test_without_a_gpu_the_rows_for_one_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.benchmark.__main__.on_gpu", lambda: False)
    ended = CliRunner().invoke(app, ["early-stop", "--gpu"])
    assert ended.exit_code == 2
    assert "make setup ENGINE=gpu" in ended.output


def test_rows_that_cannot_be_measured_here_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loadtests.benchmark.rows.find_spec", lambda name: None)
    ended = CliRunner().invoke(app, ["smg", "--concurrency", "8"])
    assert ended.exit_code == 2
    assert "the module vllm is not installed" in ended.output
