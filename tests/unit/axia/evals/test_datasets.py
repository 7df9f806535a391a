"""Data sets of the field from made-up samples in their layouts: what becomes of them, and what each fault is called."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
from PIL import Image

from axia.evals.annotations.importing import load_study
from axia.evals.annotations.record import AnnotationError
from axia.evals.datasets.catalogue import SETS, convert
from axia.evals.datasets.choices import load_choices
from axia.evals.datasets.layout import NO_LAYOUT, read_layout

SAMPLES = Path(__file__).parents[3] / "data" / "datasets"
MAPPED = ("robot-values", "tsha", "value-ground", "detectors")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A copy of all samples, to be spoilt."""
    return Path(shutil.copytree(SAMPLES, tmp_path / "samples"))


def run(root: Path, name: str, *, mapped: bool | None = None, skip_missing: bool = False) -> Path:
    folder, out = root / name, root.parent / f"{name}.jsonl"
    with_columns = name in MAPPED if mapped is None else mapped
    layout = read_layout(folder / "columns.toml", SETS[name].fields) if with_columns else NO_LAYOUT
    convert(name, folder, out, layout, skip_missing=skip_missing)
    return out


def test_every_data_set_has_a_page_and_a_sample() -> None:
    docs = Path(__file__).parents[4] / "docs" / "datasets"
    for name, made in SETS.items():
        assert (SAMPLES / name).is_dir()
        assert made.arxiv in (docs / f"{name}.md").read_text(encoding="utf-8")


def test_viva_keeps_its_letters_and_its_open_questions(sample: Path) -> None:
    first, without_a, unanswered = load_choices(run(sample, "viva"))
    assert first.options[first.answers[0]] == "Ask whether help is needed."
    assert first.category == "Emergent Situation"
    assert first.images == ("samples/viva/data/VIVA_images/1.jpg",)
    # Its options are B to E, so D is the third of four.
    assert without_a.answers == (2,)
    assert without_a.options[2] == "Call emergency services."
    assert unanswered.answers == ()


def test_an_action_that_viva_lists_in_another_field_alone_is_taken_from_there(sample: Path) -> None:
    path = sample / "viva" / "data" / "VIVA_annotation.json"
    rows = json.loads(path.read_text(encoding="utf-8"))
    actions = rows[0]["action_list"]
    rows[0]["action_answer"] = "\n".join(
        [
            "- List of Potential Actions:",
            f"  {actions[0]}",
            f"  {actions[1].replace('B.', 'B')}",
            "  - Selected Action: B",
        ]
    )
    rows[0]["action_list"] = [actions[0], *actions[2:]]
    path.write_text(json.dumps(rows), encoding="utf-8")
    first = load_choices(run(sample, "viva"))[0]
    assert first.options == ("Walk past.", "Ask whether help is needed.")
    assert first.answers == (1,)


def test_homesafebench_takes_the_kinds_of_hazard_and_the_first_steps_of_a_run(sample: Path) -> None:
    kitchen, bedroom = load_choices(run(sample, "homesafebench"))
    assert [kitchen.options[place] for place in kitchen.answers] == [
        "an electric shock hazard", "a falling object hazard",
    ]  # fmt: skip
    assert [Path(image).name for image in kitchen.images] == ["000.jpg", "001.jpg"]
    assert (bedroom.category, bedroom.answers) == ("bedroom", (3,))


def test_persona_chat_gives_each_distinct_persona_once(sample: Path) -> None:
    folder = run(sample, "persona-chat")
    traits = [tomllib.loads(path.read_text(encoding="utf-8"))["traits"] for path in sorted(folder.iterdir())]
    assert traits == [
        ["i grow tomatoes on my roof.", "my brother drives a tram."],
        ["i am afraid of geese.", "i paint doors for a living."],
    ]


def test_screenshots_take_their_platform_from_the_folder_or_all_from_a_sheet(sample: Path) -> None:
    rows = [json.loads(line) for line in run(sample, "value-spectrum").read_text(encoding="utf-8").splitlines()]
    assert {Path(row["file"]).name: row["platform"] for row in rows} == {
        "a.jpg": "tiktok", "b.png": "youtube", "c.webp": "instagram",
    }  # fmt: skip
    first, second = (
        json.loads(line) for line in run(sample, "value-spectrum", mapped=True).read_text(encoding="utf-8").splitlines()
    )
    assert first["keywords"] == ["vacation", "globe"]
    assert first["values"] == ["hedonism", "universalism"]
    assert second["capture_time"] == "2024-10-01"


