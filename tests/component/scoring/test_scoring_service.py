"""The scoring service over a real gRPC connection, with the interceptor and without a reader model."""

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc
import numpy as np
import pytest
from scipy import stats
from statsmodels.stats import inter_rater
from statsmodels.stats.contingency_tables import cochrans_q

from axia.lexicon import VALUES
from axia.v1 import scoring_pb2, scoring_pb2_grpc
from services.scoring.reading.schwartz import GROUPS
from services.scoring.servicer import ScoringComponent
from services.scoring.settings import ScoringSettings
from services.serving.app import channel_options
from services.serving.interceptors import CallInterceptor
from services.serving.status import from_rpc_error

Stub = Any
"""grpcio's generated stubs serve both faces under one name; their async type exists for type checkers alone."""


@asynccontextmanager
async def serving(settings: ScoringSettings) -> AsyncIterator[Stub]:
    server = grpc.aio.server(interceptors=[CallInterceptor()], options=channel_options(settings))
    component = ScoringComponent(settings)
    component.register(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    await component.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=channel_options(settings)) as channel:
        yield scoring_pb2_grpc.ScoringServiceStub(channel)
    await server.stop(0)
    await component.close()


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with serving(ScoringSettings(reader="")) as wordless:
        yield wordless


@pytest.fixture
async def sentence_stub() -> AsyncIterator[Stub]:
    async with serving(ScoringSettings()) as meaningful:
        yield meaningful


