"""`axia index` and `axia search` against the fake gateway."""

import hashlib
import json
import re
import struct
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

import axia
from axia.cli import app
from axia.cli._images.journal import Journal
from axia.client import Client
from axia.results import ImageMetadata
from axia.testing import FakeGateway
from tests.support import pictures, processes


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
    assert "4 indexed, 1 was already stored, 0 refused" in words
    assert f"{folder / '0.jpg'} = {folder / 'deeper' / 'copy.jpg'}" in words
    assert "pairs that look alike: 1" in words
    request: Any = fake.received[-1].request
    assert (request.metadata.platform, request.metadata.source) == ("tiktok", "0.jpg")
    assert not Journal(folder, fake.address).path.exists()


def test_pictures_of_other_formats_are_skipped_and_named(fake: FakeGateway, folder: Path) -> None:
    for name in ("a.gif", "deeper/b.BMP", "c.heic"):
        (folder / name).write_bytes(b"of another format")
    (folder / "note.txt").write_text("no image")
    result = run("index", folder)
    assert result.exit_code == 0, result.stderr
    told = "3 images are skipped: a.gif, c.heic, deeper/b.BMP. Save them as JPEG, PNG or WebP"
    assert f"{folder}: {told}" in result.stderr
    (folder / "manifest.jsonl").write_text('{"file": "0.jpg"}\n')
    assert "skipped" not in run("index", folder).stderr  # what is wanted is said there


