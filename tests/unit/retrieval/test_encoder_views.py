import pytest
from PIL import Image

from services.retrieval.encoder.views import split_fit, views
from services.retrieval.reindex import parse_spec
from services.retrieval.settings import RetrievalSettings
from services.serving.errors import InvalidArgument

BARS = (1, 2, 3)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("ViT-B-32/openai", ("ViT-B-32/openai", "crop")),
        ("ViT-B-32/openai?fit=crop", ("ViT-B-32/openai", "crop")),
        ("local-dir:/models/clip?fit=pad", ("local-dir:/models/clip", "pad")),
        ("ViT-B-32/?fit=tiles", ("ViT-B-32/", "tiles")),
    ],
)
def test_the_fit_follows_the_name(spec: str, expected: tuple[str, str]) -> None:
    assert split_fit(spec) == expected


@pytest.mark.parametrize("fit", ["", "squash", "Tiles", "pad "])
def test_an_unknown_fit_is_refused(fit: str) -> None:
    with pytest.raises(ValueError, match=r"there is no fit .*write \?fit=crop, \?fit=pad or \?fit=tiles after a/b"):
        split_fit(f"a/b?fit={fit}")
    with pytest.raises(InvalidArgument, match="there is no fit"):
        parse_spec(f"a/b?fit={fit}")
    with pytest.raises(ValueError, match="there is no fit"):
        RetrievalSettings(encoder=f"a/b?fit={fit}")


def test_a_fit_makes_another_encoder() -> None:
    assert parse_spec("a/b?fit=tiles").revision == "b?fit=tiles"
    assert parse_spec("a/b?fit=crop") == parse_spec("a/b")
    assert parse_spec("local-dir:/models/clip?fit=pad").name == "clip"


@pytest.mark.parametrize(
    ("size", "count"), [((30, 30), 1), ((45, 30), 1), ((46, 30), 2), ((30, 46), 2), ((90, 30), 3), ((3000, 30), 4)]
)
def test_tiles_are_squares_from_end_to_end(size: tuple[int, int], count: int) -> None:
    picture = Image.radial_gradient("L").resize(size).convert("RGB")
    tiles = views(picture, "tiles", BARS)
    assert len(tiles) == count
    if count > 1:
        short = min(size)
        end = (size[0] - short, size[1] - short, *size)
        assert {tile.size for tile in tiles} == {(short, short)}
        assert tiles[0].tobytes() == picture.crop((0, 0, short, short)).tobytes()
        assert tiles[-1].tobytes() == picture.crop(end).tobytes()
    else:
        assert tiles == [picture]


@pytest.mark.parametrize("size", [(40, 10), (10, 40)])
def test_padding_shows_all_between_equal_bars(size: tuple[int, int]) -> None:
    picture = Image.new("RGB", size, (200, 100, 50))
    (square,) = views(picture, "pad", BARS)
    assert square.size == (40, 40)
    assert square.getpixel((0, 0)) == BARS
    assert square.getpixel((39, 39)) == BARS
    assert square.getpixel((20, 20)) == (200, 100, 50)
    assert {colour: n for n, colour in square.getcolors()}[200, 100, 50] == 400  # type: ignore[union-attr,misc]


def test_the_middle_is_left_to_the_transform() -> None:
    picture = Image.new("RGB", (500, 20))
    assert views(picture, "crop", BARS) == [picture]
    assert views(Image.new("RGB", (20, 20)), "pad", BARS)[0].size == (20, 20)
