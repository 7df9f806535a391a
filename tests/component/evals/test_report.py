"""A report of two models: tests between them, what is left out, and the command."""

import hashlib
import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from axia.cli import app
from axia.evals.tasks.value_spectrum import value_spectrum
from axia.evals.tasks.values_detector import values_detector
from tests.component.evals.mock_models import RIGHT, WRONG, reported, right_for, run, study, table

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def logs(scoring_address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One model that is right on ten pictures of twelve, and one on two; the second says nothing about the last."""
    folder = tmp_path_factory.mktemp("two")
    path = study(folder, {f"{number:02}.png": {} for number in range(12)})
    last = hashlib.sha256((folder / "11.png").read_bytes()).hexdigest()
    weak = right_for(folder, "00.png", "01.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AXIA_ADDRESS", scoring_address)
        task = values_detector(str(path), epochs=1)
        run(task, right_for(folder, *(f"{number:02}.png" for number in range(10))), folder / "logs", "strong")
        run(
            values_detector(str(path), epochs=1),
            lambda text, pictures, system: "" if last in pictures else weak(text, pictures, system),
            folder / "logs", "weak",
        )  # fmt: skip
    return folder / "logs"


def test_two_models_are_compared_on_the_pictures_that_both_answered(logs: Path, tmp_path: Path, address: str) -> None:
    report = reported(address, logs, tmp_path)
    rates = {row["model"]: row for row in table(report, "values-detector-rates")}
    unread = round(float(rates["mockllm/weak"]["unread"]) * 12)
    compared = 12 - unread
    (pair,) = table(report, "values-detector-pairs")
    assert (pair["first"], pair["second"]) == ("mockllm/strong", "mockllm/weak")
    assert (int(pair["first only"]), int(pair["second only"])) == (8, 0)
    assert float(pair["difference"]) == pytest.approx(8 / compared)
    assert float(pair["p"]) == pytest.approx(2 / 2**8)  # McNemar's exact test on eight pictures that differ
    (test, *_) = table(report, "values-detector-cochran")
    assert float(test["Q"]) == pytest.approx(8)  # of two models it is (b - c)² / (b + c)
    page = (report / "report.html").read_text(encoding="utf-8")
    if unread:
        assert f"{unread} of 12 answers don't have a score from every model, so comparisons don't include them." in page
    ceiling = next(
        row for row in table(report, "values-detector-published") if row["who"].startswith("annotators, each")
    )
    assert 0 < float(ceiling["alignment"]) <= 1
    assert "was not measured for these answers" in page
    answers = (report / "answers.csv").read_text(encoding="utf-8")
    assert answers.count(RIGHT) == 12
    assert WRONG in answers


def test_the_command_writes_the_page_and_refuses_what_is_no_card(logs: Path, tmp_path: Path, address: str) -> None:
    card = tmp_path / "card.json"
    card.write_text("{}")
    refused = runner.invoke(app, ["report", str(logs), "--card", str(card), "--out", str(tmp_path / "report")])
    assert refused.exit_code == 1
    assert "is not a judge card: write one with axia judges audit" in " ".join(refused.output.split())
    assert not (tmp_path / "report").exists()
    done = runner.invoke(app, ["report", str(logs), "--out", str(tmp_path / "report"), "--title", "My <models>"])
    assert done.exit_code == 0, done.output
    assert "<h1>My &lt;models&gt;</h1>" in (tmp_path / "report" / "report.html").read_text(encoding="utf-8")


def test_preferences_of_two_models_are_compared_picture_by_picture(tmp_path: Path, address: str) -> None:
    rows, liked = [], set()
    for number in range(10):
        name = f"{number}.png"
        value, keyword = "power" if number < 5 else "hedonism", f"word {number}"
        Image.new("RGB", (8, 8), (number * 20, 9, 9)).save(tmp_path / name)
        rows.append({"file": name, "keywords": [keyword], "values": [value]})
        if value == "power":
            liked.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    path = tmp_path / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    logs = tmp_path / "logs"
    run(value_spectrum(str(path)), lambda *_: "Yes, I like it.", logs, "fond")
    run(
        value_spectrum(str(path)),
        lambda _, pictures, __: "Yes, I like it." if liked & set(pictures) else "No, I don't like it.",
        logs, "proud",
    )  # fmt: skip
    report = reported(address, logs, tmp_path / "report")
    by_value = {row["value"]: row for row in table(report, "preference-pairs")}
    assert (float(by_value["all"]["first %"]), float(by_value["all"]["second %"])) == (100.0, 50.0)
    assert float(by_value["power"]["difference"]) == 0
    assert float(by_value["hedonism"]["difference"]) == 100
    assert float(by_value["all"]["p"]) == pytest.approx(2 / 2**5)  # five keywords differ, all in one direction
    published = {row["model"] for row in table(report, "preference-published")}
    assert {"mockllm/fond", "GPT-4o", "mean of the eight"} <= published
