"""`axia agreement` and `axia compare` of detections against the scoring service."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.testing import FakeGateway
from tests.support import pictures, processes

START_S = 120.0
RATINGS = [
    {"unit": unit, "annotator": annotator, "category": category, "note": "ignored"}
    for unit, said in {"kitchen": "aab", "bath": "aaa", "hall": "bbb", "attic": "abb"}.items()
    for annotator, category in zip(("ann", "bob", "cat"), said, strict=True)
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with processes.scoring(tmp_path_factory.mktemp("scoring") / "log") as server:
        server.wait_for("SERVING", START_S)
        yield server.address


def run(address: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)], env={"AXIA_ADDRESS": address})


def test_agreement_of_ratings_is_measured_from_json_lines_and_csv(address: str, tmp_path: Path) -> None:
    rows, table = tmp_path / "ratings.jsonl", tmp_path / "ratings.csv"
    rows.write_text("".join(json.dumps(row) + "\n" for row in RATINGS), encoding="utf-8")
    lines = [",".join(("annotator", "unit", "category"))]
    lines += [f'{row["annotator"]},"{row["unit"]}",{row["category"]}' for row in RATINGS]
    table.write_text("\n".join(lines), encoding="utf-8")
    told = json.loads(run(address, "agreement", rows, "--json").stdout)
    assert told == json.loads(run(address, "agreement", table, "--json").stdout)
    # Fleiss: 3 raters, per-unit agreement 1/3, 1, 1, 1/3, mean 2/3; categories 6/12 each, so 1/2 by chance.
    assert told["fleiss_kappa"] == pytest.approx((2 / 3 - 1 / 2) / (1 / 2))
    assert told["units"] == 4
    result = run(address, "agreement", rows, "--confidence-level", 0.9)
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    for word in ("4 units", "Fleiss' kappa 0.33", "Krippendorff's alpha", "Human ceiling", "90% interval", "Cohen's"):
        assert word in words
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("r.jsonl", '{"unit": "a", "annotator": "b"}', "line 1: category is missing"),
        ("r.jsonl", "[1]", "line 1: is not a JSON object"),
        ("r.jsonl", "\n\n", "has no ratings"),
        ("r.csv", "unit,annotator\nkitchen,ann\n", "line 2: category is missing"),
        ("gone", None, "can't be read"),
    ],
)
def test_ratings_that_are_wrong_are_named(address: str, tmp_path: Path, name: str, text: str | None, told: str) -> None:
    path = tmp_path / name
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = run(address, "agreement", path)
    assert (result.exit_code, told in " ".join(result.stderr.replace("│", " ").split())) == (2, True)


def detections(tmp_path: Path, name: str, says: str, files: int) -> Path:
    """What `axia detect --json` prints of a model that always says this, by another model's name."""
    folder = tmp_path / "pictures"
    folder.mkdir(exist_ok=True)
    for seed in range(files):
        (folder / f"{seed}.png").write_bytes(pictures.photograph(seed, (32, 32), "PNG"))
    saved = tmp_path / f"{name}.jsonl"
    truth = ("--truth", "a hot stove", "-n", 2, "--json")
    with FakeGateway(detections=[says]) as fake:
        paths = [folder / f"{seed}.png" for seed in range(files)]
        result = run(fake.address, "detect", *paths, *truth)
    rows: list[Any] = [json.loads(line) for line in result.stdout.splitlines() if '"completions"' in line]
    assert len(rows) == files, result.stderr
    saved.write_text("".join(json.dumps({**row, "model": name}) + "\n" for row in rows), encoding="utf-8")
    return saved


def test_models_are_compared_by_their_saved_detections(address: str, tmp_path: Path) -> None:
    good, bad = detections(tmp_path, "good", "a hot stove", 8), detections(tmp_path, "bad", "a lamp", 7)
    result = run(address, "compare", good, bad, "--judge", "lexical", "--json")
    assert result.exit_code == 0, result.stderr
    assert "good: 1 images are left out" in result.stderr
    told = json.loads(result.stdout)
    assert told["judge"] == "lexical"
    assert [(model["model"], model["mean"], model["completions"]) for model in told["comparison"]["models"]] == [
        ("good", 1.0, 14),
        ("bad", 0.0, 14),
    ]
    (pair,) = told["comparison"]["pairs"]
    assert (pair["difference"], pair["first_only"], pair["p_value"]) == (1.0, 7, pytest.approx(2 / 2**7))
    table = run(address, "compare", good, bad, "--judge", "lexical")
    assert "7 images, judged by lexical" in table.stdout
    assert "+1.00" in table.stdout
    twice = run(address, "compare", good, good, "--judge", "lexical", "--json")
    names = [model["model"] for model in json.loads(twice.stdout)["comparison"]["models"]]
    assert names == ["good, file 1", "good, file 2"]


def test_files_that_cannot_be_compared_are_wrong_usage(address: str, tmp_path: Path) -> None:
    saved, other = detections(tmp_path, "good", "a hot stove", 1), tmp_path / "free.jsonl"
    other.write_text('{"event": "request", "request": {}}\n', encoding="utf-8")
    alone = run(address, "compare", saved)
    assert (alone.exit_code, "only one model" in " ".join(alone.stderr.split())) == (2, True)
    mixed = run(address, "compare", saved, other)
    assert (mixed.exit_code, "only detections" in " ".join(mixed.stderr.split())) == (2, True)
    assert run(address, "compare", other, other, "--judge", "lexical").exit_code == 2
    assert run(address, "compare", other, other, other).exit_code == 2