def test_screenshots_are_indexed_by_that_manifest(sample: Path) -> None:
    from axia.cli._images.manifest import read_manifest

    folder = sample / "value-spectrum"
    convert("value-spectrum", folder, folder / "manifest.jsonl", NO_LAYOUT)
    known = read_manifest(folder)
    assert known is not None
    assert {Path(path).name: about.platform for path, about in known.items()}["c.webp"] == "instagram"


def test_a_sheet_with_a_column_for_each_annotator_becomes_annotations(sample: Path) -> None:
    study = load_study(run(sample, "detectors"))
    assert study.annotators == {"Person 1": "north", "Person 2": "south", "Person 3": "south"}
    assert [row.element for row in study.pictures[0].annotations] == ["the stove", 'a "hot" stove', "none"]
    assert study.gaps == (("Person 2", study.pictures[1].id),)


def test_tables_of_any_layout_become_questions(sample: Path) -> None:
    conflict, decided = load_choices(run(sample, "robot-values"))
    assert conflict.values == ("efficiency", "privacy")
    assert conflict.question == "A guest sleeps on the sofa.\nWhat should the robot do?"
    assert (conflict.answers, decided.answers) == ((), (1,))
    hazard, _ = load_choices(run(sample, "tsha"))
    assert (hazard.id, hazard.answers, hazard.category) == ("7", (0,), "slip")
    (pair,) = load_choices(run(sample, "value-ground"))
    assert len(pair.images) == 2
    assert pair.options[pair.answers[0]] == "the second image"
    assert pair.question.startswith("Land A\n")


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


FAULTS = [
    ("viva", "data/VIVA_annotation.json", '"index": 2', '"index": 1', "the index 1 is given twice"),
    ("viva", "data/VIVA_annotation.json", '"answer": "B"', '"answer": "Z"', "'Z' is none of the options"),
    ("viva", "data/VIVA_annotation.json", '"image_file"', '"file"', "the column 'image_file' is missing or empty"),
    ("viva", "data/VIVA_annotation.json", '"A. Walk past."', '"Walk past."', "some options begin with a letter"),
    ("viva", "data/VIVA_annotation.json", "[\n", "", "is not JSON"),
    ("viva", "data/VIVA_annotation.json", '"1.jpg"', '"../../1.jpg"', "is not below"),
    ("homesafebench", "data/test/1_bedroom.json", '"trip"', '"flood"', "'flood' is not a kind of hazard"),
    ("homesafebench", "data/test/1_bedroom.json", '"dangers"', '"hazards"', "a task has meta.room and dangers"),
    ("persona-chat", "valid_self_original.txt", "1 your persona: i", "your persona: i", "line 1: does not begin"),
    ("value-spectrum", "sheet.csv", "youtube/b.png", "tiktok/a.jpg", "row 3: tiktok/a.jpg has a row before"),
    ("value-spectrum", "sheet.csv", "2024-10-01", "October", "capture_time is 'October'"),
    ("value-spectrum", "sheet.csv", ";achievement", ";fame", "'fame' is not a value"),
    ("value-spectrum", "sheet.csv", "trophy", "trophy|medal", "2 keywords and 1 values"),
    ("value-spectrum", "sheet.csv", "Screenshot", "Shot", "no column screenshot"),
    ("detectors", "sheet.csv", "Person 3", "Person 4", "no column person_3"),
    ("detectors", "sheet.csv", "scene 2.png", "scene 1.png", "Person 1 has named an element for this image before"),
    ("detectors", "columns.toml", "image =", "picture =", "'picture' is not a field of this data set"),
    ("detectors", "columns.toml", "annotators =", "people =", "people: extra inputs are not permitted; a layout"),
    ("detectors", "columns.toml", "[columns]", "[columns", "is not TOML"),
    ("robot-values", "scenarios.jsonl", '"s2"', '"s1"', "the id 's1' is given twice"),
    ("robot-values", "scenarios.jsonl", '["efficiency", "privacy"]', '["efficiency"]', "1 values for 2 options"),
    ("robot-values", "scenarios.jsonl", '"Vacuum the room.", ', "", "options:"),
    ("tsha", "columns.toml", "first_option = 1\n", "", "for numbers give first_option = 0 or 1"),
    ("tsha", "test.csv", "8,k.png", "7,k.png", "the id '7' is given twice"),
    ("tsha", "test.csv", '"What is', "What is", "has 9 fields and the first line 8"),
    ("value-ground", "items.tsv", "the second image", "the third image", "'the third image' is none of the options"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "file", "old", "new", "said"), FAULTS, ids=[f"{f[0]}: {f[4]}" for f in FAULTS])
