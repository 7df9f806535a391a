"""Judges as a persona whether pictures are interesting (arXiv 2411.11479): by a plain question or a questionnaire."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, NamedTuple

from axia.prompts import PromptText
from gateway import metrics
from gateway.protocols.answers import (
    QUESTIONNAIRE,
    QUESTIONNAIRE_TOKENS,
    UNSET,
    YES_OR_NO,
    AnswerRequest,
    AnswerSampling,
    check_structured,
    check_traits,
    plan_answers,
    with_traits,
)
from gateway.protocols.ordered import in_order
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.model import Backend, Backends, ModelInfo, Turn
from gateway.protocols.ports.retrieval import Retrieval
from gateway.protocols.ports.scoring import Scoring, Verdict
from gateway.protocols.retry import (
    BackendUnavailable,
    RetryPolicy,
    ask_with_retries,
    backend_unavailable,
    concerns_call,
    with_retries,
)
from gateway.settings import GatewaySettings
from services.serving.errors import Code, FailedPrecondition, InvalidArgument, ServiceError
from services.serving.images.reading import PictureReader
from services.serving.limits import check_between

logger = logging.getLogger(__name__)

DEFAULT_THRESHOLD = 60.0
"""S% of the study above which a picture is a match."""
PROMPTS = {"simple": "interest/simple", "isq": "interest/isq"}
_UNDECIDED = {
    "refusal": "the model refused to answer; see text",
    "unparsed": "the model's answer is neither yes nor no; see text",
}


class InterestPicture(NamedTuple):
    """A picture to judge: its bytes, or its id in retrieval."""

    image: bytes | None
    image_id: str = ""


@dataclass(frozen=True)
class InterestRequest:
    """What a caller asks. None stands for a field that was not set."""

    pictures: Sequence[InterestPicture]
    traits: tuple[str, ...]
    strategy: Literal["simple", "isq"] = "simple"
    threshold: float | None = None
    model: str = ""
    answers: AnswerRequest = UNSET
    structured: bool = False


@dataclass(frozen=True)
class InterestJudgement:
    """A persona's interest in one picture."""

    image_sha256: str
    text: str = ""
    stays: bool | None = None
    """None where there is no decision; then `error` says why."""
    verdict: Verdict | None = None
    isq: Message | None = None
    error: ServiceError | None = None
    reasoning: str = ""
    """What the model thought before it answered."""


@dataclass(frozen=True)
class Interest:
    """A persona's interest in pictures."""

    judgements: tuple[InterestJudgement, ...]
    model: ModelInfo
    prompt: PromptText
    sampling: AnswerSampling
    structured: bool = False

    @property
    def stay_share(self) -> float | None:
        """Share of pictures that the persona stays with, among those with a decision."""
        decided = [judgement.stays for judgement in self.judgements if judgement.stays is not None]
        return sum(decided) / len(decided) if decided else None

    @property
    def undecided(self) -> int:
        """Pictures without a decision."""
        return sum(judgement.stays is None for judgement in self.judgements)


@dataclass(frozen=True)
class _Call:
    """What is the same for all pictures of a call."""

    backend: Backend
    prompt: PromptText
    sampling: AnswerSampling
    strategy: Literal["simple", "isq"]
    threshold: float
    structured: bool


