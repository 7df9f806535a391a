"""`axia index` and `axia search` against the fake gateway."""

import json
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pictures
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import axia
from axia.cli import app
from axia.cli._journal import Journal
from axia.testing import FakeGateway


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
def folder(tmp_path: Path) -> Path:
    """Four pictures, one of them in a folder below, one a copy and one alike; and one that is none."""
    folder = tmp_path / "feed"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(3):
        (folder / f"{seed}.jpg").write_bytes(pictures.photograph(seed))
    (folder / "deeper" / "copy.jpg").write_bytes(pictures.photograph(0))
    with Image.open(folder / "1.jpg") as picture:
        picture.save(folder / "1.png")
    (folder / ".hidden.jpg").write_bytes(b"")
    return folder


def test_all_pictures_below_are_indexed_and_copies_told(fake: FakeGateway, folder: Path) -> None:
    result = run("index", folder, "--platform", "tiktok")
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "4 indexed, 1 was there already, 0 refused" in words
    assert f"{folder / '0.jpg'} = {folder / 'deeper' / 'copy.jpg'}" in words
    assert "pairs that look alike: 1" in words
    request: Any = fake.received[-1].request
    assert (request.metadata.platform, request.metadata.source) == ("tiktok", "0.jpg")
    assert not Journal(folder, fake.address).path.exists()


