"""The examples run as they are, against the fake gateway."""

import asyncio
import csv
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import axia
from axia.testing import FakeGateway
from tests.support import pictures, processes


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, processes.ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(detections=["the stove"]) as fake:
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "kitchen"
    folder.mkdir()
    for seed in range(2):
        (folder / f"{seed}.jpg").write_bytes(pictures.photograph(seed))
    return folder


def test_camera_loop(
    fake: FakeGateway, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("camera_loop")
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    module.main(str(folder), fake.address)
    assert "frame 1: the stove" in capsys.readouterr().out


def test_camera_loop_takes_what_is_no_jpeg_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "0.jpg").rename(folder / "0.PNG")
    module = example("camera_loop")
    monkeypatch.setattr(module, "PERIOD_S", 0.01)
    assert [path.name for path in module.frames(str(folder))] == ["0.PNG", "1.jpg"]


@pytest.mark.parametrize("name", ["batch_folder", "robot_node"])
def test_an_example_without_arguments_says_how_it_is_run(name: str) -> None:
    run = subprocess.run(
        [sys.executable, f"examples/{name}.py"], cwd=processes.ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert f"python examples/{name}.py " in run.stderr
    assert "Traceback" not in run.stderr


def test_batch_folder(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    (folder / "bad.png").write_bytes(b"no image")
    fake.fail("RESOURCE_EXHAUSTED", "full", retry_after=0.01, times=1)
    example("batch_folder").main(str(folder), str(tmp_path / "out.csv"), fake.address)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["consensus"] for row in rows] == ["the stove", "the stove", ""]
    assert "is not an image" in rows[2]["error"]


async def test_robot_node(fake: FakeGateway, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = example("robot_node")
    await module.main(str(folder / "0.jpg"), fake.address)
    assert capsys.readouterr().out == "the stove\n"
    fake.latency = 60
    seen = len(fake.received)
    async with axia.AsyncClient(fake.address) as client:
        node = module.Node(client)
        looking = asyncio.create_task(node.look(folder / "0.jpg"))
        while len(fake.received) == seen:
            await asyncio.sleep(0.01)
        node.move()
        assert await looking is None
