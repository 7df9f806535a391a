"""The axia command as users run it, against real processes with the scripted engine."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from axia.testing import free_port
from tests.support import processes
from tests.support.pictures import photograph
from tests.support.processes import Suite

KEYS = {
    *("image", "model", "completions", "groups", "consensus", "agreement", "entropy", "abstain", "partial"),
    *("completions_requested", "completions_done", "provenance", "timings_ms"),
    *("abstain_reason", "readings", "values", "alignment", "degraded", "missing"),
}
COMPLETION_KEYS = {
    *("index", "first_sentence", "text", "seed", "temperature", "finish_reason", "tokens", "omitted", "reasoning"),
}


def axia(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AXIA_")}
    return subprocess.run(
        [sys.executable, "-m", "axia", *arguments],
        cwd=processes.ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, file_format in (("a.jpg", "JPEG"), ("b.png", "PNG"), ("c.webp", "WEBP")):
        (tmp_path / name).write_bytes(photograph(len(name), file_format=file_format))
    return tmp_path


def test_detect_prints_one_json_object_a_picture(suite: Suite, folder: Path) -> None:
    result = axia("detect", str(folder), "--json", "-n", "4", "--seed", "3", AXIA_ADDRESS=suite.gateway.address)
    assert result.returncode == 0, result.stderr
    detections = [json.loads(line) for line in result.stdout.splitlines()]
    assert [Path(detection["image"]["path"]).name for detection in detections] == ["a.jpg", "b.png", "c.webp"]
    for detection in detections:
        assert set(detection) == KEYS
        assert all(set(completion) == COMPLETION_KEYS for completion in detection["completions"])
        assert len(detection["completions"]) == 4
        assert detection["provenance"]["seed"] == 3


def test_one_bad_picture_is_reported_and_the_others_are_answered(suite: Suite, folder: Path) -> None:
    (folder / "b.png").write_bytes(b"no image")
    result = axia("detect", str(folder), "--json", "--address", suite.gateway.address)
    assert result.returncode == 1
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert [row["image"]["path"] for row in rows if "error" in row] == [str(folder / "b.png")]
    assert len(rows) == 3
    assert "b.png" in result.stderr
    assert "JPEG, PNG or WebP" in result.stderr


def test_models_names_the_model_and_the_prompts(suite: Suite) -> None:
    result = axia("models", "--json", "--address", suite.gateway.address)
    assert result.returncode == 0, result.stderr
    listed = json.loads(result.stdout)
    assert [status["model"]["name"] for status in listed["models"]] == ["scripted"]
    assert "detect/baseline" in {prompt["id"] for prompt in listed["prompts"]}


def test_without_a_server_it_says_how_to_start_one(folder: Path) -> None:
    result = axia("detect", str(folder / "a.jpg"), "--address", f"127.0.0.1:{free_port()}")
    assert result.returncode == 1
    assert "axia up" in result.stderr


@pytest.fixture
def elsewhere() -> Iterator[dict[str, str]]:
    """A whole suite on other ports, started and stopped by the command itself."""
    environment = {
        "AXIA_INFERENCE_ENGINE": "scripted",
        "AXIA_INFERENCE_ANSWERS": str(processes.ANSWERS),
        **{
            f"AXIA_{part}_{port}": str(free_port())
            for part in ("GATEWAY", "HTTP", "INFERENCE", "RETRIEVAL", "SCORING")
            for port in ("PORT", "METRICS_PORT")
        },
    }
    yield environment
    axia("down", **environment)


def test_up_serves_until_down_and_a_killed_service_comes_back(elsewhere: dict[str, str], folder: Path) -> None:
    started = axia("up", "--detach", **elsewhere)
    assert started.returncode == 0, started.stdout + started.stderr
    address = f"127.0.0.1:{elsewhere['AXIA_GATEWAY_PORT']}"
    assert axia("detect", str(folder / "a.jpg"), "--address", address).returncode == 0

    row = next(line for line in started.stdout.splitlines() if line.strip().startswith("inference"))
    pid = int(row.split()[3])
    os.kill(pid, signal.SIGKILL)
    for _ in range(40):
        answered = axia("detect", str(folder / "a.jpg"), "--address", address)
        if answered.returncode == 0:
            break
    assert answered.returncode == 0, answered.stderr

    assert axia("down", **elsewhere).returncode == 0
    assert axia("detect", str(folder / "a.jpg"), "--address", address).returncode == 1
