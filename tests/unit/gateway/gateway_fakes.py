"""A model, a retrieval and a scoring service that do as a test says."""

from collections.abc import AsyncGenerator, Callable, Sequence

from gateway.detection import Completion, CompletionGroup, Consensus
from gateway.found import Hit, LexiconValue, Message, ValueSearch
from gateway.model import Finished, ModelEvent, ModelInfo, Question, StageTimes, Started
from gateway.readings import Alignment, Attribution, Grouping, IsqReading, PreferenceAnswer, Verdict, Weight
from gateway.sampling import DetectionDefaults, GroundTruth, ModelLimits
from services.serving.errors import NotFound, ServiceError, Unavailable

MODEL = ModelInfo("fake", "r1", "scripted", "1", 4096, 16, 1024, accepts_images=True)


class FakeModel:
    """Says what a function says, and keeps what it was asked."""

    def __init__(self, say: Callable[[Question], str | ServiceError], *, started_first: bool = False) -> None:
        self.say = say
        self.asked: list[Question] = []
        self.model = MODEL
        self.limits = ModelLimits(MODEL.max_samples, MODEL.max_tokens)
        self.defaults = DetectionDefaults()
        self._started_first = started_first

    async def find(self, model: str) -> "FakeModel":
        return self

    async def generate(self, question: Question, timeout_s: float) -> AsyncGenerator[ModelEvent, None]:
        self.asked.append(question)
        said = self.say(question)
        if self._started_first:
            yield Started()
        if isinstance(said, ServiceError):
            raise said
        yield Started()
        for index, sample in enumerate(question.samples):
            yield Completion(index, said, said, "stop", 1, sample.seed, sample.temperature)
        yield Finished(MODEL, StageTimes())


class FakeRetrieval:
    """Two values with two keywords each, and two pictures a keyword."""

    def __init__(self) -> None:
        self.gone: set[str] = set()
        self.found = 2
        self.images = 8

    async def lexicon(self) -> list[LexiconValue]:
        return [LexiconValue("hedonism", ("comedy", "concert")), LexiconValue("security", ("lock", "shield"))]

    async def search_value(self, value: str, keywords: Sequence[str], k: int, search_filter: Message) -> ValueSearch:
        hits = [Hit(keyword, f"{keyword}-{place}", 0.5) for keyword in keywords for place in range(min(k, self.found))]
        return ValueSearch(tuple(hits), "provenance", self.images)

    async def picture(self, image_id: str) -> bytes:
        if image_id in self.gone:
            raise NotFound("image_id", "gone", reason="IMAGE_UNKNOWN")
        return image_id.encode()


class FakeScoring:
    """Reads yes and no; may be away or refuse single methods."""

    def __init__(self, *, serving: bool = True, failing: Sequence[str] = (), by_meaning: bool = True) -> None:
        self.serving = serving
        self.failing = set(failing)
        self.by_meaning = by_meaning
        self.calls: list[str] = []
        self.judge_answers: Sequence[str] = ()
        self.table: Sequence[PreferenceAnswer] = ()

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if not self.serving or name in self.failing:
            raise Unavailable("scoring is away", reason="SCORING_UNREACHABLE")

    async def summarise(self, sentences: Sequence[str], abstain_threshold: float, timeout_s: float) -> Grouping:
        self._called("summarise")
        members = tuple(range(len(sentences)))
        consensus = Consensus((CompletionGroup(sentences[0], members, 1.0),), sentences[0], 1.0, 0.0, abstain=False)
        return Grouping(consensus, self.by_meaning)

    async def response_types(self, sentences: Sequence[str], timeout_s: float) -> list[Message]:
        self._called("response_types")
        return ["type"] * len(sentences)

    async def attribute(self, sentences: Sequence[str], timeout_s: float) -> list[Attribution]:
        self._called("attribute")
        return [Attribution((Weight("security", float(index)),), "message") for index in range(len(sentences))]

    async def align(
        self, sentences: Sequence[str], truth: GroundTruth, judge_answers: Sequence[str], timeout_s: float
    ) -> list[Alignment]:
        self._called("align")
        self.judge_answers = judge_answers
        return [Alignment(1 if truth.element in sentence else 0, "message") for sentence in sentences]

    async def verdicts(self, answers: Sequence[PreferenceAnswer], timeout_s: float) -> list[Verdict]:
        self._called("verdicts")
        return [_verdict(own.answer) for own in answers]

    async def preference_table(
        self, answers: Sequence[PreferenceAnswer], confidence_level: float, timeout_s: float
    ) -> Message:
        self._called("preference_table")
        self.table = answers
        return "table"

    async def isq(self, text: str, threshold: float, timeout_s: float) -> IsqReading:
        self._called("isq")
        return IsqReading(text == "match", (), "isq")


def _verdict(answer: str) -> Verdict:
    readings: dict[str, Verdict] = {"yes": "yes", "no": "no", "declined": "refusal"}
    return readings.get(answer, "unparsed")
