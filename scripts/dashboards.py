"""Writes the chart's Grafana dashboards, helm/axia/dashboards/*.json.

Run it after a change; a test compares: python -m scripts.dashboards"""

import json
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "helm" / "axia" / "dashboards"

_WIDTH, _HEIGHT, _ACROSS = 8, 8, 3
"""Of a panel, in Grafana's grid of 24 columns."""
_HERE = 'namespace=~"$namespace"'
_MODEL = f'{_HERE},model=~"$model"'
_RATE = "[$__rate_interval]"
_DETECT = 'method=~".*axia.v1.GatewayService/(Stream)?DetectValues"'
_DATA_SOURCE = {"type": "prometheus", "uid": "${datasource}"}


class Query(NamedTuple):
    """A line of a panel."""

    expr: str
    legend: str = ""
    only: str = ""
    """What has to run for it to return data: "vllm", "cameras" and so on; empty if any detection is enough."""


class Panel(NamedTuple):
    """A graph over time."""

    title: str
    meaning: str
    queries: tuple[Query, ...]
    unit: str = "short"
    most: float | None = None
    """Upper end of the axis, where it is fixed."""


class Dashboard(NamedTuple):
    """A page of rows of panels."""

    name: str
    title: str
    by_model: bool
    rows: tuple[tuple[str, tuple[Panel, ...]], ...]

    def queries(self) -> list[tuple[str, Query]]:
        """All queries, each with its panel's title."""
        return [(panel.title, query) for _, panels in self.rows for panel in panels for query in panel.queries]


def _sum(metric: str, by: str, where: str = _HERE) -> str:
    return f"sum by ({by}) (rate({metric}{{{where}}}{_RATE}))"


def _mean(metric: str, by: str, where: str = _HERE) -> str:
    return f"{_sum(metric + '_sum', by, where)} / {_sum(metric + '_count', by, where)}"


def _quantile(share: float, metric: str, by: str, where: str = _HERE) -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share:g}, {_sum(metric + '_bucket', labels, where)})"


