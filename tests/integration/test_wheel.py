"""The client's wheel, installed by itself into an empty environment."""

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import processes

pytest.importorskip("build")

IMPORT = """
import json, pathlib, sys, time
began = time.perf_counter()
import axia
took = time.perf_counter() - began
axia.Client
print(json.dumps({
    "seconds": took,
    "mebibytes": int(pathlib.Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) / 1024,
    "heavy": sorted({"numpy", "torch", "services", "gateway", "suite"} & set(sys.modules)),
}))
"""
DETECTION = """
import sys
import axia
from axia.testing import FakeGateway
with FakeGateway(detections=[["A knife lies within reach.", "There is a knife."]]) as gateway:
    with axia.Client(gateway.address) as client:
        print(client.detect(sys.argv[1], n=2).completions[0].first_sentence)
"""


@pytest.fixture(autouse=True)
def nothing_of_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--installer", "uv", "--outdir", str(out), str(processes.ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    files = sorted(path.name for path in out.iterdir())
    assert [name.split("-")[0] for name in files] == ["axia_vlm", "axia_vlm"]
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", *out.iterdir()], capture_output=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    path = folder / "bin" / "python"
    locked = ["--require-hashes", "--no-deps", "-r", str(processes.ROOT / "requirements" / "client.txt")]
    for what in (locked, ["--no-deps", str(wheel)]):
        command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(path), *what]
        subprocess.run(command, check=True)
    return path


def test_the_wheel_holds_the_client_alone(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"axia", wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"}


def test_importing_it_takes_little(python: Path, tmp_path: Path) -> None:
    subprocess.run([python, "-c", "import axia; axia.Client"], check=True, cwd=tmp_path)  # compiles it
    out = subprocess.run([python, "-c", IMPORT], check=True, cwd=tmp_path, capture_output=True)
    found = json.loads(out.stdout)
    assert found["heavy"] == []
    assert found["mebibytes"] < 80
    assert found["seconds"] < 0.5


def test_its_command_line_shows_help_and_says_what_it_lacks(python: Path, tmp_path: Path) -> None:
    axia = python.with_name("axia")
    shown = subprocess.run([axia, "--help"], check=True, cwd=tmp_path, capture_output=True, text=True)
    assert "detect" in shown.stdout
    for command in ("up", "down"):
        ended = subprocess.run([axia, command], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert "the wheel contains only the client: clone the repository" in " ".join(ended.stderr.split())


def test_it_detects_values_against_a_fake(python: Path, tmp_path: Path) -> None:
    picture = processes.ROOT / "demo" / "gallery" / "study-08-spilled-water.webp"
    command = [python, "-c", DETECTION, str(picture)]
    out = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True)
    assert out.stdout == "A knife lies within reach.\n"