class InterestJudge:
    """Asks a model as a persona about pictures."""

    def __init__(
        self,
        backends: Backends,
        retrieval: Retrieval,
        scoring: Scoring,
        prompts: Mapping[str, PromptText],
        settings: GatewaySettings,
    ) -> None:
        self._backends = backends
        self._retrieval = retrieval
        self._scoring = scoring
        self._prompts = prompts
        self._settings = settings
        self._pictures = PictureReader(settings)
        self._retry_policy = RetryPolicy(settings.ask_attempts, settings.ask_pause_s)

    def close(self) -> None:
        """Lets the threads go that read pictures."""
        self._pictures.close()

    async def judge(self, request: InterestRequest) -> Interest:
        """Judges each picture; what goes wrong with one is told with that one.

        Raises:
            InvalidArgument: Naming the field that is wrong.
            BackendUnavailable: If the model or retrieval does not answer.
            ServiceError: As the model's server tells it, about a field that concerns every picture.
        """
        self._check(request)
        threshold = DEFAULT_THRESHOLD if request.threshold is None else request.threshold
        check_between("threshold", threshold, 0, 100)
        backend = await self._backends.find(request.model)
        if request.structured:
            check_structured(backend.model, "structured")
        least_tokens = QUESTIONNAIRE_TOKENS if request.strategy == "isq" else 0
        sampling = plan_answers(request.answers, backend.limits, backend.defaults, least_tokens)
        template = self._prompts[PROMPTS[request.strategy]]
        prompt = with_traits(template, request.traits, self._settings.max_text_chars)
        call = _Call(backend, prompt, sampling, request.strategy, threshold, request.structured)
        width = backend.limits.concurrency_limit(self._settings.protocol_concurrency)
        judging = in_order(request.pictures, partial(self._judge, call), width)
        async with aclosing(judging) as judgements:
            done = [judgement async for judgement in judgements]
        for judgement in done:
            decision = {True: "stay", False: "swipe", None: "none"}[judgement.stays]
            metrics.INTEREST_JUDGEMENTS.labels(backend.model.name, request.strategy, decision).inc()
        return Interest(tuple(done), backend.model, prompt, sampling, request.structured)

    def _check(self, request: InterestRequest) -> None:
        most = self._settings.max_interest_pictures
        if not 1 <= len(request.pictures) <= most:
            raise InvalidArgument(
                "pictures", f"must be 1 to {most}, but are {len(request.pictures):,}", reason="OUT_OF_RANGE"
            )
        for index, picture in enumerate(request.pictures):
            if picture.image is None and not picture.image_id:
                raise InvalidArgument(f"pictures[{index}]", "must have an image or an image_id", reason="MISSING")
        check_traits(request.traits, fewest=1)

    async def _judge(self, call: _Call, picture: InterestPicture) -> InterestJudgement:
        judgement = InterestJudgement(picture.image_id)
        try:
            image = picture.image
            if image is None:
                image = await self._fetch(picture.image_id)
            else:
                header = await self._pictures.header(image)
                judgement = replace(judgement, image_sha256=header.sha256)
            turn = Turn("user", call.prompt.text, "traits")
            form = YES_OR_NO if call.strategy == "simple" else QUESTIONNAIRE
            held = form if call.structured else None
            question = call.sampling.question([turn], image, 0, judgement.image_sha256, held)
            timeout_s = self._settings.default_timeout_s
            (answer,) = await ask_with_retries(call.backend, question, timeout_s, self._retry_policy)
            judgement = replace(judgement, text=answer.text, reasoning=answer.reasoning)
            answer.require_answer(question.max_tokens)
            return await self._decide(call, judgement)
        except BackendUnavailable:
            raise
        except ServiceError as error:
            if concerns_call(error):
                raise
            return replace(judgement, error=error)

    async def _fetch(self, image_id: str) -> bytes:
        try:
            return await with_retries(lambda: self._retrieval.picture(image_id), self._retry_policy)
        except ServiceError as error:
            if error.code is Code.UNAVAILABLE:
                raise backend_unavailable(error) from error
            raise

    async def _decide(self, call: _Call, judgement: InterestJudgement) -> InterestJudgement:
        timeout_s = self._settings.scoring_timeout_s
        if call.strategy == "simple":
            (verdict,) = await self._scoring.read_verdicts("interest", [judgement.text], timeout_s)
            judgement = replace(judgement, verdict=verdict)
            if verdict in _UNDECIDED:
                return replace(judgement, error=_undecided(_UNDECIDED[verdict], f"ANSWER_{verdict.upper()}"))
            return replace(judgement, stays=verdict == "yes")
        if not judgement.text:
            return replace(judgement, error=_undecided("the model's answer is empty", "ANSWER_EMPTY"))
        reading = await self._scoring.isq(judgement.text, call.threshold, timeout_s)
        judgement = replace(judgement, isq=reading.message)
        if reading.error:
            return replace(judgement, error=_undecided(f"the model's answer: {reading.error}", "OUT_OF_RANGE"))
        if reading.match is None:
            missing = f"the model's answer has no {', '.join(reading.missing)}"
            return replace(judgement, error=_undecided(missing, "ISQ_INCOMPLETE"))
        return replace(judgement, stays=reading.match)


def _undecided(message: str, reason: str) -> ServiceError:
    return FailedPrecondition(message, reason=reason)
