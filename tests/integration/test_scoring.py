"""The scoring service as a process of its own."""

from pathlib import Path

import grpc

from axia.v1 import scoring_pb2, scoring_pb2_grpc
from tests.support import processes


def questionnaire() -> scoring_pb2.ScoreIsqRequest:
    items = scoring_pb2.IsqItems(
        visual_attractiveness=8,
        curiosity_stimulation=7,
        emotional_engagement=6,
        value_expectation=5,
        preference_alignment=1,
        action_desire=1,
    )
    return scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(items=items)])


def test_a_scoring_server_serves_counts_and_stops(tmp_path: Path) -> None:
    with processes.scoring(tmp_path / "scoring.log") as server:
        server.wait_for("SERVING")
        with grpc.insecure_channel(server.address) as channel:
            stub = scoring_pb2_grpc.ScoringServiceStub(channel)
            assert round(stub.ScoreIsq(questionnaire()).scores[0].percent, 9) == round(46 / 60 * 100, 9)
        metrics = server.metrics()
        assert metrics['axia_scoring_items_total{method="ScoreIsq"}'] == 1
        assert metrics['axia_scoring_reader_info{model="",revision=""}'] == 0
        assert server.stop() == 0


def test_a_sentence_model_that_is_not_there_ends_the_server_with_advice(tmp_path: Path) -> None:
    with processes.scoring(tmp_path / "scoring.log", reader=str(tmp_path)) as server:
        assert server.process.wait(timeout=30) == 1
        assert "AXIA_SCORING_READER" in server.log_text()


def test_a_bad_setting_ends_the_server_naming_its_variable(tmp_path: Path) -> None:
    with processes.scoring(tmp_path / "scoring.log", max_models=0) as server:
        assert server.process.wait(timeout=30) == 2
        assert "AXIA_SCORING_MAX_MODELS" in server.log_text()
