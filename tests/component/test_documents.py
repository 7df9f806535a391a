"""Documents that are made from code, compared with it."""

import re
import subprocess
import tomllib

import yaml

from scripts import cli_doc, contract_comments, rpc_doc, settings_doc
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


def test_a_bento_asks_for_what_the_project_says() -> None:
    project = tomllib.loads((processes.ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"], *extras["serving"], *extras["http"]]
    build = yaml.safe_load((processes.ROOT / "bentofile.yaml").read_text())
    assert build["python"]["packages"] == [package for package in wanted if not package.startswith("axia-vlm[")]
