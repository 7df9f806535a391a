"""Reads a detection's completions: asks a judge model if one is asked for, then the scoring service, once."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

from axia.prompts import PromptText
from gateway import metrics
from gateway.protocols.alignment_judge import Item, JudgeModel, Votes
from gateway.protocols.ports.model import Backend, Completion
from gateway.protocols.ports.scoring import TOO_OLD, Readings, Scoring
from gateway.protocols.sampling import GroundTruth
from services.serving.deadlines import Deadline
from services.serving.errors import DeadlineExceeded, ServiceError

logger = logging.getLogger(__name__)

_REMEMBERED = 40
"""Readings that are remembered."""
_USUAL = 0.9
"""Share of the remembered readings that end within the usual time. The first readings of a process are many times
slower; a mean would remember them for dozens of calls."""


class Measured:
    """How long something takes, from the newest readings.

    Args:
        most_s: What is assumed before anything was measured, and at most.
    """

    def __init__(self, most_s: float) -> None:
        self._most_s = most_s
        self._seconds: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def usual_s(self) -> float:
        """Seconds within which it is nearly always done."""
        if not self._seconds:
            return self._most_s
        ordered = sorted(self._seconds)
        return min(self._most_s, ordered[int(_USUAL * (len(ordered) - 1))])

    def add(self, seconds: float) -> None:
        """Notes how long it took once."""
        self._seconds.append(seconds)

    @contextmanager
    def measuring(self) -> Iterator[None]:
        """Measures what happens inside, unless it fails."""
        began = time.perf_counter()
        yield
        self.add(time.perf_counter() - began)


class Reader:
    """Asks the scoring service what completions say; what it can't say is missing and never an error.

    Args:
        scoring: The service.
        prompts: By id.
        timeout_s: For the service.
        reserve_s: Time that is kept for the service at most, and before it has been measured; a judge model has to be
            done that much earlier.
        max_chars: That a question to a judge model may have: of a longer answer it gets the beginning.
    """

    def __init__(
        self,
        scoring: Scoring,
        prompts: Mapping[str, PromptText],
        timeout_s: float,
        reserve_s: float,
        max_chars: int = 16_384,
    ) -> None:
        self._scoring = scoring
        self._judge_model = JudgeModel(scoring, prompts)
        self._timeout_s = timeout_s
        self._reserve_s = reserve_s
        self._max_chars = max_chars
        self._took = Measured(reserve_s)

    @property
    def usual_s(self) -> float:
        """Seconds within which the service has nearly always read a detection."""
        return self._took.usual_s

    @property
    def available(self) -> bool:
        """Whether the service can be called, so that time has to be left for it."""
        return self._scoring.serving

    async def read(
        self,
        completions: Sequence[Completion],
        abstain_threshold: float,
        truth: GroundTruth | None,
        judge: Backend | None,
        time_left_s: float,
    ) -> Readings:
        """Reads completions, by index.

        Args:
            completions: At least one, by index.
            abstain_threshold: 0 to 1.
            truth: What annotators named, if that is known.
            judge: The model that judges, with JUDGE_MODEL alone.
            time_left_s: Until the answer has to be ready; may be negative.
        """
        wanted = ("grouping", "response_types", "values", *(("alignment",) if truth else ()))
        if not self._scoring.serving or time_left_s <= 0:
            return Readings(missing=_counted(wanted))
        deadline = Deadline(time_left_s)
        sentences = [completion.first_sentence for completion in completions]
        judged: Sequence[str] = ()
        if truth and judge:
            try:
                time_for_judge_s = time_left_s - min(self._reserve_s, time_left_s / 2)
                judged = await self._judge_all(judge, sentences, truth, time_for_judge_s)
            except ServiceError as error:
                logger.info("alignment is missing from a detection: %s", error.reason)  # its text may quote the answer
                truth = None  # the rest is read all the same
        try:
            with self._took.measuring():
                readings = await self._scoring.read(
                    sentences, abstain_threshold, truth, judged, deadline.call_s(self._timeout_s)
                )
        except ServiceError as error:
            if error.reason != TOO_OLD:  # told when it was found out; every detection would say it again
                logger.info("%s: missing from a detection: %s", ", ".join(wanted), error.reason)
            readings = Readings()
        read = {
            "grouping": readings.grouping is not None and readings.grouping.by_meaning,
            "response_types": bool(readings.response_types),
            "values": bool(readings.attributions),
            "alignment": bool(readings.alignments),
        }
        return replace(readings, missing=_counted([name for name in wanted if not read[name]]))

    async def _judge_all(
        self, judge: Backend, sentences: Sequence[str], truth: GroundTruth, timeout_s: float
    ) -> list[str]:
        """What the judge says of each sentence, or its majority; equal ones are asked about once."""
        phrasings = (truth.element, *truth.accept)
        room = self._max_chars - self._judge_model.length(Item("", phrasings))
        sentences = [sentence[: max(room, 0)] for sentence in sentences]
        distinct = list(dict.fromkeys(sentences))
        places = asyncio.Semaphore(judge.limits.concurrency_limit(len(distinct)))
        votes = Votes(truth.judge_samples, truth.judge_structured)
        fields = ("ground_truth.element", "ground_truth.judge_structured")

        async def in_turn(sentence: str) -> list[str]:
            item = Item(sentence, phrasings)
            async with places:
                answers = await self._judge_model.ask(judge, item, votes, timeout_s, fields=fields)
            return [answer.text for answer in answers]

        try:
            async with asyncio.timeout(timeout_s):
                asked = await asyncio.gather(*map(in_turn, distinct))
                # A single vote is read with all else, in one call.
                said = [answers[0] for answers in asked] if votes.samples == 1 else await self._count(asked)
        except TimeoutError as error:
            raise DeadlineExceeded("the judge model took too long", reason="JUDGE_TOO_SLOW") from error
        by_sentence = dict(zip(distinct, said, strict=True))
        return [by_sentence[sentence] for sentence in sentences]

    async def _count(self, votes: Sequence[Sequence[str]]) -> list[str]:
        return [tally.text for tally in await self._judge_model.count(votes, self._timeout_s)]


def _counted(missing: Sequence[str]) -> tuple[str, ...]:
    for name in missing:
        metrics.MISSING.labels(name).inc()
    return tuple(missing)
