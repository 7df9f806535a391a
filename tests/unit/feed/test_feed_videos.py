"""Videos of the demo and of a folder; personas."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from demo.world.manifest import read_manifest
from feed import FeedError
from feed.demo_videos import FRAMES, GALLERY, DemoVideos
from feed.folder_videos import FolderVideos
from feed.personas import FOLDER, load, load_all


def save(path: Path, colour: str = "red") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (40, 60), colour).save(path)


def test_each_frame_of_the_gallery_is_a_video_with_its_values() -> None:
    videos = {video.id: video for video in DemoVideos().videos}
    rows = [row for row in read_manifest(GALLERY) if row["kind"] == "frame"]
    assert len(videos) == len(rows) == 573
    for row in rows[::40]:
        video = videos[Path(row["file"]).stem]
        assert (video.values, video.tags, video.caption) == (
            tuple(row["values"]),
            tuple(row["keywords"]),
            row["caption"],
        )


def test_a_videos_pictures_move_and_are_the_same_each_time() -> None:
    library = DemoVideos()
    video = library.videos[0]
    first, second = (library.frame(video, number).data for number in (0, 1))
    assert first != second
    assert first == DemoVideos().frame(video, 0).data == library.frame(video, FRAMES).data
    pictures = [Image.open(io.BytesIO(data)).convert("RGB") for data in (first, second)]
    assert ImageChops.difference(*pictures).getbbox() is not None


def test_the_picture_for_a_model_has_the_platforms_look() -> None:
    library = DemoVideos()
    looks = {library.screenshot(library.videos[0], platform) for platform in ("tiktok", "instagram", "youtube")}
    assert len(looks) == 3


def test_a_folder_gives_stills_and_videos(tmp_path: Path) -> None:
    save(tmp_path / "My Beach.jpg")
    for number in range(3):
        save(tmp_path / "walk" / f"{number}.png", "green")
    (tmp_path / "empty").mkdir()
    (tmp_path / "notes.txt").write_text("no picture")
    rows = [{"id": "walk", "caption": "Sunday", "values": ["hedonism"], "length_s": 0}]
    (tmp_path / "videos.jsonl").write_text("\n".join(map(json.dumps, rows)))
    library = FolderVideos(tmp_path)
    beach, walk = library.videos
    assert (beach.id, beach.frames, beach.length_s) == ("my-beach", 1, 0)
    assert (walk.id, walk.frames, walk.length_s, walk.values) == ("walk", 3, 3.0, ("hedonism",))
    assert library.frame(walk, 1).media_type == "image/png"
    assert library.skipped == ["empty"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "other"}', "no image or subfolder named other"),
        ('{"id": "a", "values": ["fame"]}', "fame is not one of the ten values"),
        ('{"id": "a", "likes": -1}', "likes: "),
        ('{"id": "a", "author": "x"}', "author: "),
        ("{", "not JSON"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, line: str, message: str) -> None:
    save(tmp_path / "a.png")
    (tmp_path / "videos.jsonl").write_text(line)
    with pytest.raises(FeedError, match=f"videos.jsonl, line 1: .*{message}|videos.jsonl, line 1: {message}"):
        FolderVideos(tmp_path)


def test_a_folder_without_pictures_and_names_that_collide_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="no JPEG, PNG or WebP"):
        FolderVideos(tmp_path)
    save(tmp_path / "A b.png")
    save(tmp_path / "a-b.png")
    with pytest.raises(FeedError, match="two videos would be named a-b"):
        FolderVideos(tmp_path)
    with pytest.raises(FeedError, match="is not a folder"):
        FolderVideos(tmp_path / "missing")


def test_the_demos_personas_are_read_with_their_weights() -> None:
    personas = load_all([FOLDER])
    assert len(personas) == 14
    assert all(persona.weights and persona.traits for persona in personas)


def test_a_persona_without_traits_or_with_odd_weights_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text('id = "p"\n')
    with pytest.raises(FeedError, match="has no traits"):
        load(file)
    file.write_text('traits = ["I cook."]\n[weights]\npower = 3\n')
    with pytest.raises(FeedError, match="a whole number 0–10 for each value"):
        load(file)
    file.write_text('traits = ["I cook."]\n')
    with pytest.raises(FeedError, match="truth is not known"):
        load(file).needed_weights()
    file.write_text("traits = [")
    with pytest.raises(FeedError, match="can't be read as TOML"):
        load(file)
    with pytest.raises(FeedError, match="two personas have the id"):
        load_all([FOLDER, FOLDER])
    with pytest.raises(FeedError, match="there is no persona"):
        load_all([])
