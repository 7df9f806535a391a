"""The fake gateway, and through it every call of both clients beside detection."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, closing
from pathlib import Path
from typing import Any

import pytest

import axia
from axia.results import Indexed, Rejected
from axia.testing import FakeGateway
from tests.support import pictures

TRAITS = ["I love the sea."]
QUESTIONNAIRE = """Visual attractiveness: 9, curiosity stimulation: 8, emotional engagement: 9, value expectation: 8,
preference alignment: 1, action desire: 1"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGateway]:
    monkeypatch.delenv("AXIA_API_KEY", raising=False)
    images = [pictures.photograph(seed) for seed in range(4)]
    answers = {"needs attention": ["the stove", "the stove", "a knife"], "Do you like": ["Yes.", "No."]}
    with FakeGateway(images=images, answers=answers) as fake:
        monkeypatch.setenv("AXIA_ADDRESS", fake.address)
        yield fake


def test_detections_come_in_turn() -> None:
    picture = pictures.photograph()
    with FakeGateway(detections=["a cat", ["a dog", "a bird", "a dog"]]) as fake, axia.Client(fake.address) as client:
        assert [client.detect(picture).consensus for _ in range(3)] == ["a cat", "a dog", "a cat"]
        assert len(list(client.stream(picture, n=2))) == 3


def test_the_same_request_has_the_same_answer(fake: FakeGateway) -> None:
    with axia.Client() as client:
        first, second = (client.detect(pictures.photograph(), seed=3) for _ in range(2))
    assert first.completions == second.completions
    assert (first.agreement, first.consensus) == (pytest.approx(2 / 3), "the stove")


def test_ground_truth_gives_readings_and_alignment(fake: FakeGateway) -> None:
    truth = axia.GroundTruth(element="oven", accept=("stove",), judge="semantic")
    with axia.Client() as client:
        detection = client.detect(pictures.photograph(), ground_truth=truth)
    assert [reading.alignment.score for reading in detection.readings if reading.alignment] == [1, 1, 0]
    assert detection.alignment == pytest.approx(2 / 3)
    assert detection.readings[0].response_type is not None
    assert detection.readings[0].response_type.type == "descriptive"
    sent: Any = fake.received[-1].request
    assert (sent.ground_truth.accept, sent.ground_truth.judge) == (["stove"], 2)
    assert axia.Detection.model_validate_json(detection.model_dump_json()) == detection


def test_failures_can_be_limited_to_some_calls_of_a_method(fake: FakeGateway) -> None:
    fake.fail("RESOURCE_EXHAUSTED", "full", retry_after=0.5, method="DetectValues", times=1)
    with axia.Client() as client:
        client.models()
        with pytest.raises(axia.Overloaded) as caught:
            client.detect(pictures.photograph())
        assert caught.value.retry_after == 0.5
        client.detect(pictures.photograph())


def test_reads_are_repeated_and_detections_are_not(fake: FakeGateway) -> None:
    fake.fail("UNAVAILABLE", "restarting", method="SearchByText", times=1)
    fake.fail("UNAVAILABLE", "restarting", method="DetectValues", times=1)
    with axia.Client() as client:
        assert client.search_text("sea").hits
        with pytest.raises(axia.Unavailable):
            client.detect(pictures.photograph())
    methods = [call.method for call in fake.received]
    assert (methods.count("SearchByText"), methods.count("DetectValues")) == (2, 1)


async def test_every_frame_of_a_watch_has_one_event(fake: FakeGateway) -> None:
    fake.latency = 0.05
    frames = [pictures.photograph(), b"no image", *(pictures.photograph(seed) for seed in range(4))]

    async def live() -> AsyncIterator[bytes]:
        for frame in frames:
            yield frame

    with axia.Client() as client:
        events = list(client.watch(frames, n=1))
    async with axia.AsyncClient() as client:
        again = [event async for event in client.watch(live(), n=1)]
    for got in (events, again):
        assert sorted(event.frame_id for event in got) == list(range(6))
        assert isinstance(got[-1], axia.FrameDetection)
        assert got[-1].frame_id == 5
        assert got[-1].detection.completions_done == 1


def test_a_frame_that_is_no_picture_fails_alone(fake: FakeGateway) -> None:
    with axia.Client() as client:
        (event,) = client.watch([b"no image"])
    assert isinstance(event, axia.FrameFailed)
    assert (event.error.code, event.error.reason) == ("INVALID_ARGUMENT", "IMAGE_UNREADABLE")


