"""Reads a detection's completions: the scoring service's calls side by side, and a judge model if one is asked for."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from axia.prompts import PromptText
from gateway import metrics
from gateway.asking import ask
from gateway.detection import Completion
from gateway.model import Backend, Question, Sample, Turn
from gateway.readings import Alignment, Readings, Scoring
from gateway.sampling import GroundTruth
from services.serving.errors import DeadlineExceeded, ServiceError

logger = logging.getLogger(__name__)

JUDGE_PROMPT = "judge/names-element"
_JUDGE_TOKENS = 16
ReadT = TypeVar("ReadT")


class Reader:
    """Asks the scoring service what completions say; what it can't say is missing and never an error."""

    def __init__(self, scoring: Scoring, prompts: Mapping[str, PromptText], timeout_s: float) -> None:
        self._scoring = scoring
        self._prompt = prompts[JUDGE_PROMPT]
        self._timeout_s = timeout_s

    @property
    def available(self) -> bool:
        """Whether it is worth while to leave time for reading."""
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
        timeout_s = min(self._timeout_s, time_left_s)
        if not self._scoring.serving or timeout_s <= 0:
            return Readings(missing=_counted(wanted))
        sentences = [completion.first_sentence for completion in completions]
        missing: set[str] = set()

        async def attempt(name: str, work: Callable[[], Awaitable[ReadT]]) -> ReadT | None:
            try:
                return await work()
            except ServiceError as error:
                logger.info("%s is missing from a detection: %s", name, error.message)
                missing.add(name)
                return None

        async def no_alignment() -> None:
            return None

        grouping, types, attributions, alignments = await asyncio.gather(
            attempt("grouping", lambda: self._scoring.summarise(sentences, abstain_threshold, timeout_s)),
            attempt("response_types", lambda: self._scoring.response_types(sentences, timeout_s)),
            attempt("values", lambda: self._scoring.attribute(sentences, timeout_s)),
            attempt("alignment", lambda: self._align(sentences, truth, judge, time_left_s))
            if truth
            else no_alignment(),
        )
        if grouping and not grouping.by_meaning:
            missing.add("grouping")
        return Readings(
            grouping, types or (), attributions or (), alignments or (), _counted([n for n in wanted if n in missing])
        )

    async def _align(
        self, sentences: Sequence[str], truth: GroundTruth, judge: Backend | None, time_left_s: float
    ) -> list[Alignment]:
        loop = asyncio.get_running_loop()
        until = loop.time() + time_left_s
        answers: list[str] = []
        if judge is not None:
            distinct = list(dict.fromkeys(sentences))
            try:
                async with asyncio.timeout(time_left_s):
                    said = await asyncio.gather(*(self._judge(judge, own, truth, time_left_s) for own in distinct))
            except TimeoutError as error:
                raise DeadlineExceeded("the judge model took too long", reason="JUDGE_TOO_SLOW") from error
            by_sentence = dict(zip(distinct, said, strict=True))
            answers = [by_sentence[sentence] for sentence in sentences]
        timeout_s = min(self._timeout_s, until - loop.time())
        return await self._scoring.align(sentences, truth, answers, max(timeout_s, 0.001))

    async def _judge(self, judge: Backend, sentence: str, truth: GroundTruth, timeout_s: float) -> str:
        phrasings = "; ".join((truth.element, *truth.accept))
        text = self._prompt.text.replace("{element}", phrasings).replace("{answer}", sentence)
        turn = Turn("user", text, "ground_truth.element")
        tokens = min(_JUDGE_TOKENS, judge.limits.max_tokens)
        question = Question((turn,), None, (Sample(0, 0.0),), top_p=1.0, max_tokens=tokens)
        return await ask(judge, question, timeout_s)


def _counted(missing: Sequence[str]) -> tuple[str, ...]:
    for name in missing:
        metrics.MISSING.labels(name).inc()
    return tuple(missing)
