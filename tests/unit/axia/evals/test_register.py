"""Entries of the inspect_evals register: what they name exists, and the register's own checker passes."""

from pathlib import Path

import pytest
import yaml

pytest.importorskip("inspect_ai")

from axia.evals import _registry
from axia.evals.run import PAPERS

ROOT = Path(__file__).parents[4]
ENTRIES = sorted((ROOT / "axia" / "evals" / "tasks").glob("*/eval.yaml"))


@pytest.mark.parametrize("path", ENTRIES, ids=lambda path: path.parent.name)
def test_an_entry_names_its_paper_and_every_task_of_its_package(path: Path) -> None:
    entry = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert entry["arxiv"].rpartition("/")[2] in PAPERS
    package = f"axia.evals.tasks.{path.parent.name}"
    tasks = {name for name in _registry.__all__ if getattr(_registry, name).__module__.startswith(package)}
    assert {task["name"] for task in entry["tasks"]} == tasks
    for task in entry["tasks"]:
        module = getattr(_registry, task["name"]).__module__
        assert task["task_path"] == f"{module.replace('.', '/')}.py"


def test_both_papers_have_an_entry() -> None:
    assert len(ENTRIES) == len(PAPERS)


def test_the_register_s_checker_passes() -> None:
    lint = pytest.importorskip("inspect_evals_lint")
    run = lint.lint_repository(ROOT, lint.load_config(ROOT))
    assert sorted(package.name for package in run.packages) == ["value_spectrum", "values_detector"]
    failed = [
        f"{found.rule.code} {found.location}: {found.message}"
        for package in run.packages
        if not package.passed()
        for found in package.diagnostics
    ]
    assert not failed