def test_refused_files_are_listed_with_their_reasons(fake: FakeGateway, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    result = run("index", folder)
    assert result.exit_code == 1
    assert "2 refused" in result.stdout
    assert "1 refused with IMAGE_UNREADABLE" in result.stderr
    assert "gone.jpg: the file is gone" in result.stderr


def test_json_has_everything(fake: FakeGateway, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no picture")
    report = json.loads(run("index", folder, "--json").stdout)
    assert (report["indexed"], report["known"], report["skipped"]) == (4, 1, 0)
    assert report["rejected"][0]["reason"] == "IMAGE_UNREADABLE"
    assert len(report["duplicates"]) == len(report["near_duplicates"]) == 1


def test_a_run_that_broke_off_goes_on_behind_what_was_acknowledged(
    fake: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from axia.client import Client

    real = Client.index_images

    def interrupted(self: Client, images: Any) -> Iterator[Any]:
        for number, result in enumerate(real(self, images)):
            yield result
            if number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Client, "index_images", interrupted)
    result = run("index", folder)
    assert result.exit_code == 130
    assert "3 pictures are left: the same command goes on" in result.stderr
    monkeypatch.setattr(Client, "index_images", real)
    # A file that changed since counts as new.
    (folder / "0.jpg").write_bytes(pictures.photograph(7))
    report = json.loads(run("index", folder, "--json").stdout)
    assert report["skipped"] == 1
    assert report["indexed"] + report["known"] == 4
    assert json.loads(run("index", folder, "--json").stdout)["skipped"] == 0


def test_a_failure_says_how_to_go_on(fake: FakeGateway, folder: Path) -> None:
    fake.fail("RESOURCE_EXHAUSTED", "the disk is full", reason="DISK_FULL")
    result = run("index", folder)
    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert "the same command goes on" in result.stderr


@pytest.mark.parametrize("how", ["exif", "mtime", "none"])
def test_the_time_of_capture_may_come_from_the_file(fake: FakeGateway, tmp_path: Path, how: str) -> None:
    import os

    folder = tmp_path / "one"
    folder.mkdir()
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2024:08:01 12:00:00"
    exif.get_ifd(0x8769)[0x9011] = "+02:00"
    Image.new("RGB", (9, 9)).save(folder / "a.jpg", exif=exif)
    os.utime(folder / "a.jpg", (1_700_000_000, 1_700_000_000))
    assert run("index", folder, "--capture-time", how).exit_code == 0
    metadata = fake.received[-1].request.metadata  # type: ignore[attr-defined]  # an IndexImagesRequest
    expected = {
        "exif": datetime(2024, 8, 1, 10, tzinfo=UTC), "mtime": datetime.fromtimestamp(1_700_000_000, UTC), "none": None,
    }[how]  # fmt: skip
    assert (metadata.capture_time.ToDatetime(UTC) if metadata.HasField("capture_time") else None) == expected


@pytest.mark.filterwarnings(r"ignore:::PIL\.")
def test_an_odd_date_in_exif_costs_neither_the_run_nor_the_picture(fake: FakeGateway, tmp_path: Path) -> None:
    """As cameras and editors write them: type, count and value of DateTimeOriginal, and of OffsetTimeOriginal."""
    at_noon = b"2024:05:01 12:00:00\0"
    date, offset = 0x9003, 0x9011
    cases: dict[str, list[tuple[int, int, int, bytes]]] = {
        "bytes": [(date, 7, 20, at_noon)],
        "numbers": [(date, 1, 20, at_noon)],
        "a number": [(date, 4, 1, struct.pack("<I", 12345))],
        "three numbers": [(date, 3, 3, struct.pack("<HHH", 1, 2, 3))],
        "a fraction": [(date, 5, 1, struct.pack("<II", 1, 0))],
        "empty": [(date, 2, 1, b"\0")],
        "outside the file": [(date, 2, 99_999, at_noon)],
        "blank offset": [(date, 2, 20, at_noon), (offset, 2, 7, b"   :  \0")],
        "number as offset": [(date, 2, 20, at_noon), (offset, 4, 1, struct.pack("<I", 2))],
        "good": [(date, 2, 20, at_noon), (offset, 2, 7, b"+02:00\0")],
    }
    folder = tmp_path / "odd"
    folder.mkdir()
    for number, (name, entries) in enumerate(cases.items()):
        (folder / f"{name}.jpg").write_bytes(pictures.photograph(number, exif=exif_with(entries)))
    assert run("index", folder, "--capture-time", "exif", "--fresh").exit_code == 0
    local = datetime(2024, 5, 1, 12).astimezone()
    times = {
        hit.metadata.source: hit.metadata.capture_time for hit in axia.Client(fake.address).search_text("x", k=50).hits
    }
    assert len(times) == len(cases)
    assert times.pop("good.jpg") == datetime(2024, 5, 1, 10, tzinfo=UTC)
    with_time = {name for name, moment in times.items() if moment is not None}
    assert with_time == {"bytes.jpg", "blank offset.jpg", "number as offset.jpg"} | (with_time & {"numbers.jpg"})
    assert {times[name] for name in with_time} == {local}


def exif_with(entries: list[tuple[int, int, int, bytes]]) -> bytes:
    """EXIF whose sub-directory has these entries."""
    start = 8 + 2 + 12 + 4
    at, inner, data = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, kind, count, value in entries:
        inner += struct.pack("<HHI", tag, kind, count)
        if len(value) <= 4:
            inner += value.ljust(4, b"\0")
        else:
            inner += struct.pack("<I", at + len(data))
            data += value
    head = struct.pack("<IHHHIII", 8, 1, 0x8769, 4, 1, start, 0)
    return b"Exif\0\0II*\0" + head + struct.pack("<H", len(entries)) + inner + struct.pack("<I", 0) + data


def test_a_folder_without_pictures_or_no_folder(fake: FakeGateway, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert run("index", tmp_path / "empty").exit_code == 1
    assert run("index", tmp_path / "gone").exit_code == 2


def test_searches_print_tables_and_save_pictures(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    run("index", folder, "--platform", "tiktok")
    saved = tmp_path / "found"
    result = run("search", "handshake", "-k", 3, "--save", saved)
    assert result.exit_code == 0, result.stderr
    assert "tiktok" in result.stdout
    assert len(list(saved.glob("00?-*"))) == 3
    assert f"Saved 3 pictures and {saved / 'contact-sheet.png'}" in result.stdout
    assert result.stderr == ""
    with Image.open(saved / "contact-sheet.png") as sheet:
        assert sheet.width > 600
    other = run("search", "another", "-k", 1, "--save", saved, "--json")
    assert json.loads(other.stdout)["hits"]
    assert re.search(rf"{re.escape(str(saved))} has [23] other files", other.stderr)
    assert "crown" in run("search", "--value", "power", "-k", 1).stdout
    hits = json.loads(run("search", "--image", folder / "2.jpg", "--json", "-k", 1).stdout)["hits"]
    assert hits[0]["metadata"]["source"] == "2.jpg"
    assert "Nothing was found of platform youtube" in run("search", "x", "--platform", "youtube").stdout


def test_wrong_searches(fake: FakeGateway, tmp_path: Path) -> None:
    assert run("search").exit_code == 2
    assert run("search", "x", "--value", "power").exit_code == 2
    wrong = run("search", "--value", "beauty")
    assert (wrong.exit_code, "none of the ten" in wrong.stderr) == (1, True)
    assert run("search", "--image", tmp_path / "gone.jpg").exit_code == 1
    (tmp_path / "notes.jpg").write_text("no picture")
    fake.fail("INVALID_ARGUMENT", "image.data: is no picture", reason="IMAGE_UNREADABLE")
    assert f"axia: {tmp_path / 'notes.jpg'}: is no picture" in run("search", "--image", tmp_path / "notes.jpg").stderr
