"""What is written from the chart's values, and the metrics that the chart names."""

import re

from scripts import chart_doc
from tests.support import chart
from tests.support.processes import ROOT


def test_schema_and_table_are_what_the_values_say() -> None:
    assert chart_doc.SCHEMA.read_text() == chart_doc.schema(), "run python -m scripts.chart_doc"
    assert chart_doc.README.read_text() == chart_doc.readme(), "run python -m scripts.chart_doc"


def test_every_value_says_what_it_means() -> None:
    found = list(chart_doc.values())
    assert len(found) > 100
    assert [own.path for own in found if not own.meaning] == []


def test_every_metric_that_rules_and_scaling_name_is_documented() -> None:
    kinds = dict(re.findall(r"^\| `(axia_\w+)` \| (\w+) ", (ROOT / "docs" / "metrics.md").read_text(), re.MULTILINE))
    known = {*kinds} | {
        f"{name}_{end}" for name, kind in kinds.items() if kind == "histogram" for end in ("bucket", "sum", "count")
    }
    scaling = [own["spec"] for own in chart.rendered("production") if own["kind"] == "ScaledObject"]
    text = (chart.CHART / "files" / "rules.yaml").read_text() + str(scaling)
    named = set(re.findall(r"\b(axia_[a-z_]+)\b", text))
    assert len(named) > 15
    assert named - known == set()
