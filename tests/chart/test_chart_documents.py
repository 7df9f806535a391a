"""What is written from the chart's values, and the metrics that the chart names."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from scripts import chart_doc, dashboards
from tests.support.cluster import chart
from tests.support.cluster.prometheus import promtool, with_values
from tests.support.processes import ROOT


def test_schema_and_table_are_what_the_values_say() -> None:
    assert chart_doc.SCHEMA.read_text() == chart_doc.schema(), "run python -m scripts.chart_doc"
    assert chart_doc.README.read_text() == chart_doc.readme(), "run python -m scripts.chart_doc"


def test_every_value_says_what_it_means() -> None:
    found = list(chart_doc.values())
    assert len(found) > 100
    assert [value.path for value in found if not value.meaning] == []


@pytest.mark.parametrize("board", dashboards.ALL, ids=lambda board: str(board.name))
def test_dashboards_are_what_their_script_writes(board: dashboards.Dashboard) -> None:
    assert dashboards.path(board).read_text() == dashboards.document(board), "run python -m scripts.dashboards"
    panels = json.loads(dashboards.document(board))["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len(places)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_the_chart_holds_each_dashboard() -> None:
    found = {
        name: text
        for manifest in chart.rendered("monitored")
        if manifest["kind"] == "ConfigMap" and manifest["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in manifest["data"].items()
    }
    assert {name: json.loads(text) for name, text in found.items()} == {
        dashboards.path(board).name: json.loads(dashboards.document(board)) for board in dashboards.ALL
    }


def named() -> set[str]:
    """Every metric of ours that rules, scaling and dashboards name."""
    scaling = [manifest["spec"] for manifest in chart.rendered("production") if manifest["kind"] == "ScaledObject"]
    queries = [query.expr for board in dashboards.ALL for _, query in board.queries()]
    text = "".join(((chart.CHART / "files" / "rules.yaml").read_text(), str(scaling), *queries))
    return set(re.findall(r"\b(axia_[a-z_]+)\b", text))


def with_ends(kinds: Mapping[str, str]) -> set[str]:
    """Metrics with the three that a histogram has."""
    histograms = [name for name, kind in kinds.items() if kind == "histogram"]
    return {*kinds} | {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")}


def test_every_metric_that_is_named_is_documented() -> None:
    kinds = dict(re.findall(r"^\| `(axia_\w+)` \| (\w+) ", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    assert len(named()) > 40
    assert named() - with_ends(kinds) == set()


def test_every_metric_that_is_named_is_in_a_scrape() -> None:
    pytest.importorskip("qdrant_client", reason="needs what a set-up without an engine leaves out")
    # In a process of its own: each server registers its metrics once.
    program = (
        "import gateway.metrics, gateway.http.metrics, services.inference.metrics, services.retrieval.metrics, "
        "services.scoring.metrics; from prometheus_client import generate_latest; "
        "from services.serving.metrics import REGISTRY; print(generate_latest(REGISTRY).decode())"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    kinds = dict(re.findall(r"^# TYPE (axia_\w+) (\w+)$", done.stdout, re.MULTILINE))
    assert named() - with_ends(kinds) == set()


def test_prometheus_takes_every_query_of_the_dashboards(tmp_path: Path) -> None:
    rules = [
        {"record": f"q:{index}", "expr": with_values(query.expr)}
        for index, (_, query) in enumerate(titled_query for board in dashboards.ALL for titled_query in board.queries())
    ]
    path = tmp_path / "queries.yaml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": rules}]}))
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout
