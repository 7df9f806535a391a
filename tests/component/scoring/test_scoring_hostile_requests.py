"""Requests that nobody means well with, put to the servicer: refused by name, or answered with finite numbers."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from axia.v1 import scoring_pb2 as pb
from services.scoring.servicer import ScoringServicer
from services.scoring.settings import ScoringSettings
from services.serving.errors import ServiceError

NAN, INF = float("nan"), float("inf")
LONG = "a" * 100_000
HEBREW = "הילד ליד התנור הלוהט"
SCRIPTS = [
    HEBREW,
    "\u200f" + HEBREW,
    "الطِّفْلُ",
    "孩子",
    "बच्चा",
    "\u202eeht",
    "\x00",
    "e\u0301" * 300,
    "ﬁre",
    "½",
    "\n" * 9000,
]


@pytest.fixture(scope="module")
def servicer() -> Iterator[ScoringServicer]:
    servicer = ScoringServicer(ScoringSettings(reader_threads=1))
    asyncio.run(servicer.load())
    yield servicer
    servicer.close()


def answer(text: str, value: str = "security", **fields: str) -> pb.PreferenceAnswer:
    return pb.PreferenceAnswer(value=value, answer=text, **fields)


def model(name: str, pictures: list[str], scores: list[int]) -> pb.ModelScores:
    return pb.ModelScores(model=name, picture_ids=pictures, scores=scores)


def outcome(persona: str, before: float, after: float) -> pb.PersonaOutcome:
    return pb.PersonaOutcome(persona=persona, platform="TikTok", before=before, after=after)


def item(text: str, element: str, **fields: Any) -> pb.AlignmentItem:
    return pb.AlignmentItem(answer=text, element=element, **fields)


def isq(*numbers: float) -> pb.IsqAnswer:
    names = (field.name for field in pb.IsqItems.DESCRIPTOR.fields)
    return pb.IsqAnswer(items=pb.IsqItems(**dict(zip(names, numbers, strict=False))))


def rating(unit: str, annotator: str, category: str) -> pb.Rating:
    return pb.Rating(unit=unit, annotator=annotator, category=category)


TWO = [model("a", ["1", "2"], [1, 0]), model("b", ["1", "2"], [0, 1])]

REFUSED = [
    ("ClassifyResponses", pb.ClassifyResponsesRequest(), "sentences"),
    ("ClassifyResponses", pb.ClassifyResponsesRequest(sentences=["a", LONG]), "sentences[1]"),
    ("AttributeValues", pb.AttributeValuesRequest(sentences=[LONG]), "sentences[0]"),
    (
        "SummarizeCompletions",
        pb.SummarizeCompletionsRequest(sentences=["a"], abstain_threshold=NAN),
        "abstain_threshold",
    ),
    (
        "SummarizeCompletions",
        pb.SummarizeCompletionsRequest(sentences=["a"], abstain_threshold=-INF),
        "abstain_threshold",
    ),
    ("ReadCompletions", pb.ReadCompletionsRequest(), "sentences"),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=["a", LONG]), "sentences[1]"),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=["a"] * 10_001), "sentences"),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=["a"], abstain_threshold=NAN), "abstain_threshold"),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=["a"], ground_truth={"judge": 9}), "ground_truth.judge"),
    (
        "ReadCompletions",
        pb.ReadCompletionsRequest(sentences=["a"], ground_truth={"element": "b", "model_answers": ["yes"]}),
        "ground_truth.model_answers",
    ),
    (
        "ReadCompletions",
        pb.ReadCompletionsRequest(sentences=["a", "b"], ground_truth={"judge": 3, "model_answers": ["yes"]}),
        "ground_truth.model_answers",
    ),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item("a", "b")], human_labels=[1, 0]), "human_labels"),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item("a", "b")], human_labels=[2]), "human_labels[0]"),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item("a", "b")], confidence_level=NAN), "confidence_level"),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item("a", "\u200b")]), "items[0].element"),
    ("ScorePreference", pb.ScorePreferenceRequest(answers=[answer("yes", LONG)]), "answers[0].value"),
    ("ScorePreference", pb.ScorePreferenceRequest(answers=[answer("yes")], seed=-1), "seed"),
    ("ComparePreferences", pb.ComparePreferencesRequest(first=[answer("yes", item_id="1")]), "second"),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[isq(NAN, 1, 1, 1, 1, 1)]), "answers[0].items.visual_attractiveness"),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[isq(1, 1, 1, 1, 1, INF)]), "answers[0].items.action_desire"),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[isq(1, 1, 1, 1, 1, 1)], threshold=NAN), "threshold"),
    ("ScorePersona", pb.ScorePersonaRequest(outcomes=[outcome("a", NAN, 1)]), "outcomes[0].before"),
    (
        "ClassifyMisalignments",
        pb.ClassifyMisalignmentsRequest(items=[pb.MisalignmentItem(aligned=7)]),
        "items[0].aligned",
    ),
    ("CompareModels", pb.CompareModelsRequest(models=[model("a", ["1", "2"], [1])]), "models[0].scores"),
    ("CompareModels", pb.CompareModelsRequest(models=[model("a", ["1"], [2])]), "models[0].scores[0]"),
    ("CompareModels", pb.CompareModelsRequest(models=TWO, target_difference=NAN), "target_difference"),
    ("CompareModels", pb.CompareModelsRequest(models=TWO, target_difference=1e-300), "target_difference"),
    ("CompareModels", pb.CompareModelsRequest(models=TWO, target_difference=1e-11), "target_difference"),
    ("MeasureAgreement", pb.MeasureAgreementRequest(ratings=[rating("u", "a", "c")] * 2), "ratings[1]"),
    ("MeasureAgreement", pb.MeasureAgreementRequest(ratings=[rating("u", "a", LONG)]), "ratings[0].category"),
]


@pytest.mark.parametrize(
    ("method", "request_", "field"), REFUSED, ids=[f"{r[0]}-{r[2]}-{n}" for n, r in enumerate(REFUSED)]
)
async def test_what_is_wrong_is_refused_and_named(
    servicer: ScoringServicer, method: str, request_: Message, field: str
) -> None:
    with pytest.raises(ServiceError) as caught:
        await getattr(servicer, method)(request_, None)
    assert [violation.field for violation in caught.value.violations] == [field]
    assert len(caught.value.message) < 500


ANSWERED = [
    ("ClassifyResponses", pb.ClassifyResponsesRequest(sentences=SCRIPTS)),
    ("AttributeValues", pb.AttributeValuesRequest(sentences=SCRIPTS)),
    ("SummarizeCompletions", pb.SummarizeCompletionsRequest(sentences=SCRIPTS)),
    ("SummarizeCompletions", pb.SummarizeCompletionsRequest(sentences=[""] * 3)),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=SCRIPTS)),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=SCRIPTS, ground_truth={"element": HEBREW})),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=SCRIPTS, ground_truth={"element": "child", "judge": 2})),
    ("ReadCompletions", pb.ReadCompletionsRequest(sentences=["", "\x00"], ground_truth={"element": "none"})),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item(text, HEBREW) for text in SCRIPTS], judge=1)),
    (
        "ScoreAlignment",
        pb.ScoreAlignmentRequest(items=[item(text, "child") for text in SCRIPTS], judge=pb.JUDGE_SEMANTIC),
    ),
    ("ScoreAlignment", pb.ScoreAlignmentRequest(items=[item("the", "the image"), item("no", "not"), item("", "none")])),
    (
        "ScoreAlignment",
        pb.ScoreAlignmentRequest(
            items=[item("a", "b", picture_id="p")] * 2,
            judge=pb.JUDGE_MODEL,
            model_answers=["\u202eyes", '{"aligned": NaN}'],
            human_labels=[1, 0],
        ),
    ),
    ("ScorePreference", pb.ScorePreferenceRequest(answers=[answer(text) for text in SCRIPTS])),
    (
        "ScorePreference",
        pb.ScorePreferenceRequest(answers=[answer("yes", keyword=letter) for letter in "abc"], resamples=1),
    ),
    (
        "ComparePreferences",
        pb.ComparePreferencesRequest(first=[answer("yes", item_id="1")], second=[answer("no", item_id="2")]),
    ),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[isq(-0.0, 0, 0, 0, 0, 0)])),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[pb.IsqAnswer(text="v_a: " + "9" * 5000)])),
    ("ScoreIsq", pb.ScoreIsqRequest(answers=[pb.IsqAnswer(text="٨ ٧ ٦ ٥ ١ ٠"), pb.IsqAnswer(text="v_a " * 4000)])),
    ("ScorePersona", pb.ScorePersonaRequest(outcomes=[outcome(letter, 1e-306, 1) for letter in "abc"])),
    ("ScorePersona", pb.ScorePersonaRequest(outcomes=[outcome("a", -0.0, 1), outcome("b", 5e-324, 0)])),
    ("ClassifyMisalignments", pb.ClassifyMisalignmentsRequest(items=[pb.MisalignmentItem()])),
    ("CompareModels", pb.CompareModelsRequest(models=TWO, target_difference=1e-6)),
    ("CompareModels", pb.CompareModelsRequest(models=TWO, target_difference=1 - 1e-12)),
    ("CompareModels", pb.CompareModelsRequest(models=[model(letter, ["1"], [1]) for letter in "abc"])),
    ("CompareModels", pb.CompareModelsRequest(models=[model(HEBREW, ["1", "\x00"], [1, 0])])),
    ("MeasureAgreement", pb.MeasureAgreementRequest(ratings=[rating("u", "a", HEBREW)])),
    ("MeasureAgreement", pb.MeasureAgreementRequest(ratings=[rating("u", text, text) for text in SCRIPTS[:4]])),
]


def numbers(message: Message) -> Iterator[float]:
    for field, value in message.ListFields():
        for item in value if field.is_repeated else [value]:
            if isinstance(item, Message):
                yield from numbers(item)
            elif isinstance(item, float):
                yield item


@pytest.mark.parametrize(
    ("method", "request_"), ANSWERED, ids=[f"{answered[0]}-{n}" for n, answered in enumerate(ANSWERED)]
)
async def test_what_is_odd_is_answered_with_finite_numbers(
    servicer: ScoringServicer, method: str, request_: Message
) -> None:
    response = await getattr(servicer, method)(request_, None)
    assert all(map(math.isfinite, numbers(response)))