async def test_an_error_of_the_callers_frames_comes_after_the_answers(fake: FakeGateway) -> None:
    def frames() -> Iterator[bytes]:
        yield pictures.photograph()
        raise OSError("the camera is gone")

    with axia.Client() as client:
        events = client.watch(frames())
        assert isinstance(next(events), axia.FrameDetection)
        with pytest.raises(OSError, match="camera is gone"):
            next(events)
    async with axia.AsyncClient() as client:
        with pytest.raises(OSError, match="camera is gone"):
            _ = [event async for event in client.watch(frames())]


def test_leaving_a_watch_ends_it_though_the_camera_goes_on(fake: FakeGateway) -> None:
    taken = []

    def camera() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield pictures.photograph()

    with axia.Client() as client, closing(client.watch(camera())) as events:
        next(events)
    assert taken


async def test_pictures_are_acknowledged_in_order(fake: FakeGateway, tmp_path: Path) -> None:
    path = tmp_path / "new.jpg"
    path.write_bytes(pictures.photograph(9))
    about = axia.ImageMetadata(platform="tiktok", source="post 9")
    with axia.Client() as client:
        new, known, bad = client.index_images([(path, about), pictures.photograph(0), b"no image"])
        assert isinstance(new, Indexed)
        assert (new.path, new.duplicate, new.info.path, len(new.perceptual_hash)) == (str(path), False, str(path), 16)
        assert isinstance(known, Indexed)
        assert known.duplicate
        assert isinstance(bad, Rejected)
        assert bad.reason == "IMAGE_UNREADABLE"
        (hit,) = client.search_text("post 9", filter=axia.SearchFilter(platforms=("tiktok",))).hits
        assert (hit.id, hit.metadata) == (new.id, about)
    async with axia.AsyncClient() as client:
        assert [result.duplicate async for result in client.index_images([path])] == [True]


def test_no_more_than_a_window_of_pictures_is_read_ahead(fake: FakeGateway) -> None:
    taken = []

    def many() -> Iterator[bytes]:
        for _ in range(2000):
            taken.append(1)
            yield pictures.photograph(size=(8, 8))

    with axia.Client() as client, closing(client.index_images(many())) as results:
        next(results)
        assert len(taken) <= 258
    assert len(taken) < 2000


async def test_an_assessment_has_plan_judgements_and_scores(fake: FakeGateway) -> None:
    with axia.Client() as client:
        events = list(client.assess_preference(values=["power", "hedonism"], k=1))
        whole = client.preference(values=["power", "hedonism"], k=1)
    assert isinstance(events[0], axia.PreferencePlan)
    assert isinstance(events[-1], axia.PreferenceSummary)
    assert [event.position for event in events[1:-1] if isinstance(event, axia.PreferenceJudgement)] == list(range(20))
    assert whole.summary is not None
    assert whole.summary.scores is not None
    assert {score.value: score.percentage for score in whole.summary.scores.scores} == {"power": 50, "hedonism": 50}
    async with axia.AsyncClient() as client:
        again = await client.preference(values=["power", "hedonism"], k=1)
    assert again.judgements == whole.judgements


def test_descriptions_are_another_models_or_given(fake: FakeGateway) -> None:
    with axia.Client() as client:
        described = client.preference(values=["power"], k=1, modality="description", describer="another-vlm")
        assert described.plan.describer is not None
        assert described.plan.describer.name == "another-vlm"
        part = axia.Preference(plan=described.plan, judgements=described.judgements[:3])
        options = {"values": ["power"], "k": 1, "modality": "description", "describer": "another-vlm"}
        assert client.preference(**options, resume=part).judgements == described.judgements
        assert fake.received[-1].request.HasField("describer_sampling")
        assert all(judgement.description == judgement.replies[2] for judgement in described.judgements)
        first = described.judgements[0].image_id
        given = client.preference(values=["power"], k=1, modality="description", descriptions={first: "A crown."})
    assert (given.plan.describer, given.judgements[0].description) == (None, "A crown.")
    assert given.plan.given_descriptions == sum(judgement.image_id == first for judgement in given.judgements)


