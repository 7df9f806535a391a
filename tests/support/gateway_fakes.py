"""A model, a retrieval and a scoring service that do as a test says."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence

from gateway.protocols.ports.message import Message
from gateway.protocols.ports.model import (
    CallSize,
    Completion,
    Finished,
    Generated,
    ModelEvent,
    ModelInfo,
    Question,
    StageTimes,
    Started,
)
from gateway.protocols.ports.retrieval import Hit, LexiconValue, ValueSearch
from gateway.protocols.ports.scoring import (
    Alignment,
    Attribution,
    CompletionGroup,
    Consensus,
    Grouping,
    IsqReading,
    PreferenceAnswer,
    Readings,
    Verdict,
    Weight,
)
from gateway.protocols.ports.scoring import Question as YesOrNo
from gateway.protocols.sampling import GroundTruth, ModelDefaults, ModelLimits
from services.serving.errors import NotFound, ServiceError, Unavailable

MODEL = ModelInfo("fake", "r1", "scripted", "1", 4096, 16, 1024, accepts_images=True, structured_answers=True)


class FakeModel:
    """Says what a function says, one text to all samples or one to each, and keeps what it was asked."""

    def __init__(
        self, say: Callable[[Question], str | list[str] | ServiceError], *, started_first: bool = False
    ) -> None:
        self.say = say
        self.asked: list[Question] = []
        self.model = MODEL
        self.limits = ModelLimits(MODEL.max_samples, MODEL.max_tokens)
        self.defaults = ModelDefaults()
        self.removed = False
        self._started_first = started_first
        self._running = 0
        self.most_at_once = 0
        """Most questions that were being answered at a time."""

    async def find(self, model: str) -> "FakeModel":
        return self

    def check_queue(self, size: CallSize, timeout_s: float) -> None:
        """Nothing ever waits."""

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(question)
        said = self.say(question)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        await asyncio.sleep(0)
        self._running -= 1
        if self._started_first:
            yield Started()
        if isinstance(said, ServiceError):
            raise said
        yield Started()
        for index, sample in enumerate(question.samples):
            text = said if isinstance(said, str) else said[index % len(said)]
            # "<think>" stands for what an inference server gives apart, and alone for tokens that ran out meanwhile.
            reasoning, _, answer = text.rpartition("</think>")
            finish = "stop"
            if text.startswith("<think>") and not reasoning:
                reasoning, answer, finish = text, "", "reasoning"
            yield Completion(
                index, answer, answer, finish, 1, sample.seed, sample.temperature,
                reasoning=reasoning.removeprefix("<think>"),
            )  # fmt: skip
        yield Finished(MODEL, StageTimes())

    async def generate_all(self, question: Question, timeout_s: float) -> Generated:
        events = [event async for event in self.generate(question, timeout_s)]
        completions = tuple(event for event in events if isinstance(event, Completion))
        return Generated(completions, next(event for event in events if isinstance(event, Finished)))


class FakeRetrieval:
    """Two values with two keywords each, and two pictures a keyword."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.found = 2
        self.images = 8
        self.searches = 0

    async def lexicon(self) -> list[LexiconValue]:
        return [LexiconValue("hedonism", ("comedy", "concert")), LexiconValue("security", ("lock", "shield"))]

    async def search_value(
        self,
        value: str,
        keywords: Sequence[str],
        k: int,
        search_filter: Message | None,
        score_threshold: float | None,
    ) -> ValueSearch:
        self.searches += 1
        if score_threshold is not None and score_threshold > 0.5:
            return ValueSearch((), "provenance", self.images)
        places = range(min(k, self.found))
        hits = [
            Hit(keyword, f"{keyword}-{place}", 0.5, f"{keyword}/{place}.jpg")
            for keyword in keywords
            for place in places
        ]
        return ValueSearch(tuple(hits), "provenance", self.images)

    async def picture(self, image_id: str) -> bytes:
        if image_id in self.gone:
            raise NotFound("image_id", "gone", reason="IMAGE_UNKNOWN")
        return image_id.encode()


class FakeScoring:
    """Reads yes and no; may be away, refuse single methods, or leave parts of a reading out."""

    def __init__(self, *, serving: bool = True, failing: Sequence[str] = (), by_meaning: bool = True) -> None:
        self.serving = serving
        self.failing = set(failing)
        self.by_meaning = by_meaning
        self.calls: list[str] = []
        self.judge_answers: Sequence[str] = ()
        self.time_s = 0.0
        self.table: Sequence[PreferenceAnswer] = ()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if not self.serving or name in self.failing:
            raise Unavailable("scoring is away", reason="SCORING_UNREACHABLE")

    async def read(
        self,
        sentences: Sequence[str],
        abstain_threshold: float,
        truth: GroundTruth | None,
        judge_answers: Sequence[str],
        timeout_s: float,
    ) -> Readings:
        self._called("read")
        self.judge_answers = judge_answers
        self.time_s = timeout_s
        places = range(len(sentences))
        group = CompletionGroup(sentences[0], tuple(places), 1.0)
        grouping = Grouping(Consensus((group,), sentences[0], 1.0, 0.0, abstain=False), self.by_meaning)
        weights = [Attribution((Weight("security", float(place)),), "message") for place in places]
        aligned = (
            [Alignment(1 if truth.element in sentence else 0, "message") for sentence in sentences] if truth else []
        )
        return Readings(
            grouping=None if "grouping" in self.failing else grouping,
            response_types=() if "response_types" in self.failing else ["type"] * len(sentences),
            response_type_names=() if "response_types" in self.failing else ["descriptive"] * len(sentences),
            attributions=() if "values" in self.failing else weights,
            alignments=() if "alignment" in self.failing else aligned,
        )

    async def verdicts(self, answers: Sequence[PreferenceAnswer], timeout_s: float) -> list[Verdict]:
        self._called("verdicts")
        return [_verdict(answer.answer) for answer in answers]

    async def read_verdicts(self, question: YesOrNo, answers: Sequence[str], timeout_s: float) -> list[Verdict]:
        self._called(f"read_verdicts {question}")
        return [_verdict(answer) for answer in answers]

    async def preference_table(
        self, answers: Sequence[PreferenceAnswer], confidence_level: float, timeout_s: float
    ) -> Message:
        self._called("preference_table")
        self.table = answers
        return "table"

    async def isq(self, text: str, threshold: float, timeout_s: float) -> IsqReading:
        self._called("isq")
        if text == "strange":
            return IsqReading(None, (), "isq", "action_desire must be from 0 to 1, and is 7")
        return IsqReading(None if text == "few" else text == "match", ("curiosity_stimulation",), "isq")


def _verdict(answer: str) -> Verdict:
    readings: dict[str, Verdict] = {"yes": "yes", "no": "no", "declined": "refusal"}
    return readings.get(answer, "unparsed")