def test_refused_files_are_listed_with_their_reasons(fake: FakeGateway, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no image")
    (folder / "gone.jpg").symlink_to(folder / "nowhere")
    result = run("index", folder)
    assert result.exit_code == 1
    assert "2 refused" in result.stdout
    assert "1 refused with IMAGE_UNREADABLE" in result.stderr
    assert "gone.jpg: the file is gone" in result.stderr


def test_json_has_everything(fake: FakeGateway, folder: Path) -> None:
    (folder / "bad.jpg").write_bytes(b"no image")
    report = json.loads(run("index", folder, "--json").stdout)
    assert (report["indexed"], report["known"], report["skipped"]) == (4, 1, 0)
    assert report["rejected"][0]["reason"] == "IMAGE_UNREADABLE"
    assert len(report["duplicates"]) == len(report["near_duplicates"]) == 1


def test_a_run_that_broke_off_goes_on_behind_what_was_acknowledged(
    fake: FakeGateway, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from axia.client import Client

    real = Client.index_images

    def interrupted(self: Client, images: Any, **options: Any) -> Iterator[Any]:
        for number, result in enumerate(real(self, images, **options)):
            yield result
            if number == 1:
                raise KeyboardInterrupt

    monkeypatch.setattr(Client, "index_images", interrupted)
    result = run("index", folder)
    assert result.exit_code == 130
    assert "3 images are left: run the same command to continue" in result.stderr
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
    assert "run the same command to continue" in result.stderr


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
    assert f"Saved 3 images and {saved / 'contact-sheet.png'}" in result.stdout
    assert result.stderr == ""
    with Image.open(saved / "contact-sheet.png") as sheet:
        assert sheet.width > 600
    other = run("search", "another", "-k", 1, "--save", saved, "--json")
    assert json.loads(other.stdout)["hits"]
    assert re.search(rf"{re.escape(str(saved))} has [23] files of an earlier search: --clear removes", other.stderr)
    assert "crown" in run("search", "--value", "power", "-k", 1).stdout
    hits = json.loads(run("search", "--image", folder / "2.jpg", "--json", "-k", 1).stdout)["hits"]
    assert hits[0]["metadata"]["source"] == "2.jpg"
    assert "Nothing was found of platform youtube" in run("search", "x", "--platform", "youtube").stdout


def test_saved_pictures_are_named_by_rank_and_source(fake: FakeGateway, folder: Path, tmp_path: Path) -> None:
    run("index", folder)
    saved = tmp_path / "found"
    result = run("search", "deeper/copy.jpg", "-k", 4, "--save", saved, "--json")
    hits = json.loads(result.stdout)["hits"]
    names = [f"{rank:03d}-{hit['metadata']['source'][:-4]}" for rank, hit in enumerate(hits, start=1)]
    assert sorted(path.stem for path in saved.glob("0*")) == names
    assert {path.suffix for path in saved.glob("0*")} == {".jpg", ".png"}
    with FakeGateway() as other:
        metadata = [ImageMetadata(source=source) for source in ("../../etc/pass wd", "", "a" * 200 + ".PNG")]
        with axia.Client(other.address) as client:
            list(client.index_images((pictures.photograph(9 + place), row) for place, row in enumerate(metadata)))
        odd = tmp_path / "odd"
        run("search", "x", "--save", odd, "--address", other.address)
    unnamed = hashlib.sha256(pictures.photograph(10)).hexdigest()[:12]
    assert {path.stem[4:] for path in odd.glob("0*")} == {"etc-pass-wd", unnamed, "a" * 80}
    assert sorted(path.parent for path in odd.rglob("*")) == [odd] * 5  # three pictures, a sheet and a list


def test_a_search_removes_and_replaces_nothing_that_is_not_axias(
    fake: FakeGateway, folder: Path, tmp_path: Path
) -> None:
    run("index", folder)
    saved = tmp_path / "found"
    saved.mkdir()
    (saved / "contact-sheet.png").write_bytes(b"mine")
    (saved / "001-1.png").write_bytes(b"mine too")
    first = run("search", "1.png", "-k", 2, "--save", saved)
    assert f"{saved / 'axia-contact-sheet.png'}" in first.stdout
    assert "has 2 files that no search saved; they are kept" in first.stderr
    assert len(list(saved.glob("001-1-*.png"))) == 1
    changed = next(saved.glob("002-*"))
    changed.write_bytes(b"retouched")
    second = run("search", "2.jpg", "-k", 1, "--save", saved, "--clear")
    assert f"removed 2 files of an earlier search from {saved}" in second.stderr
    assert sorted(path.name for path in saved.iterdir() if path.name[0] != ".") == sorted(
        ["001-1.png", "001-2.jpg", changed.name, "axia-contact-sheet.png", "contact-sheet.png"]
    )
    assert (saved / "contact-sheet.png").read_bytes() == b"mine"
    assert changed.read_bytes() == b"retouched"
    assert run("search", "x", "--clear").exit_code == 2


def test_wrong_searches(fake: FakeGateway, tmp_path: Path) -> None:
    assert run("search").exit_code == 2
    assert run("search", "x", "--value", "power").exit_code == 2
    wrong = run("search", "--value", "beauty")
    assert (wrong.exit_code, "not one of the ten" in wrong.stderr) == (2, True)
    assert run("search", "--image", tmp_path / "gone.jpg").exit_code == 1
    (tmp_path / "notes.jpg").write_text("no image")
    fake.fail("INVALID_ARGUMENT", "image.data: is not an image", reason="IMAGE_UNREADABLE")
    assert f"axia: {tmp_path / 'notes.jpg'}: is not an image" in run("search", "--image", tmp_path / "notes.jpg").stderr


def with_manifest(folder: Path, *rows: object) -> None:
    (folder / "manifest.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")


def test_a_manifest_says_what_is_taken_in_and_from_where(fake: FakeGateway, folder: Path) -> None:
    with_manifest(
        folder,
        {"file": "0.jpg", "platform": "youtube", "capture_time": "2024-09-01T12:00:00Z", "keywords": ["crown"]},
        {"file": "./deeper/copy.jpg", "source": "https://example.org/1"},
        {"file": "1.jpg"},
        {"file": "2.jpg", "index": False},
    )
    result = run("index", folder, "--platform", "tiktok")
    assert result.exit_code == 0, result.stderr
    assert "2 indexed, 1 was already stored, 0 refused" in " ".join(result.stdout.split())
    assert "indexed: 3; 2 others below" in " ".join(result.stderr.split())
    with Client() as client:
        hits = client.search_text("0.jpg", k=9).hits
        known = {hit.metadata.source: hit.metadata for hit in hits}
        assert known.keys() == {"0.jpg", "1.jpg"}
        assert known["0.jpg"].platform == "youtube"
        assert known["0.jpg"].capture_time == datetime(2024, 9, 1, 12, tzinfo=UTC)
        assert known["1.jpg"].platform == "tiktok"  # where the row says nothing, the option does
    every = run("index", folder, "--no-manifest", "--json")
    assert (json.loads(every.stdout)["indexed"], json.loads(every.stdout)["known"]) == (2, 3)


def test_the_demo_gallery_is_indexed_by_its_manifest_without_scenes_and_contact_sheet(fake: FakeGateway) -> None:
    gallery = processes.ROOT / "demo" / "gallery"
    # The fake reads every picture, so all are taken in as the service would.
    result = run("index", gallery, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["indexed"] == 573
    with Client() as client:
        assert client.stats().platforms == {"tiktok": 237, "instagram": 178, "youtube": 158}
        (stored,) = client.search_text("tiktok/frame-0010-equality.webp", k=1).hits
    assert (stored.metadata.platform, stored.metadata.source) == ("tiktok", "tiktok/frame-0010-equality.webp")


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["no JSON"], "line 1: is not a JSON object"),
        ([{"file": "0.jpg"}, {"file": "./0.jpg"}], "line 2: '0.jpg' already has a row"),
        ([{"name": "0.jpg"}], "line 1: has no file"),
        ([{"file": "../0.jpg"}], "is not below the folder"),
        ([{"file": "/0.jpg"}], "is not below the folder"),
        ([{"file": "0.jpg", "platform": 1}], "platform and source must be texts"),
        ([{"file": "0.jpg", "index": "no"}], "index must be true or false"),
        ([{"file": "0.jpg", "capture_time": "yesterday"}], "capture_time must be a time such as"),
    ],
)
def test_a_row_of_a_manifest_that_is_wrong_is_named(
    fake: FakeGateway, folder: Path, rows: list[object], told: str
) -> None:
    with_manifest(folder, *rows)
    result = run("index", folder)
    words = " ".join(result.stderr.replace("│", " ").split())
    assert (result.exit_code, told in words, "--no-manifest" in words) == (2, True, True), words
    assert not fake.received


def test_a_row_without_its_file_is_listed_as_refused(fake: FakeGateway, folder: Path) -> None:
    with_manifest(folder, {"file": "0.jpg"}, {"file": "gone.jpg"})
    result = run("index", folder)
    assert result.exit_code == 1
    assert "1 refused with FILE_GONE" in result.stderr
    assert str(folder / "gone.jpg") in result.stderr
    with_manifest(folder, {"file": "0.jpg", "index": False})
    result = run("index", folder)
    assert (result.exit_code, "lists no image to index" in result.stderr) == (1, True)
