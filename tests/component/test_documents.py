"""Documents that are made from code, compared with it."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from scripts import cli_doc, contract_comments, generated_pages, metrics_doc, rpc_doc, settings_doc
from tests.support import processes


def test_the_page_of_settings_is_what_the_classes_say() -> None:
    assert settings_doc.PAGE.read_text() == settings_doc.page(), "run python -m scripts.settings_doc"


def test_every_setting_says_what_it_means() -> None:
    rows = [line for line in settings_doc.page().splitlines() if line.startswith("| `AXIA_")]
    assert len(rows) > 30
    assert all(row.split("|")[3].strip() for row in rows)


def test_every_setting_that_a_message_or_a_document_names_is_one() -> None:
    known = set(re.findall(r"^\| `(AXIA_\w+)`", settings_doc.page(), re.MULTILINE))
    folders = ("services", "gateway", "axia", "demo", "scripts", "examples", "docs")
    paths = [
        path for folder in folders for path in (processes.ROOT / folder).rglob("*") if path.suffix in {".py", ".md"}
    ]
    named: dict[str, set[str]] = {}
    for path in [*paths, processes.ROOT / "README.md", processes.ROOT / "CONTRIBUTING.md"]:
        for name in re.findall(
            r"\bAXIA_(?:GATEWAY|HTTP|INFERENCE|RETRIEVAL|SCORING)_[A-Z0-9_]*[A-Z0-9]", path.read_text()
        ):
            named.setdefault(name, set()).add(str(path.relative_to(processes.ROOT)))
    assert len(named) > 30
    assert {name: sorted(files) for name, files in named.items() if name not in known} == {}


def test_every_threat_has_a_test_that_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (processes.ROOT / "SECURITY.md").read_text())
    assert len(named) > 30
    missing = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (processes.ROOT / file).read_text()]
    assert missing == []


def test_generating_the_stubs_again_changes_nothing() -> None:
    result = subprocess.run(
        ["bash", "scripts/proto.sh", "--check"], cwd=processes.ROOT, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_http_apis_comments_are_those_of_the_contract() -> None:
    # Runs after the stubs were generated above: that makes the generator's environment where there is none.
    assert contract_comments.FILE.read_text() == contract_comments.text(), "run make proto"


def test_the_page_of_rpcs_is_what_the_contract_says() -> None:
    assert rpc_doc.PAGE.read_text() == rpc_doc.page(), "run make proto"


def test_the_page_of_commands_is_what_they_say() -> None:
    assert cli_doc.PAGE.read_text() == cli_doc.page(), "run python -m scripts.cli_doc"


def test_the_page_of_metrics_is_what_the_modules_define() -> None:
    assert metrics_doc.PAGE.read_text() == metrics_doc.page(), "run python -m scripts.metrics_doc"


def test_every_module_of_metrics_has_a_section_and_every_metric_says_what_it_counts() -> None:
    modules = {path for folder in ("gateway", "services") for path in (processes.ROOT / folder).rglob("metrics.py")}
    assert modules == {Path(str(module.__file__)) for _, module in metrics_doc.SECTIONS}
    rows = re.findall(r"^\| `axia_\w+` \| (\w+) \| .* \| (.+) \|$", metrics_doc.page(), re.MULTILINE)
    assert len(rows) > 50
    assert {kind for kind, _ in rows} == {"counter", "gauge", "histogram"}
    assert all(meaning.endswith(".") for _, meaning in rows)


def test_a_generated_page_that_differs_fails_the_check_and_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (stale := tmp_path / "metrics.md").write_text(metrics_doc.page().replace("gauge", "gage"))
    monkeypatch.setattr(generated_pages, "PAGES", (metrics_doc,))
    assert generated_pages.main(["--check"]) == 0
    monkeypatch.setattr(metrics_doc, "PAGE", stale)
    monkeypatch.setattr(metrics_doc, "ROOT", tmp_path)
    assert generated_pages.main(["--check"]) == 1
    assert "metrics.md differs from the code" in capsys.readouterr().out
    assert generated_pages.main([]) == 0
    assert stale.read_text() == metrics_doc.page()


def test_a_bento_asks_for_what_the_project_says() -> None:
    project = tomllib.loads((processes.ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["serving"], *extras["http"]]
    build = yaml.safe_load((processes.ROOT / "bentofile.yaml").read_text())
    assert build["python"]["packages"] == [package for package in wanted if not package.startswith("axia-vlm[")]
