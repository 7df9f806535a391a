"""Detects values in a picture: samples a model and summarises its answers, in the caller's time."""

import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import NamedTuple

from axia.prompts import PromptText
from gateway import metrics
from gateway.protocols.answers import check_structured
from gateway.protocols.consensus import Completion, Consensus, summarise
from gateway.protocols.deadlines import Shares, shares
from gateway.protocols.ports.model import Backend, Backends, Finished, ModelInfo, Question, Sample, StageTimes, Turn
from gateway.protocols.ports.scoring import Readings
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import DetectionRequest, GroundTruth, SamplingPlan, plan_sampling
from gateway.settings import GatewaySettings
from services.serving.errors import DeadlineExceeded, ServiceError
from services.serving.metrics import series
from services.serving.pictures import PictureHeader, PictureReader


@dataclass(frozen=True)
class Detection:
    """What a model's completions say together about a picture, and how that came about."""

    image: PictureHeader
    model: ModelInfo
    plan: SamplingPlan
    completions: tuple[Completion, ...]
    """Those that are done, by index."""
    consensus: Consensus
    total_ms: float
    times: StageTimes
    """Zero where the deadline came before the model's server reported them."""
    readings: Readings
    """What the scoring service says of the completions, as many of each as completions or none."""
    truth: GroundTruth | None = None
    """What they were judged by, if that was given."""
    sentence_rule: str = ""
    """The rule that told the first sentences, with its version; empty where the model's server didn't tell it."""
    used_size: tuple[int, int] = (0, 0)
    """Width and height of the picture as the model's processor got it, in pixels; zeros where that isn't known."""
    top_p: float | None = None
    """Nucleus sampling as it was used; None where the model's server didn't tell it."""

    @property
    def temperatures(self) -> tuple[float, ...]:
        """Of each completion, by index: as it was used, or as planned where the completion is not done."""
        used = {completion.index: completion.temperature for completion in self.completions}
        return tuple(used.get(index, planned) for index, planned in enumerate(self.plan.temperatures))

    @property
    def partial(self) -> bool:
        """Whether the deadline left completions undone."""
        return len(self.completions) < len(self.plan.temperatures)


class _Pending(NamedTuple):
    """A detection on its way."""

    began: float
    shares: Shares
    """How its time is shared out."""
    backend: Backend
    plan: SamplingPlan
    judge: Backend | None
    header: PictureHeader
    question: Question
    truth: GroundTruth | None


