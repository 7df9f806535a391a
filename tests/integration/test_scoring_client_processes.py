"""The scoring calls of both clients against the scoring service with its packaged reader."""

import asyncio
from collections.abc import Iterator

import pytest

import axia
from axia.results import Grouping, Misalignments, PersonaScores, ValueAttribution
from tests.support import processes

START_S = 120.0
OUTCOMES = [
    axia.PersonaOutcome(persona="cook", platform="TikTok", before=0.2, after=0.3),
    axia.PersonaOutcome(persona="climber", platform="TikTok", before=0.4, after=0.5),
    axia.PersonaOutcome(persona="monk", platform="TikTok", before=0.0, after=0.1),
]
ITEMS = [
    axia.MisalignmentItem(answer="none", element="child near the hot stove", aligned=0),
    axia.MisalignmentItem(
        answer="a red pan", element="x", aligned=0, answer_type="descriptive", element_type="value_aware"
    ),
    axia.MisalignmentItem(answer="the hot stove", element="child near the hot stove", aligned=1),
    axia.MisalignmentItem(answer="No.", element="x", aligned=0, answer_type="refusal", element_type="descriptive"),
]
SENTENCES = ["The child is near the hot stove.", "A child stands at the hot stove.", "There is a lamp."]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with processes.scoring(tmp_path_factory.mktemp("scoring") / "log", reader="packaged") as server:
        server.wait_for("SERVING", START_S)
        yield server.address


def test_values_of_sentences_are_attributed(address: str) -> None:
    with axia.Client(address) as client:
        one, other = client.scoring.attribute_values(SENTENCES[:2])
    assert isinstance(one, ValueAttribution)
    assert one.at_stake
    assert one.values.keys() == other.values.keys()
    assert max(one.values, key=lambda value: one.values[value]) == "security"
    assert sum(one.values.values()) == pytest.approx(1)
    assert len(one.groups) == 4


def test_completions_are_summarised_and_abstain_below_the_threshold(address: str) -> None:
    with axia.Client(address) as client:
        agreed = client.scoring.summarize_completions(SENTENCES)
        apart = client.scoring.summarize_completions(SENTENCES, abstain_threshold=0.9)
    assert isinstance(agreed, Grouping)
    assert agreed.consensus in SENTENCES[:2]
    assert [len(group.members) for group in agreed.groups] == [2, 1]
    assert agreed.agreement == pytest.approx(2 / 3)
    assert (apart.consensus, apart.abstain, apart.abstain_reason) == (None, True, "low_agreement")


def test_a_feed_is_scored_by_i_avg(address: str) -> None:
    with axia.Client(address) as client:
        scores = client.scoring.score_persona(OUTCOMES, confidence_level=0.9, resamples=100, seed=3)
    assert isinstance(scores, PersonaScores)
    assert [change.percent for change in scores.changes] == [pytest.approx(50), pytest.approx(25), None]
    assert [change.points for change in scores.changes] == [pytest.approx(10)] * 3
    (platform,) = scores.platforms
    assert (platform.platform, platform.personas, platform.undefined) == ("TikTok", 3, 1)
    assert platform.i_avg == pytest.approx(37.5)
    assert platform.interval is not None
    assert platform.interval.level == 0.9
    assert platform.interval.low <= 37.5 <= platform.interval.high


def test_misses_are_sorted_into_kinds(address: str) -> None:
    with axia.Client(address) as client:
        found = client.scoring.classify_misalignments(ITEMS, confidence_level=0.9)
    assert isinstance(found, Misalignments)
    assert found.classes == ("false_none", "descriptive_default", None, "refusal")
    assert (found.aligned, found.misaligned) == (1, 3)
    counts = {share.misalignment_class: share.count for share in found.shares}
    assert counts["refusal"] == counts["false_none"] == counts["descriptive_default"] == 1
    assert len(found.shares) == 6
    assert [share.misalignment_class for share in found.shares_without_refusals][-1] == "other"
    assert found.shares[0].interval is not None
    assert found.shares[0].interval.level == 0.9
    assert found.shares[0].pictures == 0


def test_misses_about_pictures_have_intervals_clustered_by_them(address: str) -> None:
    named = [item.model_copy(update={"picture_id": "kitchen"}) for item in ITEMS]
    with axia.Client(address) as client:
        found = client.scoring.classify_misalignments(named)
    refusals = next(share for share in found.shares if share.misalignment_class == "refusal")
    assert refusals.pictures == 1
    assert refusals.interval is not None
    assert "clustered" in refusals.interval.method


def test_the_async_client_answers_the_same(address: str) -> None:
    async def ask() -> tuple[object, ...]:
        async with axia.AsyncClient(address) as client:
            scoring = client.scoring
            return (
                await scoring.attribute_values(SENTENCES),
                await scoring.summarize_completions(SENTENCES, abstain_threshold=0.9),
                await scoring.score_persona(OUTCOMES, resamples=100),
                await scoring.classify_misalignments(ITEMS),
            )

    with axia.Client(address) as client:
        same = (
            client.scoring.attribute_values(SENTENCES),
            client.scoring.summarize_completions(SENTENCES, abstain_threshold=0.9),
            client.scoring.score_persona(OUTCOMES, resamples=100),
            client.scoring.classify_misalignments(ITEMS),
        )
    assert asyncio.run(ask()) == same


def test_an_argument_that_is_wrong_is_named(address: str) -> None:
    with axia.Client(address) as client:
        with pytest.raises(axia.InvalidRequest) as caught:
            client.scoring.score_persona([axia.PersonaOutcome(persona="a", platform="b", before=2, after=0)])
        assert caught.value.fields[0].field == "outcomes[0].before"
        with pytest.raises(TypeError, match="sentences is one text"):
            client.scoring.attribute_values("one text")