def test_a_fault_is_named_and_nothing_is_written(
    sample: Path, name: str, file: str, old: str, new: str, said: str
) -> None:
    edit(sample / name / file, old, new)
    with pytest.raises(AnnotationError) as error:
        run(sample, name, mapped=True if name == "value-spectrum" else None)
    assert said in str(error.value)
    assert not (sample.parent / f"{name}.jsonl").exists()


IMAGES = {
    "viva": "data/VIVA_images/2.jpg", "homesafebench": "tmp/images/1_bedroom/000.jpg",
    "detectors": "images/scene 2.png",
    "robot-values": "img/2.png", "value-ground": "pairs/q1_b.png", "tsha": "frames/k.png",
    "value-spectrum": "tiktok/a.jpg",
}  # fmt: skip


@pytest.mark.parametrize("name", IMAGES)
def test_a_missing_image_is_named_and_an_unreadable_one_too(sample: Path, name: str) -> None:
    image, mapped = sample / name / IMAGES[name], True if name == "value-spectrum" else None
    image.write_bytes(b"<html>404</html>")
    with pytest.raises(AnnotationError, match="can't be read as an image"):
        run(sample, name, mapped=mapped)
    image.unlink()
    with pytest.raises(AnnotationError, match=r"images? .*missing|has none of the images"):
        run(sample, name, mapped=mapped)
    assert not (sample.parent / f"{name}.jsonl").exists()


def test_rows_without_an_image_are_left_out_where_that_is_asked_for(sample: Path) -> None:
    (sample / "viva" / IMAGES["viva"]).unlink()
    out = sample.parent / "viva.jsonl"
    done = convert("viva", sample / "viva", out, NO_LAYOUT, skip_missing=True)
    assert (done.rows, len(done.missing)) == (2, 1)
    assert "2.jpg" in done.missing[0]
    assert [choice.id for choice in load_choices(out)] == ["1", "3"]


def test_screenshots_that_are_there_twice_are_refused(sample: Path) -> None:
    folder = sample / "value-spectrum"
    shutil.copy(folder / "tiktok" / "a.jpg", folder / "youtube" / "copy.jpg")
    with pytest.raises(AnnotationError, match="1 screenshots occur twice"):
        run(sample, "value-spectrum")


def test_an_image_of_another_format_says_what_to_convert_it_to(sample: Path) -> None:
    Image.new("RGB", (4, 4)).save(sample / "viva" / IMAGES["viva"], "GIF")
    with pytest.raises(AnnotationError, match="is not JPEG, PNG or WebP: convert it to one of them, or leave"):
        run(sample, "viva")


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "\ufeff" + text,
        lambda text: "sep=,\r\n" + text.replace("\n", "\r\n"),
        lambda text: text.replace("7,k.png", '"=""7""",k.png'),
        lambda text: text.replace("question_id,frame", "Question ID, Frame "),
    ],
    ids=["byte order mark", "Excel's first line", "Excel's quotes", "odd header"],
)
def test_spreadsheets_are_read_however_they_were_saved(sample: Path, change: object) -> None:
    path = sample / "tsha" / "test.csv"
    assert callable(change)
    path.write_bytes(change(path.read_text(encoding="utf-8")).encode())
    assert [choice.id for choice in load_choices(run(sample, "tsha"))] == ["7", "8"]


def test_a_workbook_and_another_encoding_say_how_to_save_them(sample: Path) -> None:
    sheet = sample / "detectors" / "sheet.csv"
    sheet.write_bytes(sheet.read_bytes().decode("utf-8-sig").replace("child", "café").encode("latin-1"))
    with pytest.raises(AnnotationError, match="is not UTF-8: in Excel, save it as"):
        run(sample, "detectors")
    sheet.rename(sheet.with_suffix(".xlsx"))
    edit(sample / "detectors" / "columns.toml", "sheet.csv", "sheet.xlsx")
    with pytest.raises(AnnotationError, match="is a workbook: save its sheet"):
        run(sample, "detectors")


@pytest.mark.parametrize("name", [name for name, made in SETS.items() if made.needs_layout])
def test_a_data_set_whose_layout_is_unknown_asks_for_it(sample: Path, name: str) -> None:
    with pytest.raises(AnnotationError, match="has not been published: name its columns with --columns"):
        run(sample, name, mapped=False)


