"""Answers that are held to a form, and votes of a judge model, through real processes; no reader model is needed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from typer.testing import CliRunner, Result

import axia
from axia.cli import app
from axia.inputs import AlignmentItem, GroundTruth
from tests.support import fake_retrieval, processes
from tests.support.pictures import photograph

SCRIPT = """
model: scripted
answers:
  - {when: "(?s)answered: A cat.*Does this answer name", say: ["No."]}
  - {when: "(?s)answered: A dog.*Does this answer name", say: ["Yes.", "No.", "Yes or no."]}
  - {when: Does this answer name, say: ["Yes."]}
  - {when: Do you like the content, say: ["I am an AI, no opinion."]}
  - {when: Why do you like, say: ["It is bright."]}
  - {when: Describe this image, say: ["A room."]}
  - when: Rate this image
    say: ['{"visual_attractiveness": 8, "curiosity_stimulation": 7, "emotional_engagement": 8, "value_expectation": 7,
      "preference_alignment": 1, "action_desire": 1}']
  - {when: interesting to you, say: ["Hard to say; no."]}
  - {when: needs attention, say: ["The stove."]}
"""
PICTURES = [photograph(seed, (64, 48)) for seed in range(6)]
STOVE, CAT, DOG = (AlignmentItem(answer=answer, element="the stove") for answer in ("The stove.", "A cat.", "A dog."))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    logs = tmp_path_factory.mktemp("structured")
    answers = logs / "answers.yaml"
    answers.write_text(SCRIPT)
    with (
        fake_retrieval.retrieval(PICTURES) as retrieval,
        processes.inference(logs / "inference.log", engine="scripted", answers=answers) as inference,
        processes.scoring(logs / "scoring.log") as scoring,
        processes.gateway(
            logs / "gateway.log", inference.address, scoring=scoring.address, retrieval=retrieval.address, refresh_s=0.2
        ) as gateway,
    ):
        for server in (inference, scoring, gateway):
            server.wait_for("SERVING", timeout=180)
        wait_until_passed_on(gateway.address)
        yield gateway.address


def wait_until_passed_on(address: str) -> None:
    """Waits until the gateway has seen that the services behind it serve."""
    deadline = time.monotonic() + 60
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for service in ("axia.v1.ScoringService", "axia.v1.RetrievalService"):
            request = health_pb2.HealthCheckRequest(service=service)
            while stub.Check(request, timeout=10).status != health_pb2.HealthCheckResponse.SERVING:
                assert time.monotonic() < deadline, service
                time.sleep(0.05)


@pytest.fixture
def client(address: str) -> Iterator[axia.Client]:
    with axia.Client(address) as client:
        yield client


def run(address: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--address", address])


def test_a_model_judges_answers_once_or_by_its_votes(client: axia.Client) -> None:
    judged = client.judge_alignment([STOVE, CAT])
    assert [(judgement.score, judgement.answers) for judgement in judged.judgements] == [(1, ("Yes.",)), (0, ("No.",))]
    assert (judged.model.name, judged.prompt.id) == ("scripted", "judge/names-element")
    several = client.judge_alignment([STOVE, DOG], samples=25).judgements
    assert several[0].answers == ("Yes.",) * 25
    said = several[1].answers
    assert set(said) == {"Yes.", "No.", "Yes or no."}
    yes, no = said.count("Yes."), said.count("No.")
    assert several[1].score == (None if yes == no else int(yes > no))
    assert client.judge_alignment([DOG], samples=25).judgements[0].answers == said
    assert client.judge_alignment([STOVE], structured=True).judgements[0].answers == ("yes",)


async def test_the_async_client_asks_alike(address: str) -> None:
    async with axia.AsyncClient(address) as client:
        judged = await client.judge_alignment([CAT], samples=3)
    assert judged.judgements[0].score == 0


def test_a_detection_shows_the_votes_of_its_judge(address: str, tmp_path: Path) -> None:
    picture = tmp_path / "kitchen.jpg"
    picture.write_bytes(PICTURES[0])
    judged = ("--truth", "the stove", "--judge", "model", "--judge-model", "scripted", "--judge-samples", "3")
    result = run(address, "detect", picture, "-n", 1, "--json", "--judge-structured", *judged)
    assert result.exit_code == 0, result.stderr
    detection = json.loads(result.stdout)
    assert detection["alignment"] == 1
    assert "3 of 3" in detection["readings"][0]["alignment"]["evidence"]
    truth = GroundTruth.model_validate(detection["provenance"]["ground_truth"])
    assert (truth.judge_model, truth.judge_samples, truth.judge_structured) == ("scripted", 3, True)


def test_a_structured_interest_has_a_decision_where_a_free_answer_has_none(client: axia.Client) -> None:
    interest = client.judge_interest([PICTURES[0]], ["I cook."], structured=True)
    assert interest.structured
    assert (interest.judgements[0].text, interest.judgements[0].decision) == ("no", "swipe")
    isq = client.judge_interest([PICTURES[0]], ["I cook."], strategy="isq", structured=True)
    assert isq.judgements[0].error is None
    assert isq.judgements[0].isq is not None
    assert isq.judgements[0].isq.items is not None
    assert isq.judgements[0].isq.items.visual_attractiveness == 8


def test_two_assessments_are_compared_value_by_value(address: str, tmp_path: Path) -> None:
    free, structured = tmp_path / "free.jsonl", tmp_path / "structured.jsonl"
    asked: tuple[Any, ...] = ("preference", "--value", "hedonism", "--value", "security", "-k", 2, "--seed", 1)
    made = run(address, *asked, "--structured", "--out", structured)
    assert made.exit_code == 0, made.stderr
    # The free answers as another model gave them: some say yes in a form that needs no reader model.
    rows = [json.loads(row) for row in structured.read_text().splitlines()]
    for place, row in enumerate(row for row in rows if row["event"] == "judgement"):
        row["judgement"]["replies"][0] = ("Yes.", "No.", "")[place % 3]
    rows[1]["plan"]["structured"] = False
    free.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(address, "compare", free, structured)
    assert result.exit_code == 0, result.stderr
    assert "structured minus free" in " ".join(result.stdout.split())
    assert "hedonism" in result.stdout
    assert "…" not in result.stdout  # it fits 80 columns
    told = json.loads(run(address, "compare", free, structured, "--json").stdout)
    assert told["second"]["plan"]["structured"] is True
    assert {difference["value"] for difference in told["comparison"]["differences"]} == {"hedonism", "security"}
    assert told["comparison"]["overall"]["second_percentage"] == 0
    assert told["comparison"]["overall"]["difference"] > 0
    assert run(address, "compare", free, tmp_path / "none.jsonl").exit_code == 2
