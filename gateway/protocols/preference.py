"""Assesses how much a model likes pictures of each value (arXiv 2411.11479); the plan is in `preference_plan`."""

import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, replace
from functools import partial

from axia.prompts import PromptText
from gateway import metrics
from gateway.protocols.answers import YES_OR_NO, check_structured, check_traits, plan_answers
from gateway.protocols.descriptions import Describing, plan_describing
from gateway.protocols.fields import DESCRIBER
from gateway.protocols.ordered import in_order
from gateway.protocols.ports.message import Message
from gateway.protocols.ports.model import Backend, Backends, ModelInfo, Turn
from gateway.protocols.ports.retrieval import Retrieval
from gateway.protocols.ports.scoring import PreferenceAnswer, Scoring, Verdict
from gateway.protocols.preference_images import planned_pictures
from gateway.protocols.preference_plan import (
    DEFAULT_K,
    MAX_K,
    Judgement,
    PlannedPicture,
    PreferencePlan,
    PreferenceRequest,
    check_resume,
    choose_prompts,
)  # fmt: skip
from gateway.protocols.retry import (
    Answer,
    BackendUnavailable,
    RetryPolicy,
    ask_with_retries,
    backend_unavailable,
    concerns_call,
    with_retries,
)
from gateway.settings import GatewaySettings
from services.serving.errors import Code, FailedPrecondition, InvalidArgument, ServiceError
from services.serving.limits import check_between

logger = logging.getLogger(__name__)

DEFAULT_LEVEL = 0.95


@dataclass(frozen=True)
class PreferenceSummary:
    """The end of an assessment."""

    scores: Message | None
    failed: int
    missing: tuple[str, ...]


PreferenceEvent = PreferencePlan | Judgement | PreferenceSummary