def test_personas_are_not_mixed_with_what_is_there(sample: Path) -> None:
    (sample.parent / "persona-chat.jsonl").mkdir()
    (sample.parent / "persona-chat.jsonl" / "mine.toml").write_text("")
    with pytest.raises(AnnotationError, match="already exists: give a new folder"):
        run(sample, "persona-chat")


def test_a_sheet_with_a_row_for_each_annotation_is_read_with_all_its_fields(sample: Path) -> None:
    folder = sample / "detectors"
    (folder / "annotations.csv").write_text(
        "Picture;Who;Said;response_type;group;domain;synthetic\n"
        "images/scene 1.png;ann;the stove;1;north;domestic;true\n"
        "images/scene 1.png;bob;the child;2;south;domestic;true\n",
        encoding="utf-8",
    )
    (folder / "columns.toml").write_text(
        '[columns]\nimage = "Picture"\nannotator = "Who"\nelement = "Said"\n', encoding="utf-8"
    )
    study = load_study(run(sample, "detectors"))
    first, second = study.rows()
    assert (first.response_type, first.group, first.domain, first.synthetic) == (1, "north", "domestic", True)
    assert second.element == "the child"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (";1;north", ";9;north", "row 2: response_type"),
        ("bob;the child", "ann;the child", "ann has named an element for this image before"),
        ("domestic;true\nimages", "space;true\nimages", "row 2: domain"),
        ("ann;the stove", "ann;", "the column 'Said' is missing or empty"),
        ("Who", "Which", "has no column who"),
    ],
)
def test_a_wrong_row_of_a_sheet_is_named(sample: Path, old: str, new: str, said: str) -> None:
    test_a_sheet_with_a_row_for_each_annotation_is_read_with_all_its_fields(sample)
    (sample.parent / "detectors.jsonl").unlink()
    edit(sample / "detectors" / "annotations.csv", old, new)
    with pytest.raises(AnnotationError) as error:
        run(sample, "detectors")
    assert said in str(error.value)
    assert not (sample.parent / "detectors.jsonl").exists()


def test_the_same_image_under_two_names_is_refused_in_a_study(sample: Path) -> None:
    images = sample / "detectors" / "images"
    shutil.copy(images / "scene 1.png", images / "scene 2.png")
    with pytest.raises(AnnotationError, match="are the same image: keep one of them"):
        run(sample, "detectors")


@pytest.mark.parametrize("name", ["viva", "homesafebench", "persona-chat", "value-spectrum", "detectors"])
def test_a_folder_that_holds_something_else_is_named(sample: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        AnnotationError, match=r"check that this is the folder that docs/datasets describes|has no JPEG"
    ):
        convert(name, tmp_path / "empty", tmp_path / "out", NO_LAYOUT)
    with pytest.raises(AnnotationError, match="there is no folder"):
        convert(name, tmp_path / "gone", tmp_path / "out", NO_LAYOUT)
    assert not (tmp_path / "out").exists()


def test_a_name_too_long_for_a_file_is_missing_as_any_other(sample: Path) -> None:
    path = sample / "robot-values" / "scenarios.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace("1.png", f"{'a' * 300}.png"), encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"1 images are missing below .*aaa\.png"):
        run(sample, "robot-values")


@pytest.mark.parametrize("kind", [["fire"], {"a": 1}, None, 3])
def test_a_kind_of_hazard_that_is_no_text_is_named(sample: Path, kind: object) -> None:
    path = sample / "homesafebench" / "data" / "test" / "0_kitchen.json"
    task = json.loads(path.read_text(encoding="utf-8"))
    task["dangers"][0]["danger_type"] = kind
    path.write_text(json.dumps(task), encoding="utf-8")
    with pytest.raises(AnnotationError, match=r"0_kitchen\.json: .* is not a kind of hazard; the kinds are"):
        run(sample, "homesafebench")


@pytest.mark.parametrize("name", ["viva", "persona-chat"])
@pytest.mark.parametrize("out", ["taken/out", "folder"])
def test_where_nothing_can_be_written_that_is_said_and_nothing_is_left(sample: Path, name: str, out: str) -> None:
    (sample / "taken").write_text("a file where a folder would have to be")
    (sample / "folder").mkdir()
    (sample / "folder" / "own.txt").touch()
    before = sorted(sample.iterdir())
    with pytest.raises(AnnotationError, match=r"(can't be written|already exists)"):
        convert(name, sample / name, sample / out)
    assert sorted(sample.iterdir()) == before
