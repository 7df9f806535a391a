from gateway_fakes import FakeModel, FakeScoring

from axia.prompts import load_prompts
from gateway.detection import Completion
from gateway.reader import Reader
from gateway.sampling import GroundTruth
from services.serving.errors import Unavailable

COMPLETIONS = [Completion(index, text, text, "stop", 1, 0, 1.0) for index, text in enumerate(("stove", "cat", "stove"))]
TRUTH = GroundTruth("stove", ("hob",), "model")


def reader(scoring: FakeScoring) -> Reader:
    return Reader(scoring, load_prompts(), timeout_s=5)


async def test_everything_is_read_where_scoring_answers() -> None:
    readings = await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH._replace(judge="lexical"), None, 5)
    assert readings.missing == ()
    assert readings.grouping is not None
    assert readings.values[0].weight == 1.0
    assert readings.alignment == 2 / 3


async def test_without_scoring_nothing_is_asked() -> None:
    scoring = FakeScoring(serving=False)
    readings = await reader(scoring).read(COMPLETIONS, 0.5, None, None, 5)
    assert readings.missing == ("grouping", "response_types", "values")
    assert scoring.calls == []


async def test_what_fails_alone_is_missing_alone() -> None:
    readings = await reader(FakeScoring(failing=["attribute"])).read(COMPLETIONS, 0.5, None, None, 5)
    assert readings.missing == ("values",)
    assert readings.values == ()
    assert len(readings.response_types) == 3


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


async def test_a_judge_model_that_is_away_leaves_the_alignment_missing() -> None:
    judge = FakeModel(lambda question: Unavailable("away", reason="AWAY"))
    readings = await reader(FakeScoring()).read(COMPLETIONS, 0.5, TRUTH, judge, 5)
    assert readings.missing == ("alignment",)
    assert readings.alignment is None


async def test_with_no_time_left_nothing_is_asked() -> None:
    scoring = FakeScoring()
    assert (await reader(scoring).read(COMPLETIONS, 0.5, None, None, -0.1)).missing
    assert scoring.calls == []
