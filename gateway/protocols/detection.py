"""Detects values in a picture: samples a model and summarises its answers, in the caller's time."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import NamedTuple

from axia.prompts import PromptText
from gateway import metrics
from gateway.protocols.answers import check_structured
from gateway.protocols.consensus import summarise
from gateway.protocols.coverage import CoverageWatches
from gateway.protocols.evaluation_events import add_evaluations
from gateway.protocols.fields import JUDGE
from gateway.protocols.ports.model import (
    Backend,
    Backends,
    CallSize,
    Completion,
    Finished,
    ModelInfo,
    Question,
    Sample,
    StageTimes,
    Turn,
)
from gateway.protocols.ports.scoring import Consensus, Readings
from gateway.protocols.reader import Reader
from gateway.protocols.sampling import DetectionRequest, GroundTruth, SamplingPlan, plan_sampling
from gateway.settings import GatewaySettings
from services.serving.deadlines import Clock, Deadline
from services.serving.errors import DeadlineExceeded, renaming
from services.serving.images.reading import PictureHeader, PictureReader
from services.serving.limits import TOLD_TOO_LATE
from services.serving.metrics import series
from services.serving.tracing import span

_MARGIN_SHARE, _READING_SHARE = 0.1, 0.15


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


class Shares(NamedTuple):
    """How the time of one detection is shared out: sampling, reading what was sampled, and the answer's way back."""

    deadline: Deadline
    """The caller's, or the default."""
    margin_s: float
    """For the answer's way back, with what gRPC may tell a deadline too late."""
    reading_s: float
    """For the scoring service."""

    @property
    def answer_s(self) -> float:
        """Seconds until the answer has to be ready; negative once that is over."""
        return self.deadline.left_s - self.margin_s

    def sampling_s(self) -> float:
        """Seconds that are left for the model.

        Raises:
            DeadlineExceeded: Nothing is left.
        """
        left_s = self.answer_s - self.reading_s
        if left_s <= 0:
            raise DeadlineExceeded(
                f"the call had {self.deadline.timeout_s:.3g} s until its deadline, but needs {self.margin_s:.2g} s to "
                f"return the answer and {self.reading_s:.2g} s for scoring; give it a longer timeout",
                reason="DEADLINE_TOO_SHORT",
            )
        return left_s


def shares(
    time_remaining_s: float | None,
    default_s: float,
    most_margin_s: float,
    reading_usual_s: float,
    clock: Clock | None = None,
) -> Shares:
    """Shares out the time of a detection that begins now.

    What is kept back from sampling is measured where it can be, and never more than a share of the caller's time: a
    call with a tenth of a second is worth an attempt too.

    Args:
        time_remaining_s: Until the caller's deadline, as gRPC tells it; None if there is none.
        default_s: Time for a call without a deadline.
        most_margin_s: For the answer's way back at most.
        reading_usual_s: What the scoring service usually takes; 0 without it.
        clock: See `Deadline`.
    """
    given_s = default_s if time_remaining_s is None else max(time_remaining_s, 0.0)
    margin_s = 0.0
    if time_remaining_s is not None:
        margin_s = min(most_margin_s, _MARGIN_SHARE * given_s) + TOLD_TOO_LATE * given_s
    return Shares(Deadline(given_s, clock), margin_s, min(reading_usual_s, _READING_SHARE * given_s))


class _Pending(NamedTuple):
    """A detection on its way."""

    shares: Shares
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
        self._coverage = CoverageWatches()

    def close(self) -> None:
        """Lets the threads go that read pictures."""
        self._pictures.close()

    def forget(self, model: str) -> None:
        """Ends what is watched of a model that is no longer offered, and with it an alarm."""
        self._coverage.end(model)

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
        timeout_s = pending.shares.sampling_s()
        completions, finished = await pending.backend.generate_all(pending.question, timeout_s)
        return await self._conclude(pending, completions, finished)

    async def stream(
        self, request: DetectionRequest, time_remaining_s: float | None
    ) -> AsyncGenerator[Completion | Detection, None]:
        """Yields each completion when it ends, then the detection; see `detect`."""
        pending = await self._begin(request, time_remaining_s)
        timeout_s = pending.shares.sampling_s()
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
        reading_s = self._reader.usual_s if self._reader.available else 0.0
        time_shares = shares(
            time_remaining_s, self._settings.default_timeout_s, self._settings.deadline_margin_s, reading_s
        )
        backend, plan, judge = await self._prepare(request)
        # Before the image is looked at: its threads belong to calls that can be answered.
        backend.check_queue(_size(plan), time_shares.sampling_s())
        with span("decode"):
            header = await self._pictures.header(request.image)
        question = as_question(plan, request.image, header.sha256)
        return _Pending(time_shares, backend, plan, judge, header, question, request.ground_truth)

    async def _conclude(
        self, pending: _Pending, completions: Sequence[Completion], finished: Finished | None
    ) -> Detection:
        plan, truth = pending.plan, pending.truth
        answer_s = pending.shares.answer_s
        readings = await self._reader.read(completions, plan.abstain_threshold, truth, pending.judge, answer_s)
        detection = Detection(
            image=pending.header,
            model=finished.model if finished else pending.backend.model,
            plan=plan,
            completions=tuple(completions),
            consensus=_consensus(completions, plan, readings),
            total_ms=pending.shares.deadline.passed_s * 1000,
            times=finished.times if finished else StageTimes(),
            readings=readings,
            truth=truth,
            sentence_rule=finished.sentence_rule if finished else "",
            used_size=finished.used_size if finished else (0, 0),
            top_p=finished.top_p if finished else None,
        )
        _record(detection)
        add_evaluations(detection.consensus, detection.completions, readings.alignments, partial=detection.partial)
        # Without the reader model, phrasings count as they are, and that is another coverage.
        by_meaning = readings.grouping is not None and readings.grouping.by_meaning
        if by_meaning and not detection.partial and not pending.backend.removed:
            backend, abstained = pending.backend, detection.consensus.abstain
            self._coverage.add(detection.model.name, plan, backend.defaults, backend.limits, abstained=abstained)
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
            with renaming(JUDGE):
                judge = await self._backends.find(truth.judge_model)
        if truth.judge_structured:
            check_structured(judge.model, "ground_truth.judge_structured")
        return backend, plan, judge


def _size(plan: SamplingPlan) -> CallSize:
    return CallSize(len(plan.temperatures), plan.max_tokens, 1, not plan.full_text, False)


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
    for name in detection.readings.response_type_names:
        series(metrics.RESPONSE_TYPES, model, name).inc()
    if detection.partial:
        series(metrics.PARTIAL, model).inc()
