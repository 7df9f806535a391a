"""Puts one question of a protocol to a model and waits for the whole answers; retries where the caller asks for it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from gateway import metrics
from gateway.protocols.answers import CALL_FIELDS
from gateway.protocols.ports.model import Backend, Completion, Question, Started
from services.serving.errors import DEATHS, ENDPOINT_FAILURES, ENGINE_DIED, Code, FailedPrecondition, ServiceError

_LONGEST_PAUSE_S = 10.0
_LONGEST_ASKED_FOR_S = 60.0
"""Longest pause that a server may ask for. Where one asks for more, the question fails at once."""
_TRY_AGAIN = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
_NEVER_AGAIN = DEATHS | {ENGINE_DIED}
"""Reasons of failures that the question may have caused: asked again, it could end one engine after the other."""
_TRIED_ENOUGH = ENDPOINT_FAILURES - {"ENDPOINT_UNREACHABLE"}
"""Reasons of failures of an endpoint that was asked several times. One that was not reached costs nothing, and may be
back after a pause."""
ResultT = TypeVar("ResultT")


class Answer(NamedTuple):
    """What a model says to a question."""

    text: str
    """Without white space around it."""
    reasoning: str = ""
    """What it thought before; never read as an answer."""
    only_reasoned: bool = False
    """Whether its tokens ran out while it was still thinking, so that there is no answer."""

    def require_answer(self, max_tokens: int) -> None:
        """Refuses one that ran out of tokens before it began.

        Raises:
            FailedPrecondition: Saying what to raise.
        """
        if self.only_reasoned:
            raise FailedPrecondition(
                f"the model used all {max_tokens:,} tokens for its reasoning, and none were left for its answer; set "
                "max_tokens higher",
                reason="ANSWER_ONLY_REASONING",
            )


@dataclass(frozen=True)
class RetryPolicy:
    """How long a protocol retries a service that is busy or unavailable."""

    attempts: int
    """The first included."""
    pause_s: float
    """Before the second attempt; doubles each time."""

    def before(self, attempt: int, asked_for_s: float | None) -> float:
        """Seconds to wait before an attempt, the second being 1; not less than a server asked for."""
        return max(min(self.pause_s * 2.0 ** (attempt - 1), _LONGEST_PAUSE_S), asked_for_s or 0.0)


class BackendUnavailable(ServiceError):
    """A service could not be reached however often it was tried: nothing more can be asked of it now."""

    code = Code.UNAVAILABLE


def backend_unavailable(error: ServiceError) -> BackendUnavailable:
    """An error as one that ends the whole call."""
    return BackendUnavailable(
        error.message, reason=error.reason, retry_after_s=error.retry_after_s, metadata=error.metadata
    )


async def with_retries(
    work: Callable[[], Awaitable[ResultT]],
    retry_policy: RetryPolicy,
    may_repeat: Callable[[], bool] = lambda: True,
    again: Callable[[ServiceError], None] = lambda _: None,
) -> ResultT:
    """Does something, again after a pause while a service is busy or away.

    Args:
        work: What to do.
        retry_policy: How often.
        may_repeat: Whether a failed attempt may be repeated.
        again: Told of each failure that is repeated.
    """
    attempt = 1
    while True:
        try:
            return await work()
        except ServiceError as error:
            if error.code not in _TRY_AGAIN or error.reason in _NEVER_AGAIN | _TRIED_ENOUGH:
                raise
            if attempt >= retry_policy.attempts or not may_repeat():
                raise
            if (error.retry_after_s or 0.0) > _LONGEST_ASKED_FOR_S:
                raise
            again(error)
            await asyncio.sleep(retry_policy.before(attempt, error.retry_after_s))
            attempt += 1


class _Asked:
    """One question, and whether the model has started to answer it."""

    def __init__(self, backend: Backend, question: Question, timeout_s: float) -> None:
        self._backend = backend
        self._question = question
        self._timeout_s = timeout_s
        self.started = False

    async def answers(self) -> list[Answer]:
        said: dict[int, Answer] = {}
        async with aclosing(self._backend.generate(self._question, self._timeout_s)) as events:
            async for event in events:
                self.started = self.started or isinstance(event, Started)
                if isinstance(event, Completion):
                    only_reasoned = event.finish_reason == "reasoning"
                    said[event.index] = Answer(event.text.strip(), event.reasoning, only_reasoned)
        return [said.get(index, Answer("")) for index in range(len(self._question.samples))]


async def ask(backend: Backend, question: Question, timeout_s: float) -> list[Answer]:
    """The answers to a question, one for each of its samples.

    Raises:
        ServiceError: As `Backend.generate` does.
    """
    return await _Asked(backend, question, timeout_s).answers()


async def ask_with_retries(
    backend: Backend, question: Question, timeout_s: float, retry_policy: RetryPolicy
) -> list[Answer]:
    """The same, tried again while the model is busy or away and has not started.

    Raises:
        BackendUnavailable: If it was away the last time too.
        ServiceError: As `Backend.generate` does.
    """
    asked = _Asked(backend, question, timeout_s)
    again = metrics.ASKED_AGAIN.labels
    try:
        return await with_retries(
            asked.answers,
            retry_policy,
            may_repeat=lambda: not asked.started,
            again=lambda error: again(backend.model.name, error.reason).inc(),
        )
    except ServiceError as error:
        if error.code is Code.UNAVAILABLE and error.reason not in _NEVER_AGAIN and not asked.started:
            raise backend_unavailable(error) from error
        raise


def concerns_call(error: ServiceError) -> bool:
    """Whether an error about one picture would come with every other as well."""
    if error.code not in (Code.INVALID_ARGUMENT, Code.NOT_FOUND):
        return False
    return any(violation.field.partition("[")[0] in CALL_FIELDS for violation in error.violations)
