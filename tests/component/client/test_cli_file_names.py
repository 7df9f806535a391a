"""Files whose names are not UTF-8, as cameras and old archives have them: no command fails, and no name is lost."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import axia
from axia._file_names import path_of, written
from axia.cli import app
from axia.testing import FakeGateway
from tests.support import pictures

NAME = os.fsdecode(b"caf\xe9.jpg")
WRITTEN = "file:caf%E9.jpg"


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(detections=["the stove"]) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with such a file, in which commands run."""
    folder = tmp_path / "photos"
    folder.mkdir()
    try:
        (folder / NAME).write_bytes(pictures.photograph(0))
    except OSError:
        pytest.skip("this file system takes UTF-8 names alone")
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def lines(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("photos/a.jpg", "photos/a.jpg"),
        ("100%/é 家族.jpg", "100%/é 家族.jpg"),
        (f"photos/{NAME}", "file:photos/caf%E9.jpg"),
        ("file:caf%E9.jpg", "file:file%3Acaf%25E9.jpg"),
        (os.fsdecode(b"\xff% a.jpg"), "file:%FF%25%20a.jpg"),
    ],
)
def test_a_written_path_stands_for_one_path(path: str, text: str) -> None:
    assert written(path) == text
    assert path_of(text) == path
    text.encode()


def test_a_path_that_only_looks_written_is_itself() -> None:
    assert path_of("file:a.jpg") == "file:a.jpg"


def test_a_detection_of_such_a_file_is_saved_and_gone_on_with(fake: FakeGateway, folder: Path) -> None:
    (row,) = lines(run("detect", NAME, "--json"))
    assert row["image"]["path"] == WRITTEN
    assert [row["path"] for row in lines(run("detect", NAME, "--json", "--stream"))] == [WRITTEN] * 4
    assert WRITTEN in run("detect", folder).stdout
    assert run("detect", NAME, "--stream").stdout.startswith(f"{WRITTEN}  the stove")
    out = folder.parent / "out.jsonl"
    assert run("detect", NAME, "--out", out).exit_code == 0
    asked = len(fake.received)
    assert lines(run("detect", "--resume", out, "--json"))[0]["image"]["path"] == WRITTEN
    assert len(fake.received) == asked
    again = run("replay", out)
    assert (again.exit_code, again.stdout.splitlines()[0]) == (0, WRITTEN)


def test_such_a_file_that_fails_is_told(fake: FakeGateway, folder: Path) -> None:
    (folder / NAME).write_bytes(b"no image")
    result = run("detect", folder, "--json")
    assert lines(result)[0]["image"]["path"] == f"file:{folder}/caf%E9.jpg"
    assert "caf%E9.jpg" in result.stderr
    gone = run("detect", os.fsdecode(b"\xff.jpg"), "--json")
    assert lines(gone)[0]["error"]["reason"] == "FILE_NOT_FOUND"
    assert "there is no image at %FF.jpg" in gone.stderr
    assert lines(run("interest", NAME, "--trait", "x", "--json"))[0]["path"] == WRITTEN
    assert lines(run("watch", folder, "--once", "--json"))[0]["event"] == "error"


def test_such_a_file_is_indexed_by_a_source_that_can_be_turned_back(fake: FakeGateway, folder: Path) -> None:
    (folder / os.fsdecode(b"copy-\xe9.jpg")).write_bytes(pictures.photograph(0))
    (folder / os.fsdecode(b"\xe9.jpg")).write_bytes(b"no image")
    result = run("index", folder, "--json")
    assert result.exit_code == 1, result.output
    (report,) = lines(result)
    assert report["duplicates"] == [[f"file:{folder}/caf%E9.jpg", f"file:{folder}/copy-%E9.jpg"]]
    assert report["rejected"][0]["path"] == f"file:{folder}/%E9.jpg"
    assert lines(run("search", "x", "--json"))[0]["hits"][0]["metadata"]["source"] == WRITTEN


def test_files_of_truths_and_manifests_are_named_as_written(fake: FakeGateway, folder: Path) -> None:
    (folder / "truths.jsonl").write_text(json.dumps({"file": WRITTEN, "element": "stove"}))
    result = run("detect", NAME, "--truths", "truths.jsonl", "--json")
    assert lines(result)[0]["alignment"] == 1
    (folder / "manifest.jsonl").write_text(json.dumps({"file": WRITTEN, "platform": "tiktok"}))
    assert json.loads(run("index", folder, "--json").stdout)["indexed"] == 1


def test_a_result_of_the_sdk_has_the_path_as_given_and_comes_back_from_json(fake: FakeGateway, folder: Path) -> None:
    with axia.Client() as client:
        detection = client.detect(NAME)
    assert detection.image.path == NAME
    assert axia.Detection.model_validate_json(detection.model_dump_json()) == detection