def test_an_assessment_goes_on_where_it_broke_off(fake: FakeGateway) -> None:
    with axia.Client() as client:
        whole = client.preference(values=["power"], k=2, seed=5)
        part = axia.Preference(plan=whole.plan, judgements=whole.judgements[:7])
        events = list(client.assess_preference(values=["power"], k=2, resume=part))
        assert [event.position for event in events if isinstance(event, axia.PreferenceJudgement)] == list(range(7, 20))
        gone_on = client.preference(values=["power"], k=2, resume=part)
        assert (gone_on.judgements, gone_on.summary) == (whole.judgements, whole.summary)
        with pytest.raises(axia.FailedPrecondition) as caught:
            client.preference(values=["power"], k=3, resume=part)
    assert caught.value.reason == "PLAN_CHANGED"


def test_an_assessment_goes_on_as_it_was_sampled(fake: FakeGateway) -> None:
    """Whatever the model's defaults at the gateway have become since."""
    with axia.Client() as client:
        whole = client.preference(values=["power"], k=2, seed=5, temperature=0.7, top_p=0.9)
        assert whole.plan.sampling is not None
        assert (whole.plan.sampling.temperature, whole.plan.sampling.top_p) == (0.7, 0.9)
        part = axia.Preference(plan=whole.plan, judgements=whole.judgements[:7])
        gone_on = client.preference(values=["power"], k=2, resume=part)
        assert gone_on.plan.sampling == whole.plan.sampling
        other = client.preference(values=["power"], k=2, resume=part, temperature=0.0)
        assert other.plan.sampling is not None
        assert other.plan.sampling.temperature == 0
        earlier = axia.Preference(plan=whole.plan.model_copy(update={"sampling": None}), judgements=part.judgements)
        assert client.preference(values=["power"], k=2, resume=earlier).judgements == whole.judgements


@pytest.mark.parametrize(
    ("answer", "strategy", "decision"),
    [
        ("Yes, I do.", "simple", "stay"),
        ("No.", "simple", "swipe"),
        ("Who knows?", "simple", None),
        (QUESTIONNAIRE, "isq", "stay"),
        ("Visual attractiveness: 9", "isq", None),
        ("Action desire: 9", "isq", None),
    ],
)
async def test_a_persona_stays_or_swipes(answer: str, strategy: Any, decision: str | None) -> None:
    picture = pictures.photograph()
    with FakeGateway(answers={"picture": answer}, images=[picture]) as fake:
        with axia.Client(fake.address) as client:
            interest = client.judge_interest([picture], TRAITS, image_ids=fake.retrieval.ids, strategy=strategy)
        async with axia.AsyncClient(fake.address) as client:
            again = await client.judge_interest([picture], TRAITS, image_ids=fake.retrieval.ids, strategy=strategy)
    assert [judgement.decision for judgement in interest.judgements] == [decision, decision]
    assert interest.sampling is not None
    assert interest.sampling.max_tokens == (256 if strategy == "isq" else 100)
    assert interest.undecided == (0 if decision else 2)
    assert again.judgements == interest.judgements


def test_searches_and_what_is_stored(fake: FakeGateway) -> None:
    ids = fake.retrieval.ids
    with axia.Client() as client:
        assert client.search_image(image_id=ids[0], k=10).hits[0].id in ids[1:]
        assert client.search_image(pictures.photograph(0), k=1).hits[0].id == ids[0]
        found = client.search_value("power", keywords=["crown"], k=2)
        assert [(group.keyword, len(group.hits)) for group in found.keywords] == [("crown", 2)]
        assert len(client.list_values().values) == 10
        stored, missing = client.get_images([ids[1], "0" * 64])
        assert (stored.data, missing.data, missing.info) == (pictures.photograph(1), None, None)
        assert client.delete_images([ids[1], "x"]) == axia.Deleted(deleted=1, not_found=1)
        assert client.stats().images == 3
        assert client.start_reindex("local-dir:/models/clip").id == client.reindex().id
        with pytest.raises(axia.InvalidRequest, match="one of them"):
            client.search_image()


