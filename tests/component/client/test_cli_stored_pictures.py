"""`axia list`, `axia delete` and `axia purge`, and indexing again with other metadata."""

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
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FakeGateway() as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(fake: FakeGateway, tmp_path: Path) -> Path:
    """Four pictures that are indexed, two of them from another platform."""
    folder = tmp_path / "feed"
    folder.mkdir()
    rows = []
    for seed in range(4):
        (folder / f"{seed}.jpg").write_bytes(pictures.photograph(seed))
        platform, day = ("tiktok", "youtube")[seed % 2], f"2024-09-0{seed + 1}T12:00:00Z"
        rows.append({"file": f"{seed}.jpg", "platform": platform, "source": f"post {seed}", "capture_time": day})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("index", folder).exit_code == 0
    return folder


def sources(*options: str) -> list[str]:
    result = run("list", *options, "--json")
    assert result.exit_code == 0, result.stderr
    return sorted(json.loads(line)["metadata"]["source"] for line in result.stdout.splitlines())


def test_pictures_are_listed_as_a_table_and_as_json(folder: Path) -> None:
    assert sources() == ["post 0", "post 1", "post 2", "post 3"]
    table = run("list", "--source", "post 1")
    (line,) = table.stdout.splitlines()
    assert line.split("  ")[1:] == ["youtube", "2024-09-02T12:00:00+00:00", "post 1"]
    assert table.stderr.strip() == "1 image"


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--platform", "tiktok"], ["post 0", "post 2"]),
        (["--source", "post 0", "--source", "post 3"], ["post 0", "post 3"]),
        (["--from", "2024-09-03"], ["post 2", "post 3"]),
        (["--from", "2024-09-02", "--before", "2024-09-03"], ["post 1"]),
        (["--platform", "none"], []),
    ],
)
def test_options_choose_what_is_listed_and_deleted(folder: Path, options: list[str], wanted: list[str]) -> None:
    assert sources(*options) == wanted
    result = run("delete", *options)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.split()[0] == str(len(wanted))
    assert sources() == sorted({"post 0", "post 1", "post 2", "post 3"} - set(wanted))


def test_pictures_and_options_exclude_each_other(folder: Path) -> None:
    for arguments in ((), (folder / "0.jpg", "--platform", "tiktok")):
        result = run("delete", *arguments)
        assert result.exit_code == 2
        assert "not both" in " ".join(result.stderr.replace("│", " ").split())
    assert len(sources()) == 4


def test_a_purge_says_what_it_removed(fake: FakeGateway, folder: Path) -> None:
    result = run("purge")
    assert (result.exit_code, result.stdout.strip()) == (0, "Purged; 0 files without an image were removed")
    assert json.loads(run("purge", "--json").stdout) == {"orphans": 0, "without_bytes": 0}
    fake.fail("UNAVAILABLE", "the index can't be built again", times=1, method="PurgeImages")
    failed = run("purge")
    assert failed.exit_code == 1
    assert "the index can't be built again" in failed.stderr


def test_indexing_again_replaces_metadata_if_that_is_asked(folder: Path) -> None:
    rows = [json.loads(line) for line in (folder / "manifest.jsonl").read_text().splitlines()]
    rows[0]["source"] = "told again"
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert run("index", folder).exit_code == 0
    assert "told again" not in sources()
    assert run("index", folder, "--update").exit_code == 0
    assert sources() == ["post 1", "post 2", "post 3", "told again"]
