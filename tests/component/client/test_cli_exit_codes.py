"""Exit codes: every command ends with 2 if a server refuses an option, and with 1 if it fails otherwise."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.testing import FakeGateway
from tests.support import pictures


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    with FakeGateway(images=[pictures.photograph(0)]) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def files(fake: FakeGateway, tmp_path: Path) -> dict[str, str]:
    """What commands take: a folder with a picture, its detection, labels, ratings, an assessment."""
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "0.jpg").write_bytes(pictures.photograph(0))
    saved = {name: tmp_path / name for name in ("detections", "labels", "ratings", "assessment")}
    saved["detections"].write_text(run("detect", folder, "--truth", "stove", "--judge", "model", "--json").stdout)
    saved["labels"].write_text('{"answer": "a", "element": "a", "aligned": 1}\n')
    saved["ratings"].write_text('{"unit": "1", "annotator": "a", "category": "x"}\n')
    assert run("preference", "--value", "power", "-k", 1, "--out", saved["assessment"]).exit_code == 0
    return {"folder": str(folder), **{name: str(path) for name, path in saved.items()}}


@pytest.mark.parametrize(
    "command",
    [
        "detect {folder}",
        "watch {folder} --once",
        "interest {folder} --trait x",
        "index {folder}",
        "search stove",
        "search --value power",
        "search --image {folder}/0.jpg",
        "stats",
        "delete " + "f" * 64,
        "reindex",
        "reindex a/b",
        "preference",
        "replay {detections}",
        "compare {assessment} {assessment}",
        "compare {detections} {detections}",
        "agreement {ratings}",
        "models",
        "judges audit {labels}",
        "judges table {detections} --truths {truths}",
    ],
)
def test_a_refused_option_ends_with_2_and_a_failure_with_1(
    fake: FakeGateway, files: dict[str, str], command: str, tmp_path: Path
) -> None:
    truths = tmp_path / "truths.jsonl"
    truths.write_text(json.dumps({"file": "photos/0.jpg", "element": "stove", "accept": []}))
    arguments = [word.format(**files, truths=truths) for word in command.split()]
    fake.fail("INVALID_ARGUMENT", "k: must be 1 to 16, and is 99", reason="OUT_OF_RANGE", field="k")
    result = run(*arguments)
    assert (result.exit_code, "k: must be 1 to 16, and is 99" in result.stderr) == (2, True)
    fake.fail("OK")
    fake.fail("INTERNAL", "broken", reason="BROKEN")
    assert run(*arguments).exit_code == 1


def test_a_picture_that_a_server_refuses_is_no_wrong_usage(fake: FakeGateway, files: dict[str, str]) -> None:
    fake.fail("INVALID_ARGUMENT", "image.data: is not an image", reason="IMAGE_UNREADABLE", field="image.data")
    assert run("search", "--image", f"{files['folder']}/0.jpg").exit_code == 1
    assert run("index", files["folder"]).exit_code == 1
    assert run("replay", files["detections"]).exit_code == 1


def test_a_platform_that_every_picture_is_refused_for_is_wrong_usage(fake: FakeGateway, files: dict[str, str]) -> None:
    result = run("index", files["folder"], "--platform", "Tik Tok")
    assert (result.exit_code, "such as tiktok" in result.stderr) == (2, True)
    (Path(files["folder"]) / "manifest.jsonl").write_text('{"file": "0.jpg", "platform": "Tik Tok"}\n')
    assert run("index", files["folder"]).exit_code == 1  # what is wrong is in the manifest