async def refusal(call: Awaitable[object]) -> tuple[grpc.StatusCode, str, str]:
    """The code, the reason and the first field of a refused call."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = from_rpc_error(raised.value)
    return raised.value.code(), error.reason, error.violations[0].field if error.violations else ""


def answers(*rows: tuple[str, str, str, str]) -> list[scoring_pb2.PreferenceAnswer]:
    return [scoring_pb2.PreferenceAnswer(value=v, answer=a, keyword=k, item_id=i) for v, a, k, i in rows]


async def test_sentences_are_classified_in_their_order(sentence_stub: Stub) -> None:
    sentences = ["The child.", "None.", "", "孩子"]
    response = await sentence_stub.ClassifyResponses(scoring_pb2.ClassifyResponsesRequest(sentences=sentences))
    child, none, *unreadable = response.scores
    assert child.type == scoring_pb2.RESPONSE_TYPE_DESCRIPTIVE
    assert none.type == scoring_pb2.RESPONSE_TYPE_NONE
    assert child.confidence == max(child.probabilities)
    assert 0.9 < sum(child.probabilities) <= 1
    assert [score.language for score in unreadable] == ["", "und"]
    assert all(score.type == scoring_pb2.RESPONSE_TYPE_UNSPECIFIED and score.confidence == 0 for score in unreadable)


async def test_values_have_weights_over_values_and_groups(sentence_stub: Stub) -> None:
    sentences = ["A child is near the hot stove and may burn itself.", ""]
    response = await sentence_stub.AttributeValues(scoring_pb2.AttributeValuesRequest(sentences=sentences))
    danger, nothing = response.attributions
    assert [value.name for value in danger.values] == list(VALUES)
    assert [group.name for group in danger.groups] == list(GROUPS)
    assert sum(value.weight for value in danger.values) == pytest.approx(1)
    assert sum(group.weight for group in danger.groups) == pytest.approx(1)
    assert max(danger.values, key=lambda value: value.weight).name == "security"
    assert not nothing.at_stake
    assert not any(value.weight for value in nothing.values)


async def test_meaning_names_its_model(sentence_stub: Stub) -> None:
    summary = await sentence_stub.SummarizeCompletions(
        scoring_pb2.SummarizeCompletionsRequest(sentences=["The knife.", "the knife", "A sleeping cat."])
    )
    assert summary.sentence_model.count("@") == 1
    assert summary.agreement == pytest.approx(2 / 3)
    request = scoring_pb2.ScoreAlignmentRequest(
        items=[scoring_pb2.AlignmentItem(answer="A burner is on.", element="a burner that is on")],
        judge="JUDGE_SEMANTIC",
    )
    alignment = await sentence_stub.ScoreAlignment(request)
    assert alignment.sentence_model == summary.sentence_model
    assert alignment.scores[0].score == 1


async def test_open_types_are_classified_before_misses_are_sorted(sentence_stub: Stub) -> None:
    item = scoring_pb2.MisalignmentItem(answer="None.", element="The child is about to touch the hot stove.")
    response = await sentence_stub.ClassifyMisalignments(scoring_pb2.ClassifyMisalignmentsRequest(items=[item]))
    assert list(response.classes) == [scoring_pb2.MISALIGNMENT_CLASS_FALSE_NONE]


async def test_without_a_reader_model_what_needs_it_says_so(stub: Stub) -> None:
    code, reason, _ = await refusal(
        stub.ScoreAlignment(
            scoring_pb2.ScoreAlignmentRequest(
                items=[scoring_pb2.AlignmentItem(answer="The stove", element="stove")], judge="JUDGE_SEMANTIC"
            )
        )
    )
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert reason == "READER_MISSING"


async def test_completions_are_summarised(stub: Stub) -> None:
    response = await stub.SummarizeCompletions(
        scoring_pb2.SummarizeCompletionsRequest(sentences=["The knife.", "the knife", "The knife"])
    )
    assert response.consensus == "The knife."
    assert response.agreement == 1
    assert response.entropy == 0
    assert not response.abstain
    assert response.sentence_model == ""


async def test_alignment_has_a_mean_clustered_by_picture_and_kappa_with_people(stub: Stub) -> None:
    items = [
        scoring_pb2.AlignmentItem(answer=answer, element="stove", picture_id=picture)
        for picture, answer in (("a", "The stove."), ("a", "stove"), ("b", "A lamp."), ("b", "The stove"))
    ]
    response = await stub.ScoreAlignment(
        scoring_pb2.ScoreAlignmentRequest(items=items, judge="JUDGE_LEXICAL", human_labels=[1, 1, 0, 0])
    )
    assert [score.score for score in response.scores] == [1, 1, 0, 1]
    assert response.mean == 0.75
    assert response.interval.method == "wilson clustered by picture"
    expected = inter_rater.cohens_kappa(np.array([[1, 1], [0, 2]]), return_results=False)
    assert response.human_agreement.kappa == pytest.approx(expected, abs=1e-9)
    assert response.human_agreement.observed == 0.75
    interval = response.human_agreement.kappa_interval
    assert interval.low < response.human_agreement.kappa < interval.high
    assert interval.method == "linearized over pictures"


async def test_an_unreadable_judge_leaves_its_score_unset(stub: Stub) -> None:
    items = [scoring_pb2.AlignmentItem(answer="x stove", element="stove")] * 2
    response = await stub.ScoreAlignment(
        scoring_pb2.ScoreAlignmentRequest(items=items, judge="JUDGE_MODEL", model_answers=["Yes.", "???"])
    )
    assert [score.HasField("score") for score in response.scores] == [True, False]
    assert response.unparsed == 1
    assert response.mean == 1
    assert response.interval.method == "wilson"


async def test_preference_is_scored_by_value(sentence_stub: Stub) -> None:
    said = ["yes", "No.", "Yes!", "As an AI, I don't have personal preferences."]
    rows = [("Security", text, f"k{i % 2}", str(i)) for i, text in enumerate(said)]
    rows += [("power", "Yes", "", "0"), ("self direction", "???", "", "0")]
    response = await sentence_stub.ScorePreference(
        scoring_pb2.ScorePreferenceRequest(answers=answers(*rows), resamples=200)
    )
    by_value = {score.value: score for score in response.scores}
    assert list(by_value) == ["self-direction", "power", "security"]
    security = by_value["security"]
    assert (security.yes, security.no, security.refusals, security.unparsed) == (2, 1, 1, 0)
    assert security.percentage == pytest.approx(200 / 3)
    assert security.percentage_of_all == 50
    assert security.refusal_rate == 0.25
    assert 0 <= security.interval.low < security.percentage < security.interval.high <= 100
    assert security.HasField("keyword_interval")
    assert security.interval.method == security.interval_of_all.method == "wilson clustered by keyword"
    assert (security.keywords, security.rank, security.rank_of_all) == (2, 2, 2)
    assert (by_value["power"].keywords, by_value["power"].interval.method) == (0, "wilson")
    assert (by_value["self-direction"].rank, by_value["self-direction"].rank_of_all) == (0, 3)
    assert response.of_all.mean == pytest.approx((0 + 100 + 50) / 3)
    assert response.of_all.standard_deviation == pytest.approx(50)
    assert response.of_all.range == 100
    assert list(response.of_all.ranking) == ["power", "security", "self-direction"]
    assert len(response.of_all.groups) == 3
    assert not by_value["self-direction"].HasField("percentage")
    assert not by_value["self-direction"].HasField("interval")
    assert list(response.ranking) == ["power", "security"]
    assert response.mean == pytest.approx((100 + 200 / 3) / 2)
    assert response.standard_deviation == pytest.approx(np.std([100, 200 / 3], ddof=1))
    assert response.population_standard_deviation == pytest.approx(np.std([100, 200 / 3]))
    assert response.range == pytest.approx(100 / 3)
    assert [group.group for group in response.groups] == ["self-enhancement", "conservation"]
    assert response.verdicts[3] == scoring_pb2.PREFERENCE_VERDICT_REFUSAL


async def test_preferences_are_compared_pair_by_pair(stub: Stub) -> None:
    first = answers(*[("power", "yes" if i < 48 else "no", "", str(i)) for i in range(50)])
    second = answers(*[("power", "yes" if i < 36 or i >= 48 else "no", "", str(i)) for i in range(50)])
    response = await stub.ComparePreferences(scoring_pb2.ComparePreferencesRequest(first=first, second=second))
    power = response.differences[0]
    assert (power.both_yes, power.first_only, power.second_only, power.both_no) == (36, 12, 2, 0)
    assert power.difference == pytest.approx(20)
    assert power.interval.low == pytest.approx(5.69, abs=0.005)  # Newcombe (1998), method 10
    assert power.interval.high == pytest.approx(34.04, abs=0.005)
    assert power.p_value == pytest.approx(stats.binomtest(12, 14).pvalue, abs=1e-9)
    assert response.overall.adjusted_p_value == response.overall.p_value
    assert power.keywords == 0
    for place, answer in enumerate(first):
        answer.keyword = f"keyword {place // 5}"
    response = await stub.ComparePreferences(scoring_pb2.ComparePreferencesRequest(first=first, second=second))
    assert response.differences[0].keywords == response.overall.keywords == 10
    assert response.differences[0].interval.method == "newcombe paired clustered by keyword"


def items(*numbers: float) -> scoring_pb2.IsqAnswer:
    names = [field.name for field in scoring_pb2.IsqItems.DESCRIPTOR.fields]
    return scoring_pb2.IsqAnswer(items=scoring_pb2.IsqItems(**dict(zip(names, numbers, strict=True))))


async def test_questionnaires_are_scored_strictly_above_the_threshold(stub: Stub) -> None:
    text = scoring_pb2.IsqAnswer(text="Visual attractiveness: 8/10\nCuriosity stimulation: 7")
    response = await stub.ScoreIsq(
        scoring_pb2.ScoreIsqRequest(answers=[items(8, 7, 6, 5, 1, 0), items(8, 7, 6, 5, 1, 0.1), text])
    )
    assert response.scores[0].percent == 60
    assert not response.scores[0].match
    assert response.scores[1].percent == pytest.approx(3700 / 60)
    assert response.scores[1].match
    assert not response.scores[2].HasField("percent")
    assert response.scores[2].missing[0] == "emotional_engagement"
    assert response.scores[2].items.visual_attractiveness == 8


async def test_a_text_that_cant_be_used_is_an_error_of_its_own(stub: Stub) -> None:
    texts = ["Action desire: 7", "8, 7, 6, 5, 1, 0", "Preference alignment: 0.7 out of 9"]
    request = scoring_pb2.ScoreIsqRequest(answers=[scoring_pb2.IsqAnswer(text=text) for text in texts])
    high, whole, odd = (await stub.ScoreIsq(request)).scores
    assert high.error == "action_desire must be from 0 to 1, and is 7"
    assert [field.name for field, _ in high.ListFields()] == ["items", "error"]
    assert not high.items.ListFields()
    assert (whole.percent, whole.error) == (60, "")
    assert odd.error == "preference_alignment is given out of 9, and its scale is 0 to 1"


async def test_role_play_keeps_platforms_apart_and_counts_what_has_no_percentage(stub: Stub) -> None:
    rows = [
        ("ann", "TikTok", 0.2, 0.3),
        ("ben", "TikTok", 0.4, 0.5),
        ("cat", "TikTok", 0, 0.1),
        ("ann", "YouTube", 0.5, 0.4),
    ]
    outcomes = [scoring_pb2.PersonaOutcome(persona=p, platform=f, before=b, after=a) for p, f, b, a in rows]
    response = await stub.ScorePersona(scoring_pb2.ScorePersonaRequest(outcomes=outcomes, seed=3))
    tiktok, youtube = response.platforms
    assert tiktok.i_avg == pytest.approx(37.5)
    assert tiktok.points == pytest.approx(10)
    assert (tiktok.personas, tiktok.undefined) == (3, 1)
    # Of 50 and 25, by Student's t with one degree of freedom; no feed loses more than everything.
    assert tiktok.interval.low == -100
    assert tiktok.interval.high == pytest.approx(37.5 + 12.5 * stats.t.ppf(0.975, 1))
    assert -100 <= tiktok.points_interval.low < 10 < tiktok.points_interval.high <= 100
    assert youtube.i_avg == pytest.approx(-20)
    assert not youtube.HasField("interval")
    assert not response.changes[2].HasField("percent")


async def test_misses_are_sorted_by_type(stub: Stub) -> None:
    kinds = [(1, 2, 0), (3, 2, 0), (2, 1, 0), (2, 3, 0), (1, 1, 0), (2, 2, 1)]
    request = scoring_pb2.ClassifyMisalignmentsRequest(
        items=[scoring_pb2.MisalignmentItem(answer_type=a, element_type=e, aligned=x) for a, e, x in kinds]
    )
    response = await stub.ClassifyMisalignments(request)
    assert list(response.classes) == [1, 2, 3, 4, 5, 0]
    assert [share.share for share in response.shares] == [0.2] * 5 + [0]
    assert [share.share for share in response.shares_without_refusals] == [0.2] * 5
    assert (response.aligned, response.misaligned) == (1, 5)
    assert (response.shares[0].interval.method, response.shares[0].pictures) == ("wilson", 0)
    for place, item in enumerate(request.items):
        item.picture_id = f"picture {place // 2}"
    response = await stub.ClassifyMisalignments(request)
    assert response.shares[0].interval.method == "wilson clustered by picture"
    assert response.shares[0].pictures == 3


async def test_models_are_compared_on_majorities_and_in_the_papers_form(stub: Stub) -> None:
    generator = np.random.default_rng(0)
    table = generator.integers(0, 2, (12, 3, 4))  # pictures × completions × models
    pictures = [str(picture) for picture in range(12) for _ in range(3)]
    models = [
        scoring_pb2.ModelScores(model=f"m{m}", picture_ids=pictures, scores=table[:, :, m].ravel().tolist())
        for m in range(4)
    ]
    response = await stub.CompareModels(scoring_pb2.CompareModelsRequest(models=models))
    majority = (table.sum(axis=1) >= 2).astype(int)
    assert response.majority.q == pytest.approx(cochrans_q(majority).statistic, abs=1e-9)
    assert response.majority.p_value == pytest.approx(cochrans_q(majority).pvalue, abs=1e-9)
    assert response.majority.permutation_method != scoring_pb2.PERMUTATION_METHOD_UNSPECIFIED
    assert response.majority.rows == response.pictures == 12
    replica = cochrans_q(table.reshape(36, 4))
    assert response.completion_replica.q == pytest.approx(replica.statistic, abs=1e-9)
    assert len(response.pairs) == 6
    assert not any(pair.HasField("power") for pair in response.pairs)
    planned = await stub.CompareModels(scoring_pb2.CompareModelsRequest(models=models, target_difference=0.2))
    assert all(0 < pair.power < 1 for pair in planned.pairs)
    assert [m.mean for m in response.models] == pytest.approx(table.mean(axis=(0, 1)).tolist())


async def test_agreement_is_measured(stub: Stub) -> None:
    ratings = [
        scoring_pb2.Rating(unit=str(u), annotator=a, category=c)
        for u, given in enumerate(["xx", "xy", "yy", "xx"])
        for a, c in zip("ab", given, strict=True)
    ]
    response = await stub.MeasureAgreement(scoring_pb2.MeasureAgreementRequest(ratings=ratings))
    assert response.pairs[0].cohen_kappa == pytest.approx(0.5)
    assert response.ceiling == 0.75
    assert response.ceiling_interval.method == "wilson clustered by unit"
    pair = response.pairs[0]
    assert pair.cohen_kappa_interval.low < 0.5 < pair.cohen_kappa_interval.high
    assert pair.cohen_kappa_interval.method == "linearized over units"
    for name in ("fleiss_kappa", "krippendorff_alpha"):
        interval = getattr(response, f"{name}_interval")
        assert interval.low < getattr(response, name) < interval.high
    assert (response.sentence_model, response.unjudged) == ("", 0)


async def test_people_are_scored_by_the_judge_that_scores_models(stub: Stub) -> None:
    ratings = [
        scoring_pb2.Rating(unit="kitchen", annotator=name, category=category)
        for name, category in (("ann", "the boiling pot"), ("ben", "boiling pot"), ("cat", "a boiling pot"))
    ]
    request = scoring_pb2.MeasureAgreementRequest(ratings=ratings)
    assert (await stub.MeasureAgreement(request)).ceiling == 0
    request.judge = scoring_pb2.JUDGE_LEXICAL
    response = await stub.MeasureAgreement(request)
    assert response.ceiling == 1
    assert [annotator.score for annotator in response.annotators] == [1, 1, 1]
    assert response.krippendorff_alpha == pytest.approx(0)
    request.judge = scoring_pb2.JUDGE_MODEL
    with pytest.raises(grpc.aio.AioRpcError, match="no model is asked here") as raised:
        await stub.MeasureAgreement(request)
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


ISQ = scoring_pb2.ScoreIsqRequest
NAN = float("nan")
REFUSED: list[tuple[str, object, str, str]] = [
    ("ScoreIsq", ISQ(), "OUT_OF_RANGE", "answers"),
    ("ScoreIsq", ISQ(answers=[scoring_pb2.IsqAnswer()]), "MISSING", "answers[0]"),
    (
        "ScoreIsq",
        ISQ(answers=[items(8, 7, 6, 5, 1, 0), items(8, 7, 6, 5, 2, 0)]),
        "OUT_OF_RANGE",
        "answers[1].items.preference_alignment",
    ),
    ("ScoreIsq", ISQ(answers=[items(8, NAN, 6, 5, 1, 0)]), "OUT_OF_RANGE", "answers[0].items.curiosity_stimulation"),
    ("ScoreIsq", ISQ(answers=[items(8, 7, 6, 5, 1, 0)], threshold=NAN), "OUT_OF_RANGE", "threshold"),
    (
        "ScoreIsq",
        ISQ(answers=[scoring_pb2.IsqAnswer(items=scoring_pb2.IsqItems(visual_attractiveness=1))]),
        "MISSING",
        "answers[0].items.curiosity_stimulation",
    ),
    ("ScoreIsq", ISQ(answers=[scoring_pb2.IsqAnswer(text="x" * 100_000)]), "TEXT_TOO_LONG", "answers[0].text"),
    ("ScorePreference", scoring_pb2.ScorePreferenceRequest(), "OUT_OF_RANGE", "answers"),
    (
        "ScorePreference",
        scoring_pb2.ScorePreferenceRequest(answers=answers(("power", "yes", "", ""), ("fame", "yes", "", ""))),
        "VALUE_UNKNOWN",
        "answers[1].value",
    ),
    (
        "ScorePreference",
        scoring_pb2.ScorePreferenceRequest(answers=answers(("власть", "yes", "", ""))),
        "VALUE_UNKNOWN",
        "answers[0].value",
    ),
    (
        "ScorePreference",
        scoring_pb2.ScorePreferenceRequest(answers=answers(("power", "y" * 100_000, "", ""))),
        "TEXT_TOO_LONG",
        "answers[0].answer",
    ),
    (
        "ScorePreference",
        scoring_pb2.ScorePreferenceRequest(answers=answers(("power", "yes", "", "")), confidence_level=1),
        "OUT_OF_RANGE",
        "confidence_level",
    ),
    (
        "ScorePreference",
        scoring_pb2.ScorePreferenceRequest(answers=answers(("power", "yes", "", "")), seed=-1),
        "OUT_OF_RANGE",
        "seed",
    ),
    (
        "ComparePreferences",
        scoring_pb2.ComparePreferencesRequest(first=answers(("power", "yes", "", "1"))),
        "OUT_OF_RANGE",
        "second",
    ),
    (
        "ComparePreferences",
        scoring_pb2.ComparePreferencesRequest(
            first=answers(("power", "yes", "", "1")), second=answers(("power", "yes", "", ""))
        ),
        "EMPTY",
        "second[0].item_id",
    ),
    (
        "ComparePreferences",
        scoring_pb2.ComparePreferencesRequest(
            first=answers(*[("power", "yes", "", "1")] * 2), second=answers(("power", "yes", "", "1"))
        ),
        "DUPLICATE",
        "first[1].item_id",
    ),
    (
        "ScorePersona",
        scoring_pb2.ScorePersonaRequest(outcomes=[scoring_pb2.PersonaOutcome(persona="a", platform="t", before=NAN)]),
        "OUT_OF_RANGE",
        "outcomes[0].before",
    ),
    (
        "ScorePersona",
        scoring_pb2.ScorePersonaRequest(outcomes=[scoring_pb2.PersonaOutcome(persona="a", platform="t")] * 2),
        "DUPLICATE",
        "outcomes[1]",
    ),
    (
        "ScorePersona",
        scoring_pb2.ScorePersonaRequest(outcomes=[scoring_pb2.PersonaOutcome(platform="t")]),
        "TEXT_EMPTY",
        "outcomes[0].persona",
    ),
    (
        "ClassifyMisalignments",
        scoring_pb2.ClassifyMisalignmentsRequest(
            items=[
                scoring_pb2.MisalignmentItem(
                    answer_type="RESPONSE_TYPE_NONE", element_type="RESPONSE_TYPE_NONE", aligned=2
                )
            ]
        ),
        "NOT_BINARY",
        "items[0].aligned",
    ),
    ("CompareModels", scoring_pb2.CompareModelsRequest(), "OUT_OF_RANGE", "models"),
    (
        "CompareModels",
        scoring_pb2.CompareModelsRequest(
            models=[scoring_pb2.ModelScores(model="m", picture_ids=["a", "b"], scores=[1])]
        ),
        "RAGGED",
        "models[0].scores",
    ),
    (
        "CompareModels",
        scoring_pb2.CompareModelsRequest(
            models=[scoring_pb2.ModelScores(model="m", picture_ids=["a", "b"], scores=[1, 2])]
        ),
        "NOT_BINARY",
        "models[0].scores[1]",
    ),
    (
        "CompareModels",
        scoring_pb2.CompareModelsRequest(
            models=[scoring_pb2.ModelScores(model=m, picture_ids=[m], scores=[1]) for m in "ab"]
        ),
        "PICTURES_DIFFER",
        "models[1].picture_ids",
    ),
    (
        "CompareModels",
        scoring_pb2.CompareModelsRequest(
            models=[scoring_pb2.ModelScores(model="m", picture_ids=["a"], scores=[1])] * 2
        ),
        "DUPLICATE",
        "models[1].model",
    ),
    (
        "MeasureAgreement",
        scoring_pb2.MeasureAgreementRequest(ratings=[scoring_pb2.Rating(unit="u", annotator="a")]),
        "EMPTY",
        "ratings[0].category",
    ),
    (
        "ScoreAlignment",
        scoring_pb2.ScoreAlignmentRequest(
            items=[scoring_pb2.AlignmentItem(answer="a", element="b")], human_labels=[1, 0]
        ),
        "RAGGED",
        "human_labels",
    ),
    (
        "ScoreAlignment",
        scoring_pb2.ScoreAlignmentRequest(items=[scoring_pb2.AlignmentItem(answer="a", element="b")], human_labels=[7]),
        "NOT_BINARY",
        "human_labels[0]",
    ),
    (
        "ScoreAlignment",
        scoring_pb2.ScoreAlignmentRequest(
            items=[scoring_pb2.AlignmentItem(answer="a", element="b")], judge="JUDGE_MODEL"
        ),
        "RAGGED",
        "model_answers",
    ),
]


@pytest.mark.parametrize(("method", "request_message", "reason", "field"), REFUSED, ids=lambda value: str(value)[:40])
async def test_a_bad_request_is_refused_by_field_and_index(
    stub: Stub, method: str, request_message: object, reason: str, field: str
) -> None:
    call: Callable[[object], Awaitable[object]] = getattr(stub, method)
    assert await refusal(call(request_message)) == (grpc.StatusCode.INVALID_ARGUMENT, reason, field)


@pytest.mark.parametrize(
    "text", ["да", "نعم، أحبها", "是的", "\u202eyes\u202c", "ＹＥＳ", "", "\x00", "👍", "y" * 16_384]
)
async def test_other_alphabets_and_directions_have_a_defined_verdict(sentence_stub: Stub, text: str) -> None:
    request = scoring_pb2.ScorePreferenceRequest(answers=answers(("power", text, "", "")))
    response = await sentence_stub.ScorePreference(request)
    liked = text in {"\u202eyes\u202c", "ＹＥＳ", "👍", "да", "是的", "نعم، أحبها"}
    assert response.verdicts[0] == (
        scoring_pb2.PREFERENCE_VERDICT_YES if liked else scoring_pb2.PREFERENCE_VERDICT_UNPARSED
    )


async def test_the_same_request_gives_the_same_response(stub: Stub) -> None:
    outcomes = [
        scoring_pb2.PersonaOutcome(persona=str(p), platform="t", before=0.1 + p / 50, after=0.5) for p in range(20)
    ]
    request = scoring_pb2.ScorePersonaRequest(outcomes=outcomes, seed=11)
    one, other = await stub.ScorePersona(request), await stub.ScorePersona(request)
    assert one == other
    assert math.isfinite(one.platforms[0].i_avg)