class PreferenceAssessor:
    """Finds pictures by the values' keywords, asks a model about each, and has the answers scored."""

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
        self._retry_policy = RetryPolicy(settings.ask_attempts, settings.ask_pause_s)

    async def assess(self, request: PreferenceRequest) -> AsyncGenerator[PreferenceEvent, None]:
        """Yields the plan, each picture's judgement in the order of the plan, and the summary.

        Raises:
            InvalidArgument: Naming the field that is wrong.
            FailedPrecondition: If nothing is indexed, or a resumed plan has changed.
            Unavailable: If retrieval does not answer.
            BackendUnavailable: If the model does not.
            ServiceError: As the model's server tells it, about a field that concerns every picture.
        """
        level = DEFAULT_LEVEL if request.confidence_level is None else request.confidence_level
        check_between("confidence_level", level, 0.5, 0.999)
        backend = await self._backends.find(request.model)
        plan = await self._plan(request, backend)
        done: list[Judgement] = []
        if request.resume_sha256 is not None:
            check_resume(plan, request.resume_sha256, request.resumed)
            done = list(request.resumed)
        yield plan
        describing = plan.describing if plan.describing and plan.describes else None
        asked = [backend, *([describing.backend] if describing else [])]
        width = min(model.limits.concurrency_limit(self._settings.protocol_concurrency) for model in asked)
        judging = in_order(plan.pictures[len(done) :], partial(self._judge, plan, backend), width)
        async with aclosing(judging) as judgements:
            async for judgement in judgements:
                _count(plan, judgement)
                done.append(judgement)
                yield judgement
        summary = await self._summary(done, level)
        # Those that the caller sent back carry no verdict to begin with.
        unread = any(
            judgement.error is None and judgement.verdict is None for judgement in done[len(request.resumed) :]
        )
        yield replace(summary, missing=("verdicts",)) if unread and not summary.missing else summary

    async def _plan(self, request: PreferenceRequest, backend: Backend) -> PreferencePlan:
        k = DEFAULT_K if request.k is None else request.k
        check_between("k", k, 1, MAX_K)
        if request.score_threshold is not None:
            check_between("score_threshold", request.score_threshold, -1, 1)
        check_traits(request.traits, fewest=0)
        if request.structured:
            check_structured(backend.model, "structured")
        _check_modality(request, backend.model)
        sampling = plan_answers(request.answers, backend.limits, backend.defaults)
        prompts = choose_prompts(self._prompts, request.modality, request.traits, self._settings.max_text_chars)
        describing = None
        if request.modality == "description":
            describing = await plan_describing(
                self._backends, backend, request.describer, request.descriptions, request.answers,
                request.describer_answers, sampling, self._settings.max_text_chars - len(prompts[0].text),
            )  # fmt: skip
        found = await planned_pictures(self._retrieval, request, k)
        if describing:
            describing.check([picture.image_id for picture in found.pictures])
        return PreferencePlan(
            found.pictures,
            request.modality,
            prompts,
            backend.model,
            sampling,
            found.search,
            found.short_keywords,
            request.structured,
            describing,
        )

    async def _judge(self, plan: PreferencePlan, backend: Backend, picture: PlannedPicture) -> Judgement:
        try:
            if plan.describing is None:
                judgement = await self._about_picture(plan, backend, picture)
            else:
                judgement = await self._about_description(plan, plan.describing, backend, picture)
        except BackendUnavailable:
            raise
        except ServiceError as error:
            if concerns_call(error):
                raise
            logger.info("image %d could not be judged: %s", picture.position, error.reason)  # its text may quote
            return Judgement(picture, error=error)
        return replace(judgement, verdict=await self._read(judgement))

    async def _fetch(self, image_id: str) -> bytes:
        try:
            return await with_retries(lambda: self._retrieval.picture(image_id), self._retry_policy)
        except ServiceError as error:
            if error.code is Code.UNAVAILABLE:
                raise backend_unavailable(error) from error
            raise

    async def _about_picture(self, plan: PreferencePlan, backend: Backend, picture: PlannedPicture) -> Judgement:
        image = await self._fetch(picture.image_id)
        answers: list[Answer] = []
        history: list[Turn] = []
        for position, prompt in enumerate(plan.prompts):
            turn = Turn("user", prompt.text, "traits" if position == 0 and "+" in prompt.id else "")
            answers.append(await self._ask(plan, backend, [*history, turn], image, position, picture))
            history += self._exchange(turn, answers[-1].text)
        return _judgement(picture, *answers)

    async def _about_description(
        self, plan: PreferencePlan, describing: Describing, backend: Backend, picture: PlannedPicture
    ) -> Judgement:
        like, why, _ = plan.prompts
        description = await self._describe(plan, describing, picture)
        asked = Turn("user", like.text.replace("{description}", description.text), "description")
        first = await self._ask(plan, backend, [asked], None, 0, picture)
        history = self._exchange(asked, first.text)
        if not history:  # without its exchange the second question would be about nothing
            return _judgement(picture, first, Answer(""), description, description=description.text)
        second = await self._ask(plan, backend, [*history, Turn("user", why.text)], None, 1, picture)
        return _judgement(picture, first, second, description, description=description.text)

    async def _describe(self, plan: PreferencePlan, describing: Describing, picture: PlannedPicture) -> Answer:
        """The description of a picture: the one that was given, or else a model's."""
        if (given := describing.given.get(picture.image_id)) is not None:
            return Answer(given)
        image = await self._fetch(picture.image_id)
        described = replace(plan, sampling=describing.sampling)
        turns = [Turn("user", plan.prompts[2].text)]
        try:
            description = await self._ask(described, describing.backend, turns, image, 2, picture)
        except ServiceError as error:
            if describing.by_another and not isinstance(error, BackendUnavailable):
                raise error.renamed(DESCRIBER) from error
            raise
        if not description.text:
            raise FailedPrecondition(
                "the model's description of the image is empty, so there is nothing to ask about",
                reason="DESCRIPTION_EMPTY",
            )
        return description

    async def _ask(
        self,
        plan: PreferencePlan,
        backend: Backend,
        turns: list[Turn],
        image: bytes | None,
        position: int,
        picture: PlannedPicture,
    ) -> Answer:
        held = YES_OR_NO if plan.structured and position == 0 else None
        question = plan.sampling.question(turns, image, position, picture.image_id, held)
        (answer,) = await ask_with_retries(backend, question, self._settings.default_timeout_s, self._retry_policy)
        answer.require_answer(question.max_tokens)
        return answer

    def _exchange(self, turn: Turn, reply: str) -> list[Turn]:
        """What is remembered of a question: of a reply as much as a turn may have, and nothing where it is empty.

        No chat template has room for an empty reply.
        """
        return [turn, Turn("assistant", reply[: self._settings.max_text_chars])] if reply else []

    async def _read(self, judgement: Judgement) -> Verdict | None:
        """The verdict of one judgement; None where the scoring service is away, which the summary will say."""
        if not self._scoring.serving:
            return None
        try:
            return (await self._scoring.verdicts([_as_answer(judgement)], self._settings.scoring_timeout_s))[0]
        except ServiceError as error:
            logger.info("a verdict is missing: %s", error.reason)
            return None

    async def _summary(self, judgements: list[Judgement], level: float) -> PreferenceSummary:
        answers = [_as_answer(judgement) for judgement in judgements if judgement.error is None]
        failed = len(judgements) - len(answers)
        if not answers:
            return PreferenceSummary(None, failed, ())
        try:
            table = await self._scoring.preference_table(answers, level, self._settings.table_timeout_s)
        except ServiceError as error:
            logger.warning("the scores of an assessment are missing: %s", error.reason)
            metrics.MISSING.labels("scores").inc()
            return PreferenceSummary(None, failed, ("scores",))
        return PreferenceSummary(table, failed, ())


def _check_modality(request: PreferenceRequest, model: ModelInfo) -> None:
    """Refuses what only descriptions need where pictures are asked about, and a model that can't see these."""
    if request.modality == "description":
        return
    for field in ("describer", "descriptions"):
        if getattr(request, field):
            raise InvalidArgument(
                field,
                "is only used with MODALITY_DESCRIPTION; set modality, or leave this out",
                reason="MODALITY_UNFIT",
            )
    if not model.accepts_images:
        raise InvalidArgument(
            "model",
            f"{model.name!r} doesn't support images: use MODALITY_DESCRIPTION and a describer",
            reason="IMAGE_NOT_SUPPORTED",
        )


def _judgement(picture: PlannedPicture, *answers: Answer, description: str = "") -> Judgement:
    """A judgement of a picture by the answers to the plan's prompts, in their order."""
    thoughts = tuple(answer.reasoning for answer in answers)
    replies = tuple(answer.text for answer in answers)
    return Judgement(picture, replies, description=description, reasoning=thoughts if any(thoughts) else ())


def _as_answer(judgement: Judgement) -> PreferenceAnswer:
    picture = judgement.picture
    return PreferenceAnswer(picture.value, judgement.replies[0], picture.keyword, picture.image_id)


def _count(plan: PreferencePlan, judgement: Judgement) -> None:
    outcome = "failed" if judgement.error else judgement.verdict or "unread"
    metrics.PREFERENCE_JUDGEMENTS.labels(plan.model.name, outcome).inc()