OPERATION = Dashboard(
    "operation",
    "axia: operation",
    False,
    (
        (
            "Answers",
            (
                Panel(
                    "Detections by status", "Calls of DetectValues that ended, a second.",
                    (Query(_sum("axia_rpc_requests_total", "code", f"{_HERE},{_DETECT}"), "{{code}}"),), "reqps",
                ),
                Panel(
                    "Time of a detection", "At the gateway, from the request to the answer.",
                    (
                        Query(_quantile(0.5, "axia_gateway_stage_seconds", "", f'{_HERE},stage="total"'), "half"),
                        Query(_quantile(0.95, "axia_gateway_stage_seconds", "", f'{_HERE},stage="total"'), "95%"),
                    ), "s",
                ),
                Panel(
                    "Where the time goes", "95% of the detections spend less in the stage.",
                    (Query(_quantile(0.95, "axia_gateway_stage_seconds", "stage"), "{{stage}}"),), "s",
                ),
                Panel(
                    "Calls refused", "By reason. QUEUE_FULL and TOO_MANY_CALLS: add replicas.",
                    (Query(_sum("axia_rpc_rejected_total", "method, reason"), "{{method}} {{reason}}", "errors"),),
                    "reqps",
                ),
                Panel(
                    "HTTP requests by status", "499: the caller left first.",
                    (Query(_sum("axia_http_requests_total", "status"), "{{status}}", "http"),), "reqps",
                ),
                Panel(
                    "Frames of cameras", "superseded: a newer frame came before the answer.",
                    (
                        Query(_sum("axia_gateway_watch_frames_total", "outcome"), "{{outcome}}", "cameras"),
                        Query(f"sum(axia_gateway_watchers{{{_HERE}}})", "cameras"),
                    ),
                ),
                Panel(
                    "Age of a frame at its answer", "Of cameras.",
                    (
                        Query(_quantile(0.5, "axia_gateway_watch_age_seconds", ""), "half", "cameras"),
                        Query(_quantile(0.95, "axia_gateway_watch_age_seconds", ""), "95%", "cameras"),
                    ), "s",
                ),
            ),
        ),
        (
            "Models",
            (
                Panel(
                    "Completions waiting and running", "Of all replicas of a model.",
                    (
                        Query(f"sum by (service) (axia_inference_waiting{{{_HERE}}})", "{{service}} waiting"),
                        Query(f"sum by (service) (axia_inference_running{{{_HERE}}})", "{{service}} running"),
                    ),
                ),
                Panel(
                    "Replicas that can be called", "As the gateways see them.",
                    (
                        Query(
                            f"sum by (model) (max by (model, address) (axia_gateway_replica_available{{{_HERE}}}))",
                            "{{model}}",
                        ),
                        Query(f"sum by (service) (axia_inference_loading{{{_HERE}}})", "{{service}} loading"),
                    ),
                ),
                Panel(
                    "Tokens", "Prompts, pictures included, and completions, a second.",
                    (Query(_sum("axia_inference_tokens_total", "service, kind"), "{{service}} {{kind}}"),),
                ),
                Panel(
                    "Key-value cache", "vLLM's. Full: completions are put back and computed again.",
                    (
                        Query(f"axia_inference_kv_cache_usage{{{_HERE}}}", "{{service}} {{pod}}", "vllm"),
                        Query(_sum("axia_inference_preemptions_total", "service"), "{{service}} put back/s", "vllm"),
                    ),
                ),
                Panel(
                    "Prefix and picture caches", "Share that was found.",
                    (
                        Query(
                            _sum("axia_inference_prefix_cache_tokens_total", "service", f'{_HERE},outcome="hit"')
                            + " / " + _sum("axia_inference_prefix_cache_tokens_total", "service"),
                            "{{service}} prefixes", "vllm",
                        ),
                        Query(
                            _sum("axia_inference_picture_cache_total", "service", f'{_HERE},outcome="hit"')
                            + " / " + _sum("axia_inference_picture_cache_total", "service"),
                            "{{service}} pictures", "vllm",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Calls tried again", "At another replica, before the model began to answer.",
                    (Query(_sum("axia_gateway_retries_total", "model, reason"), "{{model}} {{reason}}", "errors"),),
                    "reqps",
                ),
            ),
        ),
        (
            "Servers",
            (
                Panel(
                    "Calls in flight", "By method.",
                    (Query(f"sum by (method) (axia_rpc_in_flight{{{_HERE}}})", "{{method}}"),),
                ),
                Panel(
                    "Processor", "Cores in use.",
                    (Query(_sum("process_cpu_seconds_total", "service, pod"), "{{service}} {{pod}}"),),
                ),
                Panel(
                    "Memory", "Resident.",
                    (
                        Query(
                            f"sum by (service, pod) (process_resident_memory_bytes{{{_HERE}}})", "{{service}} {{pod}}"
                        ),
                    ), "bytes",
                ),
            ),
        ),
    ),
)  # fmt: skip

QUALITY = Dashboard(
    "quality",
    "axia: quality by model",
    True,
    (
        (
            "Detections",
            (
                Panel(
                    "Share that abstains", "The completions of a picture don't agree.",
                    (
                        Query(
                            _sum("axia_gateway_detections_total", "model", f'{_MODEL},outcome="abstained"')
                            + " / " + _sum("axia_gateway_detections_total", "model", _MODEL),
                            "{{model}}", "abstentions",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Agreement", "Mean share of the completions in the largest group.",
                    (Query(_mean("axia_gateway_agreement", "model", _MODEL), "{{model}}"),), "percentunit", 1,
                ),
                Panel(
                    "Agreement, by share of detections", "Detections with an agreement up to the value.",
                    (
                        Query(
                            _sum("axia_gateway_agreement_bucket", "le", _MODEL)
                            + " / ignoring(le) group_left "
                            + f"sum(rate(axia_gateway_agreement_count{{{_MODEL}}}{_RATE}))",
                            "up to {{le}}",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Response types", "Share of the completions by their most probable type.",
                    (
                        Query(
                            _sum("axia_gateway_response_types_total", "model, type", _MODEL)
                            + " / on (model) group_left "
                            + _sum("axia_gateway_response_types_total", "model", _MODEL),
                            "{{model}} {{type}}",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "How completions end", "length: cut at the bound of tokens.",
                    (
                        Query(
                            _sum("axia_gateway_completions_total", "model, finish_reason", _MODEL),
                            "{{model}} {{finish_reason}}",
                        ),
                    ),
                ),
                Panel(
                    "Tokens of a completion", "Mean.",
                    (
                        Query(
                            _sum("axia_gateway_tokens_total", "model", _MODEL)
                            + " / " + _sum("axia_gateway_completions_total", "model", _MODEL),
                            "{{model}}",
                        ),
                    ),
                ),
                Panel(
                    "Cut short by a deadline", "Share of detections.",
                    (
                        Query(
                            _sum("axia_gateway_partial_total", "model", _MODEL)
                            + " / " + _sum("axia_gateway_detections_total", "model", _MODEL),
                            "{{model}}", "deadlines",
                        ),
                    ), "percentunit", 1,
                ),
                Panel(
                    "Parts that are missing", "Answers without groups, types, values, alignment or scores.",
                    (Query(_sum("axia_gateway_missing_total", "part"), "{{part}}", "errors"),), "reqps",
                ),
            ),
        ),
        (
            "Studies",
            (
                Panel(
                    "Preference: verdicts", "refusal and unparsed answers say nothing of the model's values.",
                    (
                        Query(
                            _sum("axia_gateway_preference_judgements_total", "model, outcome", _MODEL),
                            "{{model}} {{outcome}}", "studies",
                        ),
                    ),
                ),
                Panel(
                    "Interest: decisions", "Of pictures judged as a persona.",
                    (
                        Query(
                            _sum("axia_gateway_interest_judgements_total", "model, decision", _MODEL),
                            "{{model}} {{decision}}", "studies",
                        ),
                    ),
                ),
                Panel(
                    "Asked again", "Questions of a study that had to be put again.",
                    (Query(_sum("axia_gateway_asked_again_total", "model, reason", _MODEL), "{{model}} {{reason}}",
                           "studies"),),
                ),
            ),
        ),
        (
            "Reading of answers",
            (
                Panel(
                    "Texts read", "computed by the reader model, or remembered.",
                    (Query(_sum("axia_scoring_reader_texts_total", "task, source"), "{{task}} {{source}}"),),
                ),
                Panel(
                    "Calls of scoring", "The gateway's own; failed ones leave parts out.",
                    (
                        Query(
                            _sum("axia_gateway_scoring_calls_total", "method, outcome"), "{{method}} {{outcome}}"
                        ),
                    ), "reqps",
                ),
                Panel(
                    "Misses by class", "Of answers compared with people's.",
                    (Query(_sum("axia_scoring_misalignments_total", "misalignment_class"), "{{misalignment_class}}",
                           "studies"),),
                ),
            ),
        ),
    ),
)  # fmt: skip

RETRIEVAL = Dashboard(
    "retrieval",
    "axia: retrieval",
    False,
    (
        (
            "Searches",
            (
                Panel(
                    "Searches", "By what was given.",
                    (Query(_sum("axia_retrieval_searches_total", "kind"), "{{kind}}", "retrieval"),), "reqps",
                ),
                Panel(
                    "Where the time of a search goes", "95% spend less in the stage.",
                    (
                        Query(
                            _quantile(
                                0.95, "axia_retrieval_stage_seconds", "stage", f'{_HERE},stage=~"decode|encode|search"'
                            ),
                            "{{stage}}", "retrieval",
                        ),
                    ), "s",
                ),
                Panel(
                    "Store", "1 while the vector store and the pictures answer.",
                    (Query(f"axia_retrieval_store_available{{{_HERE}}}", "{{pod}}", "retrieval"),), "short", 1,
                ),
            ),
        ),
        (
            "Pictures",
            (
                Panel(
                    "Pictures", "That searches reach, and of these those under an HNSW index.",
                    (
                        Query(f"max(axia_retrieval_images{{{_HERE}}})", "all", "retrieval"),
                        Query(f"max(axia_retrieval_indexed_images{{{_HERE}}})", "under an index", "retrieval"),
                    ),
                ),
                Panel(
                    "Taken in", "Acknowledged, a second; and under way.",
                    (
                        Query(_sum("axia_retrieval_ingested_total", "outcome"), "{{outcome}}", "retrieval"),
                        Query(f"sum(axia_retrieval_ingesting{{{_HERE}}})", "under way", "retrieval"),
                    ),
                ),
                Panel(
                    "Where the time of a picture goes", "95% spend less in the stage.",
                    (
                        Query(
                            _quantile(
                                0.95, "axia_retrieval_stage_seconds", "stage",
                                f'{_HERE},stage=~"prepare|embed|store|index"',
                            ),
                            "{{stage}}", "retrieval",
                        ),
                    ), "s",
                ),
                Panel(
                    "Refused", "By reason.",
                    (Query(_sum("axia_retrieval_rejected_total", "reason"), "{{reason}}", "errors"),),
                ),
                Panel(
                    "Deleted", "A second.",
                    (Query(f"sum(rate(axia_retrieval_deleted_total{{{_HERE}}}{_RATE}))", "", "retrieval"),),
                ),
                Panel(
                    "Building and re-indexing", "1 while an index is built; share of the latest re-index that is done.",
                    (
                        Query(f"max(axia_retrieval_building{{{_HERE}}})", "building", "retrieval"),
                        Query(f"max(axia_retrieval_reindexing{{{_HERE}}})", "re-indexing", "retrieval"),
                        Query(
                            f"max(axia_retrieval_reindex_done{{{_HERE}}})"
                            f" / max(axia_retrieval_reindex_total{{{_HERE}}})",
                            "done", "retrieval",
                        ),
                    ), "short", 1,
                ),
            ),
        ),
    ),
)  # fmt: skip

ALL = (OPERATION, QUALITY, RETRIEVAL)


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
        variables.append(_labels("model", f"axia_gateway_detections_total{{{_HERE}}}"))
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


def path(board: Dashboard) -> Path:
    """Where a dashboard's file is."""
    return FOLDER / f"{board.name}.json"


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for dashboard in ALL:
        path(dashboard).write_text(document(dashboard), encoding="utf-8")
        print(f"wrote {path(dashboard).name}")