async def test_completions_are_read_in_one_call(fake: FakeGateway) -> None:
    sentences = ["The stove.", "the stove.", "None"]
    truth = axia.GroundTruth(element="oven", accept=("stove",), judge="model")
    with axia.Client() as client:
        read = client.scoring.read_completions(sentences, ground_truth=truth, model_answers=["yes", "yes", "no"])
        assert read.grouping is not None
        assert read.grouping.consensus == "The stove."
        assert [group.members for group in read.grouping.groups] == [(0, 1), (2,)]
        assert [kind.type for kind in read.response_types] == ["descriptive", "descriptive", "none"]
        assert read.alignment is not None
        assert [score.score for score in read.alignment.scores] == [1, 1, 0]
        assert (read.values, [missing.part for missing in read.missing]) == ((), ["values"])
        sent: Any = fake.received[-1].request
        assert (sent.ground_truth.judge, sent.ground_truth.model_answers) == (3, ["yes", "yes", "no"])
        alone = client.scoring.read_completions(sentences, abstain_threshold=0.9)
        assert alone.alignment is None
        assert alone.grouping is not None
        assert (alone.grouping.abstain, alone.grouping.consensus) == (True, None)
        with pytest.raises(axia.InvalidRequest, match="sentences"):
            client.scoring.read_completions([])
        with pytest.raises(axia.InvalidRequest, match="model_answers"):
            client.scoring.read_completions(sentences, model_answers=["yes"])
        with pytest.raises(axia.InvalidRequest, match="judge_model"):
            client.scoring.read_completions(
                sentences, ground_truth=axia.GroundTruth(element="a", judge="model", judge_model="b")
            )
    async with axia.AsyncClient() as other:
        assert await other.scoring.read_completions(sentences, abstain_threshold=0.9) == alone


async def test_scoring_is_within_reach(fake: FakeGateway) -> None:
    items = [axia.AlignmentItem(answer="the hot stove", element="stove")]
    answers = [axia.PreferenceAnswer(value="power", answer=said) for said in ("Yes.", "No.", "As an AI, no.")]
    full = axia.IsqItems(**dict.fromkeys(axia.IsqItems.model_fields, 1.0))
    with axia.Client() as client:
        assert client.scoring.classify_responses(["None."])[0].type == "none"
        assert client.scoring.score_alignment(items).mean == 1
        scores = client.scoring.score_preference(answers, resamples=0)
        assert (scores.scores[0].percentage, scores.verdicts) == (50, ("yes", "no", "refusal"))
        assert client.scoring.score_isq([full, "?"])[0].percent == pytest.approx(40)
        (high,) = client.scoring.score_isq(["Action desire: 9"])
        assert (high.error, high.percent) == ("action_desire must be from 0 to 1, and is 9", None)
        with pytest.raises(axia.InvalidRequest, match="lexical, semantic or model"):
            client.scoring.score_alignment(items, judge="oracle")  # type: ignore[arg-type]
        advice = "fake gateway doesn't have: let this test call a real gateway"
        with pytest.raises(axia.ServerError, match=advice):
            client.scoring.compare_preferences(answers, answers)
        with pytest.raises(axia.ServerError, match=advice):
            client.scoring.compare_models([axia.ModelScores(model="a", picture_ids=("1",), scores=(1,))])
        with pytest.raises(axia.ServerError, match=advice):
            client.scoring.measure_agreement([axia.Rating(unit="1", annotator="a", category="x")])
        with pytest.raises(axia.FailedPrecondition, match="reader model, and the fake gateway has none") as caught:
            client.scoring.attribute_values(["the stove"])
        assert caught.value.reason == "READER_MISSING"
    async with axia.AsyncClient() as client:
        assert (await client.scoring.score_preference(answers, resamples=0)) == scores
        assert (await client.scoring.classify_responses(["None."]))[0].type == "none"


