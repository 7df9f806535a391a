"""Alerts: Prometheus' own tool tries each with series that fire it and series that don't."""

import re
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.cluster.chart import CHART
from tests.support.cluster.prometheus import promtool
from tests.support.processes import ROOT

RULES = CHART / "files" / "rules.yaml"
ALERTS = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text())["groups"]
    for rule in group["rules"]
    if "alert" in rule
}

DETECT = 'axia_rpc_requests_total{method="axia.v1.GatewayService/DetectValues",code="%s"}'
FRAMES = 'axia_gateway_watch_frames_total{outcome="%s"}'
DETECTIONS = 'axia_gateway_detections_total{model="m",outcome="%s"}'
DRIFT = 'axia_gateway_coverage_drift{model="m",direction="%s"}'
AGES = 'axia_gateway_watch_age_seconds_bucket{le="%s"}'
TYPES = 'axia_gateway_response_types_total{model="m",type="%s"}'
TOTAL = 'axia_gateway_stage_seconds_%s{stage="total",model="m"%s}'


class Case(NamedTuple):
    """Series that fire an alert, and series that don't, in promtool's notation, a value a minute."""

    fires: dict[str, str]
    quiet: dict[str, str]
    minutes: int


CASES = {
    "AxiaDetectionErrorsFast": Case(
        {DETECT % "OK": "0+90x120", DETECT % "UNAVAILABLE": "0+10x120"},
        {DETECT % "OK": "0+99x120", DETECT % "UNAVAILABLE": "0+1x120", DETECT % "INVALID_ARGUMENT": "0+50x120"},
        100,
    ),
    "AxiaDetectionErrorsSlow": Case(
        {DETECT % "OK": "0+95x500", DETECT % "INTERNAL": "0+5x500"},
        {DETECT % "OK": "0+98x500", DETECT % "INTERNAL": "0+2x500"},
        480,
    ),
    "AxiaDetectionSlow": Case(
        {TOTAL % ("bucket", ',le="5.0"'): "0+80x120", TOTAL % ("count", ""): "0+100x120"},
        {TOTAL % ("bucket", ',le="5.0"'): "0+97x120", TOTAL % ("count", ""): "0+100x120"},
        100,
    ),
    "AxiaCamerasOvertaken": Case(
        {FRAMES % "answered": "0+1x60", FRAMES % "superseded": "0+60x60", "axia_gateway_watchers": "2x60"},
        {FRAMES % "answered": "0+30x60", FRAMES % "superseded": "0+60x60", "axia_gateway_watchers": "2x60"},
        40,
    ),
    "AxiaFramesOld": Case(
        {AGES % "2.5": "0+90x60", AGES % "5.0": "0+100x60", AGES % "+Inf": "0+100x60"},
        {AGES % "2.5": "0+99x60", AGES % "5.0": "0+100x60", AGES % "+Inf": "0+100x60"},
        40,
    ),
    "AxiaRequestsRefused": Case(
        {'axia_rpc_rejected_total{method="m",reason="QUEUE_FULL"}': "0+60x60"},
        {'axia_rpc_rejected_total{method="m",reason="OUT_OF_RANGE"}': "0+60x60"},
        30,
    ),
    "AxiaQueueGrows": Case(
        {
            'axia_inference_waiting{service="s",pod="a"}': "80x60",
            'axia_inference_waiting{service="s",pod="b"}': "10x60",
        },
        {
            'axia_inference_waiting{service="s",pod="a"}': "50x60",
            'axia_inference_waiting{service="s",pod="b"}': "10x60",
        },
        30,
    ),
    "AxiaModelLoadsLong": Case(
        {"axia_inference_loading": "1x60"},
        {"axia_inference_loading": "1x20 0x40"},
        45,
    ),
    "AxiaCacheFull": Case(
        {"axia_inference_preemptions_total": "0+60x60"},
        {"axia_inference_preemptions_total": "0+1x60"},
        40,
    ),
    "AxiaGatewayAbsent": Case({"up": "1x30"}, {'axia_gateway_backend_available{address="a"}': "1x30"}, 20),
    "AxiaModelDown": Case(
        {'axia_gateway_backend_available{address="a",pod="x"}': "0x30"},
        {
            'axia_gateway_backend_available{address="a",pod="x"}': "0x30",
            'axia_gateway_backend_available{address="a",pod="y"}': "1x30",
        },
        10,
    ),
    "AxiaReplicaDown": Case(
        {'axia_gateway_replica_available{model="m",address="a"}': "0x30"},
        {'axia_gateway_replica_available{model="m",address="a"}': "0x10 1x20"},
        25,
    ),
    "AxiaServiceDown": Case(
        {'axia_gateway_service_available{service="scoring"}': "0x30"},
        {'axia_gateway_service_available{service="scoring"}': "1x30"},
        20,
    ),
    "AxiaStoreDown": Case({"axia_retrieval_store_available": "0x30"}, {"axia_retrieval_store_available": "1x30"}, 20),
    "AxiaCertificateExpires": Case(
        {'certmanager_certificate_expiration_timestamp_seconds{name="t-axia-tls"}': "864000x120"},
        {
            'certmanager_certificate_expiration_timestamp_seconds{name="t-axia-tls"}': "8640000x120",
            'certmanager_certificate_expiration_timestamp_seconds{name="another"}': "0x120",
        },
        100,
    ),
    "AxiaCoverageDrifts": Case(
        {DRIFT % "lower": "0+0.1x15 1.5x60", DRIFT % "higher": "0x75"},
        {DRIFT % "lower": "0.9x75", DRIFT % "higher": "0x75"},
        60,
    ),
    "AxiaAbstainsOften": Case(
        {DETECTIONS % "abstained": "0+8x180", DETECTIONS % "agreed": "0+2x180"},
        {DETECTIONS % "abstained": "0+3x180", DETECTIONS % "agreed": "0+7x180"},
        150,
    ),
    "AxiaAgreementDrifts": Case(
        {
            'axia_gateway_agreement_sum{model="m"}': "0+9x1440 12960+4x200",
            'axia_gateway_agreement_count{model="m"}': "0+10x1640",
        },
        {
            'axia_gateway_agreement_sum{model="m"}': "0+9x1640",
            'axia_gateway_agreement_count{model="m"}': "0+10x1640",
        },
        1600,
    ),
    "AxiaResponseTypesDrift": Case(
        {TYPES % "descriptive": "0+9x1440 12960+5x200", TYPES % "unspecified": "0+1x1440 1440+5x200"},
        {TYPES % "descriptive": "0+9x1640", TYPES % "unspecified": "0+1x1640"},
        1600,
    ),
    "AxiaAnswersLackParts": Case(
        {'axia_gateway_missing_total{part="values"}': "0+10x60", DETECTIONS % "agreed": "0+100x60"},
        {'axia_gateway_missing_total{part="values"}': "0+1x60", DETECTIONS % "agreed": "0+100x60"},
        40,
    ),
}


def test_prometheus_takes_the_rules() -> None:
    done = promtool("check", "rules", str(RULES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried() -> None:
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("alert", list(CASES))
def test_an_alert_fires_when_it_should_and_not_otherwise(alert: str, tmp_path: Path) -> None:
    case = CASES[alert]
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "promql_expr_test": [
                {
                    "expr": f'clamp_max(count(ALERTS{{alertname="{alert}",alertstate="firing"}}), 1) or vector(0)',
                    "eval_time": f"{case.minutes}m",
                    "exp_samples": [{"labels": "{}", "value": expected}],
                }
            ],
        }
        for series, expected in ((case.fires, 1), (case.quiet, 0))
    ]
    path = tmp_path / "tests.yaml"
    path.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("alert", list(ALERTS))
def test_each_alert_has_a_runbook(alert: str) -> None:
    page, _, anchor = ALERTS[alert]["annotations"]["runbook_url"].partition("#")
    assert anchor == alert.lower()
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.MULTILINE)
    assert alert in headings
    assert ALERTS[alert]["labels"]["severity"] in {"critical", "warning"}
