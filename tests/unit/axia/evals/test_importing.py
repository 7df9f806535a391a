"""Annotations from files as people have them: what is read, and what each fault is called."""

import json
from pathlib import Path

import pytest
from PIL import Image

from axia.evals.annotations.importing import describe_gaps, load_study
from axia.evals.annotations.record import AnnotationError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number, name in enumerate(("a.png", "b.png", "sub.png")):
        Image.new("RGB", (8, 8), (number * 90, 10, 10)).save(tmp_path / name)
    return tmp_path


def write(folder: Path, text: str | bytes, name: str = "annotations.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


PLAIN = "image,annotator,element\na.png,p1,the stove\na.png,p2,a hot stove\nb.png,p1,none\nb.png,p2,none\n"


@pytest.mark.parametrize(
    "text",
    [
        PLAIN,
        "\ufeff" + PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        "sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n"),
        PLAIN.replace("the stove", '"the stove"').replace("p1", '"=""p1"""'),
        PLAIN.replace("image,annotator,element", "Image, Annotator ,ELEMENT") + "\n,,\n",
    ],
    ids=["plain", "byte order mark", "semicolons", "tabs", "Excel's first line", "Excel's quotes", "odd header"],
)
def test_spreadsheets_are_read_however_they_were_saved(folder: Path, text: str) -> None:
    study = load_study(write(folder, text))
    assert [picture.id for picture in study.pictures] == ["a.png", "b.png"]
    assert [row.element for row in study.rows()] == ["the stove", "a hot stove", "none", "none"]
    assert list(study.annotators) == ["p1", "p2"]


def test_json_lines_have_every_field(folder: Path) -> None:
    row = {
        "image": "a.png", "annotator": 7, "element": "the stove", "response_type": 2, "group": "north", "note": "n",
        "domain": "medical", "synthetic": False, "pair_id": "1", "source": "photo",
    }  # fmt: skip
    study = load_study(write(folder, json.dumps(row) + "\n\n", "annotations.jsonl"))
    (annotation,) = study.rows()
    assert annotation.model_dump() == row | {"annotator": "7"}
    assert study.groups == ("north",)


def test_annotators_with_gaps_are_listed(folder: Path) -> None:
    study = load_study(write(folder, "image,annotator,element\na.png,p1,x\na.png,p2,x\nb.png,p1,x\n"))
    assert study.gaps == (("p2", "b.png"),)
    assert describe_gaps(study) == "1 annotations are missing: p2 on b.png"


HEAD = "image,annotator,element"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}\ngone.png,p1,x\n", "there is no image at"),
        (f"{HEAD}\na.png,p1,x\na.png,p1,y\n", "line 3: p1 has named an element for a.png before"),
        (f"{HEAD}\na.png,p1,x\ncopy.png,p1,x\n", "name a.png and copy.png, which are the same image"),
        (f"{HEAD}\ntext.png,p1,x\n", "can't be read as an image"),
        (f"{HEAD}\na.png,p1\n", "line 2: has 2 fields and the first line 3"),
        (f"{HEAD}\na.png,p1,\n", "line 2: element"),
        (f"{HEAD},colour\na.png,p1,x,red\n", "'colour' is not a field of an annotation"),
        (f"{HEAD},element\na.png,p1,x,x\n", "names a column twice"),
        ("image,annotator\na.png,p1\n", "no column element"),
        (f"{HEAD},response_type\na.png,p1,x,5\n", "line 2: response_type"),
        (f"{HEAD},domain\na.png,p1,x,space\n", "line 2: domain"),
        (f"{HEAD},group\na.png,p1,x,n\nb.png,p1,x,s\n", "p1 is in the group 's' here and in 'n' before"),
        (f"{HEAD},synthetic\na.png,p1,x,true\na.png,p2,x,false\n", "give each image one value"),
        (f"{HEAD}\n", "has no annotations"),
        (f'{HEAD}\na.png,p1,"x\n', "can't be read as CSV"),
        (HEAD.encode() + b"\na.png,p1,\xe9t\xe9\n", "is not UTF-8"),
    ],
)
def test_faults_are_named_with_their_place(folder: Path, text: str | bytes, said: str) -> None:
    (folder / "copy.png").write_bytes((folder / "a.png").read_bytes())
    (folder / "text.png").write_text("no picture")
    with pytest.raises(AnnotationError) as error:
        load_study(write(folder, text))
    assert said.replace("name a", "names a") in str(error.value)


def test_a_file_that_is_not_there_and_a_line_that_is_no_json_are_named(folder: Path) -> None:
    with pytest.raises(AnnotationError, match="can't be read"):
        load_study(folder / "none.csv")
    with pytest.raises(AnnotationError, match="line 1: is not JSON"):
        load_study(write(folder, "{'image': 1}", "annotations.jsonl"))


def test_a_group_has_its_own_annotators_and_pictures(folder: Path) -> None:
    study = load_study(write(folder, f"{HEAD},group\na.png,p1,x,n\na.png,p2,y,s\nb.png,p2,y,s\n"))
    north = study.of_group("n")
    assert [picture.id for picture in north.pictures] == ["a.png"]
    assert list(north.annotators) == ["p1"]


def test_the_demo_study_has_fourteen_annotators_in_three_groups() -> None:
    study = load_study(Path(__file__).parents[4] / "demo" / "study" / "annotations.jsonl")
    assert (len(study.pictures), len(study.annotators), len(study.groups)) == (12, 14, 3)
    assert sum(1 for _ in study.rows()) == 168
    assert not study.gaps
    assert all("no person was asked" in row.source for row in study.rows())
