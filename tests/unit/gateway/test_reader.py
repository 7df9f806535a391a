import asyncio
from collections.abc import AsyncGenerator

import pytest

from axia.prompts import load_prompts
from gateway.protocols.ports.model import Completion, ModelEvent, Question
from gateway.protocols.ports.scoring import Readings
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import GroundTruth, ModelDefaults, ModelLimits
from services.serving.errors import Unavailable
from services.serving.metrics import REGISTRY
from tests.support.gateway_fakes import FakeModel, FakeScoring

COMPLETIONS = [Completion(index, text, text, "stop", 1, 0, 1.0) for index, text in enumerate(("stove", "cat", "stove"))]
TRUTH = GroundTruth("stove", ("hob",), "model")


def reader(scoring: FakeScoring, reserve_s: float = 0.1) -> Reader:
    return Reader(scoring, load_prompts(), timeout_s=5, reserve_s=reserve_s)


def counted(part: str) -> float:
    return REGISTRY.get_sample_value("axia_gateway_missing_total", {"part": part}) or 0.0


class SlowModel(FakeModel):
    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        await asyncio.sleep(30)
        async for event in super().generate(question, timeout_s):
            yield event


async def test_everything_is_read_in_one_call_where_scoring_answers() -> None:
    scoring = FakeScoring()
    readings = await reader(scoring).read(COMPLETIONS, 0.5, TRUTH._replace(judge="lexical"), None, 5)
    assert scoring.calls == ["read"]
    assert readings.missing == ()
    assert readings.grouping is not None
    assert readings.values[0].weight == 1.0
    assert readings.alignment == 2 / 3


async def test_of_a_sentence_without_an_end_the_judge_gets_the_beginning() -> None:
    model = FakeModel(lambda question: "yes")
    endless = [Completion(0, "stove " * 5_000, "", "length", 1, 0, 1.0), *COMPLETIONS[1:]]
    readings = await reader(FakeScoring()).read(endless, 0.5, TRUTH, model, 5)
    assert max(len(question.turns[0].text) for question in model.asked) == 16_384
    assert (readings.missing, len(readings.alignments)) == ((), 3)


async def test_without_scoring_nothing_is_asked() -> None:
    scoring = FakeScoring(serving=False)
    readings = await reader(scoring).read(COMPLETIONS, 0.5, None, None, 5)
    assert readings.missing == ("grouping", "response_types", "values")
    assert scoring.calls == []


async def test_what_fails_alone_is_missing_alone_and_counted() -> None:
    before = {part: counted(part) for part in ("grouping", "response_types", "values")}
    readings = await reader(FakeScoring(failing=["values"])).read(COMPLETIONS, 0.5, None, None, 5)
    assert readings.missing == ("values",)
    assert readings.values == ()
    assert len(readings.response_types) == 3
    assert {part: counted(part) - count for part, count in before.items()} == {
        "grouping": 0, "response_types": 0, "values": 1,
    }  # fmt: skip


async def test_a_call_that_fails_leaves_everything_missing_and_says_why(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        readings = await reader(FakeScoring(failing=["read"])).read(
            COMPLETIONS, 0.5, TRUTH._replace(judge="lexical"), None, 5
        )
    assert readings == Readings(missing=("grouping", "response_types", "values", "alignment"))
    assert "alignment: missing from a detection: SCORING_UNREACHABLE" in caplog.text


async def test_grouping_by_words_alone_is_told() -> None:
    readings = await reader(FakeScoring(by_meaning=False)).read(COMPLETIONS, 0.5, None, None, 5)
    assert readings.missing == ("grouping",)
    assert readings.grouping is not None


async def test_a_judge_model_is_asked_once_for_each_distinct_answer_without_the_picture() -> None:
    judge, scoring = FakeModel(lambda question: "yes"), FakeScoring()
    await reader(scoring).read(COMPLETIONS, 0.5, TRUTH, judge, 5)
    assert len(judge.asked) == 2
    assert judge.asked[0].image is None
    assert "They named: stove; hob\n" in judge.asked[0].turns[0].text
    assert scoring.judge_answers == ["yes"] * 3


async def test_a_judge_model_that_is_away_leaves_the_alignment_missing(caplog: pytest.LogCaptureFixture) -> None:
    said = "the endpoint failed. The endpoint says: 'a woman at a stove' is not allowed"
    judge = FakeModel(lambda question: Unavailable(said, reason="AWAY"))
    with caplog.at_level("DEBUG"):
        readings = await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH, judge, 5)
    assert "alignment is missing from a detection: AWAY" in caplog.text
    assert "stove" not in caplog.text  # endpoints quote what they are asked
    assert readings.missing == ("alignment",)
    assert readings.alignment is None
    assert readings.grouping is not None


async def test_a_judge_model_that_is_slow_leaves_time_to_read_the_rest() -> None:
    scoring, judge = FakeScoring(), SlowModel(lambda question: "yes")
    readings = await reader(scoring, reserve_s=30).read(COMPLETIONS, 0.5, TRUTH, judge, 0.4)
    assert readings.missing == ("alignment",)
    assert 0.001 < scoring.time_s <= 0.2  # a reserve is at most half of what is left


async def test_with_no_time_left_nothing_is_asked() -> None:
    scoring = FakeScoring()
    assert (await reader(scoring).read(COMPLETIONS, 0.5, None, None, -0.1)).missing
    assert scoring.calls == []


@pytest.mark.parametrize(("concurrency", "most"), [(1, 1), (None, 2)])
async def test_a_judge_is_asked_no_more_at_a_time_than_it_takes(concurrency: int | None, most: int) -> None:
    judge = FakeModel(lambda question: "yes")
    judge.limits = ModelLimits(16, 1024, concurrency)
    judge.defaults = ModelDefaults(temperature=0.7, max_tokens=30)
    readings = await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH, judge, 5)
    assert readings.missing == ()
    assert judge.most_at_once == most
    assert {(question.samples[0].temperature, question.max_tokens) for question in judge.asked} == {(0.0, 64)}


async def test_several_votes_go_to_scoring_as_their_majority_with_the_count() -> None:
    scoring = FakeScoring()
    judge = FakeModel(lambda question: ["yes", "no", "yes"] if "answered: stove" in question.turns[0].text else ["hm"])
    await reader(scoring).read(COMPLETIONS, 0.5, TRUTH._replace(judge_samples=3), judge, 5)
    assert scoring.calls == ["read_verdicts judge", "read"]
    assert scoring.judge_answers == [
        '{"verdict": "yes", "votes": "2 of 3"}',
        "",
        '{"verdict": "yes", "votes": "2 of 3"}',
    ]
    stove, cat = judge.asked
    assert [sample.temperature for sample in stove.samples] == [1.0] * 3
    seeds = [sample.seed for question in (stove, cat) for sample in question.samples]
    assert len(set(seeds)) == 6


async def test_a_judge_is_held_to_yes_and_no_where_that_is_asked_for() -> None:
    judge = FakeModel(lambda question: "yes")
    await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH._replace(judge_structured=True), judge, 5)
    assert {question.answer_format and question.answer_format.choices for question in judge.asked} == {("yes", "no")}
    await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH, judge, 5)
    assert judge.asked[-1].answer_format is None


async def test_votes_that_nobody_can_read_leave_the_alignment_missing_and_the_rest_read() -> None:
    scoring = FakeScoring(failing=["read_verdicts judge"])
    truth = TRUTH._replace(judge_samples=2)
    readings = await reader(scoring).read(COMPLETIONS, 0.5, truth, FakeModel(lambda question: "yes"), 5)
    assert readings.missing == ("alignment",)
    assert readings.grouping is not None