class Detector:
    """Answers detection requests with the models behind the gateway."""

    def __init__(
        self, backends: Backends, prompts: Mapping[str, PromptText], settings: GatewaySettings, reader: Reader
    ) -> None:
        self._backends = backends
        self._prompts = prompts
        self._settings = settings
        self._reader = reader
        self._pictures = PictureReader(settings)

    def close(self) -> None:
        """Lets the threads go that read pictures."""
        self._pictures.close()

    async def check(self, request: DetectionRequest) -> None:
        """Refuses what `detect` would refuse whatever the picture."""
        await self._prepare(request)

    async def detect(self, request: DetectionRequest, time_remaining_s: float | None) -> Detection:
        """Answers when all completions are done, or with those that are.

        Args:
            request: What to sample.
            time_remaining_s: Until the caller's deadline; None if there is none.

        Raises:
            DeadlineExceeded: If not one completion was done a margin before the deadline.
            ServiceError: If the request is refused or the model can't be asked.
        """
        pending = await self._begin(request, time_remaining_s)
        timeout_s = pending.shares.sampling_s(time.perf_counter() - pending.began)
        completions, finished = await pending.backend.generate_all(pending.question, timeout_s)
        return await self._conclude(pending, completions, finished)

    async def stream(
        self, request: DetectionRequest, time_remaining_s: float | None
    ) -> AsyncGenerator[Completion | Detection, None]:
        """Yields each completion when it ends, then the detection; see `detect`."""
        pending = await self._begin(request, time_remaining_s)
        timeout_s = pending.shares.sampling_s(time.perf_counter() - pending.began)
        completions: list[Completion] = []
        finished: Finished | None = None
        try:
            async with aclosing(pending.backend.generate(pending.question, timeout_s)) as events:
                async for event in events:
                    if isinstance(event, Completion):
                        completions.append(event)
                        yield event
                    elif isinstance(event, Finished):
                        finished = event
        except DeadlineExceeded:
            if not completions:
                raise
        completions.sort(key=lambda completion: completion.index)
        yield await self._conclude(pending, completions, finished)

    async def _begin(self, request: DetectionRequest, time_remaining_s: float | None) -> _Pending:
        began = time.perf_counter()
        reading_s = self._reader.usual_s if self._reader.available else 0.0
        time_shares = shares(
            time_remaining_s, self._settings.default_timeout_s, self._settings.deadline_margin_s, reading_s
        )
        backend, plan, judge = await self._prepare(request)
        header = await self._pictures.header(request.image)
        question = as_question(plan, request.image, header.sha256)
        return _Pending(began, time_shares, backend, plan, judge, header, question, request.ground_truth)

    async def _conclude(
        self, pending: _Pending, completions: Sequence[Completion], finished: Finished | None
    ) -> Detection:
        plan, truth = pending.plan, pending.truth
        time_shares = pending.shares
        time_left_s = time_shares.given_s - time_shares.margin_s - (time.perf_counter() - pending.began)
        readings = await self._reader.read(completions, plan.abstain_threshold, truth, pending.judge, time_left_s)
        detection = Detection(
            image=pending.header,
            model=finished.model if finished else pending.backend.model,
            plan=plan,
            completions=tuple(completions),
            consensus=_consensus(completions, plan, readings),
            total_ms=(time.perf_counter() - pending.began) * 1000,
            times=finished.times if finished else StageTimes(),
            readings=readings,
            truth=truth,
            sentence_rule=finished.sentence_rule if finished else "",
            used_size=finished.used_size if finished else (0, 0),
            top_p=finished.top_p if finished else None,
        )
        _record(detection)
        return detection

    async def _prepare(self, request: DetectionRequest) -> tuple[Backend, SamplingPlan, Backend | None]:
        """The model, what to sample, and the model that judges if one is asked for."""
        backend = await self._backends.find(request.model)
        plan = plan_sampling(request, backend.limits, self._prompts, self._settings.max_text_chars, backend.defaults)
        truth = request.ground_truth
        if truth is None or truth.judge != "model":
            return backend, plan, None
        judge: Backend = backend
        if truth.judge_model:
            try:
                judge = await self._backends.find(truth.judge_model)
            except ServiceError as error:
                raise error.renamed(lambda field: f"ground_truth.judge_{field}") from error
        if truth.judge_structured:
            check_structured(judge.model, "ground_truth.judge_structured")
        return backend, plan, judge


def as_question(plan: SamplingPlan, image: bytes, image_sha256: str) -> Question:
    """A plan as the model is asked it, with the caller's names of fields."""
    turns = [Turn("user", plan.prompt.text, f"prompt_{'id' if plan.prompt.id else 'text'}")]
    if system := plan.system_prompt:
        turns.insert(0, Turn("system", system.text, f"system_prompt_{'id' if system.id else 'text'}"))
    return Question(
        turns=tuple(turns),
        image=image,
        samples=tuple(map(Sample, plan.completion_seeds(image_sha256), plan.temperatures)),
        top_p=plan.top_p,
        max_tokens=plan.max_tokens,
        first_sentence_only=not plan.full_text,
        sentence_rule=plan.sentence_rule,
    )


def _consensus(completions: Sequence[Completion], plan: SamplingPlan, readings: Readings) -> Consensus:
    if readings.grouping is None:
        return summarise(completions, plan.abstain_threshold)
    # The scoring service counts places in a list; with completions undone these aren't their indexes.
    consensus = readings.grouping.consensus
    groups = tuple(
        replace(group, members=tuple(completions[place].index for place in group.members)) for group in consensus.groups
    )
    return replace(consensus, groups=groups)


def _record(detection: Detection) -> None:
    model = detection.model.name
    stages: Sequence[tuple[str, float]] = [("total_ms", detection.total_ms), *detection.times._asdict().items()]
    for stage, milliseconds in stages:
        series(metrics.STAGE_SECONDS, model, stage.removesuffix("_ms")).observe(milliseconds / 1000)
    for completion in detection.completions:
        series(metrics.COMPLETIONS, model, completion.finish_reason).inc()
    series(metrics.TOKENS, model).inc(sum(completion.tokens for completion in detection.completions))
    series(metrics.AGREEMENT, model).observe(detection.consensus.agreement)
    series(metrics.DETECTIONS, model, "abstained" if detection.consensus.abstain else "agreed").inc()
    if detection.partial:
        series(metrics.PARTIAL, model).inc()
