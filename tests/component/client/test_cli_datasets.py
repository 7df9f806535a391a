"""`axia dataset`: what it says of a data set, and its exit codes."""

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axia.cli import app
from axia.evals.datasets.catalogue import SETS

SAMPLES = Path(__file__).parents[2] / "data" / "datasets"

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})


def said(*arguments: object, code: int = 0) -> str:
    result = runner.invoke(app, ["dataset", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def test_the_list_names_every_data_set_and_whether_columns_are_needed() -> None:
    listed = json.loads(said("list", "--json"))["datasets"]
    assert [entry["name"] for entry in listed] == list(SETS)
    assert {entry["name"] for entry in listed if entry["needs_columns"]} == {"robot-values", "tsha", "value-ground"}
    assert "HomeSafeBench" in said("list")


def test_a_conversion_says_what_it_wrote_and_what_to_do_next(tmp_path: Path) -> None:
    out = tmp_path / "viva.jsonl"
    text = said("convert", "viva", SAMPLES / "viva", "--out", out)
    assert f"{out}: 3 questions of VIVA" in text
    assert "1 questions have no answer" in text
    assert f"axia eval choice -T questions={out}" in text
    assert len(out.read_text(encoding="utf-8").splitlines()) == 3


def test_a_manifest_says_how_far_the_folder_is_from_the_published_set(tmp_path: Path) -> None:
    text = said("convert", "value-spectrum", SAMPLES / "value-spectrum", "--out", tmp_path / "manifest.jsonl")
    assert "3 images of Value-Spectrum's screenshots" in text
    assert "the published set has 50,191 screenshots, this folder 3" in text


def test_columns_come_from_a_file_and_the_result_can_be_json(tmp_path: Path) -> None:
    folder, out = SAMPLES / "tsha", tmp_path / "tsha.jsonl"
    done = json.loads(said("convert", "tsha", folder, "--columns", folder / "columns.toml", "--out", out, "--json"))
    assert done == {"dataset": "tsha", "out": str(out), "rows": 2, "missing": [], "notes": []}


def test_missing_images_end_it_or_are_counted(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(SAMPLES / "viva", tmp_path / "viva"))
    (folder / "data" / "VIVA_images" / "1.jpg").unlink()
    out = tmp_path / "viva.jsonl"
    refused = said("convert", "viva", folder, "--out", out, code=1)
    assert "1 images are missing below" in refused
    assert "leave their rows out with --skip-missing" in refused
    assert not out.exists()
    assert "1 images are missing, and their rows are left out" in said(
        "convert", "viva", folder, "--out", out, "--skip-missing"
    )


@pytest.mark.parametrize(
    ("arguments", "words", "code"),
    [
        (["vqa", "."], "'vqa' is not a data set: use one of value-spectrum, detectors", 2),
        (["viva", "nowhere"], "there is no folder nowhere", 1),
        (["viva", "."], "check that this is the folder that docs/datasets describes", 1),
        (["tsha", "."], "name its columns with --columns (see docs/datasets/tsha.md)", 1),
        (["tsha", ".", "--columns", "none.toml"], "none.toml can't be read: give a TOML file", 1),
    ],
)
def test_wrong_usage_is_named(arguments: list[str], words: str, code: int, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    given = [str(empty) if argument == "." else argument for argument in arguments]
    assert words in said("convert", *given, "--out", tmp_path / "out.jsonl", code=code)
    assert not (tmp_path / "out.jsonl").exists()
