"""Names of files as archives of other systems leave them, against the fake gateway."""

import json
import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from axia._file_names import written
from axia.cli import app
from axia.cli._detections.frames import without_password
from axia.testing import FakeGateway
from tests.support import pictures

LATIN = b"caf\xe9.jpg"
"""As an archive from Windows is unpacked: bytes that are not UTF-8."""


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with FakeGateway(answers={"needs attention": "the stove"}) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / os.fsdecode(b"gr\xfc\xdfe")
    folder.mkdir()
    for number, name in enumerate((LATIN, b"a\nb.jpg", b"-n.jpg", b"dir\\c.jpg")):
        Path(folder, os.fsdecode(name)).write_bytes(pictures.photograph(number))
    return folder


@pytest.mark.usefixtures("fake")
def test_a_name_that_is_not_utf_8_is_asked_about_printed_and_gone_on_with(folder: Path, tmp_path: Path) -> None:
    printed = run("detect", folder, "-n", 1, "--json")
    assert printed.exit_code == 0, printed.output
    paths = [json.loads(line)["image"]["path"] for line in printed.stdout.splitlines()]
    assert written(str(Path(folder, os.fsdecode(LATIN)))) in paths
    saved = tmp_path / "saved.jsonl"
    assert run("detect", folder, "-n", 1, "--out", saved).exit_code == 0
    before = saved.read_bytes()
    assert run("detect", "--resume", saved).exit_code == 0
    assert saved.read_bytes() == before  # nothing was asked again
    watched = run("watch", folder, "--once", "--json")
    assert (watched.exit_code, len(watched.stdout.splitlines())) == (0, 4)


@pytest.mark.usefixtures("fake")
def test_a_folder_and_its_files_whose_names_are_not_utf_8_are_indexed(folder: Path) -> None:
    indexed = run("index", folder, "--json")
    assert indexed.exit_code == 0, indexed.output
    assert json.loads(indexed.stdout)["indexed"] == 4
    found = run("search", "caf", "--json")
    assert found.exit_code == 0, found.output
    assert '"source":"file:caf%E9.jpg"' in found.stdout


@pytest.mark.usefixtures("fake")
def test_a_list_names_pictures_in_another_spelling_than_the_disk(tmp_path: Path) -> None:
    folder = tmp_path / "home"
    (folder / "küche").mkdir(parents=True)
    name = unicodedata.normalize("NFD", "küche/frühstück.jpg")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(pictures.photograph(1))
    (folder / "truths.jsonl").write_text(
        '{"file": "küche\\\\frühstück.jpg", "element": "the stove"}\n', encoding="utf-8"
    )
    judged = run("detect", folder, "-n", 1, "--json", "--truths", folder / "truths.jsonl")
    assert judged.exit_code == 0, judged.output
    assert "match no image" not in judged.stderr
    (folder / "manifest.jsonl").write_text('{"file": "küche/frühstück.jpg", "platform": "tiktok"}\n', encoding="utf-8")
    indexed = run("index", folder, "--json")
    assert json.loads(indexed.stdout)["indexed"] == 1, indexed.output


@pytest.mark.usefixtures("fake")
def test_a_jpeg_that_a_browser_of_windows_saved_is_a_picture(tmp_path: Path) -> None:
    (tmp_path / "a.jfif").write_bytes(pictures.photograph(1))
    (tmp_path / "b.JPE").write_bytes(pictures.photograph(2))
    found = run("detect", tmp_path, "-n", 1, "--json")
    assert (found.exit_code, len(found.stdout.splitlines()), found.stderr) == (0, 2, "")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://admin:p@ss@cam:554/live", "rtsp://cam:554/live"),
        ("rtsp://admin:pa/ss@cam/live", "rtsp://cam/live"),
        ("http://cam:81/live@2", "http://cam:81/live@2"),
        ("http://cam/video.cgi?user=admin&pwd=secret", "http://cam/video.cgi?…"),
    ],
)
def test_an_address_is_shown_without_its_password(address: str, shown: str) -> None:
    assert without_password(address) == shown
