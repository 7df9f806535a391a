"""A dashboard as the JSON that Grafana imports."""

import json
from typing import Any

from scripts.dashboards.panels import HERE, Dashboard, Panel

_WIDTH, _HEIGHT, _ACROSS = 8, 8, 3
"""Of a panel, in Grafana's grid of 24 columns."""
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


def document(board: Dashboard) -> str:
    """A dashboard as Grafana imports it."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in board.rows:
        panels.append(
            _placed(len(panels), {"type": "row", "title": title, "collapsed": False, "panels": []}, 0, y, 24, 1)
        )
        y += 1
        for index, panel in enumerate(row):
            x = index % _ACROSS * _WIDTH
            panels.append(_placed(len(panels), _panel(panel), x, y + index // _ACROSS * _HEIGHT, _WIDTH, _HEIGHT))
        y += -(-len(row) // _ACROSS) * _HEIGHT
    variables = [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
        _labels("namespace", "axia_rpc_requests_total"),
    ]
    if board.by_model:
        variables.append(_labels("model", f"axia_gateway_detections_total{{{HERE}}}"))
    whole = {
        "uid": f"axia-{board.name}",
        "title": board.title,
        "tags": ["axia"],
        "schemaVersion": 39,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": variables},
        "panels": panels,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _placed(number: int, panel: dict[str, Any], x: int, y: int, width: int, height: int) -> dict[str, Any]:
    return {"id": number + 1, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}}


def _panel(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0, "custom": {"fillOpacity": 10, "showPoints": "never"}}
    if panel.most is not None:
        defaults["max"] = panel.most
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": _DATA_SOURCE,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _DATA_SOURCE, "expr": query.expr}
            | ({"legendFormat": query.legend} if query.legend else {})
            for index, query in enumerate(panel.queries)
        ],
    }


def _labels(name: str, metric: str) -> dict[str, Any]:
    """A variable with all values of a label."""
    query = f"label_values({metric}, {name})"
    return {
        "name": name,
        "type": "query",
        "datasource": _DATA_SOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
