"""The chart's Grafana dashboards, helm/axia/dashboards/*.json.

Write them after a change; a test compares: python -m scripts.dashboards"""

from pathlib import Path

from scripts.dashboards.grafana import document
from scripts.dashboards.operation import OPERATION
from scripts.dashboards.panels import Dashboard
from scripts.dashboards.quality import QUALITY
from scripts.dashboards.retrieval import RETRIEVAL

__all__ = ["ALL", "FOLDER", "document", "path"]

FOLDER = Path(__file__).parents[2] / "helm" / "axia" / "dashboards"
ALL = (OPERATION, QUALITY, RETRIEVAL)


def path(board: Dashboard) -> Path:
    """Where a dashboard's file is."""
    return FOLDER / f"{board.name}.json"
