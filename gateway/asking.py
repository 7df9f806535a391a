"""Puts one question of a protocol to a model and waits for the whole answer, with patience where that is asked for."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from gateway import metrics
from gateway.detection import Completion
from gateway.model import Backend, Question, Started
from services.serving.errors import Code, ServiceError

_LONGEST_PAUSE_S = 10.0
_TRY_AGAIN = (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Patience:
    """How long a protocol bears with a service that is busy or away."""

    attempts: int
    """The first included."""
    pause_s: float
    """Before the second attempt; doubles each time."""

    def before(self, attempt: int, asked_for_s: float | None) -> float:
        """Seconds to wait before an attempt, the second being 1; not less than a server asked for."""
        return min(max(self.pause_s * 2.0 ** (attempt - 1), asked_for_s or 0.0), _LONGEST_PAUSE_S)


class ModelGone(ServiceError):
    """A service could not be reached however often it was tried: nothing more can be asked of it now."""

    code = Code.UNAVAILABLE


def gone(error: ServiceError) -> ModelGone:
    """An error as one that ends the whole call."""
    return ModelGone(error.message, reason=error.reason, retry_after_s=error.retry_after_s, metadata=error.metadata)


async def patiently(
    work: Callable[[], Awaitable[ResultT]],
    patience: Patience,
    may_repeat: Callable[[], bool] = lambda: True,
    again: Callable[[ServiceError], None] = lambda _: None,
) -> ResultT:
    """Does something, again after a pause while a service is busy or away.

    Args:
        work: What to do.
        patience: How often.
        may_repeat: Whether a failed attempt may be repeated.
        again: Told of each failure that is repeated.
    """
    attempt = 1
    while True:
        try:
            return await work()
        except ServiceError as error:
            if error.code not in _TRY_AGAIN or attempt >= patience.attempts or not may_repeat():
                raise
            again(error)
            await asyncio.sleep(patience.before(attempt, error.retry_after_s))
            attempt += 1


class _Asked:
    """One question, and whether the model has started to answer it."""

    def __init__(self, backend: Backend, question: Question, timeout_s: float) -> None:
        self._backend = backend
        self._question = question
        self._timeout_s = timeout_s
        self.started = False

    async def answer(self) -> str:
        text = ""
        async with aclosing(self._backend.generate(self._question, self._timeout_s)) as events:
            async for event in events:
                self.started = self.started or isinstance(event, Started)
                if isinstance(event, Completion):
                    text = event.text.strip()
        return text


async def ask(backend: Backend, question: Question, timeout_s: float) -> str:
    """The text of a question's one completion.

    Raises:
        ServiceError: As `Backend.generate` does.
    """
    return await _Asked(backend, question, timeout_s).answer()


async def ask_patiently(backend: Backend, question: Question, timeout_s: float, patience: Patience) -> str:
    """The same, tried again while the model is busy or away and has not started.

    Raises:
        ModelGone: If it was away the last time too.
        ServiceError: As `Backend.generate` does.
    """
    asked = _Asked(backend, question, timeout_s)
    again = metrics.ASKED_AGAIN.labels
    try:
        return await patiently(
            asked.answer,
            patience,
            may_repeat=lambda: not asked.started,
            again=lambda error: again(backend.model.name, error.reason).inc(),
        )
    except ServiceError as error:
        if error.code is Code.UNAVAILABLE and not asked.started:
            raise gone(error) from error
        raise
