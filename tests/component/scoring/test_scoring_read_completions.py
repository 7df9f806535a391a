"""ReadCompletions says what the methods of its parts say, to the last bit, and names the parts that it can't read."""

import asyncio
import itertools
import random
from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf.message import Message

from axia.v1 import scoring_pb2 as pb
from services.scoring.reading.model import Described, OnnxReader
from services.scoring.servicer import ScoringServicer
from services.scoring.settings import ScoringSettings
from services.serving.errors import ServiceError

PHRASES = [
    "The hot stove.", "the hot stove", "A child is about to touch the hot stove.", "The stove is off.", "None.",
    "Nothing needs attention in this picture.", "The element that needs attention is the knife on the counter.",
    "a knife", "The picture is too blurry to tell.", "An old man has fallen, and nobody helps him because it is dark.",
    "People recycle bottles in the park.", "A dog sleeps on the sofa.", "", "...", "🔥", "孩子", "\x00",
    "A trophy stands on the shelf!", "Children are not allowed to play here; they look sad.", "x" * 1100,
]  # fmt: skip
ELEMENTS = [
    ("the hot stove", ["a stove that is on", "cooker"]),
    ("none", []),
    ("孩子", ["child"]),
    ("!?", []),
    ("", []),
]
SAID = ["Yes.", "no", "???", "", '{"aligned": 1}', "\u202eyes"]
JUDGES = [pb.JUDGE_UNSPECIFIED, pb.JUDGE_LEXICAL, pb.JUDGE_SEMANTIC, pb.JUDGE_MODEL]


def lists() -> Iterator[list[str]]:
    """Completions of pictures: each phrase alone, some together with repetitions, and more than are remembered."""
    yield from ([phrase] for phrase in PHRASES)
    chance = random.Random(7)
    for count in (2, 3, 3, 5, 8, 16, 24):
        yield chance.choices(PHRASES, k=count)
    yield [*PHRASES, *(f"The child in room {number} is near a stove." for number in range(20))]
    yield ["The stove."] * 300  # more than are grouped


def truths(count: int) -> Iterator[pb.AnnotatedElement | None]:
    """No ground truth, all kinds of it with every judge, and such as are refused."""
    yield None
    for (element, accept), judge in itertools.product(ELEMENTS if count < 8 else ELEMENTS[:1], JUDGES):
        answers = [SAID[index % len(SAID)] for index in range(count)] if judge == pb.JUDGE_MODEL else []
        yield pb.AnnotatedElement(element=element, accept=accept, judge=judge, model_answers=answers)
    yield pb.AnnotatedElement(element="stove", accept=["hob"] * 65)
    yield pb.AnnotatedElement(element="stove", judge=pb.JUDGE_MODEL, model_answers=["yes" * 10_000] * count)


@pytest.fixture(scope="module", params=["the packaged one", "none at all", "nothing is remembered"])
def servicer(request: pytest.FixtureRequest) -> Iterator[ScoringServicer]:
    settings: dict[str, dict[str, Any]] = {
        "none at all": {"reader": ""},
        "nothing is remembered": {"reader_cache": 0},
    }
    servicer = ScoringServicer(ScoringSettings(reader_threads=1, **settings.get(request.param, {})))
    asyncio.run(servicer.load())
    yield servicer
    servicer.close()


async def alone(servicer: ScoringServicer, method: str, request: Message) -> bytes | str:
    """What the method of one part answers, or the reason why it refuses."""
    try:
        response: Message = await getattr(servicer, method)(request, None)
        return response.SerializeToString(deterministic=True)
    except ServiceError as error:
        return error.reason


async def test_each_part_is_what_its_own_method_says(servicer: ScoringServicer, request: pytest.FixtureRequest) -> None:
    # Where nothing is remembered each comparison reads all of its texts anew, so each list meets a third of the ground
    # truths in turn, and each ground truth a third of the lists of every length.
    turns = 3 if request.node.callspec.params["servicer"] == "nothing is remembered" else 1
    compared = 0
    for number, sentences in enumerate(lists()):
        parts = {
            "grouping": await alone(
                servicer,
                "SummarizeCompletions",
                pb.SummarizeCompletionsRequest(sentences=sentences, abstain_threshold=0.6),
            ),
            "response_types": await alone(
                servicer, "ClassifyResponses", pb.ClassifyResponsesRequest(sentences=sentences)
            ),
            "values": await alone(servicer, "AttributeValues", pb.AttributeValuesRequest(sentences=sentences)),
        }
        for truth in itertools.islice(truths(len(sentences)), number % turns, None, turns):
            expected = dict(parts)
            if truth:
                items = [
                    pb.AlignmentItem(answer=sentence, element=truth.element, accept=truth.accept)
                    for sentence in sentences
                ]
                expected["alignment"] = await alone(
                    servicer,
                    "ScoreAlignment",
                    pb.ScoreAlignmentRequest(items=items, judge=truth.judge, model_answers=truth.model_answers),
                )
            response = await servicer.ReadCompletions(
                pb.ReadCompletionsRequest(sentences=sentences, abstain_threshold=0.6, ground_truth=truth),
                None,  # type: ignore[arg-type]  # the servicer doesn't look at it
            )
            read: dict[str, bytes | str] = {
                field.name: part.SerializeToString(deterministic=True)
                for field, part in response.ListFields()
                if field.name != "missing"
            }
            read |= {part.part: part.reason for part in response.missing}
            assert read == expected, (sentences, truth)
            assert all(part.message for part in response.missing)
            compared += 1
    assert compared == {1: 24 * 23 + 5 * 7, 3: 8 * 23 + 12}[turns]


async def ask(servicer: ScoringServicer, *sentences: str, **fields: Any) -> pb.ReadCompletionsResponse:
    request = pb.ReadCompletionsRequest(sentences=sentences, **fields)
    return await servicer.ReadCompletions(request, None)  # type: ignore[arg-type]  # the servicer doesn't look at it


async def test_what_is_missing_says_why_in_the_callers_words(servicer: ScoringServicer) -> None:
    (wordless,) = (
        part
        for part in (await ask(servicer, "a stove", ground_truth={"element": "stove", "accept": ["!"]})).missing
        if part.part == "alignment"
    )
    assert wordless == pb.MissingPart(
        part="alignment", reason="TEXT_EMPTY", message="ground_truth.accept[0]: must contain a word"
    )
    truth = {"element": "stove", "judge": pb.JUDGE_MODEL, "model_answers": ["yes", "y" * 20_000]}
    (long,) = (part for part in (await ask(servicer, "a", "b", ground_truth=truth)).missing if part.part == "alignment")
    assert long.message.startswith("ground_truth.model_answers[1]: has 20,000 characters")


async def test_each_sentence_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    described: list[str] = []
    describe = OnnxReader.describe

    def counting(self: OnnxReader, sentences: list[str]) -> Described:
        described.extend(sentences)
        return describe(self, sentences)

    servicer = ScoringServicer(ScoringSettings(reader_threads=1, reader_cache=0, workers=1))
    await servicer.load()
    monkeypatch.setattr(OnnxReader, "describe", counting)
    truth = {"element": "the hot stove", "judge": pb.JUDGE_SEMANTIC}
    await ask(servicer, "a hot stove is on", "a child cries", "a hot stove is on", ground_truth=truth)
    assert sorted(described) == sorted({"a hot stove is on", "a child cries", "the hot stove"})
    servicer.close()
