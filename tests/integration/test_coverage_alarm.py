"""The alarm of a calibrated model on real servers: a scripted model that abstains more than at calibration."""

import json
import time
from pathlib import Path

import grpc

from axia.v1 import gateway_pb2, gateway_pb2_grpc
from tests.support import pictures, processes

TABLE = """[[model]]
name = "divided"
addresses = ["{address}"]
[model.defaults]
n = 3
abstain_threshold = 1.0
calibrated_coverage = {coverage}
calibrated_images = 400
"""
LOWER = 'axia_gateway_coverage_drift{direction="lower",model="divided"}'


def test_a_gateway_counts_warns_once_and_begins_anew_with_another_calibration(tmp_path: Path) -> None:
    answers, table = tmp_path / "answers.yaml", tmp_path / "models.toml"
    said = ["The child is too close to the hot stove.", "A vase of flowers.", "The lamp."]
    answers.write_text(json.dumps({"model": "divided", "token_ms": 0, "answers": [{"when": ".", "say": said}]}))
    with (
        processes.inference(tmp_path / "inference.log", engine="scripted", answers=answers) as inference,
        processes.scoring(tmp_path / "scoring.log", reader="packaged") as scoring,
    ):
        table.write_text(TABLE.format(address=inference.address, coverage=0.8), encoding="utf-8")
        with processes.gateway(
            tmp_path / "gateway.log", "", models=table, scoring=scoring.address, refresh_s=0.2
        ) as gateway:
            for server in (inference, scoring, gateway):
                server.wait_for("SERVING")
            image = pictures.photograph(size=(32, 24))
            with grpc.insecure_channel(gateway.address) as channel:
                stub = gateway_pb2_grpc.GatewayServiceStub(channel)

                def detect(times: int, **fields: object) -> bool:
                    """Whether all of them were grouped by meaning; others don't count."""
                    missing: list[str] = []
                    for _ in range(times):
                        request = gateway_pb2.DetectValuesRequest(**fields)  # type: ignore[arg-type]
                        request.image.data = image
                        missing += stub.DetectValues(request, timeout=30).missing
                    return "grouping" not in missing

                # Two completions aren't what was calibrated. The gateway may not have heard of the scoring service yet.
                until = time.monotonic() + 60
                while not detect(5, n=2):
                    assert time.monotonic() < until
                assert LOWER not in gateway.metrics()
                assert detect(60)  # three answers of three kinds agree in a ninth of the detections
                found = gateway.metrics()
                assert found['axia_gateway_calibrated_coverage{model="divided"}'] == 0.8
                assert found[LOWER] >= 1
                counted = [
                    found.get(f'axia_gateway_calibrated_detections_total{{model="divided",outcome="{outcome}"}}', 0)
                    for outcome in ("answered", "abstained")
                ]
                assert sum(counted) == 60
                warned = [
                    record
                    for record in gateway.log_records()
                    if "run axia calibrate again" in record.get("message", record.get("event", ""))
                ]
                assert len(warned) == 1
                table.write_text(TABLE.format(address=inference.address, coverage=0.1), encoding="utf-8")
                deadline = 100
                while gateway.metrics()[LOWER] >= 1 and deadline:
                    detect(1)
                    deadline -= 1
                assert gateway.metrics()['axia_gateway_calibrated_coverage{model="divided"}'] == 0.1
                assert gateway.metrics()[LOWER] < 1

                # A model that is gone has no alarm.
                table.write_text(TABLE.format(address=inference.address, coverage=0.8), encoding="utf-8")
                until = time.monotonic() + 60
                while gateway.metrics()['axia_gateway_calibrated_coverage{model="divided"}'] != 0.8:
                    detect(1)
                    assert time.monotonic() < until
                assert detect(60)
                assert gateway.metrics()[LOWER] >= 1
                table.write_text(
                    TABLE.format(address=inference.address, coverage=0.8).replace("divided", "other"), encoding="utf-8"
                )
                while 'axia_gateway_calibrated_coverage{model="divided"}' in gateway.metrics():
                    time.sleep(0.1)
                    assert time.monotonic() < until
                assert gateway.metrics()[LOWER] == 0
