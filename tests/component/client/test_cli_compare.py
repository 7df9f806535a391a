"""`axia compare` of two assessments of preference."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from axia.cli import app
from axia.results import PreferenceComparison
from axia.results.scoring import Interval, PreferenceDifference
from axia.scoring import Scoring
from axia.testing import FakeGateway
from tests.support import pictures


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def compared(value: str, p_value: float) -> PreferenceDifference:
    interval = Interval(low=-12, high=4, level=0.95, method="newcombe paired clustered by keyword")
    return PreferenceDifference(
        value=value, both_yes=3, first_only=1, second_only=2, both_no=4, first_percentage=40, second_percentage=50,
        difference=-10, interval=interval, p_value=p_value, adjusted_p_value=p_value, keywords=7,
    )  # fmt: skip


@pytest.fixture
def assessments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Path, list[Any]]]:
    """Two saved assessments, and the answers that the comparison is asked about."""
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    asked: list[Any] = []

    def compare(scoring: Scoring, first: Any, second: Any) -> PreferenceComparison:
        asked.extend((first, second))
        return PreferenceComparison(
            differences=(compared("power", 0.04),), overall=compared("", 0.04), mean_absolute_difference=10.0,
            unpaired_first=0, unpaired_second=0, undecided_pairs=0,
        )  # fmt: skip

    monkeypatch.setattr(Scoring, "compare_preferences", compare)
    answers = {"Do you like": ["Yes.", "No.", "Yes."]}
    with FakeGateway(images=[pictures.photograph(seed) for seed in range(3)], answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
        assert run("preference", "--value", "power", "-k", 2, "--seed", 1, "--out", first).exit_code == 0
        assert run("preference", "--value", "power", "-k", 2, "--structured", "--out", second).exit_code == 0
        yield first, second, asked


@pytest.mark.parametrize("columns", [80, 120])
def test_over_all_figures_stand_beside_the_values(
    assessments: tuple[Path, Path, list[Any]], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    first, second, _ = assessments
    result = run("compare", first, second)
    assert result.exit_code == 0, result.output
    rows = result.stdout.splitlines()
    table = [row for row in rows if row.split()[:1] in (["power"], ["all"])]
    assert [row.split()[-3:] for row in table] == [["10", "in", "7"]] * 2
    assert all("-4 to +12" in row for row in table)
    assert max(map(len, table)) <= columns
    said = " ".join(result.stdout.split())
    overall = json.loads(run("compare", first, second, "--json").stdout)["first"]["overall"]
    mean, keywords = overall["mean_over_keywords"], overall["keywords"]
    assert (
        f"free, over all: mean of {keywords} keywords {mean:.1f}%; {overall['answers']} answers, {overall['yes']} yes"
        in said
    )
    assert (
        (overall["yes"] + overall["no"] + overall["refusals"] + overall["unparsed"])
        == overall["answers"]
        == 2 * keywords
    )
    assert "They differ in power (McNemar's exact test, clustered by keyword, Holm, p < 0.05)" in said
    assert "Over all values: +10.0 points, p 0.04 (McNemar's exact test, clustered by keyword)" in said


def test_an_answer_without_an_end_does_not_cost_the_comparison(assessments: tuple[Path, Path, list[Any]]) -> None:
    first, second, asked = assessments
    first.write_text(first.read_text().replace('"replies":["Yes."', f'"replies":["Yes. {"so " * 10_000}"'))
    assert run("compare", first, second).exit_code == 0
    assert max(len(answer.answer) for answer in asked[0]) == 16_384
