"""Pictures by value: from a manifest, and those that a gateway finds by the values' keywords."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image

from axia.errors import AxiaError
from axia.evals.annotations.record import AnnotationError
from axia.evals.tasks.pictures import of_manifest, retrieved
from axia.evals.tasks.value_spectrum.tasks import load_pictures
from axia.lexicon import load_lexicon
from axia.testing import FakeGateway


def pictures(folder: Path, count: int) -> list[Path]:
    paths = []
    for number in range(count):
        path = folder / f"{number}.png"
        Image.new("RGB", (16, 12), (number * 60, 30, 90)).save(path)
        paths.append(path)
    return paths


def test_each_keyword_gets_its_pictures_from_the_gateway_and_files_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = pictures(tmp_path, 3)
    with FakeGateway(images=sources) as gateway:
        monkeypatch.setenv("AXIA_ADDRESS", gateway.address)
        found = retrieved(tmp_path / "found", per_keyword=2)
        keywords = [(value.id, keyword) for value in load_lexicon().values for keyword in value.keywords]
        assert list(dict.fromkeys((picture.value, picture.keyword) for picture in found)) == keywords
        assert len(found) == 2 * len(keywords)
        saved = {hashlib.sha256(picture.path.read_bytes()).hexdigest() for picture in found}
        assert saved <= {hashlib.sha256(path.read_bytes()).hexdigest() for path in sources}
        assert not list((tmp_path / "found").glob("*.part"))
        assert load_pictures(None, str(tmp_path / "found"), 2) == found  # nothing is fetched again, and nothing differs


def test_a_gateway_without_pictures_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeGateway() as gateway:
        monkeypatch.setenv("AXIA_ADDRESS", gateway.address)
        with pytest.raises(AxiaError, match="index some with axia index FOLDER"):
            retrieved(tmp_path / "found")


def manifest(folder: Path, *rows: object) -> Path:
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_keyword_of_the_lexicon_keeps_its_value_and_only_the_first_pictures_count(tmp_path: Path) -> None:
    pictures(tmp_path, 3)
    value = load_lexicon().values[0]
    rows = [
        {"file": f"{number}.png", "keywords": [value.keywords[0], "a word of my own"], "values": ["power", "power"]}
        for number in range(3)
    ]
    found = of_manifest(manifest(tmp_path, *rows), per_keyword=2)
    assert [(picture.value, picture.keyword, picture.image_id) for picture in found] == [
        (value.id, value.keywords[0], "0.png"), (value.id, value.keywords[0], "1.png"),
        ("power", "a word of my own", "0.png"), ("power", "a word of my own", "1.png"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"file": "0.png", "keywords": "globe", "values": ["power"]}, "lists of keywords and of values"),
        ({"keywords": ["globe"], "values": ["power"]}, "lists of keywords and of values"),
        ({"file": "0.png", "keywords": ["globe"], "values": ["fame"]}, "'fame' is not a value"),
        ({"file": "gone.png", "keywords": ["globe"], "values": ["power"]}, "there is no image at"),
        ({"file": "0.png"}, "names no image with keywords"),
    ],
)
def test_a_wrong_row_of_a_manifest_is_named(tmp_path: Path, row: object, said: str) -> None:
    pictures(tmp_path, 1)
    with pytest.raises(AnnotationError, match=said):
        of_manifest(manifest(tmp_path, row))


def test_pictures_have_one_source() -> None:
    with pytest.raises(ValueError, match="give manifest or retrieve_to, not both"):
        load_pictures("a.jsonl", "found", 5)
    with pytest.raises(ValueError, match="per_keyword is 0: give 1 or more"):
        load_pictures("a.jsonl", None, 0)
