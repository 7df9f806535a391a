"""Folders of pictures: written by the command, read back, and true to the pictures."""

import hashlib
import sys
from pathlib import Path

import pytest
from PIL import Image

from demo.world import __main__ as command
from demo.world.frames import draw_frame
from demo.world.gallery import gallery_frames
from demo.world.manifest import describe, read_manifest, write_manifest
from demo.world.scenes import draw_scene


def test_records_survive_a_round_trip(tmp_path: Path) -> None:
    records = [describe(draw_scene("a"), "a.webp", b"1", 448), describe(draw_frame("b"), "b.webp", b"2", 448)]
    write_manifest(tmp_path, records)
    assert list(read_manifest(tmp_path)) == records


def test_a_frame_is_labelled_with_concepts_keywords_and_values() -> None:
    record = describe(draw_frame("x", keywords=("vacation", "globe")), "x.webp", b"", 448)
    assert record["keywords"] == ["vacation", "globe"]
    assert record["concepts"] == ["beach", "globe"]
    assert record["values"] == ["hedonism", "universalism"]
    assert record["liked"] is True


def test_a_scene_is_labelled_with_its_element() -> None:
    record = describe(draw_scene("x", of="child-hot-stove"), "x.webp", b"", 448)
    assert (record["element"], record["value_laden"], record["response"]) == ("child near the hot stove", True, 2)


def test_a_scene_in_which_nothing_needs_attention_says_so() -> None:
    record = describe(draw_scene("x", of="cat-asleep"), "x.webp", b"", 448)
    assert (record["element"], record["value_laden"]) == ("none", False)


@pytest.mark.parametrize("kind", ["scenes", "feed", "study"])
def test_the_command_writes_pictures_that_match_their_manifest(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = ["world", "--out", str(tmp_path), "--kind", kind, "--count", "4", "--seed", "3", "--size", "96"]
    monkeypatch.setattr(sys, "argv", arguments)
    command.main()
    records = list(read_manifest(tmp_path))
    assert len(records) == (12 if kind == "study" else 4)
    for record in records:
        path = tmp_path / record["file"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == record["sha256"]
        with Image.open(path) as image:
            assert image.size == (record["width"], record["height"]) == (96, 96)


def test_committed_gallery_matches_its_manifest() -> None:
    folder = Path(command.__file__).parents[1] / "gallery"
    records = list(read_manifest(folder))
    assert sum(record["kind"] == "scene" for record in records) == 12
    for record in records[::40]:
        assert hashlib.sha256((folder / record["file"]).read_bytes()).hexdigest() == record["sha256"]
    assert sum(path.stat().st_size for path in folder.rglob("*")) < 8_000_000


def test_the_gallery_is_laid_out_by_platform_and_made_again_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = Path(command.__file__).parents[1] / "gallery"
    records = list(read_manifest(committed))
    for record in records:
        folder = f"{record['platform']}/" if record["kind"] == "frame" else ""
        assert record["file"] == f"{folder}{Path(record['file']).name}"
        assert (record["kind"] == "scene") == (record.get("index") is False)
    monkeypatch.setattr(command, "gallery_frames", lambda seed: gallery_frames(seed, each=1))
    monkeypatch.setattr(sys, "argv", ["world", "--out", str(tmp_path), "--kind", "gallery", "--size", "32"])
    command.main()
    made = list(read_manifest(tmp_path))
    begin = len(made) - 12
    assert [record["file"] for record in made[:begin]] == [record["file"] for record in records[:begin]]
    assert [record["file"] for record in made[begin:]] == [record["file"] for record in records[-12:]]
    assert {record.get("index") for record in made[begin:]} == {False}
    assert all((tmp_path / record["file"]).is_file() for record in made)
