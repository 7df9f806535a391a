"""Pictures of the demo world: deterministic, split by families, labelled as drawn."""

import hashlib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from demo.world import atlas
from demo.world.catalogue import concepts, like_rates, situation, situations, study
from demo.world.families import FEED_BACKGROUNDS, ROOM_BACKGROUNDS, Split, families, split_of
from demo.world.frames import PLATFORMS, draw_frame
from demo.world.gallery import EACH, gallery_frames
from demo.world.paint import paint
from demo.world.scenes import FURNITURE, SMALL, WALL, draw_scene, study_scenes

PINNED = "61b012f181918a191ce0e5e5d428e7f0893f27dbc0a434f51b652e8856a481b1"
"""SHA-256 of the raw pixels of the scene with seed "pinned" at 112 pixels, with Pillow 13."""


def pixels_hash(seed: str) -> str:
    return hashlib.sha256(paint(draw_scene(seed).picture, 112).tobytes()).hexdigest()


def test_a_seed_gives_the_same_pixels_as_when_it_was_pinned() -> None:
    assert pixels_hash("pinned") == PINNED


def test_different_seeds_give_different_pictures() -> None:
    assert len({pixels_hash(str(i)) for i in range(8)}) == 8


@pytest.mark.parametrize("size", [64, 112, 448])
def test_any_size_can_be_painted_and_shows_the_same(size: int) -> None:
    picture = draw_scene("sizes").picture
    image = paint(picture, size)
    assert (image.mode, image.size) == ("RGB", (size, size))
    small, reference = image.resize((32, 32)), paint(picture, 224).resize((32, 32))
    assert np.abs(np.asarray(small, dtype=int) - np.asarray(reference, dtype=int)).mean() < 12


@pytest.mark.parametrize("backgrounds", [ROOM_BACKGROUNDS, FEED_BACKGROUNDS])
def test_no_template_family_is_on_both_sides(backgrounds: tuple[str, ...]) -> None:
    train, held_out = (set(families(backgrounds, split)) for split in (Split.TRAIN, Split.HELD_OUT))
    assert not train & held_out
    assert len(train | held_out) == 30
    assert {family.background for family in train} == set(backgrounds[:-1])
    assert {family.arrangement for family in train} == set(range(5))


def test_drawing_from_a_split_stays_in_it() -> None:
    for split in Split:
        for i in range(60):
            scene, frame = draw_scene(str(i), split), draw_frame(str(i), split)
            assert split_of(scene.picture.family, ROOM_BACKGROUNDS) is scene.split is split
            assert split_of(frame.picture.family, FEED_BACKGROUNDS) is frame.split is split


def test_gallery_shows_every_keyword_often_enough_and_only_held_out_families() -> None:
    frames = gallery_frames(0)
    counts = Counter(keyword for frame in frames for keyword in frame.keywords)
    assert len(counts) == 100
    assert min(counts.values()) >= EACH
    assert {frame.split for frame in frames} == {Split.HELD_OUT}
    assert {frame.platform for frame in frames} == set(PLATFORMS)


def test_there_are_sixty_situations_or_more_in_four_rooms_of_both_kinds() -> None:
    assert len(situations()) >= 60
    assert {room for s in situations() for room in s.rooms} == {"kitchen", "living room", "bedroom", "bathroom"}
    assert sum(s.control for s in situations()) >= 8


def test_study_set_is_ten_value_laden_and_two_control_scenes_of_held_out_families() -> None:
    assert [s.study for s in study()] == list(range(1, 13))
    assert sum(s.control for s in study()) == 2
    assert [scene.situation for scene in study_scenes(0)] == list(study())
    assert all(scene.split is Split.HELD_OUT for scene in study_scenes(0))


def test_what_a_scene_is_about_stays_inside_the_picture() -> None:
    for i in range(200):
        for part in draw_scene(str(i)).picture.placed:
            if part.subject:
                left, top, right, _ = part.box()
                assert min(left, 1 - right, top) > -0.06, (i, part)


def test_background_things_are_never_what_a_situation_is_about_except_furniture_moved_aside() -> None:
    small = {sprite for pool in SMALL.values() for sprite in pool} | {
        sprite for pool in WALL.values() for sprite in pool
    }
    about = {s.parts[0].sprite for s in situations() if not s.control}
    assert not small & about
    scene = draw_scene("toilet", of="blocked-toilet")
    assert [p.sprite for p in scene.picture.placed].count("toilet") == 1
    assert all(piece[0] in atlas.index() for pieces in FURNITURE.values() for piece in pieces)


def test_share_of_liked_concepts_is_the_authored_rate_of_every_value() -> None:
    liked = Counter(concept.value for concept in concepts() if concept.liked)
    assert {value: liked[value] / 10 for value in like_rates()} == like_rates()


def test_frames_show_two_concepts_only_where_both_are_liked_or_neither() -> None:
    for i in range(300):
        assert len({concept.liked for concept in draw_frame(str(i)).concepts}) == 1


def test_atlas_is_small_and_names_its_licence() -> None:
    folder = Path(atlas.__file__).parent / "sprites"
    assert (folder / "atlas.png").stat().st_size < 3_000_000
    assert "SIL Open Font License" in (folder / "atlas.json").read_text(encoding="utf-8")


def test_a_situation_asked_for_by_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        situation("nothing-like-it")