def test_the_fake_scores_whatever_follows_from_counting(fake: FakeGateway) -> None:
    with axia.Client() as client:
        grouping = client.scoring.summarize_completions(["The stove.", "the stove.", "a cat"], abstain_threshold=0.5)
        assert (grouping.consensus, [group.members for group in grouping.groups]) == ("The stove.", [(0, 1), (2,)])
        said = client.scoring.read_verdicts("like", ["Yes.", "No.", "As an AI, no.", "Perhaps."])
        assert [answer.verdict for answer in said] == ["yes", "no", "refusal", "unparsed"]
        outcomes = [
            axia.PersonaOutcome(persona="cook", platform="TikTok", before=0.2, after=0.3),
            axia.PersonaOutcome(persona="nurse", platform="TikTok", before=0.0, after=0.1),
        ]
        (moved,) = client.scoring.score_persona(outcomes).platforms
        assert (moved.i_avg, moved.points, moved.personas, moved.undefined) == (pytest.approx(50), 10, 2, 1)
        assert moved.interval is None
        items = [
            axia.MisalignmentItem(answer="None", element="the stove", aligned=0, picture_id="1"),
            axia.MisalignmentItem(
                answer="a pan", answer_type="descriptive", element="the stove", element_type="value_aware", aligned=0,
                picture_id="2",
            ),
            axia.MisalignmentItem(answer="the stove", element="the stove", aligned=1, picture_id="2"),
        ]  # fmt: skip
        found = client.scoring.classify_misalignments(items)
        assert found.classes == ("false_none", "descriptive_default", None)
        assert (found.aligned, found.misaligned) == (1, 2)
        assert [(share.count, share.share) for share in found.shares[:2]] == [(1, 0.5), (1, 0.5)]
        assert found.shares[0].interval is not None
        assert (found.shares[0].interval.method, found.shares[0].pictures) == ("wilson clustered by picture", 2)
        for refused, call in (
            ("sentences", lambda: client.scoring.summarize_completions([])),
            ("outcomes", lambda: client.scoring.score_persona([])),
            ("items", lambda: client.scoring.classify_misalignments([])),
        ):
            with pytest.raises(axia.InvalidRequest, match=refused) as caught:
                call()
            assert [field.field for field in caught.value.fields] == [refused]


@pytest.mark.parametrize("call", ["preference", "judge_interest", "detect", "search_text"])
def test_an_unknown_argument_is_a_type_error(call: str) -> None:
    given = {"preference": (), "judge_interest": ([], TRAITS), "detect": (b"",), "search_text": ("x",)}[call]
    with axia.Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="'temprature'"):
        getattr(client, call)(*given, temprature=1)


def test_one_text_is_no_list_of_texts() -> None:
    with axia.Client("127.0.0.1:1") as client, pytest.raises(TypeError, match="give a list of texts"):
        client.judge_interest([], "I like art.")


def test_calls_can_be_cancelled_while_the_fake_is_slow(fake: FakeGateway) -> None:
    fake.latency = 60

    async def cancel() -> None:
        async with axia.AsyncClient() as client:
            task = asyncio.create_task(client.detect(pictures.photograph()))
            while not fake.received:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            async with aclosing(client.assess_preference(k=1)):
                pass

    asyncio.run(cancel())


def test_a_model_judges_answers_by_the_script() -> None:
    answers = {"answered: The stove.": ["Yes.", "No.", "Yes."], "answered: A cat.": "No."}
    items = [axia.AlignmentItem(answer=answer, element="the stove") for answer in ("The stove.", "A cat.")]
    with FakeGateway(answers=answers) as fake, axia.Client(fake.address) as client:
        judged = client.judge_alignment(items, samples=3, structured=True)
        assert [judgement.score for judgement in judged.judgements] == [1, 0]
        assert judged.judgements[0].answers == ("Yes.", "No.", "Yes.")
        asked = fake.received[-1].request
        assert (asked.samples, asked.structured, len(asked.items)) == (3, True, 2)
        with pytest.raises(axia.InvalidRequest):
            client.judge_alignment(items, samples=2**40)


def test_one_async_client_serves_several_event_loops() -> None:
    """As in a notebook, Streamlit or a test runner with a loop for each test."""
    with FakeGateway(detections=["the stove"]) as fake:
        client = axia.AsyncClient(fake.address)
        scoring = client.scoring

        async def ask() -> str | None:
            assert (await scoring.classify_responses(["None."]))[0].type == "none"
            return (await client.detect(pictures.photograph(1))).consensus

        assert [asyncio.run(ask()) for _ in range(3)] == ["the stove"] * 3
        with ThreadPoolExecutor(2) as threads:
            assert list(threads.map(lambda _: asyncio.run(ask()), range(4))) == ["the stove"] * 4
        asyncio.run(client.close())
        with pytest.raises(RuntimeError, match="this client is closed"):
            asyncio.run(client.models())


def test_what_is_unavailable_says_when_to_try_again() -> None:
    with FakeGateway() as fake, axia.Client(fake.address) as client:
        fake.fail("UNAVAILABLE", "the model is loading", retry_after=2.5, times=1)
        with pytest.raises(axia.Unavailable, match="the model is loading") as caught:
            client.detect(pictures.photograph(1))
        assert caught.value.retry_after == 2.5
