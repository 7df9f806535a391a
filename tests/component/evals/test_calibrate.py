"""`axia calibrate` on logs of the mock model: what it prints, and the routing table that it writes."""

import json
import tomllib
from pathlib import Path

import pytest
from typer.testing import CliRunner

from axia.cli import app
from axia.evals.tasks.values_detector import abstention
from axia.prompts import load_prompts
from gateway.backends.routes import load_routes
from gateway.settings import GatewaySettings
from tests.component.evals.mock_models import RIGHT, WRONG, right_for, run, study

PICTURES = 40
TABLE = """# ours
[[model]]
name = "mockllm/mock"
addresses = ["127.0.0.1:50051"]
"""

runner = CliRunner(env={"COLUMNS": "200", "NO_COLOR": "1"})


@pytest.fixture(scope="module")
def logs(scoring_address: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that is sure and right on 32 of 40 pictures, and divided and wrong on the others."""
    folder = tmp_path_factory.mktemp("calibrated")
    path = study(folder, {f"{number:02}.png": {} for number in range(PICTURES)})
    known = right_for(folder, *(f"{number:02}.png" for number in range(32)))
    asked: dict[str, int] = {}

    def say(text: str, pictures: list[str], system: str) -> str:
        asked[pictures[0]] = asked.get(pictures[0], 0) + 1
        if known(text, pictures, system) == RIGHT:
            return RIGHT
        return WRONG if asked[pictures[0]] <= 3 else "The lamp in the corner."

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AXIA_ADDRESS", scoring_address)
        run(abstention(str(path), samples=5), say, folder / "logs")
    return folder / "logs"


def test_the_routing_table_gets_the_threshold_with_its_coverage(logs: Path, tmp_path: Path) -> None:
    table = tmp_path / "models.toml"
    table.write_text(TABLE, encoding="utf-8")
    result = runner.invoke(app, ["calibrate", str(logs), "--bound", "0.1", "--routes", str(table)])
    assert result.exit_code == 0, result.output
    assert "answer from an agreement of 1.00 on; that is 80% of 40 images" in " ".join(result.output.split())
    text = table.read_text(encoding="utf-8")
    assert text.startswith("# ours")
    (model,) = tomllib.loads(text)["model"]
    assert model["defaults"] == {
        "abstain_threshold": 1.0, "n": 5, "calibrated_coverage": 0.8, "calibrated_images": PICTURES,
    }  # fmt: skip
    # The gateway takes it as it is.
    (route,) = load_routes(GatewaySettings(models=table), load_prompts())
    assert (route.defaults.calibrated_coverage, route.defaults.calibrated_images) == (0.8, PICTURES)


def test_thresholds_go_to_a_file_and_to_json_too(logs: Path, tmp_path: Path) -> None:
    out = tmp_path / "thresholds.toml"
    result = runner.invoke(app, ["calibrate", str(logs), "--bound", "0.1", "--out", str(out), "--json"])
    (found,) = json.loads(result.output)["calibrations"]
    assert found["calibration"]["threshold"] == 1.0
    # 32 answered, none wrong: 0.9 to the power of 32.
    assert found["points"][0]["p_value"] == pytest.approx(0.9**32)
    (written,) = tomllib.loads(out.read_text(encoding="utf-8"))["calibration"]
    assert (written["coverage"], written["completions"], written["abstain_threshold"]) == (0.8, 5, 1.0)


def test_a_bound_that_the_images_can_not_prove_leaves_the_table_alone(logs: Path, tmp_path: Path) -> None:
    table = tmp_path / "models.toml"
    table.write_text(TABLE, encoding="utf-8")
    result = runner.invoke(app, ["calibrate", str(logs), "--bound", "0.05", "--routes", str(table)])
    assert result.exit_code == 1
    assert "no threshold keeps errors at 5%" in " ".join(result.output.split())
    assert table.read_text(encoding="utf-8").strip() == TABLE.strip()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[model]]\nname = 'other'\naddresses = ['a:1']\n", "has no model 'mockllm/mock' (it has other)"),
        ("[[model", "is not valid TOML"),
        (None, "No such file"),
    ],
)
def test_a_table_that_does_not_fit_is_named_and_kept(logs: Path, tmp_path: Path, text: str | None, said: str) -> None:
    table = tmp_path / "models.toml"
    if text is not None:
        table.write_text(text, encoding="utf-8")
    result = runner.invoke(app, ["calibrate", str(logs), "--bound", "0.1", "--routes", str(table)])
    assert result.exit_code == 1
    assert said in " ".join(result.output.split())
    assert table.exists() is (text is not None)


def test_another_temperature_than_that_of_detections_is_told(logs: Path, tmp_path: Path) -> None:
    from inspect_ai.log import list_eval_logs, read_eval_log, write_eval_log

    log = read_eval_log(list_eval_logs(str(logs))[0])
    assert log.eval.metadata
    log.eval.metadata["sampling"]["temperature"] = 0.5
    write_eval_log(log, str(tmp_path / "logs" / "cooler.eval"))
    table = tmp_path / "models.toml"
    table.write_text(TABLE, encoding="utf-8")
    result = runner.invoke(app, ["calibrate", str(tmp_path / "logs"), "--bound", "0.1", "--routes", str(table)])
    assert result.exit_code == 0, result.output
    assert "was calibrated at temperature 0.5" in " ".join(result.output.split())
